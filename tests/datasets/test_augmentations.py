"""What happens to a sample depends on (seed, epoch, its number) alone."""

from __future__ import annotations

import random
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2

from workbench.datasets import augmentations
from workbench.datasets.augmentations import AUGMENTATIONS, Augmentation
from workbench.datasets.batch_transforms import BATCHED
from workbench.record.seeds import derive

NEEDED: dict[str, dict[str, Any]] = {
    "random_crop": {"size": 8, "padding": 2},
    "random_rotation": {"degrees": 30.0},
    "random_resized_crop": {"size": 8},
    "random_affine": {"degrees": 20.0, "translate": [0.3, 0.3]},
    "color_jitter": {"brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.2},
    "gaussian_blur": {"kernel_size": 3, "sigma": [0.1, 2.0]},
    "random_solarize": {"threshold": 0.5},
    "random_posterize": {"bits": 2},
    "random_adjust_sharpness": {"sharpness_factor": 2.0},
    "auto_augment": {"policy": "cifar10"},
    "rand_augment": {"num_ops": 2, "magnitude": 9},
    "trivial_augment_wide": {},
    "aug_mix": {"severity": 3},
    "resize": {"size": 8},
    "center_crop": {"size": 8},
}
# They do the same to every image.
FIXED = ("resize", "center_crop")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.5)


def built(*steps: dict[str, dict[str, Any]]) -> Augmentation:
    augment = augmentations.build(steps, mean=MEAN, std=STD)
    assert augment is not None
    return augment


def normalised(pixels: Tensor) -> Tensor:
    mean, std = torch.tensor(MEAN).reshape(3, 1, 1), torch.tensor(STD).reshape(3, 1, 1)
    return (pixels - mean) / std


def images(count: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return normalised(torch.rand(count, 3, 8, 8, generator=generator))


EVERY = [{name: NEEDED.get(name, {"p": 0.5})} for name in AUGMENTATIONS]


def test_a_sample_is_transformed_the_same_whatever_batch_it_is_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs, index = images(), torch.tensor([40, 7, 900, 3, 12, 1])
    different = []
    for steps in [*([step] for step in EVERY), EVERY]:
        augment = built(*steps)
        whole = augment(inputs, seed=1, epoch=2, index=index)
        assert (whole.shape, whole.dtype) == (inputs.shape, torch.float32), steps
        for part in (torch.tensor([4, 0, 5]), torch.tensor([3])):
            alone = augment(inputs[part], seed=1, epoch=2, index=index[part])
            if not torch.equal(whole[part], alone):
                different.append(steps)
        with monkeypatch.context() as patch:
            patch.setattr(augmentations, "_IN_CACHE", inputs[:2].numel())
            if not torch.equal(whole, augment(inputs, seed=1, epoch=2, index=index)):
                different.append(steps)
    assert different == []


# Options that draw more, or otherwise than the defaults.
OTHERS: list[dict[str, dict[str, Any]]] = [
    {"random_crop": {"size": [6, 8], "padding": [1, 2], "padding_mode": "reflect", "fill": 0.3}},
    {"random_resized_crop": {"size": [9, 7], "scale": [0.7, 1.3], "ratio": [0.2, 5.0]}},
    {"random_resized_crop": {"size": 8, "scale": [0.9, 1.0], "ratio": [3.0, 4.0]}},
    {"random_resized_crop": {"size": 8, "interpolation": "bicubic", "antialias": False}},
    {"random_rotation": {"degrees": [10.0, 80.0], "interpolation": "bilinear", "fill": 0.3}},
    {"random_affine": {"degrees": 0.0, "scale": [0.5, 2.0], "shear": 20.0}},
    {"random_affine": {"degrees": 9.0, "shear": [-9.0, 9.0, 0.0, 20.0]}},
    {"random_erasing": {"p": 0.9, "scale": [0.0, 1.0], "ratio": [0.2, 5.0], "value": 0.7}},
    {"color_jitter": {"saturation": 0.9}},
    {"color_jitter": {"contrast": [0.2, 0.3], "hue": [-0.5, 0.5]}},
    {"random_crop": {"size": 8, "padding": 2}, "random_erasing": {}, "rand_augment": {}},
]
BY_BATCH = [step for step in EVERY if BATCHED.keys() >= step.keys()]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "steps", [*BY_BATCH, *OTHERS, dict(kv for s in BY_BATCH for kv in s.items())]
)
def test_a_batch_gets_the_draws_and_pixels_of_torchvisions_transforms_of_single_images(
    steps: dict[str, dict[str, Any]], channels: int
) -> None:
    inputs = torch.rand(64, channels, 8, 8, generator=torch.Generator().manual_seed(5))
    inputs[0] = 0.5
    found, expected = by_batch_and_by_image(steps, inputs)
    # By another arithmetic.
    close = 1e-5 if steps.keys() & {"random_rotation", "random_affine", "color_jitter"} else 0.0
    torch.testing.assert_close(found, expected, rtol=0.0, atol=close)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("name", ["random_rotation", "random_affine"])
