"""The choice of a trial's best epoch, what is kept of it, and early stopping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from workbench.datasets import Data
from workbench.messages import counted
from workbench.record import EpochResult, Objective
from workbench.record.strategy import Plan
from workbench.tasks.task import Task
from workbench.trial import artifacts
from workbench.trial.trainers import Trainer


@dataclass(kw_only=True)
class BestEpoch:
    """The epoch chosen so far by the objective's rule. A checkpoint stores these fields by name.

    Attributes:
        epoch: Number of its report.
        value: Of the objective.
        weights: None if there is no model to keep.
        confusion: Rows true, columns predicted; None for a task without single classes.
        scores: See ``tasks.examination.Examination``.
        mistakes: The same, with the sample's number and name.
    """

    epoch: int
    value: float
    weights: Mapping[str, Tensor] | None
    confusion: list[list[int]] | None = None
    scores: list[dict[str, Any]] = field(default_factory=list)
    mistakes: list[dict[str, Any]] = field(default_factory=list)


def require_metric(result: EpochResult, objective: Objective) -> None:
    """Check that a report has the objective's metric.

    Raises:
        ValueError: It does not.
    """
    if objective.metric not in result.metrics:
        raise ValueError(
            f"Report {result.epoch} has no metric {objective.metric}, which the study optimises; "
            f"it has {', '.join(result.metrics)}."
        )


def is_better(result: EpochResult, chosen: BestEpoch | None, objective: Objective) -> bool:
    """Whether a report replaces the one chosen so far; with ``epoch: last`` each one does."""
    best = None if chosen is None else chosen.value
    return objective.epoch == "last" or objective.better(result.metrics[objective.metric], best)


def choose(
    result: EpochResult, objective: Objective, trainer: Trainer, task: Task, data: Data
) -> BestEpoch:
    """What is kept of the trainer's last report."""
    chosen = BestEpoch(
        epoch=result.epoch,
        value=result.metrics[objective.metric],
        weights=trainer.weights(),
    )
    # A user's own training may have measured its metrics without ``validate``.
    if trainer.validated is not None:
        chosen.confusion = task.confusion(*trainer.validated)
        examined = task.examine(*trainer.validated)
        chosen.scores = examined.scores
        chosen.mistakes = artifacts.identified(examined.mistakes, data)
    return chosen


def stopped_early(history: Sequence[EpochResult], objective: Objective, plan: Plan) -> bool:
    """Whether early stopping ends a trial: too many reports without a better value.

    A pure function of the history, so that a resumed trial stops at the same epoch. A value counts
    as better if it exceeds the last one that counted by more than the rule's ``least``. Only the
    reports of the last phase count, after its last stage was unfrozen: a linear probe stagnates
    before fine-tuning begins, and newly unfrozen stages may lower the value at first.
    """
    rule = plan.early_stopping
    if rule is None:
        return False
    sign = 1 if objective.direction == "maximize" else -1
    best, reports_since = None, 0
    # From the start each time: a running count would be lost when the trial is resumed.
    for result in history[_first_counted(plan) :]:
        value = result.metrics[objective.metric]
        gain = 0.0 if best is None else sign * (value - best)
        if best is None or gain > rule.least:
            best, reports_since = value, 0
        else:
            reports_since += 1
    return reports_since >= rule.patience


def _first_counted(plan: Plan) -> int:
    """Number of reports before the set of trained stages is final."""
    last = plan.phases[-1]
    before = plan.epochs - last.epochs
    if last.unfreeze_every:
        # The phase may end before all its stages are unfrozen.
        steps = min(last.freeze_depth, (last.epochs - 1) // last.unfreeze_every)
        before += steps * last.unfreeze_every
    return before * plan.reports_per_epoch


def early_stop_reason(history: Sequence[EpochResult], plan: Plan) -> str:
    """The reason in the result of a trial that ``stopped_early``."""
    patience = 0 if plan.early_stopping is None else plan.early_stopping.patience
    count = counted(patience, "report")
    return f"stopped early at {place(history, plan)}: no better value in {count}"


def place(history: Sequence[EpochResult], plan: Plan) -> str:
    """The last report of a history, in words: ``epoch 7``, or ``report 7 (epoch 1.75)``."""
    last = len(history)
    if plan.reports_per_epoch == 1:
        return f"epoch {last}"
    done = history[-1].metrics.get("epochs", last * plan.report_every) if history else 0
    return f"report {last} (epoch {done:g})"
