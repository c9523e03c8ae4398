"""What the engine and a trial ask of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.tasks.examination import Examination


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

    def total_weight(self, targets: Tensor) -> Tensor | float:
        """What the mean of ``loss`` divides by: the number of samples, or the sum of their weights.

        Parts of a batch that are weighed by it make the loss of the whole batch.

        Args:
            targets: As for ``loss``.
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

    def predictions(self, outputs: Tensor) -> Tensor:
        """What the outputs say in people's terms, ``float32 [B, O]``.

        Probabilities of the classes or labels; numbers in their own units.
        """
        ...

    def examine(self, outputs: Tensor, targets: Tensor) -> Examination:
        """Scores of each class, label or column, and the worst mistakes."""
        ...
