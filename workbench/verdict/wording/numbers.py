"""How numbers are written: one way for terminal, page, LaTeX and figures.

Text is plain Unicode. ``report.templates`` adapts it for HTML and Markdown,
``report.paper.typeset`` for LaTeX, ``cli.printed.layout`` for the terminal, ``plotting.style`` for
figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

MINUS = "\N{MINUS SIGN}"  # the one sign of every number in a sentence, a table or a figure
MOST_PLACES = 8


def decimals(width: float, default: int = 3) -> int:
    """How many decimals a number deserves whose uncertainty is ``width``.

    Two digits of the width where it begins with 1, 2 or 3, else one: 0.012 and 0.006 have three.

    Source:
        Particle Data Group, Review of Particle Physics, introduction: rounding, in short.
    """
    if not (math.isfinite(width) and width > 0):
        return default
    exponent = math.floor(math.log10(width))
    first = width / 10**exponent
    return min(8, max(0, (1 if first < 3.55 else 0) - exponent))


def signed(places: int, *ends: float, most: int = MOST_PLACES) -> int:
    """So many decimals, or as many more as let no end but 0 itself be written as 0.

    An interval from -0.003 to 0.27 holds 0, and "0.00 to 0.27" does not say so. An end that is 0
    to ``most`` decimals counts as 0.
    """
    shown = [end for end in ends if float(f"{end:.{most}f}") != 0]
    return next(
        (more for more in range(places, most) if all(float(f"{e:.{more}f}") != 0 for e in shown)),
        max(places, most) if shown else places,
    )


def places_for(
    low: float, high: float, effect: float | None = None, gap: float | None = None
) -> int:
    """How many decimals a difference deserves: by its interval and by the smallest effect.

    As many more as it takes that each end and the gap show their signs, and that a gap on one side
    of the smallest effect does not read as equal to it.
    """
    widths = [width for width in ((high - low) / 2, effect or 0.0) if width > 0]
    places = signed(max(map(decimals, widths), default=decimals(0.0)), low, high, gap or 0.0)
    if effect is None or gap is None or math.isclose(gap, effect, rel_tol=1e-6):
        return places
    return apart(fixed, gap, effect, places)


def apart(written: Callable[[float, int], str], value: float, effect: float, places: int) -> int:
    """So many decimals, or as many more as it takes that a value does not read as the effect."""
    while places < MOST_PLACES and written(value, places) == fixed(effect, places):
        places += 1
    return places


def rounded_up(value: float, places: int) -> str:
    """With so many decimals, not below the value: an upper bound still holds."""
    return fixed(math.ceil(round(value * 10**places, 6)) / 10**places, places)


def rounded_down(value: float, places: int) -> str:
    """With so many decimals, not above the value: a lower bound still holds."""
    return fixed(math.floor(round(value * 10**places, 6)) / 10**places, places)


def fixed(value: float, places: int) -> str:
    """With so many decimals, and no minus before a zero."""
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def places_of(size: float) -> int | None:
    """Decimals of measured values of a size: four suit an accuracy, an error may have any size.

    None: they are written without decimals, or by a power of ten.
    """
    size = abs(size)
    if size == 0 or 0.001 <= size < 10:
        return 4
    return 2 if 10 <= size < 10_000 else None


def measured(value: float, like: float | None = None, *ends: float | None) -> str:
    """A measured value with the decimals of its size, or of the size of ``like``.

    Args:
        value: In units of a metric.
        like: A value whose size decides, for example the mean for a standard deviation.
        ends: Of its interval; it gets as many decimals as they take not to be written as 0.
    """
    size = abs(value if like is None else like)
    places = places_of(size)
    if places is not None:
        return fixed(value, signed(places, *(end for end in ends if end is not None)))
    text = f"{value:.0f}" if 10_000 <= size < 10_000_000 else f"{value:.3e}"
    return text.replace("-", MINUS)


def ceiling(bound: float | None, like: float | None = None) -> float | None:
    """An upper bound, rounded up to the digits of ``measured``: as printed, it still holds."""
    if not bound:
        return bound
    size = abs(bound if like is None else like)
    places = places_of(size)
    if places is None:
        # Whole numbers, or four digits and a power of ten.
        places = 0 if 10_000 <= size < 10_000_000 else 3 - math.floor(math.log10(abs(bound)))
    scale = 10.0**places
    return math.ceil(round(bound * scale, 6)) / scale


def ends(low: float, high: float, like: float | None = None) -> tuple[str, str]:
    """The ends of an interval with equal decimals, each with its sign."""
    size = max(abs(low), abs(high)) if like is None else like
    places = places_of(size)
    if places is None:
        return measured(low, size), measured(high, size)
    places = signed(places, low, high)
    return fixed(low, places), fixed(high, places)


def bare_p(p: float) -> str:
    """A p value with two significant digits, for example ``0.52`` or ``<0.0001``; NaN: a dash."""
    if math.isnan(p):
        return "–"
    if p < 0.0001:
        return "<0.0001"
    text = f"{p:.2f}" if p >= 0.0995 else f"{p:.2g}"
    # 0.0498 and 0.0503 lie on two sides of the usual level and must not read alike.
    return f"{p:.4f}" if text in ("0.05", "0.025") else text


def p_value(p: float) -> str:
    """The same within a sentence: ``p = 0.021`` or ``p < 0.0001``."""
    if math.isnan(p):
        return "no p value"
    text = bare_p(p)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"


def ahead_on(differences: Sequence[float], unit: str = "") -> str:
    """On how many seeds a difference is positive: ``7 of 12 seeds, equal on 2``."""
    wins, ties = sum(gap > 0 for gap in differences), sum(gap == 0 for gap in differences)
    units = f" {unit}s" if unit else ""
    return f"{wins} of {len(differences)}{units}" + (f", equal on {ties}" if ties else "")


def share(value: float) -> str:
    """A probability or an effect size, with two decimals."""
    return fixed(value, 2)


def setting(value: object) -> str:
    """A hyperparameter; a float has three significant digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def given(value: float) -> str:
    """A number as its author wrote it: 0.01, not 0.0100."""
    return f"{value:.12g}".replace("-", MINUS)


def duration(seconds: float) -> str:
    """In the largest unit of which there are two, for example ``79 min`` or ``2.5 h``."""
    units = ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s"))
    size, unit = next((pair for pair in units if seconds >= 2 * pair[0]), units[-1])
    number = seconds / size
    # One decimal below ten, so that no number is rounded by more than 5 %.
    return f"{number:.1f} {unit}" if number < 9.95 else f"{number:,.0f} {unit}"
