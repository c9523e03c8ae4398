"""The bootstrap over seeds and test examples: what it covers, what it pairs, and what it costs."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import astuple

import numpy as np
import pytest
from numpy.typing import ArrayLike

from workbench.verdict.estimates import Interval
from workbench.verdict.statistics import bootstrap, paired


def crossed(
    rng: np.random.Generator, seeds: int, examples: int, *, gap: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two sides that differ by seed, by example and by both together."""
    by_seed, by_example = rng.normal(0, 0.1, (seeds, 1)), rng.normal(0, 0.5, examples)
    difference = gap + by_seed + by_example + rng.normal(0, 0.6, (seeds, examples))
    second = rng.normal(0, 2, examples) + rng.normal(0, 1, (seeds, examples))
    return second + difference, second


def two_level(
    first: ArrayLike,
    second: ArrayLike,
    *,
    level: float = 0.95,
    draws: int = 2_000,
    seed: int = 0,
) -> Interval:
    """The interval that a verdict gives of two sides with scores; see ``verdict.comparing``."""
    ours, theirs = (
        bootstrap.resampled_means(side, draws=draws, seed=seed) for side in (first, second)
    )
    estimate = float(np.mean(np.subtract(first, second)))
    return bootstrap.percentiles(estimate, ours - theirs, level)


def test_it_covers_the_difference_beyond_the_test_set_where_seeds_alone_do_not() -> None:
    rng = np.random.default_rng(1)
    both, alone = [], []
    for _ in range(400):
        first, second = crossed(rng, 12, 250, gap=0.1)
        interval = two_level(first, second, draws=200)
        seeds_only = paired.t_interval((first - second).mean(axis=1))
        both.append(interval.low <= 0.1 <= interval.high)
        alone.append(seeds_only.low <= 0.1 <= seeds_only.high)
    assert np.mean(both) == pytest.approx(0.95, abs=0.03)
    assert 0.8 < np.mean(alone) < 0.89


def test_it_is_the_bootstrap_of_both_axes_and_keeps_pairs_together() -> None:
    rng = np.random.default_rng(2)
    first, second = crossed(rng, 6, 40)
    means = []
    for _ in range(6_000):
        seeds, examples = rng.integers(0, 6, 6), rng.integers(0, 40, 40)
        means.append(first[np.ix_(seeds, examples)].mean() - second[np.ix_(seeds, examples)].mean())
    low, high = np.quantile(means, [0.05, 0.95])
    found = two_level(first, second, level=0.9, draws=6_000)
    assert found.estimate == pytest.approx((first - second).mean())
    tolerance = 0.04 * (high - low)
    assert (found.low, found.high) == pytest.approx((low, high), abs=tolerance)


def test_what_all_runs_share_does_not_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    first, second = crossed(rng, 5, 60)
    hard = rng.normal(0, 100, 60) + rng.normal(0, 100, (5, 1))
    plain = two_level(first, second)
    shared = two_level(first + hard, second + hard)
    assert astuple(shared) == pytest.approx(astuple(plain))


def test_one_source_of_variation_at_a_time() -> None:
    rng = np.random.default_rng(4)
    by_seed = np.repeat(rng.normal(0, 1, (10, 1)), 30, axis=1)
    by_example = np.repeat(rng.normal(0, 1, (1, 200)), 10, axis=0)
    for scores, n, sd in (
        (by_seed, 10, by_seed[:, 0].std()),
        (by_example, 200, by_example[0].std()),
    ):
        found = two_level(scores, np.zeros_like(scores))
        assert found.high - found.low == pytest.approx(2 * 1.96 * sd / math.sqrt(n), rel=0.1)


def test_equal_sides_differ_by_nothing() -> None:
    scores = np.random.default_rng(5).integers(0, 2, (4, 20))
    assert two_level(scores, scores) == Interval(0.0, 0.0, 0.0, 0.95)
    raised = two_level(scores + 0.5, scores, level=0.8)
    assert astuple(raised) == pytest.approx((0.5, 0.5, 0.5, 0.8))


def test_the_same_seed_gives_the_same_interval_and_swapping_mirrors_it() -> None:
    first, second = crossed(np.random.default_rng(6), 5, 50)
    found = two_level(first, second)
    assert found == two_level(first.tolist(), second.tolist())
    assert found != two_level(first, second, seed=1)
    mirrored = two_level(second, first)
    assert (-mirrored.high, -mirrored.low) == pytest.approx((found.low, found.high))


def test_a_large_test_set_needs_no_memory_for_each_draw() -> None:
    first, second = np.random.default_rng(7).integers(0, 2, (2, 5, 50_000))
    tracemalloc.start()
    two_level(first, second, draws=400)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6, "400 draws of 50,000 examples at once are 160 MB"


def test_scores_that_cannot_be_resampled_are_refused() -> None:
    scores = np.zeros((3, 4))
    wrong = scores.copy()
    wrong[1, 2] = math.nan
    for given, words in (
        (scores[:1], "at least 2 by 2 values"),
        (scores[:, :1], "at least 2 by 2 values"),
        (scores[0], "at least 2 by 2 values"),
        (wrong, "found nan"),
    ):
        with pytest.raises(ValueError, match=words):
            bootstrap.resampled_means(given)


def test_tables_of_one_shape_are_resampled_alike() -> None:
    first, second = crossed(np.random.default_rng(9), 5, 50)
    apart = bootstrap.resampled_means(first) - bootstrap.resampled_means(second)
    assert apart == pytest.approx(bootstrap.resampled_means(first - second))
