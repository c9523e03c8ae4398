"""What makes results comparable: what may change under a study's trials, and what may not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch

from workbench.record.strategy import EarlyStopping, Lora, Phase, Plan, Schedule, Weights
from workbench.study import fingerprint
from workbench.study.config import load
from workbench.study.config.knobs import Categorical
from workbench.study.config.study_config import StudyConfig
from workbench.study.fingerprint import describe_entry
from workbench.study.study import Study

BALANCED = """\
name: balanced
recipe:
  dataset: {name: wine, validation: 40, test: 40}
  backbone: {name: mlp, hidden: [8, 8]}
  epochs: 4
  weight_decay: 0.5
compare:
  optimizer: [sgd, adam]
  method: {full: {freeze_depth: 0}, lpft: {phases: {probe: {epochs: 1}, finetune: {}}}}
tune:
  learning_rate:
    - {when: {optimizer: sgd}, low: 1e-3, high: 3e-1, log: true, default: 1e-2}
    - {low: 1e-4, high: 1e-1, log: true, default: 1e-3}
  momentum: {when: {optimizer: sgd}, low: 0, high: 0.9, step: 0.1, default: 0.9}
  schedule: [constant, cosine]
  dropout: {none: {}, some: {backbone.dropout: 0.5}}
search: {trials_per_strategy: 8}
"""
JOINT = """\
name: joint_study
recipe:
  dataset: {name: wine, validation: 40, test: 40}
  backbone: {name: mlp, hidden: [8, 8]}
tune:
  optimizer: [adamw, sgd]
  learning_rate:
    - {when: {optimizer: sgd}, low: 1e-3, high: 3e-1, default: 1e-2}
    - {low: 1e-4, high: 1e-1, log: true, default: 1e-3}
