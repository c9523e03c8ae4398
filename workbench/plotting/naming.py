"""Short names for the inside of a figure, in characters that its fonts have."""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.plotting import lettering


def words(name: str) -> str:
    """A metric's or knob's path as words: ``validation/top_5`` reads ``validation top 5``."""
    return re.sub(r"\bf1\b", "F1", re.sub("[/_.]", " ", lettering.printable(name)))


def capital(text: str) -> str:
    """With a capital first letter, and all others as they are."""
    return text[:1].upper() + text[1:]


def cut(name: str, limit: int = 28) -> str:
    """A name of at most ``limit`` characters, cut in the middle, on one line."""
    plain = " ".join(lettering.printable(name).split())
    keep = (limit - 1) // 2
    return plain if len(plain) <= limit else f"{plain[:keep]}…{plain[-keep:]}"


def distinct(names: Sequence[str], limit: int = 28) -> list[str]:
    """Names cut as by ``cut``; if some would become equal, without what all have in common.

    ``pretrained-on-laion-with-sgd`` and ``pretrained-on-jft-with-sgd`` become ``…laion…`` and
    ``…jft…``.
    """
    plain = [" ".join(lettering.printable(name).split()) for name in names]
    short_names = [cut(name, limit) for name in plain]
    if len(set(short_names)) == len(set(plain)):
        return short_names
    first = _shared(plain)
    last = _shared([name[first:][::-1] for name in plain])
    inner = [name[first : len(name) - last] for name in plain]
    ends = ("…" if first else "", "…" if last else "")
    short_names = [cut(f"{ends[0]}{name}{ends[1]}", limit) for name in inner]
    if len(set(short_names)) == len(set(plain)):
        return short_names
    return [cut(f"{number} {name}", limit) for number, name in enumerate(plain, start=1)]


def _shared(names: Sequence[str]) -> int:
    """Length of the common start of all names, up to the end of a word."""
    shared = 0
    for at, characters in enumerate(zip(*names, strict=False), start=1):
        if len(set(characters)) > 1:
            break
        if characters[0] in "-_/. ":
            shared = at
    return shared
