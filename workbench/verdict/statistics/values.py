"""What all statistics share: checks of their input, differences, mean and SD."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Relative to the largest value, what is smaller is a rounding error: 0.2 - 0.1 and 0.3 - 0.2 are
# the same difference, and sums of the same numbers in another order are the same sum.
ROUNDING = 1e-9
_LARGEST = 1e150  # its square is still a number


def finite(values: ArrayLike, *least: int) -> Array:
    """The values as an array of floats with one axis for each number in ``least``.

    Args:
        values: Numbers, in rows of one length.
        least: The fewest values along each axis.

    Raises:
        ValueError: Of another shape, too few, or one is not a finite number.
    """
    array = np.array(values, dtype=np.float64)
    if array.ndim != len(least) or any(n < few for n, few in zip(array.shape, least, strict=True)):
        wanted = " by ".join(map(str, least))
        raise ValueError(f"expected at least {wanted} values, found the shape {list(array.shape)}")
    # Written so that a value that is not a number counts as too large.
    wrong = ~(np.abs(array) <= _LARGEST)
    if wrong.any():
        raise ValueError(
            f"expected finite numbers within {_LARGEST:g}, found {array[wrong][0]:g}; a run that"
            " diverged counts with the worst value and is not left out"
        )
    return array


def differences(first: ArrayLike, second: ArrayLike) -> Array:
    """``first - second``, pair by pair, where a rounding error counts as no difference.

    Two arms that are equal on a seed may differ by 1e-17 where their values are means computed in
    another order. Such a difference is set to 0, so that no sign or rank is read into it.

    Args:
        first: Values of one side, shape [n], at least one.
        second: Values of the other side for the same seeds in the same order, shape [n].

    Returns:
        Shape [n], in the units of the values.

    Raises:
        ValueError: Of unequal lengths, empty, or with a value that is no finite number.
    """
    ours, theirs = finite(first, 1), finite(second, 1)
    if len(ours) != len(theirs):
        raise ValueError(f"expected pairs of values, found {len(ours)} and {len(theirs)}")
    gaps = ours - theirs
    gaps[np.abs(gaps) <= ROUNDING * np.maximum(np.abs(ours), np.abs(theirs))] = 0.0
    return gaps


def moments(values: Array) -> tuple[float, float]:
    """Mean and standard deviation (n - 1), without rounding errors.

    The mean is exactly 0 where the values cancel, so that no direction is read into 1e-17, and the
    SD where all values are the same.
    """
    mean, largest = float(np.mean(values)), float(np.max(np.abs(values)))
    if abs(mean) <= ROUNDING * largest:
        mean = 0.0
    if float(np.ptp(values)) <= ROUNDING * largest:
        return mean, 0.0
    return mean, float(np.std(values, ddof=1))
