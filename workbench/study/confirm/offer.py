"""What the author is asked to agree to before the test split is used: arms, cost, power.

Computed from the selection's runs, on validation data.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median, variance

import pandas as pd
from scipy import special

from workbench.study.config.changes import NotReadyError
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import design
from workbench.study.confirm.planning import Protocol
from workbench.study.confirm.selection import Arm, SelectionOutcome
from workbench.verdict.statistics.planning import SD_LEVEL


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A confirmation that can still be declined.

    Attributes:
        contrast: What is compared: ``all`` pairs, each with the ``baseline``, or a factor.
        pairs: Planned comparisons.
        seeds: Of each arm; with fewer than ``floor`` nothing can be significant.
        fresh: Those that a second look adds, counted in ``seeds``; 0 in the first.
        sd: Standard deviation of the paired differences between seeds, in units of the metric, on
            validation data: pooled over the pairs, from the few seeds of the selection, so a rough
            figure. None where no two seeds of a pair completed.
        reach: About which difference so many seeds find with 80 % power, in those units, by the
            ends of the 90 % interval of that standard deviation, and no more than the metric can
            differ at all: two equal ends say that no difference it can have is found. None where
            there is no standard deviation, or too few seeds for any difference.
        runs: Runs that are left to do.
        seconds: Estimate of how long these take with so many workers; None without an estimate.
        workers: How many run at a time.
        test_samples: On which each kept model is tested, once.
        seen: Runs of an earlier test that MLflow holds though their records are gone.
        tested: A sentence for each other study that has tested the same test samples.
    """

    study: str
    metric: str
    arms: Sequence[Arm]
    contrast: str
    pairs: int
    seeds: int
    floor: int
    smallest_effect: float
    sd: float | None
    reach: tuple[float, float] | None
    runs: int
    seconds: float | None
    workers: int
    test_samples: int
    notes: Sequence[str] = ()
    seen: int = 0
    tested: Sequence[str] = ()
    fresh: int = 0


def offer_of(
    config: StudyConfig,
    protocol: Protocol,
    selected: SelectionOutcome,
    *,
    runs: int,
    workers: int,
    fresh: int = 0,
) -> Offer:
    """What the confirmation of these arms would be.

    Args:
        config: The study.
        protocol: Its protocol.
        selected: What the selection has chosen.
        runs: Confirmation runs that have not ended.
        workers: How many run at a time.
        fresh: Seeds that a second look adds.

    Raises:
        NotReadyError: There is a single configuration, so there is nothing to compare.
    """
    content = protocol.content
    seeds, pairs = len(content["seeds"]) + fresh, content["pairs"]
    if not config.added:
        pairs = design.pairs(config, len(selected.arms))
    if not pairs:
        raise NotReadyError(
            f"The chosen configuration of {selected.default_is} is the default one, and there is "
            f"no other to compare it with. Search longer, or with other ranges, under a new study "
            "name."
        )
    sides = _sides(config, selected.arms)
    sd = spread(sides)
    tests = design.tests(config, pairs)
    size = design.detectable(config, seeds, tests)
    lowest, highest = content["bounds"]
    widest = math.inf if lowest is None or highest is None else highest - lowest
    reach = None
    # Without any spread nothing is known of it: so few values may well be alike by chance.
    if sd and math.isfinite(size):
        low, high = interval(sd, freedom(sides))
        reach = min(size * low, widest), min(size * high, widest)
    return Offer(
        study=config.name,
        metric=content["metric"],
        arms=selected.arms,
        contrast=config.contrast,
        pairs=pairs,
        seeds=seeds,
        floor=design.floor(config, tests),
        smallest_effect=content["smallest_effect"],
        sd=sd,
        reach=reach,
        runs=runs,
        seconds=cost(selected, runs, workers),
        workers=workers,
        test_samples=content["data"]["test"],
        notes=design.cautions(config, seeds, tests),
        fresh=fresh,
    )


def cost(selected: SelectionOutcome, runs: int, workers: int) -> float | None:
    """Seconds that so many runs take, by those of the selection; None where none completed.

    What is no training is the same for all: the median of a run's overhead and of the time from
    one run's end to the next one's begin. Once the largest overhead comes on top, that of a run
    for which a worker had to start.
    """
    times = [one for found in selected.runs.values() for c in found for one in c.times]
    training = [one.seconds for one in selected.chosen.values() if one.seconds is not None]
    if not times or not training:
        return None
    overhead = [time.overhead for time in times]
    usual, ends = median(overhead), sorted(time.ended for time in times)
    before = [(time.begun, bisect_right(ends, time.begun)) for time in times]
    waited = [begun - ends[count - 1] for begun, count in before if count]
    each = fmean(training) + usual + (median(waited) if waited else 0.0)
    return max(overhead) - usual + each * math.ceil(runs / workers)


def _sides(config: StudyConfig, arms: Sequence[Arm]) -> pd.DataFrame:
    """What is compared, a column each: arms, or the levels of a factor by the mean of theirs."""
    own = {arm.name: arm.values for arm in arms if arm.values}
    if config.contrast in ("all", "baseline"):
        return pd.DataFrame(own, dtype=float)
    values = pd.DataFrame(own, dtype=float)
    level_of = {arm.name: arm.spec.levels[config.contrast] for arm in arms}
    # A seed counts for a level only where all of the level's arms have a value.
    return values.T.groupby(pd.Series(level_of)).mean(skipna=False).T


def spread(sides: pd.DataFrame) -> float | None:
    """Standard deviation of the paired differences, pooled over all pairs of sides.

    Args:
        sides: A row for each seed and a column for each side.

    Returns:
        None where no pair has two seeds.
    """
    pairs = [(sides[a] - sides[b]).dropna() for a, b in combinations(sides, 2)]
    compared = [differences for differences in pairs if len(differences) > 1]
    degrees = sum(len(differences) - 1 for differences in compared)
    # Not numpy's variance, which rounds: of equal differences it may be greater than 0.
    squares = sum(variance(differences) * (len(differences) - 1) for differences in compared)
    return math.sqrt(squares / degrees) if degrees else None


def freedom(sides: pd.DataFrame) -> int:
    """Degrees of freedom of ``spread``: (arms - 1) x (seeds - 1) where no value is missing.

    Fewer than the pairs' degrees of freedom add up to, because pairs share arms: of k arms on n
    seeds, k (k - 1) / 2 differences are made from k values of each seed. Pooled over all pairs, the
    variance of the differences is twice the residual mean square of the two-way layout of arms and
    seeds, which has the degrees of freedom given here. Each missing value takes one away.

    Args:
        sides: A row for each seed and a column for each side.

    Returns:
        At least 1 where ``spread`` gives a number.

    Source:
        Fisher (1925), Statistical Methods for Research Workers, ch. 8 (randomised blocks).
    """
    used = sides.loc[:, sides.count() > 1]
    by_seed = used.count(axis=1)
    blocks = by_seed[by_seed > 1]
    return max(1, int(blocks.sum()) - used.shape[1] - len(blocks) + 1)


def interval(sd: float, degrees: int) -> tuple[float, float]:
    """The 90 % chi-square interval of a standard deviation with so many degrees of freedom.

    Of normal values with equal variances; a rough guide elsewhere. The level is that of
    ``statistics.seeds_needed``.
    """
    tail = (1 - SD_LEVEL) / 2
    low, high = (
        sd * math.sqrt(degrees / float(special.chdtri(degrees, share)))
        for share in (tail, 1 - tail)
    )
    return low, high
