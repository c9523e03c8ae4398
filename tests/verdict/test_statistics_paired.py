"""Paired comparisons of two sides: agreement with other implementations, edges, refusals, and error
rates by simulation.
"""

from __future__ import annotations

import math
from dataclasses import astuple
from importlib import import_module
from itertools import product
from pkgutil import iter_modules

import numpy as np
import pytest
from scipy import stats

from workbench.verdict import statistics
from workbench.verdict.estimates import Interval
from workbench.verdict.statistics import paired, planning
from workbench.verdict.statistics.paired import DRAWS, EXACT_TO
from workbench.verdict.statistics.values import differences

SIZES = (2, 3, 5, 8, 11, 15)


def samples(count: int = 8) -> list[np.ndarray]:
    """Differences of several sizes and distributions, about a point of accuracy wide."""
    rng = np.random.default_rng(1)
    drawn = []
    for n in (*SIZES, 20, 60)[:count]:
        drawn += [
            rng.normal(0.004, 0.01, n),
            rng.standard_t(3, n),
            rng.integers(-4, 6, n) / 496 + rng.normal(0, 1e-4, n),
        ]
    return drawn


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_the_t_interval_is_that_of_scipy(level: float) -> None:
    for data in samples():
        low, high = stats.t.interval(level, len(data) - 1, data.mean(), stats.sem(data))
        found = paired.t_interval(data, level=level)
        assert astuple(found) == pytest.approx((data.mean(), low, high, level), rel=1e-10)


def test_the_t_interval_of_equal_values_has_no_width() -> None:
    found = paired.t_interval([0.1] * 7)
    assert astuple(found)[:3] == pytest.approx((0.1, 0.1, 0.1), abs=1e-16)
    assert found.low == found.estimate == found.high


def test_the_t_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    for n in (5, 10):
        runs = rng.normal(0.3, 2.0, size=(2_000, n))
        found = [paired.t_interval(row) for row in runs]
        covered = np.mean([each.low <= 0.3 <= each.high for each in found])
        assert covered == pytest.approx(0.95, abs=0.015)


def test_the_sign_flip_p_counts_every_arrangement_of_signs() -> None:
    for data in samples(4):
        sums = [abs(float(np.dot(s, data))) for s in product((1, -1), repeat=len(data))]
        expected = np.mean([total >= abs(data.sum()) - 1e-9 for total in sums])
        assert paired.sign_flip(data) == pytest.approx(expected, abs=1e-15)


def test_the_exact_sign_flip_p_is_that_of_scipy() -> None:
    rng = np.random.default_rng(3)
    for n in (4, 7, 11):
        first, second = rng.normal(0.5, 1, n), rng.normal(0, 1, n)
        expected = stats.permutation_test(
            (first, second),
            lambda a, b, axis: np.mean(a - b, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=2**n,
        ).pvalue
        assert paired.sign_flip(first - second) == pytest.approx(expected, abs=1e-12)


def test_differences_of_one_sign_reach_the_floor() -> None:
    for n in SIZES:
        assert paired.sign_flip(np.linspace(0.1, 0.2, n)) == planning.p_floor(n)


def test_sums_that_differ_by_a_rounding_error_are_ties() -> None:
    # 0.1 + 0.2 - 0.3 is 5e-17 in floating point and -5e-17 or 0 in another order.
    third = [0.1, 0.2, -0.3]
    assert sum(third) != 0 and paired.sign_flip(third) == 1.0
    # Accuracies of 496 examples: whole numbers of examples have to give the same p.
    rng = np.random.default_rng(4)
    for _ in range(50):
        correct = rng.integers(440, 480, size=(2, 10))
        gaps = correct[0] / 496 - correct[1] / 496
        assert paired.sign_flip(gaps) == paired.sign_flip(correct[0] - correct[1])


def test_order_direction_and_scale_of_the_differences_do_not_change_p() -> None:
    rng = np.random.default_rng(5)
    for n in (6, EXACT_TO, EXACT_TO + 1, 40):
        data = rng.normal(0.4, 1, n)
        p = paired.sign_flip(data)
        assert p == paired.sign_flip(-data) == paired.sign_flip(data[::-1])
        assert p == paired.sign_flip(data * 2.0**-20) == paired.sign_flip(data * 2.0**60)


def test_differences_of_zero_neither_lower_nor_raise_p() -> None:
    data = [0.3, 0.1, 0.2, 0.4, -0.05]
    assert paired.sign_flip([*data, 0, 0, 0]) == paired.sign_flip(data) > 0.1
    assert paired.sign_flip(np.zeros(10)) == paired.sign_flip(np.zeros(30)) == 1.0


def test_above_fifteen_pairs_the_observed_arrangement_counts_among_the_drawn() -> None:
    assert paired.sign_flip(np.full(40, 0.01)) == 1 / (DRAWS + 1)
    assert paired.sign_flip(np.full(40, 0.01), draws=99) == 1 / 100


def test_the_drawn_p_is_near_the_exact_one_and_the_same_each_time() -> None:
    rng = np.random.default_rng(6)
    data = rng.normal(0.4, 1, 16)
    signs = np.array(list(product((1, -1), repeat=16)))
    exact = float(np.mean(np.abs(signs @ data) >= abs(data.sum()) - 1e-9))
    found = paired.sign_flip(data)
    assert found == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / DRAWS))
    assert found == paired.sign_flip(data) != paired.sign_flip(data, seed=1)
    # More draws than fit into memory at a time.
    many = paired.sign_flip(data, draws=200_000)
    assert many == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 200_000))