def test_of_large_images_a_few_pixels_at_most_are_not_those_of_torchvision(
    name: str, interpolation: str
) -> None:
    inputs = torch.rand(16, 1, 224, 224, generator=torch.Generator().manual_seed(5))
    steps = {name: {**NEEDED[name], "interpolation": interpolation}}
    found, expected = by_batch_and_by_image(steps, inputs)
    different = (found - expected).abs() > 1e-3
    # Where a point of the grid is as close to one pixel as to the next, rounding decides.
    share = 1e-4 if interpolation == "nearest" else 0.0
    assert different.flatten(1).float().mean(1).max() <= share


def by_batch_and_by_image(
    steps: dict[str, dict[str, Any]], inputs: Tensor
) -> tuple[Tensor, Tensor]:
    """Images as they are augmented, and by torchvision's transforms of each."""
    augment = augmentations.build([steps])
    assert augment is not None
    found = augment(inputs, seed=1, epoch=2, index=torch.arange(len(inputs)))
    transforms = [augmentations._transform(name, options) for name, options in steps.items()]
    expected = []
    with torch.random.fork_rng():
        for number, image in enumerate(inputs):
            torch.manual_seed(derive(1, "augmentation", 2, number))
            for transform in transforms:
                image = transform(image)
            expected.append(image)
    return found, torch.stack(expected)


@pytest.mark.parametrize("step", BY_BATCH)
def test_a_batch_is_transformed_on_its_device(step: dict[str, dict[str, Any]]) -> None:
    # A device without numbers refuses tensors of the CPU as an accelerator does.
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(2, device="meta") + torch.zeros(2)
    inputs = images().to("meta")
    found = built(step)(inputs, seed=1, epoch=1, index=torch.arange(6))
    assert (found.device, found.shape) == (inputs.device, inputs.shape)


def test_a_batch_stays_whole_up_to_the_first_transform_of_single_images() -> None:
    assert built({"random_crop": {"size": 8}}, {"random_erasing": {}}).batched
    assert not built({"random_crop": {"size": 8}}, {"gaussian_blur": {"kernel_size": 3}}).batched


def test_samples_of_one_batch_are_transformed_differently() -> None:
    same, index = images(1).expand(32, -1, -1, -1), torch.arange(32)
    alike: list[str] = []
    for step in EVERY:
        got = built(step)(same, seed=1, epoch=1, index=index)
        if len({tuple(sample.flatten().tolist()) for sample in got}) == 1:
            alike.extend(step)
    assert alike == list(FIXED)


def test_seed_epoch_and_number_each_change_the_transform() -> None:
    augment, inputs = built({"random_rotation": {"degrees": 90.0}}), images(1)
    got = [
        augment(inputs, seed=seed, epoch=epoch, index=torch.tensor([number]))
        for seed, epoch, number in ((1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2))
    ]
    assert all(not torch.equal(got[0], other) for other in got[1:])


def test_the_global_generator_is_left_alone() -> None:
    augment, inputs = built(*EVERY), images()
    before = torch.get_rng_state()
    augment(inputs, seed=1, epoch=1, index=torch.arange(6))
    assert torch.equal(torch.get_rng_state(), before)
    failing = built(EVERY[0], {"random_crop": {"size": 20}})
    with pytest.raises(ValueError, match="larger than"):
        failing(inputs, seed=1, epoch=1, index=torch.arange(6))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_generator_has_no_say() -> None:
    augment, inputs, index = built(*EVERY), images(), torch.arange(6)
    torch.manual_seed(1)
    first = augment(inputs, seed=1, epoch=1, index=index)
    torch.manual_seed(2)
    assert torch.equal(first, augment(inputs, seed=1, epoch=1, index=index))


def test_the_inputs_are_left_as_they_were() -> None:
    inputs = images()
    before = inputs.clone()
    built(*EVERY)(inputs, seed=1, epoch=1, index=torch.arange(6))
    assert torch.equal(inputs, before)


def test_a_jitter_sees_pixels_and_not_normalised_values() -> None:
    pixels = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    darker = built({"color_jitter": {"brightness": [0.5, 0.5]}})
    got = darker(normalised(pixels), seed=1, epoch=1, index=torch.arange(6))
    torch.testing.assert_close(got, normalised(pixels * 0.5))


def test_a_fill_of_zero_is_black() -> None:
    white = normalised(torch.ones(1, 3, 8, 8))
    crop = built({"random_crop": {"size": 8, "padding": 8}})
    got = torch.cat([crop(white, seed=1, epoch=e, index=torch.tensor([0])) for e in range(8)])
    black = normalised(torch.zeros(1, 3, 1, 1))
    painted = (got != white[:1]).any(dim=1)
    assert painted.any()
    for channel in range(3):
        found = got[:, channel][painted]
        torch.testing.assert_close(found, black[0, channel].squeeze().expand_as(found))


