"""Reading and splitting: the test part stays the same and out of sight."""

from __future__ import annotations

import importlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from workbench import datasets
from workbench.datasets import DATASETS, Data, Part, Samples

DIGITS: dict[str, Any] = {
    "name": "digits",
    "classes": [5, 6, 7, 8, 9],
    "train_per_class": 20,
    "validation": 300,
    "test": 496,
}
# Those that come with scikit-learn: nothing to download, nothing to write.
BUNDLED = [
    name
    for name, entry in DATASETS.items()
    if entry.read.startswith("workbench.datasets.scikit_learn") and "class" in entry.targets
]


def load(study_seed: int = 0, seed: int = 0, **dataset: Any) -> Data:
    return datasets.load(dataset, study_seed=study_seed, seed=seed)


def numbers(data: Data) -> tuple[set[int], set[int]]:
    return set(data.train.index.tolist()), set(data.validation.index.tolist())


def read(name: str) -> Samples:
    entry = DATASETS[name]
    module, _, function = entry.read.partition(":")
    reader = getattr(importlib.import_module(module), function)
    samples: Samples = reader(target="class", **entry.arguments)
    return samples


def raw(samples: Samples) -> Tensor:
    assert isinstance(samples.inputs, Tensor)
    return samples.inputs


def every(part: Part) -> Tensor:
    inputs = part.inputs[torch.arange(len(part.inputs))]
    assert isinstance(inputs, Tensor)
    return inputs


@pytest.mark.parametrize("name", BUNDLED)
def test_every_data_set_is_read_as_its_catalogue_entry_says(name: str) -> None:
    samples = read(name)
    inputs = raw(samples)
    assert inputs.dtype == torch.float32
    assert inputs.isfinite().all()
    assert samples.targets.dtype == torch.int64
    assert sorted(set(samples.targets.tolist())) == list(range(len(samples.classes)))
    assert len(inputs) == len(samples.targets)
    if DATASETS[name].kind == "image":
        assert inputs.ndim == 4
        assert 0.0 <= inputs.min() < inputs.max() <= 1.0
        assert samples.mean is not None
    else:
        assert inputs.ndim == 2


def test_the_bundled_data_sets_have_their_known_sizes() -> None:
    assert raw(read("digits")).shape == (1797, 1, 8, 8)
    assert raw(read("wine")).shape == (178, 13)


def test_the_digits_study_has_the_sizes_that_it_asks_for() -> None:
    got = datasets.sizes(DIGITS, study_seed=0, seed=1)
    assert got.pop("digest") == load(**DIGITS).digest
    assert len(got.pop("test_digest")) == len(got.pop("content_digest")) == 64
    assert got == {
        "train": 100,
        "validation": 300,
        "test": 496,
        "classes": ["5", "6", "7", "8", "9"],
        "redrawn": {"parts": ["training", "validation"], "of": 400},
        "skipped": [],
        "duplicates": [],
        "per_class": {"5": 20, "6": 20, "7": 20, "8": 20, "9": 20},
    }


def test_the_same_samples_are_known_whatever_their_name_and_division(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\nfrom sklearn.datasets import load_wine\n\n\ndef again():\n"
        "    data = load_wine()\n    return data.data.astype(np.float32), data.target\n"
    )

    def digests(**dataset: Any) -> tuple[str, str]:
        sizes = datasets.sizes(dataset, study_seed=0, seed=1)
        return sizes["digest"], sizes["content_digest"]

    wine = digests(name="wine", validation=40, test=40)
    other_split = digests(name="wine", validation=40, test=60)
    renamed = digests(name=f"{file}:again", validation=40, test=40)
    assert wine[1] == other_split[1] == renamed[1]
    assert len({wine[0], other_split[0], renamed[0]}) == 3, "name and options count here"
    low, high = (
        digests(name="digits", classes=classes, train_per_class=20, validation=200, test=400)
        for classes in ([0, 1, 2, 3, 4], [5, 6, 7, 8, 9])
    )
    assert low[0] != high[0] and low[1] != high[1]