def test_sign_flip_rejects_equal_sides_no_more_often_than_alpha_even_where_not_normal() -> None:
    rng = np.random.default_rng(7)
    for n in (8, 11):
        skewed = rng.exponential(1.0, (1_500, n)) - rng.exponential(1.0, (1_500, n))
        rejected = np.mean([paired.sign_flip(row) <= 0.05 for row in skewed])
        assert 0.03 < rejected < 0.065
    drawn = rng.standard_cauchy((400, 18))
    rejected = np.mean([paired.sign_flip(row, draws=999) <= 0.05 for row in drawn])
    assert 0.02 < rejected < 0.085


def test_paired_t_is_that_of_scipy() -> None:
    for data in samples():
        expected = stats.ttest_rel(data, np.zeros_like(data)).pvalue
        assert paired.paired_t(data) == pytest.approx(expected, rel=1e-9)
    tiny = np.random.default_rng(8).normal(1, 1e-4, 10)
    expected = stats.ttest_1samp(tiny, 0).pvalue
    assert 0 < expected < 1e-30
    assert paired.paired_t(tiny) == pytest.approx(expected, rel=1e-6)


def test_paired_t_of_differences_that_do_not_vary() -> None:
    assert paired.paired_t([0.0] * 5) == 1.0
    assert paired.paired_t([0.01] * 5) == 0.0


def test_hedges_dz_has_the_exact_correction() -> None:
    for data in samples()[3:]:  # from n = 3 on
        degrees = len(data) - 1
        # The factor's own definition: 1 / J is the mean of sqrt(m / chi2).
        inverse = math.sqrt(degrees) * stats.chi2(degrees).expect(lambda x: x**-0.5)
        expected = data.mean() / data.std(ddof=1) / inverse
        assert paired.hedges_dz(data) == pytest.approx(expected, rel=1e-4)


def test_hedges_dz_is_unbiased_where_the_plain_ratio_is_not() -> None:
    draws = np.random.default_rng(9).normal(0.8, 1.0, (20_000, 6))
    corrected = np.mean([paired.hedges_dz(row) for row in draws])
    plain = np.mean(draws.mean(axis=1) / draws.std(axis=1, ddof=1))
    assert corrected == pytest.approx(0.8, abs=0.02) and plain > 0.92


def test_hedges_dz_is_no_number_where_the_differences_do_not_vary() -> None:
    constant = [0.2 - 0.1, 0.9 - 0.8, 0.3 - 0.2, 1.1 - 1.0]
    assert np.std(constant) > 0
    for data in ([0.0] * 4, [0.1] * 3, constant, [0.2, 0.4]):
        assert math.isnan(paired.hedges_dz(data))


def test_skewness_is_that_of_scipy() -> None:
    for data in samples()[3:]:  # from n = 3 on
        assert paired.skewness(data) == pytest.approx(stats.skew(data, bias=False), rel=1e-9)
        assert paired.skewness(-data) == pytest.approx(-paired.skewness(data), rel=1e-9)
    assert math.isnan(paired.skewness([0.1, 0.1, 0.1]))
    with pytest.raises(ValueError, match="expected at least 3 values"):
        paired.skewness([0.1, 0.2])


def test_probability_of_improvement_compares_runs_of_one_seed() -> None:
    # Unpaired, first is ahead in 10 of 16 comparisons; seed by seed in all.
    first, second = [0.9, 0.8, 0.7, 0.6], [0.85, 0.75, 0.65, 0.55]
    assert paired.probability_of_improvement(differences(first, second)).estimate == 1.0
    assert paired.probability_of_improvement([1, 0, -1, 1]).estimate == 0.625
    equal = paired.probability_of_improvement(differences([1, 2, 3], [1, 2, 3]))
    left = 1 - 0.025 ** (1 / 3)
    assert astuple(equal) == pytest.approx((0.5, 0.5 - left / 2, 0.5 + left / 2, 0.95))


