"""Statistics of a comparison: pure functions on arrays, each with its source.

| question | module: functions |
|---|---|
| Which is the best? | ``mcb``: ``best`` (decides the verdict) |
| Is there a difference? | ``paired``: ``sign_flip``, ``paired_t``; ``correction``: ``holm`` |
| Does a factor matter? | ``factorial``: ``main_effect``, ``interaction`` |
| How large is it? | ``paired``: ``t_interval``, ``hedges_dz``, ``probability_of_improvement`` |
| Are the differences symmetric? | ``paired``: ``skewness`` |
| Is it too small to matter? | ``equivalence``: ``tost``, ``posterior`` |
| How many seeds? | ``planning``: ``seeds_floor``, ``detectable_effect``, ``seeds_needed`` |
| How good is the best of k random trials? | ``searches``: ``expected_maximum`` |
| Across data sets? | ``several``: ``critical_difference``, ``wilcoxon``, ``performance_profile`` |

There is deliberately no unpaired test (seeds are shared), no power for the effect observed (it is
the p value in other words) and no test over search trials (an adaptive search draws no sample).

Higher is better, arrays are float64, a bootstrap or Monte Carlo draw comes from the ``seed`` given:
the same arguments give the same numbers. A value that is no finite number is an error everywhere,
never left out. What may be said of a number is decided in ``verdict``. See docs/confirmation.md.
"""
