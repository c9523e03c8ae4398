"""Several data sets: oracles, ties, how many data sets a claim needs, and which bars are drawn."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats

from workbench.verdict.statistics import several
from workbench.verdict.statistics.correction import holm
from workbench.verdict.statistics.several import critical_groups, midranks
from workbench.verdict.statistics.values import differences


def scores(seed: int, datasets: int, strategies: int, *, step: float = 0.4) -> np.ndarray:
    """Data sets of different difficulty; each strategy is ``step`` SDs better than the last."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 3, (datasets, 1))
    return hard + step * np.arange(strategies) + rng.normal(size=(datasets, strategies))


def test_ranks_are_those_of_scipy_and_forgive_rounding_errors() -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 7, 30):
        values = rng.integers(0, 6, n).astype(float)
        assert midranks(values).tolist() == stats.rankdata(values).tolist()
    assert midranks([0.2 - 0.1, 0.3 - 0.2, 0.05]).tolist() == [2.5, 2.5, 1.0]
    assert midranks([0.0, 0.0]).tolist() == [1.5, 1.5]


def test_friedman_is_that_of_scipy_with_and_without_ties() -> None:
    for seed in range(10):
        for table in (scores(seed, 9, 4), np.round(scores(seed, 12, 3))):
            expected = stats.friedmanchisquare(*table.T)
            found = several.friedman(table)
            # Iman and Davenport's F is a function of the chi-square statistic.
            rows, k = table.shape
            chi = expected.statistic
            f = (rows - 1) * chi / (rows * (k - 1) - chi)
            assert found.statistic == pytest.approx(f, rel=1e-9)
            ranks = np.mean([stats.rankdata(-row) for row in table], axis=0)
            assert found.ranks == pytest.approx(ranks)


def test_the_f_statistic_is_the_analysis_of_variance_of_the_ranks() -> None:
    table = scores(3, 8, 4)
    ranks = np.array([stats.rankdata(row) for row in table])
    between = 8 * ((ranks.mean(axis=0) - 2.5) ** 2).sum() / 3
    rest = ((ranks - ranks.mean(axis=0)) ** 2).sum() / (3 * 7)
    found = several.friedman(table)
    assert found.statistic == pytest.approx(between / rest)
    assert found.p == pytest.approx(stats.f.sf(between / rest, 3, 21))


def test_friedman_at_its_ends() -> None:
    alike = several.friedman(np.tile([[3.0, 1.0, 2.0]], (6, 1)))
    assert alike.ranks.tolist() == [1, 3, 2]
    assert alike.statistic == math.inf
    assert alike.p == pytest.approx(6.0**-5), "all arrangements, and those in which all agree"
    swapped = np.tile([[3.0, 1.0, 2.0]], (6, 1))
    swapped[0] = [3.0, 2.0, 1.0]
    assert several.friedman(swapped).p >= alike.p, "agreement is never less sure"
    equal = several.friedman(np.ones((6, 3)))
    assert equal.ranks.tolist() == [2, 2, 2]
    assert (equal.statistic, equal.p) == (0, 1)


def test_wilcoxon_is_the_exact_one_of_scipy() -> None:
    for seed in range(20):
        for datasets in (6, 9, 30):
            first, second = scores(seed, datasets, 2).T
            expected = stats.wilcoxon(first, second, method="exact").pvalue
            assert several.wilcoxon(differences(first, second)) == pytest.approx(
                expected, abs=1e-12
            )


def test_wilcoxon_is_exact_with_ties_and_with_differences_of_zero() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        gaps = rng.integers(-3, 5, 10).astype(float)
        # Pratt: ranks with the zeros among them, which then count for nothing.
        ranks = stats.rankdata(np.abs(gaps)) * (gaps != 0)
        observed = float((ranks * np.sign(gaps)).sum())
        signs = np.array(list(product((1, -1), repeat=10)))
        expected = np.mean(np.abs(signs @ ranks) >= abs(observed) - 1e-9)
        assert several.wilcoxon(gaps) == pytest.approx(expected, abs=1e-12)
    assert several.wilcoxon(differences(np.ones(7), np.ones(7))) == 1.0


def test_wilcoxon_ties_forgive_rounding_errors() -> None:
    rng = np.random.default_rng(3)
    for _ in range(30):
        correct = rng.integers(470, 490, (2, 9))
        expected = several.wilcoxon(differences(correct[0], correct[1]))
        assert several.wilcoxon(differences(correct[0] / 496, correct[1] / 496)) == expected


