"""Specifications of trials of a study file, and answers to a trial's questions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.record import (
    Decision,
    EpochResult,
    Role,
    TrialDirectory,
    TrialSpec,
)
from workbench.study.config import load
from workbench.study.study import Study


def spec_for(file: Path, home: Path, **changes: object) -> TrialSpec:
    config = load(file)
    study = Study(config, home)
    group = config.groups[0]
    spec = study.spec(study.groups[0].default, role=Role.SEARCH, group=group.name, number=0)
    return replace(replace(spec, hyperparameters={}), **changes)  # type: ignore[arg-type]


def planned(spec: TrialSpec, **changes: Any) -> TrialSpec:
    """The same specification with other things in its plan."""
    return replace(spec, plan=replace(spec.plan, **changes))


def with_rate(spec: TrialSpec, rate: float) -> TrialSpec:
    (phase,) = spec.plan.phases
    return replace(spec, plan=replace(spec.plan, phases=(replace(phase, learning_rate=rate),)))


def directory_for(spec: TrialSpec, path: Path) -> TrialDirectory:
    directory = TrialDirectory(path)
    directory.write_spec(spec)
    return directory


def numbers(directory: TrialDirectory) -> list[dict[str, float]]:
    """The history without what a clock says."""
    return [
        {name: value for name, value in line.metrics.items() if name != "seconds"}
        for line in directory.history()
    ]


def go_on(_: EpochResult) -> Decision:
    return Decision.CONTINUE


def never() -> bool:
    return False


OWN = """\
import torch
from workbench import stages

def train(trial):
    phase = trial.plan.phases[0]
    stages.freeze(trial.staged, phase.freeze_depth)
    module = trial.staged.module
    optimizer = torch.optim.SGD(stages.trainable_parameters(trial.staged), lr=phase.learning_rate)
    train, held_out = trial.data.train, trial.data.validation
    for epoch in range(trial.plan.epochs):
        module.train()
        for positions in torch.randperm(len(train.targets)).split(trial.plan.batch_size):
            if trial.interrupted():
                return
            loss = trial.task.loss(module(train.inputs[positions]), train.targets[positions])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        module.eval()
        with torch.no_grad():
            outputs = module(held_out.inputs[torch.arange(len(held_out.targets))])
        yield {"train/loss": loss.item(), **trial.validate(outputs)}
"""


# A user's own training on numbers from a file: a process that runs it loads neither scikit-learn
# nor what torch loads with its first optimizer, which takes longer than all the rest.
LIGHT = """\
name: tiny
recipe:
  trial: own.py:train
  dataset: {name: arrays, path: rows.npz, validation: 10, test: 10}
  backbone: {name: mlp, hidden: [4]}
  task: {name: regression}
  epochs: 3
tune: {learning_rate: {low: 1e-4, high: 1e-1, log: true, default: 1e-2}}
search: {trials: 2, pruner: none}
objective: {metric: validation/rmse}
"""
EPOCHS = """\
def train(trial):
    for _ in range(trial.plan.epochs):
        yield {"validation/rmse": 1.0, "validation/loss": 1.0}
"""


def write_light(folder: Path, train: str = EPOCHS) -> Path:
    """A study of two trials with its data and its training, the function ``train`` of a module."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    np.savez(folder / "rows.npz", x=inputs, y=inputs.sum(1))
    (folder / "own.py").write_text(train)
    (folder / "light.yaml").write_text(LIGHT)
    return folder / "light.yaml"
