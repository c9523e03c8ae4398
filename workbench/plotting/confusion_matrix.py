"""Figure of one trial: confusion matrix with counts, shaded by the share of the true class.

For many classes, the matrix shows the pattern, and bars next to it show the most frequent mistakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from workbench.plotting import naming, style, venues

_MOST_COUNTS = 20  # with more classes, numbers do not fit their cells
_MOST_NAMES = 30  # with more classes, names are illegible, so the most frequent pairs are listed
_PAIRS = 15


class Pair(NamedTuple):
    """Samples of one class that were predicted as another; ``share`` is of the true class."""

    true: str
    predicted: str
    samples: int
    share: float


class ConfusionMatrix(NamedTuple):
    """Rows are true classes, columns predicted ones; ``shares`` are counts over their row's sum.

    ``pairs`` are the most frequent mistakes in descending order; empty if all names are shown.
    """

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    pairs: tuple[Pair, ...] = ()


def summarize(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> ConfusionMatrix:
    """Counts and row shares; a class without samples has shares of 0.

    Args:
        matrix: Shape [classes, classes].
        classes: Their names.
    """
    names = tuple(str(name) for name in classes)
    counts = tuple(tuple(int(count) for count in row) for row in matrix)
    shares = tuple(tuple(count / (sum(row) or 1) for count in row) for row in counts)
    pairs = _pairs(names, counts, shares) if len(names) > _MOST_NAMES else ()
    return ConfusionMatrix(names, counts, shares, pairs)


def _pairs(
    names: Sequence[str], counts: Sequence[Sequence[int]], shares: Sequence[Sequence[float]]
) -> tuple[Pair, ...]:
    wrong = [
        (-count, -shares[row][column], row, column)
        for row, line in enumerate(counts)
        for column, count in enumerate(line)
        if count and row != column
    ]
    return tuple(
        Pair(names[row], names[column], counts[row][column], shares[row][column])
        for *_, row, column in sorted(wrong)[:_PAIRS]
    )


def draw(numbers: ConfusionMatrix) -> style.Figure:
    """A matrix with counts and names; for many classes without these, with a list of pairs."""
    many = len(numbers.classes) > _MOST_NAMES
    return style.draw(_plot_many if many else _plot_few, numbers)


def _plot_few(numbers: ConfusionMatrix) -> style.Figure:
    count = len(numbers.classes)
    side = min(max(2.4, 0.36 * count + 1.0), venues.WIDTH)
    figure = style.figure(height=side, width=side)
    axes = figure.subplots()
    _shade(axes, numbers)
    if count <= _MOST_COUNTS:
        _write_counts(axes, numbers)
    names = [naming.cut(name, 18) for name in numbers.classes]
    # Names longer than a cell is wide would run into each other.
    upright = max(map(len, names), default=0) > 3 or count > 12
    size = 8 if count <= 20 else 6
    axes.set_xticks(range(count), names, rotation=90 if upright else 0, fontsize=size)
    axes.set_yticks(range(count), names, fontsize=size)
    axes.tick_params(length=0)
    return figure


def _shade(axes: style.Axes, numbers: ConfusionMatrix) -> None:
    axes.imshow(numbers.shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")


def _write_counts(axes: style.Axes, numbers: ConfusionMatrix) -> None:
    size = 8 if len(numbers.classes) <= 12 else 6
    # They are inside their cells, so that the margins need not be computed from each.
    write = partial(axes.text, ha="center", va="center", fontsize=size, in_layout=False)
    for row, (counts, shares) in enumerate(zip(numbers.counts, numbers.shares, strict=True)):
        for column, (number, share) in enumerate(zip(counts, shares, strict=True)):
            if number:
                shade = "#ffffff" if share > 0.55 else "#000000"  # legible on the cell's blue
                write(column, row, f"{number}", color=shade)


def _plot_many(numbers: ConfusionMatrix) -> style.Figure:
    """The matrix by class number, and the most frequent mistakes with their names."""
    listed = max(len(numbers.pairs), 1)
    figure = style.figure(height=max(3.0, 0.7 + 0.19 * listed), width=venues.WIDTH * 1.45)
    square, bars = figure.subplots(1, 2, width_ratios=[1.25, 1.0])
    _shade(square, numbers)
    square.set_xlabel("predicted class, by number")
    square.set_ylabel("true class, by number")
    for edge in square.spines.values():
        edge.set(visible=True, color=style.RULE)
    if not numbers.pairs:
        bars.set_axis_off()
        return figure
    places = range(len(numbers.pairs))
    drawn = bars.barh(
        places, [pair.samples for pair in numbers.pairs], height=0.62, color=style.colour(0)
    )
    shares = [f"{pair.share:.0%}" for pair in numbers.pairs]
    bars.bar_label(drawn, shares, padding=3, fontsize=7, color=style.QUIET)
    names = [f"{naming.cut(p.true, 20)} → {naming.cut(p.predicted, 20)}" for p in numbers.pairs]
    bars.set_yticks(places, names, fontsize=7)
    bars.tick_params(axis="y", length=0)
    bars.invert_yaxis()
    bars.margins(x=0.16)
    bars.xaxis.get_major_locator().set_params(integer=True, nbins=4)
    bars.spines["left"].set_visible(False)
    bars.set_xlabel("samples of the true class (share of it)")
    return figure
