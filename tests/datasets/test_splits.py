"""Splits: given parts stay whole, groups stay together, and no seed moves the test part."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from workbench.datasets.samples import TEST, TRAIN, VALIDATION, Samples
from workbench.datasets.splits import splits
from workbench.datasets.splits.splits import Pool, Split

KINDS = ("class", "labels", "numbers")


def samples(count: int = 300, target: str = "class", **changes: Any) -> Samples:
    generator = torch.Generator().manual_seed(7)
    inputs = torch.rand(count, 2, generator=generator)
    targets: Tensor
    if target == "class":
        # 50, 30 and 20 of a hundred
        targets = torch.tensor([0] * 5 + [1] * 3 + [2] * 2).repeat(count // 10 + 1)[:count]
        classes: tuple[str, ...] = ("a", "b", "c")
    elif target == "labels":
        frequent = (torch.rand(count, 1, generator=generator) < 0.5).float()
        rare = (torch.arange(count) % 20 == 0).float().unsqueeze(1)
        targets, classes = torch.cat([frequent, rare], dim=1), ("frequent", "rare")
    else:
        targets, classes = torch.rand(count, 1, generator=generator), ("price",)
    given = {"kind": "vector", "inputs": inputs, "targets": targets, "classes": classes}
    return Samples(**{**given, **changes})


def pool(found: Samples, target: str = "class", **options: Any) -> Pool:
    return splits.pool(found, {**splits.DEFAULTS, **options}, digest="", target=target)


def draw(found: Samples, target: str = "class", *, seed: int = 0, **options: Any) -> Split:
    return splits.draw(pool(found, target, **options), study_seed=0, seed=seed)


def parts(split: Split) -> list[set[int]]:
    return [set(part.tolist()) for part in (split.train, split.validation, split.test)]


def given(count: int, **counts: int) -> Tensor:
    """The last samples are given to a part, as many as said."""
    result = torch.full((count,), TRAIN)
    at = count
    for name, number in counts.items():
        result[at - number : at] = {"validation": VALIDATION, "test": TEST}[name]
        at -= number
    return result


@pytest.mark.parametrize("target", KINDS)
def test_parts_are_disjoint_and_the_test_part_is_the_same_for_every_seed(target: str) -> None:
    first, second = (parts(draw(samples(target=target), target, seed=seed)) for seed in (0, 1))
    for train, validation, test in (first, second):
        assert not train & validation and not test & (train | validation)
        assert len(train | validation | test) == 300
        assert len(test) == len(validation) == 60
    assert first[2] == second[2]
    assert first[1] != second[1]


@pytest.mark.parametrize("target", KINDS)
def test_a_given_test_part_is_used_whole_and_the_rest_is_divided(target: str) -> None:
    found = samples(target=target, given=given(300, test=100))
    for seed in range(3):
        train, validation, test = parts(draw(found, target, seed=seed))
        assert test == set(range(200, 300))
        assert len(validation) == 40 and len(train) == 160
        assert train | validation == set(range(200))


def test_two_given_parts_are_the_same_for_every_seed_and_a_fraction_of_training_is_not() -> None:
    found = samples(given=given(300, test=50, validation=50))
    whole = [parts(draw(found, seed=seed)) for seed in (0, 1)]
    assert whole[0] == whole[1] == [set(range(200)), set(range(200, 250)), set(range(250, 300))]
    halves = [parts(draw(found, seed=seed, fraction=0.5))[0] for seed in (0, 1)]
    assert halves[0] != halves[1] and len(halves[0]) == len(halves[1]) == 100


@pytest.mark.parametrize(
    ("found", "options", "redrawn"),
    [
        ({}, {}, {"parts": ["training", "validation"], "of": 240}),
        ({"test": 100}, {}, {"parts": ["training", "validation"], "of": 200}),
        ({"test": 50, "validation": 50}, {}, {"parts": [], "of": 200}),
        ({"test": 50, "validation": 50}, {"fraction": 0.5}, {"parts": ["training"], "of": 200}),
        ({"validation": 100}, {}, {"parts": [], "of": 160}),
    ],
)
def test_what_a_seed_redraws_is_told_from_the_parts_that_are_given(
    found: dict[str, int], options: dict[str, Any], redrawn: dict[str, Any]
) -> None:
    of = pool(samples(given=given(300, **found)), **options)
    first, second = (splits.draw(of, study_seed=0, seed=seed) for seed in (0, 1))
    assert splits.redrawn(of, first) == redrawn
    for part, before, after in zip(
        ("training", "validation"), parts(first), parts(second), strict=False
    ):
        assert (before != after) == (part in redrawn["parts"])


def test_a_given_validation_part_leaves_the_test_part_to_be_drawn_by_the_study() -> None:
    found = samples(given=given(300, validation=100))
    first, second = (parts(draw(found, seed=seed)) for seed in (0, 1))
    assert first == second
    assert first[1] == set(range(200, 300)) and len(first[2]) == 40
    assert first[2] < set(range(200))


@pytest.mark.parametrize("part", ["test", "validation"])
def test_the_size_of_a_given_part_is_refused(part: str) -> None:
    found = samples(given=given(300, **{part: 100}))
    message = f"dataset.{part} is 50, but the data set comes with a {part} part of 100 samples"
    with pytest.raises(ValueError, match=message):
        options: dict[str, Any] = {part: 50}
        draw(found, **options)


def test_rare_labels_lie_in_every_part_and_in_proportion() -> None:
    found = samples(target="labels")
    for seed in range(10):
        split = draw(found, "labels", seed=seed)
        counts = [int(found.targets[part, 1].sum()) for part in (split.validation, split.test)]
        assert counts == [3, 3]
        assert int(found.targets[split.train, 1].sum()) == 9


def test_a_label_that_no_training_sample_has_is_refused() -> None:
    found = samples(target="labels")
    nothing = torch.zeros(300, 1)
    found = samples(
        target="labels",
        targets=torch.cat([found.targets, nothing], dim=1),
        classes=("frequent", "rare", "never"),
    )
    with pytest.raises(ValueError, match="No training sample has the label never; exclude it"):
        draw(found, "labels")
    assert draw(found, "labels", classes=["rare", "frequent"]).train.numel() == 180


def test_classes_of_labels_and_numbers_are_columns() -> None:
    kept = pool(samples(target="labels"), "labels", classes=["rare"])
    assert kept.targets.shape == (300, 1) and kept.classes == ("rare",)
    assert torch.equal(kept.targets[:, 0], samples(target="labels").targets[:, 1])
    assert len(kept.index) == 300
    with pytest.raises(ValueError, match="is empty; it must name some, each once, of price"):
        pool(samples(target="numbers"), "numbers", classes=[])


@pytest.mark.parametrize("target", ["labels", "numbers"])
def test_samples_without_classes_take_a_fraction_and_no_number_per_class(target: str) -> None:
    found = samples(target=target)
    whole, half = draw(found, target), draw(found, target, fraction=0.5)
    assert abs(len(half.train) - 90) <= 1
    assert parts(half)[0] < parts(whole)[0]
    assert torch.equal(half.validation, whole.validation)
    with pytest.raises(ValueError, match=f"has {target} to predict, not classes; use dataset.frac"):
        draw(found, target, train_per_class=5)


def grouped(target: str = "class", sizes: tuple[int, ...] = (1, 2, 3, 5, 9)) -> Samples:
    """Groups of several sizes, in no order."""
    groups = [n for n in range(300) for _ in range(sizes[n % len(sizes)])][:300]
    order = torch.randperm(300, generator=torch.Generator().manual_seed(3))
    return samples(target=target, groups=torch.tensor(groups)[order])


@pytest.mark.parametrize("target", KINDS)
def test_samples_of_a_group_stay_in_one_part_and_sizes_are_close(target: str) -> None:
    found = grouped(target)
    assert found.groups is not None
    tests = []
    for seed in range(5):
        split = draw(found, target, seed=seed)
        train, validation, test = (
            set(found.groups[part].tolist()) for part in (split.train, split.validation, split.test)
        )
        assert not train & validation and not test & (train | validation)
        assert abs(len(split.test) - 60) <= 3 and abs(len(split.validation) - 60) <= 3
        assert sum(map(len, parts(split))) == 300
        tests.append(parts(split)[2])
    assert all(test == tests[0] for test in tests)


def test_groups_keep_the_classes_in_proportion_as_well_as_they_can() -> None:
    found = grouped()
    for seed in range(5):
        split = draw(found, seed=seed)
        for part in (split.validation, split.test):
            counts = torch.bincount(found.targets[part], minlength=3).double() / len(part)
            assert (counts - torch.tensor([0.5, 0.3, 0.2])).abs().max() < 0.06


def test_another_seed_validates_on_other_groups_and_the_largest_is_not_always_the_test() -> None:
    found = grouped()
    assert parts(draw(found, seed=0))[1] != parts(draw(found, seed=1))[1]
    one = samples(groups=torch.cat([torch.zeros(60), torch.arange(1, 241)]).long())
    in_test = [0 in parts(splits.draw(pool(one), study_seed=seed, seed=0))[2] for seed in range(30)]
    assert 0 < sum(in_test) < 30


def test_a_small_class_with_few_groups_is_in_validation_for_every_seed() -> None:
    # As traffic signs: every class has series of 30 images, some have only a few.
    sizes = [7, 70, 70, 7, 50, 7] * 5
    targets = torch.tensor([label for label, size in enumerate(sizes) for _ in range(30 * size)])
    found = Samples(
        kind="vector",
        inputs=torch.zeros(len(targets), 1),
        targets=targets,
        classes=tuple(map(str, range(len(sizes)))),
        groups=torch.arange(len(targets)) // 30,
        given=torch.cat([torch.full((len(targets) - 30,), TRAIN), torch.full((30,), TEST)]),
    )
    for seed in range(6):
        split = draw(found, seed=seed)
        counts = torch.bincount(found.targets[split.validation], minlength=len(sizes))
        assert (counts >= 30).all()
        assert abs(len(split.validation) / (len(targets) - 30) - 0.2) < 0.02


def test_too_few_groups_and_torn_groups_are_refused() -> None:
    two = samples(groups=torch.arange(300) % 2)
    with pytest.raises(ValueError, match=r"2 groups of .* cannot give 60 test samples"):
        draw(two)
    torn = samples(
        groups=torch.arange(300) % 100,
        given=given(300, test=50),
        names=tuple(f"p{n}.png" for n in range(300)),
    )
    with pytest.raises(ValueError, match=r"50 groups .* p50.png \(training\) and p250.png \(test"):
        draw(torn)


def test_the_training_part_is_described_by_its_classes_labels_or_numbers() -> None:
    positions = torch.arange(100)
    assert splits.describe(pool(samples()), positions) == {"per_class": {"a": 50, "b": 30, "c": 20}}
    labels = splits.describe(pool(samples(target="labels"), "labels"), positions)
    assert labels["per_class"]["rare"] == 5
    found = samples(target="numbers")
    numbers = splits.describe(pool(found, "numbers"), positions)["numbers"]["price"]
    assert numbers["mean"] == pytest.approx(float(found.targets[:100].mean()))
    assert numbers["sd"] == pytest.approx(float(found.targets[:100].std(correction=0)))


def test_parts_of_a_data_set_have_no_common_sample_and_the_same_proportions() -> None:
    found = samples(200)
    halves = [pool(found, part=f"{which}/2") for which in (1, 2)]
    first, second = (set(half.index.tolist()) for half in halves)
    assert not first & second and len(first | second) == 200
    counts = [torch.bincount(half.targets).tolist() for half in halves]
    assert counts == [[50, 30, 20], [50, 30, 20]]
    assert sum(len(pool(found, part=f"{which}/3").index) for which in (1, 2, 3)) == 200


def test_every_part_of_a_split_lies_within_the_part_of_the_data_set() -> None:
    half = pool(samples(200), part="2/2")
    split = splits.draw(half, study_seed=5, seed=3)
    numbers = torch.cat([split.train, split.validation, split.test]).sort().values
    assert torch.equal(numbers, torch.arange(100)), "positions in the half"


def test_a_given_test_part_stays_whole_in_every_part() -> None:
    given = torch.tensor([TRAIN] * 80 + [TEST] * 20)
    for which in (1, 2):
        half = pool(samples(100, given=given), part=f"{which}/2")
        assert half.index.tolist()[-20:] == list(range(80, 100))
        assert len(half.index) == 60


@pytest.mark.parametrize("part", ["0/2", "3/2", "half", "1/0", "1/2/3", ""])
def test_a_part_that_is_none_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match=r"dataset\.part is .*; it must be K/N"):
        pool(samples(), part=part)


def test_a_part_that_would_tear_groups_apart_is_refused() -> None:
    with pytest.raises(ValueError, match="would split groups"):
        pool(samples(100, groups=torch.arange(100) // 5), part="1/2")
