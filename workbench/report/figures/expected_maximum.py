"""The best value to expect of so many random trials, with a band: for random searches only.

An adaptive search has no such curve: the formula assumes independent draws.
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
    """One strategy: element k - 1 belongs to k trials; the band ends at a quarter of them.

    The bootstrap cannot see values above the best one found: of a 95 % band it covers about .91 at
    one trial, .80 at a quarter and .66 at half of them (simulated with 12 to 60 trials).
    """

    sample: Sample
    estimate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


class ExpectedMaximum(NamedTuple):
    """One for each strategy; ``worst`` stands for the value of a failed trial."""

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
    found = samples(study, trials)
    sign = 1 if study.maximizes else -1
    worst = sign * min(sign * value for sample in found for value in sample.values)
    curves = []
    for sample in found:
        values = [sign * value for value in (*sample.values, *[worst] * sample.failed)]
        band = statistics.expected_maximum_interval(values, independent=True, draws=DRAWS)
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
    """What curve and band are, n, and how failed trials count."""
    total = sum(curve.sample.n for curve in numbers.curves)
    failed = sum(curve.sample.failed for curve in numbers.curves)
    extreme = "highest" if numbers.direction == "maximize" else "lowest"
    text = (
        f"Expected {extreme} {style.words(numbers.metric)} of k random trials, by strategy:"
        " unbiased estimate (Tang et al. 2020) from"
        f" n = {total} independent trials, without default and enqueued ones. Band:"
        f" {100 * numbers.level:g} % percentile bootstrap over trials ({DRAWS} draws), at each k"
        " and to a quarter of the trials, where it is too narrow already (it covers about 80 %)."
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

        def curve(axes: Axes, number: int, shade: str, dashes: Any) -> None:
            _draw_curve(axes, numbers.curves[number], shade, dashes)

        extreme = "highest" if numbers.direction == "maximize" else "lowest"
        up = f"expected {extreme} {style.words(numbers.metric)}"
        figure = in_panels([c.sample for c in numbers.curves], curve, "random trials", up)
        axes = figure.axes[0]
        axes.set_xlim(1, max(found.sample.n for found in numbers.curves))
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