@pytest.mark.parametrize("name", BUNDLED)
def test_no_seed_ever_sees_the_test_part_which_only_the_study_seed_draws(name: str) -> None:
    total = len(read(name).targets)

    def unseen(study_seed: int, seed: int) -> frozenset[int]:
        train, validation = numbers(load(study_seed, seed, name=name))
        assert not train & validation
        return frozenset(range(total)) - train - validation

    tests = {unseen(0, seed) for seed in range(5)}
    assert len(tests) == 1
    assert len(tests.pop()) == datasets.sizes({"name": name}, study_seed=0, seed=0)["test"]
    assert unseen(1, 0) != unseen(0, 0)


def test_a_seed_redraws_training_and_validation() -> None:
    first, second = numbers(load(0, 0, **DIGITS)), numbers(load(0, 1, **DIGITS))
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_all_that_a_trial_sees_is_training_and_validation() -> None:
    names = {field.name for field in fields(Data)}
    assert names == {
        "train",
        "validation",
        "classes",
        "input_shape",
        "digest",
        "mean",
        "std",
        "kind",
        "names",
        "test",
    }
    assert load(**DIGITS).test is None


def test_a_part_keeps_inputs_targets_and_numbers_together() -> None:
    samples, data = read("digits"), load(**DIGITS)
    for part in (data.train, data.validation):
        restored = every(part) * 0.5 + 0.5
        assert torch.equal(restored, raw(samples)[part.index])
        assert torch.equal(part.targets + 5, samples.targets[part.index])


def test_classes_are_relabelled_in_the_order_given() -> None:
    data = load(name="digits", classes=[9, "2"])
    assert data.classes == ("9", "2")
    original = read("digits").targets[data.train.index]
    assert torch.equal(original == 2, data.train.targets == 1)
    assert set(original.tolist()) == {2, 9}


def test_every_part_keeps_the_proportions_of_the_classes() -> None:
    counts = torch.bincount(read("digits").targets).double()
    data = load(name="digits", validation=0.25, test=0.15)
    for part in (data.train, data.validation):
        exact = counts * len(part.targets) / counts.sum()
        # Two roundings to whole samples lie between the proportions and the training part.
        assert (torch.bincount(part.targets) - exact).abs().max() < 2


def test_sizes_are_numbers_of_samples_or_fractions_of_all() -> None:
    got = datasets.sizes({"name": "digits", "validation": 0.1, "test": 97}, study_seed=0, seed=0)
    assert (got["train"], got["validation"], got["test"]) == (1520, 180, 97)


def test_every_class_gets_as_many_training_samples_as_asked_for() -> None:
    assert torch.bincount(load(**DIGITS).train.targets).tolist() == [20] * 5


def test_fewer_training_samples_are_a_part_of_more_and_leave_validation_as_it_is() -> None:
    few, many, all_ = (
        numbers(load(name="digits", **size))
        for size in ({"train_per_class": 5}, {"train_per_class": 20}, {})
    )
    assert few[0] < many[0] < all_[0]
    assert few[1] == many[1] == all_[1]


def test_a_fraction_keeps_that_part_of_the_training_samples() -> None:
    half, whole = load(name="wine", fraction=0.5), load(name="wine")
    assert abs(len(half.train.index) - len(whole.train.index) / 2) < 2
    assert torch.equal(half.validation.index, whole.validation.index)


def test_digits_run_from_minus_one_to_one() -> None:
    inputs = every(load(name="digits").train)
    assert (inputs.min().item(), inputs.max().item()) == (-1.0, 1.0)


def test_vectors_are_standardised_by_their_training_part_alone() -> None:
    data, before = load(name="wine"), raw(read("wine"))
    train = every(data.train)
    torch.testing.assert_close(train.mean(dim=0), torch.zeros(13), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.std(dim=0, correction=0), torch.ones(13))
    mean, std = torch.tensor(data.mean), torch.tensor(data.std)
    torch.testing.assert_close(mean, before[data.train.index].mean(dim=0))
    assert not torch.allclose(mean, before.mean(dim=0))
    expected = (before[data.validation.index] - mean) / std
    torch.testing.assert_close(every(data.validation), expected)


