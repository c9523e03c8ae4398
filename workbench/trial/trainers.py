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

# A model as it was before training, by what it was built from, and the digests of its stages'
# weights (see ``ActivationStore``). One, because trials of a search follow each other.
_kept: dict[str, tuple[Staged, dict[int, str]]] = {}
_KEPT_BYTES = 2**28


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

    Not with code of a user, who may build something else each time, and not large models.
    """
    key = repr([plan.backbone, plan.weights, plan.keep_head, input_shape, outputs, seed])
    # On the CPU: the engine moves the model, and explains a full GPU itself.
    with memory.explain_errors("building the backbone", device=torch.device("cpu")):
        if key in _kept:
            built, digests = _kept[key]
            return copy.deepcopy(built), digests
        staged = backbones.build(
            plan.backbone,
            weights=plan.weights,
            keep_head=plan.keep_head,
            input_shape=input_shape,
            outputs=outputs,
            seed=seed,
        )
        digests = {}
        if not plan.code:
            _kept.clear()
            if sum(each.nbytes for each in staged.module.state_dict().values()) <= _KEPT_BYTES:
                _kept[key] = copy.deepcopy(staged), digests
    return staged, digests
