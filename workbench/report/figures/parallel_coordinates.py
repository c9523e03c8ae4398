"""Figure: every completed trial as a line over its knobs to its value.

Shown in the page only, because it is too crowded to print.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.plotting import naming, saving, style, venues
from workbench.report.checks.bounds import Bound, of_best_trials, position, warned
from workbench.report.figures import Findings, LeftOut, ReportFigure
from workbench.report.trials import ranked
from workbench.tracker.stored_study import StoredStudy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_LINES = 200
_MOST_AXES = 8


class Axis(NamedTuple):
    """One knob: from ``low`` to ``high``, or with the names of its choices."""

    name: str
    choices: tuple[str, ...]
    low: float
    high: float
    log: bool


class Line(NamedTuple):
    """One trial; ``heights`` in [0, 1] on each axis, None where the knob does not apply."""

    trial: str
    heights: tuple[float | None, ...]
    hover: str


class ParallelCoordinates(NamedTuple):
    """The last axis is the value; ``n`` trials completed, not all of which may have a line."""

    metric: str
    axes: tuple[Axis, ...]
    lines: tuple[Line, ...]
    n: int
    at_bound: tuple[Bound, ...]


def summarize(findings: Findings) -> ParallelCoordinates:
    """Lines from the worst to the best trial; raises ``LeftOut`` where fewer than three complete.

    Of more than 200 trials, a regular part by value is shown, which includes the best.
    """
    study, trials = findings.study, findings.trials
    done = ranked(study, trials)[::-1]
    if not done:
        raise LeftOut("No trial completed, so there is no value to show.")
    settings = [
        {**{name: trial.levels.get(name) for name in study.factors}, **trial.hyperparameters}
        for trial in done
    ]
    names = list(dict.fromkeys(name for own in settings for name in own))
    columns = {name: [own.get(name) for own in settings] for name in names}
    varying = [name for name in names if len({v for v in columns[name] if v is not None}) > 1]
    if len(done) < 3 or len(varying) < 2:
        raise LeftOut("Fewer than three completed trials, or fewer than two knobs that vary.")
    axes = [_axis(study, name, columns[name]) for name in varying[: _MOST_AXES - 1]]
    values = [trial.value for trial in done if trial.value is not None]
    axes.append(Axis(study.objective.metric, (), min(values), max(values), log=False))
    step = max(1, math.ceil(len(done) / _MOST_LINES))
    lines = []
    # Steps are counted from the end, so that the best trial is always shown.
    for place in range((len(done) - 1) % step, len(done), step):
        trial = done[place]
        own = {**settings[place], axes[-1].name: trial.value}
        text = ", ".join(f"{axis.name} {_shown(own.get(axis.name))}" for axis in axes)
        heights = tuple(_height(axis, own.get(axis.name)) for axis in axes)
        lines.append(Line(trial.name, heights, f"{trial.name}: {text}"))
    return ParallelCoordinates(
        study.objective.metric,
        tuple(axes),
        tuple(lines),
        len(done),
        of_best_trials(study, trials),
    )


def _axis(study: StoredStudy, name: str, column: Sequence[Any]) -> Axis:
    given = [value for value in column if value is not None]
    # A setting of true or false is a choice, although a bool is an int.
    numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in given)
    entries = [entry for entry in study.tune if entry.knob == name]
    declared = [*study.factors.get(name, ())]
    declared += [label for entry in entries for label in entry.choices]
    if declared or not numeric:
        labels = [*map(str, declared), *sorted({str(value) for value in given})]
        choices = tuple(dict.fromkeys(labels))
        return Axis(name, choices, 0.0, len(choices) - 1.0, log=False)
    log = any(entry.log for entry in entries) and min(given) > 0
    return Axis(name, (), float(min(given)), float(max(given)), log)


def _height(axis: Axis, value: Any) -> float | None:
    if value is None:
        return None
    if axis.choices:
        value = axis.choices.index(str(value))
    return position(value, axis.low, axis.high, log=axis.log)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return naming.short(value) if isinstance(value, float) else str(value)


def caption(numbers: ParallelCoordinates) -> str:
    """What a line is and n."""
    shown = len(numbers.lines)
    part = f", of which {shown} at regular ranks are drawn" if shown < numbers.n else ""
    text = (
        f"Settings of the completed trials and their {naming.words(numbers.metric)}, the last axis."
        f" A line is one trial (n = {numbers.n}{part}); bolder lines are closer to the"
        " objective. A gap: the knob does not apply. Lines show what was tried, not the effect of a"
        " knob."
    )
    return warned(text, numbers.at_bound)


def plot(numbers: ParallelCoordinates) -> Figure:
    """Vertical axes side by side, a line for each trial, the best on top."""
    figure = style.figure(height=2.7)
    axes = figure.subplots()
    count = len(numbers.axes)
    for place, axis in enumerate(numbers.axes):
        _draw_axis(axes, axis, place)
    for rank, line in enumerate(numbers.lines):
        share = rank / max(1, len(numbers.lines) - 1)
        heights = [float("nan") if height is None else height for height in line.heights]
        (drawn,) = axes.plot(
            range(count),
            heights,
            # By weight, not by lightness, because the page may have a dark background.
            color=style.colour(0),
            linewidth=0.4 + 1.1 * share,
            alpha=0.15 + 0.8 * share**2,
            zorder=2 + share,
        )
        saving.hover(drawn, line.hover)
    names = ["\n".join(wrap(naming.words(axis.name), 14)[:2]) for axis in numbers.axes]
    axes.set_xticks(range(count), names)
    axes.set_yticks([])
    axes.set_xlim(-0.1, count - 0.75)
    axes.set_ylim(-0.05, 1.05)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _draw_axis(axes: Axes, axis: Axis, place: int) -> None:
    axes.plot([place] * 2, [0, 1], color=style.QUIET, linewidth=0.8, zorder=1)
    if axis.choices:
        last = max(1, len(axis.choices) - 1)
        marks = [
            (index / last, name) for index, name in enumerate(naming.distinct(axis.choices, 10))
        ]
    else:
        middle = math.sqrt(axis.low * axis.high) if axis.log else (axis.low + axis.high) / 2
        marks = [(0.0, _shown(axis.low)), (0.5, _shown(middle)), (1.0, _shown(axis.high))]
    for height, text in marks:
        axes.annotate(
            text,
            (place, height),
            (3, 0),
            textcoords="offset points",
            fontsize=venues.sizes().small,
            va="center",
            zorder=5,
            # A background keeps labels legible where lines cross them.
            bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
        )


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, wide=True, page_only=True)
