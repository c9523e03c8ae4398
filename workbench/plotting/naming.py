"""Names and numbers as they stand inside a figure: short, on one line, told apart."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

_MINUS = "\N{MINUS SIGN}"


def words(name: str) -> str:
    """A metric's or knob's path as words: ``validation/top_5`` reads ``validation top 5``."""
    return name.replace("/", " ").replace("_", " ").replace(".", " ")


def cut(name: str, limit: int = 28) -> str:
    """A name short enough not to push the axes off the figure, cut in the middle, on one line."""
    plain = " ".join(name.split())
    keep = (limit - 1) // 2
    return plain if len(plain) <= limit else f"{plain[:keep]}…{plain[-keep:]}"


def told_apart(names: Sequence[str], limit: int = 28) -> list[str]:
    """Names cut as ``cut`` does, but without what all have in common where they would look alike.

    ``pretrained-on-laion-with-sgd`` and ``pretrained-on-jft-with-sgd`` become ``…laion…`` and
    ``…jft…``.
    """
    plain = [" ".join(name.split()) for name in names]
    found = [cut(name, limit) for name in plain]
    if len(set(found)) == len(set(plain)):
        return found
    first = _shared(plain)
    last = _shared([name[first:][::-1] for name in plain])
    inner = [name[first : len(name) - last] for name in plain]
    ends = ("…" if first else "", "…" if last else "")
    found = [cut(f"{ends[0]}{name}{ends[1]}", limit) for name in inner]
    if len(set(found)) == len(set(plain)):
        return found
    return [cut(f"{number} {name}", limit) for number, name in enumerate(plain, start=1)]


def _shared(names: Sequence[str]) -> int:
    """Length of what all names begin with, up to the end of a word."""
    shared = 0
    for at, characters in enumerate(zip(*names, strict=False), start=1):
        if len(set(characters)) > 1:
            break
        if characters[0] in "-_/. ":
            shared = at
    return shared


def alike(values: Sequence[float]) -> list[str]:
    """Values in few characters and with one number of decimals: ``52.0`` beside ``52.3``.

    Each with three digits where they are too far apart for that.
    """
    sizes = [abs(value) for value in values if value != 0]
    low, high = min(sizes, default=1.0), max(sizes, default=1.0)
    if low < 0.01 or high >= 100_000 or high > 100 * low:
        return [
            f"{value:#.3g}".removesuffix(".") if 10 <= abs(value) < 1000 else short(value)
            for value in values
        ]
    # Three below 10, two below 100, as in a table, and room for five digits at most.
    places = max(3 - max(math.floor(math.log10(high)), 0), 0)
    return [f"{value:.{places}f}" for value in values]


def short(value: float) -> str:
    """A value in few characters, for the inside of a figure."""
    size = abs(value)
    if value == 0 or 0.01 <= size < 10:
        return f"{value:.3f}"
    if 1000 <= size < 100_000:
        return f"{value:.0f}"
    # 1.2e6, for the plus and the zeros of 1.2e+06 take the room of two digits.
    return re.sub(r"e([+-])0*", lambda sign: "e-" if sign[1] == "-" else "e", f"{value:.3g}")


def decimal(value: float, _: Any = None) -> str:
    """A learning rate as people write it: ``0.001``, but ``1e-05``."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if 1e-4 <= value < 1 else f"{value:g}"


def signed(value: float, unit: float, ends: Sequence[float] = ()) -> str:
    """A difference with its sign, to three digits of ``unit``, the largest that stands beside it.

    So that differences in one figure have one number of decimals: ``+0.012`` and ``−0.104``. They
    have one more where an end of an interval would be written as 0 otherwise: whether an interval
    holds 0 must show.
    """
    size = abs(unit)
    if size != 0 and not 1e-3 <= size < 1e5:
        return f"{value:+.2g}".replace("-", _MINUS)
    places = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3
    places += 1 if 0 < size < 0.01 else 0
    lost = any(float(f"{end:.{places}f}") == 0 != float(f"{end:.{places + 1}f}") for end in ends)
    text = f"{value:+.{places + lost}f}"
    # A minus before zeros only would claim a direction that the digits do not show.
    return (f"+{text[1:]}" if float(text) == 0 else text).replace("-", _MINUS)
