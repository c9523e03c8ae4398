"""How far the trials of a source are: those that have ended, and those that run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.record import EpochResult, Role, State, TrialSpec


@dataclass(frozen=True, kw_only=True)
class GroupProgress:
    """Progress of one group of trials.

    Attributes:
        target: Number of trials that are planned.
        best: The best completed value.
    """

    name: str
    target: int
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    running: int = 0
    best: float | None = None

    @classmethod
    def of(
        cls, name: str, target: int, ended: Counter[State], begun: int, best: float | None = None
    ) -> GroupProgress:
        """The status of a group from the final states of its trials, of which some still run."""
        return cls(
            name=name,
            target=target,
            complete=ended[State.COMPLETE],
            pruned=ended[State.PRUNED],
            failed=ended[State.FAILED],
            running=begun - ended.total(),
            best=best,
        )

    @property
    def ended(self) -> int:
        """Number of trials in a final state."""
        return self.complete + self.pruned + self.failed


@dataclass(frozen=True, kw_only=True)
class RunningTrial:
    """A trial that a worker has, by its last report.

    Attributes:
        epoch: Epochs done; a fraction where an epoch has several reports.
        epochs: Planned epochs.
        value: The objective at the last report; None before the first, and in a confirmation.
    """

    name: str
    epoch: float
    epochs: int
    value: float | None = None

    @classmethod
    def of(cls, spec: TrialSpec, last: EpochResult | None) -> RunningTrial:
        """The status of a trial from its last report."""
        # A confirmation shows nothing of its results before the last run has ended.
        metrics = last.metrics if last and spec.role is not Role.CONFIRMATION else {}
        return cls(
            name=spec.name,
            epoch=0 if last is None else last.epochs_done,
            epochs=spec.plan.epochs,
            value=metrics.get(spec.objective.metric),
        )


@dataclass(frozen=True, kw_only=True)
class StudyProgress:
    """Progress of all trials of a source.

    Attributes:
        running: The trials that workers have.
        stopping: Whether these are parked as soon as possible.
    """

    groups: Sequence[GroupProgress]
    running: Sequence[RunningTrial] = ()
    stopping: bool = False

    @property
    def ended(self) -> int:
        """Number of trials in a final state."""
        return sum(group.ended for group in self.groups)

    @property
    def target(self) -> int:
        """Number of trials that are planned."""
        return sum(group.target for group in self.groups)
