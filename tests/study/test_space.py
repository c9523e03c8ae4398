"""Whatever is suggested is in its range, and becomes a plan with nothing left open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import pytest

from workbench.backbones.stages import resolve_depth
from workbench.engine.optimizers import OPTIMIZERS
from workbench.record.strategy import Plan, Schedule, Strategy, Weights
from workbench.study import plans, space
from workbench.study.config import load, load_all
from workbench.study.config.document import StudyFileError
from workbench.study.config.study_config import StudyConfig
from workbench.study.inputs import Inputs
from workbench.study.study import Study

SHIPPED = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))

# Every kind of level, entry and condition, in one balanced and one joint study.
BALANCED = """\
name: balanced
recipe:
  dataset: {name: wine, validation: 40, test: 40}
  backbone: {name: mlp, hidden: [8, 8]}
  epochs: 4
  weight_decay: 0.5
compare:
  optimizer: [sgd, adam]
  method:
    full: {freeze_depth: 0}
    lpft:
      phases:
        probe: {epochs: 1, freeze_depth: all, optimizer: adamw, schedule: linear}
        finetune: {momentum: 0.1}
tune:
  learning_rate:
    - {when: {optimizer: sgd}, low: 1e-3, high: 3e-1, log: true, default: 1e-2}
    - {low: 1e-4, high: 1e-1, log: true, default: 1e-3}
  momentum: {when: {optimizer: sgd}, low: 0, high: 0.9, step: 0.1, default: 0.9}
  probe.learning_rate: {when: {method: lpft}, low: 1e-3, high: 1e-1, default: 2e-3}
  batch_size: {low: 8, high: 64, log: true, default: 32}
  schedule: [constant, cosine]
  dropout: {none: {}, some: {backbone.dropout: 0.5}}
  beta1: {when: {schedule: cosine, optimizer: adam}, low: 0.5, high: 0.9, default: 0.9}
search: {trials_per_strategy: 8}
"""
JOINT = """\
name: joint_study
recipe:
  dataset: {name: wine, validation: 40, test: 40}
  backbone: {name: mlp, hidden: [8, 8]}
  epochs: 4
tune:
  optimizer: {choices: [adamw, adam, sgd], default: adam}
  method: {full: {freeze_depth: 0}, lpft: {phases: {probe: {epochs: 1}, rest: {}}}}
  learning_rate:
    - {when: {optimizer: sgd, method: [full, lpft]}, low: 1e-3, high: 3e-1, default: 1e-2}
    - {low: 1e-4, high: 1e-1, log: true, default: 1e-3}
  probe.freeze_depth: {when: {method: lpft}, choices: [all, 1]}
  momentum: {when: {optimizer: sgd}, low: 0.8, high: 0.99, default: 0.9}
