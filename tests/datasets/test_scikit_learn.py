"""The data sets that come with scikit-learn: what they hold, and that they stay what they were."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch
from torch import Tensor

from workbench import datasets
from workbench.datasets import Data

torch.set_num_threads(1)


def load(name: str, target: str = "class", **options: Any) -> Data:
    return datasets.load({"name": name, **options}, target=target, study_seed=0, seed=1)


def inputs_of(data: Data) -> Tensor:
    values = data.train.inputs[torch.arange(len(data.train.inputs))]
    assert isinstance(values, Tensor)
    return values


@pytest.mark.parametrize(
    ("name", "samples", "shape", "classes"),
    [
        ("digits", 1797, (1, 8, 8), 10),
        ("wine", 178, (13,), 3),
        ("iris", 150, (4,), 3),
        ("breast_cancer", 569, (30,), 2),
    ],
)
def test_the_sets_have_their_known_sizes(
    name: str, samples: int, shape: tuple[int, ...], classes: int
) -> None:
    sizes = datasets.sizes({"name": name}, study_seed=0, seed=1)
    assert sizes["train"] + sizes["validation"] + sizes["test"] == samples
    data = load(name)
    assert data.input_shape == shape and len(data.classes) == classes
    entry = datasets.DATASETS[name]
    assert entry.shape in ((), shape) and entry.outputs in (0, classes)


@pytest.mark.parametrize(
    ("name", "digest", "content"),
    [
        ("digits", "85a68366ccc36326", "0e5a2ae4d647cb2f"),
        ("wine", "4da449916589427f", "68b9c2fe9851bff3"),
    ],
)
def test_digits_and_wine_never_change_by_one_bit(name: str, digest: str, content: str) -> None:
    data = load(name)
    assert data.digest[:16] == digest, "finished studies could not be continued"
    train = data.train
    held = inputs_of(data).numpy().tobytes() + train.targets.numpy().tobytes()
    found = hashlib.sha256(held + train.index.numpy().tobytes()).hexdigest()[:16]
    assert found == content


def test_classes_are_called_by_their_names() -> None:
    assert load("iris").classes == ("setosa", "versicolor", "virginica")
    assert load("breast_cancer").classes == ("malignant", "benign")


def test_diabetes_is_to_be_predicted_in_its_own_unit_from_measurements_in_theirs() -> None:
    data = load("diabetes", target="numbers")
    assert data.classes == ("progression",) and data.input_shape == (10,)
    assert data.train.targets.shape == (len(data.train.index), 1)
    assert data.train.targets.min() > 20 and data.train.targets.max() < 350
    assert data.mean[0] == pytest.approx(48, abs=3), "years, not scaled ones"
    torch.testing.assert_close(inputs_of(data).mean(dim=0), torch.zeros(10), atol=1e-5, rtol=0)


def test_a_set_has_only_the_targets_that_it_has() -> None:
    with pytest.raises(ValueError, match=r"only numbers; did you mean task: regression[?]"):
        load("diabetes")
    with pytest.raises(ValueError, match="wine has no numbers to predict, only class"):
        load("wine", target="numbers")
