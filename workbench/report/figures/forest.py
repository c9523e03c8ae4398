"""Paired differences of every rival to the leader, with each seed's point: what a verdict rests on.

Where a study contrasts against its baseline, the rows are the arms and the reference is the
baseline. A difference is the row's value minus the reference's, as in the tables of a paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.plotting import style
from workbench.report.figures import LeftOut, ReportFigure
from workbench.report.figures.arms import SEEDS, SOURCE, Comparison, compared, how_tested
from workbench.report.findings import Findings
from workbench.verdict.guards import Bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_ROWS = 30


class Forest(NamedTuple):
    """Rows of differences to one reference, the best row first.

    Attributes:
        reference: The leader, or the baseline of a contrast with it.
        rows: ``first`` and ``second`` are turned so that each difference is the row's value minus
            the reference's.
        more: Rows that did not fit.
        tested: How p was computed.
    """

    metric: str
    direction: str
    reference: str
    rows: tuple[Comparison, ...]
    more: int
    n: int
    seeds: tuple[str, ...]
    level: float
    alpha: float
    margin: float | None
    tested: str
    bar: str

    def name(self, row: Comparison) -> str:
        """The side of a row that is not the reference."""
        return row.second if row.first == self.reference else row.first


def summarize(findings: Findings) -> Forest:
    """Differences to the leader (or from the baseline); raises ``LeftOut`` where none was made."""
    found = compared(findings)
    against_baseline = found.contrast == "baseline" and found.baseline is not None
    reference = str(found.baseline) if against_baseline else found.leader
    rows = []
    for item in found.comparisons:
        if reference in (item.first, item.second):
            # A comparison is positive where its first is nearer to the objective.
            wanted = (item.second == reference) == (found.direction == "maximize")
            rows.append(item if wanted else item.flipped())
    if not rows:
        raise LeftOut(f"No comparison involves {reference}.")
    rows.sort(key=lambda item: item.mean, reverse=found.direction == "maximize")
    shown = rows[:_MOST_ROWS]
    n = min(len(item.differences) for item in shown)
    # No bar is drawn that does not say what it is (refusal 11).
    bars = [
        Bar(low=item.low, high=item.high, kind="CI", n=n, source=SEEDS, level=found.level)
        for item in shown
    ]
    return Forest(
        metric=found.metric,
        direction=found.direction,
        reference=reference,
        rows=tuple(shown),
        more=len(rows) - len(shown),
        n=n,
        seeds=found.seeds,
        level=found.level,
        alpha=found.alpha,
        margin=found.margin,
        tested=how_tested(found),
        bar=bars[0].label,
    )


def caption(numbers: Forest) -> str:
    """What a point, a bar and the band are, n, and how p was computed."""
    better = "higher" if numbers.direction == "maximize" else "lower"
    parts = [
        f"Paired differences in {style.words(numbers.metric)}, seed by seed: the value of the row"
        f" minus that of {numbers.reference}; {better} values are better"
        f" (n = {numbers.n} seeds, the same for every row). A dot is one seed, the square their"
        f" mean, the bar its t interval ({numbers.bar}). {SOURCE}"
        f" Filled square: Holm-corrected p < {numbers.alpha:g} ({numbers.tested}).",
    ]
    if numbers.margin is not None:
        parts.append(
            f" Band: differences up to {numbers.margin:g}, the smallest effect that matters."
        )
    if lost := sum(any(row.imputed) for row in numbers.rows):
        parts.append(
            f" Cross: a run behind the difference diverged or failed and counts with the worst"
            f" value ({lost} {'row' if lost == 1 else 'rows'})."
        )
    if numbers.more:
        parts.append(f" {numbers.more} rows farther away are not shown.")
    return "".join(parts)


def draw(numbers: Forest) -> Figure:
    """A row for each comparison: mean and interval, seeds below them, numbers at the right."""
    with style.context(wide=False):
        count = len(numbers.rows)
        figure = style.figure(height=0.62 + 0.33 * count)
        axes = figure.subplots()
        if numbers.margin:
            axes.axvspan(
                -numbers.margin, numbers.margin, color=style.RULE, alpha=0.45, lw=0, zorder=0
            )
        axes.axvline(0, color=style.INK, linewidth=0.8, zorder=1)
        for y, row in enumerate(numbers.rows):
            _draw_row(axes, numbers, row, y)
        _write_numbers(axes, numbers)
        axes.set_ylim(count - 0.45, -0.6)
        names = style.told_apart([numbers.name(row) for row in numbers.rows], _room())
        axes.set_yticks(range(count), names)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(_axis(numbers))
        style.grid(axes, "x")
        return figure


def _room() -> int:
    return 18 if style.is_narrow() else 28


def _axis(numbers: Forest) -> str:
    reference = style.cut(numbers.reference, _room())
    text = f"{style.words(numbers.metric)}: row minus {reference}"
    return text if len(text) < 48 or not style.is_narrow() else text.replace(": ", ":\n")


def _draw_row(axes: Axes, numbers: Forest, row: Comparison, y: int) -> None:
    shade = style.colour(0)
    axes.plot([row.low, row.high], [y - 0.13] * 2, color=shade, linewidth=1.5, zorder=3)
    decided = row.p_holm < numbers.alpha
    mean = axes.scatter(
        [row.mean],
        [y - 0.13],
        s=26,
        marker="s",
        facecolors=shade if decided else "none",
        edgecolors=shade,
        linewidths=1.2,
        zorder=4,
    )
    style.tell(mean, f"{numbers.name(row)} − {numbers.reference}: {_numbers(row)}")
    count = len(row.differences)
    # Equal differences must not hide each other.
    heights = [y + 0.2 + 0.2 * ((index * 0.618034) % 1 - 0.5) for index in range(count)]
    named = numbers.seeds if len(numbers.seeds) == count else [f"{n}" for n in range(count)]
    seeds = list(zip(named, row.differences, heights, row.imputed, strict=True))
    for lost, shape, size in ((False, "o", 8), (True, "x", 14)):
        some = [(seed, value, at) for seed, value, at, imputed in seeds if imputed == lost]
        if not some:
            continue
        points = axes.scatter(
            [value for _, value, _ in some],
            [at for _, _, at in some],
            s=size,
            marker=shape,
            color=style.QUIET,
            alpha=0.75,
            linewidths=1.0 if lost else 0.0,
            zorder=3,
        )
        style.tell(points, *(f"seed {seed}: {value:+.4g}" for seed, value, _ in some))


def _numbers(row: Comparison) -> str:
    return f"{row.mean:+.4g} [{row.low:+.4g}, {row.high:+.4g}], p {style.p_value(row.p_holm)}"


def _write_numbers(axes: Axes, numbers: Forest) -> None:
    ends = [end for row in numbers.rows for end in (row.low, row.high)]
    unit = max(map(abs, ends))
    look: dict[str, Any] = {
        "xycoords": ("axes fraction", "data"),
        "textcoords": "offset points",
        "va": "center",
        "fontsize": style.sizes().small,
    }
    # Mean and interval only where there is room for them beside the rows.
    columns: list[tuple[str, float]] = [("p (Holm)", 4)]
    if not style.is_narrow():
        columns = [(f"mean [{100 * numbers.level:g} % interval]", 4), ("p (Holm)", 104)]
    for title, offset in columns:
        axes.annotate(
            title, (1.0, -0.6), (offset, 1), **look | {"va": "bottom", "color": style.QUIET}
        )
        for y, row in enumerate(numbers.rows):
            text = style.p_value(row.p_holm)
            if title.startswith("mean"):
                mean, low, high = (
                    style.signed(x, unit, ends) for x in (row.mean, row.low, row.high)
                )
                text = f"{mean} [{low}, {high}]".replace("[+", "[").replace(", +", ", ")
            axes.annotate(text, (1.0, y), (offset, 0), color=style.INK, **look)


FIGURE = ReportFigure(summarize=summarize, caption=caption, draw=draw)
