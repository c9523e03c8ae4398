"""Many comparisons at once: corrected p values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.verdict.statistics.values import finite


def holm(p_values: ArrayLike) -> list[float]:
    """Holm's step-down correction: p values that hold for all the comparisons together.

    The chance of any false rejection among them stays at most alpha, whatever depends on whatever.
    The smallest p is multiplied by the number of comparisons, the next by one less, and so on;
    none may be smaller than the one before it in that order, or above 1.

    Args:
        p_values: One for each comparison, shape [m], at least one, each in [0, 1].

    Returns:
        The adjusted p values in the order in which they came.

    Raises:
        ValueError: There is none, or one is not finite.

    Source:
        Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6.
    """
    given = finite(p_values, 1)
    order = np.argsort(given, kind="stable")
    scaled = given[order] * np.arange(len(given), 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(value) for value in adjusted]
