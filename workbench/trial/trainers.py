"""Builds what trains a trial: the engine, or a user's own training. Used by ``trial.run``."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch

from workbench import backbones
from workbench.backbones.stages import Staged
from workbench.datasets import Data
from workbench.engine import memory
from workbench.engine.loop import Engine
from workbench.record import TrialSpec
from workbench.record.strategy import Plan
from workbench.tasks.task import Task
from workbench.trial.activations import ActivationStore
from workbench.trial.user_training import Trial, UserTrial

Trainer = Engine | UserTrial

# The model that this process has built last, as it was before training, and the digests of its
# stages' weights (see ``ActivationStore``).
_models: dict[str, tuple[Staged, dict[int, str]]] = {}
_MODEL_BYTES = 2**28


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
    staged, digests = _build(plan, data.input_shape, task.outputs, spec.seed)
    return Engine(
        plan=plan,
        staged=staged,
        task=task,
        data=data,
        seed=spec.seed,
        device=device,
        interrupted=interrupted,
        activation_source=ActivationStore(spec, data, device, digests),
    )


def _build(
    plan: Plan, input_shape: tuple[int, ...], outputs: int, seed: int
) -> tuple[Staged, dict[int, str]]:
    """A trial's model and its digests; trials of one process that begin alike build it once.

    A user's code may build something else each time, and large models would take too much memory.
    """
    key = repr([plan.backbone, plan.weights, plan.keep_head, input_shape, outputs, seed])
    if key in _models:
        built, digests = _models[key]
        return copy.deepcopy(built), digests
    # On the CPU: the engine moves the model, and explains a full GPU itself.
    with memory.explain_errors("building the backbone", device=torch.device("cpu")):
        staged = backbones.build(
            plan.backbone,
            weights=plan.weights,
            keep_head=plan.keep_head,
            input_shape=input_shape,
            outputs=outputs,
            seed=seed,
        )
    digests = {}
    if not plan.code and sum(p.nbytes for p in staged.module.parameters()) <= _MODEL_BYTES:
        _models.clear()
        _models[key] = copy.deepcopy(staged), digests
    return staged, digests
