"""Figure: expected best value of k random trials, with a band.

Only for random searches: the formula assumes independent draws.
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
from workbench.verdict import statistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWS = 1_000


class Expected(NamedTuple):
    """One strategy: element k - 1 belongs to k trials; the band ends at a quarter of the trials.

    The bootstrap has no values above the observed best, so a 95 % band covers about 0.91 at one
    trial, 0.80 at a quarter and 0.66 at half of the trials (simulated with 12 to 60 trials).
    """

    sample: Sample
    estimate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


class ExpectedMaximum(NamedTuple):
    """One curve for each strategy; ``worst`` is used as the value of failed trials."""

    metric: str
    direction: str
    curves: tuple[Expected, ...]
    worst: float
    level: float


def summarize(study: StoredStudy, trials: Sequence[TrialRun]) -> ExpectedMaximum:
    """Unbiased estimates (Tang et al. 2020) with a bootstrap band over trials.

    Raises:
        LeftOut: The trials are not independent draws, or too few.
    """
    by_strategy = samples(study, trials)
    sign = 1 if study.maximizes else -1
    worst = sign * min(sign * value for sample in by_strategy for value in sample.values)
    curves = []
    for sample in by_strategy:
        values = [sign * value for value in (*sample.values, *[worst] * sample.failed)]
        band = statistics.expected_maximum_interval(values, draws=DRAWS)
        # The statistics maximise; turning the sign back also swaps the ends.
        ends = [sign * band.low, sign * band.high]
        low, high = ends if sign > 0 else ends[::-1]
        quarter = max(1, sample.n // 4)
        curves.append(
            Expected(
                sample,
                tuple(float(value) for value in sign * band.estimate),
                tuple(float(value) for value in low[:quarter]),
                tuple(float(value) for value in high[:quarter]),
            )
        )
    return ExpectedMaximum(
        study.objective.metric,
        study.objective.direction,
        tuple(curves),
        worst,
        band.level,
    )


def caption(numbers: ExpectedMaximum) -> str:
    """What a curve and a band are, n, and how failed trials count."""
    total = sum(curve.sample.n for curve in numbers.curves)
    failed = sum(curve.sample.failed for curve in numbers.curves)
    extreme = "highest" if numbers.direction == "maximize" else "lowest"
    text = (
        f"Expected {extreme} {style.words(numbers.metric)} of k random trials, by strategy:"
        " unbiased estimate (Tang et al. 2020) from"
        f" n = {total} independent trials, without default and enqueued ones. Band:"
        f" {100 * numbers.level:g} % percentile bootstrap over trials ({DRAWS} draws), at each k up"
        " to a quarter of the trials, where its true coverage is only about 80 %."
        " One training seed for each trial; validation values."
    )
    if failed:
        text += f" {failed} failed trials count with the worst value ({numbers.worst:.3g})."
    return text


@lettered
def draw(numbers: ExpectedMaximum) -> Figure:
    """Curves with bands, in panels where strategies are many."""
    from matplotlib.ticker import MaxNLocator

    with style.context(wide=True):

        def draw_curve(axes: Axes, number: int, shade: str, dashes: Any) -> None:
            _draw_curve(axes, numbers.curves[number], shade, dashes)

        extreme = "highest" if numbers.direction == "maximize" else "lowest"
        up = f"expected {extreme} {style.words(numbers.metric)}"
        figure = in_panels([c.sample for c in numbers.curves], draw_curve, "random trials", up)
        axes = figure.axes[0]
        axes.set_xlim(1, max(curve.sample.n for curve in numbers.curves))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        shown = [v for c in numbers.curves for v in (*c.estimate, *c.low, *c.high)]
        scale.spread(axes, "y", shown, numbers.direction)
        return figure


def _draw_curve(axes: Axes, curve: Expected, shade: str, dashes: Any) -> None:
    at = range(1, len(curve.estimate) + 1)
    axes.fill_between(at[: len(curve.low)], curve.low, curve.high, color=shade, alpha=0.15, lw=0)
    axes.plot(at, curve.estimate, color=shade, linestyle=dashes, linewidth=1.4)


FIGURE = ReportFigure(
    summarize=lambda findings: summarize(findings.study, findings.trials),
    caption=caption,
    draw=draw,
    wide=True,
)
