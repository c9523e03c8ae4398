"""Figure: distribution of the values of a random search, as the share of trials that reach a value.

Only for independent draws: in an adaptive search the sampler decides the distribution.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from workbench.plotting import naming, scale
from workbench.report.figures import Findings, ReportFigure, curves
from workbench.report.figures.random_search import Sample, samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Distribution(NamedTuple):
    """``shares[i]`` of the sample's trials are at least as good as ``sample.values[i]``."""

    sample: Sample
    shares: tuple[float, ...]


class Distributions(NamedTuple):
    """One for each strategy."""

    metric: str
    direction: str
    curves: tuple[Distribution, ...]


def summarize(findings: Findings) -> Distributions:
    """Shares by value; raises ``LeftOut`` unless the trials are independent draws."""
    study, trials = findings.study, findings.trials
    sign = -1 if study.maximizes else 1
    distributions = []
    for sample in samples(study, trials):
        # The best value has rank 1, and equal values have the rank of their last.
        losses = [sign * value for value in sample.values]
        ordered = sorted(losses)
        ranks = [bisect_right(ordered, loss) for loss in losses]
        distributions.append(Distribution(sample, tuple(rank / sample.n for rank in ranks)))
    return Distributions(study.objective.metric, study.objective.direction, tuple(distributions))


def caption(numbers: Distributions) -> str:
    """What a curve is, n, and how failed trials count."""
    # Failed trials are in n, or strategies that fail often would look better.
    total = sum(curve.sample.n for curve in numbers.curves)
    failed = sum(curve.sample.failed for curve in numbers.curves)
    side = "high" if numbers.direction == "maximize" else "low"
    text = (
        f"Share of random trials whose {naming.words(numbers.metric)} is at least as {side} as the"
        f" value on the axis, by strategy (n = {total} trials, drawn independently; default and"
        " enqueued trials are left out). One training seed for each trial."
    )
    return text + (f" {failed} failed trials count as reaching no value." if failed else "")


def plot(numbers: Distributions) -> Figure:
    """Step curves, in panels where strategies are many."""
    places = [curve.sample.place for curve in numbers.curves]
    figure, shown = curves.plot(places, naming.words(numbers.metric), "share of trials")
    for (sample, shares), (axes, look) in zip(numbers.curves, shown, strict=True):
        # Beyond the best value the share is 0, so the curve starts there.
        axes.step(
            (sample.values[0], *sample.values),
            (0.0, *shares),
            where="pre",
            color=look.colour,
            linestyle=look.line,
            linewidth=1.3,
        )
    axes = figure.axes[0]
    axes.set_ylim(0, 1.02)
    values = [value for curve in numbers.curves for value in curve.sample.values]
    scale.spread(axes, "x", values, numbers.direction)
    return figure


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, wide=True)
