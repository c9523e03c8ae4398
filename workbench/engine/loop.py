"""The only training loop: a plan's phases, report by report.

Knows neither Optuna nor MLflow, nor any file: it yields what it measured, and can be stopped before
any batch and continued after any report. On the CPU, with the same number of threads, a continued
trial and an uninterrupted one are equal to the last bit. The caller sets the number of threads
(``plan.threads``), because that belongs to the process. Which parameters train, how batches are
made, mixed and averaged over, is for ``parameters``, ``batches``, ``mixing``, ``averaging`` and
``lora``; what the model puts out for a whole part, for ``outputs``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench.backbones import stages
from workbench.backbones.stages import OutOfMemory, Staged
from workbench.datasets import Data
from workbench.engine import (
    batches,
    ema,
    inference,
    lora,
    memory,
    mixup,
    optimizers,
    parameter_groups,
)
from workbench.engine.batches import Batches
from workbench.engine.devices import choose_device
from workbench.engine.dropout import Noise
from workbench.engine.ema import Average
from workbench.engine.parameter_groups import StartingPoint
from workbench.record import EpochResult, now
from workbench.record.strategy import Phase, Plan
from workbench.tasks import Task

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

__all__ = ["Diverged", "Engine", "Interrupted", "OutOfMemory", "choose_device"]


class Interrupted(Exception):
    """The caller asked to stop; the engine stands after its last report."""


class Diverged(ArithmeticError):
    """The loss or another metric is not finite.

    Attributes:
        epoch: The epoch in which it happened; within one, epochs done, such as 1.25.
        what: For example ``train/loss is nan``.
    """

    def __init__(self, epoch: float, what: str) -> None:
        super().__init__(f"diverged at epoch {epoch}: {what}")
        self.epoch = epoch
        self.what = what


class Engine:
    """Trains one model on one split by one plan.

    An epoch makes ``plan.reports_per_epoch`` reports; where that is one, a report is an epoch.

    Attributes:
        device: Where the model runs.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        staged: Staged,
        task: Task,
        data: Data,
        seed: int,
        device: torch.device,
        interrupted: Callable[[], bool],
    ) -> None:
        """Put everything in its place; no training yet.

        Args:
            plan: Complete; the freeze depths must fit the backbone.
            staged: Trained in place.
            task: Must have as many outputs as the model.
            data: Left as it is.
            seed: The trial's training seed, for order, augmentation and dropout.
            device: Of the model and the batches.
            interrupted: Asked before every batch; true raises ``Interrupted`` out of ``epochs``.

        Raises:
            ValueError: A phase, a method or the augmentation cannot be built or does not fit.
            OutOfMemory: The model does not fit into the device's memory.
        """
        if device.type == "cuda":
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False
        self.device = device
        self._plan, self._task, self._seed = plan, task, seed
        self._interrupted = interrupted
        self._report = 0
        self._confusion: list[list[int]] | None = None
        self._validated: tuple[Tensor, Tensor] | None = None
        self._stand: tuple[int, int] | None = None
        mixup.check(plan, data.kind)
        if plan.lora is not None:
            deepest = min(parameter_groups.depth(phase, phase.epochs) for phase in plan.phases)
            with memory.told("adding LoRA's adapters", device=torch.device("cpu")):
                staged = lora.inject(staged, plan.lora, frozen=deepest, seed=seed)
        self._staged = staged
        parameter_groups.check(staged, plan)
        with self._told("moving the model to its device"):
            staged.module.to(device)
            self._noise = Noise(staged, seed)
            self._batches = Batches(data, plan, seed=seed, device=device)
            self._validation_inputs = data.validation.inputs.to(device)
            self._validation_targets = data.validation.targets.to(device)
            if plan.reports_per_epoch > self._batches.steps:
                raise ValueError(
                    f"report_every is {plan.report_every:g}, {plan.reports_per_epoch} reports an "
                    f"epoch, but an epoch has no more than {self._batches.steps} steps; set it to "
                    f"1, or to at least {1 / self._batches.steps:.3g}."
                )
            pulled = any(phase.l2_sp for phase in plan.phases)
            self._start = StartingPoint(staged) if pulled else None
            self._average = None if plan.ema is None else Average(staged.module, plan.ema)
            self._optimizer: torch.optim.Optimizer
            self._settle(1)
            self._snapshot = self._take_snapshot()

    @property
    def confusion(self) -> list[list[int]] | None:
        """Rows true, columns predicted, of the last validation; None before it."""
        return self._confusion

    @property
    def validated(self) -> tuple[Tensor, Tensor] | None:
        """Outputs and targets of the last validation; None before it."""
        return self._validated

    @property
    def parameters(self) -> dict[str, int]:
        """Number of parameters that are there now, ``total``, and that train now, ``trainable``."""
        return stages.parameters(self._staged)

    def epochs(self) -> Iterator[EpochResult]:
        """Train on from the last report, and yield after each one; reports count through.

        Raises:
            Interrupted: ``interrupted()`` was true before a batch. What was begun is undone.
            Diverged: A metric was not finite; the report is not yielded.
            OutOfMemory: A step does not fit into the device's memory.
            RuntimeError: A loader process died; see ``batches.is_dead_loader``.
        """
        each = self._plan.reports_per_epoch
        while self._report < self._plan.reports:
            report = self._report + 1
            epoch, part = self._report // each + 1, self._report % each
            self._settle(epoch)
            try:
                with self._told(f"training with batches of {self._plan.batch_size}", passes=True):
                    metrics = self._run(epoch, part)
            except Interrupted:
                self.restore(self._snapshot)
                raise
            for name, value in metrics.items():
                if not math.isfinite(value):
                    done = report // each if report % each == 0 else round(report / each, 3)
                    raise Diverged(done, f"{name} is {value}")
            self._report = report
            self._snapshot = self._take_snapshot()
            phase = self._plan.phases[self._place_of(epoch)[0]]
            yield EpochResult(epoch=report, phase=phase.name, metrics=metrics, timestamp=now())

    def state(self) -> dict[str, Any]:
        """All that continuing after the last report needs, on the CPU.

        Only tensors, numbers, strings, lists and dictionaries: ``torch.load(weights_only=True)``
        reads it. Read it, do not change it.
        """
        return self._snapshot

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same plan, data and seed."""
        self._report = state["epoch"]
        self._confusion, self._validated = state["confusion"], None
        self._stand = None
        self._settle(max(math.ceil(self._report / self._plan.reports_per_epoch), 1))
        self._staged.module.load_state_dict(state["weights"])
        if self._average is not None:
            self._average.restore(state["average"])
        groups = self._optimizer.state_dict()["param_groups"]
        # A copy: torch would train on in the very tensors of the state.
        past = _copied(state["optimizer"])
        self._optimizer.load_state_dict({"state": past, "param_groups": groups})
        self._snapshot = self._take_snapshot()

    def weights(self) -> dict[str, Tensor]:
        """What is kept of the model after the last report: what was validated.

        The average's where there is one; a plain model's where it was trained with adapters.
        Tensors on the CPU that share no memory.
        """
        kept: dict[str, Tensor] = self._snapshot["average"] or self._snapshot["weights"]
        if self._plan.lora is not None:
            return lora.merged(self._staged.module, kept)
        return {name: tensor.clone() for name, tensor in kept.items()}

    def _told(self, doing: str, *, passes: bool = False) -> AbstractContextManager[None]:
        """Say what is needed where memory runs out."""

        def needs() -> str:
            example = None
            if passes:
                count = min(2, len(self._validation_targets))
                inputs = self._validation_inputs[torch.arange(count)]
                example = batches.moved(inputs, self.device)
            return memory.needed(
                self._staged,
                example,
                depth=0 if self._stand is None else self._stand[1],
                samples=self._plan.micro_batch_size or self._plan.batch_size,
                slots=max(optimizers.OPTIMIZERS[p.optimizer].slots for p in self._plan.phases),
            )

        return memory.told(doing, device=self.device, needs=needs, passes=passes)

    def _place_of(self, epoch: int) -> tuple[int, int]:
        """Number of the phase that an epoch lies in, and of the epoch within it, from 1."""
        before = 0
        for number, phase in enumerate(self._plan.phases):
            if epoch <= before + phase.epochs:
                return number, epoch - before
            before += phase.epochs
        raise ValueError(f"Epoch {epoch} lies beyond the plan's {before} epochs.")

    def _settle(self, epoch: int) -> None:
        """Freeze what an epoch freezes; a phase begins with an optimizer without a past.

        Within a phase, parameters that were trained already keep their past.
        """
        number, within = self._place_of(epoch)
        phase = self._plan.phases[number]
        frozen = parameter_groups.depth(phase, within)
        if self._stand == (number, frozen):
            return
        goes_on = self._stand is not None and self._stand[0] == number
        past = self._optimizer.state if goes_on else {}
        adapters = self._plan.lora is not None
        parameter_groups.select(self._staged, phase, frozen=frozen, adapters=adapters)
        self._optimizer = optimizers.build(phase, parameter_groups.groups(self._staged, phase))
        for parameter in stages.trainable_parameters(self._staged):
            if parameter in past:
                self._optimizer.state[parameter] = past[parameter]
        self._stand = (number, frozen)

    def _run(self, epoch: int, part: int) -> dict[str, float]:
        started = time.perf_counter()
        trained = self._train_part(epoch, part)
        validated = self._validate()
        each = self._plan.reports_per_epoch
        return {
            **{f"train/{name}": value for name, value in trained.items()},
            **{f"validation/{name}": value for name, value in validated.items()},
            **self._rates,
            **({"epochs": epoch - 1 + (part + 1) / each} if each > 1 else {}),
            "seconds": time.perf_counter() - started,
        }

    def _train_part(self, epoch: int, part: int) -> dict[str, float]:
        """Metrics of the forward passes that the training steps of a report were made from."""
        number, within = self._place_of(epoch)
        phase, steps = self._plan.phases[number], self._batches.steps
        each = self._plan.reports_per_epoch
        first, last = round(steps * part / each), round(steps * (part + 1) / each)
        stages.train_mode(self._staged, parameter_groups.depth(phase, within))
        losses, passed, targets, count = [], [], [], 0
        taken = enumerate(
            self._batches.part(epoch, first, last), start=(within - 1) * steps + first
        )
        for step, (batch_inputs, batch_targets) in taken:
            self._stop_if_asked()
            self._set_learning_rates(phase, step)
            loss, batch_outputs = self._step(phase, epoch, step, batch_inputs, batch_targets)
            losses.append(loss * len(batch_targets))
            passed.append(batch_outputs)
            targets.append(batch_targets)
            count += len(batch_targets)
        mean = float(torch.stack(losses).sum()) / count
        return {"loss": mean, **self._task.metrics(torch.cat(passed), torch.cat(targets))}

    def _step(
        self, phase: Phase, epoch: int, step: int, inputs: Batch, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One step of the optimizer: the batch's mean loss, and its outputs."""
        plan = self._plan
        if plan.mixup or plan.cutmix:
            assert isinstance(inputs, Tensor)
            inputs, targets = mixup.mix(
                inputs,
                self._task.soft(targets),
                mixup=plan.mixup,
                cutmix=plan.cutmix,
                seed=self._seed,
                epoch=epoch,
                step=step,
            )
        passes = batches.split(torch.arange(len(targets)), plan.micro_batch_size or len(targets))
        self._optimizer.zero_grad(set_to_none=True)
        # A single pass takes the batch as it is.
        whole = self._task.total_weight(targets) if len(passes) > 1 else None
        losses, every = [], []
        for number, rows in enumerate(passes):
            self._noise.begin(epoch, step, number)
            taken = slice(None) if whole is None else slice(int(rows[0]), int(rows[-1]) + 1)
            passed = self._forward(batches.rows(inputs, taken))
            loss = self._task.loss(passed, targets[taken])
            if whole is not None:
                loss = loss * (self._task.total_weight(targets[taken]) / whole)
            torch.autograd.backward(loss)
            losses.append(loss.detach())
            every.append(passed.detach())
        if self._start is not None and phase.l2_sp:
            self._start.pull(phase.l2_sp)
        if plan.clip_norm is not None:
            live = stages.trainable_parameters(self._staged)
            nn.utils.clip_grad_norm_(live, plan.clip_norm)
        self._optimizer.step()
        if self._average is not None:
            self._average.update()
        return torch.stack(losses).sum(), torch.cat(every)

    def _forward(self, inputs: Batch) -> Tensor:
        precision = self._plan.precision
        return inference.forward(
            self._staged.module, inputs, device=self.device, precision=precision
        )

    def _validate(self) -> dict[str, float]:
        module, targets = self._staged.module, self._validation_targets
        with ema.lent(module, {} if self._average is None else self._average.tensors):
            every = inference.of_part(
                module,
                self._validation_inputs,
                device=self.device,
                precision=self._plan.precision,
                before=self._stop_if_asked,
            )
        self._confusion = self._task.confusion(every, targets)
        self._validated = every, targets
        return inference.measured(self._task, every, targets)

    def _set_learning_rates(self, phase: Phase, step: int) -> None:
        factor = optimizers.factor(
            phase.schedule,
            step=step,
            steps=phase.epochs * self._batches.steps,
            steps_per_epoch=self._batches.steps,
        )
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate"] * factor
        self._rates = {"learning_rate": phase.learning_rate * factor}
        if phase.head_learning_rate not in (None, phase.learning_rate):
            self._rates["learning_rate/head"] = phase.head_learning_rate * factor

    def _stop_if_asked(self) -> None:
        if self._interrupted():
            raise Interrupted(f"asked to stop after report {self._report}")

    def _take_snapshot(self) -> dict[str, Any]:
        return {
            "epoch": self._report,
            "confusion": self._confusion,
            "weights": _copied(dict(self._staged.module.state_dict())),
            "average": {} if self._average is None else _copied(self._average.tensors),
            "optimizer": _copied(self._optimizer.state_dict()["state"]),
        }


def _copied(value: Any) -> Any:
    """Every tensor in nested dictionaries on the CPU, contiguous, in memory of its own."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
    return value
