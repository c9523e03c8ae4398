"""Short names and numbers for the inside of a figure, in characters that its fonts have."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from workbench.plotting import lettering

_MINUS = "\N{MINUS SIGN}"


def words(name: str) -> str:
    """A metric's or knob's path as words: ``validation/top_5`` reads ``validation top 5``."""
    return lettering.printable(name).replace("/", " ").replace("_", " ").replace(".", " ")


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


def with_equal_decimals(values: Sequence[float]) -> list[str]:
    """Values in few characters and with equal decimals: ``52.0`` and ``52.3``.

    If their sizes differ too much for that, each has three digits.
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
    # 1.2e6 instead of 1.2e+06, which needs two more characters.
    return re.sub(r"e([+-])0*", lambda sign: "e-" if sign[1] == "-" else "e", f"{value:.3g}")


def decimal(value: float, _: Any = None) -> str:
    """A learning rate as people write it: ``0.001``, but ``1e-05``."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if 1e-4 <= value < 1 else f"{value:g}"


def signed(value: float, unit: float, ends: Sequence[float] = ()) -> str:
    """A difference with its sign, to three digits of ``unit``, the largest in the figure.

    All differences of a figure have equal decimals: ``+0.012`` and ``−0.104``. They get one more
    decimal where an end of an interval would be written as 0, because it must be visible whether an
    interval contains 0.
    """
    size = abs(unit)
    if size != 0 and not 1e-3 <= size < 1e5:
        return f"{value:+.2g}".replace("-", _MINUS)
    places = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3
    places += 1 if 0 < size < 0.01 else 0
    # Not where another decimal would not help: an end of exactly 0 is 0 with any number of them.
    if any(float(f"{end:.{places}f}") == 0 and float(f"{end:.{places + 1}f}") != 0 for end in ends):
        places += 1
    text = f"{value:+.{places}f}"
    # A sign before 0.000 would claim a direction that the digits do not show.
    return (text[1:] if float(text) == 0 else text).replace("-", _MINUS)
