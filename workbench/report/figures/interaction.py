"""Figure: confirmed means by the levels of two factors, which shows an interaction of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workbench.plotting import naming, saving, scale, style
from workbench.report.figures import CONFIRMATION, Findings, NotApplicable, ReportFigure
from workbench.report.figures.sides import confirmation_of, verdict_of
from workbench.verdict import Effect
from workbench.verdict.estimates import Interval
from workbench.verdict.statistics import paired
from workbench.verdict.wording.numbers import p_value


class Line(NamedTuple):
    """One level of the second factor: its mean at each level of the first."""

    level: str
    means: tuple[Interval, ...]


class Interaction(NamedTuple):
    """``levels`` of the first of two factors are the positions; ``averaged`` are other factors."""

    metric: str
    direction: str
    factors: tuple[str, str]
    levels: tuple[str, ...]
    lines: tuple[Line, ...]
    effects: tuple[Effect, ...]
    averaged: tuple[str, ...]
    n: int


def summarize(findings: Findings) -> Interaction:
    """Means over seeds of each combination; raises ``LeftOut`` without two factors."""
    confirmation, verdict = confirmation_of(findings), verdict_of(findings)
    levels = {e.factors[0]: [level.name for level in e.levels] for e in verdict.effects if e.levels}
    if not levels:
        raise NotApplicable("The configurations are not all combinations of two or more factors.")
    # The factor with more levels makes the better axis.
    first, second = sorted(levels, key=lambda name: -len(levels[name]))[:2]
    # The default configuration has levels too, but is no cell of the design.
    arms = [arm for arm in confirmation.arms if arm.name == arm.strategy]

    def mean(one: str, other: str) -> Interval:
        values = [
            [run.counted for run in arm.runs]
            for arm in arms
            if (arm.levels[first], arm.levels[second]) == (one, other)
        ]
        by_seed = np.array(values, dtype=float).mean(axis=0)
        return paired.t_interval(by_seed).cut(confirmation.protocol.bounds)

    return Interaction(
        metric=confirmation.protocol.metric,
        direction=verdict.direction,
        factors=(first, second),
        levels=tuple(levels[first]),
        lines=tuple(
            Line(level=other, means=tuple(mean(one, other) for one in levels[first]))
            for other in levels[second]
        ),
        effects=tuple(verdict.effects),
        averaged=tuple(name for name in levels if name not in (first, second)),
        n=len(verdict.seeds),
    )


def caption(numbers: Interaction) -> str:
    """What a point and a bar are, and the tests of the effects."""
    first, second = map(naming.words, numbers.factors)
    tests = "; ".join(
        f"{' by '.join(map(naming.words, effect.factors))}: {p_value(effect.p_holm)}"
        for effect in numbers.effects
    )
    averaged = ""
    if numbers.averaged:
        averaged = f", averaged over {' and '.join(map(naming.words, numbers.averaged))}"
    return (
        f"{naming.capital(naming.words(numbers.metric))} by {first} and {second}{averaged}: mean"
        f" over seeds (n = {numbers.n}) with its 95 % t interval. Lines that are not parallel show"
        " an interaction. Main effects and interactions by joint sign-flip tests, Holm-corrected"
        f" over {len(numbers.effects)} effects ({tests})."
    )


def plot(numbers: Interaction) -> style.Figure:
    """A line for each level of the second factor over the levels of the first."""
    factor = naming.words(numbers.factors[1])
    entries = style.entries([f"{factor} {line.level}" for line in numbers.lines])
    figure = style.figure(height=2.43, entries=entries)
    axes = figure.subplots()
    # Side by side, so that no interval hides another.
    offsets = np.linspace(-0.08, 0.08, len(numbers.lines))
    for index, (line, offset) in enumerate(zip(numbers.lines, offsets, strict=True)):
        places = [place + offset for place in range(len(numbers.levels))]
        estimates = [mean.estimate for mean in line.means]
        axes.errorbar(
            places,
            estimates,
            yerr=[
                [mean.estimate - mean.low for mean in line.means],
                [mean.high - mean.estimate for mean in line.means],
            ],
            color=entries[index].colour,
            linestyle=style.line(index),
            linewidth=1.0,
            capsize=2,
        )
        shade, shape = entries[index].colour, entries[index].marker
        points = axes.scatter(places, estimates, s=24, color=shade, marker=shape, linewidths=0)
        texts = [
            f"{level}, {line.level}: {mean.estimate:.4g} [{mean.low:.4g}, {mean.high:.4g}]"
            for level, mean in zip(numbers.levels, line.means, strict=True)
        ]
        saving.hover(points, *texts)
    axes.set_xticks(range(len(numbers.levels)), naming.distinct(numbers.levels))
    axes.set_xlim(-0.5, len(numbers.levels) - 0.5)
    axes.set_xlabel(naming.words(numbers.factors[0]))
    axes.set_ylabel(naming.words(numbers.metric))
    ends = [end for line in numbers.lines for mean in line.means for end in (mean.low, mean.high)]
    scale.spread(axes, "y", ends, numbers.direction)
    return figure


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, of=CONFIRMATION)
