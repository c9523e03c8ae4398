"""Figure: best value so far against trials or seconds spent, a curve for each search.

Every started trial counts as spent, also a failed one. A curve has no band, because each search was
run once; for the expected maximum of independent draws see ``expected_maximum``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

from workbench.plotting import naming, saving, scale, style, venues
from workbench.report.figures import Findings, LeftOut, ReportFigure
from workbench.report.trials import by_strategy, encoding, varied
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW = 4  # curves that share one panel without hiding each other
_MOST_PANELS = 6
_COLUMNS = 3


class Curve(NamedTuple):
    """One search: ``values[i]`` is the best value from ``at[i]`` on, up to ``spent``.

    ``colour`` is the index of the first factor's level, ``panel`` that of the other factors
    combined. ``stroke`` decides dash and marker: it equals ``colour``, or the other index where
    curves of one panel share a colour.
    """

    name: str
    colour: int
    panel: int
    at: tuple[float, ...]
    values: tuple[float, ...]
    spent: float
    trials: int
    stroke: int = 0


class Point(NamedTuple):
    """One completed trial of a joint search; ``at`` is what was spent up to and with it."""

    strategy: str
    at: float
    value: float
    colour: int
    marker: int


class BestSoFar(NamedTuple):
    """The curves; points only where all strategies share one search.

    Attributes:
        unit: Of what was spent: ``trials``, or ``seconds`` of training.
        panels: The lines of each panel's title; empty where there is one panel.
        colours: Levels of the first factor.
        marked: Whether markers at the ends distinguish curves, because some share a colour.
    """

    metric: str
    direction: str
    unit: str
    curves: tuple[Curve, ...]
    points: tuple[Point, ...]
    panels: tuple[tuple[str, ...], ...]
    colours: tuple[str, ...]
    marked: bool = False


def summarize(findings: Findings, unit: str = "trials") -> BestSoFar:
    """Improvements in the order of the trials' numbers; raises ``LeftOut`` where there are none."""
    study, trials = findings.study, findings.trials
    codes = encoding(study, trials)
    joint = not study.balanced
    groups = {"all strategies": list(trials)} if joint else by_strategy(study, trials)
    maximize = study.maximizes
    curves, points = [], []
    for name, group in groups.items():
        steps: list[tuple[float, float]] = []
        spent = 0.0
        for trial in sorted(group, key=lambda trial: trial.number):
            spent += 1 if unit == "trials" else trial.seconds or 0.0
            value = trial.value
            if value is None:
                continue
            points.append(Point(trial.strategy, spent, value, *codes[trial.strategy]))
            # Equal values are not an improvement, so the curve has no step for them.
            if not steps or (value > steps[-1][1] if maximize else value < steps[-1][1]):
                steps.append((spent, value))
        if steps:
            colour, panel = (0, 0) if joint else codes[name]
            at, values = zip(*steps, strict=True)
            curves.append(Curve(name, colour, panel, at, values, spent, len(group)))
    if not curves:
        raise LeftOut("No trial completed, so there is no value to show.")
    if max(curve.trials for curve in curves) < 2:
        raise LeftOut("No search has more than one trial.")
    if unit == "seconds" and not all(curve.at[0] > 0 for curve in curves):
        raise LeftOut("The seconds of the trials are unknown.")
    panels = () if joint else _panels(study, trials, curves)
    marked = not panels and len({curve.colour for curve in curves}) < len(curves)
    curves = [
        curve._replace(
            stroke=curve.panel if marked else curve.colour, panel=curve.panel if panels else 0
        )
        for curve in curves
    ]
    return BestSoFar(
        metric=study.objective.metric,
        direction=study.objective.direction,
        unit=unit,
        curves=tuple(curves),
        points=tuple(points) if joint else (),
        panels=panels,
        colours=next(iter(varied(study, trials).values()), ()),
        marked=marked,
    )


def _panels(
    study: StoredStudy, trials: Sequence[TrialRun], curves: Sequence[Curve]
) -> tuple[tuple[str, ...], ...]:
    others = list(varied(study, trials))[1:]
    titles: dict[int, tuple[str, ...]] = {}
    for curve in curves:
        first = next(trial for trial in trials if trial.strategy == curve.name)
        titles[curve.panel] = tuple(f"{naming.words(name)} {first.label(name)}" for name in others)
    if len(curves) <= _FEW or not 2 <= len(titles) <= _MOST_PANELS:
        return ()
    # Panels are numbered by their levels; one whose strategies have no value leaves a gap.
    return tuple(titles.get(index, ()) for index in range(max(titles) + 1))


def caption(numbers: BestSoFar) -> str:
    """What a curve is, n, and the limits of what it shows."""
    extreme = "Highest" if numbers.direction == "maximize" else "Lowest"
    spent = [curve.trials for curve in numbers.curves]
    each = f"{min(spent)}" if min(spent) == max(spent) else f"{min(spent)} to {max(spent)}"
    what = "the number of trials spent" if numbers.unit == "trials" else "seconds of training spent"
    text = (
        f"{extreme} {naming.words(numbers.metric)} so far against {what}; pruned"
        f" and failed trials count as spent (n = {sum(spent)} trials"
    )
    if numbers.points:
        return (
            f"{text}): the line. One search proposed all strategies; a point is one completed"
            " trial. The sampler decided how many trials each strategy got."
        )
    many = f"in {len(spent)} searches, {each} each" if len(spent) > 1 else "in one search"
    end = "the marker at its end" if numbers.marked else "its dot"
    return (
        f"{text} {many}). One curve is one search, {end} the last trial. Another seed would give"
        " another curve; there are no intervals, because no search was repeated."
    )


