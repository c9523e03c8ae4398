"""Figure: test value of every confirmation run, with mean and interval, a row for each arm.

Arms share their seeds, so arms whose intervals overlap may still differ on every seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.plotting import scale, style
from workbench.plotting.canvas import lettered
from workbench.report.figures import CONFIRMATION, Findings, ReportFigure
from workbench.report.figures.sides import ends, finished, looks, mean, valued

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Row(NamedTuple):
    """An arm with its colour and marker; ``runs`` are those whose values count."""

    name: str
    mean: float
    low: float
    high: float
    runs: tuple[Point, ...]
    colour: str
    marker: str


class Point(NamedTuple):
    """One seed; ``imputed`` where its run diverged or failed and has the worst value."""

    seed: str
    value: float
    imputed: bool


class Values(NamedTuple):
    """Rows in the report's order: by mean, unless the arms are not comparable.

    Attributes:
        at_bounds: Whether an interval ends at a bound of the metric, and so may have been cut.
        source: What varies between the runs of an arm, a sentence.
    """

    metric: str
    direction: str
    rows: tuple[Row, ...]
    n: int
    at_bounds: bool
    source: str


def summarize(findings: Findings) -> Values:
    """Values by arm; raises ``LeftOut`` before the confirmation is finished."""
    confirmation = finished(findings)
    protocol, arms = confirmation.protocol, valued(confirmation)
    look = looks(findings, arms)
    rows = []
    for arm in arms:
        points = tuple(
            Point(run.seed, run.counted, run.imputed) for run in arm.runs if run.counted is not None
        )
        rows.append(Row(arm.name, mean(arm), *ends(arm), points, *look[arm.name]))
    lowest, highest = protocol.bounds
    return Values(
        metric=protocol.metric,
        direction=protocol.direction,
        rows=tuple(rows),
        n=max(len(row.runs) for row in rows),
        at_bounds=any(row.low == lowest or row.high == highest for row in rows),
        source=findings.source,
    )


def caption(numbers: Values) -> str:
    """What a point and a bar are, n, and why overlapping bars do not compare rows."""
    fewest = min(len(row.runs) for row in numbers.rows)
    each = f"{numbers.n}" if fewest == numbers.n else f"{fewest} to {numbers.n}"
    text = (
        f"{style.words(numbers.metric).capitalize()} of every confirmation run, by strategy. A"
        f" point is one training seed (n = {each} for each strategy, the same seeds); line: mean;"
        f" bar: t interval of the mean (95 % CI over {each} training seeds). {numbers.source}"
        " Because strategies share seeds, compare them by paired differences, not by the overlap"
        " of these bars."
    )
    if numbers.at_bounds:
        text += " Bars end at the bounds of the metric."
    if imputed := sum(run.imputed for row in numbers.rows for run in row.runs):
        text += (
            f" Cross: {imputed} {'run' if imputed == 1 else 'runs'} diverged or failed and"
            f" {'counts' if imputed == 1 else 'count'} with the worst value."
        )
    return text


@lettered
def draw(numbers: Values) -> Figure:
    """A strip of points for each arm over its interval, and its mean at the right."""
    with style.context(wide=False):
        count = len(numbers.rows)
        figure = style.figure(height=0.62 + 0.29 * count)
        axes = figure.subplots()
        for y, row in enumerate(numbers.rows):
            _draw_row(axes, row, y)
        unit = max(abs(row.mean) for row in numbers.rows)
        axes.annotate(
            "mean",
            (1.0, -0.5),
            (4, 2),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="bottom",
            fontsize=style.sizes().small,
            color=style.QUIET,
        )
        for y, row in enumerate(numbers.rows):
            axes.annotate(
                style.signed(row.mean, unit).lstrip("+"),
                (1.0, y),
                (4, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                fontsize=style.sizes().small,
            )
        axes.set_ylim(count - 0.5, -0.5)
        limit = 18 if style.is_narrow() else 28
        axes.set_yticks(range(count), style.told_apart([row.name for row in numbers.rows], limit))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(style.words(numbers.metric))
        values = [run.value for row in numbers.rows for run in row.runs]
        scale.spread(axes, "x", values, numbers.direction)
        style.grid(axes, "x")
        return figure


def _draw_row(axes: Axes, row: Row, y: int) -> None:
    axes.axhline(y, color=style.RULE, linewidth=0.5, zorder=0)
    box: dict[str, float] = {"left": row.low, "width": row.high - row.low, "height": 0.62}
    bar = axes.barh(y, **box, color=row.colour, alpha=0.2, linewidth=0, zorder=1)  # type: ignore[arg-type]
    style.tell(bar[0], f"{row.name}: {row.mean:.4g} [{row.low:.4g}, {row.high:.4g}]")
    axes.plot([row.mean] * 2, [y - 0.31, y + 0.31], color=row.colour, linewidth=1.6, zorder=2)
    # Multiples of the golden ratio spread any number of points evenly, so that none hides another.
    heights = [y + 0.4 * ((index * 0.618034) % 1 - 0.5) for index in range(len(row.runs))]
    for imputed, shape in ((False, row.marker), (True, "x")):
        chosen = [
            (run, at) for run, at in zip(row.runs, heights, strict=True) if run.imputed == imputed
        ]
        if chosen:
            points = axes.scatter(
                [run.value for run, _ in chosen],
                [at for _, at in chosen],
                s=20 if row.marker == "*" else 13,
                color=row.colour,
                marker=shape,
                alpha=0.85,
                linewidths=1.0 if imputed else 0,
                zorder=3,
            )
            style.tell(points, *(f"seed {run.seed}: {run.value:.4g}" for run, _ in chosen))


FIGURE = ReportFigure(summarize=summarize, caption=caption, draw=draw, of=CONFIRMATION)
