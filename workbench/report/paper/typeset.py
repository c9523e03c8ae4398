"""Writes text, names and numbers of any script for pdfLaTeX.

The output is ASCII, so that it compiles with any document class, font encoding and input encoding.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from workbench.report import templates
from workbench.verdict.wording import numbers

NONE = "--"

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # Only the encodings T1 and TS1 have glyphs for a straight quote and a single accent.
    '"': "''",
    "`": "{`}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}
_SIGNS = {
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "„": ",,",
    "…": r"\ldots{}",
    "−": r"\ensuremath{-}",
    "°": r"\ensuremath{{}^\circ}",
    "²": r"\ensuremath{{}^2}",
    "³": r"\ensuremath{{}^3}",
    "¡": "!`",
    "¿": "?`",
    "đ": "d",
    "Đ": "D",
    "ð": "d",
    "þ": "th",
    "Þ": "Th",
}
# Greek capitals that look like Latin ones have no command.
_TEXT, _MATH = r"\%s{}", r"\ensuremath{\%s}"
_COMMANDS = (
    (_TEXT, "§©£ßæÆœŒøØłŁı", "S copyright pounds ss ae AE oe OE o O l L i"),
    (_MATH, "·×±÷≤≥≠≈→←∞", "cdot times pm div le ge ne approx to gets infty"),
    (_MATH, "αβγδεζηθικλμ", "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu"),
    (_MATH, "νξπρςστυφχψω", "nu xi pi rho varsigma sigma tau upsilon phi chi psi omega"),
    (_MATH, "ΓΔΘΛΞΠΣΥΦΨΩ", "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"),
)
_SIGNS |= {
    character: form % command
    for form, characters, commands in _COMMANDS
    for character, command in zip(characters, commands.split(), strict=True)
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0323": "d",
    "\u0327": "c",
    "\u0328": "k",
    "\u0331": "b",
}


def text(value: Any) -> str:
    """Text that pdfLaTeX prints literally, on one line.

    Accented Latin letters become commands (an ogonek needs T1), Greek letters become mathematics. A
    character of another script is written as its code point, ``(U+5168)``, so that different names
    stay different; invisible characters are left out.
    """
    plain = " ".join(str(value).split())
    clusters = _clusters(plain)
    # TeX would join two hyphens to a dash and two quotes to one sign.
    joined = [a == b and a in "-'" for a, b in zip(["", *clusters], clusters, strict=False)]
    return "".join("{}" * j + _cluster(c) for j, c in zip(joined, clusters, strict=True))


def _clusters(plain: str) -> list[str]:
    """Letters with their accents."""
    clusters: list[str] = []
    for character in unicodedata.normalize("NFD", plain):
        if clusters and unicodedata.category(character) == "Mn":
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _cluster(cluster: str) -> str:
    base, accents = cluster[0], cluster[1:]
    if accents and all(accent in _ACCENTS for accent in accents) and base.isascii():
        written = _SPECIAL.get(base, base)
        for accent in accents:
            written = rf"\{_ACCENTS[accent]}{{{written}}}"
        return written
    return "".join(_character(c) for c in unicodedata.normalize("NFC", cluster))


def _character(character: str) -> str:
    if character in _SPECIAL or character in _SIGNS:
        return _SPECIAL.get(character) or _SIGNS[character]
    if character.isascii():
        return character if character.isprintable() else ""
    if unicodedata.category(character) in ("Cf", "Cc"):
        return ""
    # Another form of other characters: a full-width letter, a ligature, the micro sign.
    same = unicodedata.normalize("NFKC", character)
    return f"(U+{ord(character):04X})" if same == character else "".join(map(_character, same))


def name(value: Any, limit: int = 16) -> str:
    """A name as ``text`` writes it; a name longer than ``limit`` gets possible line breaks."""
    plain = " ".join(str(value).split())
    if len(plain) <= limit:
        return _between_points(text(plain))
    # TeX does not hyphenate names; it may break them after a separator or 12 characters.
    parts = re.findall(r"[^-_/.,:=\s]{1,12}[-_/.,:=\s]*|[-_/.,:=\s]+", plain)
    written = []
    for part in parts:
        written.append(text(part) + (" " if part[-1:].isspace() else r"\allowbreak{}"))
    return _between_points("".join(written).strip().removesuffix(r"\allowbreak{}"))


def prose(value: Any) -> str:
    """A sentence as ``text`` writes it, with possible line breaks in its longest words."""
    return " ".join(name(word, 24) for word in str(value).split())


def _between_points(written: str) -> str:
    return re.sub(r"(\(U\+[0-9A-F]{4,6}\))(?=\()", r"\1\\allowbreak{}", written)


def number(
    value: float | None, like: float | None = None, *ends: float | None, signed: bool = False
) -> str:
    """A measured value as in the page, with LaTeX's minus sign.

    Args:
        value: In units of a metric; None is a dash.
        like: A value that decides the number of decimals, for example for a whole column.
        ends: Of its interval, see ``numbers.measured``; by default the value itself, so that it is
            not written as 0.
        signed: Write a plus sign too.
    """
    if value is None:
        return NONE
    written = _in_math(numbers.measured(value, like, *(ends or (value,))))
    # "+0.000" would claim a direction that the digits do not show.
    plus = signed and value > 0 and re.search("[1-9]", written)
    return rf"\ensuremath{{+}}{written}" if plus else written


def _in_math(written: str) -> str:
    """A number with a minus sign or a power of ten, in LaTeX."""
    size = written.removeprefix(numbers.MINUS)
    sign = r"\ensuremath{-}" if size != written else ""
    mantissa, exponent, power = size.partition("e")
    if exponent:
        size = rf"\ensuremath{{{mantissa}\cdot 10^{{{int(power.replace(numbers.MINUS, '-'))}}}}}"
    return sign + size


def p_value(value: float | None) -> str:
    """A p value as in the page."""
    return text(templates.bare_p(value)).replace(_SPECIAL["<"], r"\ensuremath{<}")


def share(value: float | None) -> str:
    """A probability or an effect size as in the page."""
    return text(templates.share(value))


def setting(value: Any) -> str:
    """A hyperparameter as in the page."""
    return text(templates.setting(value))


def given(value: float | None) -> str:
    """A number from a study file, as its author wrote it."""
    return text(templates.given(value))


def span(low: float | None, high: float | None, like: float | None = None) -> str:
    """An interval in brackets."""
    if low is None or high is None:
        return NONE
    return f"[{', '.join(map(_in_math, numbers.ends(low, high, like)))}]"


_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def letters(value: Any) -> str:
    """A name in ASCII letters, for the name of a command: ``adamw-2`` is ``AdamwTwo``.

    Accents are dropped and digits spelled out; a character of another script is written as its code
    point, so that no name is empty and few names become equal.
    """
    # Decomposed, so that an accent is a character of its own and can be dropped.
    plain = unicodedata.normalize("NFKD", str(value))
    spelled = "".join(c if c.isascii() else _spelled(c) for c in plain)
    words = [
        _DIGITS[int(part)] if part.isdigit() else part[0].upper() + part[1:]
        for part in re.findall(r"[A-Za-z]+|\d", spelled)
    ]
    return "".join(words) or "Unnamed"


def _spelled(character: str) -> str:
    if not character.isalpha():
        return "" if unicodedata.category(character) in ("Mn", "Cf") else " "
    if "LATIN" in unicodedata.name(character, ""):
        # The letters of its command: a sharp s becomes ss.
        return re.sub("[^A-Za-z]", "", _SIGNS.get(character, ""))
    words = unicodedata.name(character, "").split()
    return f" {words[-1]} ".title() if words[:1] == ["GREEK"] else f" {ord(character):X} "


def label(*parts: Any) -> str:
    r"""A label for ``\ref``, of letters, digits and hyphens."""
    words = []
    for part in parts:
        plain = unicodedata.normalize("NFKD", str(part)).encode("ascii", "ignore").decode()
        words.append(re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-") or letters(part))
    return "-".join(words)


def comment(value: Any) -> str:
    """A comment line, which may contain any character."""
    return f"% {' '.join(''.join(c if c.isprintable() else ' ' for c in str(value)).split())}\n"
