"""Knobs by their paths, levels by their labels, and what an entry of a tuned knob may be."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from workbench.study.config.knobs import (
    Categorical,
    Factor,
    Interval,
    Level,
    TunedKnob,
    flatten,
    is_multiple,
    label,
    labels_of,
    levels_of,
    merged,
    named_in_full,
    parts_of,
    path_of,
    phases_below,
    strategy_of,
)

RECIPE: dict[str, Any] = {
    "dataset": {"name": "wine", "classes": [0, 1]},
    "backbone": "mlp",
    "epochs": 3,
    "schedule": "cosine",
    "phases": {"probe": {"epochs": 1, "schedule": "linear"}, "rest": {}},
    "augmentation": [{"random_crop": {"size": 8}}],
    "unfreeze": {"every": 2},
}


def interval(**changes: Any) -> Interval:
    fields = {"when": {}, "low": 0.0, "high": 1.0, "log": False, "step": None, "whole": False}
    return Interval(**{**fields, "default": 0.5, **changes})


def choice(*labels: str, when: dict[str, tuple[str, ...]] | None = None) -> Categorical:
    levels = tuple(Level(label=word, knobs={"optimizer": word}) for word in labels)
    return Categorical(when=when or {}, levels=levels, default=labels[0])


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "none"),
        (True, "true"),
        (1e-4, "0.0001"),
        (0.1 + 0.2, "0.3"),
        (2, "2"),
        ("all", "all"),
        ({"name": "mlp", "hidden": [8]}, "mlp"),
        ({"hidden": [8]}, ""),
    ],
)
def test_a_value_is_called_by_its_label(value: object, word: str) -> None:
    assert label(value) == word


def test_the_single_knobs_of_a_recipe_are_found_by_their_paths() -> None:
    assert flatten((), RECIPE) == {
        "dataset.name": "wine",
        "dataset.classes": [0, 1],
        "backbone.name": "mlp",
        "epochs": 3,
        "schedule.name": "cosine",
        "probe.epochs": 1,
        "probe.schedule.name": "linear",
        "rest": {},
        "augmentation": [{"random_crop": {"size": 8}}],
        "unfreeze.every": 2,
    }
    assert labels_of(RECIPE)["probe.schedule.name"] == "linear"


def test_setting_every_single_knob_of_a_recipe_makes_the_recipe_again() -> None:
    knobs = flatten((), RECIPE)
    again = merged({}, knobs)
    assert flatten((), again) == knobs
    assert list(again["phases"]) == ["probe", "rest"], "phases keep their order"


def test_merging_overrides_by_path_and_leaves_the_recipe_alone() -> None:
    before = deepcopy(RECIPE)
    result = merged(RECIPE, {"backbone.hidden": [4], "probe.epochs": 5, "late.epochs": 2})
    assert result["backbone"] == {"name": "mlp", "hidden": [4]}
    assert result["phases"]["probe"] == {"epochs": 5, "schedule": "linear"}
    assert result["phases"]["late"] == {"epochs": 2}
    result["dataset"]["classes"].append(2)
    assert before == RECIPE


def test_a_merged_value_is_a_copy() -> None:
    knobs = {"backbone.hidden": [4]}
    merged({}, knobs)["backbone"]["hidden"].append(5)
    assert knobs == {"backbone.hidden": [4]}


def test_the_path_of_a_phases_knob_leaves_out_the_word_phases() -> None:
    assert parts_of("probe.epochs", {"probe"}) == ("phases", "probe", "epochs")
    assert parts_of("backbone.width", {"probe"}) == ("backbone", "width")
    assert path_of(("phases", "probe", "epochs")) == "probe.epochs"
    assert path_of(("phases",)) == "phases"


def test_a_bare_name_is_written_in_full() -> None:
    full = named_in_full({"dataset": "wine", "schedule": "cosine", "optimizer": "sgd"})
    assert full == {
        "dataset": {"name": "wine"},
        "schedule": {"name": "cosine"},
        "optimizer": "sgd",
    }


def test_phases_are_found_wherever_a_file_brings_them() -> None:
    content = {
        "recipe": {"phases": {"one": {}}},
        "compare": {
            "method": {"full": {}, "lpft": {"phases": {"probe": {}, "one": {}}}},
            "phases": {"short": {"two": {}}, "long": {"two": {}, "three": {}}},
        },
        "tune": {"m": {"choices": {"a": {"phases": {"four": {}}}}}, "phases": [1, 2]},
    }
    assert phases_below(content) == {
        "one": ("recipe", "phases", "one"),
        "probe": ("compare", "method", "lpft", "phases", "probe"),
        "two": ("compare", "phases"),
        "three": ("compare", "phases"),
        "four": ("tune", "m", "choices", "a", "phases", "four"),
    }


def test_a_strategy_is_named_by_its_labels_and_sets_what_its_levels_set() -> None:
    first = Factor(name="backbone", levels=(Level(label="a/b c", knobs={"backbone.name": "mlp"}),))
    second = Factor(name="freeze_depth", levels=(Level(label="2", knobs={"freeze_depth": 2}),))
    strategy = strategy_of([first, second], [first.levels[0], second.levels[0]])
    assert strategy.name == "a_b_c-2"
    assert strategy.levels == {"backbone": "a/b c", "freeze_depth": "2"}
    assert strategy.knobs == {"backbone.name": "mlp", "freeze_depth": 2}
    assert strategy_of([], []).name == "joint"


def test_a_strategy_whose_labels_are_plain_numbers_is_named_with_its_knobs() -> None:
    depth = Factor(
        name="freeze_depth",
        levels=tuple(Level(label=label, knobs={}) for label in ("0", "1e-3", "all")),
    )
    names = [strategy_of([depth], [level]).name for level in depth.levels]
    assert names == ["freeze_depth-0", "freeze_depth-1e-3", "all"]
    alone = replace(depth, levels=depth.levels[2:])
    assert strategy_of([alone], alone.levels).name == "all", "another level renames nobody"
    words = Factor(name="optimizer", levels=(Level(label="sgd", knobs={}),))
    assert strategy_of([words, depth], [words.levels[0], depth.levels[0]]).name == "sgd-0"


def test_no_strategys_name_leaves_its_folder() -> None:
    for word in ("..", ".", "../x"):
        factor = Factor(name="m", levels=(Level(label=word, knobs={}),))
        assert not strategy_of([factor], factor.levels).name.startswith(".")


def test_the_first_entry_that_applies_counts() -> None:
    entries = (
        interval(when={"optimizer": ("sgd", "adam"), "method": ("full",)}),
        interval(when={"optimizer": ("sgd",)}, high=2.0),
    )
    tuned = TunedKnob(knob="learning_rate", entries=entries)
    assert tuned.applying({"optimizer": "adam", "method": "full"}) is entries[0]
    assert tuned.applying({"optimizer": "sgd", "method": "lpft"}) is entries[1]
    assert tuned.applying({"optimizer": "adam"}) is None


@pytest.mark.parametrize(
    ("entry", "value", "holds"),
    [
        (interval(), 0.5, True),
        (interval(), 1, True),
        (interval(), 1.1, False),
        (interval(), -0.1, False),
        (interval(), True, False),
        (interval(), "0.5", False),
        (interval(), None, False),
        (interval(), float("nan"), False),
        (interval(low=1, high=8, whole=True), 2, True),
        (interval(low=1, high=8, whole=True), 2.0, False),
        (interval(step=0.1), 0.3, True),
        (interval(step=0.1), 0.35, False),
    ],
)
def test_a_range_holds_its_numbers_and_nothing_else(
    entry: Interval, value: object, holds: bool
) -> None:
    assert entry.holds(value) is holds


def test_a_choice_holds_its_labels() -> None:
    assert choice("sgd", "adam").holds("adam")
    assert not choice("sgd", "adam").holds("adamw")


def test_the_levels_of_a_tuned_choice_are_those_of_all_its_entries() -> None:
    tuned = TunedKnob(knob="optimizer", entries=(choice("sgd", when={"m": ("a",)}), choice("adam")))
    assert list(levels_of(tuned)) == ["sgd", "adam"]
    assert levels_of(TunedKnob(knob="epochs", entries=(interval(),))) == {}


def test_rounding_does_not_spoil_a_whole_number_of_steps() -> None:
    assert is_multiple(0.99 - 0.8, 0.01)
    assert not is_multiple(0.995 - 0.8, 0.01)
