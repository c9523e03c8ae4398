"""Class weights for the loss: ``balanced``, or a list. Used by the classification tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

ClassWeights = Literal["balanced"] | Sequence[float] | None
Names = Sequence[str]


def of_classes(asked: ClassWeights, classes: Names, targets: Tensor | None) -> Tensor | None:
    """A weight for each class, ``float32 [classes]``; None for no weights.

    Args:
        asked: ``balanced`` gives class c the weight N / (classes * N_c), as scikit-learn's
            ``compute_class_weight``; or the weights themselves, in the order of the classes.
        classes: Their names.
        targets: Labels of the training part ``int64 [N]``.

    Raises:
        ValueError: The list does not have one weight per class, or a class has no sample.
    """
    if asked is None or asked != "balanced":
        return _from_list(asked, classes)
    assert targets is not None
    counts = torch.bincount(targets.cpu(), minlength=len(classes))
    for name, count in zip(classes, counts.tolist(), strict=True):
        if count == 0:
            raise ValueError(_not_balanced(f"class {name} has no training sample"))
    return (counts.sum() / (len(classes) * counts.double())).float()


def of_labels(asked: ClassWeights, classes: Names, targets: Tensor | None) -> Tensor | None:
    """A weight of each label's positive samples, ``float32 [labels]``; None for no weights.

    Args:
        asked: ``balanced`` gives the positive samples of a label the total weight of its negative
            ones: the number of negatives over positives; or the weights themselves.
        classes: Names of the labels.
        targets: Of the training part, 0 and 1, ``[N, labels]``.

    Raises:
        ValueError: As for ``of_classes``.
    """
    if asked is None or asked != "balanced":
        return _from_list(asked, classes)
    assert targets is not None
    given = targets.cpu() > 0.5
    positive = given.sum(dim=0).double()
    for name, count in zip(classes, positive.tolist(), strict=True):
        if not 0 < count < len(given):
            share = "every" if count else "no"
            raise ValueError(_not_balanced(f"label {name} is given to {share} training sample"))
    return ((len(given) - positive) / positive).float()


def _from_list(asked: Sequence[float] | None, classes: Names) -> Tensor | None:
    if asked is None:
        return None
    if len(asked) != len(classes):
        raise ValueError(
            f"class_weights has {len(asked)} numbers, but there are {len(classes)}: "
            f"{', '.join(classes)}."
        )
    return torch.tensor(asked, dtype=torch.float32)


def _not_balanced(reason: str) -> str:
    return f"class_weights: balanced is not possible, because {reason}. Use a list of weights."
