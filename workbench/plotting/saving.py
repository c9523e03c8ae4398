"""Saves figures, and converts them to SVG for the page with colours and hover texts.

The same figure gives the same bytes. An SVG is drawn once: the page's is derived from the file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary
from xml.etree import ElementTree

from workbench.plotting import style

if TYPE_CHECKING:
    from matplotlib.artist import Artist

MOST_HOVER_TEXTS = 1000  # of one figure; more would be most of the page's size

_PAGE_COLOURS = {
    style.INK: "var(--ink)",
    style.QUIET: "var(--quiet)",
    style.RULE: "var(--rule)",
    style.PAPER: "var(--paper)",
}
# Without dates and versions, so that the same figure gives the same bytes.
_OPTIONS: dict[str, Any] = {
    "pdf": {"metadata": {"CreationDate": None}},
    "svg": {"metadata": {"Date": None}},
    # Takes half as long as the default level, and files are hardly larger.
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 3}},
}
_READABLE = 450.0  # pixels of a figure as wide as the page's: its letters have 8 and more
_MARK = "hover-"
_SVG = "{http://www.w3.org/2000/svg}"
# Otherwise ElementTree would write ``ns0:svg``, which HTML does not recognise.
ElementTree.register_namespace("", _SVG.strip("{}"))
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
# Weak keys, so that hover texts do not keep figures in memory.
_hover_texts: WeakKeyDictionary[Artist, tuple[str, ...]] = WeakKeyDictionary()


def hover(artist: Artist, *texts: str) -> None:
    """Show hover texts for an artist in the page.

    Args:
        artist: A text, a patch, or the points of a scatter.
        texts: One for the artist, or one for each point in their order. A figure with more than
            ``MOST_HOVER_TEXTS`` in all shows none.
    """
    if texts:
        _hover_texts[artist] = texts


def save(
    figure: style.Figure, path_without_suffix: Path, formats: Sequence[str] = ("pdf", "svg", "png")
) -> list[Path]:
    """Write a figure in several formats, byte-identical for the same figure.

    Returns:
        The files written, in the order of the formats.
    """
    paths = []
    path_without_suffix.parent.mkdir(parents=True, exist_ok=True)
    with style.context():
        _settle(figure)
        if "svg" in formats:  # No other format has hover texts.
            _mark(figure)
        for name in formats:
            path = path_without_suffix.with_name(f"{path_without_suffix.name}.{name}")
            figure.savefig(path, format=name, **_OPTIONS[name])
            paths.append(path)
    return paths


def _settle(figure: style.Figure) -> None:
    """Compute the margins once for all formats, which also makes them equal."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.execute(figure)
        # With any engine, even the one named "none", matplotlib draws twice for each file.
        figure.set_layout_engine(None)


def inline_svg(figure: style.Figure, name: str, description: str, drawn: str | None = None) -> str:
    """A figure as an SVG element for a page, with the page's light or dark colours.

    Args:
        figure: Drawn in the house style, whose grey tones become the page's.
        name: Prefix of the element's identifiers, which makes them unique in the page.
        description: For screen readers.
        drawn: The text of the SVG file that ``save`` wrote; None draws the figure.
    """
    if drawn is None:
        buffer = io.StringIO()
        with style.context():
            _settle(figure)
            _mark(figure)
            figure.savefig(buffer, format="svg", **_OPTIONS["svg"])
        drawn = buffer.getvalue()
    root = ElementTree.fromstring(drawn)
    _strip(root)
    for mark, texts in _mark(figure).items():
        _add_titles(root, mark, texts)
    for element in root.iter():
        _prefix(element, name)
    width = figure.get_size_inches()[0] * 96
    # On a phone the figure scrolls sideways instead of shrinking until its labels are illegible.
    least = min(width, _READABLE)
    # A height in points would override the page's width and stretch the figure on a phone.
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib |= {
        "viewBox": box,
        "role": "img",
        "aria-label": description,
        "style": f"width:{width:.0f}px;min-width:{least:.0f}px",
    }
    text = ElementTree.tostring(root, encoding="unicode")
    for ours, page in _PAGE_COLOURS.items():
        text = text.replace(ours, page)
    return re.sub(r"\n\s*", "\n", text).strip()


def _strip(root: ElementTree.Element) -> None:
    """Remove metadata and the background, because the page has its own."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{_SVG}metadata" or child.get("id") == "patch_1":
                parent.remove(child)


def _add_titles(root: ElementTree.Element, mark: str, texts: Sequence[str]) -> None:
    """Add one text to the artist's group, or several texts to its shapes in their order."""
    group = next((group for group in root.iter(f"{_SVG}g") if group.get("id") == mark), None)
    if group is None:
        return
    # Markers are defined once and referred to; a title in the definition would apply to all.
    defined = {shape for defs in group.iter(f"{_SVG}defs") for shape in defs.iter()}
    shapes = [
        shape
        for shape in group.iter()
        if shape.tag in (f"{_SVG}use", f"{_SVG}path") and shape not in defined
    ]
    for element, text in zip([group] if len(texts) == 1 else shapes, texts, strict=False):
        title = ElementTree.Element(f"{_SVG}title")
        title.text = text
        element.insert(0, title)


def _prefix(element: ElementTree.Element, name: str) -> None:
    """Make an element's identifier, and its references to others, unique in the page."""
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key.endswith("href"):
            element.set(key, value.replace("#", f"#{name}-", 1))
        else:
            element.set(key, value.replace("url(#", f"url(#{name}-"))


def _mark(figure: style.Figure) -> dict[str, tuple[str, ...]]:
    """Give every artist that has texts an identifier, in the order they were drawn."""
    artists = figure.findobj(lambda artist: artist in _hover_texts)
    if sum(len(_hover_texts[artist]) for artist in artists) > MOST_HOVER_TEXTS:
        return {}
    for number, artist in enumerate(artists):
        artist.set_gid(f"{_MARK}{number}")
    return {f"{_MARK}{number}": _hover_texts[a] for number, a in enumerate(artists)}