search: {trials: 8}
"""


def read(folder: Path, text: str, *overrides: str) -> StudyConfig:
    path = folder / "study.yaml"
    path.write_text(text)
    return load(path, overrides)


def defined(folder: Path, *overrides: str, text: str = BALANCED) -> str:
    config = read(folder, text, *overrides)
    found = Study(config, folder).groups[0].definition
    return json.dumps(found, sort_keys=True)


@pytest.mark.parametrize(
    "override",
    [
        "search.trials_per_strategy=99",
        "search.timeout=1h",
        "recipe.loader_workers=1",
        "search.enqueue=[{learning_rate: 0.05}]",
        "compare.method.other={epochs: 9}",
        "compare.optimizer=[sgd, adam, adamw]",
        "confirm.seeds=9",
        "name=another",
    ],
)
def test_the_definition_is_the_same_for_more_trials_and_more_levels(
    tmp_path: Path, override: str
) -> None:
    assert defined(tmp_path, override) == defined(tmp_path)


@pytest.mark.parametrize(
    "override",
    [
        "tune.learning_rate.0.high=0.2",
        "tune.learning_rate.0.default=0.02",
        "tune.momentum.step=0.3",
        "tune.schedule=[constant, cosine, linear]",
        "tune.dropout.some={backbone.dropout: 0.6}",
        "recipe.epochs=5",
        "recipe.dataset.validation=41",
        "recipe.weight_decay=0.25",
        "compare.method.full={freeze_depth: 1}",
        "objective.metric=validation/loss",
        "objective.epoch=last",
        "search.seed=1",
        "search.sampler=random",
        "search.pruner=none",
    ],
)
def test_the_definition_changes_with_whatever_changes_results(
    tmp_path: Path, override: str
) -> None:
    assert defined(tmp_path, override) != defined(tmp_path)


def test_a_range_of_another_strategy_is_no_part_of_the_defined(tmp_path: Path) -> None:
    assert defined(tmp_path, "tune.learning_rate.1.high=0.2") == defined(tmp_path)


def test_the_definition_of_a_joint_study_holds_every_range(tmp_path: Path) -> None:
    for override in ("tune.learning_rate.0.high=0.2", "tune.learning_rate.1.high=0.2"):
        assert defined(tmp_path, override, text=JOINT) != defined(tmp_path, text=JOINT)


def test_weights_that_are_a_choice_count_by_their_content(tmp_path: Path) -> None:
    def written(value: float) -> str:
        widths = {"hidden1.0": (8, 13), "hidden2.0": (8, 8)}
        body = {f"{name}.weight": torch.full(shape, value) for name, shape in widths.items()}
        body |= {f"{name}.bias": torch.zeros(8) for name in widths}
        torch.save(body, tmp_path / "a.pt")
        return hashlib.sha256((tmp_path / "a.pt").read_bytes()).hexdigest()

    config = read(tmp_path, JOINT, "tune.backbone.weights=[null, a.pt]")
    digest = written(1.0)
    before = Study(config, tmp_path).groups[0].definition
    assert before["space"][-1]["sets"] == [
        {"backbone.weights": None},
        {"backbone.weights": digest},
    ]
    written(2.0)
    assert Study(config, tmp_path).groups[0].definition != before


def test_pixels_of_another_revision_make_another_definition(tmp_path: Path) -> None:
    def revisions(override: str) -> list[object]:
        config = read(tmp_path, JOINT, "recipe.dataset={name: digits}", override)
        found = Study(config, tmp_path).groups[0].definition
        blocks = [found["plan"], *found["space"][-1].get("sets", ())]
        return [block.get("augmentation_revision") for block in blocks]

    exact, revised = "[random_horizontal_flip]", "[{random_resized_crop: {size: 8}}]"
    assert revisions(f"recipe.augmentation={exact}")[0] is None
    assert revisions(f"recipe.augmentation={revised}")[0] == 2
    levels = f"{{flips: {{augmentation: {exact}}}, crops: {{augmentation: {revised}}}}}"
    assert revisions(f"tune.images={levels}") == [None, None, 2]


def test_a_range_and_a_choice_are_described_as_plain_data(tmp_path: Path) -> None:
    config = read(tmp_path, BALANCED)
    rate, dropout = config.tune[0].entries[0], config.tune[3].entries[0]
    assert describe_entry(rate) == {
        "when": {"optimizer": ["sgd"]},
        "low": 1e-3,
        "high": 0.3,
        "log": True,
        "step": None,
        "default": 1e-2,
    }
    assert isinstance(dropout, Categorical)
    assert describe_entry(dropout) == {"when": {}, "choices": ["none", "some"], "default": "none"}


def test_a_plan_is_written_as_the_first_version_wrote_it(tmp_path: Path) -> None:
    phase = Phase(
        name="main",
        epochs=3,
        freeze_depth=0,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.0,
        options={"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
        schedule=Schedule(),
    )
    plan = Plan(
        dataset={"name": "wine"},
        backbone={"name": "mlp"},
        weights=Weights(source="IMAGENET1K_V1"),
        keep_head=False,
        task={"name": "classification"},
        batch_size=32,
        augmentation=(),
        device="cpu",
        threads=1,
        phases=(phase,),
        early_stopping=EarlyStopping(patience=2),
        lora=Lora(rank=4),
    )
    assert fingerprint._plan(plan, tmp_path) == {
        "dataset": {"name": "wine"},
        "backbone": {"name": "mlp"},
        "weights": {"source": "IMAGENET1K_V1", "sha256": None},
        "keep_head": False,
        "task": {"name": "classification"},
        "batch_size": 32,
        "augmentation": [],
        "device": "cpu",
        "threads": 1,
        "phases": [
            {
                "name": "main",
                "epochs": 3,
                "freeze_depth": 0,
                "optimizer": "adamw",
                "learning_rate": 1e-3,
                "weight_decay": 0.0,
                "options": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
                "schedule": {
                    "name": "constant",
                    "warmup_epochs": 0.0,
                    "step_epochs": 1.0,
                    "gamma": 0.1,
                    "final": 0.0,
                },
            }
        ],
        "early_stopping": {"patience": 2, "least": 0.0},
        "lora": {"rank": 4, "alpha": 16.0, "dropout": 0.0, "targets": None},
        "code": {},
    }
