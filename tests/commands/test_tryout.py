"""One trial on demand: what its settings mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workbench import record
from workbench.commands import tryout
from workbench.record import Role
from workbench.study.config import load
from workbench.study.config.document import StudyFileError
from workbench.study.study import Study

Write = Callable[..., Path]


def spec_of(file: Path, home: Path, *settings: str) -> record.TrialSpec:
    config = load(file)
    proposal = tryout.proposal_of(config, settings)
    return tryout.spec_of(Study(config, home), proposal)


def test_without_settings_it_is_the_default_of_the_first_strategy(tiny: Path, home: Path) -> None:
    spec = spec_of(tiny, home)
    assert (spec.role, spec.name, spec.strategy) == (Role.TRY, "sgd-0/000", "sgd-0")
    assert spec.hyperparameters == {"learning_rate": 0.01, "momentum": 0.9}


def test_factors_choose_the_strategy_and_tuned_knobs_their_values(tiny: Path, home: Path) -> None:
    spec = spec_of(tiny, home, "optimizer=adamw", "freeze_depth=all", "learning_rate=3e-3")
    assert spec.strategy == "adamw-all"
    (phase,) = spec.plan.phases
    assert (phase.optimizer, phase.freeze_depth, phase.learning_rate) == ("adamw", 2, 3e-3)


def test_any_knob_of_the_recipe_may_be_set(tiny: Path, home: Path) -> None:
    spec = spec_of(tiny, home, "epochs=1", "batch_size=8")
    assert (spec.plan.epochs, spec.plan.batch_size) == (1, 8)
    assert spec.hyperparameters["epochs"] == 1


def test_in_a_joint_study_choices_are_set_by_name(write_study: Write, home: Path) -> None:
    file = write_study(
        ("compare:\n  optimizer", "tune:\n  optimizer"),
        ("tune:\n  learning_rate", "  learning_rate"),
        ("trials_per_strategy: 5", "trials: 5"),
    )
    spec = spec_of(file, home, "optimizer=adamw", "freeze_depth=all")
    assert spec.strategy == "adamw-all"
    assert spec.plan.phases[0].optimizer == "adamw"


def test_tries_are_numbered_from_what_is_on_disk(tiny: Path, home: Path) -> None:
    spec = spec_of(tiny, home)
    directory = record.study_directory(home, "tiny")
    record.directory_of(directory, spec).write_spec(spec)
    assert spec_of(tiny, home).name == "sgd-0/001"
    assert spec_of(tiny, home, "optimizer=adamw").name == "adamw-0/000"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optimizer=adamww", "optimizer=adamww: optimizer: found 'adamww'; did you mean adamw?"),
        ("learning_rate", "learning_rate: learning_rate: found 'no value', expected KEY=VALUE"),
        ("learning_rate=-1", "learning_rate: learning_rate: found -1, expected a number greater"),
        ("lerning_rate=1e-3", "found 'lerning_rate', expected a knob; did you mean learning_rate?"),
        ("unfreeze={every: 0}", "unfreeze.every: found 0, expected a whole number of at least 1"),
        ("epochs=many", "epochs: epochs: found 'many', expected a whole number"),
    ],
)
def test_a_setting_that_is_none_is_refused(tiny: Path, setting: str, message: str) -> None:
    with pytest.raises(StudyFileError) as refusal:
        tryout.proposal_of(load(tiny), [setting])
    assert message.replace("KEY=VALUE", "KNOB=VALUE") in str(refusal.value)
