"""Duplicates: exact copies across parts are found, and only those."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from workbench.datasets.samples import Samples
from workbench.datasets.splits import duplicates, splits
from workbench.datasets.splits.splits import Pool, Split

SPLIT = Split(train=torch.arange(0, 6), validation=torch.arange(6, 9), test=torch.arange(9, 12))


def pool(inputs: Any, kind: str = "vector", **changes: Any) -> Pool:
    samples = Samples(
        kind=kind,
        inputs=inputs,
        targets=changes.pop("targets", torch.arange(12) % 2),
        classes=("a", "b"),
        **changes,
    )
    return splits.pool(samples, dict(splits.DEFAULTS), digest="")


def test_samples_that_differ_are_no_duplicates() -> None:
    assert duplicates.across(pool(torch.rand(12, 5)), SPLIT) == []


def images(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (12, *shape), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 32, 32)])
def test_copies_are_counted_for_every_pair_of_parts(shape: tuple[int, ...]) -> None:
    inputs = images(*shape)
    inputs[7] = inputs[2]
    inputs[9] = inputs[2]
    inputs[11] = inputs[4]
    names = tuple(f"{n}.png" for n in range(12))
    assert duplicates.across(pool(inputs, "image", names=names), SPLIT) == [
        {
            "parts": ["train", "validation"],
            "count": 1,
            "conflicting": 1,
            "examples": ["2.png = 7.png"],
        },
        {
            "parts": ["train", "test"],
            "count": 2,
            "conflicting": 2,
            "examples": ["2.png = 9.png", "4.png = 11.png"],
        },
        {
            "parts": ["validation", "test"],
            "count": 1,
            "conflicting": 0,
            "examples": ["7.png = 9.png"],
        },
    ]


def test_images_that_are_alike_in_the_middle_only_are_no_duplicates() -> None:
    inputs = images(3, 32, 32)
    inputs[7] = inputs[2]
    inputs[7, 0, 0, 0] += 1
    assert duplicates.across(pool(inputs, "image"), SPLIT) == []


def test_copies_within_a_part_are_not_counted() -> None:
    inputs = torch.rand(12, 5)
    inputs[1] = inputs[0]
    inputs[8] = inputs[7]
    assert duplicates.across(pool(inputs), SPLIT) == []


def test_texts_are_compared_character_by_character() -> None:
    texts = [f"text {n}" for n in range(12)]
    texts[10] = texts[3]
    texts[11] = "Text 3"
    (row,) = duplicates.across(pool(tuple(texts), "text"), SPLIT)
    assert (row["parts"], row["count"]) == (["train", "test"], 1)
    assert row["examples"] == ["sample 3 = sample 10"]


def test_only_the_first_five_are_examples() -> None:
    (row,) = duplicates.across(
        pool(tuple("same" if n < 6 or n > 8 else str(n) for n in range(12)), "text"),
        Split(train=torch.tensor([0]), validation=torch.arange(6, 9), test=torch.arange(1, 6)),
    )
    assert row["count"] == len(row["examples"]) == 5
    many = Split(train=torch.tensor([0]), validation=torch.tensor([6]), test=torch.arange(1, 12))
    (row,) = duplicates.across(pool(("same",) * 6 + ("other",) + ("same",) * 5, "text"), many)
    assert row["count"] == 10 and len(row["examples"]) == 5


def test_numbers_of_samples_are_those_of_the_whole_data_set() -> None:
    inputs = torch.rand(12, 5)
    inputs[11] = inputs[5]
    samples = Samples(
        kind="vector", inputs=inputs, targets=torch.arange(12) % 3, classes=("a", "b", "c")
    )
    kept = splits.pool(samples, {"classes": ["b", "c"], **splits.DEFAULTS}, digest="")
    split = Split(train=torch.arange(4), validation=torch.arange(4, 6), test=torch.arange(6, 8))
    (row,) = duplicates.across(kept, split)
    assert row["examples"] == ["sample 5 = sample 11"]


def test_a_copy_conflicts_if_any_of_its_twins_has_another_target() -> None:
    inputs = torch.rand(12, 5)
    inputs[[1, 2, 7, 9]] = inputs[0].clone()
    inputs[8] = inputs[3]
    targets = torch.tensor([0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1])
    rows = duplicates.across(pool(inputs, targets=targets), SPLIT)
    assert [(row["parts"][1], row["count"], row["conflicting"]) for row in rows] == [
        ("validation", 2, 1),
        ("test", 1, 0),
        ("test", 1, 1),
    ]
    targets[1] = 1
    rows = duplicates.across(pool(inputs, targets=targets), SPLIT)
    assert [row["conflicting"] for row in rows] == [1, 1, 1]


def test_targets_of_several_columns_are_compared_whole() -> None:
    inputs = torch.rand(12, 5)
    inputs[[7, 8]] = inputs[0].clone()
    targets = torch.zeros(12, 2)
    targets[8, 1] = 1.0
    samples = Samples(kind="vector", inputs=inputs, targets=targets, classes=("a", "b"))
    kept = splits.pool(samples, dict(splits.DEFAULTS), digest="", target="labels")
    (row,) = duplicates.across(kept, SPLIT)
    assert (row["count"], row["conflicting"]) == (2, 1)


def test_the_cost_grows_with_the_number_of_copies_not_with_its_square() -> None:
    # A pair at a time this takes minutes: 12,000 x 4,000 comparisons.
    count = 20_000
    samples = Samples(
        kind="text", inputs=("same",) * count, targets=torch.zeros(count).long(), classes=("a",)
    )
    same = Pool(
        samples=samples,
        options=dict(splits.DEFAULTS),
        digest="",
        index=torch.arange(count),
        targets=samples.targets,
        classes=samples.classes,
        target="class",
    )
    split = Split(
        train=torch.arange(12_000),
        validation=torch.arange(12_000, 16_000),
        test=torch.arange(16_000, count),
    )
    began = time.process_time()
    rows = duplicates.across(same, split)
    assert time.process_time() - began < 5
    assert [(row["count"], row["conflicting"]) for row in rows] == [(4_000, 0)] * 3
