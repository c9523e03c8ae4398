"""Statistics of a comparison: pure functions on arrays, each with its source.

| question | functions |
|---|---|
| Which is the best? | ``best`` (decides the verdict) |
| Is there a difference? | ``sign_flip``, ``paired_t``, ``holm`` |
| Does a factor matter? | ``main_effect``, ``interaction`` |
| How large is it? | ``t_interval``, ``hedges_dz``, ``probability_of_improvement`` |
| Are the differences symmetric? | ``skewness`` |
| Is it too small to matter? | ``tost``, ``posterior`` |
| How many seeds? | ``seeds_floor``, ``seeds_default``, ``detectable_effect``, ``seeds_needed`` |
| How good is the best of k random trials? | ``expected_maximum`` |
| Across data sets? | ``critical_difference``, ``wilcoxon_holm``, ``performance_profile`` |

There is deliberately no unpaired test (seeds are shared), no power for the effect observed (it is
the p value in other words) and no test over search trials (an adaptive search draws no sample).

Higher is better, arrays are float64, a bootstrap or Monte Carlo draw comes from the ``seed`` given:
the same arguments give the same numbers. A value that is no finite number is an error everywhere,
never left out. What may be said of a number is decided in ``verdict``. See docs/confirmation.md.
"""

from workbench.verdict.statistics.correction import holm
from workbench.verdict.statistics.equivalence import posterior, tost
from workbench.verdict.statistics.factorial import interaction, main_effect
from workbench.verdict.statistics.mcb import best
from workbench.verdict.statistics.paired import (
    hedges_dz,
    paired_t,
    probability_of_improvement,
    sign_flip,
    skewness,
    t_interval,
)
from workbench.verdict.statistics.planning import (
    detectable_effect,
    p_floor,
    seeds_default,
    seeds_floor,
    seeds_needed,
)
from workbench.verdict.statistics.searches import expected_maximum, expected_maximum_interval
from workbench.verdict.statistics.several import (
    critical_difference,
    friedman,
    performance_profile,
    rank_sum,
    wilcoxon,
    wilcoxon_holm,
)

__all__ = [
    "best",
    "critical_difference",
    "detectable_effect",
    "expected_maximum",
    "expected_maximum_interval",
    "friedman",
    "hedges_dz",
    "holm",
    "interaction",
    "main_effect",
    "p_floor",
    "paired_t",
    "performance_profile",
    "posterior",
    "probability_of_improvement",
    "rank_sum",
    "seeds_default",
    "seeds_floor",
    "seeds_needed",
    "sign_flip",
    "skewness",
    "t_interval",
    "tost",
    "wilcoxon",
    "wilcoxon_holm",
]
