"""Draws one figure of the report, for the page and for the paper; used by ``report.writing``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.plotting import saving, venues
from workbench.report.figures import load


def render(name: str, numbers: Any, caption: str, folder: Path, venue: str = venues.PAGE) -> str:
    """Write a figure of the catalogue for a venue, and return it as SVG for the page.

    The page always has the layout of ``venues.PAGE``; if the venue's width is the same, the figure
    is drawn once.

    Args:
        name: In the catalogue; also the files' stem and the prefix of the element's identifiers.
        numbers: From the figure's ``summarize``.
        caption: For screen readers.
        folder: For PDF, SVG and PNG, unless the figure is in the page only.
        venue: One of ``venues.VENUES``.

    Returns:
        An <svg> element.

    Raises:
        ValueError: There is no such venue.
    """
    figure = load(name)
    with venues.at(venues.PAGE):
        shown = figure.draw(numbers)
    text = None
    if not figure.page_only:
        wanted, usual = venues.of(venue), venues.of(venues.PAGE)
        # Drawing takes most of the time of a report.
        if (wanted.text if figure.wide else wanted.column) == usual.text:
            filed = shown
        else:
            with venues.at(venue):
                filed = figure.draw(numbers)
        saving.save(filed, folder / name)
        if filed is shown:
            text = (folder / f"{name}.svg").read_text("utf-8")
    return saving.inline_svg(shown, name, caption, text)
