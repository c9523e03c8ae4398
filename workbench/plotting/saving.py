"""Figures to files and into the page: byte-stable, with the values that a pointer shows.

Knows neither what a figure shows nor the page that it stands in. Every SVG is drawn once: the one
in the page is the file's text with the page's colours and with hover texts.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from workbench.plotting.canvas import INK, PAPER, QUIET, RULE, context

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

MOST_TOLD = 400  # hover texts of one figure; beyond that they would be most of the page

_PAGE_COLOURS = {
    INK: "var(--ink)",
    QUIET: "var(--quiet)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
}
_METADATA = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
# Half the time of the usual level, for files that are hardly larger.
_OPTIONS: dict[str, Any] = {"png": {"pil_kwargs": {"compress_level": 3}}}
_READABLE = 450.0  # pixels of a figure as wide as the page's: its letters have 8 and more
_MARK = "told-"
_told: WeakKeyDictionary[Artist, tuple[str, ...]] = WeakKeyDictionary()


def tell(artist: Artist, *texts: str) -> None:
    """Show texts in the page when a pointer rests on an artist.

    Args:
        artist: A text, a patch, or the points of a scatter.
        texts: One for the whole, or one for each point in the order they were given. More than
            ``MOST_TOLD`` are not told.
    """
    if 0 < len(texts) <= MOST_TOLD:
        _told[artist] = texts


def save(
    figure: Figure, path_without_suffix: Path, formats: Sequence[str] = ("pdf", "svg", "png")
) -> list[Path]:
    """Write a figure in several formats, byte-identical for the same figure.

    Returns:
        The files written, in the order of the formats.
    """
    paths = []
    path_without_suffix.parent.mkdir(parents=True, exist_ok=True)
    with context():
        _settle(figure)
        _mark(figure)
        for name in formats:
            path = path_without_suffix.with_name(f"{path_without_suffix.name}.{name}")
            figure.savefig(path, format=name, metadata=_METADATA[name], **_OPTIONS.get(name, {}))
            paths.append(path)
    return paths


def _settle(figure: Figure) -> None:
    """Solve for the margins once instead of once a format; they are the same in all then."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.execute(figure)
        # With any engine left, even the one named "none", matplotlib draws twice for each file.
        figure.set_layout_engine(None)


def inline_svg(figure: Figure, name: str, description: str, drawn: str | None = None) -> str:
    """A figure as an SVG element to stand in a page whose light or dark colours it takes on.

    Args:
        figure: Drawn in the house style, whose grey tones become the page's.
        name: Prefix of the element's identifiers, which are unique in a page only together.
        description: What the figure shows, for those who cannot see it.
        drawn: The text of the SVG file that ``save`` wrote of it; None draws it.
    """
    if drawn is None:
        buffer = io.StringIO()
        with context():
            _settle(figure)
            _mark(figure)
            figure.savefig(buffer, format="svg", metadata=_METADATA["svg"])
        drawn = buffer.getvalue()
    told = _mark(figure)
    text = drawn[drawn.index("<svg") :]
    # The page is the background.
    text = re.sub(r'<g id="patch_1">.*?</g>', "", text, count=1, flags=re.DOTALL)
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = "".join(_with_titles(text, told))
    text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for ours, page in _PAGE_COLOURS.items():
        text = text.replace(ours, page)
    # A height in points would win over the page's width and stretch the figure on a phone.
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1 SVG_ATTRIBUTES>", text, count=1)
    width = figure.get_size_inches()[0] * 96
    # On a phone it is rather pushed sideways than shrunk until nobody can read its labels.
    least = min(width, _READABLE)
    attributes = (
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'role="img" aria-label="{escape(description)}" style="width:{width:.0f}px;'
        f'min-width:{least:.0f}px"'
    )
    return re.sub(r"\n\s*", "\n", text.replace("SVG_ATTRIBUTES", attributes, 1)).strip()


def _mark(figure: Figure) -> dict[str, tuple[str, ...]]:
    """Give every artist that has texts an identifier, in the order they were drawn."""
    marks: dict[str, tuple[str, ...]] = {}
    for artist in figure.findobj(lambda artist: artist in _told):
        mark = f"{_MARK}{len(marks)}"
        artist.set_gid(mark)
        marks[mark] = _told[artist]
    return marks


_TAG = re.compile(r'<g(?: id="(?P<id>[^"]*)")?[^>]*>|</g>|<defs>|</defs>|<(?:use|path)\b[^>]*/>')


def _with_titles(text: str, told: dict[str, tuple[str, ...]]) -> Iterator[str]:
    """An SVG's text, piece by piece, with a <title> in what is told.

    One text goes to the whole group of the artist, several to its shapes in their order.
    """
    done, depth, within = 0, 0, 0
    texts: list[str] = []  # of the artist whose group is open, its next one last
    defined = False
    for tag in _TAG.finditer(text):
        found = tag[0]
        if found.startswith("<g"):
            depth += 1
            if (own := told.get(tag["id"] or "")) is not None:
                within = depth
                if len(own) == 1:
                    yield text[done : tag.end()] + _title(own[0])
                    done = tag.end()
                else:
                    texts = list(reversed(own))
        elif found == "</g>":
            if depth == within:
                texts, within = [], 0
            depth -= 1
        elif found.endswith("defs>"):
            defined = found == "<defs>"
        elif texts and not defined:
            shape = found.split(None, 1)[0][1:]
            yield f"{text[done : tag.end() - 2]}>{_title(texts.pop())}</{shape}>"
            done = tag.end()
    yield text[done:]


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"
