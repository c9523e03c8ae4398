"""Scores of each class and the worst mistakes of a validation; used by every task.

It must be cheap, because it runs whenever a trial's best epoch changes: one pass over predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MAX_MISTAKES = 20


@dataclass(frozen=True, kw_only=True)
class Examination:
    """What is kept of a validation's outputs, as plain data.

    Attributes:
        scores: A row for each class or label (``class``, ``precision``, ``recall``, ``f1``,
            ``support``) or column (``column``, ``mae``, ``rmse``, ``r2``, ``support``).
        mistakes: The worst first, each with its ``position`` in the validation part, ``true`` and
            ``predicted``, and ``confidence`` (a probability) or ``error`` (in units of the target).
    """

    scores: list[dict[str, Any]]
    mistakes: list[dict[str, Any]]


def of_classes(probabilities: Tensor, targets: Tensor, classes: Sequence[str]) -> Examination:
    """Precision, recall and F1 of each class; mistakes by the probability of the wrong class.

    A class that is never true or never predicted counts with 0.

    Args:
        probabilities: ``[N, classes]``.
        targets: Labels ``[N]``.
        classes: Their names.
    """
    confidence, predicted = (tensor.cpu() for tensor in probabilities.max(dim=1))
    true = targets.cpu()

    def count(labels: Tensor) -> Tensor:
        return torch.bincount(labels, minlength=len(classes))

    def name(label: Tensor) -> str:
        return classes[int(label)]

    hit = count(true[predicted == true])
    positions = _worst(confidence, predicted != true)
    return Examination(
        scores=_scores(classes, hit, count(predicted), count(true)),
        mistakes=_mistakes(positions, name, true, predicted, confidence=confidence),
    )


def of_labels(
    probabilities: Tensor, targets: Tensor, classes: Sequence[str], threshold: float
) -> Examination:
    """The same for each label; a sample's confidence is that of its worst wrong label.

    The confidence in a label that is not predicted is 1 minus its probability.

    Args:
        probabilities: ``[N, labels]``.
        targets: 0 and 1, ``[N, labels]``.
        classes: Names of the labels.
        threshold: The least probability of a label that is predicted.
    """
    probabilities = probabilities.cpu()
    predicted, true = probabilities >= threshold, targets.cpu() > 0.5
    confidence = torch.where(predicted, probabilities, 1 - probabilities)
    # -1 marks a correct label, below any confidence.
    worst = torch.where(predicted != true, confidence, -1.0).amax(dim=1)

    def names(row: Tensor) -> list[str]:
        return [classes[label] for label in row.nonzero().flatten().tolist()]

    hit = (predicted & true).sum(dim=0)
    return Examination(
        scores=_scores(classes, hit, predicted.sum(dim=0), true.sum(dim=0)),
        mistakes=_mistakes(_worst(worst, worst >= 0), names, true, predicted, confidence=worst),
    )


def of_numbers(values: Tensor, targets: Tensor, columns: Sequence[str]) -> Examination:
    """Errors of each column; a sample's error is that of its worst column.

    Columns are compared in standard deviations of their targets, but every number here is in the
    column's own units.

    Args:
        values: Predicted, ``[N, columns]``.
        targets: ``[N, columns]``.
        columns: Their names.
    """
    values, true = values.cpu().double(), targets.cpu().double()
    errors = (values - true).abs()
    # Without the correction of N - 1, so that a part of one sample has a deviation, 0.
    spread = true.std(dim=0, correction=0)
    relative, column = (errors / torch.where(spread > 0, spread, 1.0)).max(dim=1)

    def by_column(row: Tensor) -> dict[str, float]:
        return dict(zip(columns, row.tolist(), strict=True))

    error = errors.gather(1, column[:, None])[:, 0]
    mae, rmse, r2 = errors_of(values, true)
    rows = zip(columns, mae.tolist(), rmse.tolist(), r2.tolist(), strict=True)
    return Examination(
        scores=[
            {"column": name, "mae": a, "rmse": b, "r2": c, "support": len(true)}
            for name, a, b, c in rows
        ],
        mistakes=_mistakes(_worst(relative, relative > 0), by_column, true, values, error=error),
    )


def errors_of(values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean absolute error, root mean squared error and R2 of each column, ``float64 [columns]``.

    As in scikit-learn; if the targets are constant, R2 is 1 for perfect values and otherwise 0.
    """
    # float64: sums of squares over a whole part lose too many digits in float32.
    difference = values.double() - targets.double()
    squared = difference.square().sum(dim=0)
    spread = (targets.double() - targets.double().mean(dim=0)).square().sum(dim=0)
    constant = torch.where(squared == 0, 1.0, 0.0).double()
    r2 = torch.where(spread > 0, 1 - squared / torch.where(spread > 0, spread, 1.0), constant)
    return difference.abs().mean(dim=0), (squared / len(values)).sqrt(), r2


def shares(hit: Tensor, predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Precision, recall and F1 from counts of any shape, ``float64``; 0 for 0 divided by 0.

    Args:
        hit: Number of correct predictions.
        predicted: Number of predictions.
        true: Number that should have been predicted.
    """

    def share(part: Tensor, whole: Tensor) -> Tensor:
        # A whole of 0 has a part of 0, so the result is 0.
        return part.double() / whole.clamp(min=1)

    return share(hit, predicted), share(hit, true), share(2 * hit, predicted + true)


def _scores(
    classes: Sequence[str], hit: Tensor, predicted: Tensor, true: Tensor
) -> list[dict[str, Any]]:
    columns = (column.tolist() for column in (*shares(hit, predicted, true), true))
    keys = ("class", "precision", "recall", "f1", "support")
    return [dict(zip(keys, row, strict=True)) for row in zip(classes, *columns, strict=True)]


def _mistakes(
    positions: Sequence[int],
    name: Callable[[Tensor], object],
    true: Tensor,
    predicted: Tensor,
    **size: Tensor,
) -> list[dict[str, Any]]:
    return [
        {
            "position": position,
            "true": name(true[position]),
            "predicted": name(predicted[position]),
            **{key: float(value[position]) for key, value in size.items()},
        }
        for position in positions
    ]


def _worst(size: Tensor, wrong: Tensor) -> list[int]:
    """Positions of wrong samples, the largest size first; ties by position."""
    positions = wrong.nonzero().flatten()
    order = size[positions].sort(descending=True, stable=True).indices
    worst: list[int] = positions[order[:MAX_MISTAKES]].tolist()
    return worst
