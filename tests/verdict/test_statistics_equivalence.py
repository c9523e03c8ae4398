"""Equivalence and the correction for many comparisons: oracles, edges, refusals, error rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from itertools import combinations

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.weightstats import ttost_paired

from workbench.verdict.estimates import Posterior
from workbench.verdict.statistics import correction, equivalence, paired


def test_tost_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(1)
    for n in (2, 5, 12, 60):
        for shift in (-0.02, 0.0, 0.004, 0.01, 0.03):
            first, second = rng.normal(0.9 + shift, 0.01, n), rng.normal(0.9, 0.01, n)
            expected = ttost_paired(first, second, -0.01, 0.01)[0]
            found = equivalence.tost(first - second, 0.01)
            assert found == pytest.approx(expected, rel=1e-8)
            assert found == pytest.approx(equivalence.tost(second - first, 0.01))


def test_tost_agrees_with_the_interval_of_one_minus_two_alpha() -> None:
    rng = np.random.default_rng(2)
    seen = set()
    for _ in range(200):
        data = rng.normal(rng.uniform(-0.02, 0.02), 0.01, 10)
        inside = paired.t_interval(data, level=0.9)
        equivalent = equivalence.tost(data, 0.012) < 0.05
        assert equivalent == (max(-inside.low, inside.high) < 0.012)
        seen.add(equivalent)
    assert seen == {True, False}


def test_tost_of_differences_that_do_not_vary() -> None:
    assert equivalence.tost([0.0] * 5, 0.01) == 0.0
    assert equivalence.tost([0.004] * 5, 0.01) == equivalence.tost([-0.004] * 5, 0.01) == 0.0
    assert equivalence.tost([0.02] * 5, 0.01) == equivalence.tost([-0.02] * 5, 0.01) == 1.0
    assert equivalence.tost([0.91 - 0.9] * 5, 0.01) == 1.0, "on the margin is not within it"
    assert equivalence.tost([0.01 - 1e-17] * 5, 0.01) == 1.0


def test_tost_calls_sides_on_the_margin_equivalent_no_more_often_than_alpha() -> None:
    rng = np.random.default_rng(3)
    data = rng.normal(1.0, 0.8, (3_000, 10))
    size = np.mean([equivalence.tost(row, 1.0) < 0.05 for row in data])
    assert size == pytest.approx(0.05, abs=0.012)
    shown = np.mean([equivalence.tost(row - 1.0, 1.0) < 0.05 for row in data[:500]])
    assert shown > 0.9


def test_the_posterior_is_the_t_distribution_around_the_mean() -> None:
    rng = np.random.default_rng(4)
    for n in (2, 5, 12):
        data = rng.normal(0.004, 0.01, n)
        found = equivalence.posterior(data, 0.005)
        mean = stats.t(n - 1, loc=data.mean(), scale=stats.sem(data))
        expected = (mean.sf(0.005), mean.cdf(0.005) - mean.cdf(-0.005), mean.cdf(-0.005))
        assert astuple(found) == pytest.approx(expected, abs=1e-10)
        assert sum(astuple(found)) == pytest.approx(1, abs=1e-15)
        assert astuple(equivalence.posterior(-data, 0.005)) == pytest.approx(
            astuple(found.flipped())
        )


def test_the_posterior_is_what_bayes_rule_gives_under_the_stated_prior() -> None:
    data = np.array([0.3, -0.1, 0.8, 0.5, 0.2, 0.6])
    mean = np.linspace(-6, 7, 2_001)
    log_sd = np.linspace(-5, 5, 801)
    sd = np.exp(log_sd)[:, None]
    squares = ((data[:, None] - mean) ** 2).sum(axis=0)
    # The prior 1 / sd^2 dsd^2 is flat in log sd.
    density = (sd ** -len(data) * np.exp(-squares / (2 * sd**2))).sum(axis=0)
    total = integrate.trapezoid(density, mean)
    above = integrate.trapezoid(np.where(mean > 0.25, density, 0), mean) / total
    assert equivalence.posterior(data, 0.25).better == pytest.approx(above, abs=2e-3)


def test_the_posterior_of_differences_that_do_not_vary_lies_where_they_are() -> None:
    assert equivalence.posterior([0.02] * 4, 0.01) == Posterior(1, 0, 0)
    assert equivalence.posterior([0.0] * 4, 0.01) == Posterior(0, 1, 0)
    assert equivalence.posterior([-0.02] * 4, 0.01) == Posterior(0, 0, 1)
    assert equivalence.posterior([0.91 - 0.9] * 4, 0.01) == Posterior(0, 1, 0)


def closed_testing(p: Sequence[float]) -> list[float]:
    """Marcus, Peritz and Gabriel (1976): the largest Bonferroni p of all sets with a hypothesis."""
    numbers = range(len(p))
    sets = [each for size in numbers for each in combinations(numbers, size + 1)]
    return [
        max(min(1.0, len(each) * min(p[k] for k in each)) for each in sets if i in each)
        for i in numbers
    ]


def test_holm_is_closed_testing_with_bonferroni() -> None:
    rng = np.random.default_rng(5)
    for m in (1, 2, 6, 9):
        for power in (1, 4):
            p = rng.random(m) ** power
            p[rng.integers(0, m, m // 3)] = 0.03  # ties
            assert correction.holm(p) == pytest.approx(closed_testing(p.tolist()), abs=1e-15)


def test_holm_keeps_the_order_of_the_pairs_and_never_exceeds_one() -> None:
    assert correction.holm([0.04, 0.01, 0.9]) == pytest.approx([0.08, 0.03, 0.9])
    assert correction.holm([0.6, 0.5]) == [1.0, 1.0]
    assert correction.holm([0.0, 1.0]) == [0.0, 1.0]
    assert all(type(p) is float for p in correction.holm([0.1, 0.2]))


def test_holm_keeps_the_chance_of_any_false_rejection() -> None:
    rng = np.random.default_rng(6)
    p = stats.norm.sf(rng.normal(size=(4_000, 6)) * 0.8 + 0.6 * rng.normal(size=(4_000, 1)))
    wrong = np.mean([min(correction.holm(row)) < 0.05 for row in p])
    assert 0.02 < wrong < 0.058
