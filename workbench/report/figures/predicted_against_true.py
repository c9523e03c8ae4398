"""Figure: predicted against true numbers of the test split, a panel for each confirmed strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from workbench.plotting import naming, saving, style
from workbench.report.figures import CONFIRMATION, Findings, LeftOut, NotApplicable, ReportFigure
from workbench.report.figures.sides import arms, confirmation_of

_MOST_PANELS = 6
_MOST_POINTS = 300  # of a panel; more cover each other


class Panel(NamedTuple):
    """Some samples of one strategy's model, in the order of the test split."""

    name: str
    true: tuple[float, ...]
    predicted: tuple[float, ...]
    colour: str


class Predictions(NamedTuple):
    """Panels in the order of the report.

    Attributes:
        column: What is predicted.
        samples: Of the test split.
        columns: Those that are not shown.
        strategies: Those that have no room.
    """

    column: str
    samples: int
    panels: tuple[Panel, ...]
    columns: tuple[str, ...]
    strategies: tuple[str, ...]


def summarize(findings: Findings) -> Predictions:
    """The first seed's predictions; raises ``LeftOut`` where none are numbers."""
    if not findings.predictions:
        confirmation_of(findings)
        raise NotApplicable("No tested model predicts numbers.")
    first = {
        arm.name: findings.predictions[run.run_id]
        for arm in confirmation_of(findings).arms
        for run in arm.runs
        if run.number == 0 and run.run_id in findings.predictions
    }
    shown = [arm for arm in arms(findings) if arm.name in first]
    if not shown:
        raise LeftOut("The first run of no strategy was tested.")
    column, *others = first[shown[0].name]
    panels = []
    for arm in shown[:_MOST_PANELS]:
        true, predicted = first[arm.name][column]
        panels.append(Panel(arm.name, _some(true), _some(predicted), arm.colour))
    samples = len(first[shown[0].name][column][0])
    more = tuple(arm.name for arm in shown[_MOST_PANELS:])
    return Predictions(column, samples, tuple(panels), tuple(others), more)


def _some(values: Sequence[float]) -> tuple[float, ...]:
    """Evenly chosen, so that the same samples are shown of every strategy."""
    return tuple(values[:: -(-len(values) // _MOST_POINTS)])


def caption(numbers: Predictions) -> str:
    """What a point is, n, of which models, and what is not shown."""
    text = (
        f"Predicted against true {numbers.column} of n = {numbers.samples} test samples, by the"
        " model of each strategy's first training seed. A point is one sample; on the line the"
        " prediction is exact."
    )
    drawn = len(numbers.panels[0].true)
    if drawn < numbers.samples:
        text += f" {drawn} evenly chosen samples are drawn."
    if left := [*numbers.strategies, *numbers.columns]:
        text += f" Not shown: {', '.join(left)}."
    return text


def plot(numbers: Predictions) -> style.Figure:
    """Small multiples on equal axes, with the line of exact predictions."""
    count = len(numbers.panels)
    columns = 2 if count in (2, 4) else min(count, 3)
    figure, grid = style.panels(count, columns, row=1.9, rest=0.35)
    values = [v for panel in numbers.panels for v in (*panel.true, *panel.predicted)]
    low, high = min(values), max(values)
    margin = 0.04 * (high - low or 1.0)
    ends = (low - margin, high + margin)
    for axes, panel in zip(grid, numbers.panels, strict=True):
        axes.plot(ends, ends, color=style.QUIET, linewidth=0.8, zorder=1)
        drawn = axes.scatter(
            panel.true, panel.predicted, s=9, color=panel.colour, alpha=0.6, linewidths=0, zorder=2
        )
        pairs = zip(panel.true, panel.predicted, strict=True)
        saving.hover(drawn, *(f"true {true:.4g}, predicted {value:.4g}" for true, value in pairs))
        style.panel_label(axes, [panel.name])
        axes.set(xlim=ends, ylim=ends)
    figure.supxlabel(f"true {naming.cut(numbers.column)}")
    figure.supylabel(f"predicted {naming.cut(numbers.column)}")
    return figure


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, of=CONFIRMATION, wide=True)
