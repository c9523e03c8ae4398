"""One strategy on several data sets: its whole profile instead of an average.

Rows are data sets, columns the runs on each. Values of different data sets must be on one scale
before they come here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.verdict.statistics.several import demand_datasets
from workbench.verdict.statistics.values import Array, numbers, series, table


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> Array:
    """The share of runs that score above each threshold, over all data sets.

    Where one profile lies above another everywhere, its strategy is better at every standard.

    Args:
        scores: Of one strategy, shape [data sets, runs] or, with one value for each, [data sets];
            at least 6 data sets; on one scale, higher is better.
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
    given = numbers(scores, "scores")
    rows = given[:, None] if given.ndim == 1 else given
    data = table(rows, "scores", rows=1, columns=1, of=("data sets", "runs"))
    demand_datasets(len(data))
    levels = series(thresholds, "thresholds", least=1)
    ordered = np.sort(data.ravel())
    return 1.0 - np.searchsorted(ordered, levels, side="right") / data.size