def test_seeds_that_all_agree_leave_open_what_their_number_leaves_open() -> None:
    ahead = paired.probability_of_improvement(differences([2.0] * 7, [1.0] * 7))
    exact = stats.binomtest(7, 7).proportion_ci(0.95, method="exact")
    assert (ahead.estimate, ahead.high) == (1.0, 1.0)
    assert ahead.low == pytest.approx(exact.low)
    for n in (7, 10, 12, 20):
        lows = [
            paired.probability_of_improvement(
                differences([1.0] * wins + [-1.0] * (n - wins), [0.0] * n)
            ).low
            for wins in range(n + 1)
        ]
        assert lows == sorted(lows), "another seed ahead never weakens it"
    behind = paired.probability_of_improvement(differences([1.0] * 7, [2.0] * 7))
    assert (behind.low, behind.high) == pytest.approx((0.0, 1 - exact.low))


def test_a_rounding_error_is_no_improvement() -> None:
    first, second = [0.1 + 0.2] * 6, [0.3] * 6
    assert first > second
    assert paired.probability_of_improvement(differences(first, second)).estimate == 0.5
    assert differences(first, second).tolist() == [0.0] * 6
    assert differences([1e-17], [0.0]).tolist() == [1e-17], "small is not rounded"


def test_the_interval_of_the_probability_of_improvement_is_a_bootstrap_over_seeds() -> None:
    rng = np.random.default_rng(10)
    first, second = rng.integers(0, 6, 20), rng.integers(0, 5, 20)
    score = (first > second) + 0.5 * (first == second)
    chosen = rng.integers(0, 20, (20_000, 20))
    low, high = np.quantile(score[chosen].mean(axis=1), [0.05, 0.95])
    found = paired.probability_of_improvement(differences(first, second), level=0.9)
    assert astuple(found) == pytest.approx((score.mean(), low, high, 0.9), abs=0.026)
    assert found == paired.probability_of_improvement(differences(first, second), level=0.9)
    swapped = paired.probability_of_improvement(differences(second, first), level=0.9)
    assert swapped.estimate == pytest.approx(1 - found.estimate)


@pytest.mark.parametrize(
    "function",
    [paired.t_interval, paired.sign_flip, paired.paired_t, paired.hedges_dz],
)
def test_a_value_that_is_no_number_is_refused_and_named(function: object) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="finite numbers within 1e\\+150, found nan"):
        function([0.1, math.nan, 0.3])
    with pytest.raises(ValueError, match=r"found -inf.*counts with the worst value"):
        function([0.1, 0.2, -math.inf])
    with pytest.raises(ValueError, match=r"found 1e\+200"):
        function([1e200, 0.2])
    for values in ([0.1], [], [[0.1, 0.2], [0.3, 0.4]]):
        with pytest.raises(ValueError, match="expected at least 2 values"):
            function(values)


def test_pairs_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="expected pairs of values, found 3 and 2"):
        paired.probability_of_improvement(differences([1, 2, 3], [1, 2]))
    with pytest.raises(ValueError, match="expected at least 2 values"):
        paired.probability_of_improvement(differences([1], [2]))
    with pytest.raises(ValueError, match="found nan"):
        differences([1, 2], [1, math.nan])
    with pytest.raises(ValueError, match="expected at least 1 values"):
        differences([1], [])


@pytest.mark.parametrize(
    ("bounds", "ends"),
    [((0.0, 1.0), (0.9, 1.0)), ((0.95, None), (0.95, 1.02)), ((None, 0.8), (0.8, 0.8))],
)
def test_an_interval_does_not_reach_beyond_the_bounds_of_the_metric(
    bounds: tuple[float | None, float | None], ends: tuple[float, float]
) -> None:
    found = Interval(0.96, 0.9, 1.02).cut(bounds)
    assert (found.low, found.high) == ends


def test_what_comes_in_is_left_as_it_was() -> None:
    first, second = np.array([3.0, 1.0, 2.0]), np.array([3.0, 1.0, 2.5])
    for function in (paired.sign_flip, paired.t_interval, paired.paired_t):
        function(first)
    paired.probability_of_improvement(differences(first, second))
    assert first.tolist() == [3.0, 1.0, 2.0] and second.tolist() == [3.0, 1.0, 2.5]


def test_there_is_no_unpaired_test_and_no_power_of_the_effect_observed() -> None:
    words = ("unpaired", "independent", "welch", "mann", "observed", "post_hoc", "nemenyi")
    offered = {
        name
        for module in iter_modules(statistics.__path__)
        for name in vars(import_module(f"{statistics.__name__}.{module.name}"))
    }
    assert {"sign_flip", "wilcoxon", "seeds_needed"} <= offered
    assert not [name for name in offered if any(word in name for word in words)]
