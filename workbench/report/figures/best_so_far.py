"""Figure: best value so far against trials or seconds spent, a curve for each search.

Every started trial counts as spent, also a failed one. A curve has no band, because each search was
run once; for the expected maximum of independent draws see ``expected_maximum``.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from workbench.plotting import naming, saving, scale, style
from workbench.report.figures import Findings, LeftOut, NotApplicable, ReportFigure, curves
from workbench.report.figures.curves import Place, places
from workbench.report.trials import by_strategy, encoding


class Curve(NamedTuple):
    """One search: ``values[i]`` is the best value from ``at[i]`` on, up to ``spent``."""

    name: str
    at: tuple[float, ...]
    values: tuple[float, ...]
    spent: float
    trials: int


class Point(NamedTuple):
    """One completed trial of a joint search; ``at`` is what was spent up to and with it."""

    strategy: str
    at: float
    value: float
    colour: int
    marker: int


class BestSoFar(NamedTuple):
    """The curves with their places; points only where all strategies share one search.

    Attributes:
        unit: Of what was spent: ``trials``, or ``seconds`` of training.
    """

    metric: str
    direction: str
    unit: str
    curves: tuple[Curve, ...]
    places: tuple[Place, ...]
    points: tuple[Point, ...]


def summarize(findings: Findings, unit: str = "trials") -> BestSoFar:
    """Improvements in the order of the trials' numbers; raises ``LeftOut`` where there are none."""
    study, trials = findings.study, findings.trials
    codes = encoding(study, trials)
    joint = not study.balanced
    groups = {"all strategies": list(trials)} if joint else by_strategy(study, trials)
    searches, points = [], []
    for name, group in groups.items():
        steps: list[tuple[float, float]] = []
        spent = 0.0
        for trial in sorted(group, key=lambda trial: trial.number):
            # Also without a value: a failed trial has used its share of the budget.
            spent += 1 if unit == "trials" else trial.seconds or 0.0
            value = trial.value
            if value is None:
                continue
            points.append(Point(trial.strategy, spent, value, *codes[trial.strategy]))
            # Equal values are not an improvement, so the curve has no step for them.
            if study.objective.better(value, steps[-1][1] if steps else None):
                steps.append((spent, value))
        if steps:
            at, values = zip(*steps, strict=True)
            searches.append(Curve(name, at, values, spent, len(group)))
    if not searches:
        raise LeftOut("No trial completed, so there is no value to show.")
    if max(curve.trials for curve in searches) < 2:
        raise NotApplicable("No search has more than one trial.")
    if unit == "seconds" and not all(curve.at[0] > 0 for curve in searches):
        raise LeftOut("The seconds of the trials are unknown.")
    return BestSoFar(
        metric=study.objective.metric,
        direction=study.objective.direction,
        unit=unit,
        curves=tuple(searches),
        places=() if joint else places(study, trials, [curve.name for curve in searches]),
        points=tuple(points) if joint else (),
    )


def _edge(numbers: BestSoFar) -> float | None:
    """The worst value after half of a search, if the axis begins there; None: it shows all values.

    The first values of a search are often so bad that all that matter would be one line.
    """
    shown = [value for curve in numbers.curves for value in (curve.values[0], curve.values[-1])]
    uneven = scale.wants_logarithm(shown, numbers.direction)
    if numbers.points or uneven or scale.linear_part(shown, numbers.direction) is not None:
        return None
    halves = [
        max([0, *(i for i, at in enumerate(curve.at) if at <= curve.spent / 2)])
        for curve in numbers.curves
    ]
    reached = [curve.values[i] for curve, i in zip(numbers.curves, halves, strict=True)]
    worst, best = (min, max) if numbers.direction == "maximize" else (max, min)
    edge = worst(reached)
    saved = abs(worst(shown) - edge) > 0.5 * abs(edge - best(shown))
    return edge if saved and edge != best(shown) else None


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
    cut = ""
    if (edge := _edge(numbers)) is not None:
        far = "below" if numbers.direction == "maximize" else "above"
        cut = f" Not shown: values {far} {edge:.4g}, the worst one after half of a search."
    many = f"in {len(spent)} searches, {each} each" if len(spent) > 1 else "in one search"
    return (
        f"{text} {many}). One curve is one search, the marker at its end the last trial. Another"
        " seed would give another curve; there are no intervals, because no search was repeated."
        + cut
    )


def plot(numbers: BestSoFar) -> style.Figure:
    """Step curves, in panels where they are many; a joint search has one curve and points."""
    in_trials = numbers.unit == "trials"
    across = "trials spent" if in_trials else "seconds of training spent"
    metric = naming.words(numbers.metric)
    # At least two trials, or an axis of one trial would have no width.
    longest = max(2.0 if in_trials else 0.0, *(curve.spent for curve in numbers.curves))
    edge = _edge(numbers)
    if numbers.points or edge is not None:
        longest += 0.3 if in_trials else 0.02 * longest  # points are not cut at the edge
    if numbers.points:
        figure = _plot_joint(numbers)
        figure.supxlabel(across)
        figure.supylabel(metric)
    else:
        figure, shown = curves.plot(numbers.places, across, f"best {metric} so far", markers=True)
        for curve, (own, look) in zip(numbers.curves, shown, strict=True):
            _draw_curve(own, curve, look, width=1.5, clip=edge is not None)
    axes = figure.axes[0]
    axes.set_xlim(0.7 if in_trials else 0.0, longest)
    axes.locator_params(axis="x", integer=in_trials)
    values = [curve.values[i] for curve in numbers.curves for i in (0, -1)]
    values += [point.value for point in numbers.points]
    scale.spread(axes, "y", values, numbers.direction)
    if edge is not None:
        best = (max if numbers.direction == "maximize" else min)(values)
        axes.set_ylim(scale.room(axes.yaxis, [edge, best], 0.1, 0.1))
    return figure


def _draw_curve(
    axes: style.Axes, curve: Curve, look: style.Entry, *, width: float, clip: bool = False
) -> None:
    (line,) = axes.step(
        (*curve.at, curve.spent),
        (*curve.values, curve.values[-1]),
        where="post",
        # Without a marker a step at the last trial, and a search of one trial, would not show.
        marker=look.marker,
        markersize=3.5,
        markevery=[len(curve.at)],
        clip_on=clip,
        color=look.colour,
        linestyle=look.line,
        linewidth=width,
    )
    saving.hover(line, f"{curve.name}: {curve.values[-1]:.4g} from {curve.at[-1]:g} on")


def _plot_joint(numbers: BestSoFar) -> style.Figure:
    """One curve in ink, which belongs to no strategy, and the strategies' points."""
    order = sorted({(point.colour, point.marker, point.strategy) for point in numbers.points})
    entries = [
        style.Entry(name, style.colour(colour), style.marker(marker))
        for colour, marker, name in order
    ]
    figure = style.figure(height=2.3, entries=entries)
    axes = figure.subplots()
    style.grid(axes)
    for curve in numbers.curves:
        _draw_curve(axes, curve, style.Entry("", style.INK, line="-"), width=1.0)
    for entry in entries:
        own = [point for point in numbers.points if point.strategy == entry.label]
        axes.scatter(
            [point.at for point in own],
            [point.value for point in own],
            s=17,
            color=entry.colour,
            marker=entry.marker,
            alpha=0.8,
            linewidths=0,
            zorder=3,
        )
    return figure


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, wide=True)
BY_SECONDS = ReportFigure(
    summarize=partial(summarize, unit="seconds"), caption=caption, plot=plot, wide=True
)
