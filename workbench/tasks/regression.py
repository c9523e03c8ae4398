"""Regression: one or several numbers for a sample.

The head learns standardised targets: each column has mean 0 and standard deviation 1 in the
training part, so that learning rates do not depend on units. The loss is in these units; metrics
and predictions are in the units of the data set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor
from torch.nn import functional

from workbench.tasks import examination
from workbench.tasks.examination import Examination
from workbench.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Regression(Task):
    """Squared, absolute or Huber error of standardised numbers.

    Attributes:
        loss_name: ``mse``, ``mae`` or ``huber``.
        delta: ``huber`` only: the error, in standard deviations, up to which it is squared
            (Huber 1964).
    """

    loss_name: str = "mse"
    delta: float = 1.0

    @cached_property
    def _scale(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each column, ``float32 [columns]``."""
        if self.targets is None:
            return torch.zeros(self.outputs), torch.ones(self.outputs)
        std, mean = torch.std_mean(self.targets.cpu().double(), dim=0, correction=0)
        # A constant column is only centred, because its deviation is 0.
        return mean.float(), torch.where(std > 0, std, 1.0).float()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean error over samples and columns, in standard deviations of the targets.

        Args:
            outputs: Standardised numbers ``[B, columns]``.
            targets: In their own units, ``[B, columns]``.
        """
        return self._loss(outputs, targets, "mean")

    def _loss(self, outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
        mean, std = (tensor.to(outputs.device) for tensor in self._scale)
        wanted = ((targets.float() - mean) / std).to(outputs)
        errors: dict[str, Callable[..., Tensor]] = {
            "mse": functional.mse_loss,
            "mae": functional.l1_loss,
            "huber": partial(functional.huber_loss, delta=self.delta),
        }
        return errors[self.loss_name](outputs, wanted, reduction=reduction)

    def task_metrics(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Mean absolute error, root mean squared error and R2, in the data set's units.

        For several columns, the plain mean over columns.
        """
        mae, rmse, r2 = examination.errors_of(self.predictions(outputs).cpu(), targets.cpu())
        return {"mae": float(mae.mean()), "rmse": float(rmse.mean()), "r2": float(r2.mean())}

    def scores(self, metric: str, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """For the mean absolute error and the loss; see ``tasks.scores_of``."""
        if metric == "mae":
            return (self.predictions(outputs).double() - targets.double()).abs().mean(dim=1)
        return self._loss(outputs, targets, "none").mean(dim=1) if metric == "loss" else None

    def predictions(self, outputs: Tensor) -> Tensor:
        """Numbers in the data set's units, ``[B, columns]``."""
        mean, std = (tensor.to(outputs.device) for tensor in self._scale)
        return outputs.float() * std + mean

    def examine(self, outputs: Tensor, targets: Tensor) -> Examination:
        """See ``examination.of_numbers``."""
        return examination.of_numbers(self.predictions(outputs), targets, self.classes)


def build(
    *, classes: Sequence[str], targets: Tensor | None, loss: str = "mse", delta: float = 1.0
) -> Regression:
    """Build the task of a plan; its option ``loss`` has the name of a method, so it is renamed."""
    return Regression(classes=classes, targets=targets, loss_name=loss, delta=delta)
