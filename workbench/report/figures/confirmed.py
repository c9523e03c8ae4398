"""Figure: test value of every confirmation run, with mean and interval, a row for each arm.

Arms share their seeds, so arms whose intervals overlap may still differ on every seed.
"""

from __future__ import annotations

from typing import NamedTuple

from workbench.messages import counted
from workbench.plotting import naming, saving, scale, style
from workbench.report.figures import CONFIRMATION, Findings, ReportFigure
from workbench.report.figures.sides import Arm, arms, confirmation_of, draw_seeds
from workbench.verdict.wording.numbers import measured


class Values(NamedTuple):
    """Values by arm.

    Attributes:
        at_bounds: Whether an interval ends at a bound of the metric, and so may have been cut.
        source: What varies between the runs of an arm, a sentence.
    """

    metric: str
    direction: str
    rows: tuple[Arm, ...]
    at_bounds: bool
    source: str


def summarize(findings: Findings) -> Values:
    """Values by arm; raises ``LeftOut`` before the confirmation is finished."""
    protocol, rows = confirmation_of(findings).protocol, arms(findings)
    lowest, highest = protocol.bounds
    return Values(
        metric=protocol.metric,
        direction=protocol.direction,
        rows=rows,
        at_bounds=any(row.low == lowest or row.high == highest for row in rows),
        source=findings.source,
    )


def caption(numbers: Values) -> str:
    """What a point and a bar are, n, and why overlapping bars do not compare rows."""
    counts = [len(row.points) for row in numbers.rows]
    fewest, most = min(counts), max(counts)
    each = f"{most}" if fewest == most else f"{fewest} to {most}"
    text = (
        f"{naming.capital(naming.words(numbers.metric))} of every confirmation run, by strategy. A"
        f" point is one training seed (n = {each} for each strategy, the same seeds); line: mean;"
        f" bar: t interval of the mean (95 % CI over {each} training seeds). {numbers.source}"
        " Because strategies share seeds, compare them by paired differences, not by the overlap"
        " of these bars."
    )
    if numbers.at_bounds:
        text += " Bars end at the bounds of the metric."
    if imputed := sum(point.imputed for row in numbers.rows for point in row.points):
        text += (
            f" Cross: {counted(imputed, 'run')} diverged or failed and"
            f" {'counts' if imputed == 1 else 'count'} with the worst value."
        )
    return text


def plot(numbers: Values) -> style.Figure:
    """A strip of points for each arm over its interval, and its mean at the right."""
    figure = style.figure(height=0.62 + 0.29 * len(numbers.rows))
    axes = figure.subplots()
    for y, row in enumerate(numbers.rows):
        _draw_row(axes, row, y)
    style.rows(axes, [row.name for row in numbers.rows], naming.words(numbers.metric))
    # One unit, so that all means have equal decimals.
    unit = max(abs(row.mean) for row in numbers.rows)
    means = [measured(row.mean, unit) for row in numbers.rows]
    style.column(axes, "mean", means)
    values = [point.value for row in numbers.rows for point in row.points]
    scale.spread(axes, "x", values, numbers.direction)
    return figure


def _draw_row(axes: style.Axes, row: Arm, y: int) -> None:
    axes.axhline(y, color=style.RULE, linewidth=0.5, zorder=0)
    (bar,) = axes.barh(
        y,
        row.high - row.low,
        left=row.low,
        height=0.62,
        color=row.colour,
        alpha=0.2,
        linewidth=0,
        zorder=1,
    )
    saving.hover(bar, row.hover)
    axes.plot([row.mean] * 2, [y - 0.31, y + 0.31], color=row.colour, linewidth=1.6, zorder=2)
    # A star has less area than the other markers of its size.
    size = 20 if row.marker == "*" else 13
    draw_seeds(axes, row.points, y, 0.4, colour=row.colour, size=size, marker=row.marker)


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, of=CONFIRMATION)
