"""How the values of a random search are distributed: what share of trials reaches which value.

For independent draws only: the spread of an adaptive search's trials is the sampler's. Knows
nothing of what the knobs were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.figures import ReportFigure, scale, style
from workbench.figures.random_search import Sample, samples
from workbench.figures.trials import Trial

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


def summarize(study: Mapping[str, Any], trials: Sequence[Trial]) -> Distributions:
    """Shares by value; raises ``LeftOut`` unless the trials are independent draws."""
    curves = []
    for sample in samples(study, trials):
        shares = [
            sum(other >= own if _up(study) else other <= own for other in sample.values) / sample.n
            for own in sample.values
        ]
        curves.append(Distribution(sample, tuple(shares)))
    return Distributions(
        study["objective"]["metric"], study["objective"]["direction"], tuple(curves)
    )


def _up(study: Mapping[str, Any]) -> bool:
    return bool(study["objective"]["direction"] == "maximize")


def caption(numbers: Distributions) -> str:
    """What a curve is, n, and how failed trials count."""
    total = sum(curve.sample.n for curve in numbers.curves)
    failed = sum(curve.sample.failed for curve in numbers.curves)
    side = "high" if numbers.direction == "maximize" else "low"
    text = (
        f"Share of random trials whose {style.words(numbers.metric)} is at least as {side} as the"
        f" value on the axis, by strategy (n = {total} trials, drawn independently; default and"
        " enqueued trials are left out). One training seed for each trial."
    )
    return text + (f" {failed} failed trials count as reaching no value." if failed else "")


def draw(numbers: Distributions) -> Figure:
    """Step curves, strategies named in the legend."""
    with style.context(wide=False):
        entries = [
            (
                curve.sample.strategy,
                style.colour(curve.sample.colour),
                style.line(curve.sample.line),
            )
            for curve in numbers.curves
        ]
        legend = style.legend_rows([name for name, *_ in entries])
        figure = style.figure(height=0.45 + 2.0 + 0.17 * legend)
        axes = figure.subplots()
        for curve, (_, shade, dashes) in zip(numbers.curves, entries, strict=True):
            # From the best value on the curve falls to 0 where nothing is as good.
            values = (curve.sample.values[0], *curve.sample.values)
            axes.step(
                values,
                (0.0, *curve.shares),
                where="pre",
                color=shade,
                linestyle=dashes,
                linewidth=1.3,
            )
        axes.set_ylim(0, 1.02)
        axes.set_xlabel(style.words(numbers.metric))
        axes.set_ylabel("share of trials")
        values_shown = [value for curve in numbers.curves for value in curve.sample.values]
        scale.spread(axes, "x", values_shown, numbers.direction)
        style.grid(axes)
        style.legend_of_lines(figure, entries)
        return figure


FIGURE = ReportFigure(
    summarize=lambda findings: summarize(findings.study, findings.trials),
    caption=caption,
    draw=draw,
)
