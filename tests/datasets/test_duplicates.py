"""Duplicates: exact copies across parts are found, and only those."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from workbench import datasets
from workbench.datasets.samples import TEST, TRAIN, VALIDATION, Samples
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


def dropped(inputs: Any, given: torch.Tensor | None = None, **options: Any) -> Split:
    samples = Samples(
        kind="vector",
        inputs=inputs,
        targets=torch.arange(len(inputs)) % 2,
        classes=("a", "b"),
        given=given,
    )
    every = {**splits.DEFAULTS, "duplicates": "drop", **options}
    return splits.draw(splits.pool(samples, every, digest=""), study_seed=1, seed=2)


def test_dropped_copies_stay_in_the_later_part_of_a_given_split() -> None:
    inputs = torch.rand(12, 5)
    inputs[9] = inputs[6] = inputs[0] = inputs[1]
    inputs[8] = inputs[2]
    inputs[11] = inputs[10]
    given = torch.tensor([TRAIN] * 6 + [VALIDATION] * 3 + [TEST] * 3)
    split = dropped(inputs, given)
    assert split.train.tolist() == [3, 4, 5]
    assert split.validation.tolist() == [7, 8]
    assert split.test.tolist() == [9, 10, 11]
    assert split.dropped == {"train": 3, "validation": 1}
    assert splits.redrawn(pool(inputs, given=given), split) == {"parts": [], "of": 3}


def test_a_drawn_split_without_copies_has_the_sizes_that_were_asked_for() -> None:
    half = torch.rand(60, 5)
    for size in (10, 0.2):
        split = dropped(torch.cat([half, half]), test=size, validation=size)
        parts = [split.train, split.validation, split.test]
        keys = [{int(position) % 60 for position in part} for part in parts]
        assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])
        assert len(split.validation) == len(split.test) == (10 if size == 10 else 24)
        assert sum(map(len, parts)) + split.dropped["train"] == 120


def test_samples_that_a_seed_divides_are_the_same_whatever_is_dropped_after_the_division() -> None:
    once = torch.rand(50, 5)
    inputs = torch.cat([once, once, once[:40]])
    samples = Samples(
        kind="vector", inputs=inputs, targets=torch.arange(140) % 2, classes=("a", "b")
    )
    options = {"duplicates": "drop", "test": 20, "validation": 20}
    of = splits.pool(samples, options, digest="")
    drawn = [splits.draw(of, study_seed=1, seed=seed) for seed in range(6)]
    test = drawn[0].test.tolist()
    twins = {tuple(row) for row in inputs[test].tolist()}
    divided = sum(tuple(row) not in twins for row in inputs.tolist())
    expected = {
        "parts": ["training", "validation"],
        "of": divided,
        "train_at_most": divided - 20,
    }
    assert [splits.redrawn(of, split) for split in drawn] == [expected] * 6
    sizes = {len(split.train) for split in drawn}
    assert len(sizes) > 1 and max(sizes) <= divided - 20
    # The size is fixed where the option says so.
    few = splits.pool(samples, {**options, "train_per_class": 2}, digest="")
    split = splits.draw(few, study_seed=1, seed=0)
    assert "train_at_most" not in splits.redrawn(few, split) and len(split.train) == 4


def test_a_class_that_drop_empties_is_refused_with_the_option_to_blame() -> None:
    # All of class b is one sample, 20 times: validation and test have it.
    inputs, targets = torch.rand(60, 5), torch.arange(60) % 3 == 0
    inputs[targets] = inputs[0].clone()
    given = torch.tensor([TRAIN] * 40 + [VALIDATION] * 10 + [TEST] * 10)
    samples = Samples(
        kind="vector", inputs=inputs, targets=targets.long(), classes=("a", "b"), given=given
    )
    of = splits.pool(samples, {**splits.DEFAULTS, "duplicates": "drop"}, digest="")
    with pytest.raises(
        ValueError, match=r"Class b has no training .*duplicates: drop left out 14; rem"
    ):
        splits.draw(of, study_seed=1, seed=2)


def test_a_part_of_copies_alone_cannot_be_dropped() -> None:
    half = torch.rand(6, 5)
    given = torch.tensor([TRAIN] * 6 + [TEST] * 6)
    with pytest.raises(ValueError, match="duplicates is drop, which leaves 0 samples for train"):
        dropped(torch.cat([half, half]), given)


def test_dropping_makes_other_data_and_keeping_does_not() -> None:
    def sizes(**options: Any) -> dict[str, Any]:
        return datasets.sizes({"name": "iris", **options}, study_seed=0, seed=2)

    usual, kept, without = sizes(), sizes(duplicates="keep"), sizes(duplicates="drop")
    assert usual == kept and "dropped" not in usual
    assert without["digest"] != usual["digest"] and without["test_digest"] == usual["test_digest"]
    assert usual["duplicates"] and not without["duplicates"]
    assert without["dropped"]["train"] == usual["train"] - without["train"] > 0
