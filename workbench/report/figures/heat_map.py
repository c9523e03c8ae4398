"""Figure: best value and number of trials by strategy and learning rate.

A cell shows no mean, because the sampler decided which trials are in it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from workbench.messages import counted
from workbench.plotting import naming, scale, style, venues
from workbench.report.checks.bounds import Bound, of_best_trials, with_warning
from workbench.report.figures import Findings, LeftOut, NotApplicable, ReportFigure
from workbench.report.trials import best, by_strategy, encoding
from workbench.tracker.trial_run import TrialRun
from workbench.verdict.wording.numbers import measured

if TYPE_CHECKING:
    from matplotlib.colors import Normalize

_STEPS = (0.25, 0.5, 1.0, 2.0, 4.0)  # decades a bin
_MOST_BINS = 9
_MOST_ROWS = 40


class HeatMap(NamedTuple):
    """Rows are strategies, columns bins of the learning rate (``edges`` has one more).

    Attributes:
        groups: Of each row, the index of its first factor's level.
        values: Best value of the cell's completed trials; None where there is none.
        counts: Number of completed trials in the cell.
        hidden: Number of trials without a value.
        at_bound: Best trials whose learning rate lies at a bound of its range.
    """

    metric: str
    direction: str
    rows: tuple[str, ...]
    groups: tuple[int, ...]
    edges: tuple[float, ...]
    values: tuple[tuple[float | None, ...], ...]
    counts: tuple[tuple[int, ...], ...]
    hidden: int
    at_bound: tuple[Bound, ...] = ()


def summarize(findings: Findings) -> HeatMap:
    """Best values and counts by strategy and bin; raises ``LeftOut`` where there is no map."""
    study, trials = findings.study, findings.trials
    valued = [(t, t.learning_rate) for t in trials if t.value is not None and t.learning_rate]
    if not valued:
        raise LeftOut("No trial completed, so there is no value to show.")
    codes = encoding(study, trials)
    groups = {name: group for name, group in by_strategy(study, trials).items() if group}
    if len(groups) < 2:
        raise NotApplicable("There is only one strategy, so the map would have one row.")
    if len(groups) > _MOST_ROWS:
        raise LeftOut(f"More than {_MOST_ROWS} strategies do not fit a page.")
    edges = bins([rate for _, rate in valued])
    if len(edges) < 3:
        raise NotApplicable("All completed trials have about the same learning rate.")
    values, counts = [], []
    for name in groups:
        cells: list[list[TrialRun]] = [[] for _ in edges[1:]]
        for trial, rate in valued:
            if trial.strategy == name:
                cells[_bin_of(rate, edges)].append(trial)
        chosen = [best(study, cell) for cell in cells]
        values.append(tuple(trial.value if trial else None for trial in chosen))
        counts.append(tuple(len(cell) for cell in cells))
    bounds = of_best_trials(study, trials)
    return HeatMap(
        metric=study.objective.metric,
        direction=study.objective.direction,
        rows=tuple(groups),
        groups=tuple(codes[name][0] for name in groups),
        edges=edges,
        values=tuple(values),
        counts=tuple(counts),
        hidden=len(trials) - len(valued),
        at_bound=tuple(bound for bound in bounds if bound.knob.endswith("learning_rate")),
    )


def bins(rates: Sequence[float]) -> tuple[float, ...]:
    """Round edges (such as 1, 3, 10) at the finest step with at most nine bins.

    They do not depend on the exact rates, so that another trial does not move all cells.
    """
    lowest, highest = min(rates), max(rates)
    edges: list[float] = []
    for step in _STEPS:
        first = math.floor(math.log10(lowest) / step) - 1
        last = math.ceil(math.log10(highest) / step) + 1
        edges = [_round(10 ** (index * step), step) for index in range(first, last + 1)]
        edges = edges[bisect_right(edges, lowest) - 1 : bisect_left(edges, highest) + 1]
        if len(edges) - 1 <= _MOST_BINS:
            break
    return tuple(edges)


def _round(edge: float, step: float) -> float:
    return float(f"{edge:.0e}") if step >= 0.5 else float(f"{edge:.1e}")


def _bin_of(rate: float, edges: Sequence[float]) -> int:
    # A rate at an edge may be smaller than it by rounding: 10 ** -3 is not exactly 0.001.
    below = bisect_right(edges, rate * (1 + 1e-12))
    return min(max(below - 1, 0), len(edges) - 2)


def caption(numbers: HeatMap) -> str:
    """What a cell is, n, and what is not shown."""
    extreme = "highest" if numbers.direction == "maximize" else "lowest"
    total = sum(sum(row) for row in numbers.counts)
    text = (
        f"{extreme.capitalize()} {naming.words(numbers.metric)} by strategy and learning rate. A"
        f" cell holds the {extreme} value of its completed trials and, below it, their number"
        f" (n = {total} in all); a cell with none is blank; darker"
        " is closer to the objective. A cell with more trials had more chances of a good value, so"
        " cells show what was tried, not what is possible."
    )
    if numbers.hidden:
        hidden = counted(numbers.hidden, "trial")
        text += f" Not shown: {hidden} without a value (pruned, failed, unfinished)."
    return with_warning(text, numbers.at_bound)


def plot(numbers: HeatMap) -> style.Figure:
    """Tiles with value and count, rows grouped by the first factor."""
    tops = [0.0]  # of the rows; a gap separates the levels of the first factor
    for before, after in zip(numbers.groups, numbers.groups[1:], strict=False):
        tops.append(tops[-1] + (1.0 if after == before else 1.22))
    figure = style.figure(height=0.55 + 0.3 * (tops[-1] + 1))
    axes = figure.subplots()
    present = [value for row in numbers.values for value in row if value is not None]
    # The shade follows the objective: darker is lower where the study minimises.
    norm = _norm(present, numbers.direction)
    for top, values, counts in zip(tops, numbers.values, numbers.counts, strict=True):
        for column, (value, count) in enumerate(zip(values, counts, strict=True)):
            if value is not None:
                # With a single value the norm would divide by zero.
                share = float(norm(value)) if max(present) > min(present) else 0.5
                share = share if numbers.direction == "maximize" else 1 - share
                _draw_cell(axes, column, top, share, (measured(value), f"n={count}"))
    axes.set_xlim(0, len(numbers.edges) - 1)
    axes.set_ylim(tops[-1] + 1, 0)
    axes.set_xticks(range(len(numbers.edges)), [f"{edge:g}" for edge in numbers.edges])
    axes.set_yticks([top + 0.5 for top in tops], naming.distinct(numbers.rows))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("learning rate")
    return figure


def _draw_cell(
    axes: style.Axes, column: int, top: float, share: float, texts: tuple[str, str]
) -> None:
    """A tile with two lines of text; the higher ``share``, the darker."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    red, green, blue, _ = colormaps["Blues"](0.08 + 0.72 * share)
    axes.add_patch(Rectangle((column + 0.02, top + 0.04), 0.96, 0.92, color=(red, green, blue)))
    # The luma of BT.601: how bright a colour looks, for text that is legible on it.
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
    write = partial(axes.text, ha="center", va="center", color="#ffffff" if dark else "#000000")
    write(column + 0.5, top + 0.36, texts[0], fontsize=venues.sizes().small)
    write(column + 0.5, top + 0.74, texts[1], fontsize=venues.sizes().small - 0.5)


def _norm(values: Sequence[float], direction: str) -> Normalize:
    """The scale of the shades, which is the scale that an axis of the values would have."""
    from matplotlib.colors import LogNorm, Normalize, SymLogNorm

    low, high = min(values), max(values)
    if scale.wants_logarithm(values, direction):
        return LogNorm(low, high)
    if (inner := scale.linear_part(values, direction)) is not None:
        return SymLogNorm(inner, vmin=low, vmax=high)
    return Normalize(low, high)


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, wide=True)
