"""Figure: critical-difference diagram of average ranks over several data sets.

Bars join strategies whose comparison by pairwise Wilcoxon tests is inconclusive. Drawn by
``workbench verdict``, because a study has one data set.
"""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import NamedTuple

from workbench.plotting import naming, saving, style, venues
from workbench.report.figures import ReportFigure
from workbench.verdict.across.ranks import Ranks
from workbench.verdict.wording.numbers import bare_p

_AXIS = 0.32  # inches from the top to the line of ranks


class CriticalDifference(NamedTuple):
    """Strategies by average rank, 1 the best.

    Attributes:
        names: Best first; ``ranks`` are theirs.
        groups: First and last index in ``names`` of neighbours without a significant difference.
        p: Of Friedman's test in Iman and Davenport's form.
        n: Data sets.
        alpha: Of the tests of pairs.
    """

    names: tuple[str, ...]
    ranks: tuple[float, ...]
    groups: tuple[tuple[int, int], ...]
    p: float
    n: int
    alpha: float


def summarize(across: Ranks, alpha: float) -> CriticalDifference:
    """The strategies by their average rank.

    Args:
        across: What several data sets show together.
        alpha: A pair with a corrected p below it differs.

    Source:
        Demsar (2006), JMLR 7, with the pairwise tests of Benavoli et al. (2016), JMLR 17.
    """
    ordered = sorted(zip(across.ranks, across.strategies, strict=True), key=itemgetter(0))
    names = tuple(name for _, name in ordered)
    return CriticalDifference(
        names=names,
        ranks=tuple(rank for rank, _ in ordered),
        groups=tuple((names.index(group[0]), names.index(group[-1])) for group in across.groups),
        p=across.friedman.p,
        n=len(across.datasets),
        alpha=alpha,
    )


def caption(numbers: CriticalDifference) -> str:
    """What a rank and a bar are, and n."""
    p = f"p {bare_p(numbers.p)}" if numbers.p < 0.0001 else f"p = {bare_p(numbers.p)}"
    return (
        f"Average rank of each strategy over n = {numbers.n} data sets; 1 is the best. A bar joins"
        " strategies whose pairwise comparison is inconclusive (Wilcoxon signed-rank test,"
        f" Holm-corrected p of at least {numbers.alpha:g}); this does not show that they are equal."
        f" Friedman test: {p} (Iman and Davenport's F)."
    )


def plot(numbers: CriticalDifference) -> style.Figure:
    """A scale of ranks with names below it, the better half on the left."""
    count = len(numbers.names)
    left = -(-count // 2)
    bars = 0.13 * len(numbers.groups)
    height = 0.62 + bars + 0.2 * left
    figure = style.figure(height=height, fitted=False)
    names = naming.distinct(numbers.names, 22)
    # Names are on both sides of the scale; 0.058 inches is the width of a letter at 8 points.
    margin = min(0.36, (0.058 * max(map(len, names)) + 0.5) / venues.width())
    axes = figure.add_axes((margin, 0.0, 1 - 2 * margin, 1.0))
    axes.set_axis_off()
    # Horizontally in ranks, vertically in inches from the top.
    axes.set(xlim=(1, count), ylim=(height, 0))
    # Ends are outside the axes, which end at the first and the last rank.
    draw = partial(axes.plot, clip_on=False)
    draw([1, count], [_AXIS, _AXIS], color=style.INK, linewidth=0.8)
    size = venues.sizes().tick
    for rank in range(1, count + 1, 1 if count <= 12 else 2):
        draw([rank, rank], [_AXIS, _AXIS - 0.06], color=style.INK, linewidth=0.8)
        axes.text(rank, _AXIS - 0.1, f"{rank}", ha="center", va="bottom", fontsize=size)
    beyond = 0.012 * (count - 1)
    for place, (name, mean) in enumerate(zip(names, numbers.ranks, strict=True)):
        at_left = place < left
        y = 0.5 + bars + 0.2 * (place if at_left else count - 1 - place)
        end = 1 - 2 * beyond if at_left else count + 2 * beyond
        draw([mean, mean, end], [_AXIS, y, y], color=style.QUIET, linewidth=0.7)
        draw([mean], [_AXIS], color=style.INK, marker="o", markersize=3.5)
        text = axes.annotate(
            f"{name}  {mean:.2f}" if at_left else f"{mean:.2f}  {name}",
            (end, y),
            (-4 if at_left else 4, 0),
            textcoords="offset points",
            annotation_clip=False,
            ha="right" if at_left else "left",
            va="center",
            fontsize=size,
        )
        saving.hover(text, f"{numbers.names[place]}: average rank {mean:.3f}")
    for level, (first, last) in enumerate(numbers.groups):
        ends = [numbers.ranks[first] - beyond, numbers.ranks[last] + beyond]
        y = _AXIS + 0.1 + 0.13 * level
        draw(ends, [y, y], color=style.INK, linewidth=2.4, solid_capstyle="butt")
    return figure


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, wide=True)
