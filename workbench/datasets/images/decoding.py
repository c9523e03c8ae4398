"""Decodes one image file: its size and its pixels, or a sentence on what is wrong with it.

Used by ``images.loading``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# A file, or a function that returns an image's bytes, as in a file; empty if it is missing.
Source = Path | Callable[[], bytes]

EXTENSIONS = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm"),
)
# Pillow's default limit, in case MAX_IMAGE_PIXELS was set to None.
_MOST_PIXELS = 89_478_485
_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
# EXIF's tag, and the values that exchange height and width.
_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)


@dataclass(frozen=True, kw_only=True)
class Form:
    """The form of every decoded image: resized to a square of ``side`` pixels if that is set."""

    channels: int
    height: int
    width: int
    side: int | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: ``(C, H, W)``."""
        return self.channels, self.height, self.width


def header(file: Source) -> tuple[int, int, bool] | str:
    """Height and width after the EXIF rotation, and whether it is grey; or what is wrong."""
    try:
        with _opened(file) as image:
            width, height = image.size
            # For a PNG without EXIF, getexif() would decode the whole image.
            has_exif = image.format in ("JPEG", "MPO", "TIFF", "WEBP") or "exif" in image.info
            if has_exif and image.getexif().get(_ORIENTATION) in _LYING:
                width, height = height, width
            return height, width, image.mode in _GREY
    except Exception as error:  # decoders raise anything
        return _reason(error)


def pixels(file: Source, form: Form) -> NDArray[np.uint8] | str:
    """The pixels ``[C, H, W]``, or what is wrong."""
    try:
        with _opened(file) as opened:
            if form.side is not None:
                # Lets a JPEG decode at a fraction of its size, at least twice the target size.
                opened.draft(None, (2 * form.side, 2 * form.side))
            image: Image.Image = ImageOps.exif_transpose(opened)
        image = _in_channels(_eight_bit(image), form.channels)
        if form.side is not None:
            width, height = image.size
            shorter = min(width, height)
            left, top = (width - shorter) // 2, (height - shorter) // 2
            box = (left, top, left + shorter, top + shorter)
            image = image.resize((form.side, form.side), Image.Resampling.BILINEAR, box=box)
    except Exception as error:  # decoders raise anything
        return _reason(error)
    array = np.asarray(image).reshape(image.height, image.width, form.channels)
    if (image.height, image.width) != (form.height, form.width):
        return f"it has {image.width} x {image.height} pixels, unlike its header"
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def _opened(file: Source) -> Image.Image:
    """An image whose header has no more pixels than Pillow's limit; nothing is decoded yet."""
    # Pillow reads only the header of a path; bytes are in memory anyway.
    source = file if isinstance(file, Path) else io.BytesIO(file())
    size = source.stat().st_size if isinstance(source, Path) else source.getbuffer().nbytes
    if size == 0:
        raise ValueError("the file is empty")
    image = Image.open(source)
    if image.width * image.height > (Image.MAX_IMAGE_PIXELS or _MOST_PIXELS):
        image.close()
        raise ValueError(_bomb(image.width * image.height))
    return image


def _bomb(pixels: int) -> str:
    limit = Image.MAX_IMAGE_PIXELS or _MOST_PIXELS
    return f"it has {pixels:,} pixels, more than the limit of {limit:,}"


def _eight_bit(image: Image.Image) -> Image.Image:
    """Keep the upper eight bits of 16-bit greys; Pillow's convert() would clip them at 255."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
            raise ValueError("its pixels have 32 bits; at most 16 can be read")
        return Image.fromarray((values >> 8).astype(np.uint8))
    return image


def _in_channels(image: Image.Image, channels: int) -> Image.Image:
    # Pillow drops a palette's transparency only by way of RGBA.
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("L" if channels == 1 else "RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow can read"
    if isinstance(error, Image.DecompressionBombError):
        # Pillow's own message names twice the limit: "Image size (N pixels) exceeds limit of ...".
        found = re.search(r"\((\d+) pixels\)", str(error))
        return _bomb(int(found[1])) if found else str(error)
    return str(error).rstrip(".") or type(error).__name__
