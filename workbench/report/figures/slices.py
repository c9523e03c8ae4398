"""Figure: value of each trial against each tuned knob, one panel for each knob.

Pruned and failed trials have no value; marks at the bottom show their settings. Other knobs vary
within a panel too, so a panel does not show the effect of its knob.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.plotting import scale, style
from workbench.plotting.canvas import lettered
from workbench.record import State
from workbench.report.figures import LeftOut, ReportFigure
from workbench.report.figures.bounds import Hit, hits, warned
from workbench.report.trials import is_adaptive, varied
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PANELS = 9
_COLUMNS = 3


class Point(NamedTuple):
    """One trial in one panel; ``at`` is the knob's value, or the index of a choice."""

    at: float
    value: float | None
    state: str
    colour: int
    trial: str


class Slice(NamedTuple):
    """One knob; ``choices`` are empty for a number, and ``log`` is how its range was searched."""

    knob: str
    choices: tuple[str, ...]
    log: bool
    points: tuple[Point, ...]


class Slices(NamedTuple):
    """Panels in the order of the study file.

    Attributes:
        colours: Levels of the factor that is shown by colour; empty where there is none.
        at_bound: Strategy and knob of each best trial that is at a bound of its range.
        more: Knobs that are not shown for lack of room.
    """

    metric: str
    direction: str
    factor: str | None
    colours: tuple[str, ...]
    slices: tuple[Slice, ...]
    at_bound: tuple[Hit, ...]
    more: tuple[str, ...]
    adaptive: bool


def summarize(study: StoredStudy, trials: Sequence[TrialRun]) -> Slices:
    """A slice for each tuned knob that varies; raises ``LeftOut`` where there is none to add."""
    if all(trial.value is None for trial in trials):
        raise LeftOut("No trial completed, so there is no value to show.")
    factors = varied(study, trials)
    factor = "optimizer" if "optimizer" in factors else next(iter(factors), None)
    labels = factors[factor] if factor else ("",)
    knobs = list(dict.fromkeys(entry.knob for entry in study.tune))
    slices = [_slice(study, trials, knob, factor, labels) for knob in knobs if knob != factor]
    slices = [item for item in slices if len({point.at for point in item.points}) > 1]
    if not slices:
        raise LeftOut("No tuned knob varies between the trials.")
    if [item.knob for item in slices] == ["learning_rate"]:
        raise LeftOut("Only the learning rate is tuned, which has a separate figure.")
    return Slices(
        metric=study.objective.metric,
        direction=study.objective.direction,
        factor=factor,
        colours=labels,
        slices=tuple(slices[:_MOST_PANELS]),
        at_bound=hits(study, trials),
        more=tuple(item.knob for item in slices[_MOST_PANELS:]),
        adaptive=is_adaptive(study),
    )


def _slice(
    study: StoredStudy,
    trials: Sequence[TrialRun],
    knob: str,
    factor: str | None,
    labels: Sequence[str],
) -> Slice:
    entries = [entry for entry in study.tune if entry.knob == knob]
    declared = [str(label) for entry in entries for label in entry.choices]
    choices = list(dict.fromkeys(declared))
    points = []
    for trial in trials:
        given = trial.hyperparameters.get(knob)
        label = trial.label(factor) if factor else ""
        if given is None or label not in labels:
            continue
        if choices:
            # The study file may have lost a choice that earlier trials had.
            if str(given) not in choices:
                choices.append(str(given))
            at = float(choices.index(str(given)))
        elif isinstance(given, int | float):
            at = float(given)
        else:
            continue
        if trial.value is not None or trial.state in (State.PRUNED, State.FAILED):
            shade = labels.index(label) if label is not None else 0
            points.append(Point(at, trial.value, trial.state, shade, trial.name))
    log = any(entry.log for entry in entries) and all(point.at > 0 for point in points)
    return Slice(knob, tuple(choices), log, tuple(points))


def caption(numbers: Slices) -> str:
    """What a point is, n, and a warning where a best trial is at a bound of its range."""
    trials = {point.trial: point for item in numbers.slices for point in item.points}.values()
    shown = sum(point.value is not None for point in trials)
    pruned = sum(point.state == State.PRUNED for point in trials)
    failed = sum(point.state == State.FAILED for point in trials)
    parts = [
        f"{style.words(numbers.metric).capitalize()} against each tuned knob",
        f", by {style.words(numbers.factor)}" if numbers.factor else "",
        f". A point is one completed trial (n = {shown}). The other knobs vary within a panel too,"
        " so it shows where good trials are, not the effect of its knob.",
    ]
    if pruned or failed:
        parts.append(f" Marks in the grey strip have no value: {pruned} pruned, {failed} failed.")
    if numbers.adaptive:
        parts.append(" The sampler preferred settings with good values, so points are dense there.")
    if numbers.more:
        parts.append(f" Not shown: {', '.join(map(style.words, numbers.more))}.")
    return warned("".join(parts), numbers.at_bound)


