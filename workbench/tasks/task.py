"""The interface of a task, for the engine and for trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.tasks.examination import Examination


class Task(Protocol):
    """The interface of a task. A batch has B samples, the head O outputs."""

    @property
    def outputs(self) -> int:
        """Number of outputs of the head for a sample."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch, to be minimised.

        Args:
            outputs: ``[B, O]``.
            targets: As the data set has them, or soft ones (see ``soft``).
        """
        ...

    def total_weight(self, targets: Tensor) -> Tensor | float:
        """The divisor of the mean in ``loss``: the number of samples, or the sum of their weights.

        With several passes per step, each pass is weighted by it.

        Args:
            targets: As for ``loss``.
        """
        ...

    def soft(self, targets: Tensor) -> Tensor:
        """Targets as ``float32 [B, O]``, which mixup can mix."""
        ...

    def metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Every metric of the catalogue except the loss."""
        ...

    def confusion(self, outputs: Tensor, targets: Tensor) -> list[list[int]] | None:
        """Counts, rows true and columns predicted; None for a task without single classes."""
        ...

    def predictions(self, outputs: Tensor) -> Tensor:
        """Predictions from outputs, ``float32 [B, O]``.

        Probabilities of the classes or labels; numbers in the units of the data set.
        """
        ...

    def examine(self, outputs: Tensor, targets: Tensor) -> Examination:
        """Scores of each class, label or column, and the worst mistakes."""
        ...
