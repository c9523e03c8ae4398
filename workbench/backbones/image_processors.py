"""The preparation of images as transformers' image processor, for programs that use its models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL.Image import Resampling
from transformers import CLIPImageProcessor

from workbench.backbones.transformers_configs import quiet


def save(
    folder: Path,
    *,
    shape: tuple[int, ...],
    resize: int,
    mean: Sequence[float],
    std: Sequence[float],
) -> None:
    """Write ``preprocessor_config.json``, which ``AutoImageProcessor`` reads.

    It resizes the short side of an image and then takes the middle, while the data sets take the
    middle square first: the pixels are the same for square images, up to 1 of 255 levels where they
    are resized.

    Args:
        folder: Of the model.
        shape: ``(C, H, W)`` of a model's input; if it is not square, images must have its size.
        resize: Pixels of the short side, before the middle is taken.
        mean: Subtracted from pixels in 0 to 1: one number, or one for each channel.
        std: The divisor after that.

    Raises:
        OSError: The folder cannot be written to.
    """
    channels, height, width = shape
    square = height == width
    with quiet():
        # The general one: most others only have other defaults.
        CLIPImageProcessor(
            do_resize=square,
            size={"shortest_edge": resize},
            resample=Resampling.BILINEAR,
            do_center_crop=square,
            crop_size={"height": height, "width": width},
            do_convert_rgb=channels == 3,
            image_mean=[*mean] * (channels // len(mean)),
            image_std=[*std] * (channels // len(std)),
        ).save_pretrained(folder)
