"""Images that are converted when they are read: resized, in channels, normalised.

The stored images may be those of a whole data set; a part can read only its own. Used by
``preprocessing``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from workbench.datasets.memmap import MappedArray

# Most bytes of stored images that are moved to a GPU.
ON_DEVICE = 2**30
# Weights of red, green and blue in a grey, as in Pillow and torchvision (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)


class StoredImages:
    """The images of one part among all stored images, without a copy.

    Images are read by their positions in the part. All others, such as the test images in the same
    memory map, are not reachable by an attribute or a position. This prevents reading them by
    accident; Python cannot hide memory from code that is determined to read it.
    """

    def __init__(self, source: Tensor, index: Tensor, mapped: MappedArray | None = None) -> None:
        """Select some of the images in a source.

        Args:
            source: ``[N, C, H, W]``: ``uint8``, or ``float32`` from 0 to 1. May be a memory map.
            index: Numbers of the part's images in it, ``int64 [n]``.
            mapped: The file of the source, if it is a memory map.
        """
        self._source, self._index, self._mapped = source, index, mapped

    def __len__(self) -> int:
        """Number of images of the part."""
        return len(self._index)

    def __getitem__(self, positions: Tensor) -> Tensor:
        """The stored images at some positions of the part, in their own memory.

        Args:
            positions: ``int64 [B]``.

        Raises:
            IndexError: The part has no such position.
        """
        return self._source[self._index[positions.to(self._index.device)]]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one stored image: ``(C, H, W)``."""
        return tuple(self._source.shape[1:])

    @property
    def device(self) -> torch.device:
        """Device of the stored images."""
        return self._source.device

    @property
    def nbytes(self) -> int:
        """Bytes of the part's images."""
        return len(self) * self._source[:1].nbytes

    def to(self, device: torch.device) -> StoredImages:
        """A copy of the part's images, and only of these, on a device."""
        own = self._source[self._index].to(device)
        return StoredImages(own, torch.arange(len(self), device=device))

    def __getstate__(self) -> dict[str, Any]:
        # Another process maps the file itself; pickling the images could copy gigabytes.
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
    """Images of a part, converted when they are read; see ``samples.Inputs``.

    Attributes:
        stored: The part's images.
        mean: Subtracted from pixels in 0 to 1; ``float32``, broadcast over an image.
        std: The divisor after that.
        side: The largest square in the middle of an image is resized to this many pixels; None
            keeps the size.
        crop: Side of the square in the middle that is used; None uses the whole image.
        channels: 1 converts colour to grey, 3 repeats grey; None keeps the channels.
    """

    stored: StoredImages
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
        # After resizing: bytes are a quarter of the size of floats.
        images = images.to(self.mean.device)
        if images.dtype == torch.uint8:
            # By a tensor: some devices multiply by the rounded inverse of a number.
            images = images.float().div_(torch.full((), 255.0, device=images.device))
        if self.channels == 1 and images.shape[1] == 3:
            weights = torch.tensor(_LUMA, device=images.device).reshape(3, 1, 1)
            images = (images * weights).sum(dim=1, keepdim=True)
        # contiguous(): the arithmetic below is in place, and expand() shares one channel.
        if self.channels == 3:
            images = images.expand(-1, 3, -1, -1).contiguous()
        # In place: this is a copy already, and allocating memory costs more than the arithmetic.
        return images.sub_(self.mean).div_(self.std)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one converted image: ``(C, H, W)``."""
        channels = self.channels or self.stored.shape[0]
        side = self.side or self.crop
        return (channels, side, side) if side else (channels, *self.stored.shape[1:])

    def to(self, device: torch.device) -> Pixels:
        """The same for a device: batches are normalised there.

        The stored images are copied to it if they take at most ``ON_DEVICE`` bytes.
        """
        if device.type == self.mean.device.type:
            return self
        stays = self.stored.nbytes > ON_DEVICE
        return replace(
            self,
            stored=self.stored if stays else self.stored.to(device),
            mean=self.mean.to(device),
            std=self.std.to(device),
        )


def _resized(images: Tensor, side: int) -> Tensor:
    """The largest square in the middle, resized to ``side`` pixels."""
    shorter = min(images.shape[2:])
    images = _middle(images, shorter, shorter)
    if images.dtype == torch.uint8 and images.device.type != "cpu":
        images = images.float().div_(255.0)
    # On the CPU, uint8 is resized as uint8, like in Pillow: four times as fast as float32.
    return functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def _middle(images: Tensor, height: int, width: int) -> Tensor:
    top, left = (images.shape[2] - height) // 2, (images.shape[3] - width) // 2
    return images[:, :, top : top + height, left : left + width]
