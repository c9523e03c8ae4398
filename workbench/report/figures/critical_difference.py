"""Figure: critical-difference diagram of average ranks over several data sets.

Bars join strategies whose comparison by pairwise Wilcoxon tests is inconclusive. Drawn by
``workbench verdict``, because a study has one data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from workbench.plotting import style
from workbench.plotting.canvas import lettered
from workbench.report.figures import ReportFigure
from workbench.verdict import statistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class CriticalDifference(NamedTuple):
    """Strategies by average rank, 1 the best.

    Attributes:
        names: Best first; ``ranks`` are theirs.
        groups: First and last index in ``names`` of neighbours without a significant difference.
        p: Of Friedman's test in Iman and Davenport's form.
        n: Data sets.
    """

    names: tuple[str, ...]
    ranks: tuple[float, ...]
    groups: tuple[tuple[int, int], ...]
    p: float
    alpha: float
    n: int


def summarize_table(
    names: Sequence[str], table: ArrayLike, *, alpha: float = 0.05
) -> CriticalDifference:
    """Ranks and groups of a table of results.

    Args:
        names: Of the strategies, the columns.
        table: Shape [data sets, strategies], at least 6 by 2; higher is better.
        alpha: A pair with a corrected p below it differs.

    Raises:
        ValueError: Too few data sets or strategies, or a value that is not finite.

    Source:
        Demsar (2006), JMLR 7, with the pairwise tests of Benavoli et al. (2016), JMLR 17.
    """
    result = statistics.critical_difference(table, alpha=alpha)
    ranks = result.friedman.ranks
    if len(names) != len(ranks):
        raise ValueError(
            f"{len(names)} names were given for {len(ranks)} columns; each column needs one."
        )
    order = sorted(range(len(names)), key=lambda index: (float(ranks[index]), index))
    place = {index: at for at, index in enumerate(order)}
    return CriticalDifference(
        names=tuple(names[index] for index in order),
        ranks=tuple(float(ranks[index]) for index in order),
        groups=tuple((place[group[0]], place[group[-1]]) for group in result.groups),
        p=result.friedman.p,
        alpha=alpha,
        n=len(np.asarray(table)),
    )


def caption(numbers: CriticalDifference) -> str:
    """What a rank and a bar are, and n."""
    p = f"p {style.p_value(numbers.p)}" if numbers.p < 0.0001 else f"p = {style.p_value(numbers.p)}"
    return (
        f"Average rank of each strategy over n = {numbers.n} data sets; 1 is the best. A bar joins"
        " strategies whose pairwise comparison is inconclusive (Wilcoxon signed-rank test,"
        f" Holm-corrected p of at least {numbers.alpha:g}); this does not show that they are equal."
        f" Friedman test: {p} (Iman and Davenport's F)."
    )


@lettered
def draw(numbers: CriticalDifference) -> Figure:
    """A scale of ranks with names below it, the better half on the left."""
    with style.context(wide=True):
        count = len(numbers.names)
        left = -(-count // 2)
        bars = 0.13 * len(numbers.groups)
        figure = style.figure(height=0.62 + bars + 0.2 * left, fitted=False)
        height = figure.get_size_inches()[1]
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        low, high = 1.0, float(count)
        names = style.told_apart(numbers.names, 22)
        # Names are on both sides of the scale; 0.058 inches is the width of a letter at 8 points.
        margin = min(0.36, (0.058 * max(map(len, names)) + 0.5) / style.width())

        def across(rank: float) -> float:
            return margin + (1 - 2 * margin) * (rank - low) / (high - low)

        def down(inches: float) -> float:
            return float(1 - inches / height)

        _draw_scale(axes, count, across, down)
        for place, (name, rank) in enumerate(zip(names, numbers.ranks, strict=True)):
            at_left = place < left
            step = place if at_left else count - 1 - place
            y = down(0.5 + bars + 0.2 * step)
            edge = margin - 0.02 if at_left else 1 - margin + 0.02
            x = across(rank)
            line = {"color": style.QUIET, "linewidth": 0.7}
            axes.plot([x, x, edge], [down(0.32), y, y], **line)  # type: ignore[arg-type]
            axes.scatter([x], [down(0.32)], s=12, color=style.INK, zorder=3)
            text = f"{name}  {rank:.2f}" if at_left else f"{rank:.2f}  {name}"
            written = axes.text(
                edge - 0.008 if at_left else edge + 0.008,
                y,
                text,
                ha="right" if at_left else "left",
                va="center",
                fontsize=style.sizes().tick,
            )
            style.tell(written, f"{numbers.names[place]}: average rank {rank:.3f}")
        for level, (first, last) in enumerate(numbers.groups):
            ends = [across(numbers.ranks[first]) - 0.008, across(numbers.ranks[last]) + 0.008]
            y = down(0.42 + 0.13 * level)
            axes.plot(ends, [y, y], color=style.INK, linewidth=2.4, solid_capstyle="butt")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        return figure


def _draw_scale(axes: Axes, count: int, across: Any, down: Any) -> None:
    line: dict[str, Any] = {"color": style.INK, "linewidth": 0.8}
    axes.plot([across(1), across(count)], [down(0.32)] * 2, **line)
    step = 1 if count <= 12 else 2
    for rank in range(1, count + 1, step):
        axes.plot([across(rank)] * 2, [down(0.32), down(0.26)], **line)
        axes.text(
            across(rank),
            down(0.22),
            f"{rank}",
            ha="center",
            va="bottom",
            fontsize=style.sizes().tick,
        )


FIGURE = ReportFigure(summarize=summarize_table, caption=caption, draw=draw, wide=True)
