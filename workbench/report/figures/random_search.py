"""The independent draws of a random search, by strategy.

Used by the figures ``edf`` and ``expected_maximum``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from workbench.record import State
from workbench.report.figures import LeftOut
from workbench.report.figures.curves import Place, places
from workbench.report.trials import by_strategy
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict.guards import expected_maximum
from workbench.verdict.refusals import Refused

LEAST = 5  # draws of a strategy; fewer do not show a distribution


class Sample(NamedTuple):
    """The draws of one strategy, best first; ``failed`` of them have no value."""

    place: Place
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
    draws = {}
    for name, group in by_strategy(study, drawn).items():
        values = sorted((t.value for t in group if t.value is not None), key=lambda v: sign * v)
        if values and len(group) >= LEAST:
            draws[name] = (tuple(values), len(group) - len(values))
    if not draws:
        raise LeftOut(f"No strategy has {LEAST} random trials with a value among them.")
    placed = places(study, trials, list(draws))
    return tuple(Sample(place, *own) for place, own in zip(placed, draws.values(), strict=True))
