"""A user's own task, and a user's own metrics beside those of any task.

Fills in what a user's class leaves out. Knows neither study files nor the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from workbench import usercode
from workbench.record.text import listed
from workbench.tasks import examination
from workbench.tasks.examination import Examination
from workbench.tasks.task import Task
from workbench.usercode import UserCodeError

DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True, kw_only=True)
class UserTask:
    """A user's class as a ``Task``: only ``loss`` must be there.

    Attributes:
        own: The user's object. Where it has no ``outputs``, it has one for each class; without
            ``metrics``, nothing but the loss is measured; without ``total_weight``, every sample
            weighs the same; without ``scores``, no metric is known as a mean over samples;
            ``soft``, ``confusion``, ``predictions`` and ``examine`` are those of the shipped task
            for its target.
        classes: Names of the classes, labels or columns.
        target: What it predicts; see ``datasets.samples.TARGETS``.
        measures: The direction of each metric by its name.
        reference: The class, as ``FILE.py:NAME``.
    """

    own: Any
    classes: Sequence[str]
    target: str
    measures: Mapping[str, str]
    reference: str

    @property
    def outputs(self) -> int:
        """As the user's class says, else one for each class."""
        return int(getattr(self.own, "outputs", len(self.classes)))

    @property
    def threshold(self) -> float:
        """The least probability of a label that is predicted: the user's, else 0.5."""
        return float(getattr(self.own, "threshold", 0.5))

    @property
    def _usual(self) -> bool:
        return self.outputs == len(self.classes)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The user's."""
        loss: Tensor = self.own.loss(outputs, targets)
        return loss

    def total_weight(self, targets: Tensor) -> Tensor | float:
        """The user's, else the number of samples."""
        if hasattr(self.own, "total_weight"):
            weight: Tensor | float = self.own.total_weight(targets)
            return weight
        return float(len(targets))

    def soft(self, targets: Tensor) -> Tensor:
        """The user's, else one-hot labels, or the targets themselves."""
        if hasattr(self.own, "soft"):
            mixed: Tensor = self.own.soft(targets)
            return mixed
        if self.target == "class":
            return functional.one_hot(targets, len(self.classes)).float()
        return targets.float()

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The user's.

        Raises:
            UserCodeError: They are not those that the class announces in ``measures``.
        """
        if not hasattr(self.own, "metrics"):
            return {}
        found = {name: float(value) for name, value in self.own.metrics(outputs, targets).items()}
        announced = set(self.measures) - {"loss"}
        if set(found) != announced:
            raise UserCodeError(
                f"{self.reference}: metrics returned {listed(sorted(found))}, but the class "
                f"announces {listed(sorted(announced))} in measures; both must name the same "
                "metrics."
            )
        return found

    def scores(self, metric: str, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The user's, if the class has any; see ``tasks.scores_of``."""
        if not hasattr(self.own, "scores"):
            return None
        given: Tensor | None = self.own.scores(metric, outputs, targets)
        return given

    def confusion(self, outputs: Tensor, targets: Tensor) -> list[list[int]] | None:
        """The user's, else counts of the largest output where there is one for each class."""
        if hasattr(self.own, "confusion"):
            given: list[list[int]] | None = self.own.confusion(outputs, targets)
            return given
        if self.target != "class" or not self._usual:
            return None
        count = len(self.classes)
        cells = targets.cpu() * count + outputs.argmax(dim=1).cpu()
        counts: list[list[int]] = (
            torch.bincount(cells, minlength=count * count).reshape(count, count).tolist()
        )
        return counts

    def predictions(self, outputs: Tensor) -> Tensor:
        """The user's, else probabilities, or the numbers as they are."""
        if hasattr(self.own, "predictions"):
            given: Tensor = self.own.predictions(outputs)
            return given
        if self.target == "numbers" or not self._usual:
            return outputs.float()
        return outputs.float().softmax(dim=1) if self.target == "class" else outputs.sigmoid()

    def examine(self, outputs: Tensor, targets: Tensor) -> Examination:
        """The user's, else that of the shipped task; empty where the outputs are no classes."""
        if hasattr(self.own, "examine"):
            given: Examination = self.own.examine(outputs, targets)
            return given
        predicted = self.predictions(outputs)
        if predicted.shape != (len(targets), len(self.classes)):
            return Examination(scores=[], mistakes=[])
        if self.target == "class":
            return examination.of_classes(predicted, targets, self.classes)
        if self.target == "labels":
            return examination.of_labels(predicted, targets, self.classes, self.threshold)
        return examination.of_numbers(predicted, targets, self.classes)


