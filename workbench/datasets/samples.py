"""Samples as tensors: a whole data set, a part of it, and what a trial sees.

Knows neither how they are read nor how they are split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """A whole data set as its family reads it.

    Attributes:
        inputs: ``float32 [N, ...]``; images ``[N, C, H, W]`` with pixels from 0 to 1.
        targets: Labels ``int64 [N]``.
        classes: Names of the classes, in the order of the labels.
        mean: Subtracted from the inputs, one number or one per channel; None standardises each
            feature by its mean and standard deviation in the training part.
        std: What the difference is divided by.
    """

    inputs: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One part of a split.

    Attributes:
        inputs: ``float32 [N, ...]``, normalised.
        targets: Labels ``int64 [N]``.
        index: The samples' numbers in the whole data set, ``int64 [N]``, ascending.
    """

    inputs: Tensor
    targets: Tensor
    index: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """What a trial sees of a data set. Shared between trials: never change it in place.

    Attributes:
        input_shape: Of one sample.
        digest: SHA-256 of the content before the split, and of the options.
        mean: What was subtracted from the inputs, one number, or one per channel or feature.
        std: What the difference was divided by.
    """

    train: Part
    validation: Part
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    digest: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
