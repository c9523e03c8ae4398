"""Figure: validation metric by epoch, for the confirmation runs or each strategy's best trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from workbench.plotting import naming, saving, scale, style
from workbench.report.figures import CONFIRMATION, SEARCH, Findings, LeftOut, ReportFigure
from workbench.report.trials import best_of_each

_MOST_PANELS = 12


class Curve(NamedTuple):
    """One run: epochs done and the metric."""

    epochs: tuple[float, ...]
    values: tuple[float, ...]


class Panel(NamedTuple):
    """The runs of one arm; ``middle`` is their median while at least half of them are running."""

    name: str
    curves: tuple[Curve, ...]
    middle: Curve


class LearningCurves(NamedTuple):
    """Panels in the study's order; ``confirmed`` says whether the runs are confirmation seeds."""

    metric: str
    direction: str
    panels: tuple[Panel, ...]
    confirmed: bool
    more: int


def summarize(findings: Findings) -> LearningCurves:
    """Histories by arm; raises ``LeftOut`` where there is none."""
    study = findings.study
    metric = study.objective.metric
    if findings.confirmation is None and all(trial.value is None for trial in findings.trials):
        raise LeftOut("No trial completed, so there is no curve to show.")
    panels = _panels(findings, _confirmation_runs(findings))
    confirmed = bool(panels)
    if not panels:
        best = best_of_each(study, findings.trials)
        panels = _panels(findings, {name: [trial.run_id] for name, trial in best.items()})
    if not panels:
        raise LeftOut(f"No run has a history of {metric} with more than one epoch.")
    return LearningCurves(
        metric=metric,
        direction=study.objective.direction,
        panels=tuple(panels[:_MOST_PANELS]),
        confirmed=confirmed,
        more=max(0, len(panels) - _MOST_PANELS),
    )


def _confirmation_runs(findings: Findings) -> dict[str, list[str]]:
    confirmation = findings.confirmation
    # The curves are of validation data, but would let a reader guess unfinished test values.
    if confirmation is None or not confirmation.finished:
        return {}
    return {arm.name: [run.run_id for run in arm.runs] for arm in confirmation.arms}


def _panels(findings: Findings, runs: Mapping[str, Sequence[str]]) -> list[Panel]:
    """A panel for each name that has a run with more than one epoch."""
    metric = findings.study.objective.metric
    panels = []
    for name, run_ids in runs.items():
        histories = [findings.histories.get(run_id, {}).get(metric, ()) for run_id in run_ids]
        curves = [
            Curve(tuple(epoch for epoch, _ in points), tuple(value for _, value in points))
            for points in histories
            if points
        ]
        if any(len(curve.epochs) > 1 for curve in curves):
            panels.append(Panel(name, tuple(curves), _middle(curves)))
    return panels


def _middle(curves: Sequence[Curve]) -> Curve:
    runs = pd.concat([pd.Series(curve.values, curve.epochs) for curve in curves])
    by_epoch = runs.groupby(level=0)
    # Late epochs of the few longest runs alone would bend the median.
    medians = by_epoch.median()[2 * by_epoch.count() >= len(curves)]
    return Curve(tuple(medians.index), tuple(medians))


def caption(numbers: LearningCurves) -> str:
    """What a line is and n."""
    runs = [len(panel.curves) for panel in numbers.panels]
    each = f"{runs[0]}" if len(set(runs)) == 1 else f"{min(runs)} to {max(runs)}"
    metric = naming.words(numbers.metric)
    if numbers.confirmed:
        text = (
            f"{naming.capital(metric)} against epochs in the confirmation. A faint line is one"
            f" training seed (n = {each} for each strategy); the bold line is their median, drawn"
            " while at least half of the runs have a value."
        )
    else:
        text = (
            f"{naming.capital(metric)} against epochs of each strategy's best search trial"
            f" (n = {sum(runs)} trials, one of each strategy, one seed). The best trials were"
            " selected by these values, so the curves are optimistic."
        )
    return text + (f" {numbers.more} more are not shown." if numbers.more else "")


def plot(numbers: LearningCurves) -> style.Figure:
    """A panel for each arm on shared axes."""
    count = len(numbers.panels)
    lines = 1 if count <= 4 else max(2, -(-count // 5))
    columns = -(-count // lines)
    figure, grid = style.panels(count, columns, row=1.45 if lines > 1 else 1.9, rest=0.45)
    for axes, panel in zip(grid, numbers.panels, strict=True):
        _draw_panel(axes, panel)
        style.panel_label(axes, [naming.cut(panel.name, 18)])
    for axes in grid[-columns:]:
        axes.tick_params(labelbottom=True)  # also above a place without a panel
    grid[0].locator_params(axis="x", integer=True)
    values = [v for panel in numbers.panels for curve in panel.curves for v in curve.values]
    scale.spread(grid[0], "y", values, numbers.direction)
    figure.supxlabel("epoch")
    figure.supylabel(naming.words(numbers.metric))
    return figure


def _draw_panel(axes: style.Axes, panel: Panel) -> None:
    for curve in panel.curves if len(panel.curves) > 1 else ():
        axes.plot(curve.epochs, curve.values, color=style.colour(0), linewidth=0.6, alpha=0.35)
    middle = panel.middle
    axes.plot(middle.epochs, middle.values, color=style.colour(0), linewidth=1.5)
    # Invisible points that carry the values shown under the mouse pointer.
    points = axes.scatter(middle.epochs, middle.values, s=14, color=style.colour(0), alpha=0.0)
    kind = "median " if len(panel.curves) > 1 else ""
    pairs = zip(middle.epochs, middle.values, strict=True)
    saving.hover(points, *(f"{panel.name}, epoch {epoch:g}: {kind}{v:.4g}" for epoch, v in pairs))


FIGURE = ReportFigure(
    summarize=summarize,
    caption=caption,
    plot=plot,
    of=lambda numbers: CONFIRMATION if numbers.confirmed else SEARCH,
    wide=True,
)