def test_all_pairs_are_those_of_scikit_posthocs() -> None:
    for seed in range(5):
        table = scores(seed, 12, 4)
        long = pd.DataFrame(table).melt(var_name="strategy", value_name="score")
        expected = scikit_posthocs.posthoc_wilcoxon(
            long, val_col="score", group_col="strategy", sort=True
        ).to_numpy()
        above = np.triu_indices(4, 1)
        found = several.wilcoxon_holm(table)
        assert found[above] == pytest.approx(holm(expected[above]), abs=1e-12)
        assert (np.diag(found) == 1).all() and np.array_equal(found, found.T)


def test_equal_strategies_are_separated_no_more_often_than_alpha() -> None:
    wrong = [
        (several.wilcoxon_holm(scores(seed, 10, 3, step=0)) < 0.05).any() for seed in range(600)
    ]
    assert np.mean(wrong) < 0.065


def test_groups_are_all_largest_runs_of_neighbours_that_no_test_separates() -> None:
    rng = np.random.default_rng(4)
    for _ in range(100):
        k = int(rng.integers(2, 7))
        ranks = rng.permutation(k) + rng.random(k) / 2
        p = np.triu(rng.random((k, k)) ** 3, 1)
        p = p + p.T + np.eye(k)
        order = np.argsort(ranks).tolist()
        spans = [
            range(start, stop)
            for start, stop in combinations(range(k + 1), 2)
            if stop - start > 1
            and all(p[order[i], order[j]] >= 0.05 for i, j in combinations(range(start, stop), 2))
        ]
        largest = [
            tuple(order[i] for i in span)
            for span in spans
            if not any({*span} < {*other} for other in spans)
        ]
        assert critical_groups(ranks, p, 0.05) == sorted(
            largest, key=lambda group: order.index(group[0])
        )


def test_groups_of_known_diagrams() -> None:
    apart, near = 0.01, 0.4
    p = np.array([[1, near, apart], [near, 1, near], [apart, near, 1]])
    assert critical_groups(np.array([1.2, 2.0, 2.8]), p) == [(0, 1), (1, 2)]
    assert critical_groups(np.array([2.8, 2.0, 1.2]), p) == [(2, 1), (1, 0)]
    assert critical_groups(np.array([1, 2, 3]), np.full((3, 3), near)) == [(0, 1, 2)]
    assert critical_groups(np.array([1, 2, 3]), np.full((3, 3), apart)) == []
    assert critical_groups(np.array([1, 2]), np.full((2, 2), 0.05)) == [(0, 1)], "not below alpha"


def test_a_diagram_separates_what_differs_and_joins_what_does_not() -> None:
    table = scores(5, 20, 4, step=0)
    table[:, 3] += 5
    found = several.critical_difference(table)
    assert found.friedman.ranks == pytest.approx(several.friedman(table).ranks)
    assert found.p_values == pytest.approx(several.wilcoxon_holm(table))
    assert [set(group) for group in found.groups] == [{0, 1, 2}]


def test_few_data_sets_allow_no_claim_across_them() -> None:
    five = np.ones((5, 3))
    words = "needs at least 6, found 5; seeds, folds and epochs do not count"
    for refuse in (
        lambda: several.wilcoxon_holm(five),
        lambda: several.friedman(five),
        lambda: several.wilcoxon(differences(five[:, 0], five[:, 1])),
        lambda: several.critical_difference(five),
        lambda: several.performance_profile(five[:, 0], [0.5]),
    ):
        with pytest.raises(ValueError, match=words):
            refuse()
    assert several.wilcoxon_holm(np.ones((6, 3))).shape == (3, 3)
    assert 2 ** (1 - 5) > 0.05 > 2 ** (1 - 6), "the least p of five data sets, and of six"


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 by 2 values"):
        several.wilcoxon_holm(np.ones((6, 1)))
    with pytest.raises(ValueError, match="found nan"):
        several.friedman([[1, math.nan]] * 6)


def test_the_profile_is_the_share_of_runs_above_each_threshold() -> None:
    values = [0.1, 0.3, 0.5, 0.7, 0.9, 0.5]
    found = several.performance_profile(values, [-1, 0.1, 0.45, 0.9, 2])
    assert found == pytest.approx([1, 5 / 6, 4 / 6, 0, 0]), "above, not at"
    with pytest.raises(ValueError, match="at least 1 values"):
        several.performance_profile(values, [])


def test_the_rank_sum_says_who_is_ahead_by_wilcoxons_test() -> None:
    assert several.rank_sum([0.1, 0.2, -0.3]) == 0
    assert several.rank_sum([0.1, 0.2, 0.3, -0.25]) == 1 + 2 + 4 - 3
    assert several.rank_sum([0.1] * 6 + [-900.0]) > 0, "one large difference does not decide"
    assert several.rank_sum([0.0] * 6) == 0
