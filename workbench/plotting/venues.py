"""Widths of figures and sizes of their letters for each venue.

Widths are those of the venues' LaTeX styles of 2025. JMLR and TMLR print in Computer Modern, all
others in a Times-like font. Figures always use STIX, a Times-like font that comes with matplotlib,
because matplotlib's Computer Modern lacks dashes and accents.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

_NARROW = 4.0  # inches


@dataclass(frozen=True, kw_only=True)
class Venue:
    """Widths in inches of a column and of the text; equal for a page with one column."""

    column: float
    text: float


class Sizes(NamedTuple):
    """Font sizes in points: of axis labels, of ticks and legends, and of text inside the axes."""

    label: float
    tick: float
    small: float


# `acl` follows acl_latex (7.7 cm and 16 cm), `icml` and `cvpr` their two-column styles.
VENUES: dict[str, Venue] = {
    "neurips": Venue(column=5.5, text=5.5),
    "icml": Venue(column=3.25, text=6.75),
    "iclr": Venue(column=5.5, text=5.5),
    "cvpr": Venue(column=3.25, text=6.875),
    "acl": Venue(column=3.03, text=6.3),
    "jmlr": Venue(column=6.0, text=6.0),
    "tmlr": Venue(column=6.5, text=6.5),
}
PAGE = "neurips"  # the layout of figures in the HTML page, for any venue of the files
WIDTH = VENUES[PAGE].text

# A context variable instead of arguments: sizes are needed deep inside the drawing functions.
_width: ContextVar[float] = ContextVar("width", default=WIDTH)


def of(name: str) -> Venue:
    """The venue of that name.

    Raises:
        ValueError: There is no such venue; the message lists all venues.
    """
    if name not in VENUES:
        raise ValueError(f"There is no venue {name!r}; choose one of {', '.join(VENUES)}.")
    return VENUES[name]


@contextmanager
def at(name: str, *, wide: bool) -> Iterator[None]:
    """Context: figures are as wide as the text of that venue if ``wide``, else as a column.

    Raises:
        ValueError: There is no such venue.
    """
    venue = of(name)
    token = _width.set(venue.text if wide else venue.column)
    try:
        yield
    finally:
        _width.reset(token)


def width() -> float:
    """Width of the current figure in inches."""
    return _width.get()


def is_narrow() -> bool:
    """Whether the current figure is for one column of a page of two columns."""
    return width() < _NARROW


def sizes() -> Sizes:
    """Font sizes of the current figure."""
    return Sizes(8.0, 7.0, 6.5) if is_narrow() else Sizes(9.0, 8.0, 7.0)