@lettered
def draw(numbers: Slices) -> Figure:
    """Small multiples on one axis of values, with a band below where trials have no value."""
    with style.context(wide=True):
        # Four panels fill two rows of two; three columns would leave a gap.
        columns = 2 if len(numbers.slices) in (2, 4) else min(len(numbers.slices), _COLUMNS)
        rows = -(-len(numbers.slices) // columns)
        legend = style.legend_rows(numbers.colours) if numbers.factor else 1
        figure = style.figure(height=0.35 + 1.75 * rows + 0.17 * legend)
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        values = [p.value for s in numbers.slices for p in s.points if p.value is not None]
        few = sum(len(item.points) for item in numbers.slices) <= style.MOST_TOLD
        without = any(p.value is None for s in numbers.slices for p in s.points)
        for axes, item in zip(grid, numbers.slices, strict=False):
            if without:
                scale.band(axes)
            _draw_slice(axes, item, told=few)
            style.grid(axes)
        for axes in grid[len(numbers.slices) :]:
            axes.set_visible(False)
        (scale.leave_band if without else scale.leave_room)(grid[0], values, numbers.direction)
        figure.supylabel(style.words(numbers.metric))
        _legend(figure, numbers)
        return figure


def _draw_slice(axes: Axes, item: Slice, *, told: bool) -> None:
    places = [point.at for point in item.points]
    if item.choices:
        axes.set_xticks(range(len(item.choices)), style.told_apart(item.choices, 12))
        axes.set_xlim(-0.5, len(item.choices) - 0.5)
    elif item.log:
        axes.set_xlim(min(places) / 1.5, max(places) * 1.5)
        scale.logarithmic(axes, "x", most=4)
    for colour in sorted({point.colour for point in item.points}):
        own = [point for point in item.points if point.colour == colour]
        for state, shape in ((None, style.marker(colour)), ("pruned", "|"), ("failed", "x")):
            some = [p for p in own if (p.state == state if state else p.value is not None)]
            if some:
                _scatter(axes, item, some, colour, shape, state, told=told)
    axes.set_xlabel(style.cut(style.words(item.knob)))


def _scatter(
    axes: Axes,
    item: Slice,
    points: Sequence[Point],
    colour: int,
    shape: str,
    state: str | None,
    *,
    told: bool,
) -> None:
    # Multiples of the golden ratio spread the points of one choice, so that none hides another.
    shift = 0.5 if item.choices else 0.0
    at = [p.at + shift * ((i * 0.618034) % 1 - 0.5) for i, p in enumerate(points)]
    look: dict[str, Any] = {"color": style.colour(colour), "alpha": 0.8}
    if state is None:
        drawn = axes.scatter(
            at, [p.value or 0.0 for p in points], s=15, marker=shape, linewidths=0, **look
        )
        names = [item.choices[int(p.at)] if item.choices else style.decimal(p.at) for p in points]
        texts = [
            f"{p.trial}: {p.value:.4g} at {item.knob} = {name}"
            for p, name in zip(points, names, strict=True)
        ]
        if told:
            style.tell(drawn, *texts)
    else:
        low: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "zorder": 3}
        height = 0.09 if state == State.PRUNED else 0.03
        axes.scatter(at, [height] * len(at), s=14, marker=shape, linewidths=0.9, **look, **low)


def _legend(figure: Figure, numbers: Slices) -> None:
    entries = []
    if numbers.factor:
        entries += [
            (label, style.colour(index), style.marker(index))
            for index, label in enumerate(numbers.colours)
        ]
    states = {point.state for item in numbers.slices for point in item.points}
    marks = ((State.PRUNED, "|"), (State.FAILED, "x"))
    entries += [(str(state), style.QUIET, shape) for state, shape in marks if state in states]
    if entries:
        style.legend_of_markers(figure, entries)


FIGURE = ReportFigure(
    summarize=lambda findings: summarize(findings.study, findings.trials),
    caption=caption,
    draw=draw,
    wide=True,
)