def test_images_are_resized_and_grey_is_repeated() -> None:
    data = load(name="digits", image_size=16, channels=3, classes=[0, 1])
    assert data.input_shape == (3, 16, 16)
    inputs = every(data.train)
    assert inputs.shape[1:] == (3, 16, 16)
    assert torch.equal(inputs[:, 0], inputs[:, 2])
    assert -1.0 <= inputs.min() < inputs.max() <= 1.0


def test_the_digest_covers_the_options_but_not_the_seeds_or_the_spelling() -> None:
    digest = load(0, 0, name="digits").digest
    assert load(1, 2, name="digits").digest == digest
    assert load(0, 0, test=0.2, name="digits", validation=0.2).digest == digest
    assert load(0, 0, name="digits", test=0.3).digest != digest
    assert load(0, 0, name="wine").digest != digest
    assert len(digest) == 64


def test_a_second_trial_gets_the_very_tensors_of_the_first() -> None:
    assert load(0, 3, name="wine") is load(0, 3, name="wine")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "digitz"}, r"no data set digitz; did you mean digits\?"),
        ({"name": "wine", "channels": 3}, "wine has no option channels; its options are classes"),
        ({"classes": [5, 12]}, "has 12, which the data set does not have; its classes are 0, 1, 2"),
        ({"classes": [5]}, "at least two different classes"),
        ({"classes": []}, "is empty; it must name at least two"),
        ({"classes": [5, 6, 5]}, "at least two different classes"),
        ({"validation": 1300, "test": 497}, "1300 validation and 497 test .* have 1797 samples"),
        ({"validation": 0.5, "test": 0.6}, "leave nothing to train on"),
        ({"validation": 0}, "validation is 0, which gives 0 of 1797 samples"),
        ({"validation": 3}, "Class .* has no validation sample left"),
        ({"validation": 1432, "test": 360}, "Class .* has no training sample left"),
        ({"train_per_class": 120}, "is 120, but class [0-9] has only 1[01][0-9] samples left"),
        ({"fraction": 0.5, "train_per_class": 5}, "both train_per_class and fraction"),
        ({"image_size": 10**7}, r"image_size is 10000000: one image .* needs 400000\.0 GB"),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_reason(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        datasets.sizes({"name": "digits", **options}, study_seed=0, seed=0)
    with pytest.raises(ValueError, match=message):
        datasets.load({"name": "digits", **options}, study_seed=0, seed=0)


def test_a_target_of_many_numbers_that_is_taken_for_classes_asks_for_regression(
    tmp_path: Path,
) -> None:
    rows = [f"{number / 7:.3f},{number % 97 / 2}" for number in range(120)]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y", *rows]))
    table = {"name": "table", "path": str(tmp_path / "rows.csv"), "target": "y"}
    with pytest.raises(ValueError, match=r"97 distinct numbers: did you mean task: regression[?]"):
        datasets.sizes(table, study_seed=0, seed=0)


def test_a_file_that_was_rewritten_is_read_again_in_the_same_process(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"

    def write(count: int) -> None:
        rows = [f"{number},{'xz'[number % 2]}" for number in range(count)]
        file.write_text("\n".join(["a,y", *rows]))

    def found() -> int:
        dataset = {"name": "table", "path": str(file), "target": "y"}
        sizes = datasets.sizes(dataset, study_seed=0, seed=0)
        data = datasets.load(dataset, study_seed=0, seed=0)
        assert data is datasets.load(dataset, study_seed=0, seed=0), "unchanged: not read again"
        assert sizes["digest"] == data.digest
        return len(data.train.index) + len(data.validation.index) + int(sizes["test"])

    write(100)
    assert found() == 100
    write(200)
    assert found() == 200