search: {trials: 8}
"""


class Given(Inputs):
    """Stages that are given, and weights that are never opened."""

    def __init__(self) -> None:
        pass

    def depth(self, value: int | str, knobs: Mapping[str, Any]) -> int:
        return resolve_depth(value, ("one", "two"))

    def weights(self, source: str, backbone: Mapping[str, Any]) -> Weights:
        return Weights(source=source, sha256=f"hash of {source}")

    def located(self, block: str, written: Mapping[str, Any]) -> dict[str, Any]:
        return dict(written)

    def code(self, plan: Plan) -> dict[str, str]:
        return {}


def read(folder: Path, text: str, *overrides: str) -> StudyConfig:
    path = folder / "study.yaml"
    path.write_text(text)
    return load(path, overrides)


def group(config: StudyConfig, name: str) -> Strategy:
    return next(group for group in config.groups if group.name == name)


def trials(number: int) -> list[optuna.Trial]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=number))
    return [study.ask() for _ in range(number)]


def plan_of(config: StudyConfig, proposal: space.Proposal, inputs: Inputs) -> Plan:
    return plans.plan_of(Study(config, Path()).knobs(proposal), inputs)


def assert_sound(config: StudyConfig, proposal: space.Proposal, inputs: Inputs) -> None:
    for name, value in proposal.parameters.items():
        entries = [
            entry
            for tuned in config.tune
            for entry in tuned.entries
            if space.parameter_name(config, tuned, entry) == name
        ]
        assert any(entry.holds(value) for entry in entries), f"{name}={value}"
    assert proposal.strategy in config.strategies
    plan = plan_of(config, proposal, inputs)
    assert plan.epochs == sum(phase.epochs for phase in plan.phases) > 0
    for phase in plan.phases:
        assert phase.options.keys() == OPTIMIZERS[phase.optimizer].options.keys()
        assert phase.learning_rate > 0 and phase.weight_decay >= 0 and phase.freeze_depth >= 0
        assert isinstance(phase.schedule, Schedule)
        open_ends = {name for name, value in asdict(phase).items() if value is None}
        assert open_ends <= {"head_learning_rate"}, "nothing else is left to a default"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_study_proposes_valid_plans(path: Path, home: Path) -> None:
    config = load_all(path)[0]
    study = Study(config, home, pending=True)
    for strategy in config.groups:
        assert_sound(config, space.start(config, strategy), study.inputs)
        for trial in trials(25):
            proposal = space.suggest(config, strategy, trial)
            assert proposal.parameters == trial.params
            assert_sound(config, proposal, study.inputs)


@pytest.mark.parametrize("text", [BALANCED, JOINT], ids=["balanced", "joint"])
def test_every_kind_of_entry_proposes_valid_plans(tmp_path: Path, text: str) -> None:
    config = read(tmp_path, text)
    for strategy in config.groups:
        for trial in trials(60):
            proposal = space.suggest(config, strategy, trial)
            assert proposal.parameters == trial.params
            assert_sound(config, proposal, Given())


def test_a_suggestion_is_repeated_from_a_trial_that_has_its_values(tmp_path: Path) -> None:
    config = read(tmp_path, BALANCED)
    (trial,) = trials(1)
    first = space.suggest(config, config.groups[0], trial)
    assert space.suggest(config, config.groups[0], trial) == first


# -- names ---------------------------------------------------------------------------------------


def test_in_a_balanced_study_a_parameter_is_named_like_its_knob(tmp_path: Path) -> None:
    config = read(tmp_path, BALANCED)
    sgd = space.start(config, group(config, "sgd-lpft"))
    assert list(sgd.parameters) == [
        "learning_rate",
        "momentum",
        "probe.learning_rate",
        "batch_size",
        "schedule",
        "dropout",
    ]
    assert sgd.parameters == sgd.hyperparameters


def test_a_range_that_depends_on_an_earlier_choice_carries_that_choice_in_its_name(
    tmp_path: Path,
) -> None:
    config = read(tmp_path, JOINT, "tune.optimizer.default=sgd", "tune.method.full.epochs=3")
    proposal = space.start(config, config.groups[0])
    assert proposal.parameters == {
        "optimizer": "sgd",
        "method": "full",
        "learning_rate.sgd.full+lpft": 1e-2,
        "momentum.sgd": 0.9,
    }
    assert list(proposal.hyperparameters) == ["optimizer", "method", "learning_rate", "momentum"]
    assert space.knobs_by_parameter(config)["learning_rate.sgd.full+lpft"] == "learning_rate"
    balanced = read(tmp_path, BALANCED, "tune.schedule=[cosine]")
    adam = space.start(balanced, group(balanced, "adam-full"))
    assert adam.parameters["beta1.cosine"] == 0.9, "only what is tuned is carried"


def test_two_ranges_never_share_a_name_in_one_optuna_study(tmp_path: Path) -> None:
    text = """\
name: x
recipe: {dataset: wine, backbone: mlp, phases: {one: {}, two: {}}}
tune:
  one.optimizer: [sgd, adam]
  two.optimizer: [sgd, adam]
  learning_rate:
    - {when: {one.optimizer: sgd}, low: 1, high: 2, default: 1}
    - {when: {two.optimizer: sgd}, low: 3, high: 4, default: 3}
    - {low: 5, high: 6, default: 5}
