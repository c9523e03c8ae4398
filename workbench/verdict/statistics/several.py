"""Several data sets: ranks, tests across data sets, and what no test separates.

Rows are data sets; never seeds, folds or epochs, which are not a sample of data sets. Six are the
least for any claim across data sets: with five, the exact test cannot go below 0.0625. Pairs are
tested by Wilcoxon's test with Holm and not by Nemenyi's, whose answer on two strategies depends on
which others are in the pool (Benavoli et al. 2016).
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from workbench.verdict.statistics.correction import holm
from workbench.verdict.statistics.values import ROUNDING, Array, finite
from workbench.verdict.statistics.values import differences as gaps_of

LEAST_DATASETS = 6


class Friedman(NamedTuple):
    """Friedman's test of strategies over data sets.

    Attributes:
        ranks: Average rank of each strategy, shape [k]; 1 is best.
        statistic: Iman and Davenport's F, with k - 1 and (k - 1)(N - 1) degrees of freedom; inf
            where all data sets rank the strategies alike.
        p: Of F; never below the least p that permutations of the ranks within data sets can give,
            which F passes where nearly all agree.
    """

    ranks: Array
    statistic: float
    p: float


class CriticalDifference(NamedTuple):
    """What a critical-difference diagram shows.

    Attributes:
        friedman: With the average rank of each strategy.
        p_values: Holm-adjusted p of each pair, shape [k, k].
        groups: Strategies that no test separates, by number, best first; see ``critical_groups``.
    """

    friedman: Friedman
    p_values: Array
    groups: list[tuple[int, ...]]


def friedman(scores: ArrayLike) -> Friedman:
    """Whether any strategy differs from the others, by their ranks on each data set.

    Args:
        scores: Shape [data sets, strategies], at least 6 by 2; higher is better; equal values
            share their mean rank.

    Returns:
        A statistic of 0 and p = 1 where all strategies are equal on every data set. The
        distribution is an approximation that is rough for few data sets.

    Raises:
        ValueError: Fewer than 6 data sets or 2 strategies, or a value that is not finite.

    Source:
        Friedman (1937), J. Am. Stat. Assoc. 32. Iman and Davenport (1980), Approximations of the
        critical region of the Friedman statistic, Commun. Stat. A 9. Demsar (2006), Statistical
        comparisons of classifiers over multiple data sets, JMLR 7.
    """
    data = _scores(scores)
    rows, k = data.shape
    each = np.array([midranks(-row) for row in data])
    ranks = each.mean(axis=0)
    # With ties the ranks vary less; dividing by how much they do is Friedman's tie correction.
    varied = float(((each - (k + 1) / 2) ** 2).sum()) / (k - 1)
    between = rows * rows * float(((ranks - (k + 1) / 2) ** 2).sum())
    chi_square = between / varied if varied else 0.0
    largest = rows * (k - 1)
    if chi_square >= largest * (1 - 1e-12):
        return Friedman(ranks, math.inf, _least_p(each))
    statistic = (rows - 1) * chi_square / (largest - chi_square)
    p = float(special.fdtrc(k - 1, (k - 1) * (rows - 1), statistic))
    return Friedman(ranks, statistic, max(p, _least_p(each)))


def _least_p(ranks: Array) -> float:
    """The least p of a permutation of ranks within data sets: that all data sets agree.

    Args:
        ranks: Shape [data sets, strategies].
    """
    k, ways = ranks.shape[1], []
    for row in ranks:
        ties = np.unique(row, return_counts=True)[1]
        arrangements = math.prod(math.factorial(int(size)) for size in ties)
        ways.append(math.factorial(k) / arrangements)
    return max(ways) / math.prod(ways)


def wilcoxon(differences: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test over data sets: exact for any n, with ties.

    Differences of 0 are ranked with the others and then left out (Pratt), so that data sets on
    which both sides are equal do not count as never seen. p is the share of all arrangements of
    signs whose rank sum is at least as far from its mean.

    Args:
        differences: First minus second for each data set, shape [n], n >= 6.

    Returns:
        p in (0, 1]; 1 where all differences are 0.

    Raises:
        ValueError: Fewer than 6 data sets, or a value that is not finite.

    Source:
        Wilcoxon (1945), Individual comparisons by ranking methods, Biometrics Bulletin 1. Pratt
        (1959), Remarks on zeros and ties in the Wilcoxon signed rank procedures, J. Am. Stat.
        Assoc. 54.
    """
    gaps = finite(differences, 1)
    demand_datasets(len(gaps))
    kept = gaps != 0
    # Twice the rank, since ties share a half: whole numbers.
    ranks = np.rint(2 * midranks(np.abs(gaps))).astype(int)[kept]
    total = int(ranks.sum())
    # The distribution of the rank sum: each rank is added with probability 1/2.
    chances = np.zeros(total + 1)
    chances[0] = 1.0
    for rank in ranks:
        shifted = np.zeros_like(chances)
        shifted[rank:] = chances[: total + 1 - rank]
        chances = (chances + shifted) / 2
    observed = int(ranks[gaps[kept] > 0].sum())
    tail = min(observed, total - observed)
    return min(1.0, 2 * float(chances[: tail + 1].sum()))


def rank_sum(differences: ArrayLike) -> float:
    """Sum of the signed ranks of Wilcoxon's test: above 0 where the first side is ahead.

    Args:
        differences: First minus second for each data set, shape [n].
    """
    gaps = finite(differences, 1)
    return float(np.sign(gaps) @ midranks(np.abs(gaps)))


