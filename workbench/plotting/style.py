"""The style of all figures: colours, markers, lines, panels, legends.

Imports matplotlib only when a function is called. Creates ``matplotlib.figure.Figure`` objects
directly, because pyplot keeps figures alive in a global. Figures have captions instead of titles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.plotting import lettering, naming
from workbench.plotting.canvas import INK, PAPER, QUIET, RULE, context, figure
from workbench.plotting.naming import alike, decimal, short, signed
from workbench.plotting.saving import MOST_TOLD, inline_svg, save, tell
from workbench.plotting.venues import WIDTH, at, is_narrow, sizes, width
from workbench.verdict.wording.numbers import bare_p as p_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = [
    "COLOURS",
    "INK",
    "LINES",
    "MARKERS",
    "MOST_TOLD",
    "PAPER",
    "QUIET",
    "RULE",
    "WIDTH",
    "alike",
    "at",
    "colour",
    "context",
    "cut",
    "decimal",
    "figure",
    "grid",
    "inline_svg",
    "is_narrow",
    "legend_columns",
    "legend_of_lines",
    "legend_of_markers",
    "legend_rows",
    "line",
    "marker",
    "p_value",
    "panel_label",
    "save",
    "short",
    "signed",
    "sizes",
    "tell",
    "told_apart",
    "width",
    "words",
]

# Okabe and Ito 2008, https://jfly.uni-koeln.de/color: distinct with any colour vision. Yellow is
# last because it is faint on paper; black is left out because text and axes have it.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
LINES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (7, 1.5, 1.2, 1.5)))


def words(name: str) -> str:
    """A metric's or knob's path as words, in characters that the fonts have."""
    return naming.words(lettering.printable(name))


def cut(name: str, limit: int = 28) -> str:
    """A short name in characters that the fonts have; see ``naming.cut``."""
    return naming.cut(lettering.printable(name), limit)


def told_apart(names: Sequence[str], limit: int = 28) -> list[str]:
    """Short names in characters that the fonts have; see ``naming.told_apart``."""
    return naming.told_apart([lettering.printable(name) for name in names], limit)


def colour(index: int) -> str:
    """The colour of the level with that index.

    Colours repeat after seven and markers after eight, so that pairs of both repeat after 56.
    """
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """The marker of the level with that index."""
    return MARKERS[index % len(MARKERS)]


def line(index: int) -> Any:
    """The line style of the level with that index."""
    return LINES[index % len(LINES)]


def grid(axes: Axes, axis: Any = "both") -> None:
    """Faint lines behind the data."""
    axes.grid(True, axis=axis)
    axes.set_axisbelow(True)


def panel_label(axes: Axes, lines: Sequence[str]) -> None:
    """Name one panel of small multiples above its left corner."""
    text = "\n".join(cut(line) for line in lines)
    axes.annotate(
        text,
        (0, 1),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=sizes().tick,
    )


def legend_of_lines(
    figure: Figure, entries: Sequence[tuple[str, str, Any]], markers: Sequence[str] = ()
) -> None:
    """A legend above all panels, of label, colour and line style, and of markers on the lines."""
    from matplotlib.lines import Line2D

    names = told_apart([label for label, *_ in entries])
    shapes = markers or [""] * len(entries)
    handles = [
        Line2D([], [], color=shade, ls=dashes, marker=shape, ms=3.5, label=name)
        for name, (_, shade, dashes), shape in zip(names, entries, shapes, strict=True)
    ]
    _legend(figure, handles)


def legend_of_markers(figure: Figure, entries: Sequence[tuple[str, str, str]]) -> None:
    """A legend above all panels, of label, colour and marker."""
    from matplotlib.lines import Line2D

    names = told_apart([label for label, *_ in entries])
    handles = [
        Line2D([], [], color=shade, marker=shape, ls="", ms=4.5, label=name)
        for name, (_, shade, shape) in zip(names, entries, strict=True)
    ]
    _legend(figure, handles)


def legend_columns(labels: Sequence[str]) -> int:
    """How many columns a legend above a figure has room for."""
    longest = max(map(len, labels), default=1)
    # Inches: a column is as wide as its longest label at 8 points and the handle next to it.
    return max(1, min(len(labels), 6, int((width() - 0.3) / (0.36 + 0.066 * longest))))


def legend_rows(labels: Sequence[str]) -> int:
    """How many lines a legend above a figure takes."""
    return -(-len(labels) // legend_columns(told_apart(labels))) if labels else 0


def _legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    figure.legend(
        handles=list(handles),
        loc="outside upper right",
        ncols=legend_columns([str(handle.get_label()) for handle in handles]),
        handletextpad=0.4,
        columnspacing=1.2,
    )
