"""Images that are made ready when they are taken: resized, in channels, normalised.

What is stored may hold every part of a data set; a part reaches its own images only. Knows neither
a split nor a data set's options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from workbench.datasets.memmap import Mapped

# Bytes of stored images that may wait on an accelerator.
ON_DEVICE = 2**30
# Share of red, green and blue in a grey, as Pillow and torchvision have it (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


class Stored:
    """The images of one part among all that are stored, without a copy of them.

    They are had by their positions in the part; the others, such as the test images in the same
    memory map, are neither an attribute nor the answer to any position. Python hides no memory from
    code that is determined to read it: this keeps an honest path from taking them by accident.
    """

    def __init__(self, source: Tensor, index: Tensor, mapped: Mapped | None = None) -> None:
        """Some of the images in a source.

        Args:
            source: ``[N, C, H, W]``: ``uint8``, or ``float32`` from 0 to 1. May be a memory map.
            index: Numbers of the part's images in it, ``int64 [n]``.
            mapped: Where the source lies, if it is a memory map.
        """
        self._source, self._index, self._mapped = source, index, mapped

    def __len__(self) -> int:
        """Number of images of the part."""
        return len(self._index)

    def __getitem__(self, positions: Tensor) -> Tensor:
        """The images at some positions of the part, as they are stored: memory of their own.

        Args:
            positions: ``int64 [B]``.

        Raises:
            IndexError: The part has no such position.
        """
        return self._source[self._index[positions.to(self._index.device)]]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image: ``(C, H, W)``."""
        return tuple(self._source.shape[1:])

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self._source.device

    @property
    def nbytes(self) -> int:
        """Of the part's images together."""
        return len(self) * self._source[:1].nbytes

    def to(self, device: torch.device) -> Stored:
        """A copy of the part's images, and of no others, on a device."""
        own = self._source[self._index].to(device)
        return Stored(own, torch.arange(len(self), device=device))

    def __getstate__(self) -> dict[str, Any]:
        # Another process maps the file itself; a copy through shared memory may be gigabytes.
        state = dict(vars(self))
        if self._mapped is not None:
            del state["_source"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._mapped is not None:
            self._source = self._mapped.open()


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """Images of a part, as they are stored; see ``samples.Inputs``.

    Attributes:
        stored: The part's images.
        mean: Subtracted from pixels from 0 to 1; ``float32``, shaped to fit an image.
        std: What the difference is divided by.
        side: The largest square in the middle of an image is resized to this many pixels; None
            leaves the images' size alone.
        crop: So many pixels in the middle are taken; None takes all of them.
        channels: 1 makes colours grey, 3 repeats grey; None leaves them.
    """

    stored: Stored
    mean: Tensor
    std: Tensor
    side: int | None = None
    crop: int | None = None
    channels: int | None = None

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, positions: Tensor) -> Tensor:
        images = self.stored[positions]
        if self.crop is not None:
            images = _middle(images, self.crop, self.crop)
        if self.side is not None and tuple(images.shape[2:]) != (self.side, self.side):
            images = _resized(images, self.side)
        if images.dtype == torch.uint8:
            images = images.float().div_(255.0)
        if self.channels == 1 and images.shape[1] == 3:
            weights = torch.tensor(_LUMA, device=images.device).reshape(3, 1, 1)
            images = (images * weights).sum(dim=1, keepdim=True)
        if self.channels == 3:
            images = images.expand(-1, 3, -1, -1).contiguous()
        # In place: they are a copy already, and new memory costs more than the arithmetic.
        return images.sub_(self.mean).div_(self.std)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image as it is taken: ``(C, H, W)``."""
        channels = self.channels or self.stored.shape[0]
        side = self.side or self.crop
        return (channels, side, side) if side else (channels, *self.stored.shape[1:])

    def to(self, device: torch.device) -> Pixels:
        """The same with the stored images on a device, if there are few enough of them."""
        if device.type == self.stored.device.type or self.stored.nbytes > ON_DEVICE:
            return self
        return replace(
            self,
            stored=self.stored.to(device),
            mean=self.mean.to(device),
            std=self.std.to(device),
        )


def _resized(images: Tensor, side: int) -> Tensor:
    """The largest square in the middle, in ``side`` pixels."""
    shorter = min(images.shape[2:])
    images = _middle(images, shorter, shorter)
    if images.dtype == torch.uint8 and images.device.type != "cpu":
        images = images.float().div_(255.0)
    # On the CPU bytes are resized as bytes, as Pillow does it: four times as fast as floats.
    return functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def _middle(images: Tensor, height: int, width: int) -> Tensor:
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]
