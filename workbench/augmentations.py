"""Transforms of training images, each sample under a generator of its own.

Knows neither the data set nor the order in which samples come: what happens to a sample depends on
(seed, epoch, the sample's number) and on nothing else. Importing it loads no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from workbench.randomness import derive

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A transform that a study file may name.

    Attributes:
        target: The class, as ``module:name``.
        options: Type of each option, named as in torchvision. Pixels lie in 0 to 1, so ``fill``
            and ``value`` are brightnesses: 0 is black.
    """

    target: str
    options: Mapping[str, Any]


_V2 = "torchvision.transforms.v2"
_INTERVAL = float | list[float]

AUGMENTATIONS: dict[str, Entry] = {
    "random_horizontal_flip": Entry(target=f"{_V2}:RandomHorizontalFlip", options={"p": float}),
    "random_vertical_flip": Entry(target=f"{_V2}:RandomVerticalFlip", options={"p": float}),
    "random_crop": Entry(
        target=f"{_V2}:RandomCrop",
        options={
            "size": int | list[int],
            "padding": int | list[int],
            "fill": float,
            "padding_mode": str,
        },
    ),
    "random_rotation": Entry(
        target=f"{_V2}:RandomRotation",
        options={"degrees": _INTERVAL, "interpolation": str, "fill": float},
    ),
    "random_resized_crop": Entry(
        target=f"{_V2}:RandomResizedCrop",
        options={
            "size": int | list[int],
            "scale": list[float],
            "ratio": list[float],
            "interpolation": str,
            "antialias": bool,
        },
    ),
    "random_affine": Entry(
        target=f"{_V2}:RandomAffine",
        options={
            "degrees": _INTERVAL,
            "translate": list[float],
            "scale": list[float],
            "shear": _INTERVAL,
            "interpolation": str,
            "fill": float,
        },
    ),
    "color_jitter": Entry(
        target=f"{_V2}:ColorJitter",
        options=dict.fromkeys(("brightness", "contrast", "saturation", "hue"), _INTERVAL),
    ),
    "random_erasing": Entry(
        target=f"{_V2}:RandomErasing",
        options={"p": float, "scale": list[float], "ratio": list[float], "value": float},
    ),
}


class Augmentation(Protocol):
    """Transforms a batch of normalised training images, each sample alone."""

    def __call__(self, inputs: Tensor, *, seed: int, epoch: int, index: Tensor) -> Tensor:
        """The transformed batch; the inputs are left as they were.

        Args:
            inputs: ``[B, C, H, W]`` on the CPU, normalised.
            seed: The trial's training seed.
            epoch: Counted from 1 through all phases.
            index: ``[B]``, the samples' numbers in the data set.

        Raises:
            ValueError: The inputs are no images, or a transform changes their shape.
        """
        ...


def build(
    augmentation: Sequence[Mapping[str, Any]],
    *,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
) -> Augmentation | None:
    """The transforms of a plan as one function, or None where there are none.

    Args:
        augmentation: In order, each ``{name: options}``.
        mean: Of the data set's normalisation, one number or one per channel. The transforms work on
            pixels from 0 to 1, where a jitter's limits and a fill's brightness mean what they say.
        std: Of the data set's normalisation.

    Raises:
        ValueError: A name or an option is unknown, or torchvision refuses a value.
    """
    if not augmentation:
        return None
    transforms = [
        _transform(name, options) for step in augmentation for name, options in step.items()
    ]

    import torch

    centre = torch.tensor(list(mean)).reshape(-1, 1, 1)
    scale = torch.tensor(list(std)).reshape(-1, 1, 1)

    def augment(inputs: Tensor, *, seed: int, epoch: int, index: Tensor) -> Tensor:
        if inputs.ndim != 4:
            raise ValueError(
                f"An augmentation transforms images, but these samples have the shape "
                f"{tuple(inputs.shape[1:])}; take augmentation out of the recipe."
            )
        outputs = []
        # devices=[]: torch.manual_seed would reset an accelerator's generator as well.
        with torch.random.fork_rng(devices=[]):
            for pixels, number in zip(inputs * scale + centre, index.tolist(), strict=True):
                torch.default_generator.manual_seed(derive(seed, "augmentation", epoch, number))
                for transform in transforms:
                    pixels = transform(pixels)
                outputs.append(pixels)
        if outputs[0].shape != inputs.shape[1:]:
            raise ValueError(
                f"The augmentation turns images of {_size(inputs[0])} into {_size(outputs[0])}, "
                f"but validation images stay as they are; set its size to {inputs.shape[-1]}."
            )
        return (torch.stack(outputs) - centre) / scale

    return augment


def _transform(name: str, options: Mapping[str, Any]) -> Any:
    if name not in AUGMENTATIONS:
        raise ValueError(
            f"There is no augmentation {name!r}; the augmentations are {', '.join(AUGMENTATIONS)}."
        )
    entry = AUGMENTATIONS[name]
    unknown = sorted(set(options) - set(entry.options))
    if unknown:
        raise ValueError(
            f"The augmentation {name} has no option {', '.join(unknown)}; "
            f"its options are {', '.join(entry.options)}."
        )
    module, _, target = entry.target.partition(":")
    try:
        return getattr(importlib.import_module(module), target)(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The augmentation {name} cannot be made: {error}") from error


def _size(image: Tensor) -> str:
    return f"{image.shape[-2]} x {image.shape[-1]} pixels"
