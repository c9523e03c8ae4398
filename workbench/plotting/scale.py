"""Chooses the scale of an axis by its values: linear, logarithmic, or both for outliers below 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Literal

from workbench.plotting import style

if TYPE_CHECKING:
    from matplotlib.axis import XAxis, YAxis

_FAR = 20.0  # times the distance of the highest value from the median
_LINEAR_DECADES = 2.0  # the room of the linear part, from 0 to its end, in decades


def wants_logarithm(values: Sequence[float], direction: str) -> bool:
    """Whether a loss spans so much that a linear axis would show only its worst values."""
    return direction == "minimize" and min(values) > 0 and max(values) > 100 * min(values)


def linear_part(values: Sequence[float], direction: str) -> float | None:
    """Where the linear part of an axis ends, if a maximised metric has outliers far below 0.

    None without such outliers: then the whole axis is linear.
    """
    if direction != "maximize" or min(values) >= 0:
        return None
    low, middle, high = min(values), median(values), max(values)
    usual = max(abs(middle), abs(high))
    if usual == 0 or middle - low < _FAR * max(high - middle, 0.05 * usual) or -low < 5 * usual:
        return None
    return float(10.0 ** math.ceil(math.log10(usual)))


def logarithmic(axes: style.Axes, name: Literal["x", "y"], most: int = 12) -> None:
    """Make an axis logarithmic, with decimal labels; call it after its limits are set.

    Args:
        axes: Of the figure.
        name: Of the axis.
        most: How many labels it has room for.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    (axes.set_xscale if name == "x" else axes.set_yscale)("log")
    low, high = axes.get_xlim() if name == "x" else axes.get_ylim()
    decades = abs(math.log10(high / low))
    subs = (1.0,) if decades >= 2 else (1.0, 3.0) if decades >= 1 else (1.0, 2.0, 3.0, 5.0)
    axis = axes.xaxis if name == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=subs, numticks=most))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def spread(
    axes: style.Axes, name: Literal["x", "y"], values: Sequence[float], direction: str
) -> None:
    """Scale a metric's axis so that its worst values leave room for the others.

    Logarithmic for a loss over many decades. For a metric such as R2, which has no lower bound,
    linear up to a power of ten and logarithmic beyond. Call it after the values are drawn.
    """
    if wants_logarithm(values, direction):
        logarithmic(axes, name)
    elif (inner := linear_part(values, direction)) is not None:
        axis = axes.xaxis if name == "x" else axes.yaxis
        (axes.set_xscale if name == "x" else axes.set_yscale)(
            "symlog", linthresh=inner, linscale=_LINEAR_DECADES
        )
        decades = [-inner * 10.0**power for power in range(12)]
        shown = [tick for tick in reversed(decades) if tick >= min(values)]
        axis.set_ticks([*shown, -inner / 2, 0.0, inner / 2, inner])
        axis.set_major_formatter("{x:g}")
        axis.set_ticks([], minor=True)
        (axes.set_xlim if name == "x" else axes.set_ylim)(room(axis, values, 0.04, 0.04))


def room(
    axis: XAxis | YAxis, values: Sequence[float], below: float, above: float
) -> tuple[float, float]:
    """Limits that leave shares of the span of values free below and above, on the axis's scale."""
    to_scale = axis.get_transform()
    low, high = (float(end) for end in to_scale.transform([min(values), max(values)]))
    span = (high - low) or abs(high) or 1.0
    bottom, top = to_scale.inverted().transform([low - below * span, high + above * span])
    return float(bottom), float(top)


def band(axes: style.Axes) -> None:
    """Shade a strip at the bottom of axes for marks without a value."""
    from matplotlib.patches import Rectangle

    shade = Rectangle((0, 0), 1, 0.13, transform=axes.transAxes, color=style.RULE, alpha=0.35, lw=0)
    axes.add_patch(shade)


def leave_room(axes: style.Axes, values: Sequence[float], direction: str, *, strip: bool) -> None:
    """Limits with room below and above the values, and for the strip of ``band`` if there is one.

    The strip gets no ticks, because its marks have no value.
    """
    spread(axes, "y", values, direction)
    axes.set_ylim(room(axes.yaxis, values, 0.24 if strip else 0.06, 0.06))
    if wants_logarithm(values, direction):
        logarithmic(axes, "y")  # its ticks depend on the limits
    if strip:
        lowest, highest = room(axes.yaxis, values, 0.05, 0.06)
        axes.set_yticks([tick for tick in axes.get_yticks() if lowest <= tick <= highest])
        axes.set_yticks([], minor=True)