search: {trials: 3}
"""
    config = read(tmp_path, text)
    (rate,) = (tuned for tuned in config.tune if tuned.knob == "learning_rate")
    assert [space.parameter_name(config, rate, entry) for entry in rate.entries] == [
        "learning_rate.one.optimizer=sgd",
        "learning_rate.two.optimizer=sgd",
        "learning_rate",
    ]


# -- trials that no sampler proposes ---------------------------------------------------------------


def test_the_default_comes_first_then_what_is_enqueued_for_this_strategy(tmp_path: Path) -> None:
    enqueue = (
        "search.enqueue=[{optimizer: sgd, learning_rate: 0.2}, {batch_size: 8}, "
        "{method: lpft, probe.learning_rate: 0.05}, {learning_rate: 0.01}, {schedule: cosine}]"
    )
    config = read(tmp_path, BALANCED, enqueue)
    usual = {
        "learning_rate": 1e-2,
        "momentum": 0.9,
        "batch_size": 32,
        "schedule": "constant",
        "dropout": "none",
    }
    assert space.fixed(config, group(config, "sgd-full")) == [
        usual,
        {**usual, "learning_rate": 0.2},
        {**usual, "batch_size": 8},
        {**usual, "schedule": "cosine"},
    ]
    lpft = space.fixed(config, group(config, "adam-lpft"))
    assert lpft[0] == {
        "learning_rate": 1e-3,
        "probe.learning_rate": 2e-3,
        "batch_size": 32,
        "schedule": "constant",
        "dropout": "none",
    }
    assert [point["probe.learning_rate"] for point in lpft].count(0.05) == 1
    assert all(point["learning_rate"] in (1e-3, 1e-2) for point in lpft), "0.2 is for sgd alone"


def test_an_enqueued_whole_number_is_a_fraction_where_the_range_is_of_fractions(
    tmp_path: Path,
) -> None:
    config = read(tmp_path, BALANCED, "search.enqueue=[{momentum: 0}]")
    momentum = space.fixed(config, group(config, "sgd-full"))[1]["momentum"]
    assert momentum == 0 and isinstance(momentum, float)


def test_optuna_runs_what_is_fixed_as_it_stands(tmp_path: Path) -> None:
    config = read(tmp_path, JOINT, "search.sampler={name: grid, points: 2}")
    (joint,) = config.groups
    study = optuna.create_study()
    for parameters in space.fixed(config, joint):
        study.enqueue_trial(dict(parameters))
        proposal = space.suggest(config, joint, study.ask())
        assert proposal.parameters == parameters


def test_a_grid_has_every_cell_once_after_the_default(tmp_path: Path) -> None:
    config = read(tmp_path, JOINT, "search.sampler={name: grid, points: 2}")
    points = space.fixed(config, config.groups[0])
    assert points[0]["optimizer"] == "adam"
    # Per optimizer: full, and lpft with two depths; per learning rate (2), and sgd's momentum (2).
    assert len(points) == 1 + (2 + 1) * 3 * 2 + 3 * 2
    assert len({json.dumps(point, sort_keys=True) for point in points}) == len(points)
    assert points[1] == {"optimizer": "adamw", "method": "full", "learning_rate": 1e-4}
    assert points[2] == {"optimizer": "adamw", "method": "full", "learning_rate": 1e-1}
    assert points[-1] == {
        "optimizer": "sgd",
        "method": "lpft",
        "learning_rate.sgd.full+lpft": 0.3,
        "probe.freeze_depth.lpft": "1",
        "momentum.sgd": 0.99,
    }


@pytest.mark.parametrize(
    "override",
    [
        "search.sampler.points=200",
        "search.sampler.points=1000000000",
        "tune.momentum={low: 0.0, high: 0.9, step: 1e-6, default: 0.5}",
    ],
)
def test_a_grid_of_more_points_than_anyone_means_is_refused(tmp_path: Path, override: str) -> None:
    study = """\
name: x
recipe: {dataset: wine, backbone: mlp}
compare: {optimizer: [sgd, rmsprop]}
tune:
  learning_rate: {low: 0.001, high: 0.1, default: 0.01}
  momentum: {low: 0.0, high: 0.9, default: 0.5}
