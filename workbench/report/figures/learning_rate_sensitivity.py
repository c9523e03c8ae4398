"""Figure: value of each trial against its learning rate.

Pruned and failed trials have no value; marks at the bottom show their learning rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.plotting import scale, style
from workbench.plotting.canvas import lettered
from workbench.record import State
from workbench.report.figures import LeftOut, ReportFigure
from workbench.report.figures.bounds import hits
from workbench.report.trials import is_adaptive, varied
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PANELS = 6
_COLUMNS = 3


class Series(NamedTuple):
    """Trials of one colour in one panel; ``rates[i]`` belongs to ``values[i]``."""

    panel: int
    colour: int
    rates: tuple[float, ...]
    values: tuple[float, ...]
    pruned: tuple[float, ...]
    failed: tuple[float, ...]


class Sensitivity(NamedTuple):
    """Panels by the level of one factor, colours by another's; a factor of None is not shown.

    Attributes:
        at_bound: Strategies whose best trial is at a bound of its range of learning rates.
        several_phases: Whether phases have different learning rates, of which the last is shown.
    """

    metric: str
    direction: str
    panel_factor: str | None
    panels: tuple[str, ...]
    colour_factor: str | None
    colours: tuple[str, ...]
    series: tuple[Series, ...]
    at_bound: tuple[str, ...]
    several_phases: bool
    adaptive: bool


def summarize(study: StoredStudy, trials: Sequence[TrialRun]) -> Sensitivity:
    """Series by panel and colour; raises ``LeftOut`` where learning rates or values are missing.

    Colours are optimizers where these differ, because a learning rate has a different meaning for
    each; panels are freeze depths. Without these, other factors are used.
    """
    if all(trial.value is None for trial in trials):
        raise LeftOut("No trial completed, so there is no value to show.")
    if len({trial.learning_rate for trial in trials if trial.learning_rate is not None}) < 2:
        raise LeftOut("All trials have the same learning rate.")
    factors = varied(study, trials)
    colour = "optimizer" if "optimizer" in factors else next(iter(factors), None)
    rest = [name for name in factors if name != colour and len(factors[name]) <= _MOST_PANELS]
    panel = "freeze_depth" if "freeze_depth" in rest else next(iter(rest), None)
    panels = factors[panel] if panel else ("",)
    colours = factors[colour] if colour else ("",)
    series = []
    for row, panel_label in enumerate(panels):
        for index, colour_label in enumerate(colours):
            group = [
                t
                for t in trials
                if (not panel or t.label(panel) == panel_label)
                and (not colour or t.label(colour) == colour_label)
            ]
            points = [
                (t.learning_rate, t.value)
                for t in group
                if t.value is not None and t.learning_rate is not None
            ]
            series.append(
                Series(
                    panel=row,
                    colour=index,
                    rates=tuple(rate for rate, _ in points),
                    values=tuple(value for _, value in points),
                    pruned=_rates(group, State.PRUNED),
                    failed=_rates(group, State.FAILED),
                )
            )
    return Sensitivity(
        metric=study.objective.metric,
        direction=study.objective.direction,
        panel_factor=panel,
        panels=panels,
        colour_factor=colour,
        colours=colours,
        series=tuple(series),
        at_bound=tuple(
            dict.fromkeys(
                hit.strategy for hit in hits(study, trials) if hit.knob.endswith("learning_rate")
            )
        ),
        several_phases=any(item.knob.endswith(".learning_rate") for item in study.tune),
        adaptive=is_adaptive(study),
    )


def _rates(group: Sequence[TrialRun], state: State) -> tuple[float, ...]:
    return tuple(t.learning_rate for t in group if t.state == state and t.learning_rate is not None)


def caption(numbers: Sensitivity) -> str:
    """What a point is, n, and a warning where a best trial is at a bound of its range."""
    shown = sum(len(series.values) for series in numbers.series)
    pruned = sum(len(series.pruned) for series in numbers.series)
    failed = sum(len(series.failed) for series in numbers.series)
    parts = [
        f"{style.words(numbers.metric).capitalize()} against learning rate",
        f", by {style.words(numbers.colour_factor)}" if numbers.colour_factor else "",
        f" and {style.words(numbers.panel_factor)}" if numbers.panel_factor else "",
        f". A point is one completed trial (n = {shown})",
        "; its other hyperparameters differ too.",
    ]
    if pruned or failed:
        parts.append(f" Marks in the grey strip have no value: {pruned} pruned, {failed} failed.")
    if numbers.several_phases:
        parts.append(" The learning rate is that of a trial's last phase.")
    if numbers.adaptive:
        parts.append(" The sampler preferred settings with good values, so points are dense there.")
    if numbers.at_bound:
        parts.append(
            " Warning: the best trial is at a bound of its range for"
            f" {', '.join(numbers.at_bound)}; values outside the range are unknown."
        )
    return "".join(parts)


@lettered
def draw(numbers: Sensitivity) -> Figure:
    """Small multiples on shared axes, with a band below where trials have no value."""
    with style.context(wide=True):
        columns = min(len(numbers.panels), _COLUMNS)
        rows = -(-len(numbers.panels) // columns)
        legend = style.legend_rows(numbers.colours)
        height = 0.55 + (1.95 if columns > 1 else 2.5) * rows + 0.17 * (legend - 1)
        figure = style.figure(height=height)
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        rates = [rate for s in numbers.series for rate in (*s.rates, *s.pruned, *s.failed)]
        values = [value for s in numbers.series for value in s.values]
        few = len(values) <= style.MOST_TOLD  # hover texts for all points or for none
        without = any(series.pruned or series.failed for series in numbers.series)
        for panel, axes in enumerate(grid):
            if panel >= len(numbers.panels):
                axes.set_visible(False)
                continue
            axes.set_xlim(min(rates) / 1.5, max(rates) * 1.5)
            scale.logarithmic(axes, "x")
            if without:
                scale.band(axes)
            _draw_panel(axes, [s for s in numbers.series if s.panel == panel], told=few)
            if numbers.panel_factor:
                label = f"{style.words(numbers.panel_factor)} {numbers.panels[panel]}"
                style.panel_label(axes, [label])
        (scale.leave_band if without else scale.leave_room)(grid[0], values, numbers.direction)
        for axes in grid:
            style.grid(axes)
        figure.supxlabel("learning rate")
        figure.supylabel(style.words(numbers.metric))
        _legend(figure, numbers)
        return figure


def _draw_panel(axes: Axes, series: Sequence[Series], *, told: bool) -> None:
    for item in series:
        shade = style.colour(item.colour)
        look: dict[str, Any] = {"color": shade, "alpha": 0.8}
        points = axes.scatter(
            item.rates, item.values, s=19, marker=style.marker(item.colour), linewidths=0, **look
        )
        if told:
            pairs = zip(item.rates, item.values, strict=True)
            style.tell(points, *(f"{v:.4g} at {style.decimal(rate)}" for rate, v in pairs))
        # In axes units vertically, because these trials have no value.
        bottom: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "zorder": 3}
        axes.scatter(
            item.pruned,
            [0.09] * len(item.pruned),
            s=24,
            marker="|",
            linewidths=1.1,
            **look,
            **bottom,
        )
        axes.scatter(
            item.failed,
            [0.03] * len(item.failed),
            s=15,
            marker="x",
            linewidths=1.0,
            **look,
            **bottom,
        )


def _legend(figure: Figure, numbers: Sensitivity) -> None:
    entries = []
    if numbers.colour_factor:
        entries += [
            (label, style.colour(index), style.marker(index))
            for index, label in enumerate(numbers.colours)
        ]
    if any(series.pruned for series in numbers.series):
        entries.append(("pruned", style.QUIET, "|"))
    if any(series.failed for series in numbers.series):
        entries.append(("failed", style.QUIET, "x"))
    if entries:
        style.legend_of_markers(figure, entries)


FIGURE = ReportFigure(
    summarize=lambda findings: summarize(findings.study, findings.trials),
    caption=caption,
    draw=draw,
    wide=True,
)
