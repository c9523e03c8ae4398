"""Classification: one class out of several; metrics are accuracy and macro averages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from workbench.tasks import examination, weighting
from workbench.tasks.examination import Examination
from workbench.tasks.task import Task
from workbench.tasks.weighting import ClassWeights


@dataclass(frozen=True, kw_only=True)
class Classification(Task):
    """Cross-entropy over the classes.

    Attributes:
        label_smoothing: Part of the target that is distributed over all classes, in ``[0, 1)``
            (Szegedy et al. 2016, section 7).
        class_weights: Of each class in the loss; see ``weighting.of_classes``.
    """

    label_smoothing: float = 0.0
    class_weights: ClassWeights = None

    def __post_init__(self) -> None:
        _ = self._weights  # Raises an error for invalid weights now, not in the first epoch.

    @cached_property
    def _weights(self) -> Tensor | None:
        return weighting.of_classes(self.class_weights, self.classes, self.targets)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy; with class weights, the weighted mean.

        The weight of a soft target is the mixture of its classes' weights.

        Args:
            outputs: Logits ``[B, classes]``.
            targets: Labels ``[B]``, or shares of the classes ``[B, classes]``.
        """
        smoothing = self.label_smoothing
        weights = None if self._weights is None else self._weights.to(outputs)
        if weights is None or not targets.is_floating_point():
            return functional.cross_entropy(
                outputs, targets, weight=weights, label_smoothing=smoothing
            )
        # For soft targets torch's mean divides by the number of samples, not by their weight.
        total = functional.cross_entropy(
            outputs, targets, weight=weights, label_smoothing=smoothing, reduction="sum"
        )
        return total / self.total_weight(targets)

    def total_weight(self, targets: Tensor) -> Tensor | float:
        """Sum of the class weights of the samples; without weights, their number."""
        if self._weights is None:
            return float(len(targets))
        weights = self._weights.to(targets.device)
        if targets.is_floating_point():
            return (targets.to(weights) @ weights).sum()
        return weights[targets].sum()

    def soft(self, targets: Tensor) -> Tensor:
        """One-hot labels ``[B, classes]``."""
        return functional.one_hot(targets, self.outputs).float()

    def task_metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Accuracy, and macro-averaged precision, recall and F1, as scikit-learn defines them.

        A class that is never true or never predicted counts with 0. Not computed by scikit-learn,
        whose checks of its input would take longer than a short epoch.
        """
        true, predicted = _labels(outputs, targets)
        hit = true[predicted == true]
        counts = [
            torch.bincount(labels, minlength=self.outputs) for labels in (hit, predicted, true)
        ]
        # NumPy adds in the same order as scikit-learn, torch in another one.
        means = [float(share.numpy().mean()) for share in examination.shares(*counts)]
        return {
            "accuracy": len(hit) / len(true),
            **dict(zip(("precision", "recall", "f1"), means, strict=True)),
        }

    def scores(self, metric: str, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """For the accuracy, and for the loss without class weights; see ``tasks.scores_of``."""
        if metric == "accuracy":
            return (outputs.argmax(dim=1) == targets).double()
        if metric == "loss" and self._weights is None:
            return functional.cross_entropy(
                outputs, targets, label_smoothing=self.label_smoothing, reduction="none"
            )
        return None

    def confusion(self, outputs: Tensor, targets: Tensor) -> list[list[int]]:
        """Number of samples by true class (row) and predicted class (column)."""
        true, predicted = _labels(outputs, targets)
        cells = torch.bincount(true * self.outputs + predicted, minlength=self.outputs**2)
        counts: list[list[int]] = cells.reshape(self.outputs, self.outputs).tolist()
        return counts

    def predictions(self, outputs: Tensor) -> Tensor:
        """Probabilities of the classes, ``[B, classes]``."""
        return outputs.float().softmax(dim=1)

    def examine(self, outputs: Tensor, targets: Tensor) -> Examination:
        """See ``examination.of_classes``."""
        return examination.of_classes(self.predictions(outputs), targets, self.classes)


def _labels(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """True and predicted labels ``[N]`` on the CPU."""
    return targets.cpu(), outputs.argmax(dim=1).cpu()
