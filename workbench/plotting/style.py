"""The style of all figures: settings of matplotlib, colours, panels, rows, legends.

Imports matplotlib only when a function is called. Creates ``matplotlib.figure.Figure`` objects
directly, because pyplot keeps figures alive in a global. Figures have captions instead of titles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from workbench.plotting import lettering, naming, venues

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure

Numbers = TypeVar("Numbers")

INK, QUIET, RULE = "#1c2024", "#687078", "#d4d8dc"
PAPER = "#fefefe"  # looks white, but can be replaced apart from the white text on dark tiles

_RC: Any = {
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.linewidth": 0.6,
    "axes.formatter.useoffset": False,  # 0.95 is easier to read than 5e-2 + 0.9
    "axes.formatter.limits": (-4, 6),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.6,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "figure.facecolor": "white",
    "savefig.dpi": 200,
    "text.parse_math": False,  # a name may contain dollar signs
    "pdf.fonttype": 42,  # ICML refuses Type 3 fonts
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "workbench",
}


# Okabe and Ito 2008, https://jfly.uni-koeln.de/color: distinct with any colour vision. Yellow is
# last because it is faint on paper; black is left out because text and axes have it.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
LINES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (7, 1.5, 1.2, 1.5)))


@contextmanager
def context() -> Iterator[None]:
    """Draw and save in the house style; the user's matplotlibrc has no effect."""
    import matplotlib as mpl

    with mpl.rc_context():
        # The defaults first: a user's matplotlibrc must not change the figures of a report.
        mpl.rcdefaults()
        label, tick, _ = venues.sizes()
        labels = ("font.size", "axes.labelsize", "figure.labelsize")
        ticks = ("xtick.labelsize", "ytick.labelsize", "legend.fontsize")
        mpl.rcParams.update(_RC | dict.fromkeys(labels, label) | dict.fromkeys(ticks, tick))
        mpl.rcParams["font.family"] = lettering.families()
        yield


def figure(
    height: float,
    width: float | None = None,
    *,
    entries: Sequence[Entry] = (),
    fitted: bool = True,
) -> Figure:
    """An empty figure of that size in inches; call it inside ``context()``.

    Args:
        height: In inches, without the legend.
        width: In inches; None is the width that the venue allows.
        entries: Of the legend; without any there is none.
        fitted: Compute margins that fit all labels; takes about as long as drawing them.
    """
    from matplotlib.figure import Figure

    size = (venues.width() if width is None else width, height + _legend_height(entries))
    drawing = Figure(figsize=size, layout="constrained" if fitted else None)
    if entries:
        legend(drawing, entries)
    return drawing


def draw(plot: Callable[[Numbers], Figure], numbers: Numbers) -> Figure:
    """A figure in the house style that shows every text of its numbers.

    Characters without a font are shown as codes, with a note in the figure.

    Args:
        plot: Draws the numbers with matplotlib.
        numbers: Their texts decide which fonts the figure needs.
    """
    with lettering.of(numbers), context():
        drawn = plot(numbers)
        if lettering.has_codes():
            _explain_codes(drawn)
        return drawn


def _explain_codes(figure: Figure) -> None:
    if figure.get_layout_engine() is None:
        figure.text(0.005, 0.005, lettering.NOTE, fontsize=6)
    else:
        figure.legend([], [], loc="outside lower left", title=lettering.NOTE, title_fontsize=6)


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
    axes.set_axisbelow(True)  # else the lines would be drawn over bars


def panels(
    count: int,
    columns: int,
    *,
    row: float,
    rest: float,
    entries: Sequence[Entry] = (),
    sharex: bool = True,
) -> tuple[Figure, list[Axes]]:
    """A figure of small multiples on shared axes, and the axes line by line.

    Args:
        count: How many panels.
        columns: How many panels a line has.
        row: Height of a line in inches.
        rest: Height of labels in inches.
        entries: Of the legend.
        sharex: Whether panels share the horizontal axis as well as the vertical one.
    """
    rows = -(-count // columns)
    drawing = figure(height=rest + row * rows, entries=entries)
    axes = drawing.subplots(rows, columns, sharex=sharex, sharey=True, squeeze=False).ravel()
    for own in axes[:count]:
        grid(own)
    for unused in axes[count:]:
        unused.set_visible(False)
    return drawing, list(axes[:count])


def panel_label(axes: Axes, lines: Sequence[str]) -> None:
    """Name one panel of small multiples above its left corner."""
    axes.annotate(
        "\n".join(naming.cut(line) for line in lines),
        (0, 1),
        (0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=venues.sizes().tick,
    )


def rows(axes: Axes, names: Sequence[str], label: str) -> None:
    """Axes with a row for each name, from top to bottom, and a label of the horizontal axis."""
    limit = 18 if venues.is_narrow() else 28
    axes.set_yticks(range(len(names)), naming.distinct(names, limit))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)
    grid(axes, "x")


def column(axes: Axes, title: str, texts: Sequence[str], offset: float = 4) -> None:
    """Write a title and a text for each row at the right of the rows, ``offset`` points away."""
    write = partial(axes.annotate, textcoords="offset points", fontsize=venues.sizes().small)
    write(title, (1, 1), (offset, 2), xycoords="axes fraction", va="bottom", color=QUIET)
    for y, text in enumerate(texts):
        write(text, (1, y), (offset, 0), xycoords=("axes fraction", "data"), va="center")


def spread_out(count: int, width: float) -> list[float]:
    """Offsets around 0 for points of one row, at most ``width`` apart."""
    # Multiples of the golden ratio spread any number of points evenly, so that none hides another.
    return [width * ((index * 0.618034) % 1 - 0.5) for index in range(count)]


def ring(axes: Axes, x: float, y: float, size: float) -> None:
    """A ring around a point; ``size`` is that of ``Axes.scatter``."""
    axes.scatter([x], [y], s=size, zorder=4, facecolors="none", edgecolors=INK, linewidths=0.8)


class Entry(NamedTuple):
    """One entry of a legend, with a marker, a line style, or both."""

    label: str
    colour: str
    marker: str = ""
    line: Any = ""


def entries(labels: Sequence[str]) -> list[Entry]:
    """Entries with the colours and markers of levels."""
    return [Entry(label, colour(index), marker(index)) for index, label in enumerate(labels)]


def legend(figure: Figure, entries: Sequence[Entry]) -> None:
    """A legend above all panels."""
    from matplotlib.lines import Line2D

    names = naming.distinct([entry.label for entry in entries])
    handles = [
        Line2D([], [], color=shade, marker=shape, ls=dashes, ms=3.5 if dashes else 4.5, label=name)
        for name, (_, shade, shape, dashes) in zip(names, entries, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="outside upper right",
        ncols=_legend_columns(names),
        handletextpad=0.4,
        columnspacing=1.2,
    )


def _legend_height(entries: Sequence[Entry]) -> float:
    if not entries:
        return 0.0
    labels = naming.distinct([entry.label for entry in entries])
    return 0.17 * -(-len(labels) // _legend_columns(labels))


def _legend_columns(labels: Sequence[str]) -> int:
    longest = max(map(len, labels))
    # Inches: a column is as wide as its longest label at 8 points and the handle next to it.
    room = int((venues.width() - 0.3) / (0.36 + 0.066 * longest))
    return max(1, min(len(labels), 6, room))
