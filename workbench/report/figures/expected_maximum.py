"""Figure: expected best value of k random trials, with a band.

Only for random searches: the formula assumes independent draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from workbench.plotting import naming, scale, style
from workbench.record import State
from workbench.report.figures import Findings, LeftOut, NotApplicable, ReportFigure, curves
from workbench.report.figures.curves import Place, places
from workbench.report.trials import by_strategy, is_adaptive
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict import guards
from workbench.verdict.refusals import ClaimError
from workbench.verdict.statistics import searches

DRAWS = 1_000
LEAST = 5  # draws of a strategy; fewer do not show a distribution


class ExpectedCurve(NamedTuple):
    """One strategy: element k - 1 belongs to k trials; the band ends at a quarter of the trials.

    The bootstrap has no values above the observed best, so a 95 % band covers about 0.91 at one
    trial, 0.80 at a quarter and 0.66 at half of the trials (simulated with 12 to 60 trials).

    Attributes:
        values: Of its draws, the best first; ``failed`` more have no value.
    """

    place: Place
    values: tuple[float, ...]
    failed: int
    estimate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


class ExpectedMaximum(NamedTuple):
    """One curve for each strategy; ``worst`` is used as the value of failed trials."""

    metric: str
    direction: str
    curves: tuple[ExpectedCurve, ...]
    worst: float
    level: float


def summarize(findings: Findings) -> ExpectedMaximum:
    """Unbiased estimates (Tang et al. 2020) with a bootstrap band over trials.

    Raises:
        LeftOut: The trials are not independent draws, or too few.
    """
    study, trials = findings.study, findings.trials
    samples = _samples(study, trials)
    sign = 1 if study.maximizes else -1
    # A failed trial is a draw as well: without it, strategies that fail often would look better.
    worst = sign * min(sign * value for drawn, _ in samples.values() for value in drawn)
    expected = []
    own_places = places(study, trials, [*samples])
    for place, (drawn, failed) in zip(own_places, samples.values(), strict=True):
        values = [sign * value for value in (*drawn, *[worst] * failed)]
        band = searches.expected_maximum_interval(values, draws=DRAWS)
        # The statistics maximise; turning the sign back also swaps the ends.
        low, high = np.sort([sign * band.low, sign * band.high], axis=0)
        quarter = max(1, len(values) // 4)
        lines = (sign * band.estimate, low[:quarter], high[:quarter])
        expected.append(
            ExpectedCurve(place, drawn, failed, *(tuple(map(float, line)) for line in lines))
        )
    return ExpectedMaximum(
        study.objective.metric,
        study.objective.direction,
        tuple(expected),
        worst,
        band.level,
    )


def _samples(
    study: StoredStudy, trials: Sequence[TrialRun]
) -> dict[str, tuple[tuple[float, ...], int]]:
    """By strategy the values that the sampler drew, the best first, and the number of failed draws.

    Without the default and enqueued trials.

    Raises:
        LeftOut: Draws are not independent, some were pruned, or there are too few.
    """
    if all(trial.value is None for trial in trials):
        raise LeftOut("No trial completed, so there is no value to show.")
    enqueued = study.training.enqueued if study.training else 0
    # Number 0 is the default configuration, the enqueued ones follow.
    drawn = [trial for trial in trials if trial.ended and trial.number > enqueued]
    pruned = sum(trial.state == State.PRUNED for trial in drawn)
    try:
        guards.expected_maximum(study.sampler, pruned=pruned)
    except ClaimError as refused:
        # Nobody who chose another sampler than ``random`` looks for this curve.
        left_out = NotApplicable if is_adaptive(study) else LeftOut
        raise left_out(str(refused)) from refused
    sign = -1 if study.maximizes else 1
    draws = {}
    for name, group in by_strategy(study, drawn).items():
        values = sorted((t.value for t in group if t.value is not None), key=lambda v: sign * v)
        if values and len(group) >= LEAST:
            draws[name] = (tuple(values), len(group) - len(values))
    if not draws:
        raise LeftOut(f"No strategy has {LEAST} random trials with a value among them.")
    return draws


def caption(numbers: ExpectedMaximum) -> str:
    """What a curve and a band are, n, and how failed trials count."""
    total = sum(len(curve.estimate) for curve in numbers.curves)
    failed = sum(curve.failed for curve in numbers.curves)
    extreme = "highest" if numbers.direction == "maximize" else "lowest"
    text = (
        f"Expected {extreme} {naming.words(numbers.metric)} of k random trials, by strategy:"
        " unbiased estimate (Tang et al. 2020) from"
        f" n = {total} independent trials, without default and enqueued ones. Band:"
        f" {100 * numbers.level:g} % percentile bootstrap over trials ({DRAWS} draws), at each k up"
        " to a quarter of the trials, where its true coverage is only about 80 %."
        " One training seed for each trial; validation values."
    )
    if failed:
        text += f" {failed} failed trials count with the worst value ({numbers.worst:.3g})."
    return text


def plot(numbers: ExpectedMaximum) -> style.Figure:
    """Curves with bands, in panels where strategies are many."""
    from matplotlib.ticker import MaxNLocator

    extreme = "highest" if numbers.direction == "maximize" else "lowest"
    up = f"expected {extreme} {naming.words(numbers.metric)}"
    own_places = [curve.place for curve in numbers.curves]
    figure, shown = curves.plot(own_places, "random trials", up)
    for curve, (axes, look) in zip(numbers.curves, shown, strict=True):
        k = range(1, len(curve.estimate) + 1)
        band = k[: len(curve.low)]
        axes.fill_between(band, curve.low, curve.high, color=look.colour, alpha=0.15, lw=0)
        axes.plot(k, curve.estimate, color=look.colour, linestyle=look.line, linewidth=1.4)
    axes = figure.axes[0]
    axes.set_xlim(1, max(len(curve.estimate) for curve in numbers.curves))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    values = [v for c in numbers.curves for v in (*c.estimate, *c.low, *c.high)]
    scale.spread(axes, "y", values, numbers.direction)
    return figure


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, wide=True)
