"""From samples as they were read to what a model takes: resized, in channels, normalised.

Knows no data set by name and no model; which samples lie in which part is for ``splits``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from workbench.datasets.samples import Data, Inputs, Part, Samples, Tensors, Texts
from workbench.datasets.splits import Pool, Split


def take(pool: Pool, split: Split) -> Data:
    """Training and validation samples of a split, ready for a model.

    Raises:
        ValueError: An option of the data set is out of bounds.
    """
    samples = pool.samples
    mean, std = _normalisation(samples, pool.index[split.train])

    def part(positions: Tensor) -> Part:
        index = pool.index[positions]
        inputs = _inputs(samples, index, pool.options, mean, std)
        return Part(inputs=inputs, targets=pool.targets[positions], index=index)

    train, validation = part(split.train), part(split.validation)
    shape: tuple[int, ...] = ()
    if samples.kind != "text":
        first = train.inputs[torch.tensor([0])]
        assert isinstance(first, Tensor)
        shape = tuple(first.shape[1:])
    return Data(
        kind=samples.kind,
        train=train,
        validation=validation,
        classes=pool.classes,
        input_shape=shape,
        digest=pool.digest,
        mean=tuple(mean.flatten().tolist()),
        std=tuple(std.flatten().tolist()),
        names=samples.names,
    )


def _normalisation(samples: Samples, training: Tensor) -> tuple[Tensor, Tensor]:
    """What is subtracted and what is divided by, each ``float64``, shaped to fit a sample."""
    if isinstance(samples.inputs, tuple):
        return torch.zeros(0), torch.ones(0)
    if samples.mean is not None and samples.std is not None:
        shape = (-1, *[1] * (samples.inputs.ndim - 2))
        mean = torch.tensor(samples.mean, dtype=torch.float64).reshape(shape)
        return mean, torch.tensor(samples.std, dtype=torch.float64).reshape(shape)
    std, mean = torch.std_mean(samples.inputs[training].double(), dim=0, correction=0)
    # A feature that never varies in training is centred and otherwise left alone.
    return mean, torch.where(std > 0, std, torch.ones_like(std))


def _inputs(
    samples: Samples, index: Tensor, options: Mapping[str, Any], mean: Tensor, std: Tensor
) -> Inputs:
    if isinstance(samples.inputs, tuple):
        return Texts(tuple(samples.inputs[number] for number in index.tolist()))
    inputs = samples.inputs[index]
    if (side := options.get("image_size")) is not None:
        if side < 1:
            raise ValueError(f"dataset.image_size is {side}; it must be at least 1.")
        inputs = functional.interpolate(inputs, size=(side, side), mode="bilinear", antialias=True)
    if (channels := options.get("channels")) is not None:
        inputs = inputs.expand(-1, channels, -1, -1).contiguous()
    return Tensors((inputs - mean.float()) / std.float())
