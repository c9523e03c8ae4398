"""The house style as settings of matplotlib, and empty figures to draw on.

Imports matplotlib only when a function is called. Used through ``style``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.plotting import lettering, venues

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


@contextmanager
def context(*, wide: bool | None = None) -> Iterator[None]:
    """Draw and save in the house style; the user's matplotlibrc has no effect.

    Args:
        wide: Use the width of the venue's text, else of a column; None keeps the width.
    """
    import matplotlib as mpl

    with ExitStack() as stack:
        if wide is not None:
            stack.enter_context(venues.laid_out(wide=wide))
        stack.enter_context(mpl.rc_context())
        mpl.rcdefaults()
        mpl.rcParams.update(_RC | _letters())
        mpl.rcParams["font.family"] = lettering.families()
        yield


def _letters() -> dict[str, Any]:
    label, tick, _ = venues.sizes()
    ticks = ("xtick.labelsize", "ytick.labelsize", "legend.fontsize")
    labels = ("font.size", "axes.labelsize", "figure.labelsize")
    return dict.fromkeys(labels, label) | dict.fromkeys(ticks, tick)


def figure(height: float, width: float | None = None, *, fitted: bool = True) -> Figure:
    """An empty figure of that size in inches; call it inside ``context()``.

    Args:
        height: In inches.
        width: In inches; None is the width that the venue allows.
        fitted: Compute margins that fit all labels; takes about as long as drawing them.
    """
    from matplotlib.figure import Figure

    size = (venues.width() if width is None else width, height)
    return Figure(figsize=size, layout="constrained" if fitted else None)


def lettered(draw: Callable[[Numbers], Figure]) -> Callable[[Numbers], Figure]:
    """Decorator: the figure shows every text of its numbers without boxes for missing glyphs.

    Characters without a font are shown as codes, with a note in the figure.
    """

    @wraps(draw)
    def drawn(numbers: Numbers) -> Figure:
        with lettering.of(numbers):
            figure = draw(numbers)
            if lettering.has_codes():
                _explain_codes(figure)
            return figure

    return drawn


def _explain_codes(figure: Figure) -> None:
    with context():
        if figure.get_layout_engine() is None:
            figure.text(0.005, 0.005, lettering.NOTE, fontsize=6)
        else:
            figure.legend([], [], loc="outside lower left", title=lettering.NOTE, title_fontsize=6)