def test_no_transforms_are_no_augmentation() -> None:
    assert augmentations.build(()) is None


def test_every_option_in_the_catalogue_is_one_of_torchvisions() -> None:
    unknown = {
        name: set(options) - set(signature(getattr(v2, name.title().replace("_", ""))).parameters)
        for name, options in AUGMENTATIONS.items()
    }
    assert not any(unknown.values()), unknown


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"flip": {}}, "no augmentation flip; did you mean random_horizontal_flip"),
        ({"random_crop": {"sizes": 8}}, "no option sizes; its options are size, padding"),
        ({"random_crop": {}}, "random_crop cannot be built: .*size"),
        ({"random_horizontal_flip": {"p": 2.0}}, "flip cannot be built: .*interval"),
        ({"auto_augment": {"policy": "mnist"}}, "auto_augment cannot be built: 'mnist'"),
    ],
)
def test_a_wrong_step_is_refused_when_it_is_built(
    step: dict[str, dict[str, Any]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        augmentations.build([step])


def test_vectors_cannot_be_augmented() -> None:
    with pytest.raises(ValueError, match=r"transforms images, .* shape \(13,\)"):
        built(EVERY[0])(torch.zeros(2, 13), seed=1, epoch=1, index=torch.arange(2))


@pytest.mark.parametrize("channels", [1, 3])
def test_every_transform_keeps_pixels_within_black_and_white(channels: int) -> None:
    pixels = torch.rand(16, channels, 8, 8, generator=torch.Generator().manual_seed(5))
    for name in AUGMENTATIONS:
        augment = augmentations.build([{name: NEEDED.get(name, {"p": 1.0})}])
        assert augment is not None
        got = augment(pixels, seed=1, epoch=1, index=torch.arange(16))
        assert (got.shape, got.dtype) == (pixels.shape, torch.float32), name
        assert -1e-6 <= float(got.min()) <= float(got.max()) <= 1.0 + 1e-6, name


def test_a_transform_may_change_the_size_of_all_images_alike() -> None:
    crop = built({"random_crop": {"size": 6}})
    assert crop(images(), seed=1, epoch=1, index=torch.arange(6)).shape == (6, 3, 6, 6)


# ------------------------------------------------------------------------------- a user's own

CODE = """
import random

import numpy as np
import torch


class Noise:
    def __init__(self, strength=0.1):
        self.strength = strength

    def __call__(self, image):
        drawn = torch.rand(()) + random.random() + float(np.random.rand())
        return image + self.strength * drawn


def named(name):
    return name


def broken(image=None):
    return lambda image: image.numpy()


def raising():
    return lambda image: image[7]


def ragged():
    return lambda image: image[:, : 4 + int(torch.randint(4, ()))]


def grey():
    return lambda image: image[:1]
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    file = tmp_path / "own.py"
    file.write_text(CODE)
    return f"{file}:"


def test_a_users_transform_is_drawn_for_each_sample_from_every_generator(own: str) -> None:
    augment, inputs = built({f"{own}Noise": {"strength": 0.5}}), images()
    index = torch.tensor([40, 7, 900, 3, 12, 1])
    whole = augment(inputs, seed=1, epoch=2, index=index)
    random.seed(9)
    np.random.seed(9)
    states = random.getstate(), np.random.get_state(legacy=False)["state"]["key"].tolist()
    alone = augment(inputs[2:3], seed=1, epoch=2, index=index[2:3])
    assert torch.equal(whole[2:3], alone)
    kept = np.random.get_state(legacy=False)["state"]["key"].tolist()
    assert (random.getstate(), kept) == states
    shifts = (whole - inputs).flatten(start_dim=1).mean(dim=1)
    assert len({round(float(shift), 4) for shift in shifts}) == 6


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Noise", {"strong": 1}, "Noise raised TypeError: .*strong"),
        ("named", {"name": "x"}, "named returned str; .* must return a function of one image"),
        ("Nois", {}, "no Nois; did you mean Noise"),
    ],
)
def test_a_users_code_that_makes_no_transform_is_refused_when_it_is_built(
    own: str, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        augmentations.build([{f"{own}{name}": options}])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "broken returned a ndarray; it must return an image float32"),
        ("raising", "raising raised IndexError: index 7"),
        ("ragged", r"images \(3, 8, 8\) into images .*must all have one size and 3 channels"),
        ("grey", r"images \(3, 8, 8\) into images \(1, 8, 8\); .* 3 channels"),
    ],
)
def test_a_users_transform_that_returns_no_such_image_is_named(
    own: str, name: str, message: str
) -> None:
    augment = built({f"{own}{name}": {}})
    with pytest.raises(ValueError, match=message):
        augment(images(), seed=1, epoch=1, index=torch.arange(6))