search: {trials_per_strategy: 3, sampler: {name: grid, points: 100}}
"""
    config = read(tmp_path, study)
    assert len(space.fixed(config, config.groups[0])) == 1 + 10_000
    config = read(tmp_path, study, override)
    with pytest.raises(StudyFileError, match=r"yaml:7: search\.sampler: found a grid of more than"):
        space.targets(config)


# -- what a proposal means -------------------------------------------------------------------------


def test_a_plan_is_the_recipe_overridden_by_the_level_and_then_by_the_hyperparameters(
    tmp_path: Path,
) -> None:
    config = read(tmp_path, BALANCED)
    proposal = space.start(config, group(config, "sgd-lpft"))
    probe, finetune = plan_of(config, proposal, Given()).phases
    assert (probe.epochs, finetune.epochs) == (1, 4), "the recipe, where the level says nothing"
    assert probe.weight_decay == finetune.weight_decay == 0.5
    assert (probe.optimizer, finetune.optimizer) == ("adamw", "sgd"), "a phase before its trial"
    assert (probe.learning_rate, finetune.learning_rate) == (2e-3, 1e-2)
    assert (probe.freeze_depth, finetune.freeze_depth) == (2, 0)
    assert finetune.options == {"momentum": 0.1, "nesterov": False}, "a phase before a tuned knob"
    assert probe.options == {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}, "from the catalogue"
    assert (probe.schedule.name, finetune.schedule.name) == ("linear", "constant")


def test_a_plain_trial_has_one_phase_and_the_catalogues_defaults(tmp_path: Path) -> None:
    text = "name: x\nrecipe: {dataset: wine, backbone: mlp}\nsearch: {trials: 1}\n"
    config = read(tmp_path, text)
    plan = plan_of(config, space.start(config, config.groups[0]), Given())
    (phase,) = plan.phases
    entry = OPTIMIZERS["adamw"]
    assert (phase.name, phase.epochs, phase.freeze_depth) == ("main", 10, 0)
    assert (phase.optimizer, phase.learning_rate, phase.weight_decay) == (
        "adamw",
        entry.learning_rate,
        entry.weight_decay,
    )
    assert phase.options == entry.options
    assert plan.task == {"name": "classification"} and plan.weights is None
    assert (plan.batch_size, plan.augmentation, plan.device, plan.threads) == (32, (), "auto", 1)


def test_weights_options_and_transforms_reach_the_plan(tmp_path: Path) -> None:
    text = (
        "name: x\n"
        "recipe:\n"
        "  dataset: {name: wine, fraction: 0.5}\n"
        "  backbone: {name: mlp, hidden: [4], weights: w.safetensors, keep_head: true}\n"
        "  task: {name: classification, label_smoothing: 0.1}\n"
        "  augmentation: [random_vertical_flip, {random_crop: {size: 8}}]\n"
        "search: {trials: 1}\n"
    )
    config = read(tmp_path, text)
    plan = plan_of(config, space.start(config, config.groups[0]), Given())
    assert plan.dataset == {"name": "wine", "fraction": 0.5}
    assert plan.backbone == {"name": "mlp", "hidden": [4]}
    assert plan.weights == Weights(source="w.safetensors", sha256="hash of w.safetensors")
    assert plan.keep_head
    assert plan.task == {"name": "classification", "label_smoothing": 0.1}
    assert plan.augmentation == ({"random_vertical_flip": {}}, {"random_crop": {"size": 8}})


def test_in_a_joint_study_the_strategy_is_read_back_from_the_choices(tmp_path: Path) -> None:
    config = read(tmp_path, JOINT)
    proposal = space.propose(
        config,
        config.groups[0],
        lambda name, entry: {"optimizer": "sgd", "method": "lpft"}.get(name, entry.default),
    )
    assert proposal.strategy.name == "sgd-lpft-all"
    assert proposal.strategy.levels == {
        "optimizer": "sgd",
        "method": "lpft",
        "probe.freeze_depth": "all",
    }
    assert plan_of(config, proposal, Given()).phases[0].freeze_depth == 2


def test_each_strategy_of_a_joint_study_has_a_default_of_its_own(tmp_path: Path) -> None:
    config = read(tmp_path, JOINT)
    names = {strategy.name: strategy for strategy in config.strategies}
    start = space.start(config, names["sgd-lpft-1"])
    assert start.strategy == names["sgd-lpft-1"]
    assert start.hyperparameters["momentum"] == 0.9
    for name, strategy in names.items():
        assert space.start(config, strategy).strategy.name == name


def test_the_ends_of_a_strategy_are_its_tuned_levels_and_whole_numbers(tmp_path: Path) -> None:
    config = read(tmp_path, BALANCED)
    ends = list(space.ends(config, group(config, "sgd-full")))
    assert [(knob, value) for knob, value, _ in ends] == [
        ("batch_size", 8),
        ("batch_size", 64),
        ("schedule", "constant"),
        ("schedule", "cosine"),
        ("dropout", "none"),
        ("dropout", "some"),
    ]
    assert ends[-1][2].knobs["backbone.dropout"] == 0.5
    assert ends[-1][2].hyperparameters["batch_size"] == 32, "one knob at a time"
