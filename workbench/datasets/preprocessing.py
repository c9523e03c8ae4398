"""Prepares samples for a model: resizes, converts channels and normalises.

Small sets are prepared once, in memory; images of large ones whenever they are read (see
``images.pixels``). Used by ``loading``; ``splits`` decides which samples each part has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import psutil
import torch
from torch import Tensor

from workbench.datasets.images.pixels import Pixels, StoredImages
from workbench.datasets.samples import Data, Inputs, Part, Samples, Tensors, Texts
from workbench.datasets.splits.splits import Pool, Split
from workbench.record.strategy import Knobs

# Normalisation of torchvision's and most other pretrained models for colour images.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Images that take at most this many bytes as a model's input are prepared once, in memory.
SMALL = 2**28
_AT_ONCE = 1024
_View = dict[str, int | None]


def prepare(pool: Pool, split: Split) -> Data:
    """Training and validation samples of a split, prepared for a model.

    Raises:
        ValueError: An option of the data set is out of range or does not apply to such samples.
    """
    samples = pool.samples
    view = _view(samples, pool.options)
    if view is not None:
        mean, std = _pixel_statistics(samples, pool.options)
    else:
        mean, std = _feature_statistics(samples, pool.index[split.train])
    # Training images keep their margin for the augmentation.
    uncropped = None if view is None else {**view, "crop": None}
    count = len(split.train) + len(split.validation)
    train = _part(pool, split.train, uncropped, mean, std, count=count)
    validation = _part(pool, split.validation, view, mean, std, count=count)
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
    """Add the test part to the data of ``prepare``, prepared like the validation part.

    Args:
        data: Of the same pool and split; its parts are not copied.
        pool: The pool of the split.
        split: Must have test samples.

    Raises:
        ValueError: The split has no test samples.
    """
    if len(split.test) == 0:
        raise ValueError(
            f"There are no test samples: dataset.test is {pool.options.get('test')}; a "
            "confirmation needs some."
        )
    view = _view(pool.samples, pool.options)
    mean, std = (torch.tensor(numbers, dtype=torch.float64) for numbers in (data.mean, data.std))
    # Resizing on a GPU gives slightly different pixels: use the same way as for validation.
    in_memory = isinstance(data.validation.inputs, Tensors)
    count = len(split.test) if in_memory else None
    test = _part(pool, split.test, view, mean, std, count=count)
    names = _names(pool.samples, data.train, data.validation, test)
    return replace(data, test=test, names=names)


def _part(
    pool: Pool,
    positions: Tensor,
    view: _View | None,
    mean: Tensor,
    std: Tensor,
    *,
    count: int | None,
) -> Part:
    """A part of a split; images are kept in memory if ``count`` of them are small together."""
    samples, index = pool.samples, pool.index[positions]
    inputs: Inputs
    if isinstance(samples.inputs, tuple):
        inputs = Texts(tuple(samples.inputs[number] for number in index.tolist()))
    elif view is None:
        inputs = Tensors((samples.inputs[index] - mean.float()) / std.float())
    else:
        pixels = _pixels(StoredImages(samples.inputs, index, samples.mapped), mean, std, view)
        small = count is not None and 4 * count * math.prod(pixels.shape) <= SMALL
        inputs = _in_memory(pixels) if small else pixels
    return Part(inputs=inputs, targets=pool.targets[positions], index=index)


def _names(samples: Samples, *parts: Part) -> dict[int, str] | None:
    if samples.names is None:
        return None
    return {number: samples.names[number] for part in parts for number in part.index.tolist()}


def check(samples: Samples, options: Knobs) -> None:
    """Check that the samples can be prepared with these options.

    Raises:
        ValueError: As for ``prepare``.
    """
    if _view(samples, options) is not None:
        _pixel_statistics(samples, options)


def images_like(
    images: Tensor, *, mean: Sequence[float], std: Sequence[float], options: Knobs
) -> Inputs:
    """New images, prepared like the validation part of a data set.

    Args:
        images: ``[N, C, H, W]``, ``uint8`` or ``float32`` from 0 to 1, of the data set's size.
        mean: Of the data set, as is ``std``; see ``samples.Data``.
        std: The divisor.
        options: Of the data set.

    Raises:
        ValueError: An option is out of range.
    """
    view = _view(Samples(kind="image", inputs=images, targets=images, classes=()), options)
    assert view is not None
    stored = StoredImages(images, torch.arange(len(images)))
    return _pixels(stored, torch.tensor(mean), torch.tensor(std), view)


def _view(samples: Samples, options: Knobs) -> _View | None:
    """How stored images are converted to a model's input: options of ``Pixels``; else None."""
    if samples.kind != "image":
        for name in ("image_size", "channels", "mean", "std"):
            if options.get(name) is not None:
                raise ValueError(f"dataset.{name} is for images; the samples are {samples.kind}s.")
        return None
    assert isinstance(samples.inputs, Tensor)
    stored, height, width = samples.inputs.shape[1:]
    channels = options.get("channels") or stored
    if channels != stored and stored not in (1, 3):
        raise ValueError(
            f"dataset.channels is {channels}, but images of {stored} channels cannot be converted."
        )
    converted = None if channels == stored else channels
    side, margin = options.get("image_size"), options.get("store_size")
    view: _View = {"channels": converted, "side": None, "crop": None}
    if side is None:
        return view
    # Refused here, before a worker is killed for its memory.
    size, free = 4 * channels * side**2, psutil.virtual_memory().available
    if size > free:
        raise ValueError(
            f"dataset.image_size is {side}: one image of this size needs {size / 1e9:.1f} GB of "
            f"memory, but {free / 1e9:.1f} GB are free."
        )
    if margin is not None and side < min(height, width):
        return {**view, "crop": side}
    return {**view, "side": None if side == height == width else side}


