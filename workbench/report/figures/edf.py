"""Figure: distribution of the values of a random search, as the share of trials that reach a value.

Only for independent draws: in an adaptive search the sampler decides the distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.plotting import scale, style
from workbench.plotting.canvas import lettered
from workbench.report.figures import ReportFigure
from workbench.report.figures.random_search import Sample, in_panels, samples
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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


def summarize(study: StoredStudy, trials: Sequence[TrialRun]) -> Distributions:
    """Shares by value; raises ``LeftOut`` unless the trials are independent draws."""
    curves = []
    for sample in samples(study, trials):
        shares = [
            sum(other >= own if study.maximizes else other <= own for other in sample.values)
            / sample.n
            for own in sample.values
        ]
        curves.append(Distribution(sample, tuple(shares)))
    return Distributions(study.objective.metric, study.objective.direction, tuple(curves))


def caption(numbers: Distributions) -> str:
    """What a curve is, n, and how failed trials count."""
    # Failed trials are in n, or strategies that fail often would look better.
    total = sum(curve.sample.n for curve in numbers.curves)
    failed = sum(curve.sample.failed for curve in numbers.curves)
    side = "high" if numbers.direction == "maximize" else "low"
    text = (
        f"Share of random trials whose {style.words(numbers.metric)} is at least as {side} as the"
        f" value on the axis, by strategy (n = {total} trials, drawn independently; default and"
        " enqueued trials are left out). One training seed for each trial."
    )
    return text + (f" {failed} failed trials count as reaching no value." if failed else "")


@lettered
def draw(numbers: Distributions) -> Figure:
    """Step curves, in panels where strategies are many."""
    with style.context(wide=True):

        def draw_curve(axes: Axes, number: int, shade: str, dashes: Any) -> None:
            distribution = numbers.curves[number]
            # Beyond the best value the share is 0, so the curve starts there.
            values = (distribution.sample.values[0], *distribution.sample.values)
            shares = (0.0, *distribution.shares)
            axes.step(values, shares, where="pre", color=shade, linestyle=dashes, linewidth=1.3)

        metric = style.words(numbers.metric)
        parts = [curve.sample for curve in numbers.curves]
        figure = in_panels(parts, draw_curve, metric, "share of trials")
        axes = figure.axes[0]
        axes.set_ylim(0, 1.02)
        shown = [value for curve in numbers.curves for value in curve.sample.values]
        scale.spread(axes, "x", shown, numbers.direction)
        return figure


FIGURE = ReportFigure(
    summarize=lambda findings: summarize(findings.study, findings.trials),
    caption=caption,
    draw=draw,
    wide=True,
)