def build(
    *, reference: str, classes: Sequence[str], targets: Tensor | None, **options: Any
) -> UserTask:
    """A task of the user's own.

    Raises:
        UserCodeError: The file cannot be run, or the class cannot be made or has no loss.
    """
    made = usercode.load(reference)
    try:
        own = made(classes=classes, targets=targets, **options)
    except TypeError as error:
        raise UserCodeError(
            f"{reference} could not be called with classes, targets and the options "
            f"{listed(sorted(options))}: {error}"
        ) from error
    if not callable(getattr(own, "loss", None)):
        raise UserCodeError(f"{reference} has no method loss(outputs, targets), which a task needs")
    measures = {"loss": "minimize", **getattr(made, "measures", {})}
    for name, direction in measures.items():
        _check_direction(f"{reference}: measures[{name!r}]", direction)
    return UserTask(
        own=own,
        classes=classes,
        target=getattr(made, "target", "class"),
        measures=measures,
        reference=reference,
    )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A task with metrics of the user's own beside its own.

    Attributes:
        task: Does everything but these metrics.
        functions: Each called with the task's predictions (probabilities, or numbers in their own
            units) and the targets as arrays; by the metric's name.
        references: Where each comes from.
    """

    task: Task
    functions: Mapping[str, Callable[[Any, Any], Any]]
    references: Mapping[str, str]

    @property
    def outputs(self) -> int:
        """The task's."""
        return self.task.outputs

    @property
    def threshold(self) -> float:
        """The task's, where it has one; see ``UserTask``."""
        return float(getattr(self.task, "threshold", 0.5))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The task's."""
        return self.task.loss(outputs, targets)

    def total_weight(self, targets: Tensor) -> Tensor | float:
        """The task's."""
        return self.task.total_weight(targets)

    def soft(self, targets: Tensor) -> Tensor:
        """The task's."""
        return self.task.soft(targets)

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The task's and the user's.

        Raises:
            UserCodeError: A user's metric raised, or returned no number.
        """
        found = self.task.metrics(outputs, targets)
        predicted, true = self.predictions(outputs).cpu().numpy(), targets.cpu().numpy()
        for name, function in self.functions.items():
            try:
                value = function(predicted, true)
            except Exception as error:
                raise UserCodeError(
                    f"The metric {self.references[name]} raised {type(error).__name__}: {error}"
                ) from error
            try:
                found[name] = float(value)
            except (TypeError, ValueError) as error:
                raise UserCodeError(
                    f"The metric {self.references[name]} returned {value!r}; it must be a number."
                ) from error
        return found

    def scores(self, metric: str, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The task's: a metric of the user's own may be any function of a whole part."""
        if metric in self.functions or not hasattr(self.task, "scores"):
            return None
        found: Tensor | None = self.task.scores(metric, outputs, targets)
        return found

    def confusion(self, outputs: Tensor, targets: Tensor) -> list[list[int]] | None:
        """The task's."""
        return self.task.confusion(outputs, targets)

    def predictions(self, outputs: Tensor) -> Tensor:
        """The task's."""
        return self.task.predictions(outputs)

    def examine(self, outputs: Tensor, targets: Tensor) -> Examination:
        """The task's."""
        return self.task.examine(outputs, targets)


def measured(task: Task, references: Sequence[str], taken: Mapping[str, str]) -> Measured:
    """A task with the user's own metrics.

    Args:
        task: Any.
        references: The metrics, each ``FILE.py:NAME``.
        taken: Names of the task's own metrics.

    Raises:
        UserCodeError: A file cannot be run, or holds no such function.
        ValueError: A metric is no reference, or its name is taken.
    """
    named = {_name(reference): reference for reference in references}
    directions(references, taken)
    functions = {name: usercode.load(reference) for name, reference in named.items()}
    return Measured(task=task, functions=functions, references=named)


def directions(references: Sequence[str], taken: Mapping[str, str]) -> dict[str, str]:
    """The direction of each of the user's own metrics, by its name.

    A function says it in its attribute ``direction``; without one, more is better.

    Raises:
        UserCodeError: A file cannot be run, or holds no such function.
        ValueError: A metric is no reference, or its name is taken.
    """
    found: dict[str, str] = {}
    for reference in references:
        if not usercode.is_reference(reference):
            raise ValueError(
                f"metrics has {reference!r}; a metric of your own is a function, FILE.py:NAME."
            )
        name = _name(reference)
        if name in taken or name in found:
            raise ValueError(
                f"metrics has {reference}, but there is a metric {name} already; "
                f"the task's own are {listed(sorted(taken))}."
            )
        function = usercode.load(reference)
        if not callable(function):
            raise UserCodeError(
                f"{reference} is {function!r}; a metric is a function of outputs and targets"
            )
        found[name] = getattr(function, "direction", "maximize")
        _check_direction(f"{reference}: direction", found[name])
    return found


def _name(reference: str) -> str:
    return reference.rpartition(":")[2]


def _check_direction(what: str, direction: object) -> None:
    if direction not in DIRECTIONS:
        raise UserCodeError(f"{what} is {direction!r}; it is {' or '.join(DIRECTIONS)}")
