"""How many seeds: what a decision demands, and what a number of seeds can detect.

Answers are given before a run, from a design, or after it, for the smallest effect that matters.
There is deliberately no power for the effect observed: it is the p value in other words (Hoenig and
Heisey 2001, The abuse of power, The American Statistician 55).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from workbench.verdict.statistics.values import ROUNDING, Array

USUAL_SEEDS = 12
LARGEST_PLAN = 10_000  # seeds; a plan beyond is no plan
SD_LEVEL = 0.90  # of the interval of the SD that a range of seeds comes from
_STEPS = 40  # of a bisection
_EXACT_BELOW = 32  # rejecting arrangements below which the test is coarser than the t test
_REPLICATES = 2_000  # samples that stand for the normal distribution there


class SeedsNeeded(NamedTuple):
    """About how many seeds, as a range, because the SD is itself an estimate.

    Attributes:
        low: From the lower end of the SD's 90 % interval.
        estimate: From the SD as it is.
        high: From its upper end; None beyond 10,000 seeds.
        sd: The SD of the paired differences that it was computed from.
    """

    low: int
    estimate: int
    high: int | None
    sd: float


def p_floor(n: int) -> float:
    """The smallest two-sided p that the exact sign-flip test can give with n seeds: 2^(1 - n).

    Reached where all differences have one sign: of 2^n arrangements, that one and its mirror image.

    Args:
        n: Seeds, at least 1.

    Returns:
        p in (0, 1], before any correction (beyond 1,075 seeds it is 0 in floating point). Above
        n = 15 ``sign_flip`` draws arrangements, and 1 / (draws + 1) is a floor too.

    Source:
        Pitman (1937), Significance tests which may be applied to samples from any populations.
    """
    return math.ldexp(1.0, 1 - n)


def seeds_floor(pairs: int = 1, *, alpha: float = 0.05) -> int:
    """The fewest seeds with which a comparison can be significant.

    The smallest n with 2^(1 - n) x pairs <= alpha: 6 for 1 pair, 7 for 3, 8 for 6, 11 for 45.

    Args:
        pairs: Comparisons that Holm corrects for; 1 for a winner among all, see ``mcb.best``.
        alpha: Chance of any false rejection among them.

    Source:
        Pitman (1937) for the floor, Holm (1979) for the factor.
    """
    n = 2
    while p_floor(n) * pairs > alpha:
        n += 1
    return n


def seeds_default(pairs: int = 1, *, alpha: float = 0.05) -> int:
    """The number of seeds where the author gives none: 12, or ``seeds_floor`` if that is more."""
    return max(USUAL_SEEDS, seeds_floor(pairs, alpha=alpha))


def detectable_effect(n: int, *, pairs: int = 1, alpha: float = 0.05, power: float = 0.8) -> float:
    """The true difference that n seeds find with the given power, in SDs of the paired difference.

    Of the sign-flip test at alpha / pairs, the level of Holm's first step: conservative, since
    every later step is easier. Where fewer than 32 arrangements of the signs reject, as near
    ``seeds_floor``, the test is coarser than a t test, and its power is computed from 2,000 normal
    samples, drawn once from a fixed seed (standard error of the power below 0.01), and never above
    that of the t test. Elsewhere it is that of the two-sided paired t test (noncentral t), which
    the sign-flip test comes close to.

    Args:
        n: Seeds, at least 2.
        pairs: Comparisons that Holm corrects for.
        alpha: Chance of any false rejection among them.
        power: Chance of finding the difference.

    Returns:
        In SDs of the paired differences, which are taken to be normal; inf where n lies below
        ``seeds_floor``, since no difference can be found then.

    Source:
        Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, ch. 2.
    """
    if n < seeds_floor(pairs, alpha=alpha):
        return math.inf
    # Power grows with the effect: double until it is enough, then bisect.
    low, high = 0.0, 1.0
    while _power(n, high, pairs, alpha) < power:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _power(n, middle, pairs, alpha) < power:
            low = middle
        else:
            high = middle
    return high


def seeds_needed(
    sd: float, n: int, effect: float, *, pairs: int = 1, alpha: float = 0.05, power: float = 0.8
) -> SeedsNeeded:
    """About how many seeds find a difference of ``effect`` with the given power.

    For the smallest effect that matters, never for the effect observed. A range: the SD comes from
    n seeds, and the ends of its 90 % chi-square interval give ``low`` and ``high``. The power is
    that of ``detectable_effect``; no answer lies below ``seeds_floor``.

    Args:
        sd: SD of the paired differences over n seeds, not below 0, in the units of ``effect``.
        n: Seeds that the SD was estimated from, at least 2.
        effect: Difference to be found, above 0.
        pairs: Comparisons that Holm corrects for.
        alpha: Chance of any false rejection among them.
        power: Chance of finding the difference.

    Returns:
        Numbers of seeds in all, not in addition to n; rounded beyond 10,000.

    Source:
        Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, ch. 2.
    """
    tail = (1 - SD_LEVEL) / 2
    shrunk, grown = (
        sd * math.sqrt((n - 1) / float(special.chdtri(n - 1, share))) for share in (tail, 1 - tail)
    )
    low, estimate, high = (
        _seeds(effect / spread if spread else math.inf, pairs, alpha, power)
        for spread in (shrunk, float(sd), grown)
    )
    return SeedsNeeded(low, estimate, high if high <= LARGEST_PLAN else None, float(sd))


def _seeds(effect: float, pairs: int, alpha: float, power: float) -> int:
    """The fewest seeds that find an effect, in SDs."""
    floor, level = seeds_floor(pairs, alpha=alpha), alpha / pairs
    if effect == math.inf:
        return floor
    if _t_power(LARGEST_PLAN, effect, level) < power:
        quantiles = -special.ndtri(level / 2) + special.ndtri(power)
        return max(LARGEST_PLAN + 1, math.ceil((float(quantiles) / max(effect, 1e-9)) ** 2))
    low, high = floor - 1, max(floor, LARGEST_PLAN)
    while high - low > 1:
        middle = (low + high) // 2
        if _t_power(middle, effect, level) < power:
            low = middle
        else:
            high = middle
    # The t test has at least the power of the sign-flip test, so the answer is here or above.
    while _power(high, effect, pairs, alpha) < power:
        high += 1
    return high


def _power(n: int, effect: float, pairs: int, alpha: float) -> float:
    """Chance that the sign-flip test rejects on the right side, at ``effect`` SDs of difference."""
    # Divided in this way, it is at least 1 from seeds_floor on, in floating point too.
    rejecting = alpha / (p_floor(min(n, 1_000)) * pairs)
    usual = _t_power(n, effect, alpha / pairs)
    if rejecting >= _EXACT_BELOW:
        return usual
    samples = np.random.default_rng(0).standard_normal((_REPLICATES, n)) + effect
    return min(usual, float(np.mean(_within_first(samples, math.floor(rejecting)))))


def _t_power(n: int, effect: float, level: float) -> float:
    """That of the paired t test on the right side: the far tail is no finding."""
    critical = float(special.stdtrit(n - 1, 1 - level / 2))
    return 1.0 - float(special.nctdtr(n - 1, effect * math.sqrt(n), critical))


def _within_first(samples: Array, arrangements: int) -> NDArray[np.bool_]:
    """Whether each sample's sum is among its so many largest under all arrangements of signs.

    An arrangement's sum falls short of the largest one by twice the magnitudes that it makes
    negative. So it is enough to follow the smallest such totals, one magnitude after the other.
    """
    magnitudes = np.abs(samples)
    observed = np.where(samples < 0, magnitudes, 0.0).sum(axis=1)
    smallest = np.zeros((len(samples), 1))
    for column in magnitudes.T:
        smallest = np.concatenate([smallest, smallest + column[:, None]], axis=1)
        if smallest.shape[1] > arrangements + 1:
            smallest = np.partition(smallest, arrangements, axis=1)[:, : arrangements + 1]
    return np.asarray(smallest[:, arrangements] > observed * (1 + ROUNDING))
