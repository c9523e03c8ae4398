"""Draws one figure of the report, for the page and for the paper; used by ``report.writing``."""

from __future__ import annotations

import hashlib
import pickle
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from workbench.plotting import lettering, saving, venues
from workbench.record.file_cache import FileCache
from workbench.report.figures import load


def render(
    name: str,
    numbers: Any,
    caption: str,
    folder: Path,
    venue: str = venues.PAGE,
    *,
    report: Path | None = None,
) -> str:
    """Write a figure of the catalogue for a venue, and return it as SVG for the page.

    The page always has the layout of ``venues.PAGE``; if the venue's width is the same, the figure
    is drawn once.

    Args:
        name: In the catalogue; also the files' stem and the prefix of the element's identifiers.
        numbers: From the figure's ``summarize``.
        caption: For screen readers.
        folder: For PDF, SVG and PNG.
        venue: One of ``venues.VENUES``.
        report: The folder that the report will have. Its last figures are cached: one that shows
            the same as before is not drawn again. None: there is no cache.

    Returns:
        An <svg> element.

    Raises:
        ValueError: There is no such venue.
    """
    # Equal numbers may differ in their pickles; then the figure is only drawn again.
    shown = pickle.dumps((numbers, caption, lettering.letters(numbers)))
    digest = hashlib.sha256(shown).hexdigest()
    cache = FileCache(["figure", str(report), name, venue], [])
    cached = cache.get() if report else None
    if cached is not None and cached["shown"] == digest:
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in cached["files"].items():
            (folder / file).write_bytes(b64decode(content))
        return str(cached["svg"])
    svg = _draw(name, numbers, caption, folder, venue)
    if report:
        files = {at.name: b64encode(at.read_bytes()).decode() for at in folder.glob(f"{name}.*")}
        cache.put({"shown": digest, "svg": svg, "files": files})
    return svg


def _draw(name: str, numbers: Any, caption: str, folder: Path, venue: str) -> str:
    figure = load(name)
    shown = filed = figure.draw(numbers)
    wanted, usual = venues.of(venue), venues.of(venues.PAGE)
    # Drawing takes most of the time of a report.
    if (wanted.text if figure.wide else wanted.column) != usual.text:
        filed = figure.draw(numbers, venue)
    saving.save(filed, folder / name)
    text = (folder / f"{name}.svg").read_text("utf-8") if filed is shown else None
    return saving.inline_svg(shown, name, caption, text)
