"""What all statistics share: checks of their input, and estimates with intervals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

# Relative to the largest value, what is smaller is a rounding error: 0.2 - 0.1 and 0.3 - 0.2 are
# the same difference, and sums of the same numbers in another order are the same sum.
ROUNDING = 1e-9
_LARGEST = 1e150  # its square is still a number


class Interval(NamedTuple):
    """An estimate with its interval.

    Attributes:
        estimate: In the units of the values.
        low: Lower end.
        high: Upper end.
        level: How often such an interval holds the truth, say 0.95.
    """

    estimate: float
    low: float
    high: float
    level: float


def series(values: ArrayLike, name: str = "values", *, least: int = 2) -> Array:
    """The values as an array of floats, shape [n].

    Raises:
        ValueError: Not one-dimensional, fewer than ``least``, or one is no finite number.
    """
    return _checked(values, name, dimensions=1, least=(least,))


def table(values: ArrayLike, name: str, *, rows: int, columns: int, of: tuple[str, str]) -> Array:
    """The values as an array of floats with at least so many rows and columns.

    Args:
        values: Rows of one length.
        name: What an error calls them.
        rows: The fewest rows.
        columns: The fewest columns.
        of: What a row and what a column is, in the plural.

    Raises:
        ValueError: Of another shape, too small, or with a value that is no finite number.
    """
    return _checked(values, name, dimensions=2, least=(rows, columns), of=of)


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
    ours, theirs = series(first, "first", least=1), series(second, "second", least=1)
    if len(ours) != len(theirs):
        raise ValueError(
            f"first has {len(ours)} values and second {len(theirs)}: "
            "paired values come one from each side for every seed"
        )
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


def fraction(value: float, name: str) -> float:
    """The value, if it lies between 0 and 1 and is neither.

    Raises:
        ValueError: It does not.
    """
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}: expected a number between 0 and 1, both excluded")
    return float(value)


def positive(value: float, name: str) -> float:
    """The value, if it is finite and above 0.

    Raises:
        ValueError: It is not.
    """
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} is {value}: expected a finite number above 0")
    return float(value)


def count(value: int, name: str, *, least: int = 1) -> int:
    """The value, if it is a whole number of at least ``least``.

    Raises:
        ValueError: It is not.
    """
    if value != int(value) or value < least:
        raise ValueError(f"{name} is {value}: expected a whole number of at least {least}")
    return int(value)


def numbers(values: ArrayLike, name: str) -> Array:
    """The values as an array of floats, of whatever shape and size.

    Raises:
        ValueError: One is no number, or rows differ in length.
    """
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected numbers, in rows of one length") from None


def _checked(
    values: ArrayLike,
    name: str,
    *,
    dimensions: int,
    least: tuple[int, ...],
    of: tuple[str, ...] = ("values",),
) -> Array:
    array = numbers(values, name)
    if array.ndim != dimensions:
        axes = ", ".join(of)
        raise ValueError(f"{name} has the shape {list(array.shape)}: expected [{axes}]")
    for size, fewest, what in zip(array.shape, least, of, strict=True):
        if size < fewest:
            raise ValueError(f"{name}: expected at least {fewest} {what}, found {size}")
    # Written so that a value that is not a number counts as too large.
    wrong = ~(np.abs(array) <= _LARGEST)
    if wrong.any():
        place = np.argwhere(wrong)[0].tolist()
        found = array[tuple(place)]
        raise ValueError(
            f"{name}{place} is {found:g}: expected a finite number, within {_LARGEST:g}; a run "
            "that diverged counts with the worst value and is not left out"
        )
    return array
