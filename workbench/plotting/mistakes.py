"""Figure of one trial: the images with the worst predictions, with true and predicted class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from workbench.plotting import naming, style

_COLUMNS = 5
_SIDE, _MARGIN = 0.86, 0.04  # of an image, in units of a column's width


class Mistake(NamedTuple):
    """An image ``[H, W, C]`` in [0, 1] and its caption; not RGB: only the first channel."""

    image: Any
    true: str
    predicted: str
    size: str


def summarize(rows: Sequence[Mapping[str, Any]], images: Sequence[Any]) -> tuple[Mistake, ...]:
    """Mistakes with their captions, in the same order.

    Args:
        rows: Each with ``true``, ``predicted``, and ``confidence`` or ``error``.
        images: One for each row.
    """
    return tuple(
        Mistake(image, words(row["true"]), words(row["predicted"]), _size(row))
        for row, image in zip(rows, images, strict=True)
    )


def draw(numbers: Sequence[Mistake]) -> style.Figure:
    """A grid of images, the worst first, line by line."""
    return style.draw(_plot, numbers)


def _plot(numbers: Sequence[Mistake]) -> style.Figure:
    rows = max(-(-len(numbers) // _COLUMNS), 1)
    figure = style.figure(height=1.55 * rows, fitted=False)
    # One pair of axes for all: twenty take seconds. Its units are the width of an image.
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    width, height = figure.get_size_inches()
    cell = height / rows / (width / _COLUMNS)
    for number, mistake in enumerate(numbers):
        line, column = divmod(number, _COLUMNS)
        # Channels that are not RGB cannot be shown as colours.
        grey = mistake.image.shape[2] != 3
        pixels = mistake.image[:, :, 0] if grey else mistake.image
        high, wide = (side / max(pixels.shape[:2]) * _SIDE for side in pixels.shape[:2])
        middle, bottom = column + 0.5, line * cell + _MARGIN + _SIDE
        axes.imshow(
            pixels,
            cmap="gray" if grey else None,
            vmin=0.0,
            vmax=1.0,
            extent=(middle - wide / 2, middle + wide / 2, bottom, bottom - high),
            aspect="auto",
        )
        lines = (
            f"true: {naming.cut(mistake.true, 20)}",
            f"predicted: {naming.cut(mistake.predicted, 15)}",
            mistake.size,
        )
        axes.text(middle, bottom + _MARGIN, "\n".join(lines), ha="center", va="top", fontsize=6.5)
    # Each image has set the limits to its own.
    axes.set(xlim=(0, _COLUMNS), ylim=(rows * cell, 0))
    return figure


def size_of(row: Mapping[str, Any]) -> str:
    """The column that measures how bad a mistake is: ``confidence``, or ``error`` of a number."""
    return "confidence" if "confidence" in row else "error"


def _size(row: Mapping[str, Any]) -> str:
    name = size_of(row)
    return f"{name} {row[name]:.2f}" if name == "confidence" else f"{name} {row[name]:.3g}"


def words(value: Any) -> str:
    """A class, several labels, or numbers by column, as text."""
    if isinstance(value, Mapping):
        numbers = [f"{number:.4g}" for number in value.values()]
        named = [f"{name} {number}" for name, number in zip(value, numbers, strict=True)]
        return numbers[0] if len(numbers) == 1 else ", ".join(named)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