def wilcoxon_holm(scores: ArrayLike) -> Array:
    """Wilcoxon's signed-rank test of all pairs of strategies, corrected by Holm.

    Args:
        scores: Shape [data sets, strategies], at least 6 by 2.

    Returns:
        Adjusted p of each pair, shape [k, k], symmetric, 1 on the diagonal.

    Raises:
        ValueError: Fewer than 6 data sets or 2 strategies, or a value that is not finite.

    Source:
        Benavoli, Corani and Mangili (2016), Should we really use post-hoc tests based on
        mean-ranks?, JMLR 17. Holm (1979), Scand. J. Stat. 6.
    """
    data = _scores(scores)
    k = data.shape[1]
    pairs = list(combinations(range(k), 2))
    adjusted = holm([wilcoxon(gaps_of(data[:, i], data[:, j])) for i, j in pairs])
    matrix = np.ones((k, k))
    for (i, j), p in zip(pairs, adjusted, strict=True):
        matrix[i, j] = matrix[j, i] = p
    return matrix


def critical_groups(ranks: Array, p_values: Array, alpha: float = 0.05) -> list[tuple[int, ...]]:
    """The bars of a critical-difference diagram: neighbours in rank that no test separates.

    Each group is as large as it can be, holds at least two strategies that follow one another in
    rank, and no pair within it has p < alpha. A strategy may be in several; that two are in one
    group is no proof that they are equal.

    Args:
        ranks: Average ranks, shape [k]; 1 is best.
        p_values: Corrected p of each pair, shape [k, k], symmetric.
        alpha: Below it, a pair is separated.

    Returns:
        Numbers of the strategies, best first within a group; the groups by their best.

    Source:
        Demsar (2006), Statistical comparisons of classifiers over multiple data sets, JMLR 7.
    """
    k = len(ranks)
    order = np.argsort(ranks, kind="stable")
    apart = p_values[np.ix_(order, order)] < alpha
    np.fill_diagonal(apart, False)
    groups: list[tuple[int, ...]] = []
    reached = 0
    for start in range(k):
        stop = start + 1
        while stop < k and not apart[start:stop, stop].any():
            stop += 1
        # A group that ends where an earlier one ended is part of it.
        if stop > reached and stop - start > 1:
            groups.append(tuple(int(strategy) for strategy in order[start:stop]))
        reached = max(reached, stop)
    return groups


def critical_difference(scores: ArrayLike, *, alpha: float = 0.05) -> CriticalDifference:
    """All that a critical-difference diagram shows.

    Args:
        scores: Shape [data sets, strategies], at least 6 by 2; higher is better.
        alpha: Below it, a pair is separated.

    Raises:
        ValueError: Fewer than 6 data sets or 2 strategies, or a value that is not finite.

    Source:
        Demsar (2006), JMLR 7, with the pairwise tests of Benavoli et al. (2016), JMLR 17.
    """
    data = _scores(scores)
    ranked, p_values = friedman(data), wilcoxon_holm(data)
    return CriticalDifference(ranked, p_values, critical_groups(ranked.ranks, p_values, alpha))


def _scores(scores: ArrayLike) -> Array:
    data = finite(scores, 1, 2)
    demand_datasets(len(data))
    return data


def demand_datasets(found: int) -> None:
    """Refuse to speak across too few data sets.

    Raises:
        ValueError: Fewer data sets than can show a difference.
    """
    if found < LEAST_DATASETS:
        raise ValueError(
            f"a claim across data sets needs at least {LEAST_DATASETS}, found {found}; seeds, folds"
            " and epochs do not count as data sets. With fewer, give one verdict for each data set"
        )


def midranks(values: ArrayLike) -> Array:
    """The rank of each value, 1 the smallest; equal ones share the mean of their ranks.

    Values that differ by a rounding error are equal: a tie is often between differences such as
    0.2 - 0.1 and 0.3 - 0.2.

    Args:
        values: Shape [n], n >= 1.

    Returns:
        Shape [n], from 1 to n.

    Raises:
        ValueError: No value, or one is not finite.
    """
    data = finite(values, 1)
    order = np.argsort(data, kind="stable")
    steps = np.diff(data[order]) > ROUNDING * float(np.max(np.abs(data)))
    group = np.concatenate([[0], np.cumsum(steps)])
    sizes = np.bincount(group)
    last = np.cumsum(sizes)
    ranks = np.empty(len(data))
    ranks[order] = (last - (sizes - 1) / 2)[group]
    return ranks


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> Array:
    """The share of data sets on which the score is above each threshold.

    Where one profile lies above another everywhere, its strategy is better at every standard.

    Args:
        scores: Of one strategy, one for each data set, shape [data sets]; at least 6; on one scale,
            higher is better.
        thresholds: Shape [t], at least one.

    Returns:
        Shape [t], in [0, 1], never rising from a lower threshold to a higher one.

    Raises:
        ValueError: Fewer than 6 data sets, no threshold, or a value that is not finite.

    Source:
        Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice,
        NeurIPS; after Dolan and More (2002), Benchmarking optimization software with performance
        profiles, Math. Program. 91.
    """
    data = finite(scores, 1)
    demand_datasets(len(data))
    return 1.0 - np.searchsorted(np.sort(data), finite(thresholds, 1), side="right") / len(data)
