"""Every pair of sides, seed by seed: differences, tests, effect sizes, corrected over all pairs.

Values come in the metric's own direction; every difference is turned so that positive is better.
Across data sets the same is done with data sets in place of seeds and another test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from workbench.verdict.contrast import Contrast
from workbench.verdict.estimates import Interval
from workbench.verdict.evidence import Design
from workbench.verdict.judgement import Comparison, Side, Unit
from workbench.verdict.statistics import correction, equivalence, paired, several
from workbench.verdict.statistics.bootstrap import percentiles, resampled_means
from workbench.verdict.statistics.values import Array, differences, moments
from workbench.verdict.table import Row, comparable, worst_value

# Arrangements of signs for each pair: the usual ones, and the most that are worth waiting for.
_LEAST_DRAWS, _MOST_DRAWS = 20_000, 200_000

_LEVEL = 0.95  # of the interval over seeds and examples

Test = Callable[[Array], float]  # p of paired differences, shape [n]


def sign_draws(pairs: int, alpha: float) -> int:
    """Arrangements that the sign-flip test draws for each of so many pairs above n = 15.

    The least p value of B draws is 1 / (B + 1), so that B = 20,000 cannot pass Holm's first step
    over 1,000 pairs. Twice the draws that can pass it, at most 200,000: enough to 5,000 pairs twice
    over and, at alpha = 0.05, for 10,000 pairs at all; beyond those nothing can be claimed.
    """
    return min(_MOST_DRAWS, max(_LEAST_DRAWS, math.ceil(2 * pairs / alpha)))


def side(row: Row, design: Design, *, shown: bool) -> Side:
    """A row with its mean, SD and t interval; without any number where it may not be shown.

    The interval is cut at the bounds of the metric. A row with a hole in it gets no mean: a mean
    of the runs that are there would be one over a selection. A row whose failed runs may have been
    worse than they count gets neither SD nor interval: stand-ins have no spread of their own.
    """
    values: tuple[float | None, ...] = row.values if shown else (None,) * len(row.values)
    counted = [value for value in values if value is not None]
    mean, sd = None, None
    if row.sound and counted and (len(counted) == 1 or overstated(row, design)):
        # One run has no spread either, so its mean is shown without an interval.
        mean = Interval(moments(np.array(counted))[0], math.nan, math.nan)
    elif row.sound and counted:
        mean = paired.t_interval(counted).cut(design.bounds)
        sd = moments(np.array(counted))[1]
    return Side(
        name=row.name,
        values=values,
        run_ids=row.run_ids,
        imputed=row.imputed,
        n=len(counted),
        mean=mean,
        sd=sd,
        baseline=row.baseline,
    )


def comparisons(
    contrast: Contrast, design: Design, *, test: Test, unit: Unit, draws: int
) -> tuple[Comparison, ...]:
    """The planned pairs that can be compared, with p values corrected over all planned ones.

    A pair that cannot be compared stays in the number that Holm corrects for: that something went
    wrong must not make it easier to claim the rest.

    Args:
        contrast: Sides and pairs.
        design: Direction, smallest effect, alpha and bounds count.
        test: Gives the p value of a pair's differences.
        unit: What a value of a side belongs to.
        draws: Of the bootstrap over seeds; a fifth of it over seeds and examples.
    """
    planned = [(contrast.rows[one], contrast.rows[other]) for one, other in contrast.pairs]
    pairs = [
        _ordered(one, other, design)
        for one, other in planned
        if comparable(one, other) and len(one.values) > 1
    ]
    if not pairs:
        return ()
    # Fewer draws: each of them also resamples the test examples, which takes longer.
    resampled = _resampled(pairs, draws=max(1, draws // 5))
    gaps = [_differences(first, second, design) for first, second in pairs]
    reasons = [
        _undecidable(pair[0], design, own, unit=unit) for pair, own in zip(pairs, gaps, strict=True)
    ]
    missing = [1.0] * (len(planned) - len(pairs))
    p_values = [test(own) for own in gaps]
    # A pair that cannot be tested must not take a step of the correction either.
    tested = [1.0 if reason else p for reason, p in zip(reasons, p_values, strict=True)]
    p_holm = correction.holm([*tested, *missing])
    p_equivalence: Sequence[float | None] = [None] * len(pairs)
    if (margin := design.smallest_effect) is not None:
        # Without spread the test has no p value; 1 keeps it in the number that Holm corrects for.
        tosts = [equivalence.tost(own, margin) if moments(own)[1] else 1.0 for own in gaps]
        p_equivalence = correction.holm([*tosts, *missing])
    found = zip(reasons, p_values, p_holm, p_equivalence, strict=False)
    return tuple(
        _compared(*pair, own, _Tested(*each), design, resampled, draws)
        for pair, own, each in zip(pairs, gaps, found, strict=True)
    )


class _Tested(NamedTuple):
    """What the tests of a pair gave; ``undecidable``: why p decides nothing, if so."""

    undecidable: str
    p: float
    p_holm: float
    p_equivalence: float | None


def _compared(
    first: Row,
    second: Row,
    gaps: Array,
    tested: _Tested,
    design: Design,
    resampled: Mapping[str, Array],
    draws: int,
) -> Comparison:
    sd = moments(gaps)[1]
    stand_ins = overstated(first, design) or overstated(second, design)
    dz = math.nan if stand_ins else paired.hedges_dz(gaps)
    difference = paired.t_interval(gaps).cut(_range(design))
    if stand_ins:
        difference = replace(difference, low=math.nan, high=math.nan)
    # Without spread each probability is 0 or 1, which claims more than a few seeds can show.
    posterior = None
    if design.smallest_effect is not None and sd > 0 and not stand_ins:
        posterior = equivalence.posterior(gaps, design.smallest_effect)
    beyond, beyond_missing = _beyond(first, second, design, resampled)
    decidable = not tested.undecidable
    # A failed run may have been worse, so that the second is further behind.
    close = decidable and not overstated(second, design)
    p_equivalence = tested.p_equivalence
    return Comparison(
        first=first.name,
        second=second.name,
        n=len(gaps),
        differences=tuple(map(float, gaps)),
        difference=difference,
        sd=sd,
        skewness=paired.skewness(gaps) if sd > 0 and len(gaps) > 2 else None,
        # A small p beside the sentence that nothing is decided would contradict it.
        p=tested.p if decidable else math.nan,
        p_holm=tested.p_holm if decidable else math.nan,
        p_t=paired.paired_t(gaps) if decidable and sd > 0 else None,
        dz=dz if math.isfinite(dz) else None,
        improvement=paired.probability_of_improvement(gaps, draws=draws),
        p_equivalence=p_equivalence if close and sd > 0 else None,
        posterior=posterior,
        beyond=beyond,
        beyond_missing=beyond_missing,
        beaten=decidable and difference.estimate > 0 and tested.p_holm <= design.alpha,
        equivalent=close and p_equivalence is not None and p_equivalence <= design.alpha,
        undecidable=tested.undecidable,
    )


def overstated(side: Row | Side, design: Design) -> bool:
    """Whether the values of a side may be better than they should be.

    Where the metric has no worst value, a failed run counts with the worst one seen, but may have
    been worse: such a side is not shown to be ahead of another, or close to it.
    """
    return bool(side.imputed) and worst_value(design) is None


def _undecidable(first: Row, design: Design, gaps: Array, *, unit: Unit) -> str:
    """Why no p value can show that the first side is ahead, if so.

    Args:
        first: The side with the better mean.
        design: Its bounds say whether the metric has a worst value.
        gaps: How much better it is, shape [n].
        unit: What a value belongs to.
    """
    # A constant difference gives the least p of any, although it may be one copied result.
    if moments(gaps)[1] == 0:
        return f"their difference is the same on every {unit}, so it cannot be tested"
    if overstated(first, design):
        return (
            f"failed runs of {first.name} count with the worst value seen, but may have been worse"
        )
    # Wilcoxon's test is one of ranks, and a single large difference can turn the mean.
    if unit == Unit.DATA_SET and several.rank_sum(gaps) <= 0:
        return "the mean and the ranks of their differences have opposite signs"
    return ""


def _resampled(pairs: Sequence[tuple[Row, Row]], *, draws: int) -> dict[str, Array]:
    """Means of the resamples of each side that has scores, by name: once, in however many pairs."""
    sides = {row.name: row.scores for pair in pairs for row in pair if row.scores is not None}
    return {
        name: resampled_means(scores, draws=draws)
        for name, scores in sides.items()
        if scores.shape[1] > 1
    }


def _beyond(
    first: Row, second: Row, design: Design, resampled: Mapping[str, Array]
) -> tuple[Interval | None, str | None]:
    """The difference with an interval over seeds and test examples, or why there is none.

    An interval over seeds alone says what further seeds would give on this very test set. Each
    resample draws seeds and examples, the same for both sides. That counts the variation which
    seed and example have together more than once and widens the interval; that there are few seeds
    narrows it. With 5 to 20 simulated seeds, 300 examples and a level of 0.95 it covered the true
    difference 0.93 to 0.97 of the time, and a t interval over seeds 0.83 to 0.88.

    Source:
        Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1. McCullagh (2000),
        Resampling and exchangeable arrays, Bernoulli 6.
    """
    if first.scores is None or second.scores is None:
        return None, first.scores_missing or second.scores_missing
    if first.scores.shape != second.scores.shape:
        return None, f"{first.name} and {second.name} have scores of different numbers of examples"
    if first.scores.shape[1] < 2:
        return None, "there is one test example"
    sign = 1.0 if design.direction == "maximize" else -1.0
    estimate = sign * float((first.scores - second.scores).mean())
    replicates = sign * (resampled[first.name] - resampled[second.name])
    return percentiles(estimate, replicates, _LEVEL).cut(_range(design)), None


def _ordered(first: Row, second: Row, design: Design) -> tuple[Row, Row]:
    """The better mean first; of equals the one that the design names first."""
    if moments(_differences(first, second, design))[0] < 0:
        return second, first
    return first, second


def _differences(first: Row, second: Row, design: Design) -> Array:
    gaps = differences(first.counted, second.counted)
    return gaps if design.direction == "maximize" else 0.0 - gaps


def _range(design: Design) -> tuple[float | None, float | None]:
    low, high = design.bounds
    return (None, None) if low is None or high is None else (low - high, high - low)
