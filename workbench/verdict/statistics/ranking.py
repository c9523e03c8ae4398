"""Ranks; equal values share the mean of theirs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.verdict.statistics.values import ROUNDING, Array, series


def midranks(values: ArrayLike) -> Array:
    """The rank of each value, 1 the smallest; equal ones share the mean of their ranks.

    Values that differ by a rounding error are equal: a tie is often between differences such as
    0.2 - 0.1 and 0.3 - 0.2.

    Args:
        values: Shape [n], n >= 1.

    Returns:
        Shape [n], from 1 to n.

    Raises:
        ValueError: No value, or one is not finite.
    """
    data = series(values, least=1)
    order = np.argsort(data, kind="stable")
    steps = np.diff(data[order]) > ROUNDING * float(np.max(np.abs(data)))
    group = np.concatenate([[0], np.cumsum(steps)])
    sizes = np.bincount(group)
    last = np.cumsum(sizes)
    ranks = np.empty(len(data))
    ranks[order] = (last - (sizes - 1) / 2)[group]
    return ranks
