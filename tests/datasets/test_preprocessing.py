"""From stored samples to what a model takes: sizes, channels, normalisation, memory."""

from __future__ import annotations

import hashlib
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from workbench import datasets
from workbench.datasets import Data, Part, Samples, loading, preprocessing
from workbench.datasets.images.pixels import Pixels
from workbench.datasets.memmap import MappedArray
from workbench.datasets.samples import Inputs, Tensors
from workbench.datasets.splits import splits

torch.set_num_threads(1)


def images(count: int = 20, channels: int = 3, height: int = 8, width: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def samples(inputs: Tensor, **fields: Any) -> Samples:
    targets = torch.arange(len(inputs)) % 2
    kind = "image" if inputs.ndim == 4 else "vector"
    return Samples(kind=kind, inputs=inputs, targets=targets, classes=("a", "b"), **fields)


def taken(found: Samples, **options: Any) -> Data:
    pool = splits.pool(found, {**splits.DEFAULTS, **options}, digest="0")
    return preprocessing.prepare(pool, splits.draw(pool, study_seed=0, seed=0))


def values(inputs: Inputs) -> Tensor:
    every = inputs[torch.arange(len(inputs))]
    assert isinstance(every, Tensor)
    return every


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is small enough to be made ready at once."""
    monkeypatch.setattr(preprocessing, "SMALL", 0)


def sum_of(part: Part) -> str:
    content = values(part.inputs).numpy().tobytes() + part.index.numpy().tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def test_the_digits_are_what_they_were_to_the_last_bit() -> None:
    data = datasets.load({"name": "digits"}, study_seed=0, seed=1)
    raw = loading._read("digits", "", "{}", "class").inputs
    assert isinstance(raw, Tensor)
    for part in (data.train, data.validation):
        expected = (raw[part.index] - torch.tensor(0.5)) / torch.tensor(0.5)
        assert torch.equal(values(part.inputs), expected)
    assert isinstance(data.train.inputs, Tensors)
    assert data.digest.startswith("85a68366ccc36326")


def test_small_sets_lie_ready_in_memory_and_large_ones_as_they_are_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = samples(images())
    small = taken(found, image_size=6)
    assert isinstance(small.train.inputs, Tensors)
    monkeypatch.setattr(preprocessing, "SMALL", 100)
    big = taken(found, image_size=6)
    assert isinstance(big.train.inputs, Pixels)
    assert isinstance(found.inputs, Tensor)
    found.inputs.fill_(7)
    assert big.train.inputs.stored[torch.tensor([0])].eq(7).all(), "no copy"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"image_size": 5},
        {"image_size": 16},
        {"channels": 1},
        {"mean": [0.1, 0.2, 0.3], "std": 0.5},
        {"image_size": 6, "store_size": 8},
    ],
)
def test_both_ways_give_the_same_numbers_to_the_last_bit(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = samples(images(height=8, width=11 if "store_size" not in options else 8))
    at_once = taken(found, **options)
    monkeypatch.setattr(preprocessing, "SMALL", 0)
    later = taken(found, **options)
    for one, other in ((at_once.train, later.train), (at_once.validation, later.validation)):
        assert torch.equal(values(one.inputs), values(other.inputs))
        positions = torch.tensor([3, 1, 1])
        assert torch.equal(one.inputs[positions], other.inputs[positions])  # type: ignore[arg-type]
    assert later.input_shape == at_once.input_shape


def test_bytes_become_numbers_between_0_and_1_before_they_are_normalised(large: None) -> None:
    found = samples(images())
    data = taken(found, mean=0.25, std=[0.5, 1.0, 2.0])
    assert isinstance(found.inputs, Tensor)
    raw = found.inputs[data.train.index].float() / 255
    expected = (raw - 0.25) / torch.tensor([0.5, 1.0, 2.0]).reshape(3, 1, 1)
    torch.testing.assert_close(values(data.train.inputs), expected)
    assert data.mean == (0.25,) and data.std == (0.5, 1.0, 2.0)


@pytest.mark.parametrize(
    ("channels", "options", "mean"),
    [
        (3, {}, (0.485, 0.456, 0.406)),
        (1, {}, (0.5,)),
        (1, {"channels": 3}, (0.485, 0.456, 0.406)),
        (3, {"channels": 1}, (0.5,)),
        (4, {}, (0.5,)),
    ],
)
def test_images_are_normalised_as_pretrained_models_expect_them_unless_told_otherwise(
    channels: int, options: dict[str, Any], mean: tuple[float, ...]
) -> None:
    data = taken(samples(images(channels=channels)), **options)
    assert data.mean == pytest.approx(mean)
    assert data.input_shape[0] == options.get("channels", channels)


def test_a_data_sets_own_mean_counts_where_it_fits() -> None:
    found = samples(images(), mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0))
    assert taken(found).mean == pytest.approx((0.1, 0.2, 0.3))
    assert taken(found, channels=1).mean == (0.5,)
    assert taken(found, mean=0.0, std=1.0).mean == (0.0,)


def test_colours_become_grey_by_their_brightness(large: None) -> None:
    inputs = torch.zeros(10, 3, 2, 2, dtype=torch.uint8)
    inputs[:, 1] = 255
    data = taken(samples(inputs), channels=1, mean=0.0, std=1.0)
    assert values(data.train.inputs).flatten().tolist() == pytest.approx([0.587] * 24)


def test_the_middle_of_oblong_images_is_resized() -> None:
    inputs = torch.zeros(10, 3, 8, 16, dtype=torch.uint8)
    inputs[..., 4:12] = 255
    data = taken(samples(inputs), image_size=4, mean=0.0, std=1.0)
    assert data.input_shape == (3, 4, 4)
    assert (values(data.train.inputs) == 1).all()
    assert taken(samples(inputs)).input_shape == (3, 8, 16)


def test_a_margin_is_kept_for_training_and_cut_off_for_validation() -> None:
    found = samples(images(height=10, width=10))
    data = taken(found, image_size=6, store_size=10, mean=0.0, std=1.0)
    assert data.input_shape == (3, 6, 6)
    train, validation = values(data.train.inputs), values(data.validation.inputs)
    assert train.shape[2:] == (10, 10) and validation.shape[2:] == (6, 6)
    assert isinstance(found.inputs, Tensor)
    inner = found.inputs[data.validation.index][:, :, 2:8, 2:8].float() / 255
    assert torch.equal(validation, inner)
    assert torch.equal(data.crop(train), train[:, :, 2:8, 2:8])
    assert data.crop(validation) is validation


def test_an_augmentation_that_leaves_too_little_is_refused() -> None:
    data = taken(samples(images()))
    with pytest.raises(ValueError, match="makes images of 6 x 8 pixels, but the model takes 8 x 8"):
        data.crop(torch.zeros(2, 3, 6, 8))


def test_vectors_are_not_cropped() -> None:
    data = taken(samples(torch.rand(20, 5)))
    batch = torch.rand(3, 5)
    assert data.crop(batch) is batch


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": 0.5}, "mean is set without dataset.std; set both or neither"),
        ({"std": 0.5}, "std is set without dataset.mean"),
        ({"mean": [0.5, 0.5], "std": 1.0}, "mean has 2 numbers; it needs one, or one for each of"),
        ({"mean": 0.5, "std": [1.0, 0.0, 1.0]}, "it must be above 0"),
        ({"mean": float("nan"), "std": 1.0}, "mean is nan; it must be finite"),
    ],
)
def test_options_out_of_bounds_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        taken(samples(images()), **options)
    with pytest.raises(ValueError, match=message):
        preprocessing.check(samples(images()), options)


def test_channels_of_neither_grey_nor_colour_stay() -> None:
    with pytest.raises(
        ValueError, match="channels is 3, but images of 4 channels cannot be converted"
    ):
        taken(samples(images(channels=4)), channels=3)


@pytest.mark.parametrize("option", ["image_size", "channels", "mean", "std"])
def test_options_of_images_are_refused_for_vectors(option: str) -> None:
    with pytest.raises(ValueError, match=f"dataset.{option} is for images; the samples are"):
        taken(samples(torch.rand(20, 5)), **{option: 1})


def test_pixels_on_disk_travel_to_another_process_as_the_name_of_their_file(
    tmp_path: Path, large: None
) -> None:
    inputs = images()
    file = tmp_path / "images"
    file.write_bytes(b"head" * 16 + inputs.numpy().tobytes())
    mapped = MappedArray(path=file, shape=tuple(inputs.shape), sha256="", offset=64)
    assert torch.equal(mapped.open(), inputs)
    data = taken(samples(mapped.open(), mapped=mapped))
    sent = pickle.dumps(data.train.inputs)
    assert b"images" in sent and len(sent) < inputs.nbytes
    assert torch.equal(values(pickle.loads(sent)), values(data.train.inputs))


def test_pixels_in_memory_travel_as_they_are(large: None) -> None:
    data = taken(samples(images()))
    again = pickle.loads(pickle.dumps(data.train.inputs))
    assert torch.equal(values(again), values(data.train.inputs))


def test_only_what_is_small_moves_to_a_device(large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    part = taken(samples(images())).train
    elsewhere = torch.device("meta")
    moved = part.inputs.to(elsewhere)
    assert isinstance(moved, Pixels) and moved.stored.device == elsewhere
    assert len(moved.stored) == len(part.index)
    assert len(moved.stored._source) == len(part.index), "only the part's own images"
    assert part.inputs.to(torch.device("cpu")) is part.inputs
    monkeypatch.setattr("workbench.datasets.images.pixels.ON_DEVICE", 10)
    stays = part.inputs.to(elsewhere)
    assert isinstance(stays, Pixels) and isinstance(part.inputs, Pixels)
    assert stays.stored is part.inputs.stored
    batch = stays[torch.arange(2)]
    assert isinstance(batch, Tensor) and batch.device == elsewhere, "but is normalised there"


def test_new_images_are_made_ready_as_those_of_validation() -> None:
    found = samples(images(height=10, width=10))
    options = {"image_size": 6, "store_size": 10, "channels": 1}
    data = taken(found, **options)
    assert isinstance(found.inputs, Tensor)
    again = preprocessing.images_like(
        found.inputs[data.validation.index], mean=data.mean, std=data.std, options=options
    )
    assert torch.equal(values(again), values(data.validation.inputs))


def test_a_batch_shares_no_memory_with_what_is_stored(large: None) -> None:
    found = samples(torch.rand(20, 3, 4, 4), mean=(0.0,), std=(1.0,))
    data = taken(found)
    assert isinstance(found.inputs, Tensor)
    before = found.inputs.clone()
    batch = values(data.train.inputs)
    batch.zero_()
    assert torch.equal(found.inputs, before)


def test_memory_maps_are_not_read_to_be_split(tmp_path: Path, large: None) -> None:
    # A file with holes that would not fit in memory: only what is touched is read.
    file, shape = tmp_path / "images", (20_000, 3, 1024, 1024)
    with file.open("wb") as out:
        out.truncate(math.prod(shape))
    mapped = MappedArray(path=file, shape=shape, sha256="")
    data = taken(samples(mapped.open(), mapped=mapped), image_size=8, channels=1)
    batch = data.train.inputs[torch.tensor([0])]
    assert isinstance(batch, Tensor) and batch.shape == (1, 1, 8, 8)


def reached(value: object, seen: set[int] | None = None) -> list[object]:
    """Everything that public attributes and containers lead to, methods left alone."""
    seen = set() if seen is None else seen
    plain = value is None or isinstance(value, bool | int | float | torch.device | torch.dtype)
    if plain or id(value) in seen or callable(value):
        return []
    seen.add(id(value))
    inner: list[object] = []
    if isinstance(value, dict):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, tuple | list):
        inner = list(value)
    elif not isinstance(value, str | Tensor):
        names = [name for name in dir(value) if not name.startswith("_")]
        inner = [getattr(value, name) for name in names]
    return [value, *(found for each in inner for found in reached(each, seen))]


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("kind", ["image", "vector", "text"])
def test_no_test_sample_and_no_name_of_one_is_in_reach_of_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, small: bool
) -> None:
    monkeypatch.setattr(preprocessing, "SMALL", 2**28 if small else 0)
    names = tuple(f"sample-{number}" for number in range(20))
    fields: dict[str, Any] = {"names": names}
    if kind != "text":
        fields |= {"mean": (0.0,), "std": (1.0,)}
    # Every sample is recognised by its own number.
    inputs: Any = torch.arange(20.0).reshape(20, 1).expand(20, 3).contiguous()
    if kind == "image":
        pixels = torch.arange(20, dtype=torch.uint8).reshape(20, 1, 1, 1).expand(20, 1, 2, 2)
        (tmp_path / "images").write_bytes(pixels.contiguous().numpy().tobytes())
        mapped = MappedArray(path=tmp_path / "images", shape=(20, 1, 2, 2), sha256="")
        inputs, fields["mapped"] = mapped.open(), mapped
    if kind == "text":
        inputs = tuple(f"text-{number}" for number in range(20))
    targets = torch.arange(20) % 2
    found = Samples(kind=kind, inputs=inputs, targets=targets, classes=("a", "b"), **fields)
    data = taken(found)
    seen = {*data.train.index.tolist(), *data.validation.index.tolist()}
    hidden = set(range(20)) - seen
    assert len(hidden) == 4
    everything = reached(data)
    if kind == "image":
        assert isinstance(data.train.inputs, Tensors if small else Pixels)
    words = {value for value in everything if isinstance(value, str)}
    assert not words & {f"{stem}-{number}" for stem in ("sample", "text") for number in hidden}
    assert {f"sample-{number}" for number in seen} <= words, "the others keep their names"
    assert not any(isinstance(value, Samples | MappedArray | Path) for value in everything)
    scale = 255.0 if kind == "image" else 1.0
    for tensor in (value for value in everything if isinstance(value, Tensor)):
        assert tensor.shape[0] < 20, "no tensor of all samples"
        assert tensor.untyped_storage().nbytes() == tensor.nbytes, "nor a view of one"
    for part in (data.train, data.validation):
        if kind != "text":
            values_seen = (values(part.inputs).flatten(1)[:, 0] * scale).round().int()
            assert values_seen.tolist() == part.index.tolist()
        for beyond in (len(part.index), -len(part.index) - 1):
            with pytest.raises((IndexError, TypeError)):
                part.inputs[torch.tensor([beyond])]


def test_stored_images_refuse_positions_outside_their_part(large: None) -> None:
    part = taken(samples(images())).validation
    assert isinstance(part.inputs, Pixels)
    stored = part.inputs.stored
    count = len(part.index)
    assert len(stored) == count == len(stored[torch.arange(count)]) and stored.shape == (3, 8, 8)
    for outside in (count, 19, -count - 1):
        with pytest.raises(IndexError):
            stored[torch.tensor([outside])]
