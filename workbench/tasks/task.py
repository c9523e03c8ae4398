"""The interface of a task, with what most tasks have in common. Loads no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.usercode import UserCodeError, errors_of

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.tasks.examination import Examination


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """Loss, metrics and predictions. A batch has B samples, the head O outputs.

    Attributes:
        classes: Names of the classes, labels or columns.
        targets: Of the training part, for class weights or to standardise numbers; None for
            neither.
        user_metrics: A user's own metrics by their references ``FILE.py:NAME``; each is called
            with the predictions (probabilities, or numbers in their own units) and the targets,
            as arrays.
    """

    classes: Sequence[str]
    targets: Tensor | None = None
    user_metrics: Mapping[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    # Smallest probability of a predicted label; not a field, since only some tasks can set it.
    threshold = 0.5

    @property
    def outputs(self) -> int:
        """Number of outputs of the head for a sample: one for each class, label or column."""
        return len(self.classes)

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch, to be minimised.

        Args:
            outputs: ``[B, O]``.
            targets: As the data set has them, or soft ones (see ``soft``).
        """

    def total_weight(self, targets: Tensor) -> Tensor | float:
        """The divisor of the mean in ``loss``: the number of samples, or the sum of their weights.

        With several passes per step, each pass is weighted by it.

        Args:
            targets: As for ``loss``.
        """
        return float(len(targets))

    def soft(self, targets: Tensor) -> Tensor:
        """Targets as ``float32 [B, O]``, which mixup can mix."""
        return targets.float()

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The metrics of the task, except the loss, and the user's own.

        Raises:
            UserCodeError: A user's metric raised an error, or did not return a number.
        """
        values = self.task_metrics(outputs, targets)
        if not self.user_metrics:
            return values
        # Arrays, because most metrics are written for NumPy or scikit-learn.
        predicted, true = self.predictions(outputs).cpu().numpy(), targets.cpu().numpy()
        for reference, function in self.user_metrics.items():
            with errors_of(reference):
                value = function(predicted, true)
            try:
                values[reference.rpartition(":")[2]] = float(value)
            except (TypeError, ValueError) as error:
                raise UserCodeError(
                    f"The metric {reference} returned {value!r}; it must be a number."
                ) from error
        return values

    @abstractmethod
    def task_metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Every metric of the catalogue except the loss."""

    def scores(self, metric: str, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The value of each sample in a metric that is a mean over samples; see ``scores_of``."""
        return None

    def confusion(self, outputs: Tensor, targets: Tensor) -> list[list[int]] | None:
        """Counts, rows true and columns predicted; None for a task without single classes."""
        return None

    @abstractmethod
    def predictions(self, outputs: Tensor) -> Tensor:
        """Predictions from outputs, ``float32 [B, O]``.

        Probabilities of the classes or labels; numbers in the units of the data set.
        """

    @abstractmethod
    def examine(self, outputs: Tensor, targets: Tensor) -> Examination:
        """Scores of each class, label or column, and the worst mistakes."""
