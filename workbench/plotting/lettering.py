"""Names in any script: the fonts that have their characters, and what stands where none has them.

Looks for fonts only where a name has a character that the house style's lack; costs nothing
otherwise.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FONTS = ("STIXGeneral", "DejaVu Sans")  # the second has what the first lacks
NOTE = r"\u… is the code of a character that no font here has."

_BOXES = "Last Resort"  # comes with matplotlib: a box for every character there is
# What the formats of a paper embed: TrueType outlines, not those of PostScript.
_TRUETYPE = (b"\x00\x01\x00\x00", b"true")


class Letters(NamedTuple):
    """Fonts beside those of the house style, and characters that none has."""

    families: tuple[str, ...] = ()
    lacking: frozenset[str] = frozenset()


_USUAL = Letters()
_letters: ContextVar[Letters] = ContextVar("letters", default=_USUAL)


@contextmanager
def of(shown: Any) -> Iterator[None]:
    """Figures drawn within it can show the texts in some numbers, however deep they lie."""
    foreign = frozenset(
        letter for text in _texts(shown) if not text.isascii() for letter in text if letter > "\x7f"
    )
    token = _letters.set(_found(foreign) if foreign else _USUAL)
    try:
        yield
    finally:
        _letters.reset(token)


def families() -> list[str]:
    """Fonts of the figure being drawn, in the order in which a character is looked for."""
    return [*FONTS, *_letters.get().families]


def printable(text: str) -> str:
    r"""A text without characters that would be boxes: ``学`` becomes ``\u5b66``."""
    lacking = _letters.get().lacking
    return "".join(_told(letter) if letter in lacking else letter for letter in text)


def has_codes() -> bool:
    """Whether a character of the figure being drawn has become a code."""
    return any("\\" in _told(letter) for letter in _letters.get().lacking)


def _told(letter: str) -> str:
    plain = unicodedata.normalize("NFKC", letter)  # of wide forms of Latin letters, say
    if plain.isascii():
        return plain
    return f"\\u{ord(letter):04x}" if letter <= "\uffff" else f"\\U{ord(letter):08x}"


def _texts(shown: Any) -> Iterator[str]:
    if isinstance(shown, str):
        yield shown
    elif isinstance(shown, Mapping):
        for key, value in shown.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(shown, tuple | list | set | frozenset):
        for value in shown:
            if not isinstance(value, float | int):
                yield from _texts(value)
    elif hasattr(shown, "__dataclass_fields__"):
        yield from _texts([getattr(shown, name) for name in shown.__dataclass_fields__])


@cache
def _found(letters: frozenset[str]) -> Letters:
    from matplotlib.font_manager import fontManager

    lacking = {letter for letter in letters if not letter.isspace()}
    lacking -= {letter for name in FONTS for letter in lacking if ord(letter) in _of_house(name)}
    families: list[str] = []
    # In an order of their own: a list of fonts is in that of the file system.
    for font in sorted(fontManager.ttflist, key=lambda font: (font.name, font.fname)):
        if not lacking:
            break
        if font.style != "normal" or font.weight != 400 or font.name.startswith(_BOXES):
            continue
        if not _is_truetype(font.fname):
            continue
        here = _characters(font.fname)
        if has := {letter for letter in lacking if ord(letter) in here}:
            families.append(font.name)
            lacking -= has
    return Letters(tuple(families), frozenset(lacking))


def _of_house(name: str) -> frozenset[int]:
    from matplotlib.font_manager import findfont

    return _characters(findfont(name))


@cache
def _characters(path: str) -> frozenset[int]:
    from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):  # a font that cannot be read
        return frozenset()


def _is_truetype(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(4) in _TRUETYPE
    except OSError:
        return False
