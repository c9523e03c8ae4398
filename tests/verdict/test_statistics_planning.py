"""How many seeds: the rule book's numbers, agreement with other implementations, and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from tests.support.simulated import p_win
from workbench.verdict import corrected
from workbench.verdict.statistics import correction, mcb, paired, planning


def rejections(effect: float, n: int, pairs: int, *, runs: int = 1_500) -> float:
    """How often the test that is really used rejects at Holm's first step."""
    rng = np.random.default_rng(n * 100 + pairs)
    drawn = rng.normal(effect, 1, (runs, n))
    return float(np.mean([paired.sign_flip(row) * pairs <= 0.05 for row in drawn]))


def test_the_floor_is_the_share_of_two_in_all_arrangements_of_signs() -> None:
    assert [planning.p_floor(n) for n in (1, 2, 5, 11)] == [1, 0.5, 0.0625, 1 / 1024]


def test_the_number_of_pairs_demands_a_number_of_seeds() -> None:
    demanded = {pairs: planning.seeds_floor(pairs) for pairs in (1, 3, 6, 10, 15, 45, 190)}
    assert demanded == {1: 6, 3: 7, 6: 8, 10: 9, 15: 10, 45: 11, 190: 13}
    assert planning.seeds_floor(45, alpha=0.0294) == 12, "two looks"
    assert planning.seeds_floor(1, alpha=0.5) == 2
    for pairs in range(1, 300):
        floor = planning.seeds_floor(pairs)
        assert planning.p_floor(floor) * pairs <= 0.05 < planning.p_floor(floor - 1) * pairs


def test_below_the_floor_not_even_seeds_that_all_agree_are_significant() -> None:
    for pairs in (1, 6, 45):
        floor = planning.seeds_floor(pairs)
        p = [paired.sign_flip(np.linspace(1, 2, n)) for n in (floor, floor - 1)]
        adjusted = [correction.holm([each] * pairs)[0] for each in p]
        assert adjusted[0] <= 0.05 < adjusted[1]


def test_twelve_seeds_are_the_default_unless_more_are_needed() -> None:
    assert [planning.seeds_default(pairs) for pairs in (1, 3, 15, 45)] == [12, 12, 12, 12]
    assert planning.seeds_default() == 12, "of a winner among any number of configurations"
    assert planning.seeds_default(45, alpha=0.01) == 14


@pytest.mark.parametrize(("contrast", "pairs", "floor"), [("all", 1, 6), ("baseline", 9, 9)])
def test_only_a_contrast_with_the_baseline_is_planned_with_a_correction(
    contrast: str, pairs: int, floor: int
) -> None:
    # Ten configurations: 45 pairs, 9 of them with the baseline.
    found = corrected(contrast, 9 if contrast == "baseline" else 45)
    assert (found, planning.seeds_floor(found)) == (pairs, floor)


def test_a_plan_is_for_one_comparison_unless_more_are_named() -> None:
    assert planning.seeds_floor() == planning.seeds_floor(1) == 6
    assert planning.detectable_effect(12) == planning.detectable_effect(12, pairs=1)
    assert planning.seeds_needed(1.0, 12, 1.0) == planning.seeds_needed(1.0, 12, 1.0, pairs=1)


def test_with_many_seeds_the_detectable_effect_is_that_of_the_paired_t_test() -> None:
    for n, pairs in ((14, 1), (20, 6), (20, 45), (100, 3), (5_000, 45)):
        for power in (0.5, 0.8, 0.95):
            expected = TTestPower().solve_power(
                nobs=n, alpha=0.05 / pairs, power=power, alternative="two-sided"
            )
            found = planning.detectable_effect(n, pairs=pairs, power=power)
            assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("n", "pairs"), [(6, 1), (9, 1), (8, 6), (10, 6), (11, 45), (12, 45)])
def test_near_the_floor_the_effect_is_that_which_the_sign_flip_test_finds(
    n: int, pairs: int
) -> None:
    found = planning.detectable_effect(n, pairs=pairs)
    assert rejections(found, n, pairs) == pytest.approx(0.8, abs=0.035)
    # The t test alone would promise more than the test that decides can keep.
    promised = TTestPower().solve_power(nobs=n, alpha=0.05 / pairs, power=0.8)
    assert promised <= found + 1e-6


def test_at_the_floor_every_seed_must_agree() -> None:
    for pairs in (3, 45):
        n = planning.seeds_floor(pairs)
        every = stats.norm.ppf(0.8 ** (1 / n))
        assert planning.detectable_effect(n, pairs=pairs) == pytest.approx(every, abs=0.06)


def test_below_the_floor_no_effect_can_be_found() -> None:
    assert planning.detectable_effect(10, pairs=45) == math.inf
    assert planning.detectable_effect(11, pairs=45) < 2.2


def test_more_seeds_fewer_pairs_or_less_power_detect_smaller_effects() -> None:
    by_seeds = [planning.detectable_effect(n, pairs=6) for n in (8, 9, 10, 12, 13, 15, 20, 40)]
    assert by_seeds == sorted(by_seeds, reverse=True) and len({*by_seeds}) == len(by_seeds)
    by_pairs = [planning.detectable_effect(12, pairs=pairs) for pairs in (1, 3, 6, 15, 45)]
    assert by_pairs == sorted(by_pairs) and len({*by_pairs}) == len(by_pairs)
    by_power = [planning.detectable_effect(12, pairs=6, power=p) for p in (0.5, 0.8, 0.99)]
    assert by_power == sorted(by_power) and len({*by_power}) == len(by_power)