def _pixels(stored: StoredImages, mean: Tensor, std: Tensor, view: _View) -> Pixels:
    mean, std = (numbers.float().reshape(-1, 1, 1) for numbers in (mean, std))
    return Pixels(stored=stored, mean=mean, std=std, **view)


def _pixel_statistics(samples: Samples, options: Knobs) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation for images, each ``float64 [1 or channels]``."""
    assert isinstance(samples.inputs, Tensor)
    channels = options.get("channels") or samples.inputs.shape[1]
    chosen = [options.get("mean"), options.get("std")]
    if (chosen[0] is None) != (chosen[1] is None):
        lone, lacking = ("mean", "std") if chosen[1] is None else ("std", "mean")
        raise ValueError(f"dataset.{lone} is set without dataset.{lacking}; set both or neither.")
    if chosen[0] is None:
        known = samples.mean is not None and len(samples.mean) in (1, channels)
        usual = (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else ((0.5,), (0.5,))
        chosen = [samples.mean, samples.std] if known else list(usual)
    found = []
    for name, value in zip(("mean", "std"), chosen, strict=True):
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
        found.append(torch.tensor(numbers, dtype=torch.float64))
    return found[0], found[1]


def _feature_statistics(samples: Samples, training: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the features, each ``float64 [F]``; empty for texts."""
    if isinstance(samples.inputs, tuple):
        return torch.zeros(0), torch.ones(0)
    if samples.mean is not None and samples.std is not None:
        mean = torch.tensor(samples.mean, dtype=torch.float64)
        return mean, torch.tensor(samples.std, dtype=torch.float64)
    std, mean = torch.std_mean(samples.inputs[training].double(), dim=0, correction=0)
    # A feature that is constant in training is centred but not divided by its deviation of 0.
    return mean, torch.where(std > 0, std, torch.ones_like(std))


def _in_memory(pixels: Pixels) -> Tensors:
    """All images of a part; converted in portions, because stored images may be much larger."""
    every = torch.empty(len(pixels), *pixels.shape)
    for portion in torch.split(torch.arange(len(pixels)), _AT_ONCE):
        every[portion] = pixels[portion]
    return Tensors(every)
