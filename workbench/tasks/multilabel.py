"""Multilabel classification: any number of labels for a sample, predicted independently."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor
from torch.nn import functional

from workbench.tasks import examination, weighting
from workbench.tasks.examination import Examination
from workbench.tasks.task import Task
from workbench.tasks.weighting import ClassWeights


@dataclass(frozen=True, kw_only=True)
class Multilabel(Task):
    """Binary cross-entropy, averaged over samples and labels.

    Attributes:
        threshold: Smallest probability of a predicted label, in ``(0, 1)``.
        class_weights: Of the positive samples of each label; see ``weighting.of_labels``.
    """

    threshold: float = 0.5
    class_weights: ClassWeights = None

    def __post_init__(self) -> None:
        _ = self._weights  # Raises an error for invalid weights now, not in the first epoch.

    @cached_property
    def _weights(self) -> Tensor | None:
        return weighting.of_labels(self.class_weights, self.classes, self.targets)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean binary cross-entropy.

        Args:
            outputs: Logits ``[B, labels]``.
            targets: Numbers in 0 to 1, ``[B, labels]``.
        """
        return self._loss(outputs, targets, "mean")

    def _loss(self, outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
        weights = None if self._weights is None else self._weights.to(outputs)
        # ``targets.to(outputs)``: under autocast the outputs have half precision.
        return functional.binary_cross_entropy_with_logits(
            outputs, targets.to(outputs), pos_weight=weights, reduction=reduction
        )

    def task_metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Precision, recall and F1, macro- and micro-averaged over labels, and subset accuracy.

        As in scikit-learn: macro is the mean over labels, micro counts all decisions together, and
        the subset accuracy is the share of samples with every label correct. A division by 0
        counts as 0.
        """
        true, predicted = targets > 0.5, self.predictions(outputs) >= self.threshold
        counts = [(true & predicted).sum(dim=0), predicted.sum(dim=0), true.sum(dim=0)]
        values = {"subset_accuracy": float((true == predicted).all(dim=1).float().mean())}
        for prefix, used in (("", counts), ("micro_", [count.sum() for count in counts])):
            # On the CPU, because Apple's GPUs have no float64.
            scores = examination.shares(*(count.cpu() for count in used))
            for name, score in zip(("precision", "recall", "f1"), scores, strict=True):
                values[prefix + name] = float(score.mean())
        return values

    def scores(self, metric: str, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """For the subset accuracy and the loss; see ``tasks.scores_of``."""
        if metric == "subset_accuracy":
            predicted = self.predictions(outputs) >= self.threshold
            return ((targets > 0.5) == predicted).all(dim=1).double()
        return self._loss(outputs, targets, "none").mean(dim=1) if metric == "loss" else None

    def predictions(self, outputs: Tensor) -> Tensor:
        """Probability of each label, ``[B, labels]``."""
        return outputs.float().sigmoid()

    def examine(self, outputs: Tensor, targets: Tensor) -> Examination:
        """See ``examination.of_labels``."""
        return examination.of_labels(
            self.predictions(outputs), targets, self.classes, self.threshold
        )
