"""Builds what trains a trial: the engine, or a user's own training. Used by ``trial.run``."""

from __future__ import annotations

from collections.abc import Callable

import torch

from workbench import backbones
from workbench.datasets import Data
from workbench.engine import memory
from workbench.engine.loop import Engine
from workbench.record import TrialSpec
from workbench.tasks.task import Task
from workbench.trial.activations import ActivationStore
from workbench.trial.user_training import Trial, UserTrial

Trainer = Engine | UserTrial


def trainer_of(
    spec: TrialSpec,
    data: Data,
    task: Task,
    device: torch.device,
    interrupted: Callable[[], bool],
) -> Trainer:
    """The trainer of a trial, before its first epoch.

    Args:
        spec: Of the trial.
        data: Prepared for its backbone.
        task: Built for these data.
        device: Of the training.
        interrupted: Polled before every batch; true stops the training.
    """
    plan = spec.plan
    if plan.trial is not None:
        given = Trial(
            plan=plan,
            data=data,
            task=task,
            seed=spec.seed,
            device=device,
            _interrupted=interrupted,
        )
        return UserTrial(reference=plan.trial, trial=given)
    # On the CPU: the engine moves the model, and explains a full GPU itself.
    with memory.explain_errors("building the backbone", device=torch.device("cpu")):
        staged = backbones.build(
            plan.backbone,
            weights=plan.weights,
            keep_head=plan.keep_head,
            input_shape=data.input_shape,
            outputs=task.outputs,
            seed=spec.seed,
        )
    return Engine(
        plan=plan,
        staged=staged,
        task=task,
        data=data,
        seed=spec.seed,
        device=device,
        interrupted=interrupted,
        activation_source=ActivationStore(spec, data, device),
    )
