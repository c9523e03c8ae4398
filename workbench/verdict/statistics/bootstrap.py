"""Resampling: percentile intervals, and two sources of variation at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.verdict.estimates import Interval
from workbench.verdict.statistics.values import Array, finite


def percentiles(estimate: float, replicates: Array, level: float) -> Interval:
    """The estimate with the percentile interval of its bootstrap replicates, shape [draws].

    Source:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap.
    """
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level)


def resampled_means(scores: ArrayLike, *, draws: int = 2_000, seed: int = 0) -> Array:
    """The mean of each resample of both seeds and examples, shape [draws].

    Seeds and examples are drawn independently of each other, both with replacement. The resamples
    depend on the shape, the number of draws and the seed of the generator alone: tables of one
    shape get the same ones, so that their differences are paired resample by resample, and a table
    that is compared with many others is resampled once.

    Args:
        scores: Score of each test example in each run, shape [seeds, examples], at least 2 by 2.
        draws: Resamples.
        seed: Of the generator.

    Raises:
        ValueError: Too small, or a value that is not finite.

    Source:
        Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1.
    """
    values = finite(scores, 2, 2)
    seeds, examples = values.shape
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws)
    # One draw at a time: the examples of all draws at once would need gigabytes.
    means = np.empty(len(weights))
    for draw, weight in enumerate(weights):
        chosen = generator.integers(0, examples, size=examples, dtype=np.uint32)
        means[draw] = (weight @ values).take(chosen).sum() / (seeds * examples)
    return means
