"""A training of the user's own in place of the engine: ``recipe.trial: FILE.py:NAME``.

The user writes a generator function that yields the metrics of each epoch; reporting, pruning,
records and artifacts are those of any other trial. It has no checkpoint: after an interruption it
starts again, and what was reported before is not reported twice. Knows neither Optuna nor MLflow.
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
from workbench.engine.loop import Diverged, Interrupted
from workbench.record import EpochResult, now
from workbench.record.seeds import derive
from workbench.record.strategy import Plan
from workbench.tasks import Task
from workbench.usercode import UserCodeError


@dataclass(kw_only=True, eq=False)
class Trial:
    """What a training of the user's own is given.

    Attributes:
        plan: The trial's whole plan: ``plan.phases[0].learning_rate``, ``plan.epochs``, ...
        data: Training and validation data; ``data.train.inputs[positions]`` is a batch.
        task: Its ``loss`` and ``metrics`` are those of the study.
        seed: Of the training: the same for all trials of a study.
        device: Where the plan wants the model.
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

        Built when it is first asked for: a training without torch never pays for it. Where it was
        asked for, its weights are kept with every yield that brings none of its own.
        """
        staged = backbones.build(
            self.plan.backbone,
            weights=self.plan.weights,
            keep_head=self.plan.keep_head,
            input_shape=self.data.input_shape,
            outputs=self.task.outputs,
            seed=self.seed,
        )
        staged.module.to(self.device)
        return staged

    def interrupted(self) -> bool:
        """Whether the trial should stop now: return, and it is parked; it will start again."""
        self._stopped = self._stopped or self._interrupted()
        return self._stopped

    def validate(self, outputs: Any) -> dict[str, float]:
        """Metrics of outputs for the whole validation part: ``validation/loss`` and the task's.

        They also make the confusion matrix, the scores of each class and the mistakes.

        Args:
            outputs: ``[N, task.outputs]``, a tensor or an array, in the order of
                ``data.validation``: logits, or what else the task's loss takes.

        Raises:
            ValueError: They are of another shape.
        """
        found = torch.as_tensor(outputs).detach().cpu()
        targets = self.data.validation.targets.cpu()
        expected = (len(targets), self.task.outputs)
        if tuple(found.shape) != expected:
            raise ValueError(
                f"validate was given outputs of the shape {tuple(found.shape)}; expected "
                f"{expected}: {expected[0]} validation samples, {expected[1]} outputs each."
            )
        self._validated = found, targets
        metrics = {"loss": float(self.task.loss(found, targets))}
        metrics |= self.task.metrics(found, targets)
        return {f"validation/{name}": value for name, value in metrics.items()}


@dataclass(kw_only=True, eq=False)
class UserTrial:
    """Runs a user's function as the engine runs a plan; see ``trial.Trainer``.

    Attributes:
        reference: The function, as ``FILE.py:NAME``.
        trial: What it is given; the plan's ``trial_options`` are its keyword arguments.
    """

    reference: str
    trial: Trial
    _weights: Mapping[str, Tensor] | None = field(default=None, init=False)

    @property
    def validated(self) -> tuple[Tensor, Tensor] | None:
        """What was last given to ``validate``."""
        return self.trial._validated

    @property
    def confusion(self) -> list[list[int]] | None:
        """Rows true, columns predicted, of the last ``validate``."""
        return None if self.validated is None else self.trial.task.confusion(*self.validated)

    @property
    def parameters(self) -> dict[str, int]:
        """Of the plan's backbone, if it was asked for."""
        return stages.parameters(self.trial.staged) if "staged" in vars(self.trial) else {}

    def epochs(self) -> Iterator[EpochResult]:
        """What the user's function yields, numbered from 1.

        Raises:
            Interrupted: The trial was asked to stop.
            Diverged: A metric is not finite.
            UserCodeError: The function is no generator, or yields something else than metrics.
        """
        function = usercode.load(self.reference)
        # What draws from a global generator gives the same numbers whenever the trial is run.
        seed = derive(self.trial.seed, "trial")
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        produced = function(self.trial, **self.trial.plan.trial_options)
        if not hasattr(produced, "__next__"):
            raise UserCodeError(
                f"{self.reference} returned {_kind(produced)}; it must be a generator function, "
                "which yields a dictionary of metrics after each epoch"
            )
        number = 0
        try:
            while True:
                started = time.perf_counter()
                yielded = next(produced, _END)
                if yielded is _END:
                    break
                number += 1
                self.trial._stopped = False
                yield self._result(yielded, number, time.perf_counter() - started)
                if number < self.trial.plan.reports and self.trial.interrupted():
                    break
        finally:
            if hasattr(produced, "close"):
                produced.close()
        if self.trial._stopped:
            raise Interrupted(f"asked to stop after report {number}")
        if number == 0:
            raise UserCodeError(f"{self.reference} yielded no metrics at all")

    def state(self) -> None:
        """None: it can only start again."""

    def restore(self, state: dict[str, Any]) -> None:
        """Refuse a state: it is another training's.

        Raises:
            ValueError: Always; a training of the user's own keeps none.
        """
        raise ValueError(f"{self.reference} keeps no state, so this one is not its own.")

    def weights(self) -> Mapping[str, Tensor] | None:
        """What came with the last metrics, else the plan's backbone if it was asked for."""
        found = self._weights
        if found is None and "staged" in vars(self.trial):
            found = self.trial.staged.module.state_dict()
        if found is None:
            return None
        return {
            name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            for name, tensor in found.items()
        }

    def _result(self, yielded: object, number: int, seconds: float) -> EpochResult:
        self._weights = None
        report = yielded
        if isinstance(yielded, tuple) and len(yielded) == 2:
            report, self._weights = yielded[0], self._state_dict(yielded[1], number)
        given = report.metrics if isinstance(report, EpochResult) else report
        if not isinstance(given, Mapping) or not given:
            raise UserCodeError(
                f"{self.reference} yielded {_kind(report)} as report {number}; expected a "
                "dictionary of metrics, or that and a state dict"
            )
        metrics: dict[str, float] = {}
        for name, value in given.items():
            try:
                metrics[str(name)] = float(value)
            except (TypeError, ValueError) as error:
                raise UserCodeError(
                    f"{self.reference}: {name} is {value!r} in report {number}; it must be a number"
                ) from error
            if not math.isfinite(metrics[str(name)]):
                done = number * self.trial.plan.report_every
                raise Diverged(
                    int(done) if done == int(done) else done, f"{name} is {metrics[str(name)]}"
                )
        metrics.setdefault("seconds", seconds)
        if isinstance(report, EpochResult):
            return replace(report, epoch=number, metrics=metrics)
        phase = self._phase(number)
        return EpochResult(epoch=number, phase=phase, metrics=metrics, timestamp=now())

    def _state_dict(self, given: object, number: int) -> Mapping[str, Tensor]:
        if isinstance(given, Mapping) and all(isinstance(t, Tensor) for t in given.values()):
            return given
        raise UserCodeError(
            f"{self.reference} yielded {_kind(given)} as the weights of report {number}; expected "
            "a state dict: tensors by name"
        )

    def _phase(self, number: int) -> str:
        """Name of the phase that a report lies in; the last one for what comes after it."""
        last = 0
        for phase in self.trial.plan.phases:
            last += phase.epochs * self.trial.plan.reports_per_epoch
            if number <= last:
                return phase.name
        return self.trial.plan.phases[-1].name


_END = object()  # A function may yield None by mistake: that is not its end.


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
