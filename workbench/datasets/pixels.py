"""Images that are made ready when they are taken: resized, in channels, normalised.

Knows neither a split nor a data set's options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from workbench.datasets.mapped import Mapped

# Bytes of stored images that may wait on an accelerator.
ON_DEVICE = 2**30
# Share of red, green and blue in a grey, as Pillow and torchvision have it (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """Images of a part, as they are stored; see ``samples.Inputs``.

    Attributes:
        source: ``[N, C, H, W]``: ``uint8``, or ``float32`` from 0 to 1. May be a memory map.
        index: Numbers of the part's images in the source, ``int64 [n]``.
        mean: Subtracted from pixels from 0 to 1; ``float32``, shaped to fit an image.
        std: What the difference is divided by.
        side: The largest square in the middle of an image is resized to this many pixels; None
            leaves the images' size alone.
        crop: So many pixels in the middle are taken; None takes all of them.
        channels: 1 makes colours grey, 3 repeats grey; None leaves them.
        mapped: Where the source lies, if it is a memory map.
    """

    source: Tensor
    index: Tensor
    mean: Tensor
    std: Tensor
    side: int | None = None
    crop: int | None = None
    channels: int | None = None
    mapped: Mapped | None = None

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, positions: Tensor) -> Tensor:
        images = self.source[self.index[positions.to(self.index.device)]]
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
        channels = self.channels or self.source.shape[1]
        side = self.side or self.crop
        return (channels, side, side) if side else (channels, *self.source.shape[2:])

    def to(self, device: torch.device) -> Pixels:
        """The same with the stored images on a device, if there are few enough of them."""
        size = len(self) * self.source[:1].nbytes
        if device.type == self.source.device.type or size > ON_DEVICE:
            return self
        return replace(
            self,
            source=self.source[self.index].to(device),
            index=torch.arange(len(self), device=device),
            mean=self.mean.to(device),
            std=self.std.to(device),
            mapped=None,
        )

    def __getstate__(self) -> dict[str, Any]:
        # Another process maps the file itself; a copy through shared memory may be gigabytes.
        state = dict(vars(self))
        if self.mapped is not None:
            del state["source"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self.mapped is not None:
            vars(self)["source"] = self.mapped.open()


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
