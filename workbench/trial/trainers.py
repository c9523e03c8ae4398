"""What trains by a trial's plan: the engine, or a training of the user's own."""

from __future__ import annotations

from collections.abc import Callable

import torch

from workbench import backbones
from workbench.datasets import Data
from workbench.engine import memory
from workbench.engine.loop import Engine
from workbench.record import TrialSpec
from workbench.tasks import Task
from workbench.trial.best_epoch import Trainer


def trainer_of(
    spec: TrialSpec,
    data: Data,
    task: Task,
    device: torch.device,
    interrupted: Callable[[], bool],
) -> Trainer:
    """What trains a trial, ready to begin.

    Args:
        spec: Its specification.
        data: Prepared for its backbone.
        task: Built for these data.
        device: Where it trains.
        interrupted: Polled before every batch; true stops the training.
    """
    plan = spec.plan
    if plan.trial is not None:
        from workbench.trial.user_training import Trial, UserTrial

        given = Trial(
            plan=plan,
            data=data,
            task=task,
            seed=spec.seed,
            device=device,
            _interrupted=interrupted,
        )
        return UserTrial(reference=plan.trial, trial=given)
    with memory.told("building the backbone", device=torch.device("cpu")):
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
    )
