"""A user's own training in place of the engine: ``recipe.trial: FILE.py:NAME``.

The user writes a generator function that yields the metrics of each epoch; reporting, pruning,
records and artifacts work as in any other trial. It has no checkpoint: after an interruption it
starts again, and epochs that were reported before are not reported twice.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench import backbones, usercode
from workbench.backbones import stages
from workbench.backbones.stages import Staged
from workbench.datasets import Data
from workbench.engine import devices, inference
from workbench.engine.loop import DivergedError, Interrupted
from workbench.record import EpochResult, now
from workbench.record.seeds import derive
from workbench.record.strategy import Plan
from workbench.tasks.task import Task
from workbench.usercode import UserCodeError


@dataclass(kw_only=True, eq=False)
class Trial:
    """The argument of a user's own training.

    Attributes:
        plan: The trial's whole plan: ``plan.phases[0].learning_rate``, ``plan.epochs``, ...
        data: Training and validation data; ``data.train.inputs[positions]`` is a batch.
        task: Its ``loss`` and ``metrics`` are those of the study.
        seed: Of the training: the same for all trials of a study.
        device: The plan's device for the model.
    """

    plan: Plan
    data: Data
    task: Task
    seed: int
    device: torch.device
    _interrupted: Callable[[], bool]
    _stopped: bool = False
    _validated: tuple[Tensor, Tensor] | None = None

    @cached_property
    def staged(self) -> Staged:
        """The plan's backbone with its weights and a new head, on the device.

        Built on first use, so that a training without torch does not pay for it. Once used, its
        weights are kept with every yield that has no state dict.
        """
        staged = backbones.build(
            self.plan.backbone,
            weights=self.plan.weights,
            keep_head=self.plan.keep_head,
            input_shape=self.data.input_shape,
            outputs=self.task.outputs,
            seed=self.seed,
        )
        devices.move(staged.module, self.device, self.plan.precision)
        return staged

    def interrupted(self) -> bool:
        """Whether the trial should stop now: return, and it is parked to start again later."""
        self._stopped = self._stopped or self._interrupted()
        return self._stopped

    def validate(self, outputs: Any) -> dict[str, float]:
        """Metrics of outputs for the whole validation part: ``validation/loss`` and the task's.

        The confusion matrix, the scores of each class and the mistakes are made from them too.

        Args:
            outputs: ``[N, task.outputs]``, a tensor or an array, in the order of
                ``data.validation``: logits, or what the task's loss takes instead.

        Raises:
            ValueError: Their shape is wrong.
        """
        predicted = torch.as_tensor(outputs).detach().cpu()
        targets = self.data.validation.targets.cpu()
        expected = (len(targets), self.task.outputs)
        if tuple(predicted.shape) != expected:
            raise ValueError(
                f"validate was called with outputs of shape {tuple(predicted.shape)}; expected "
                f"{expected}: {expected[0]} validation samples, {expected[1]} outputs each."
            )
        self._validated = predicted, targets
        metrics = inference.metrics_of(self.task, predicted, targets)
        return {f"validation/{name}": value for name, value in metrics.items()}


@dataclass(kw_only=True, eq=False)
class UserTrial:
    """Runs a user's function with the interface of the engine.

    Attributes:
        reference: The function, as ``FILE.py:NAME``.
        trial: Its argument; the plan's ``trial_options`` are its keyword arguments.
    """

    reference: str
    trial: Trial
    saved_seconds = 0.0  # It stores no outputs of frozen stages.
    _weights: Mapping[str, Tensor] | None = field(default=None, init=False)

    @property
    def validated(self) -> tuple[Tensor, Tensor] | None:
        """Outputs and targets of the last ``validate`` of a report; None without one."""
        return self.trial._validated

    @property
    def parameters(self) -> dict[str, int]:
        """Number of parameters of the plan's backbone, if it was used."""
        return stages.parameters(self.trial.staged) if "staged" in vars(self.trial) else {}

    def epochs(self) -> Iterator[EpochResult]:
        """What the user's function yields, numbered from 1.

        Raises:
            Interrupted: The trial was asked to stop.
            DivergedError: A metric is not finite.
            UserCodeError: The function is not a generator function, or yields no metrics.
        """
        function = usercode.load(self.reference)
        # Users draw from the global generators: seed all three, so that a trial can be repeated.
        seed = derive(self.trial.seed, "trial")
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        produced = function(self.trial, **self.trial.plan.trial_options)
        if not hasattr(produced, "__next__"):
            raise UserCodeError(
                f"{self.reference} returned {str(produced)[:200]}. It must be a generator function "
                "that yields a dictionary of metrics after each epoch"
            )
        number = 0
        try:
            while True:
                started = time.perf_counter()
                # Of the last report; this one may measure its metrics without ``validate``.
                self.trial._validated = None
                yielded = next(produced, _END)
                if yielded is _END:
                    break
                number += 1
                self.trial._stopped = False
                yield self._result(yielded, number, time.perf_counter() - started)
                if number < self.trial.plan.reports and self.trial.interrupted():
                    break
        finally:
            # Runs the ``finally`` blocks of the user's function. Any iterator is accepted, and not
            # every one can be closed.
            if hasattr(produced, "close"):
                produced.close()
        if self.trial._stopped:
            raise Interrupted(f"asked to stop after report {number}")
        if number == 0:
            raise UserCodeError(f"{self.reference} yielded no metrics")

    def state(self) -> dict[str, Any] | None:
        """None: a user's training can only start again."""
        return None

    def restore(self, state: dict[str, Any]) -> None:
        """Refuse a state: a user's training has none.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"{self.reference} cannot be resumed; the state belongs to the engine.")

    def weights(self) -> Mapping[str, Tensor] | None:
        """The state dict of the last yield, else that of the plan's backbone if it was used."""
        weights = self._weights
        if weights is None and "staged" in vars(self.trial):
            weights = self.trial.staged.module.state_dict()
        if weights is None:
            return None
        return {name: devices.copied(tensor) for name, tensor in weights.items()}

    def _result(self, yielded: object, number: int, seconds: float) -> EpochResult:
        plan = self.trial.plan
        report: Any = yielded
        weights: Any = None
        if isinstance(yielded, tuple) and len(yielded) == 2:
            report, weights = yielded
        given = report.metrics if isinstance(report, EpochResult) else report
        try:
            metrics = {str(name): float(value) for name, value in dict(given).items()}
            tensors = None if weights is None else dict(weights)
        except (TypeError, ValueError):
            metrics, tensors = {}, None
        if not metrics or not all(isinstance(t, Tensor) for t in (tensors or {}).values()):
            raise UserCodeError(
                f"{self.reference} yielded {str(yielded)[:200]} as report {number}. It must yield "
                "a dictionary of metrics, numbers by name, or a pair of that and a state dict, "
                "tensors by name"
            )
        self._weights = tensors
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise DivergedError(number * plan.report_every, f"{name} is {value}")
        metrics.setdefault("seconds", seconds)
        if isinstance(report, EpochResult):
            return replace(report, epoch=number, metrics=metrics)
        # The last phase for reports beyond the plan.
        epoch = min(math.ceil(number / plan.reports_per_epoch), plan.epochs)
        phase = plan.phases[plan.place_of(epoch)[0]].name
        return EpochResult(epoch=number, phase=phase, metrics=metrics, timestamp=now())


_END = object()  # Not None, which a function may yield by mistake.
