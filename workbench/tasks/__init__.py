"""Tasks by name: the loss, the metrics, and what the head must put out.

A task describes the head; a backbone builds it. Knows no data set and no model, and importing it
loads no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from workbench import usercode

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A task that a study file may name.

    Attributes:
        build: The class, as ``module:name``; called with ``classes``, ``targets`` (those of the
            training part) and the options.
        target: What it predicts; see ``datasets.samples.TARGETS``.
        options: Type of each option; None where the user's code alone knows them.
        metrics: What it measures after an epoch, on ``train/`` and on ``validation/``, and the
            direction in which each is better.
    """

    build: str
    target: str
    options: Mapping[str, Any] | None
    metrics: Mapping[str, str]


TASKS: dict[str, Entry] = {
    "classification": Entry(
        build="workbench.tasks.classification:Classification",
        target="class",
        options={"label_smoothing": float},
        metrics={
            "loss": "minimize",
            "accuracy": "maximize",
            "precision": "maximize",
            "recall": "maximize",
            "f1": "maximize",
        },
    ),
}


def entry_of(name: str) -> Entry | None:
    """The entry of a task's name, or of a user's own ``FILE.py:NAME``; None for others.

    A user's class says itself what it predicts (``target``) and measures (``measures``, the
    direction of each metric by its name).

    Raises:
        UserCodeError: The user's file cannot be run.
    """
    if not usercode.is_reference(name):
        return TASKS.get(name)
    built = usercode.load(name)
    return Entry(
        build=name,
        target=getattr(built, "target", "class"),
        options=None,
        metrics={"loss": "minimize", **getattr(built, "measures", {})},
    )


def target_of(task: Mapping[str, Any]) -> str:
    """What a plan's task predicts; see ``datasets.samples.TARGETS``."""
    entry = entry_of(task["name"])
    return "class" if entry is None else entry.target


class Task(Protocol):
    """What the engine and a trial ask of a task. A batch has B samples, the head O outputs."""

    @property
    def outputs(self) -> int:
        """How many numbers the head puts out for a sample."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch, to be minimised.

        Args:
            outputs: ``[B, O]``.
            targets: As the data set has them, or soft ones (see ``soft``).
        """
        ...

    def soft(self, targets: Tensor) -> Tensor:
        """Targets as ``float32 [B, O]`` that may be mixed with others', as mixup does."""
        ...

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Every metric of the catalogue but the loss."""
        ...

    def confusion(self, outputs: Tensor, targets: Tensor) -> list[list[int]] | None:
        """Counts, rows true and columns predicted; None for a task without single classes."""
        ...


def build(task: Mapping[str, Any], classes: Sequence[str], targets: Tensor | None = None) -> Task:
    """The task of a plan.

    Args:
        task: ``name`` and the task's options.
        classes: Names of the data set's classes, labels or columns.
        targets: Of the training part; a task may weigh its classes by them.

    Raises:
        ValueError: The name or an option's value is unknown.
    """
    options = dict(task)
    name = options.pop("name")
    entry = entry_of(name)
    if entry is None:
        raise ValueError(f"There is no task {name!r}; the tasks are {', '.join(TASKS)}.")
    unknown = sorted(set(options) - set(entry.options)) if entry.options is not None else []
    if unknown:
        raise ValueError(
            f"The task {name} has no option {', '.join(unknown)}; "
            f"its options are {', '.join(entry.options or {})}."
        )
    built: Task = _resolve(entry.build)(classes=classes, targets=targets, **options)
    return built


def _resolve(target: str) -> Any:
    if usercode.is_reference(target):
        return usercode.load(target)
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
