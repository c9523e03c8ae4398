"""Figure: mean difference and corrected p of every pair of strategies.

Colour shows the sign, and only where the corrected p is below alpha: shades by size would suggest
differences that no test supports.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from workbench.plotting import naming, saving, style, venues
from workbench.report import templates
from workbench.report.figures import CONFIRMATION, Findings, LeftOut, ReportFigure
from workbench.report.figures.sides import compared, hover, how_tested, names
from workbench.verdict import Comparison, Verdict
from workbench.verdict.contrast import BASELINE
from workbench.verdict.wording.numbers import bare_p

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NUMBERS = 10  # sides; beyond that a cell has no room for two numbers
_MOST_SIDES = 30
_LEAST_COLUMNS = 6  # the width of a cell is at most a sixth of the figure's
_AHEAD, _BEHIND = style.COLOURS[0], style.COLOURS[1]


class Pairwise(NamedTuple):
    """Cells above the diagonal: ``cells[row][i]`` compares the row with the i-th side after it.

    ``sides`` are sorted by mean, the best first; a cell is None where the two were not compared.
    """

    verdict: Verdict
    sides: tuple[str, ...]
    cells: tuple[tuple[Comparison | None, ...], ...]
    n: int


def summarize(findings: Findings) -> Pairwise:
    """All comparisons of the verdict; raises ``LeftOut`` where the forest plot shows them all."""
    verdict = compared(findings)
    sides = names(verdict)
    if len(verdict.comparisons) < 2 or len(sides) < 3:
        raise LeftOut("There is only one pair, and the forest plot shows it.")
    if verdict.contrast == BASELINE:
        raise LeftOut("Only pairs with the baseline are compared; the forest plot shows them all.")
    if len(sides) > _MOST_SIDES:
        raise LeftOut(f"{len(sides)} strategies do not fit a page; tables/ has every pair.")
    # The verdict has each pair once, in either order.
    by_pair = {frozenset((item.first, item.second)): item for item in verdict.comparisons}
    cells = []
    for row, own in enumerate(sides):
        line: list[Comparison | None] = []
        for other in sides[row + 1 :]:
            item = by_pair.get(frozenset((own, other)))
            # Turned so that a positive difference always favours the row.
            line.append(item.flipped() if item and item.first != own else item)
        cells.append(tuple(line))
    return Pairwise(
        verdict=verdict,
        sides=sides,
        cells=tuple(cells),
        n=min(len(item.differences) for item in verdict.comparisons),
    )


def caption(numbers: Pairwise) -> str:
    """What a cell is, n, and what its colour means."""
    verdict = numbers.verdict
    maximizes = verdict.direction == "maximize"
    better = "higher" if maximizes else "lower"
    if len(numbers.sides) > _MOST_NUMBERS:
        cells = (
            f"A cell compares its row with its column; triangles where p < {verdict.alpha:g}: up"
            f" (blue) where the row has the {better} mean, down (orange) where the column has it;"
            " ring: equivalent by TOST within the smallest effect"
        )
    else:
        turned = "" if maximizes else ", positive where the row is lower,"
        cells = (
            f"A cell shows the mean difference between its row and its column{turned} and below it"
            f" the corrected p; it is coloured only where p < {verdict.alpha:g}: blue where the row"
            f" has the {better} mean, orange where the column has it"
        )
    return (
        f"Pairwise differences in {naming.words(verdict.metric)}, secondary: they decide nothing."
        f" {cells}. Rows and columns are sorted by mean (n = {numbers.n} training seeds, paired)."
        f" p: {how_tested(verdict)}."
    )


def plot(numbers: Pairwise) -> Figure:
    """The upper triangle, with names at its left and above it."""
    count = len(numbers.sides)
    condensed = count > _MOST_NUMBERS
    size = 0.2 if condensed else 0.32
    figure = style.figure(height=0.9 + size * (count - 1) + 0.12)
    axes = figure.subplots()
    for row in range(count - 1):
        for column, item in enumerate(numbers.cells[row], start=row):
            if item is not None:
                _draw_cell(axes, numbers, item, row, column, condensed=condensed)
    axes.set_xlim(0, max(count - 1, _LEAST_COLUMNS))
    axes.set_ylim(count - 1, 0)
    labels = naming.distinct(numbers.sides, 16 if condensed else 20)
    places = [index + 0.5 for index in range(count - 1)]
    turned = (
        condensed
        or max(map(len, labels[1:])) * max(count, _LEAST_COLUMNS + 1) > 14 * venues.width()
    )
    axes.xaxis.tick_top()
    axes.set_xticks(
        places,
        labels[1:],
        rotation=35 if turned else 0,
        ha="left" if turned else "center",
        rotation_mode="anchor",
    )
    axes.set_yticks(places, labels[:-1])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _draw_cell(
    axes: Axes, numbers: Pairwise, item: Comparison, row: int, column: int, *, condensed: bool
) -> None:
    from matplotlib.patches import Rectangle

    decided = item.p_holm < numbers.verdict.alpha
    mean = item.difference
    ahead = mean.estimate > 0
    shade = (_AHEAD if ahead else _BEHIND) if decided else style.RULE
    tile = Rectangle(
        (column + 0.03, row + 0.05), 0.94, 0.9, color=shade, alpha=0.3 if decided else 0.4, lw=0
    )
    axes.add_patch(tile)
    text = f"{item.first} against {item.second}: {hover(mean)}, p {bare_p(item.p_holm)}"
    saving.hover(tile, text)
    write = partial(axes.text, column + 0.5, ha="center", va="center")
    if condensed:
        mark = ("▲" if ahead else "▼") if decided else "○" if item.equivalent else ""
        write(row + 0.5, mark, fontsize=6, color=style.INK)
        return
    unit = max(abs(cell.difference.estimate) for line in numbers.cells for cell in line if cell)
    small = venues.sizes().small
    text = templates.signed(mean.estimate, unit)
    write(row + 0.34, text, fontsize=small + 0.5, weight="bold" if decided else "normal")
    p = bare_p(item.p_holm)
    p = f"p {p}" if p.startswith("<") else f"p = {p}"
    write(row + 0.72, p, fontsize=small - 0.5, color=style.INK)


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, of=CONFIRMATION, wide=True)
