"""Figure of one trial: its losses and the objective by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.plotting import naming, scale, style
from workbench.record import EpochResult, Objective

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_MOST_MARKERS = 60  # of a line; more would overlap


class Span(NamedTuple):
    """A phase, with the epochs done at its first and at its last report."""

    name: str
    first: float
    last: float


class Line(NamedTuple):
    """One metric by epochs done, without the reports that lack it."""

    metric: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]


class LearningCurve(NamedTuple):
    """The numbers of the figure; ``objective`` is None if it is one of the losses.

    Attributes:
        step: Epochs between two reports: 1, or less where a trial reports within an epoch.
        logarithm: Whether the losses need a logarithmic axis.
    """

    losses: tuple[Line, ...]
    objective: Line | None
    phases: tuple[Span, ...]
    chosen_epoch: float | None
    step: float
    logarithm: bool
    direction: str


def summarize(
    history: Sequence[EpochResult], chosen_epoch: int | None, objective: Objective
) -> LearningCurve:
    """Losses, objective and phases of a history.

    Args:
        history: Accepted epochs in order; empty if the trial ended before its first report.
        chosen_epoch: The report that the objective's rule chose (``EpochResult.epoch``), or None.
        objective: Of the study.
    """
    losses = [_line(history, name) for name in ("train/loss", "validation/loss")]
    target = _line(history, objective.metric)
    phases = []
    for name, group in groupby(history, key=lambda result: result.phase):
        done = [_done(result) for result in group]
        phases.append(Span(name, done[0], done[-1]))
    chosen = [_done(result) for result in history if result.epoch == chosen_epoch]
    shown = [value for line in losses for value in line.values]
    return LearningCurve(
        losses=tuple(line for line in losses if line.epochs),
        objective=None if target.metric in [line.metric for line in losses] else target,
        phases=tuple(phases),
        chosen_epoch=chosen[0] if chosen else None,
        step=_done(history[0]) / history[0].epoch if history else 1.0,
        direction=objective.direction,
        logarithm=bool(shown) and scale.wants_logarithm(shown, "minimize"),
    )


def _done(result: EpochResult) -> float:
    """Epochs done: the number of the report, unless a trial reports within an epoch."""
    return result.metrics.get("epochs", result.epoch)


def _line(history: Sequence[EpochResult], metric: str) -> Line:
    points = [
        (_done(result), result.metrics[metric]) for result in history if metric in result.metrics
    ]
    return Line(metric, tuple(epoch for epoch, _ in points), tuple(value for _, value in points))


def draw(numbers: LearningCurve) -> Figure:
    """Losses above, objective below, on the same epochs; phases shaded where there are several."""
    return style.draw(_plot, numbers)


def _plot(numbers: LearningCurve) -> Figure:
    rows = 2 if numbers.objective else 1
    height = 0.5 + 1.65 * rows
    # Drawn after every trial, so without the slow computation of margins.
    figure = style.figure(height=height, fitted=False)
    edges = {"bottom": 0.42 / height, "top": 1 - 0.2 / height}
    figure.subplots_adjust(left=0.115, right=0.99, hspace=0.12, **edges)
    panels = list(figure.subplots(rows, 1, sharex=True, squeeze=False).ravel())
    for index, loss in enumerate(numbers.losses):
        _draw_line(panels[0], loss, index)
    panels[0].set_ylabel("loss")
    if numbers.objective:
        _draw_line(panels[1], numbers.objective, 2)
        panels[1].set_ylabel(naming.words(numbers.objective.metric))
    for axes in panels:
        _mark(axes, numbers)
        style.grid(axes)
    note: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8, "color": style.QUIET}
    note["xycoords"] = ("data", "axes fraction")
    for span in numbers.phases if len(numbers.phases) > 1 else ():
        panels[0].annotate(span.name, (span.first - numbers.step / 2, 1.0), (3, 3), **note)
    last = max((span.last for span in numbers.phases), default=1)
    first = numbers.step if numbers.step < 1 else 1.0
    panels[-1].set_xlim(first - numbers.step / 2, max(last, first) + numbers.step / 2)
    if numbers.logarithm:
        scale.logarithmic(panels[0], "y")
    panels[-1].set_xlabel("epoch")
    figure.align_ylabels(panels)
    whole = max(1, int(last))
    # At most 12 ticks, at whole epochs.
    if last >= 1:
        panels[-1].set_xticks(range(1, whole + 1, -(-whole // 12)))
    if numbers.chosen_epoch is not None:
        falls = numbers.direction == "minimize"
        late = numbers.chosen_epoch > 0.8 * last
        panels[-1].annotate(
            f"chosen: {numbers.chosen_epoch:g}",
            # A falling curve leaves room at the top, a rising one at the bottom.
            (numbers.chosen_epoch, 1.0 if falls else 0.0),
            (-3 if late else 3, -3 if falls else 3),
            va="top" if falls else "bottom",
            ha="right" if late else "left",
            **note,
        )
    if numbers.losses:
        panels[0].legend(loc="best")
    return figure


def _draw_line(axes: Axes, line: Line, index: int) -> None:
    axes.plot(
        line.epochs,
        line.values,
        color=style.colour(index),
        marker=style.marker(index) if len(line.epochs) <= _MOST_MARKERS else "",
        markersize=3,
        label=naming.words(line.metric),
    )


def _mark(axes: Axes, numbers: LearningCurve) -> None:
    if len(numbers.phases) > 1:
        for span in numbers.phases[1::2]:
            half = numbers.step / 2
            axes.axvspan(span.first - half, span.last + half, color=style.RULE, alpha=0.35, lw=0)
    if numbers.chosen_epoch is not None:
        axes.axvline(numbers.chosen_epoch, color=style.INK, linewidth=0.8, linestyle=(0, (3, 2)))
