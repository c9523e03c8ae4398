"""A ``Task`` made of a user's own class, and the directions of a user's own metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from workbench import usercode
from workbench.messages import listed
from workbench.tasks import examination
from workbench.tasks.classification import Classification
from workbench.tasks.examination import Examination
from workbench.tasks.multilabel import Multilabel
from workbench.tasks.regression import Regression
from workbench.tasks.task import Task
from workbench.usercode import UserCodeError

DIRECTIONS = ("maximize", "minimize")
_SHIPPED: dict[str, type[Task]] = {
    "class": Classification,
    "labels": Multilabel,
    "numbers": Regression,
}


@dataclass(frozen=True, kw_only=True)
class UserTask(Task):
    """A user's class as a ``Task``; only its method ``loss`` is required.

    Attributes:
        own: The user's object. What it lacks is that of the shipped task for its target; if it has
            not one output for each class, the outputs themselves are the predictions.
        target: What it predicts; see ``datasets.samples.TARGETS``.
        measures: The direction of each metric, by name.
        reference: The class, as ``FILE.py:NAME``.
        threshold: Smallest probability of a predicted label.
    """

    own: Any
    target: str
    measures: Mapping[str, str]
    reference: str
    threshold: float = 0.5

    @cached_property
    def _shipped(self) -> Task:
        return _SHIPPED[self.target](classes=self.classes)

    @property
    def outputs(self) -> int:
        """The user's, else one for each class."""
        return int(getattr(self.own, "outputs", len(self.classes)))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The user's."""
        loss: Tensor = self.own.loss(outputs, targets)
        return loss

    def total_weight(self, targets: Tensor) -> Tensor | float:
        """The user's, else the number of samples."""
        own = getattr(self.own, "total_weight", super().total_weight)
        weight: Tensor | float = own(targets)
        return weight

    def soft(self, targets: Tensor) -> Tensor:
        """The user's, else one-hot labels, or the targets themselves."""
        soft: Tensor = getattr(self.own, "soft", self._shipped.soft)(targets)
        return soft

    def task_metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The user's.

        Raises:
            UserCodeError: They are not those that the class declares in ``measures``.
        """
        if not hasattr(self.own, "metrics"):
            return {}
        # float(): a user's metric may be a tensor, which the record cannot store.
        values = {name: float(value) for name, value in self.own.metrics(outputs, targets).items()}
        declared = set(self.measures) - {"loss"}
        if set(values) != declared:
            raise UserCodeError(
                f"{self.reference}: metrics returned {listed(sorted(values))}, but measures "
                f"declares {listed(sorted(declared))}; both must name the same metrics."
            )
        return values

    def scores(self, metric: str, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The user's, else None: a user's metric need not be a mean over samples."""
        scores: Tensor | None = getattr(self.own, "scores", super().scores)(
            metric, outputs, targets
        )
        return scores

    def confusion(self, outputs: Tensor, targets: Tensor) -> list[list[int]] | None:
        """By the largest output, if there is one for each class."""
        one_per_class = self.outputs == len(self.classes)
        return self._shipped.confusion(outputs, targets) if one_per_class else None

    def predictions(self, outputs: Tensor) -> Tensor:
        """The user's, else probabilities, or the outputs themselves."""
        one_per_class = self.outputs == len(self.classes)
        default = self._shipped.predictions if one_per_class else Tensor.float
        predicted: Tensor = getattr(self.own, "predictions", default)(outputs)
        return predicted

    def examine(self, outputs: Tensor, targets: Tensor) -> Examination:
        """That of the shipped task; empty if the outputs are not classes."""
        # Not the shipped task's own: the user's class may make its predictions in another way.
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
        targets=targets,
        target=getattr(user_class, "target", "class"),
        measures=measures,
        reference=reference,
        threshold=float(getattr(own, "threshold", 0.5)),
    )


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
        name = reference.rpartition(":")[2]
        if name in taken or name in result:
            raise ValueError(
                f"metrics: {reference} has the name of another metric, {name}; "
                f"the task's own are {listed(sorted(taken))}."
            )
        function = usercode.load_function(reference, "a metric")
        result[name] = getattr(function, "direction", "maximize")
        _check_direction(f"{reference}: direction", result[name])
    return result


def _check_direction(what: str, direction: object) -> None:
    if direction not in DIRECTIONS:
        raise UserCodeError(f"{what} is {direction!r}; it must be {' or '.join(DIRECTIONS)}")
