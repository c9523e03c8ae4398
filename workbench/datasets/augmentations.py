"""Random transforms of training images: those of torchvision and a user's own.

Each sample has its own generator: its transform depends only on (seed, epoch, the sample's number),
not on the order of the samples. Importing this module loads no torch.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from workbench import usercode
from workbench.messages import refuse_unknown_options, unknown
from workbench.record.seeds import derive_each
from workbench.record.strategy import Knobs

if TYPE_CHECKING:
    from torch import Tensor


_INTERVAL = float | list[float]
_SIZE = int | list[int]
# Numbers of a part of a batch: larger tensors leave the cache of a CPU.
_IN_CACHE = 2**20
_SAMPLING = Literal["nearest", "bilinear"]

# Type of each option of a transform, named as in torchvision; the transform's name is that of
# torchvision's class. Pixels are in 0 to 1, so ``fill`` and ``value`` are brightnesses: 0 is black.
AUGMENTATIONS: dict[str, Mapping[str, object]] = {
    "random_horizontal_flip": {"p": float},
    "random_vertical_flip": {"p": float},
    "random_crop": {"size": _SIZE, "padding": _SIZE, "fill": float, "padding_mode": str},
    "random_rotation": {"degrees": _INTERVAL, "interpolation": _SAMPLING, "fill": float},
    "random_resized_crop": {
        "size": _SIZE,
        "scale": list[float],
        "ratio": list[float],
        "interpolation": str,
        "antialias": bool,
    },
    "random_affine": {
        "degrees": _INTERVAL,
        "translate": list[float],
        "scale": list[float],
        "shear": _INTERVAL,
        "interpolation": _SAMPLING,
        "fill": float,
    },
    "color_jitter": dict.fromkeys(("brightness", "contrast", "saturation", "hue"), _INTERVAL),
    "random_erasing": {"p": float, "scale": list[float], "ratio": list[float], "value": float},
    "random_perspective": {
        "distortion_scale": float,
        "p": float,
        "interpolation": _SAMPLING,
        "fill": float,
    },
    "gaussian_blur": {"kernel_size": _SIZE, "sigma": _INTERVAL},
    "random_grayscale": {"p": float},
    "random_invert": {"p": float},
    "random_solarize": {"threshold": float, "p": float},
    "random_posterize": {"bits": int, "p": float},
    "random_equalize": {"p": float},
    "random_autocontrast": {"p": float},
    "random_adjust_sharpness": {"sharpness_factor": float, "p": float},
    # Cubuk et al. 2019; 2020; Mueller and Hutter 2021; Hendrycks et al. 2020.
    "auto_augment": {"policy": Literal["imagenet", "cifar10", "svhn"], "fill": float},
    "rand_augment": {"num_ops": int, "magnitude": int, "num_magnitude_bins": int, "fill": float},
    "trivial_augment_wide": {"num_magnitude_bins": int, "fill": float},
    "aug_mix": {
        "severity": int,
        "mixture_width": int,
        "chain_depth": int,
        "alpha": float,
        "all_ops": bool,
        "fill": float,
    },
    "resize": {"size": _SIZE, "interpolation": str, "antialias": bool},
    "center_crop": {"size": _SIZE},
}


# Their pixels differ in the last bits from those of the first version, which transformed single
# images on the CPU; some of them on an accelerator alone. The definition of a study says so.
REVISED = {
    "random_rotation",
    "random_resized_crop",
    "random_affine",
    "color_jitter",
    "random_grayscale",
    "random_equalize",
    "random_autocontrast",
    "resize",
}


class Augmentation:
    """Transforms batches of normalised training images; made by ``build``.

    Attributes:
        batched: Whether it transforms whole batches, on any device. Otherwise it transforms single
            images, from the first transform on that has no other way, and only on the CPU.
    """

    def __init__(self, steps: Sequence[tuple[str, Knobs]], mean: Tensor, std: Tensor) -> None:
        from workbench.datasets.batch_transforms import BATCHED

        transforms = [(name, _transform(name, options)) for name, options in steps]
        whole = list(takewhile(lambda step: step[0] in BATCHED, transforms))
        self._whole = [partial(BATCHED[name], transform) for name, transform in whole]
        self._single = [transform for _, transform in transforms[len(whole) :]]
        self._own_code = any(usercode.is_reference(name) for name, _ in steps)
        self._mean, self._std = mean, std
        self.batched = not self._single

    def __call__(self, inputs: Tensor, *, seed: int, epoch: int, index: Tensor) -> Tensor:
        """The transformed batch, possibly of another size; the inputs are not changed.

        Args:
            inputs: ``[B, C, H, W]``, normalised; on the CPU unless ``batched``.
            seed: The trial's training seed.
            epoch: Counted from 1 through all phases.
            index: ``[B]``, the samples' numbers in the data set.

        Raises:
            ValueError: The inputs are not images, a transform changes their channels or returns
                different sizes, or a user's own transform fails.
        """
        import torch

        from workbench.datasets.batch_transforms import Draws

        if inputs.ndim != 4:
            raise ValueError(
                f"An augmentation transforms images, but these samples have the shape "
                f"{tuple(inputs.shape[1:])}; remove augmentation from the recipe."
            )
        mean, std = self._mean.to(inputs.device), self._std.to(inputs.device)
        seeds = derive_each(seed, "augmentation", epoch, numbers=index.tolist())
        on_cpu = inputs.device.type == "cpu"
        size = max(1, _IN_CACHE // inputs[0].numel()) if on_cpu else len(inputs)
        parts: list[Tensor] = []
        used: list[int] = []
        for start in range(0, len(inputs), size):
            draws = Draws(seeds[start : start + size], len(self._whole))
            part = (inputs[start : start + size] * std).add_(mean)
            for transform in self._whole:
                part = transform(part, draws)
            parts.append(part)
            used += draws.used.tolist()
        images = parts[0] if len(parts) == 1 else torch.cat(parts)
        if self._single:
            images = self._one_by_one(images, seeds, used)
        return images.sub_(mean).div_(std)

    def _one_by_one(self, images: Tensor, seeds: Sequence[int], used: Sequence[int]) -> Tensor:
        import torch

        outputs = []
        # devices=[]: torch.manual_seed would reset an accelerator's generator as well.
        with torch.random.fork_rng(devices=[]), _keep_rng() if self._own_code else nullcontext():
            for pixels, seed, count in zip(images, seeds, used, strict=True):
                # torchvision's transforms draw from the global generator and take no other.
                torch.default_generator.manual_seed(seed)
                torch.empty(count, dtype=torch.int32).random_()  # what the batch has drawn
                if self._own_code:
                    _seed_rng(seed)
                for transform in self._single:
                    pixels = transform(pixels)
                outputs.append(pixels)
        sizes = {tuple(output.shape) for output in outputs}
        # Images of different sizes cannot be stacked, and the model takes fixed channels.
        if len(sizes) > 1 or outputs[0].shape[0] != images.shape[1]:
            found = ", ".join(str(size) for size in sorted(sizes)[:3])
            raise ValueError(
                f"The augmentation turns images {tuple(images.shape[1:])} into images {found}; "
                f"they must all have one size and {images.shape[1]} channels."
            )
        return torch.stack(outputs)


def build(
    augmentation: Sequence[Knobs],
    *,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
) -> Augmentation | None:
    """The transforms of a plan as one function, or None if there are none.

    Args:
        augmentation: In order, each ``{name: options}``. A name may be a user's ``FILE.py:NAME``, a
            function that is called with the options and returns a function of one image,
            ``float32 [C, H, W]`` with pixels from 0 to 1.
        mean: Of the data set's normalisation, one number or one per channel. The normalisation is
            undone for the transforms, which expect pixels from 0 to 1.
        std: Of the data set's normalisation.

    Raises:
        ValueError: A name or an option is unknown, or torchvision or a user's code refuses a value.
    """
    if not augmentation:
        return None

    import torch

    steps = [(name, options) for step in augmentation for name, options in step.items()]
    centre, scale = (torch.tensor(list(numbers)).reshape(-1, 1, 1) for numbers in (mean, std))
    return Augmentation(steps, centre, scale)


def _transform(name: str, options: Knobs) -> Callable[[Tensor], Tensor]:
    if usercode.is_reference(name):
        return _user_transform(name, options)
    if name not in AUGMENTATIONS:
        raise ValueError(unknown("augmentation", name, AUGMENTATIONS, ", or your own FILE.py:NAME"))
    refuse_unknown_options(f"augmentation {name}", options, AUGMENTATIONS[name])

    from torchvision.transforms import v2

    try:
        if "policy" in options:
            options = {**options, "policy": v2.AutoAugmentPolicy(options["policy"])}
        # ``random_crop`` is ``RandomCrop``.
        transform: Callable[[Tensor], Tensor]
        transform = getattr(v2, name.title().replace("_", ""))(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"The augmentation {name} cannot be built: {error}") from error
    return transform


def _user_transform(name: str, options: Knobs) -> Callable[[Tensor], Tensor]:
    """A user's own transform, with errors that name the augmentation."""
    from torch import Tensor

    from workbench.datasets.checks import described

    with usercode.errors_of(name):
        transform = usercode.load_function(name, "an augmentation")(**options)
    if not callable(transform):
        raise ValueError(
            f"The augmentation {name} returned {type(transform).__name__}; called with its "
            f"options, it must return a function of one image."
        )

    def transformed(pixels: Tensor) -> Tensor:
        with usercode.errors_of(name):
            found = transform(pixels)
        if not isinstance(found, Tensor) or found.dtype != pixels.dtype or found.ndim != 3:
            raise ValueError(
                f"The augmentation {name} returned {described(found)}; it must return an image "
                f"float32 [channels, height, width]."
            )
        return found

    return transformed


@contextmanager
def _keep_rng() -> Iterator[None]:
    """Restore the generators of Python and NumPy, which a user's code may use, after a block."""
    import numpy as np

    before = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def _seed_rng(key: int) -> None:
    import numpy as np

    random.seed(key)
    np.random.seed(key % 2**32)
