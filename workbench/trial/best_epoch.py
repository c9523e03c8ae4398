"""Which epoch of a trial counts, what is kept of it, and when a history ends its trial.

Asks little of whatever trains (``Trainer``): the engine, or a training of the user's own. Knows no
file and no driver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from workbench.datasets import Data
from workbench.record import EpochResult, Objective
from workbench.record.strategy import Plan
from workbench.tasks import Task
from workbench.trial import artifacts


class Trainer(Protocol):
    """What a trial asks of whatever trains: the engine, or a training of the user's own."""

    @property
    def confusion(self) -> list[list[int]] | None:
        """Rows true, columns predicted, of the last validation."""
        ...

    @property
    def validated(self) -> tuple[Tensor, Tensor] | None:
        """Outputs and targets of the last validation, where there are any."""
        ...

    @property
    def parameters(self) -> dict[str, int]:
        """Number of parameters, ``total`` and ``trainable``."""
        ...

    def epochs(self) -> Iterator[EpochResult]:
        """Train on, and yield every report."""
        ...

    def state(self) -> dict[str, Any] | None:
        """What going on from the last report needs; None where it can only start again."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        ...

    def weights(self) -> Mapping[str, Tensor] | None:
        """The model after the last report, on the CPU; None where there is nothing to keep."""
        ...


@dataclass(kw_only=True)
class Chosen:
    """The epoch that the objective's rule has chosen so far: plain data but for the weights.

    Attributes:
        epoch: Number of its report.
        value: Of the objective.
        confusion: Rows true, columns predicted; None for a task without single classes.
        weights: None where there is no model to keep.
        scores: See ``tasks.examination.Examination``.
        mistakes: The same, by the sample's number and name.
    """

    epoch: int
    value: float
    confusion: list[list[int]] | None
    weights: Mapping[str, Tensor] | None
    scores: list[dict[str, Any]] = field(default_factory=list)
    mistakes: list[dict[str, Any]] = field(default_factory=list)


def must_count(result: EpochResult, objective: Objective) -> None:
    """Nothing, if a report says what the study optimises.

    Raises:
        ValueError: It has no such metric.
    """
    if objective.metric not in result.metrics:
        raise ValueError(
            f"Report {result.epoch} has no {objective.metric}, which the study optimises; "
            f"it has {', '.join(result.metrics)}."
        )


def counts(result: EpochResult, chosen: Chosen | None, objective: Objective) -> bool:
    """Whether a report takes the place of the one chosen so far."""
    best = None if chosen is None else chosen.value
    return objective.epoch == "last" or objective.better(result.metrics[objective.metric], best)


def taken(
    result: EpochResult, objective: Objective, trainer: Trainer, task: Task, data: Data
) -> Chosen:
    """What is kept of the report that a trainer stands after."""
    chosen = Chosen(
        epoch=result.epoch,
        value=result.metrics[objective.metric],
        confusion=trainer.confusion,
        weights=trainer.weights(),
    )
    if trainer.validated is not None:
        examined = task.examine(*trainer.validated)
        chosen.scores = examined.scores
        chosen.mistakes = artifacts.located(examined.mistakes, data)
    return chosen


def stopped_early(history: Sequence[EpochResult], objective: Objective, plan: Plan) -> bool:
    """Whether a history ends its trial: too many reports without a better value.

    A pure function of the history, so that a resumed trial stops where any other would. A value
    counts as better where it beats the last one that counted by more than the rule's ``least``.
    Only the reports of the last phase count, after its last thaw, and only one another: a linear
    probe stands still before fine-tuning begins, and what is newly trained may lose at first.
    """
    rule = plan.early_stopping
    if rule is None:
        return False
    sign = 1 if objective.direction == "maximize" else -1
    best, since = None, 0
    for result in history[_settled(plan) :]:
        value = result.metrics[objective.metric]
        gain = 0.0 if best is None else sign * (value - best)
        if best is None or gain > rule.least:
            best, since = value, 0
        else:
            since += 1
    return since >= rule.patience


def _settled(plan: Plan) -> int:
    """Number of reports after which what is trained changes no more."""
    last = plan.phases[-1]
    before = plan.epochs - last.epochs
    if last.unfreeze_every:
        thaws = min(last.freeze_depth, (last.epochs - 1) // last.unfreeze_every)
        before += thaws * last.unfreeze_every
    return before * plan.reports_per_epoch


def early(history: Sequence[EpochResult], plan: Plan) -> str:
    """Why a trial that ``stopped_early`` ends."""
    patience = 0 if plan.early_stopping is None else plan.early_stopping.patience
    count = "1 report" if patience == 1 else f"{patience} reports"
    return f"stopped early at {place(history, plan)}: no better value in {count}"


def place(history: Sequence[EpochResult], plan: Plan) -> str:
    """Where a trial stands after its history: ``epoch 7``, or ``report 7 (epoch 1.75)``."""
    last = len(history)
    if plan.reports_per_epoch == 1:
        return f"epoch {last}"
    done = history[-1].metrics.get("epochs", last * plan.report_every) if history else 0
    return f"report {last} (epoch {done:g})"
