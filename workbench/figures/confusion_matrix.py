"""Which classes one trial takes for which: counts, shaded by the share of the true class.

A figure of a trial, not of the report. Knows nothing of how predictions were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from workbench.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_COUNTS = 20  # beyond that many classes numbers no longer fit their cells
_MOST_NAMES = 40


class ConfusionMatrix(NamedTuple):
    """Rows are true classes, columns predicted ones; ``shares`` are counts over their row's sum."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float, ...], ...]


def summarize(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> ConfusionMatrix:
    """Counts and row shares; a class without samples has shares of 0.

    Raises:
        ValueError: The matrix is not square with a row for each class.
    """
    if len(matrix) != len(classes) or any(len(row) != len(classes) for row in matrix):
        sizes = sorted({len(row) for row in matrix})
        raise ValueError(
            f"The confusion matrix has {len(matrix)} rows of {sizes} columns,"
            f" but there are {len(classes)} classes; all three must agree."
        )
    return ConfusionMatrix(
        classes=tuple(str(name) for name in classes),
        counts=tuple(tuple(int(count) for count in row) for row in matrix),
        shares=tuple(tuple(count / (sum(row) or 1) for count in row) for row in matrix),
    )


def draw(numbers: ConfusionMatrix) -> Figure:
    """A square of cells; names are thinned out and counts left away where classes are many."""
    with style.context():
        count = len(numbers.classes)
        side = min(max(2.4, 0.36 * count + 1.0), style.WIDTH)
        figure = style.figure(height=side, width=side)
        axes = figure.subplots()
        axes.imshow(numbers.shares, cmap="Blues", vmin=0.0, vmax=1.0)
        if count <= _MOST_COUNTS:
            size = 8 if count <= 12 else 6
            for row, (counts, shares) in enumerate(
                zip(numbers.counts, numbers.shares, strict=True)
            ):
                for column, (number, share) in enumerate(zip(counts, shares, strict=True)):
                    if number:
                        shade = "#ffffff" if share > 0.55 else "#000000"
                        axes.text(
                            column,
                            row,
                            f"{number}",
                            ha="center",
                            va="center",
                            color=shade,
                            fontsize=size,
                        )
        every = -(-count // _MOST_NAMES)
        ticks = range(0, count, every)
        names = [style.cut(numbers.classes[index], 18) for index in ticks]
        upright = max(map(len, names), default=0) > 3 or count > 12
        size = 8 if count <= 20 else 6
        axes.set_xticks(ticks, names, rotation=90 if upright else 0, fontsize=size)
        axes.set_yticks(ticks, names, fontsize=size)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        return figure
