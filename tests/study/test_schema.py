"""Every knob has a type, and everything that a catalogue lists can be written in a study file."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable

import optuna
import pytest

from workbench.backbones import BACKBONES
from workbench.datasets import DATASETS
from workbench.datasets.augmentations import AUGMENTATIONS
from workbench.engine.optimizers import OPTIMIZERS, SCHEDULES
from workbench.record.strategy import EarlyStopping, Lora, Phase, Plan, Schedule
from workbench.study.config import recipes, schema
from workbench.study.config.problems import Flaw, read
from workbench.study.config.samplers import PRUNERS, SAMPLERS
from workbench.study.config.schema import Recipe, Search
from workbench.tasks import TASKS


@pytest.mark.parametrize(
    ("block", "names"),
    [
        ("dataset", DATASETS),
        ("backbone", BACKBONES),
        ("task", TASKS),
        ("optimizer", OPTIMIZERS),
        ("schedule", SCHEDULES),
    ],
)
def test_every_entry_of_a_catalogue_may_be_named_alone(
    block: str, names: dict[str, object]
) -> None:
    for name in names:
        assert recipes.recipe_flaws({block: name}) == []
    (flaw,) = recipes.recipe_flaws({block: "nosuchthing"})
    assert flaw.expected.startswith(f"one of {next(iter(names))}")
    own = flaw.expected.endswith(", or your own FILE.py:NAME")
    assert own is (block in ("dataset", "backbone", "task"))


def test_a_message_lists_the_first_names_of_a_large_catalogue_and_the_number_of_others() -> None:
    (flaw,) = recipes.recipe_flaws({"backbone": "nosuchthing"})
    assert len(flaw.expected) < 600, "a catalogue of a hundred names is no message"
    assert re.search(r"mlp, small_cnn, .* and \d+ more", flaw.expected)


@pytest.mark.parametrize("block", ["dataset", "backbone", "task"])
def test_a_users_own_code_may_stand_for_an_entry_and_knows_its_options(block: str) -> None:
    assert recipes.recipe_flaws({block: {"name": "mine.py:make", "anything": [1, "x"]}}) == []
    steps = ["mine.py:noise", {"mine.py:blur": {"sd": 1}}]
    assert recipes.recipe_flaws({"augmentation": steps}) == []


def test_every_option_of_every_optimizer_is_a_knob_of_a_trial_and_of_a_phase() -> None:
    shared: dict[str, tuple[object, str]] = {}
    for entry in OPTIMIZERS.values():
        for name, knob in entry.knobs.items():
            declared = (knob.type, knob.help)
            assert shared.setdefault(name, declared) == declared, f"{name} is one knob of the file"
        assert set(entry.options) <= set(schema.PhaseKnobs.model_fields)
        assert recipes.recipe_flaws({**entry.options, "phases": {"one": entry.options}}) == []


def test_every_transform_may_be_named_alone_or_with_each_of_its_options() -> None:
    assert recipes.recipe_flaws({"augmentation": list(AUGMENTATIONS)}) == []
    for name, options in AUGMENTATIONS.items():
        for option in options:
            (flaw,) = recipes.recipe_flaws({"augmentation": [{name: {option: {}}}]})
            assert flaw.loc == ("augmentation", 0, name, option)


def test_the_blocks_that_a_plan_holds_are_read_as_its_own_types() -> None:
    recipe = Recipe.model_validate(
        {"schedule": "cosine", "lora": {"targets": ["query"]}, "early_stopping": {"patience": 2}}
    )
    assert recipe.schedule == Schedule(name="cosine")
    assert recipe.lora == Lora(targets=("query",))
    assert recipe.early_stopping == EarlyStopping(patience=2)


def test_a_default_of_a_knob_is_what_a_record_without_it_means() -> None:
    for block, plain in ((schema.PhaseKnobs, Phase), (Recipe, Plan)):
        for field in dataclasses.fields(plain):
            if field.name in block.model_fields and field.default is not dataclasses.MISSING:
                assert field.default == block.model_fields[field.name].default, field.name


def test_an_option_is_held_against_the_named_entry_or_against_all_where_none_is_named() -> None:
    (flaw,) = recipes.recipe_flaws({"backbone": {"name": "resnet18", "width": 3}})
    assert flaw.expected.startswith("one of name, weights, keep_head")
    assert flaw.expected.endswith("(backbone resnet18)") and "width" not in flaw.expected
    assert recipes.recipe_flaws({"backbone": {"width": 3}}) == []
    (flaw,) = recipes.recipe_flaws({"backbone": {"zzz": 3}})
    assert flaw.expected.endswith("(backbone)")


@pytest.mark.parametrize(
    ("block", "name", "options"),
    [
        ("backbone", "mlp", {"hidden": [8, 0], "dropout": 1.0}),
        ("backbone", "small_cnn", {"width": 0}),
        ("backbone", "small_text", {"width": 0, "buckets": 1, "max_length": 0}),
        ("backbone", "efficientnet_b0", {"dropout": 1.0, "stochastic_depth": -0.1}),
        ("backbone", "timm:convnext_atto", {"dropout": 1.0, "stochastic_depth": -0.1}),
        ("task", "classification", {"label_smoothing": 1.0, "class_weights": [0.0, 1.0]}),
        ("task", "multilabel", {"threshold": 1.0, "class_weights": "even"}),
        ("task", "regression", {"loss": "l2", "delta": 0.0}),
        ("dataset", "digits", {"validation": 1.5, "test": -1}),
        ("dataset", "digits", {"train_per_class": 0, "fraction": 0.0}),
        ("dataset", "digits", {"image_size": 0, "std": [1.0, 0.0, 1.0]}),
        ("dataset", "image_folder", {"store_size": 0, "image_size": 0}),
        ("dataset", "dtd", {"partition": 11}),
        ("dataset", "mine.py:birds", {"fraction": 1.5, "image_size": 0}),
    ],
)
def test_an_option_out_of_bounds_is_refused(
    block: str, name: str, options: dict[str, object]
) -> None:
    found = recipes.recipe_flaws({block: {"name": name, **options}})
    assert {flaw.loc for flaw in found} == {(block, option) for option in options}


@pytest.mark.parametrize("depth", [0, 3, "all", "block1"])
def test_a_freeze_depth_is_a_number_or_a_name(depth: int | str) -> None:
    assert recipes.recipe_flaws({"freeze_depth": depth}) == []


@pytest.mark.parametrize("depth", [-1, 1.0, True, "", [1]])
def test_anything_else_is_no_freeze_depth(depth: object) -> None:
    expected = "a number of stages (0 or more), the name of a stage, or all"
    assert recipes.recipe_flaws({"freeze_depth": depth}) == [
        Flaw(loc=("freeze_depth",), found=depth, expected=expected)
    ]


@pytest.mark.parametrize(
    ("written", "seconds"), [(90, 90.0), ("90s", 90.0), ("1.5m", 90.0), ("2h", 7200.0)]
)
def test_a_time_limit_is_seconds_or_has_a_unit(written: object, seconds: float) -> None:
    assert Search.model_validate({"timeout": written}).timeout == seconds


@pytest.mark.parametrize("written", [0, "0s", -1, True, "s", "5 m", "1.m", float("inf"), [3]])
def test_anything_else_is_no_time_limit(written: object) -> None:
    (flaw,) = recipes.search_flaws({"timeout": written})
    assert flaw.loc == ("timeout",)


@pytest.mark.parametrize("number", [True, "1e-3", float("nan"), 10**400])
def test_a_bound_of_a_range_is_a_finite_number(number: object) -> None:
    _, found = read(schema.Range, {"low": number, "high": 1})
    assert [flaw.loc for flaw in found] == [("low",)]


def test_a_bound_of_a_range_stays_the_whole_number_that_it_was_written_as() -> None:
    bounds = schema.Range(low=1, high=2.0)
    assert isinstance(bounds.low, int) and isinstance(bounds.high, float)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_optuna_accepts_the_smallest_value_of_every_option_of_a_pruner() -> None:
    made: dict[str, Callable[..., optuna.pruners.BasePruner]] = {
        "median": optuna.pruners.MedianPruner,
        "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
    }
    for name, options in PRUNERS.items():
        for option in options:
            (flaw,) = recipes.search_flaws({"pruner": {"name": name, option: -1}})
            least = int(flaw.expected.rpartition(" ")[2])
            assert recipes.search_flaws({"pruner": {"name": name, option: least}}) == []
            made[name](**{option: least})


def test_the_declared_defaults_of_samplers_and_pruners_are_optunas() -> None:
    made: dict[str, object] = {
        "tpe": optuna.samplers.TPESampler,
        "median": optuna.pruners.MedianPruner,
        "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
    }
    for name, build in made.items():
        parameters = inspect.signature(build).parameters  # type: ignore[arg-type]
        for option, knob in {**SAMPLERS, **PRUNERS}[name].items():
            if knob.default is not None:
                assert parameters[option].default == knob.default, f"{name}.{option}"


def test_a_sampler_without_options_says_so() -> None:
    (flaw,) = recipes.search_flaws({"sampler": {"name": "random", "points": 3}})
    assert flaw.expected == "no option (sampler random has none)"


def test_every_value_of_a_recipe_has_a_default_but_the_data_and_the_model() -> None:
    empty = Recipe()
    assert (empty.dataset, empty.backbone) == (None, None)
    assert (empty.batch_size, empty.threads, empty.device) == (32, 1, "auto")
