"""Effects of factors in a full factorial design with paired seeds: main effects and interactions.

Both are joint sign-flip tests: each seed gives a vector of contrasts, whose mean is 0 in every
element if there is no effect, and the signs of whole vectors are flipped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.verdict.statistics.mcb import sign_arrangements
from workbench.verdict.statistics.paired import DRAWS
from workbench.verdict.statistics.values import ROUNDING, Array, finite


def main_effect(values: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> float:
    """The p value of no main effect: all levels of a factor have the same marginal mean.

    The statistic is the sum of squares between levels, as in the repeated-measures analysis of
    variance; its distribution is that of the sign flips.

    Args:
        values: Marginal means of the levels on each seed, shape [n, levels], at least 2 by 2.
        draws: Arrangements of signs to draw where n > 15.
        seed: Of the generator, used where n > 15.

    Returns:
        p in (0, 1]; 1 where the levels are equal on every seed.

    Raises:
        ValueError: Of another shape, or with a value that is not finite.

    Source:
        Pitman (1938), Significance tests which may be applied to samples from any populations III:
        the analysis of variance test, Biometrika 29.
    """
    data = finite(values, 2, 2)
    return _joint(data - data.mean(axis=1, keepdims=True), np.abs(data).max(), draws, seed)


def interaction(values: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> float:
    """The p value of no interaction: one factor has the same effect at every level of the other.

    Tests what is left of the values when the means of rows and columns are subtracted on each seed.

    Args:
        values: Shape [n, levels of one factor, levels of the other], each at least 2.
        draws: Arrangements of signs to draw where n > 15.
        seed: Of the generator, used where n > 15.

    Returns:
        p in (0, 1]; 1 where nothing is left on any seed.

    Raises:
        ValueError: Of another shape, or with a value that is not finite.

    Source:
        Pitman (1938), Biometrika 29, for the test; Anderson and ter Braak (2003), Permutation tests
        for multi-factorial analysis of variance, J. Stat. Comput. Simul. 73, for interactions.
    """
    cube = finite(values, 2, 2, 2)
    rows, columns = cube.mean(axis=2, keepdims=True), cube.mean(axis=1, keepdims=True)
    left = cube - rows - columns + cube.mean(axis=(1, 2), keepdims=True)
    return _joint(left.reshape(len(cube), -1), np.abs(cube).max(), draws, seed)


def _joint(contrasts: Array, largest: float, draws: int, seed: int) -> float:
    """The p value of means of 0 in all columns; rounding is relative to ``largest``."""
    contrasts = np.where(np.abs(contrasts) <= ROUNDING * largest, 0.0, contrasts)
    if not contrasts.any():
        return 1.0
    signs = sign_arrangements(len(contrasts), draws, seed)
    between = ((signs @ contrasts) ** 2).sum(axis=1)
    return float(np.mean(between >= between[0] * (1 - ROUNDING)))
