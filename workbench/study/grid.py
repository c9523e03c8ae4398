"""Every cell of a grid, in order.

Optuna's own grid sampler loses cells when it is built afresh for each trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from workbench.study.config.knobs import Categorical, Interval

Pick = Callable[[str, Interval | Categorical], Any]
Cell = TypeVar("Cell")
# Points of all strategies together: a study file with more is a slip, and takes minutes to go
# through.
MOST = 20_000


class TooManyPointsError(ValueError):
    """A grid has more points than may be visited."""


def cells(propose: Callable[[Pick], Cell], points: int, *, most: int = MOST) -> Iterator[Cell]:
    """The proposal for every combination of values; the last value changes fastest.

    Args:
        propose: Picks its values one by one; which it needs may depend on those before.
        points: Values of a range that names no ``step``, spread evenly (in the logarithm with
            ``log``) over the range, both ends included.
        most: Cells at most.

    Raises:
        TooManyPointsError: There are more.
    """

    def walk(chosen: list[Any]) -> Iterator[Cell]:
        left = iter(chosen)
        undecided: list[Interval | Categorical] = []

        def pick(_: str, entry: Interval | Categorical) -> Any:
            for value in left:
                return value
            undecided.append(entry)
            return entry.default

        cell = propose(pick)
        if not undecided:
            yield cell
            return
        for value in values_of(undecided[0], points):
            yield from walk([*chosen, value])

    for number, cell in enumerate(walk([])):
        if number == most:
            raise TooManyPointsError
        yield cell


def values_of(entry: Interval | Categorical, points: int) -> list[Any]:
    """The values of one range or choice that a grid visits, labels of a choice.

    Raises:
        TooManyPointsError: There are more than any grid may have.
    """
    if isinstance(entry, Categorical):
        return [level.label for level in entry.levels]
    count = points
    if entry.step:
        # A whole number of steps may come out slightly too small by rounding.
        count = math.floor((entry.high - entry.low) / entry.step + 1e-9) + 1
    if count > MOST:
        raise TooManyPointsError
    if entry.step:
        values = [entry.low + index * entry.step for index in range(count)]
    elif entry.log:
        values = np.geomspace(entry.low, entry.high, points).tolist()
    else:
        values = np.linspace(entry.low, entry.high, points).tolist()
    if entry.whole:
        return sorted({round(value) for value in values})
    # The ends of a logarithmic range are rounded, and Optuna refuses what is outside.
    return [min(max(value, entry.low), entry.high) for value in values]
