"""Figure: forest plot of the paired differences between each strategy and a reference.

The reference is the leader or, in a contrast with it, the baseline. A difference is the row's value
minus the reference's, as in the tables of a paper.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from workbench.messages import counted
from workbench.plotting import naming, saving, style, venues
from workbench.report import templates, wording
from workbench.report.figures import CONFIRMATION, Findings, LeftOut, ReportFigure, sides
from workbench.verdict import Comparison, Verdict, Word
from workbench.verdict.estimates import Interval
from workbench.verdict.wording.numbers import bare_p


class Row(NamedTuple):
    """A side, its value minus the reference's, and the difference on each seed.

    ``decided``: it is shown not to be the best or, in a contrast with it, to differ from the
    baseline. ``p`` is the p value that decides it.
    """

    name: str
    comparison: Comparison
    points: tuple[sides.Point, ...]
    decided: bool
    p: float


class Forest(NamedTuple):
    """Rows of differences to one reference, the best row first.

    Attributes:
        reference: The leader, or the baseline of a contrast with it.
        n: Seeds of every row.
        bar: What the bars are; ``none`` where no row has one.
        source: What varies between the runs of an arm, a sentence.
    """

    verdict: Verdict
    reference: str
    rows: tuple[Row, ...]
    n: int
    bar: str
    source: str


def summarize(findings: Findings) -> Forest:
    """Differences from the leader or the baseline; raises ``LeftOut`` without a comparison."""
    verdict = sides.verdict_of(findings)
    maximizes = verdict.direction == "maximize"
    sign = 1 if maximizes else -1
    means = {side.name: sign * side.mean.estimate for side in verdict.sides if side.mean}
    # Some verdicts have no leader; then it is the best mean.
    reference = wording.reference(verdict) or max(means, key=means.__getitem__)
    rows = []
    for item in verdict.comparisons:
        if reference in (item.first, item.second):
            name = item.second if item.first == reference else item.first
            # A comparison is positive where its first is better, a row where its value is higher.
            is_row_minus_reference = (item.second == reference) == maximizes
            pair = item if is_row_minus_reference else item.flipped()
            rows.append(
                Row(name, pair, sides.differences(verdict, pair), *_decision(verdict, name, item))
            )
    if not rows:
        raise LeftOut(f"No comparison involves {reference}.")
    rows.sort(key=lambda row: row.comparison.difference.estimate, reverse=maximizes)
    n = min(len(row.points) for row in rows)
    shown = [row.comparison.difference for row in rows]
    levels = [mean.level for mean in shown if not math.isnan(mean.low)]
    return Forest(
        verdict=verdict,
        reference=reference,
        rows=tuple(rows),
        n=n,
        bar=f"{100 * levels[0]:g} % CI over {n} {findings.seeds}" if levels else "none",
        source=findings.source,
    )


def _decision(verdict: Verdict, name: str, pair: Comparison) -> tuple[bool, float]:
    """Whether a row is decided, and by which p value."""
    p_best = next(side.p_best for side in verdict.sides if side.name == name)
    if p_best is None:
        return pair.p_holm <= verdict.alpha, pair.p_holm
    return name in verdict.excluded, p_best


def _p_is(verdict: Verdict) -> tuple[str, str]:
    """Head of the column of p values, and a sentence on filled squares."""
    if all(side.p_best is None for side in verdict.sides):
        return (
            "p (Holm)",
            f"Holm-corrected p of at most {verdict.alpha:g} (p: {sides.how_tested(verdict)})",
        )
    if verdict.word == Word.WINNER:
        return "p", f"{verdict.leader} is better (p: {sides.how_tested(verdict, corrected=False)})"
    sure = f"{100 * (1 - verdict.alpha):g} % confidence"
    return "p", (
        f"shown not to be the single best ({sure}; p: of the hypothesis that the row is the best,"
        f" by joint sign flips over whole {verdict.unit}s)"
    )


def caption(numbers: Forest) -> str:
    """What a point, a bar and the band are, n, and how p was computed."""
    verdict = numbers.verdict
    # Whether a difference above 0 is good depends on the metric, so the caption says it.
    better, unit = "higher" if verdict.direction == "maximize" else "lower", verdict.unit
    text = (
        f"Paired differences in {naming.words(verdict.metric)}, {unit} by {unit}: the value of the"
        f" row minus that of {numbers.reference}; {better} values are better"
        f" (n = {numbers.n} {unit}s, the same for every row). A dot is one {unit}, the square their"
        f" mean, the bar its t interval ({numbers.bar}). {numbers.source}"
        f" Filled square: {_p_is(verdict)[1]}."
    )
    if verdict.smallest_effect is not None:
        text += (
            " Band: differences up to the smallest effect that matters,"
            f" {verdict.smallest_effect:g}."
        )
    if lost := sum(any(point.imputed for point in row.points) for row in numbers.rows):
        text += (
            " Cross: one of the two runs diverged or failed and counts with the worst value"
            f" ({counted(lost, 'row')})."
        )
    return text


def plot(numbers: Forest) -> style.Figure:
    """A row for each comparison: mean and interval, seeds below them, numbers at the right."""
    figure = style.figure(height=0.62 + 0.33 * len(numbers.rows))
    axes = figure.subplots()
    if margin := numbers.verdict.smallest_effect:
        axes.axvspan(-margin, margin, color=style.RULE, alpha=0.45, lw=0, zorder=0)
    axes.axvline(0, color=style.INK, linewidth=0.8, zorder=1)
    for y, row in enumerate(numbers.rows):
        _draw_row(axes, numbers, row, y)
    reference = naming.cut(numbers.reference, 18 if venues.is_narrow() else 28)
    label = f"{naming.words(numbers.verdict.metric)}: row minus {reference}"
    if venues.is_narrow() and len(label) >= 48:
        label = label.replace(": ", ":\n")
    style.rows(axes, [row.name for row in numbers.rows], label)
    _write_numbers(axes, numbers.rows, _p_is(numbers.verdict)[0])
    return figure


def _draw_row(axes: style.Axes, numbers: Forest, row: Row, y: int) -> None:
    shade, mean = style.colour(0), row.comparison.difference
    # The mean is above the seeds, so that neither hides the other.
    axes.plot([mean.low, mean.high], [y - 0.13] * 2, color=shade, linewidth=1.5, zorder=3)
    square = axes.scatter(
        [mean.estimate],
        [y - 0.13],
        s=26,
        marker="s",
        facecolors=shade if row.decided else "none",
        edgecolors=shade,
        linewidths=1.2,
        zorder=4,
    )
    saving.hover(
        square,
        f"{row.name} − {numbers.reference}: {sides.hover(mean)}, p {bare_p(row.p)}",
    )
    sides.draw_seeds(axes, row.points, y + 0.2, 0.2, colour=style.QUIET, size=8, form="+.4g")


def _write_numbers(axes: style.Axes, rows: tuple[Row, ...], head: str) -> None:
    p_values = [bare_p(row.p) for row in rows]
    if venues.is_narrow():  # there is no room for means next to the rows
        style.column(axes, head, p_values)
        return
    means = [row.comparison.difference for row in rows]
    size = templates.scale(
        end for mean in means for end in (wording.finite(mean.low), wording.finite(mean.high))
    )
    texts = [_written(mean, size) for mean in means]
    style.column(axes, f"mean [{100 * means[0].level:g} % interval]", texts)
    style.column(axes, head, p_values, offset=104)


def _written(mean: Interval, size: float | None) -> str:
    low, high = wording.finite(mean.low), wording.finite(mean.high)
    estimate = templates.signed(mean.estimate, size, low, high)
    return f"{estimate} {templates.interval(low, high, size)}"


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, of=CONFIRMATION)
