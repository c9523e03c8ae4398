"""Figure: share of several data sets on which a strategy scores above each threshold.

Drawn by ``workbench verdict``, because a study has one data set.
"""

from __future__ import annotations

from typing import NamedTuple

from workbench.plotting import style
from workbench.report.figures import ReportFigure
from workbench.verdict.across.ranks import Ranks
from workbench.verdict.statistics import several


class PerformanceProfile(NamedTuple):
    """``shares[i][j]`` of the data sets score above ``thresholds[j]`` with strategy i.

    ``thresholds`` are all values of the table in ascending order; a share holds up to the next.
    """

    names: tuple[str, ...]
    thresholds: tuple[float, ...]
    shares: tuple[tuple[float, ...], ...]
    n: int


def summarize(across: Ranks) -> PerformanceProfile:
    """Profiles of the means on each data set, which are on one scale, higher the better.

    Source:
        Agarwal et al. (2021), NeurIPS; after Dolan and More (2002), Math. Program. 91.
    """
    thresholds = sorted({mean for means in across.means for mean in means})
    shares = [
        several.performance_profile(column, thresholds)
        for column in zip(*across.means, strict=True)
    ]
    return PerformanceProfile(
        names=across.strategies,
        thresholds=tuple(thresholds),
        shares=tuple(tuple(map(float, row)) for row in shares),
        n=len(across.datasets),
    )


def caption(numbers: PerformanceProfile) -> str:
    """What a curve is and n."""
    return (
        f"Performance profiles: share of the n = {numbers.n} data sets on which a strategy scores"
        " above the threshold (Agarwal et al. 2021), from one value for each data set. A curve"
        " above another everywhere is better at every threshold; where curves cross, the order"
        " depends on the threshold. No intervals: data sets were not resampled."
    )


def plot(numbers: PerformanceProfile) -> style.Figure:
    """Step curves, strategies named in the legend."""
    # Line styles repeat after four and colours after seven, so markers distinguish lines.
    entries = [
        style.Entry(name, style.colour(index), style.marker(index), style.line(index))
        for index, name in enumerate(numbers.names)
    ]
    figure = style.figure(height=2.45, entries=entries)
    axes = figure.subplots()
    every = max(1, len(numbers.thresholds) // 7)
    for index, (shares, look) in enumerate(zip(numbers.shares, entries, strict=True)):
        axes.step(
            (numbers.thresholds[0], *numbers.thresholds),
            (1.0, *shares),  # below the lowest value, all data sets score above the threshold
            where="post",
            color=look.colour,
            linestyle=look.line,
            linewidth=1.2,
            marker=look.marker,
            markersize=3.2,
            markevery=(1 + index % every, every),
        )
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("threshold (score)")
    axes.set_ylabel("share of data sets")
    style.grid(axes)
    return figure


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot)
