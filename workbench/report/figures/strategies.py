"""Figure: value of every completed trial, a row for each strategy."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

from workbench.messages import counted
from workbench.plotting import naming, saving, scale, style
from workbench.report.figures import Findings, LeftOut, ReportFigure
from workbench.report.trials import best, by_strategy, encoding, is_adaptive, may_show_medians


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


def summarize(findings: Findings) -> Strategies:
    """Values by strategy; raises ``LeftOut`` where no trial completed.

    ``trials.may_show_medians`` decides whether rows have a median.
    """
    study, trials = findings.study, findings.trials
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
        f"{naming.capital(naming.words(numbers.metric))} of every completed trial, by strategy. A"
        f" point is one trial: one set of hyperparameters, one seed (n = {shown} trials of"
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


def plot(numbers: Strategies) -> style.Figure:
    """A horizontal strip of points for each strategy, the first at the top."""
    figure = style.figure(height=0.62 + 0.27 * len(numbers.rows))
    axes = figure.subplots()
    values = [value for row in numbers.rows for value in row.values]
    for y, row in enumerate(numbers.rows):
        axes.axhline(y, color=style.RULE, linewidth=0.5, zorder=0)
        heights = [y + offset for offset in style.spread_out(len(row.values), 0.44)]
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
        pairs = zip(row.names, row.values, strict=True)
        saving.hover(points, *(f"{name}: {value:.4g}" for name, value in pairs))
        if row.median is not None:
            axes.plot([row.median] * 2, [y - 0.36, y + 0.36], color=style.INK, linewidth=1.3)
        if row.best is not None:
            style.ring(axes, row.best, heights[row.values.index(row.best)], 58)
    style.rows(axes, [row.strategy for row in numbers.rows], naming.words(numbers.metric))
    style.column(axes, "n", [f"{len(row.values)}" for row in numbers.rows])
    scale.spread(axes, "x", values, numbers.direction)
    return figure


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot)
