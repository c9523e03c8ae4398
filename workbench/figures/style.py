"""How every figure looks and how it is saved: colours, markers, fonts, sizes, byte-stable files.

The figures' only door to matplotlib, which is imported when a function here is called. Always
``matplotlib.figure.Figure`` objects, never pyplot, which keeps figures alive in a global. Knows
nothing of studies or trials. No figure has a title: that is the caption's business.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

WIDTH = 5.5  # inches: one column of a NeurIPS or ICLR paper

# Okabe and Ito 2008, https://jfly.uni-koeln.de/color; told apart with any colour vision. Yellow
# comes last and black not at all: the one is faint on paper, the other is the ink.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#f0e442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
LINES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.4)), (0, (7, 1.5, 1.2, 1.5)))

INK, QUIET, RULE = "#1c2024", "#687078", "#d4d8dc"
_PAGE_COLOURS = {INK: "var(--ink)", QUIET: "var(--quiet)", RULE: "var(--rule)"}

_RC: Any = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],  # the second has what the first lacks
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.linewidth": 0.6,
    "axes.formatter.useoffset": False,  # 0.95 reads, 5e-2 + 0.9 does not
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
    "text.parse_math": False,  # a name may hold dollar signs
    "pdf.fonttype": 42,  # ICML refuses Type 3 fonts
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "workbench",
}


@contextmanager
def context() -> Iterator[None]:
    """Draw and save in the house style, whatever the user's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        # A name may use a script that no installed font has: boxes will do.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def figure(height: float, width: float = WIDTH, *, fitted: bool = True) -> Figure:
    """An empty figure of that size in inches; call it inside ``context()``.

    Args:
        height: In inches.
        width: In inches.
        fitted: Solve for margins that hold all labels; costs about as much as drawing them.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained" if fitted else None)


def colour(index: int) -> str:
    """The colour of the level with that index; repeats after seven, in step with no marker."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """The marker of the level with that index."""
    return MARKERS[index % len(MARKERS)]


def line(index: int) -> Any:
    """The line style of the level with that index."""
    return LINES[index % len(LINES)]


def words(name: str) -> str:
    """A metric's or knob's path as words: ``validation/top_5`` reads ``validation top 5``."""
    return name.replace("/", " ").replace("_", " ").replace(".", " ")


def cut(name: str, limit: int = 28) -> str:
    """A name short enough not to push the axes off the figure, cut in the middle, on one line."""
    plain = " ".join(name.split())
    keep = (limit - 1) // 2
    return plain if len(plain) <= limit else f"{plain[:keep]}…{plain[-keep:]}"


def told_apart(names: Sequence[str], limit: int = 28) -> list[str]:
    """Names cut as ``cut`` does, but without what all have in common where they would look alike.

    ``pretrained-on-laion-with-sgd`` and ``pretrained-on-jft-with-sgd`` become ``…laion…`` and
    ``…jft…``.
    """
    plain = [" ".join(name.split()) for name in names]
    found = [cut(name, limit) for name in plain]
    if len(set(found)) == len(set(plain)):
        return found
    first = _shared(plain)
    last = _shared([name[first:][::-1] for name in plain])
    inner = [name[first : len(name) - last] for name in plain]
    ends = ("…" if first else "", "…" if last else "")
    found = [cut(f"{ends[0]}{name}{ends[1]}", limit) for name in inner]
    if len(set(found)) == len(set(plain)):
        return found
    return [cut(f"{number} {name}", limit) for number, name in enumerate(plain, start=1)]


def _shared(names: Sequence[str]) -> int:
    """Length of what all names begin with, up to the end of a word."""
    shared = 0
    for at, characters in enumerate(zip(*names, strict=False), start=1):
        if len(set(characters)) > 1:
            break
        if characters[0] in "-_/. ":
            shared = at
    return shared


def short(value: float) -> str:
    """A value in few characters, for the inside of a figure."""
    size = abs(value)
    if value == 0 or 0.01 <= size < 10:
        return f"{value:.3f}"
    if 1000 <= size < 100_000:
        return f"{value:.0f}"
    # 1.2e6, for the plus and the zeros of 1.2e+06 take the room of two digits.
    return re.sub(r"e([+-])0*", lambda sign: "e-" if sign[1] == "-" else "e", f"{value:.3g}")


def decimal(value: float, _: Any = None) -> str:
    """A learning rate as people write it: ``0.001``, but ``1e-05``."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if 1e-4 <= value < 1 else f"{value:g}"


def grid(axes: Axes, axis: Any = "both") -> None:
    """Faint lines behind the data."""
    axes.grid(True, axis=axis)
    axes.set_axisbelow(True)


def panel_label(axes: Axes, lines: Sequence[str]) -> None:
    """Name one panel of small multiples above its left corner."""
    text = "\n".join(cut(line) for line in lines)
    axes.annotate(text, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points")


def legend_of_lines(figure: Figure, entries: Sequence[tuple[str, str, Any]]) -> None:
    """A legend above all panels, of label, colour and line style."""
    from matplotlib.lines import Line2D

    names = told_apart([label for label, *_ in entries])
    lines = zip(names, entries, strict=True)
    _legend(figure, [Line2D([], [], color=c, ls=ls, label=name) for name, (_, c, ls) in lines])


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
    """How many columns a legend above a figure of full width has room for."""
    longest = max(map(len, labels), default=1)
    # A column takes its longest label at 8 points and the handle beside it.
    return max(1, min(len(labels), 6, int((WIDTH - 0.3) / (0.36 + 0.066 * longest))))


def _legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    figure.legend(
        handles=list(handles),
        loc="outside upper right",
        ncols=legend_columns([str(handle.get_label()) for handle in handles]),
        handletextpad=0.4,
        columnspacing=1.2,
    )


def save(
    figure: Figure, path_without_suffix: Path, formats: Sequence[str] = ("pdf", "svg", "png")
) -> list[Path]:
    """Write a figure in several formats, byte-identical for the same figure.

    Returns:
        The files written, in the order of the formats.
    """
    stable = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
    paths = []
    path_without_suffix.parent.mkdir(parents=True, exist_ok=True)
    with context():
        _settle(figure)
        for name in formats:
            path = path_without_suffix.with_name(f"{path_without_suffix.name}.{name}")
            figure.savefig(path, format=name, metadata=stable.get(name))
            paths.append(path)
    return paths


def _settle(figure: Figure) -> None:
    """Solve for the margins once instead of once a format; they are the same in all then."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """A figure as an SVG element to stand in a page whose light or dark colours it takes on.

    Args:
        figure: Drawn in the house style, whose grey tones become the page's.
        name: Prefix of the element's identifiers, which are unique in a page only together.
        description: What the figure shows, for those who cannot see it.
    """
    buffer = io.StringIO()
    with context():
        _settle(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for ours, page in _PAGE_COLOURS.items():
        text = text.replace(ours, page)
    # A height in points would win over the page's width and stretch the figure on a phone.
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1 SVG_ATTRIBUTES>", text, count=1)
    width = figure.get_size_inches()[0] * 96
    attributes = (
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'role="img" aria-label="{escape(description)}" style="width:{width:.0f}px"'
    )
    return re.sub(r"\n\s*", "\n", text.replace("SVG_ATTRIBUTES", attributes, 1)).strip()