def plot(numbers: BestSoFar) -> Figure:
    """Step curves: many in panels, few in one panel with their names next to their ends."""
    shown = [index for index, title in enumerate(numbers.panels) if title] or [0]
    in_trials = numbers.unit == "trials"
    row = 1.95 if numbers.panels else max(1.95, 0.17 * len(numbers.curves) + 0.45)
    figure, grid = style.panels(len(shown), min(len(shown), _COLUMNS), row=row, rest=0.55)
    longest = max(2.0 if in_trials else 0.0, *(curve.spent for curve in numbers.curves))
    values = [curve.values[i] for curve in numbers.curves for i in (0, -1)]
    values += [point.value for point in numbers.points]
    for axes, panel in zip(grid, shown, strict=True):
        for curve in numbers.curves:
            if curve.panel == panel:
                end = style.marker(curve.stroke) if numbers.marked else "o"
                _draw_curve(axes, curve, "" if numbers.points else end)
        if numbers.panels:
            style.panel_label(axes, numbers.panels[panel])
    first, step = (0.7, 0.3) if in_trials else (0.0, 0.02 * longest)
    grid[0].set_xlim(first, longest + step if numbers.points else longest)
    grid[0].locator_params(axis="x", integer=in_trials)
    scale.spread(grid[0], "y", values, numbers.direction)
    figure.supxlabel("trials spent" if in_trials else "seconds of training spent")
    metric = naming.words(numbers.metric)
    figure.supylabel(metric if numbers.points else f"best {metric} so far")
    if numbers.points:
        _draw_points(grid[0], numbers.points)
    elif numbers.panels:
        entries = [
            style.Entry(level, style.colour(index), line=style.line(index))
            for index, level in enumerate(numbers.colours)
        ]
        style.legend(figure, entries)
    else:
        _name_ends(grid[0], numbers, longest, gap=0.155 / (row - 0.05))
    return figure


def _draw_curve(axes: Axes, curve: Curve, end: str) -> None:
    """In ink and without a marker where points stand beside it."""
    (line,) = axes.step(
        (*curve.at, curve.spent),
        (*curve.values, curve.values[-1]),
        where="post",
        # Without a dot a step at the last trial, and a search of one trial, would not show.
        marker=end,
        markersize=3.5,
        markevery=[len(curve.at)],
        clip_on=False,
        color=style.colour(curve.colour) if end else style.INK,
        linestyle=style.line(curve.stroke) if end else "-",
        linewidth=1.5 if end else 1.0,
    )
    saving.hover(line, f"{curve.name}: {curve.values[-1]:.4g} from {curve.at[-1]:g} on")


def _draw_points(axes: Axes, points: Sequence[Point]) -> None:
    order = sorted({(point.colour, point.marker, point.strategy) for point in points})
    names = naming.distinct([name for *_, name in order])
    for shown, (*_, name) in zip(names, order, strict=True):
        own = [point for point in points if point.strategy == name]
        axes.scatter(
            [point.at for point in own],
            [point.value for point in own],
            s=17,
            color=style.colour(own[0].colour),
            marker=style.marker(own[0].marker),
            alpha=0.8,
            linewidths=0,
            label=shown,
            zorder=3,
        )
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), handletextpad=0.3)


def _name_ends(axes: Axes, numbers: BestSoFar, longest: float, gap: float) -> None:
    curves = numbers.curves
    axes.get_ylim()  # matplotlib computes the limits lazily, and the transform needs them
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = [float(to_axes.transform((longest, curve.values[-1]))[1]) for curve in curves]
    names = naming.distinct([curve.name for curve in curves])
    for curve, name, end, height in zip(curves, names, ends, _spread(ends, gap), strict=True):
        draw = partial(axes.plot, transform=axes.transAxes, clip_on=False)
        draw([1.0, 1.035], [end, height], color=style.QUIET, linewidth=0.5)
        draw(
            [1.04, 1.07, 1.10],
            [height] * 3,
            color=style.colour(curve.colour),
            linestyle=style.line(curve.stroke),
            marker=style.marker(curve.stroke) if numbers.marked else "",
            markersize=3.5,
            markevery=[1],
        )
        size = venues.sizes().tick
        axes.text(1.115, height, name, transform=axes.transAxes, va="center", fontsize=size)


def _spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move heights apart, as little as possible, until neighbours are at least ``gap`` apart."""
    order = np.argsort(heights, kind="stable")
    steps = gap * np.arange(len(heights))
    placed = np.empty(len(heights))
    # The closest heights that rise by ``gap`` or more are, without the steps, an isotonic fit.
    placed[order] = isotonic_regression(np.asarray(heights)[order] - steps).x + steps
    return [float(height) for height in placed]


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, wide=True)
BY_SECONDS = ReportFigure(
    summarize=partial(summarize, unit="seconds"), caption=caption, plot=plot, wide=True
)
