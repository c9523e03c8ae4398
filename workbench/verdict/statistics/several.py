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
from workbench.verdict.statistics.ranking import midranks
from workbench.verdict.statistics.values import Array, fraction, series, table
from workbench.verdict.statistics.values import differences as gaps_of

LEAST_DATASETS = 6


class Friedman(NamedTuple):
    """Friedman's test of strategies over data sets.

    Attributes:
        statistic: Chi-square with k - 1 degrees of freedom, corrected for ties.
        p: Of the chi-square statistic.
        ranks: Average rank of each strategy, shape [k]; 1 is best.
        f_statistic: Iman and Davenport's F, with k - 1 and (k - 1)(N - 1) degrees of freedom; inf
            where all data sets rank the strategies alike.
        f_p: Of F: less conservative, and to be preferred; never below the least p that permutations
            of the ranks within data sets can give, which F passes where nearly all agree.
    """

    statistic: float
    p: float
    ranks: Array
    f_statistic: float
    f_p: float


class CriticalDifference(NamedTuple):
    """What a critical-difference diagram shows.

    Attributes:
        ranks: Average rank of each strategy, shape [k]; 1 is best.
        p_values: Holm-adjusted p of each pair, shape [k, k].
        groups: Strategies that no test separates, by number, best first; see ``critical_groups``.
    """

    ranks: Array
    p_values: Array
    groups: list[tuple[int, ...]]


def friedman(scores: ArrayLike) -> Friedman:
    """Whether any strategy differs from the others, by their ranks on each data set.

    Args:
        scores: Shape [data sets, strategies], at least 6 by 2; higher is better; equal values
            share their mean rank.

    Returns:
        Two statistics with their p values, and the average ranks; a statistic of 0 and p = 1 where
        all strategies are equal on every data set. Both distributions are approximations that
        are rough for few data sets.

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
    statistic = between / varied if varied else 0.0
    largest = rows * (k - 1)
    if statistic >= largest * (1 - 1e-12):
        f_statistic, f_p = math.inf, 0.0
    else:
        f_statistic = (rows - 1) * statistic / (largest - statistic)
        f_p = float(special.fdtrc(k - 1, (k - 1) * (rows - 1), f_statistic))
    chi_p = float(special.chdtrc(k - 1, statistic))
    return Friedman(statistic, chi_p, ranks, f_statistic, max(f_p, _least_p(each)))


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


def wilcoxon(first: ArrayLike, second: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test over data sets: exact for any n, with ties.

    Differences of 0 are ranked with the others and then left out (Pratt), so that data sets on
    which both sides are equal do not count as never seen. p is the share of all arrangements of
    signs whose rank sum is at least as far from its mean.

    Args:
        first: One value for each data set, shape [n], n >= 6.
        second: Of the other side, in the same order, shape [n].

    Returns:
        p in (0, 1]; 1 where all differences are 0.

    Raises:
        ValueError: Fewer than 6 data sets, unequal lengths, or a value that is not finite.

    Source:
        Wilcoxon (1945), Individual comparisons by ranking methods, Biometrics Bulletin 1. Pratt
        (1959), Remarks on zeros and ties in the Wilcoxon signed rank procedures, J. Am. Stat.
        Assoc. 54.
    """
    gaps = gaps_of(first, second)
    demand_datasets(len(gaps))
    kept = gaps != 0
    # Twice the rank, since ties share a half: whole numbers.
    ranks = np.rint(2 * midranks(np.abs(gaps))).astype(int)[kept]
    total = int(ranks.sum())
    chances = np.zeros(total + 1)
    chances[0] = 1.0
    for rank in ranks:
        shifted = np.zeros_like(chances)
        shifted[rank:] = chances[: total + 1 - rank]
        chances = (chances + shifted) / 2
    observed = int(ranks[gaps[kept] > 0].sum())
    tail = min(observed, total - observed)
    return min(1.0, 2 * float(chances[: tail + 1].sum()))


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
    adjusted = holm([wilcoxon(data[:, i], data[:, j]) for i, j in pairs])
    matrix = np.ones((k, k))
    for (i, j), p in zip(pairs, adjusted, strict=True):
        matrix[i, j] = matrix[j, i] = p
    return matrix


def critical_groups(
    ranks: ArrayLike, p_matrix: ArrayLike, alpha: float = 0.05
) -> list[tuple[int, ...]]:
    """The bars of a critical-difference diagram: neighbours in rank that no test separates.

    Each group is as large as it can be, holds at least two strategies that follow one another in
    rank, and no pair within it has p < alpha. A strategy may be in several; that two are in one
    group is no proof that they are equal.

    Args:
        ranks: Average ranks, shape [k]; 1 is best.
        p_matrix: Corrected p of each pair, shape [k, k], symmetric.
        alpha: Below it, a pair is separated.

    Returns:
        Numbers of the strategies, best first within a group; the groups by their best.

    Raises:
        ValueError: Of shapes that do not fit together, a value that is not finite, a matrix that
            is not symmetric, or an alpha outside (0, 1).

    Source:
        Demsar (2006), Statistical comparisons of classifiers over multiple data sets, JMLR 7.
    """
    average, alpha = series(ranks, "ranks"), fraction(alpha, "alpha")
    k = len(average)
    p_values = table(p_matrix, "p_matrix", rows=2, columns=2, of=("strategies", "strategies"))
    if p_values.shape != (k, k):
        raise ValueError(
            f"p_matrix has the shape {list(p_values.shape)}: expected [{k}, {k}], as there are "
            f"{k} ranks"
        )
    if not np.array_equal(p_values, p_values.T):
        raise ValueError("p_matrix is not symmetric: p of a pair must not depend on its order")
    order = np.argsort(average, kind="stable")
    apart = p_values[np.ix_(order, order)] < alpha
    np.fill_diagonal(apart, False)
    groups: list[tuple[int, ...]] = []
    reached = 0
    for start in range(k):
        stop = start + 1
        while stop < k and not apart[start:stop, stop].any():
            stop += 1
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
        ValueError: Fewer than 6 data sets or 2 strategies, a value that is not finite, or an alpha
            outside (0, 1).

    Source:
        Demsar (2006), JMLR 7, with the pairwise tests of Benavoli et al. (2016), JMLR 17.
    """
    data = _scores(scores)
    ranks, p_values = friedman(data).ranks, wilcoxon_holm(data)
    return CriticalDifference(ranks, p_values, critical_groups(ranks, p_values, alpha))


def _scores(scores: ArrayLike) -> Array:
    data = table(scores, "scores", rows=1, columns=2, of=("data sets", "strategies"))
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
