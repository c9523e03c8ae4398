"""The house style as matplotlib takes it, and empty figures to draw on.

Imports matplotlib when a function is called.
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
PAPER = "#fefefe"  # as good as white, and told apart from the white on dark tiles

_RC: Any = {
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
def context(*, wide: bool | None = None) -> Iterator[None]:
    """Draw and save in the house style, whatever the user's matplotlibrc says.

    Args:
        wide: Lay out for the venue's whole text, else for a column; None leaves the width alone.
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
        width: In inches; None is what the venue leaves.
        fitted: Solve for margins that hold all labels; costs about as much as drawing them.
    """
    from matplotlib.figure import Figure

    size = (venues.width() if width is None else width, height)
    return Figure(figsize=size, layout="constrained" if fitted else None)


def lettered(draw: Callable[[Numbers], Figure]) -> Callable[[Numbers], Figure]:
    """The same function, whose figures show every text of their numbers without boxes.

    Where that takes codes, the figure says what they are.
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
