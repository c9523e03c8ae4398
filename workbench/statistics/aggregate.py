"""One strategy on several data sets: an average that outliers do not decide, and its whole profile.

Rows are data sets, columns the runs on each. Values of different data sets must be on one scale
before they come here. Knows neither strategies nor how scores were made comparable.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.statistics.bootstrap import percentiles
from workbench.statistics.several import demand_datasets
from workbench.statistics.values import Array, Interval, count, fraction, numbers, series, table

_CUT = 0.25  # of the values, at each end
_BLOCK = 2**20  # resampled values held in memory at a time


def interquartile_mean(values: ArrayLike) -> float:
    """The mean of the middle half: a quarter of the values, rounded down, is cut at each end.

    Less swayed by outliers than the mean, and less variable than the median.

    Args:
        values: Shape [n], n >= 2.

    Returns:
        In the units of the values.

    Raises:
        ValueError: Fewer than 2 values, or one is not finite.

    Source:
        Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice,
        NeurIPS.
    """
    return float(_middle(series(values)[None, :])[0])


def iqm_interval(
    scores: ArrayLike, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> Interval:
    """The interquartile mean over all runs on all data sets, with a stratified bootstrap interval.

    Runs are resampled within each data set, never across: the interval says what further runs on
    these data sets would give, not what other data sets would.

    Args:
        scores: Of one strategy, shape [data sets, runs], at least 5 by 2, on one scale.
        level: Of the percentile interval.
        draws: Resamples.
        seed: Of the generator.

    Returns:
        In the units of the scores.

    Raises:
        ValueError: Fewer than 5 data sets or 2 runs, rows of unequal length, a value that is not
            finite, a level outside (0, 1), or fewer than 1 draw.

    Source:
        Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice,
        NeurIPS.
    """
    data = table(scores, "scores", rows=1, columns=2, of=("data sets", "runs"))
    demand_datasets(len(data))
    level, draws = fraction(level, "level"), count(draws, "draws")
    generator = np.random.default_rng(seed)
    replicates = np.empty(draws)
    block = max(1, _BLOCK // data.size)
    for start in range(0, draws, block):
        stop = min(start + block, draws)
        chosen = generator.integers(0, data.shape[1], size=(stop - start, *data.shape))
        resampled = np.take_along_axis(data[None], chosen, axis=2)
        replicates[start:stop] = _middle(resampled.reshape(stop - start, -1))
    return percentiles(interquartile_mean(data.ravel()), replicates, level)


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> Array:
    """The share of runs that score above each threshold, over all data sets.

    Where one profile lies above another everywhere, its strategy is better at every standard.

    Args:
        scores: Of one strategy, shape [data sets, runs] or, with one value for each, [data sets];
            at least 5 data sets; on one scale, higher is better.
        thresholds: Shape [t], at least one.

    Returns:
        Shape [t], in [0, 1], never rising from a lower threshold to a higher one.

    Raises:
        ValueError: Fewer than 5 data sets, no threshold, or a value that is not finite.

    Source:
        Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice,
        NeurIPS; after Dolan and More (2002), Benchmarking optimization software with performance
        profiles, Math. Program. 91.
    """
    given = numbers(scores, "scores")
    rows = given[:, None] if given.ndim == 1 else given
    data = table(rows, "scores", rows=1, columns=1, of=("data sets", "runs"))
    demand_datasets(len(data))
    levels = series(thresholds, "thresholds", least=1)
    ordered = np.sort(data.ravel())
    return 1.0 - np.searchsorted(ordered, levels, side="right") / data.size


def _middle(rows: Array) -> Array:
    """The interquartile mean of each row."""
    n = rows.shape[1]
    cut = int(_CUT * n)
    # Only what stays between the cuts must be in place, not in order.
    parts = np.partition(rows, [cut, n - 1 - cut], axis=1)
    return np.asarray(parts[:, cut : n - cut].mean(axis=1))
