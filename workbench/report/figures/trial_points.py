"""Small multiples of the values of trials, coloured by a factor.

Used by ``learning_rate_sensitivity`` and ``slices``. Pruned and failed trials have no value; marks
in a grey strip at the bottom show their settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from workbench.plotting import naming, saving, scale, style
from workbench.record import State
from workbench.report.checks.bounds import Bound, with_warning
from workbench.report.figures import Findings
from workbench.report.trials import is_adaptive, varying_factors
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun

# Marker of a trial without a value, and its height in the strip as a share of the axes.
_MARKS = {State.PRUNED: ("|", 0.09), State.FAILED: ("x", 0.03)}


class Point(NamedTuple):
    """One trial in one panel; ``at`` is a setting, or the index of a choice."""

    at: float
    value: float | None
    state: State
    colour: int
    trial: str


class Panel(NamedTuple):
    """One panel: ``choices`` are empty for a number, ``log`` is the scale of the settings."""

    name: str
    choices: tuple[str, ...]
    log: bool
    points: tuple[Point, ...]


class TrialPoints(NamedTuple):
    """The panels, with what their captions say of all of them.

    Attributes:
        factor: Shown by colour; None: no factor differs.
        colours: The levels of that factor.
        at_bound: Settings of best trials that are at a bound of their range.
        panel_factor: Whose levels the panels are; None: they are knobs, or there is one panel.
        several_phases: Whether phases have different learning rates, of which the last is shown.
        more: Knobs that have no room.
    """

    metric: str
    direction: str
    factor: str | None
    colours: tuple[str, ...]
    panels: tuple[Panel, ...]
    at_bound: tuple[Bound, ...]
    adaptive: bool
    panel_factor: str | None = None
    several_phases: bool = False
    more: tuple[str, ...] = ()

    @property
    def points(self) -> list[Point]:
        """Those of all panels."""
        return [point for panel in self.panels for point in panel.points]

    def count(self, state: State) -> int:
        """Trials in a state; one with a point in each of several panels counts once."""
        return len({point.trial for point in self.points if point.state == state})


def colour_factor(
    study: StoredStudy, trials: Sequence[TrialRun]
) -> tuple[str | None, tuple[str, ...]]:
    """The factor that colours show, and its levels: the optimizer where it differs.

    A learning rate has a different meaning for each optimizer.
    """
    factors = varying_factors(study, trials)
    name = "optimizer" if "optimizer" in factors else next(iter(factors), None)
    return name, factors[name] if name else ("",)


def points(
    trials: Sequence[TrialRun],
    factor: str | None,
    colours: Sequence[str],
    place: Callable[[TrialRun], float | None],
) -> tuple[Point, ...]:
    """The trials that have a level of the factor and a place on the horizontal axis."""
    shown_points = []
    for trial in trials:
        at, level = place(trial), trial.label(factor) if factor else ""
        if at is None or level not in colours:
            continue
        if trial.value is not None or trial.state in _MARKS:
            colour = colours.index(level)
            shown_points.append(Point(at, trial.value, trial.state, colour, trial.name))
    return tuple(shown_points)


def summarize(
    findings: Findings, panels: Sequence[Panel], at_bound: Sequence[Bound]
) -> TrialPoints:
    """The panels with what is the same in both figures."""
    study, trials = findings.study, findings.trials
    factor, colours = colour_factor(study, trials)
    return TrialPoints(
        metric=study.objective.metric,
        direction=study.objective.direction,
        factor=factor,
        colours=colours,
        panels=tuple(panels),
        at_bound=tuple(at_bound),
        adaptive=is_adaptive(study),
    )


def full_caption(numbers: TrialPoints, text: str) -> str:
    """A caption with what applies to both figures, and a warning about bounds."""
    pruned, failed = numbers.count(State.PRUNED), numbers.count(State.FAILED)
    if pruned or failed:
        text += f" Marks in the grey strip have no value: {pruned} pruned, {failed} failed."
    if numbers.adaptive:
        text += " The sampler preferred settings with good values, so points are dense there."
    return with_warning(text, numbers.at_bound)


def plot(
    numbers: TrialPoints, columns: int, *, row: float, sharex: bool
) -> tuple[style.Figure, list[style.Axes]]:
    """Small multiples with a legend, on one axis of values.

    Args:
        numbers: What to draw.
        columns: How many panels a line has.
        row: Height of a line in inches.
        sharex: Whether all panels have the same horizontal axis.
    """
    entries = style.entries(numbers.colours) if numbers.factor else []
    states = {point.state for point in numbers.points}
    entries += [
        style.Entry(str(state), style.QUIET, marker)
        for state, (marker, _) in _MARKS.items()
        if state in states
    ]
    figure, grid = style.panels(
        len(numbers.panels), columns, row=row, rest=0.35, entries=entries, sharex=sharex
    )
    values = [point.value for point in numbers.points if point.value is not None]
    strip = len(values) < len(numbers.points)
    for axes, panel in zip(grid, numbers.panels, strict=True):
        if strip:
            scale.band(axes)
        _draw_panel(axes, panel)
    scale.leave_room(grid[0], values, numbers.direction, strip=strip)
    figure.supylabel(naming.words(numbers.metric))
    return figure, grid


def _draw_panel(axes: style.Axes, panel: Panel) -> None:
    if panel.choices:
        axes.set_xticks(range(len(panel.choices)), naming.distinct(panel.choices, 12))
        axes.set_xlim(-0.5, len(panel.choices) - 0.5)
    # One scatter for each colour and state, because a scatter has one marker.
    for colour in sorted({point.colour for point in panel.points}):
        own = [point for point in panel.points if point.colour == colour]
        _draw_values(axes, panel, [p for p in own if p.value is not None])
        for state, (marker, height) in _MARKS.items():
            some = [point for point in own if point.state == state]
            axes.scatter(
                _places(panel, some),
                [height] * len(some),
                s=18,
                marker=marker,
                linewidths=1.0,
                color=style.colour(colour),
                alpha=0.8,
                # In axes units vertically, because these trials have no value.
                transform=axes.get_xaxis_transform(),
                zorder=3,
            )


def _draw_values(axes: style.Axes, panel: Panel, points: Sequence[Point]) -> None:
    if not points:
        return
    drawn = axes.scatter(
        _places(panel, points),
        [point.value or 0.0 for point in points],
        s=17,
        marker=style.marker(points[0].colour),
        linewidths=0,
        color=style.colour(points[0].colour),
        alpha=0.8,
    )
    settings = [panel.choices[int(p.at)] if panel.choices else f"{p.at:g}" for p in points]
    texts = [
        f"{point.trial}: {point.value:.4g} at {setting}"
        for point, setting in zip(points, settings, strict=True)
    ]
    saving.hover(drawn, *texts)


def _places(panel: Panel, points: Sequence[Point]) -> list[float]:
    """Horizontal places; those of one choice are spread out."""
    offsets = style.spread_out(len(points), 0.5 if panel.choices else 0.0)
    return [point.at + offset for point, offset in zip(points, offsets, strict=True)]
