"""From samples as they were read to what a model takes: resized, in channels, normalised.

Small sets are made ready once, in memory; images of large ones when they are taken (see
``pixels``). Knows no data set by name and no model; which samples lie in which part is for
``splits``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import psutil
import torch
from torch import Tensor

from workbench.datasets.images.pixels import Pixels, Stored
from workbench.datasets.memmap import Mapped
from workbench.datasets.samples import Data, Inputs, Part, Samples, Tensors, Texts
from workbench.datasets.splits.splits import Pool, Split

# Of torchvision's and most other pretrained models for colour images.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Bytes of training and validation images, as a model takes them, that are made ready at once.
SMALL = 2**28
_AT_ONCE = 1024


def take(pool: Pool, split: Split) -> Data:
    """Training and validation samples of a split, ready for a model.

    Raises:
        ValueError: An option of the data set is out of bounds, or is not for such samples.
    """
    samples = pool.samples
    view = _view(samples, pool.options)
    if view is not None:
        mean, std = _of_pixels(samples, pool.options, view.channels)
    else:
        mean, std = _of_features(samples, pool.index[split.train])
    together = len(split.train) + len(split.validation)

    def part(positions: Tensor, *, side: int | None, crop: int | None) -> Part:
        index = pool.index[positions]
        inputs: Inputs
        if view is None:
            inputs = _vectors_or_texts(samples, index, mean, std)
        else:
            assert isinstance(samples.inputs, Tensor)
            pixels = view.of(samples.inputs, index, mean, std, side, crop, samples.mapped)
            small = 4 * together * math.prod(pixels.shape) <= SMALL
            inputs = _made_ready(pixels) if small else pixels
        return Part(inputs=inputs, targets=pool.targets[positions], index=index)

    side, crop = (None, None) if view is None else (view.side, view.crop)
    train = part(split.train, side=side, crop=None)
    validation = part(split.validation, side=side, crop=crop)
    shape: tuple[int, ...] = ()
    if samples.kind != "text":
        first = validation.inputs[torch.tensor([0])]
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
        names=_names(samples, train, validation),
    )


def with_test(data: Data, pool: Pool, split: Split) -> Data:
    """The data of ``take`` with the test part beside it, made ready as the validation part was.

    Args:
        data: Of the same pool and split; its parts stay the very same objects.
        pool: What the split was drawn from.
        split: Must have test samples.

    Raises:
        ValueError: There are none.
    """
    samples, index = pool.samples, pool.index[split.test]
    if len(index) == 0:
        raise ValueError(
            f"There is no test sample: dataset.test is {pool.options.get('test')}; a study that is "
            "to be confirmed needs some."
        )
    view = _view(samples, pool.options)
    mean, std = (torch.tensor(numbers, dtype=torch.float64) for numbers in (data.mean, data.std))
    inputs: Inputs
    if view is None:
        inputs = _vectors_or_texts(samples, index, mean, std)
    else:
        assert isinstance(samples.inputs, Tensor)
        mean, std = mean.reshape(-1, 1, 1), std.reshape(-1, 1, 1)
        pixels = view.of(samples.inputs, index, mean, std, view.side, view.crop, samples.mapped)
        small = 4 * len(index) * math.prod(pixels.shape) <= SMALL
        # On an accelerator images may be resized in another way: so at once only where those of
        # the validation part were.
        small = small and isinstance(data.validation.inputs, Tensors)
        inputs = _made_ready(pixels) if small else pixels
    test = Part(inputs=inputs, targets=pool.targets[split.test], index=index)
    names = _names(samples, data.train, data.validation, test)
    return replace(data, test=test, names=names)


def _names(samples: Samples, *parts: Part) -> dict[int, str] | None:
    if samples.names is None:
        return None
    return {number: samples.names[number] for part in parts for number in part.index.tolist()}


def check(samples: Samples, options: Mapping[str, Any]) -> None:
    """Nothing, if samples can be made ready as the options say.

    Raises:
        ValueError: As for ``take``.
    """
    view = _view(samples, options)
    if view is not None:
        _of_pixels(samples, options, view.channels)


def images_like(data: Data, images: Tensor, options: Mapping[str, Any]) -> Inputs:
    """New images, made ready as those of a data set's validation part were.

    Args:
        data: Of images.
        images: ``[N, C, H, W]``, ``uint8`` or ``float32`` from 0 to 1, stored as the data set's.
        options: Of the data set.

    Raises:
        ValueError: An option is out of bounds.
    """
    view = _view(Samples(kind="image", inputs=images, targets=images, classes=()), options)
    assert view is not None
    mean, std = (torch.tensor(v).reshape(-1, 1, 1) for v in (data.mean, data.std))
    every = torch.arange(len(images))
    return view.of(images, every, mean, std, view.side, view.crop, None)


@dataclass(frozen=True, kw_only=True)
class _View:
    """How images are taken from what is stored; see ``Pixels``.

    Attributes:
        channels: Of the images as they are taken.
        crop: Of validation images; training images keep their margin until they are augmented.
    """

    channels: int
    side: int | None
    crop: int | None

    def of(
        self,
        source: Tensor,
        index: Tensor,
        mean: Tensor,
        std: Tensor,
        side: int | None,
        crop: int | None,
        mapped: Mapped | None,
    ) -> Pixels:
        return Pixels(
            stored=Stored(source, index, mapped),
            mean=mean.float(),
            std=std.float(),
            side=side,
            crop=crop,
            channels=None if source.shape[1] == self.channels else self.channels,
        )


def _view(samples: Samples, options: Mapping[str, Any]) -> _View | None:
    if samples.kind != "image":
        for name in ("image_size", "channels", "mean", "std"):
            if options.get(name) is not None:
                raise ValueError(f"dataset.{name} is for images, but the samples are no images.")
        return None
    assert isinstance(samples.inputs, Tensor)
    stored, height, width = samples.inputs.shape[1:]
    channels = options.get("channels") or stored
    if channels != stored and stored not in (1, 3):
        raise ValueError(
            f"dataset.channels is {channels}, but images of {stored} channels stay as they are."
        )
    side, margin = options.get("image_size"), options.get("store_size")
    if side is None:
        return _View(channels=channels, side=None, crop=None)
    if side < 1:
        raise ValueError(f"dataset.image_size is {side}; it must be at least 1.")
    size, free = 4 * channels * side**2, psutil.virtual_memory().available
    if size > free:
        raise ValueError(
            f"dataset.image_size is {side}: one image of that size takes {size / 1e9:.1f} GB of "
            f"memory, and {free / 1e9:.1f} GB are free."
        )
    if margin is not None and side < min(height, width):
        return _View(channels=channels, side=None, crop=side)
    return _View(channels=channels, side=None if side == height == width else side, crop=None)


def _of_pixels(
    samples: Samples, options: Mapping[str, Any], channels: int
) -> tuple[Tensor, Tensor]:
    """What is subtracted and what is divided by, each ``float64 [1 or channels, 1, 1]``."""
    said = [options.get("mean"), options.get("std")]
    if (said[0] is None) != (said[1] is None):
        lone, lacking = ("mean", "std") if said[1] is None else ("std", "mean")
        raise ValueError(f"dataset.{lone} is set without dataset.{lacking}; set both or neither.")
    if said[0] is None:
        known = samples.mean is not None and len(samples.mean) in (1, channels)
        usual = (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((0.5,), (0.5,))
        said = [samples.mean, samples.std] if known else list(usual)
    found = []
    for name, value in zip(("mean", "std"), said, strict=True):
        numbers = [value] if isinstance(value, int | float) else list(value or ())
        if len(numbers) not in (1, channels):
            raise ValueError(
                f"dataset.{name} has {len(numbers)} numbers; it needs one, or one for each of the "
                f"{channels} channels."
            )
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"dataset.{name} is {value}; it must be finite.")
        if name == "std" and min(numbers) <= 0:
            raise ValueError(f"dataset.std is {value}; it must be above 0.")
        found.append(torch.tensor(numbers, dtype=torch.float64).reshape(-1, 1, 1))
    return found[0], found[1]


def _of_features(samples: Samples, training: Tensor) -> tuple[Tensor, Tensor]:
    """What is subtracted and what is divided by, each ``float64 [features]``; empty for texts."""
    if isinstance(samples.inputs, tuple):
        return torch.zeros(0), torch.ones(0)
    if samples.mean is not None and samples.std is not None:
        mean = torch.tensor(samples.mean, dtype=torch.float64)
        return mean, torch.tensor(samples.std, dtype=torch.float64)
    std, mean = torch.std_mean(samples.inputs[training].double(), dim=0, correction=0)
    # A feature that never varies in training is centred and otherwise left alone.
    return mean, torch.where(std > 0, std, torch.ones_like(std))


def _vectors_or_texts(samples: Samples, index: Tensor, mean: Tensor, std: Tensor) -> Inputs:
    if isinstance(samples.inputs, tuple):
        return Texts(tuple(samples.inputs[number] for number in index.tolist()))
    return Tensors((samples.inputs[index] - mean.float()) / std.float())


def _made_ready(pixels: Pixels) -> Tensors:
    """All images of a part at once; in portions, because the stored ones may be much larger."""
    every = torch.empty(len(pixels), *pixels.shape)
    for portion in torch.split(torch.arange(len(pixels)), _AT_ONCE):
        every[portion] = pixels[portion]
    return Tensors(every)
