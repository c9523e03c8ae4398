"""Finds fonts for names in any script, and codes for characters that no font has.

The installed fonts are read only if a name has characters that are not ASCII.
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
NOTE = r"\u… is the code of a character that no installed font has."

_BOXES = "Last Resort"  # comes with matplotlib: a box for every character there is
# Matplotlib embeds only TrueType outlines as Type 42, not those of PostScript.
_TRUETYPE = (b"\x00\x01\x00\x00", b"true")


class Letters(NamedTuple):
    """Fonts in addition to those of the house style, and characters that no font has."""

    families: tuple[str, ...] = ()
    lacking: str = ""


_HOUSE = Letters()
_letters: ContextVar[Letters] = ContextVar("letters", default=_HOUSE)


@contextmanager
def of(shown: Any) -> Iterator[None]:
    """Context: figures can show all texts in the given numbers, at any depth."""
    token = _letters.set(letters(shown))
    try:
        yield
    finally:
        _letters.reset(token)


def letters(shown: Any) -> Letters:
    """What the texts in the given numbers need on this machine."""
    foreign = frozenset(
        letter for text in _texts(shown) if not text.isascii() for letter in text if letter > "\x7f"
    )
    return _letters_for(foreign) if foreign else _HOUSE


def families() -> list[str]:
    """Fonts of the current figure; matplotlib uses the first that has a character."""
    return [*FONTS, *_letters.get().families]


def printable(text: str) -> str:
    r"""A text without characters that no font has: ``学`` becomes ``\u5b66``."""
    lacking = _letters.get().lacking
    return "".join(_code(letter) if letter in lacking else letter for letter in text)


def has_codes() -> bool:
    """Whether the current figure shows a character as a code."""
    return any("\\" in _code(letter) for letter in _letters.get().lacking)


def _code(letter: str) -> str:
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
def _letters_for(letters: frozenset[str]) -> Letters:
    from matplotlib.font_manager import findfont, fontManager

    lacking = {letter for letter in letters if not letter.isspace()}
    house = frozenset().union(*(_characters(findfont(name)) for name in FONTS))
    lacking -= {letter for letter in lacking if ord(letter) in house}
    families: list[str] = []
    # Sorted, because matplotlib lists fonts in the order of the file system.
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
    return Letters(tuple(families), "".join(sorted(lacking)))


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