def test_the_rule_of_the_winner_finds_a_gap_about_as_often_as_documented() -> None:
    # 3 strategies, the first ahead by `gap` SDs of a run, pair correlation 0.5: SD of a
    # difference is 1. Found: p <= .05 against both others, neither of them corrected.
    rng = np.random.default_rng(1)

    def found(gap: float, n: int, runs: int) -> float:
        wins = 0
        for _ in range(runs):
            values = rng.normal(0, math.sqrt(0.5), (3, n)) + rng.normal(0, math.sqrt(0.5), n)
            values[0] += gap
            best = mcb.best(values.T)
            wins += best.leader == 0 and p_win(values.T, 0) <= 0.05
        return wins / runs

    # Of 1,000 studies: 0.13, 0.65 and 0.91; five standard errors of 300 studies are 0.14 at most.
    assert found(0.5, 10, 300) == pytest.approx(0.13, abs=0.09)
    assert found(1.0, 10, 300) == pytest.approx(0.65, abs=0.12)
    assert found(1.0, 15, 100) == pytest.approx(0.91, abs=0.12)
    assert found(2.0, 10, 100) > 0.95
    assert found(0.0, 10, 300) <= 0.03


def test_the_power_of_a_plan_is_that_of_a_winner_over_one_rival() -> None:
    # What `seeds_needed` promises is kept by the rule itself: no other condition is hidden in it.
    needed = planning.seeds_needed(1.0, 10**6, 0.9).estimate
    rng = np.random.default_rng(3)
    wins = 0
    for _ in range(300):
        values = rng.normal([0.9, 0.0], math.sqrt(0.5), (needed, 2))
        best = mcb.best(values)
        wins += best.leader == 0 and p_win(values, 0) <= 0.05
    assert needed <= 15 and wins / 300 == pytest.approx(0.8, abs=0.09)


def test_seeds_needed_are_the_fewest_that_detect_the_effect() -> None:
    for ratio in (0.4, 0.7, 1.2, 1.9):
        for pairs in (1, 6, 45):
            found = planning.seeds_needed(1.0, 30, ratio, pairs=pairs)
            assert planning.detectable_effect(found.estimate, pairs=pairs) <= ratio
            if found.estimate > planning.seeds_floor(pairs):
                assert planning.detectable_effect(found.estimate - 1, pairs=pairs) > ratio


def test_seeds_needed_agree_with_statsmodels_where_they_are_many() -> None:
    found = planning.seeds_needed(2.0, 10, 0.5, pairs=6)
    assert found.high is not None
    for n, sd in ((found.low, 1.4591), (found.estimate, 2.0), (found.high, 3.2900)):
        expected = TTestPower().solve_power(effect_size=0.5 / sd, alpha=0.05 / 6, power=0.8)
        assert n == pytest.approx(expected, abs=1.01)
    assert found.sd == 2.0


def test_the_range_comes_from_the_chi_square_interval_of_the_sd() -> None:
    rng = np.random.default_rng(2)
    drawn = rng.normal(0, 1, (300, 12)).std(axis=1, ddof=1)
    truth = planning.seeds_needed(1.0, 10**6, 0.5, pairs=3)
    assert truth.low <= truth.estimate <= (truth.high or 0) <= truth.low + 1
    held = []
    for sd in drawn:
        found = planning.seeds_needed(float(sd), 12, 0.5, pairs=3)
        assert found.high is not None and found.low <= found.estimate <= found.high
        held.append(found.low <= truth.estimate <= found.high)
    assert np.mean(held) == pytest.approx(0.9, abs=0.05)


def test_seeds_needed_never_fall_below_the_floor() -> None:
    assert planning.seeds_needed(0.0, 10, 0.01, pairs=45) == (11, 11, 11, 0.0)
    assert planning.seeds_needed(1e-12, 10, 0.01, pairs=6)[:3] == (8, 8, 8)


def test_a_plan_beyond_ten_thousand_seeds_has_no_upper_end() -> None:
    found = planning.seeds_needed(0.02, 3, 0.001, pairs=3)
    assert found.low < found.estimate < 10_000 and found.high is None
    far = planning.seeds_needed(1.0, 10, 0.001, pairs=3)
    expected = TTestPower().solve_power(effect_size=0.001, alpha=0.05 / 3, power=0.8)
    assert far.estimate == pytest.approx(expected, rel=1e-3) and far.high is None
    assert planning.seeds_needed(1e100, 10, 1e-100, pairs=3).high is None


def test_exact_ties_of_the_floor_and_alpha_end() -> None:
    # 3 pairs at 3/32: the floor of 6 seeds, 1/32 each, is exactly alpha.
    assert planning.seeds_floor(3, alpha=3 / 32) == 6
    assert math.isfinite(planning.detectable_effect(6, pairs=3, alpha=3 / 32))
    for pairs in (7, 11, 23, 49):
        alpha = pairs * 2.0**-9
        assert planning.seeds_floor(pairs, alpha=alpha) == 10
        assert math.isfinite(planning.detectable_effect(10, pairs=pairs, alpha=alpha))
