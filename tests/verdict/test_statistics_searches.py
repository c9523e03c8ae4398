"""Expected maximum curves: against brute force, unbiased, and refused where they mean nothing."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from workbench.verdict.statistics import searches


def test_the_curve_is_the_mean_of_the_maximum_over_all_subsets() -> None:
    rng = np.random.default_rng(1)
    for n in (1, 2, 5, 9):
        for values in (rng.normal(size=n), rng.integers(0, 3, n).astype(float)):
            expected = [
                np.mean([max(subset) for subset in combinations(values, k)])
                for k in range(1, n + 1)
            ]
            found = searches.expected_maximum(values)
            assert found == pytest.approx(np.array(expected), abs=1e-12)


def test_the_curve_runs_from_the_mean_to_the_best_and_never_falls() -> None:
    values = np.random.default_rng(2).lognormal(size=1_500)
    found = searches.expected_maximum(values)
    assert found[0] == pytest.approx(values.mean()) and found[-1] == pytest.approx(values.max())
    assert (np.diff(found) >= -1e-9).all()
    # Weights of the order statistics are far below and above what a coefficient can hold.
    assert searches.expected_maximum(np.ones(1_500)) == pytest.approx(1.0)


def test_it_is_unbiased_where_drawing_with_replacement_is_not() -> None:
    draws = np.sort(np.random.default_rng(3).random((4_000, 8)), axis=1)
    truth = np.arange(1, 9) / np.arange(2, 10)  # of the largest of k uniform values
    curves = [searches.expected_maximum(row) for row in draws]
    assert np.mean(curves, axis=0) == pytest.approx(truth, abs=0.008)
    share = (np.arange(9) / 8) ** 8
    dodge = float((draws @ np.diff(share)).mean())
    assert dodge < truth[-1] - 0.03


def test_a_minimised_metric_is_negated_twice() -> None:
    losses = np.array([0.9, 0.2, 0.4])
    found = -searches.expected_maximum(-losses)
    assert found == pytest.approx(np.array([0.5, (0.2 + 0.2 + 0.4) / 3, 0.2]))


def test_the_band_is_the_bootstrap_of_trials_and_stable() -> None:
    values = np.random.default_rng(4).normal(size=40)
    band = searches.expected_maximum_interval(values, level=0.9, draws=4_000)
    assert band.estimate == pytest.approx(searches.expected_maximum(values))
    rng = np.random.default_rng(5)
    means = values[rng.integers(0, 40, (4_000, 40))].mean(axis=1)
    low, high = np.quantile(means, [0.05, 0.95])
    assert (band.low[0], band.high[0]) == pytest.approx((low, high), abs=0.03)
    assert (band.low <= band.estimate + 1e-9).all() and (band.high >= band.estimate - 1e-9).all()
    assert band.high.max() <= values.max() + 1e-9, "no resample is better than the best"
    again = searches.expected_maximum_interval(values, level=0.9, draws=4_000)
    assert np.array_equal(band.low, again.low) and band.level == 0.9


def test_the_band_covers_as_often_as_its_documentation_admits() -> None:
    rng = np.random.default_rng(6)
    truth = np.maximum.accumulate(rng.standard_normal((20_000, 30)), axis=1).mean(axis=0)
    held = []
    for _ in range(250):
        values = rng.standard_normal(30)
        band = searches.expected_maximum_interval(values, draws=200)
        held.append((band.low <= truth) & (truth <= band.high))
    covered = np.mean(held, axis=0)
    assert covered[[0, 6, 14, 29]] == pytest.approx([0.92, 0.82, 0.65, 0.46], abs=0.08)
