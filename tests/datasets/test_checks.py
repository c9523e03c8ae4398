"""Samples of any reader: what is wrong with them is said before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from workbench.datasets import Samples
from workbench.datasets.checks import checked

GOOD = Samples(
    kind="vector",
    inputs=torch.rand(6, 3),
    targets=torch.tensor([0, 1, 0, 1, 0, 1]),
    classes=("a", "b"),
)


def check(target: str = "class", **changes: Any) -> Samples:
    return checked(replace(GOOD, **changes), target=target, where="here")


def test_good_samples_are_returned_as_they_are() -> None:
    assert checked(GOOD, target="class", where="here") is GOOD
    check(kind="text", inputs=("a", "", "c", "d", "e", "f"))
    check(kind="image", inputs=torch.rand(6, 5, 2, 2))
    check(target="labels", targets=torch.eye(6)[:, :2])
    check(target="numbers", targets=torch.randn(6, 2))
    check(given=torch.tensor([0, 0, 0, 1, 2, 2]), groups=torch.arange(6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": torch.rand(0, 3)}, "there are no samples"),
        ({"inputs": torch.rand(6, 3).double()}, r"vectors are float32 \[N, F\], not float64"),
        ({"inputs": torch.rand(6, 0)}, r"the inputs are empty: float32 \[6, 0\]"),
        ({"inputs": torch.rand(6, 3, 2)}, r"vectors are float32 \[N, F\], not float32 \[6, 3, 2\]"),
        ({"kind": "image"}, r"images are uint8 or float32 \[N, C, H, W\], not float32 \[6, 3\]"),
        ({"kind": "sound"}, "the kind is 'sound'; it must be image, vector or text"),
        ({"kind": "text"}, r"texts are a tuple of str, not float32"),
        ({"kind": "text", "inputs": ("a", 3, "c", "d", "e", "f")}, "sample 1 is 3, which is not"),
        ({"targets": torch.tensor([0, 1])}, "there are 6 inputs, but 2 targets"),
        ({"targets": torch.zeros(6)}, r"classes are int64 \[N\], but the targets are float32"),
        ({"targets": torch.tensor([0, 1, 0, 1, -1, 1])}, "sample 4 has the label -1; valid are 0"),
        ({"targets": torch.zeros(6).long()}, "every sample has the class a; at least two"),
        ({"classes": ("a", "a")}, "two classes are called a"),
        ({"names": ("one",)}, "there are 6 inputs, but 1 names"),
        ({"given": torch.zeros(3).long()}, r"given must be int64 \[6\], not int64 \[3\]"),
        ({"given": torch.full((6,), 2)}, "the training part has no samples"),
        ({"given": torch.tensor([0, 0, 0, 0, 0, 5])}, "sample 5 has the part 5; valid parts are 0"),
        ({"groups": torch.rand(6)}, r"groups must be int64 \[6\], not float32"),
    ],
)
def test_what_is_wrong_is_said_with_the_sample_and_what_is_valid(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"here: {message}"):
        check(**changes)


def test_a_sample_is_named_as_its_source_names_it() -> None:
    inputs = torch.rand(6, 3)
    inputs[4, 1] = float("inf")
    names = tuple(f"rows.csv:{number}" for number in range(2, 8))
    with pytest.raises(
        ValueError, match=r"here: sample 4 \(rows\.csv:6\) has an input that is not"
    ):
        check(inputs=inputs, names=names)


@pytest.mark.parametrize(
    ("target", "value", "message"),
    [
        ("labels", 0.5, "sample 2 has 0.5 for b; it must be 0 or 1"),
        ("numbers", float("nan"), "sample 2 has nan for b; it must be finite"),
    ],
)
def test_a_bad_target_is_named_with_its_column(target: str, value: float, message: str) -> None:
    targets = torch.ones(6, 2)
    targets[2, 1] = value
    with pytest.raises(ValueError, match=message):
        check(target=target, targets=targets)
    with pytest.raises(ValueError, match="the targets have 2 columns, but 1 names: a"):
        check(target=target, targets=torch.ones(6, 2), classes=("a",))


def test_float_images_must_lie_between_0_and_1() -> None:
    images = torch.rand(6, 1, 2, 2)
    images[3] = 200
    with pytest.raises(
        ValueError, match="sample 3 has pixels from 200 to 200, but pixels of float"
    ):
        check(kind="image", inputs=images)


def test_numbers_that_never_vary_are_refused() -> None:
    targets = torch.stack([torch.arange(6.0), torch.full((6,), 7.0)], dim=1)
    with pytest.raises(ValueError, match="every sample has 7 for b; a target must vary"):
        check(target="numbers", targets=targets)
