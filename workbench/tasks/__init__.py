"""Tasks by name: the loss, the metrics, and what the head must put out.

A task describes the head; a backbone builds it. Knows no data set and no model, and importing it
loads no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A task that a study file may name.

    Attributes:
        build: The class, as ``module:name``; called with ``classes`` and the options.
        options: Type of each option.
        metrics: What it measures after an epoch, on ``train/`` and on ``validation/``, and the
            direction in which each is better.
    """

    build: str
    options: Mapping[str, Any]
    metrics: Mapping[str, str]


TASKS: dict[str, Entry] = {
    "classification": Entry(
        build="workbench.tasks.classification:Classification",
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


class Task(Protocol):
    """What the engine asks of a task."""

    @property
    def outputs(self) -> int:
        """How many numbers the head puts out for a sample."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch, to be minimised."""
        ...

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Every metric of the catalogue but the loss."""
        ...

    def confusion(self, outputs: Tensor, targets: Tensor) -> list[list[int]] | None:
        """Counts, rows true and columns predicted; None for a task without classes."""
        ...


def build(task: Mapping[str, Any], classes: Sequence[str]) -> Task:
    """The task of a plan.

    Args:
        task: ``name`` and the task's options.
        classes: Names of the data set's classes.

    Raises:
        ValueError: The name or an option's value is unknown.
    """
    options = dict(task)
    name = options.pop("name")
    if name not in TASKS:
        raise ValueError(f"There is no task {name!r}; the tasks are {', '.join(TASKS)}.")
    unknown = sorted(set(options) - set(TASKS[name].options))
    if unknown:
        raise ValueError(
            f"The task {name} has no option {', '.join(unknown)}; "
            f"its options are {', '.join(TASKS[name].options)}."
        )
    module, _, target = TASKS[name].build.partition(":")
    built: Task = getattr(importlib.import_module(module), target)(classes=classes, **options)
    return built
