"""Wrappers that make a ``Task`` of a user's own class, and add a user's own metrics to any task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from workbench import usercode
from workbench.messages import listed
from workbench.tasks import examination
from workbench.tasks.examination import Examination
from workbench.tasks.task import Task
from workbench.usercode import UserCodeError

DIRECTIONS = ("maximize", "minimize")


@dataclass(frozen=True, kw_only=True)
class UserTask:
    """A user's class as a ``Task``; only its method ``loss`` is required.

    Attributes:
        own: The user's object. Defaults: ``outputs`` is one for each class; without ``metrics``,
            only the loss is measured; without ``total_weight``, all samples have equal weight;
            without ``scores``, no metric counts as a mean over samples; ``soft``, ``confusion``,
            ``predictions`` and ``examine`` are those of the built-in task for its target.
        classes: Names of the classes, labels or columns.
        target: What it predicts; see ``datasets.samples.TARGETS``.
        measures: The direction of each metric, by name.
        reference: The class, as ``FILE.py:NAME``.
    """

    own: Any
    classes: Sequence[str]
    target: str
    measures: Mapping[str, str]
    reference: str

    @property
    def outputs(self) -> int:
        """The user's, else one for each class."""
        return int(getattr(self.own, "outputs", len(self.classes)))

    @property
    def threshold(self) -> float:
        """Smallest probability of a predicted label: the user's, else 0.5."""
        return float(getattr(self.own, "threshold", 0.5))

    @property
    def _one_per_class(self) -> bool:
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
            UserCodeError: They are not those that the class declares in ``measures``.
        """
        if not hasattr(self.own, "metrics"):
            return {}
        values = {name: float(value) for name, value in self.own.metrics(outputs, targets).items()}
        declared = set(self.measures) - {"loss"}
        if set(values) != declared:
            raise UserCodeError(
                f"{self.reference}: metrics returned {listed(sorted(values))}, but measures "
                f"declares {listed(sorted(declared))}; both must name the same metrics."
            )
        return values

    def scores(self, metric: str, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The user's, else None; see ``tasks.scores_of``."""
        if not hasattr(self.own, "scores"):
            return None
        given: Tensor | None = self.own.scores(metric, outputs, targets)
        return given

    def confusion(self, outputs: Tensor, targets: Tensor) -> list[list[int]] | None:
        """The user's, else by the largest output if there is one for each class."""
        if hasattr(self.own, "confusion"):
            given: list[list[int]] | None = self.own.confusion(outputs, targets)
            return given
        if self.target != "class" or not self._one_per_class:
            return None
        count = len(self.classes)
        # One index per cell of the matrix, so that one bincount counts them all.
        cells = targets.cpu() * count + outputs.argmax(dim=1).cpu()
        counts: list[list[int]] = (
            torch.bincount(cells, minlength=count * count).reshape(count, count).tolist()
        )
        return counts

    def predictions(self, outputs: Tensor) -> Tensor:
        """The user's, else probabilities, or the outputs themselves."""
        if hasattr(self.own, "predictions"):
            given: Tensor = self.own.predictions(outputs)
            return given
        if self.target == "numbers" or not self._one_per_class:
            return outputs.float()
        return outputs.float().softmax(dim=1) if self.target == "class" else outputs.sigmoid()

    def examine(self, outputs: Tensor, targets: Tensor) -> Examination:
        """The user's, else that of the built-in task; empty if the outputs are not classes."""
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
    """A user's own task.

    Raises:
        UserCodeError: The file cannot be run, the class cannot be instantiated, or it has no loss.
    """
    user_class = usercode.load(reference)
    # Only TypeError: another exception has a traceback into the user's code, which names the line.
    try:
        own = user_class(classes=classes, targets=targets, **options)
    except TypeError as error:
        raise UserCodeError(
            f"{reference} could not be called with classes, targets and the options "
            f"{listed(sorted(options))}: {error}"
        ) from error
    if not callable(getattr(own, "loss", None)):
        raise UserCodeError(f"{reference} has no method loss(outputs, targets), which a task needs")
    measures = {"loss": "minimize", **getattr(user_class, "measures", {})}
    for name, direction in measures.items():
        _check_direction(f"{reference}: measures[{name!r}]", direction)
    return UserTask(
        own=own,
        classes=classes,
        target=getattr(user_class, "target", "class"),
        measures=measures,
        reference=reference,
    )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A task with a user's metrics in addition to its own.

    Attributes:
        task: Does everything except these metrics.
        functions: By the metric's name; each is called with the task's predictions (probabilities,
            or numbers in their own units) and the targets, as arrays.
        references: ``FILE.py:NAME`` of each function.
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
        """The task's, if it has one; see ``UserTask``."""
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
            UserCodeError: A user's metric raised an error, or did not return a number.
        """
        values = self.task.metrics(outputs, targets)
        # Arrays, because most metrics are written for NumPy or scikit-learn.
        predicted, true = self.predictions(outputs).cpu().numpy(), targets.cpu().numpy()
        for name, function in self.functions.items():
            try:
                value = function(predicted, true)
            except Exception as error:
                raise UserCodeError(
                    f"The metric {self.references[name]} raised {type(error).__name__}: {error}"
                ) from error
            try:
                values[name] = float(value)
            except (TypeError, ValueError) as error:
                raise UserCodeError(
                    f"The metric {self.references[name]} returned {value!r}; it must be a number."
                ) from error
        return values

    def scores(self, metric: str, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The task's; None for a user's metric, which need not be a mean over samples."""
        if metric in self.functions or not hasattr(self.task, "scores"):
            return None
        values: Tensor | None = self.task.scores(metric, outputs, targets)
        return values

    def confusion(self, outputs: Tensor, targets: Tensor) -> list[list[int]] | None:
        """The task's."""
        return self.task.confusion(outputs, targets)

    def predictions(self, outputs: Tensor) -> Tensor:
        """The task's."""
        return self.task.predictions(outputs)

    def examine(self, outputs: Tensor, targets: Tensor) -> Examination:
        """The task's."""
        return self.task.examine(outputs, targets)


