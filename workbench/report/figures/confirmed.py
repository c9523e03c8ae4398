"""The test value of every confirmation run, a row for each arm, with mean and interval.

Shows arms, not pairs: seeds are shared, so rows whose intervals overlap may still differ seed by
seed. Knows nothing of the verdict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.plotting import scale, style
from workbench.report.figures import ReportFigure
from workbench.report.figures.arms import SOURCE, Arm, confirmed, looks
from workbench.report.findings import Findings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Row(NamedTuple):
    """An arm with its colour and marker."""

    arm: Arm
    colour: str
    marker: str


class Values(NamedTuple):
    """Rows in the report's order: by mean, unless the arms are not comparable."""

    metric: str
    direction: str
    rows: tuple[Row, ...]
    n: int
    at_bounds: bool


def summarize(findings: Findings) -> Values:
    """Values by arm; raises ``LeftOut`` before the confirmation is finished."""
    found = confirmed(findings)
    look = looks(findings, found.arms)
    return Values(
        metric=found.metric,
        direction=found.direction,
        rows=tuple(Row(arm, *look[arm.name]) for arm in found.arms),
        n=found.n,
        at_bounds=found.at_bounds,
    )


def caption(numbers: Values) -> str:
    """What a point and a bar are, n, and why rows are not to be compared by their bars."""
    fewest = min(len(row.arm.runs) for row in numbers.rows)
    each = f"{numbers.n}" if fewest == numbers.n else f"{fewest} to {numbers.n}"
    text = (
        f"{style.words(numbers.metric).capitalize()} of every confirmation run, by arm. A point is"
        f" one training seed (n = {each} for each arm, the same seeds); line: mean; bar: t interval"
        f" of the mean (95 % CI over {each} training seeds). {SOURCE} Because seeds are shared, the"
        " paired differences compare arms, not the overlap of these bars."
    )
    if numbers.at_bounds:
        text += " Bars end where the metric does."
    if imputed := sum(run.imputed for row in numbers.rows for run in row.arm.runs):
        text += (
            f" Cross: {imputed} {'run' if imputed == 1 else 'runs'} diverged or failed and"
            f" {'counts' if imputed == 1 else 'count'} with the worst value."
        )
    return text


def draw(numbers: Values) -> Figure:
    """A strip of points for each arm over its interval, and its mean at the right."""
    with style.context(wide=False):
        count = len(numbers.rows)
        figure = style.figure(height=0.62 + 0.29 * count)
        axes = figure.subplots()
        for y, row in enumerate(numbers.rows):
            _draw_row(axes, row, y)
        unit = max(abs(row.arm.mean) for row in numbers.rows)
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
                style.signed(row.arm.mean, unit).lstrip("+"),
                (1.0, y),
                (4, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                fontsize=style.sizes().small,
            )
        axes.set_ylim(count - 0.5, -0.5)
        limit = 18 if style.is_narrow() else 28
        axes.set_yticks(
            range(count), style.told_apart([row.arm.name for row in numbers.rows], limit)
        )
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(style.words(numbers.metric))
        values = [run.value for row in numbers.rows for run in row.arm.runs]
        scale.spread(axes, "x", values, numbers.direction)
        style.grid(axes, "x")
        return figure


def _draw_row(axes: Axes, row: Row, y: int) -> None:
    arm = row.arm
    axes.axhline(y, color=style.RULE, linewidth=0.5, zorder=0)
    box: dict[str, float] = {"left": arm.low, "width": arm.high - arm.low, "height": 0.62}
    bar = axes.barh(y, **box, color=row.colour, alpha=0.2, linewidth=0, zorder=1)  # type: ignore[arg-type]
    style.tell(bar[0], f"{arm.name}: {arm.mean:.4g} [{arm.low:.4g}, {arm.high:.4g}]")
    axes.plot([arm.mean] * 2, [y - 0.31, y + 0.31], color=row.colour, linewidth=1.6, zorder=2)
    heights = [y + 0.4 * ((index * 0.618034) % 1 - 0.5) for index in range(len(arm.runs))]
    for imputed, shape in ((False, row.marker), (True, "x")):
        chosen = [
            (run, at) for run, at in zip(arm.runs, heights, strict=True) if run.imputed == imputed
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


FIGURE = ReportFigure(summarize=summarize, caption=caption, draw=draw)
