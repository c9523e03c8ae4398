"""How wide a figure may be and how large its letters are, at the venue that it is made for.

Widths are those of the venues' LaTeX styles of 2025. All print in a Times-like face but JMLR and
TMLR, which use Computer Modern; figures use STIX, a Times-like face that comes with matplotlib, at
all of them, since matplotlib's Computer Modern lacks dashes and accents.
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
    """Widths in inches of a column and of the whole text; equal where there is one column."""

    column: float
    text: float


class Sizes(NamedTuple):
    """Points: of axis labels, of ticks and legends, and of what is written inside the axes."""

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
PAGE = "neurips"  # what the HTML page shows, whatever the files are made for
WIDTH = VENUES[PAGE].text

_venue: ContextVar[Venue] = ContextVar("venue", default=VENUES[PAGE])
_width: ContextVar[float] = ContextVar("width", default=WIDTH)


def of(name: str) -> Venue:
    """The venue of that name.

    Raises:
        ValueError: There is none; the message names those that there are.
    """
    if name not in VENUES:
        raise ValueError(
            f"There is no venue {name!r} to lay figures out for; choose one of {', '.join(VENUES)}."
        )
    return VENUES[name]


@contextmanager
def at(name: str) -> Iterator[None]:
    """Figures drawn within it have the widths of that venue.

    Raises:
        ValueError: There is no such venue.
    """
    token = _venue.set(of(name))
    try:
        yield
    finally:
        _venue.reset(token)


@contextmanager
def laid_out(*, wide: bool) -> Iterator[None]:
    """What is drawn within it fills the venue's text if ``wide``, else a column."""
    venue = _venue.get()
    token = _width.set(venue.text if wide else venue.column)
    try:
        yield
    finally:
        _width.reset(token)


def width() -> float:
    """Inches that the figure being drawn has."""
    return _width.get()


def is_narrow() -> bool:
    """Whether the figure being drawn stands in one column of two."""
    return width() < _NARROW


def sizes() -> Sizes:
    """Of the letters in the figure being drawn."""
    return Sizes(8.0, 7.0, 6.5) if is_narrow() else Sizes(9.0, 8.0, 7.0)
