"""Figure: forest plot of the paired differences between each strategy and a reference.

The reference is the leader or, in a contrast with it, the baseline. A difference is the row's value
minus the reference's, as in the tables of a paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.plotting import naming, saving, style, venues
from workbench.report.figures import CONFIRMATION, Findings, LeftOut, ReportFigure
from workbench.report.figures.sides import compared, how_tested, imputed, names
from workbench.verdict import Comparison
from workbench.verdict.contrast import BASELINE
from workbench.verdict.guards import Bar
from workbench.verdict.wording.numbers import bare_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ROWS = 30


class Forest(NamedTuple):
    """Rows of differences to one reference, the best row first.

    Attributes:
        reference: The leader, or the baseline of a contrast with it.
        rows: Each difference is the row's value minus the reference's; ``name`` gives the row's
            name.
        imputed: By row and difference, whether one of its runs diverged or failed.
        more: Number of rows that did not fit.
        tested: How p was computed.
        source: What varies between the runs of an arm, a sentence.
    """

    metric: str
    direction: str
    reference: str
    rows: tuple[Comparison, ...]
    imputed: tuple[tuple[bool, ...], ...]
    more: int
    n: int
    seeds: tuple[str, ...]
    level: float
    alpha: float
    margin: float | None
    tested: str
    bar: str
    source: str

    def name(self, row: Comparison) -> str:
        """The side of a row that is not the reference."""
        return row.second if row.first == self.reference else row.first


def summarize(findings: Findings) -> Forest:
    """Differences from the leader or the baseline; raises ``LeftOut`` without a comparison."""
    verdict = compared(findings)
    baselines = [side.name for side in verdict.sides if side.baseline and side.mean]
    against_baseline = verdict.contrast == BASELINE and baselines
    leader = verdict.leader or names(verdict)[0]
    reference = baselines[0] if against_baseline else leader
    maximizes = verdict.direction == "maximize"
    rows = []
    for item in verdict.comparisons:
        if reference in (item.first, item.second):
            # A comparison is positive where its first is better, a row where its value is higher.
            is_row_minus_reference = (item.second == reference) == maximizes
            rows.append(item if is_row_minus_reference else item.flipped())
    if not rows:
        raise LeftOut(f"No comparison involves {reference}.")
    rows.sort(key=lambda item: item.difference.estimate, reverse=maximizes)
    shown = rows[:_MOST_ROWS]
    n = min(len(item.differences) for item in shown)
    # The guard of refusal 11: a bar must state what it is.
    level = verdict.comparisons[0].difference.level
    bars = [
        Bar(
            low=item.difference.low,
            high=item.difference.high,
            kind="CI",
            n=n,
            source=findings.seeds,
            level=level,
        )
        for item in shown
    ]
    return Forest(
        metric=verdict.metric,
        direction=verdict.direction,
        reference=reference,
        rows=tuple(shown),
        imputed=tuple(imputed(verdict, item) for item in shown),
        more=len(rows) - len(shown),
        n=n,
        seeds=tuple(verdict.seeds),
        level=level,
        alpha=verdict.alpha,
        margin=verdict.smallest_effect,
        tested=how_tested(verdict),
        bar=bars[0].label,
        source=findings.source,
    )


def caption(numbers: Forest) -> str:
    """What a point, a bar and the band are, n, and how p was computed."""
    # Whether a difference above 0 is good depends on the metric, so the caption says it.
    better = "higher" if numbers.direction == "maximize" else "lower"
    parts = [
        f"Paired differences in {naming.words(numbers.metric)}, seed by seed: the value of the row"
        f" minus that of {numbers.reference}; {better} values are better"
        f" (n = {numbers.n} seeds, the same for every row). A dot is one seed, the square their"
        f" mean, the bar its t interval ({numbers.bar}). {numbers.source}"
        f" Filled square: Holm-corrected p < {numbers.alpha:g} ({numbers.tested}).",
    ]
    if numbers.margin is not None:
        parts.append(
            f" Band: differences up to the smallest effect that matters, {numbers.margin:g}."
        )
    if lost := sum(map(any, numbers.imputed)):
        parts.append(
            f" Cross: one of the two runs diverged or failed and counts with the worst"
            f" value ({lost} {'row' if lost == 1 else 'rows'})."
        )
    if numbers.more:
        parts.append(f" {numbers.more} more rows are not shown.")
    return "".join(parts)


def plot(numbers: Forest) -> Figure:
    """A row for each comparison: mean and interval, seeds below them, numbers at the right."""
    figure = style.figure(height=0.62 + 0.33 * len(numbers.rows))
    axes = figure.subplots()
    if margin := numbers.margin:
        axes.axvspan(-margin, margin, color=style.RULE, alpha=0.45, lw=0, zorder=0)
    axes.axvline(0, color=style.INK, linewidth=0.8, zorder=1)
    for y, row in enumerate(numbers.rows):
        _draw_row(axes, numbers, row, y)
    reference = naming.cut(numbers.reference, 18 if venues.is_narrow() else 28)
    label = f"{naming.words(numbers.metric)}: row minus {reference}"
    if venues.is_narrow() and len(label) >= 48:
        label = label.replace(": ", ":\n")
    style.rows(axes, [numbers.name(row) for row in numbers.rows], label)
    _write_numbers(axes, numbers)
    return figure


def _draw_row(axes: Axes, numbers: Forest, row: Comparison, y: int) -> None:
    shade = style.colour(0)
    axes.plot(
        [row.difference.low, row.difference.high],
        [y - 0.13] * 2,
        color=shade,
        linewidth=1.5,
        zorder=3,
    )
    decided = row.p_holm < numbers.alpha
    mean = axes.scatter(
        [row.difference.estimate],
        [y - 0.13],
        s=26,
        marker="s",
        facecolors=shade if decided else "none",
        edgecolors=shade,
        linewidths=1.2,
        zorder=4,
    )
    saving.hover(mean, f"{numbers.name(row)} − {numbers.reference}: {_numbers(row)}")
    count = len(row.differences)
    heights = [y + 0.2 + offset for offset in style.spread_out(count, 0.2)]
    named = numbers.seeds if len(numbers.seeds) == count else [f"{n}" for n in range(count)]
    points = list(zip(named, row.differences, heights, numbers.imputed[y], strict=True))
    for lost, shape, size in ((False, "o", 8), (True, "x", 14)):
        some = [(seed, value, at) for seed, value, at, is_imputed in points if is_imputed == lost]
        if not some:
            continue
        marks = axes.scatter(
            [value for _, value, _ in some],
            [at for _, _, at in some],
            s=size,
            marker=shape,
            color=style.QUIET,
            alpha=0.75,
            linewidths=1.0 if lost else 0.0,
            zorder=3,
        )
        saving.hover(marks, *(f"seed {seed}: {value:+.4g}" for seed, value, _ in some))


def _numbers(row: Comparison) -> str:
    mean = row.difference
    interval = f"[{mean.low:+.4g}, {mean.high:+.4g}]"
    return f"{mean.estimate:+.4g} {interval}, p {bare_p(row.p_holm)}"


def _write_numbers(axes: Axes, numbers: Forest) -> None:
    p_values = [bare_p(row.p_holm) for row in numbers.rows]
    if venues.is_narrow():  # there is no room for means next to the rows
        style.column(axes, "p (Holm)", p_values)
        return
    ends = [end for row in numbers.rows for end in (row.difference.low, row.difference.high)]
    unit = max(map(abs, ends))
    means = []
    for row in numbers.rows:
        parts = (row.difference.estimate, row.difference.low, row.difference.high)
        mean, low, high = (naming.signed(part, unit, ends) for part in parts)
        means.append(f"{mean} [{low.lstrip('+')}, {high.lstrip('+')}]")
    style.column(axes, f"mean [{100 * numbers.level:g} % interval]", means)
    style.column(axes, "p (Holm)", p_values, offset=104)


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, of=CONFIRMATION)
