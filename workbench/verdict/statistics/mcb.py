"""Multiple comparisons with the best: a set that holds the best, and bounds.

Both use the values of k configurations on the same n seeds, and the permutation distribution
that follows from flipping the signs of whole seeds: one vector of signs flips the differences of
all configurations at once, so that nothing is assumed about variances or correlations. What is
assumed is that the vector of paired differences is symmetric about its mean. A skewed
configuration, or one that collapses on some seeds, breaks it: see ``docs/verdict_validation.md``
for how much.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from workbench.verdict.statistics.paired import DRAWS, EXACT_TO
from workbench.verdict.statistics.values import ROUNDING, Array, differences, finite, moments

# The least variance that a t statistic is divided by, relative to the sum of squares: an
# arrangement of signs may make all differences equal, and its t would be infinite.
_LEAST_VARIANCE = 1e-12


class Best(NamedTuple):
    """What the values say about the best of k configurations.

    Attributes:
        leader: The one with the highest mean; of equals the first.
        p_best: Of the hypothesis that a configuration is the best, shape [k]. Those above alpha are
            the (1 - alpha) confidence set of the best.
        lead: Lower bound of the lead over every other, in units of the values, with
            confidence 1 - alpha; below 0 where it may be behind. -inf where nothing bounds it.
        behind: Upper bounds of how far each is behind the best, in units of the values, shape [k]:
            they hold all together with confidence 1 - alpha. inf where a difference shows no
            spread, so that nothing bounds it.
    """

    leader: int
    p_best: Array
    lead: float
    behind: Array


def best(
    values: ArrayLike,
    *,
    alpha: float = 0.05,
    overstated: Collection[int] = (),
    draws: int = DRAWS,
    seed: int = 0,
) -> Best:
    """Confidence set of the best and simultaneous bounds, from paired values.

    **Set.** Each candidate is tested once against all its rivals together, by the largest paired t
    of a rival over it. Only the test of the single best can wrongly exclude it, so no correction
    over candidates is needed. Of several that are equally good, some may be left out. **Bounds.**
    The critical values of the same statistic, from differences without their means, bound how far
    each configuration can be behind the best.

    All 2^n arrangements of signs are counted to n = 15; above, ``draws`` are drawn and the observed
    one is added, which keeps the error rate.

    Args:
        values: Shape [n, k] with n >= 2 seeds and k >= 2 configurations; higher is better.
        alpha: Chance to leave the best out of the set, and that not all bounds hold.
        overstated: Configurations whose values may be better than they should be, because runs that
            failed count with the worst value seen. None of them shows that another is behind, and
            nothing bounds how far they are behind.
        draws: Arrangements to draw where n > 15.
        seed: Of the generator, used where n > 15.

    Raises:
        ValueError: Fewer than 2 seeds or configurations, or a value that is not finite.

    Source:
        Edwards and Hsu (1983), Multiple comparisons with the best treatment, J. Am. Stat. Assoc.
        78. Westfall and Young (1993), Resampling-Based Multiple Testing (joint flips). Phipson and
        Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9 (drawn arrangements).
    """
    data = finite(values, 2, 2)
    n, k = data.shape
    signs = sign_arrangements(n, draws, seed)
    # gaps[i][:, j] is how much better j is than i on each seed.
    gaps = [np.stack([differences(data[:, j], data[:, i]) for j in range(k)], 1) for i in range(k)]
    means, sds = (
        np.array([[moments(gaps[i][:, j])[part] for j in range(k)] for i in range(k)])
        for part in (0, 1)
    )
    p_best, critical = np.ones(k), np.zeros(k)
    for i in range(k):
        varied = [j for j in range(k) if sds[i, j] > 0]
        if not varied:
            continue
        # Without their means: rivals that are far behind would hide how the others vary.
        centred = gaps[i][:, varied] - means[i, varied]
        reference = np.sort(_t(centred, signs).max(axis=1))
        critical[i] = reference[math.ceil((1 - alpha) * len(reference)) - 1]
        evidence = [j for j in varied if j not in overstated]
        if evidence:
            largest = _t(gaps[i][:, evidence], signs).max(axis=1)
            p_best[i] = np.mean(largest >= largest[0] - ROUNDING * max(1.0, abs(largest[0])))
    margins = sds / math.sqrt(n)
    behind = np.max(means + critical[None, :] * margins, axis=1, initial=0.0)
    unbounded = ((sds == 0) & ~np.eye(k, dtype=bool)).any(axis=1)
    unbounded[list(overstated)] = True
    behind[unbounded] = math.inf
    # By differences, where 0.1 + 0.2 has no lead over 0.3; which of equals leads is then the first.
    leader = next((i for i in range(k) if (means[i] <= 0).all()), int(data.mean(axis=0).argmax()))
    others = np.arange(k) != leader
    closest = (means[leader] + critical[leader] * margins[leader])[others].max()
    lead = -math.inf if unbounded[leader] else float(-closest)
    return Best(leader, p_best, lead, behind)


def sign_arrangements(n: int, draws: int, seed: int) -> Array:
    """Arrangements of signs, shape [arrangements, n]; in the first no sign is flipped."""
    if n <= EXACT_TO:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
        return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(0, 2, size=(draws, n))
    return np.vstack([np.ones(n), 1.0 - 2.0 * drawn])


def _t(gaps: Array, signs: Array) -> Array:
    """The paired t of each rival under each arrangement, shape [arrangements, rivals].

    Args:
        gaps: How much better each rival is on each seed, shape [n, rivals]; each varies.
        signs: Shape [arrangements, n].
    """
    n = len(gaps)
    squares = (gaps**2).sum(axis=0)  # the same under every arrangement
    flipped = signs @ gaps / n
    variances = np.maximum((squares - n * flipped**2) / (n - 1), _LEAST_VARIANCE * squares)
    return np.asarray(flipped * math.sqrt(n) / np.sqrt(variances))
