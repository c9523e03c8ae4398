"""The independent draws of a random search, by strategy, and panels to draw them in.

Used by the figures ``edf`` and ``expected_maximum``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from workbench.plotting import naming, style
from workbench.record import State
from workbench.report.figures import LeftOut
from workbench.report.trials import by_strategy, varied
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict.guards import Refused, expected_maximum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST = 5  # draws of a strategy; fewer do not show a distribution


class Sample(NamedTuple):
    """The draws of one strategy, best first; ``failed`` of them have no value.

    Attributes:
        label: Of its line: the strategy, or the level of its first factor where there are panels.
        look: Index of its colour and line style.
        panel: Title of its panel: the levels of the other factors; empty where there is one panel.
    """

    strategy: str
    label: str
    look: int
    panel: str
    values: tuple[float, ...]
    failed: int

    @property
    def n(self) -> int:
        """Draws in all."""
        return len(self.values) + self.failed


def samples(study: StoredStudy, trials: Sequence[TrialRun]) -> tuple[Sample, ...]:
    """Ended trials that the sampler drew, without the default and enqueued trials.

    Raises:
        LeftOut: Draws are not independent, some were pruned, or there are too few.
    """
    if all(trial.value is None for trial in trials):
        raise LeftOut("No trial completed, so there is no value to show.")
    enqueued = study.training.enqueued if study.training else 0
    # Number 0 is the default configuration, the enqueued ones follow.
    drawn = [trial for trial in trials if trial.ended and trial.number > enqueued]
    pruned = sum(trial.state == State.PRUNED for trial in drawn)
    try:
        expected_maximum(study.sampler, pruned=pruned)
    except Refused as refused:
        raise LeftOut(str(refused)) from refused
    sign = -1 if study.maximizes else 1
    draws: list[Sample] = []
    for name, group in by_strategy(study, drawn).items():
        values = sorted((t.value for t in group if t.value is not None), key=lambda v: sign * v)
        if values and len(group) >= LEAST:
            lost = len(group) - len(values)
            draws.append(Sample(name, name, len(draws), "", tuple(values), lost))
    if not draws:
        raise LeftOut(f"No strategy has {LEAST} random trials with a value among them.")
    return _in_panels(study, trials, draws)


def _in_panels(
    study: StoredStudy, trials: Sequence[TrialRun], draws: Sequence[Sample]
) -> tuple[Sample, ...]:
    """Panels by the levels of all factors but the first, where lines are more than styles."""
    factors = varied(study, trials)
    if len(draws) <= len(style.LINES) or len(factors) < 2:
        return tuple(draws)
    (first, labels), *others = factors.items()
    placed = []
    for sample in draws:
        trial = next(trial for trial in trials if trial.strategy == sample.strategy)
        panel = ", ".join(f"{naming.words(name)} {trial.label(name)}" for name, _ in others)
        label = str(trial.label(first))
        look = labels.index(label) if label in labels else len(labels)
        placed.append(sample._replace(label=label, look=look, panel=panel))
    return tuple(placed)


def in_panels(
    samples: Sequence[Sample], across: str, up: str
) -> tuple[Figure, list[tuple[Axes, style.Entry]]]:
    """Small multiples on shared axes with a legend of lines.

    Args:
        samples: Each is drawn in the panel that it names.
        across: Label of the horizontal axis.
        up: Label of the vertical axis.

    Returns:
        The figure and, for each sample, its axes with the colour and line style of its curve.
    """
    titles = list(dict.fromkeys(sample.panel for sample in samples))
    columns = min(len(titles), 3)
    entries = {
        s.label: style.Entry(s.label, style.colour(s.look), line=style.line(s.look))
        for s in samples
    }
    row = 1.85 if len(titles) > columns else 2.1
    rest = 0.45 + style.legend_height(list(entries))
    figure, grid = style.panels(len(titles), columns, row=row, rest=rest)
    for axes, title in zip(grid, titles, strict=True):
        if title:
            style.panel_label(axes, [title])
    figure.supxlabel(across)
    figure.supylabel(up)
    style.legend(figure, list(entries.values()))
    return figure, [(grid[titles.index(s.panel)], entries[s.label]) for s in samples]