def with_metrics(task: Task, references: Sequence[str], taken: Mapping[str, str]) -> Measured:
    """A task with a user's own metrics.

    Args:
        task: Any.
        references: The metrics, each ``FILE.py:NAME``.
        taken: Names of the task's own metrics.

    Raises:
        UserCodeError: A file cannot be run, or has no such function.
        ValueError: A metric is not a reference, or its name is taken.
    """
    named = {_name(reference): reference for reference in references}
    directions(references, taken)
    functions = {name: usercode.load(reference) for name, reference in named.items()}
    return Measured(task=task, functions=functions, references=named)


def directions(references: Sequence[str], taken: Mapping[str, str]) -> dict[str, str]:
    """The direction of each of a user's metrics, by name.

    It is the function's attribute ``direction``; by default, more is better.

    Raises:
        UserCodeError: A file cannot be run, or has no such function.
        ValueError: A metric is not a reference, or its name is taken.
    """
    result: dict[str, str] = {}
    for reference in references:
        if not usercode.is_reference(reference):
            raise ValueError(f"metrics: {reference!r} is not a metric of your own (FILE.py:NAME).")
        name = _name(reference)
        if name in taken or name in result:
            raise ValueError(
                f"metrics: {reference} has the name of another metric, {name}; "
                f"the task's own are {listed(sorted(taken))}."
            )
        function = usercode.load(reference)
        if not callable(function):
            raise UserCodeError(
                f"{reference} is {function!r}; a metric must be a function of predictions and "
                "targets"
            )
        result[name] = getattr(function, "direction", "maximize")
        _check_direction(f"{reference}: direction", result[name])
    return result


def _name(reference: str) -> str:
    return reference.rpartition(":")[2]


def _check_direction(what: str, direction: object) -> None:
    if direction not in DIRECTIONS:
        raise UserCodeError(f"{what} is {direction!r}; it must be {' or '.join(DIRECTIONS)}")
