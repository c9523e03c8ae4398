"""Figure: value of every completed trial, a row for each strategy."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.plotting import scale, style
from workbench.plotting.canvas import lettered
from workbench.report.figures import LeftOut, ReportFigure
from workbench.report.trials import best, by_strategy, encoding, is_adaptive, may_show_medians
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict.wording.numbers import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Row(NamedTuple):
    """One strategy: values and ``names`` of its completed trials, by number."""

    strategy: str
    colour: int
    values: tuple[float, ...]
    names: tuple[str, ...]
    median: float | None
    best: float | None
    without_value: int


class Strategies(NamedTuple):
    """The rows in the study's order; ``medians`` says whether they may be drawn."""

    metric: str
    direction: str
    rows: tuple[Row, ...]
    medians: bool
    adaptive: bool


def summarize(study: StoredStudy, trials: Sequence[TrialRun]) -> Strategies:
    """Values by strategy; raises ``LeftOut`` where no trial completed.

    ``trials.may_show_medians`` decides whether rows have a median.
    """
    medians = may_show_medians(study, trials)
    codes = encoding(study, trials)
    rows = []
    for strategy, group in by_strategy(study, trials).items():
        valued = [(trial.value, trial.name) for trial in group if trial.value is not None]
        values = tuple(value for value, _ in valued)
        chosen = best(study, group)
        rows.append(
            Row(
                strategy=strategy,
                colour=codes.get(strategy, (0, 0))[0],
                values=values,
                names=tuple(name for _, name in valued),
                median=median(values) if values and medians else None,
                best=chosen.value if chosen else None,
                without_value=len(group) - len(values),
            )
        )
    if not any(row.values for row in rows):
        raise LeftOut("No trial completed, so there is no value to show.")
    return Strategies(
        metric=study.objective.metric,
        direction=study.objective.direction,
        rows=tuple(rows),
        medians=medians,
        adaptive=is_adaptive(study),
    )


def caption(numbers: Strategies) -> str:
    """What a point is, n, and what is not shown."""
    shown = sum(len(row.values) for row in numbers.rows)
    hidden = sum(row.without_value for row in numbers.rows)
    extreme = "highest" if numbers.direction == "maximize" else "lowest"
    text = (
        f"{style.words(numbers.metric).capitalize()} of every completed trial, by strategy. A point"
        f" is one trial: one set of hyperparameters, one seed (n = {shown} trials of"
        f" {len(numbers.rows)} strategies; the number at the right is n of each)."
        f" Ring: {extreme} value."
    )
    text += " Bar: median." if numbers.medians else " No medians: they would not be comparable."
    if hidden:
        without = counted(hidden, "trial")
        text += f" Not shown: {without} without a value (pruned, failed, unfinished)."
    if numbers.adaptive:
        text += (
            " Trials were proposed adaptively, so their spread shows neither the noise of a"
            " strategy nor its sensitivity to hyperparameters."
        )
    return text


@lettered
def draw(numbers: Strategies) -> Figure:
    """A horizontal strip of points for each strategy, the first at the top."""
    with style.context(wide=False):
        count = len(numbers.rows)
        figure = style.figure(height=0.62 + 0.27 * count)
        axes = figure.subplots()
        for y, row in enumerate(numbers.rows):
            axes.axhline(y, color=style.RULE, linewidth=0.5, zorder=0)
            # Multiples of the golden ratio spread any number of points evenly, so none is hidden.
            heights = [
                y + 0.44 * ((index * 0.618034) % 1 - 0.5) for index in range(len(row.values))
            ]
            points = axes.scatter(
                row.values,
                heights,
                s=17,
                color=style.colour(row.colour),
                marker=style.marker(row.colour),
                alpha=0.75,
                linewidths=0,
                zorder=2,
            )
            texts = [
                f"{name}: {value:.4g}" for name, value in zip(row.names, row.values, strict=True)
            ]
            if sum(len(other.values) for other in numbers.rows) <= style.MOST_TOLD:
                style.tell(points, *texts)
            if row.median is not None:
                axes.plot([row.median] * 2, [y - 0.36, y + 0.36], color=style.INK, linewidth=1.3)
            if row.best is not None:
                at = heights[row.values.index(row.best)]
                ring: dict[str, Any] = {
                    "facecolors": "none",
                    "edgecolors": style.INK,
                    "linewidths": 0.9,
                }
                axes.scatter([row.best], [at], s=58, zorder=3, **ring)
            axes.annotate(
                f"{len(row.values)}",
                (1.0, y),
                (4, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                fontsize=style.sizes().small,
                color=style.INK if row.values else style.QUIET,
            )
        axes.annotate(
            "n",
            (1.0, -0.5),
            (4, 2),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="bottom",
            fontsize=style.sizes().small,
            fontstyle="italic",
            color=style.QUIET,
        )
        axes.set_ylim(count - 0.5, -0.5)
        limit = 18 if style.is_narrow() else 28
        names = style.told_apart([row.strategy for row in numbers.rows], limit)
        axes.set_yticks(range(count), names)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(style.words(numbers.metric))
        values = [value for row in numbers.rows for value in row.values]
        scale.spread(axes, "x", values, numbers.direction)
        style.grid(axes, "x")
        return figure


FIGURE = ReportFigure(
    summarize=lambda findings: summarize(findings.study, findings.trials),
    caption=caption,
    draw=draw,
)
