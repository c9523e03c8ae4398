"""The only training loop: it trains a plan's phases and yields a report after each epoch.

It can be stopped before any batch, and resumed from the state after any report. On the CPU, with
the same number of threads, a resumed trial and an uninterrupted one are equal bit for bit. The
caller sets the number of threads (``plan.threads``), because it belongs to the process. The other
modules of this package do the parts: ``parameter_groups``, ``batches``, ``mixup``, ``ema``,
``lora`` and ``inference``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench import usercode
from workbench.backbones import stages
from workbench.backbones.stages import Staged
from workbench.datasets import Data
from workbench.engine import (
    batches,
    devices,
    ema,
    inference,
    lora,
    memory,
    mixup,
    optimizers,
    parameter_groups,
)
from workbench.engine.activations import ActivationSource
from workbench.engine.batches import Batches
from workbench.engine.dropout import DropoutSeeds
from workbench.engine.ema import Average
from workbench.engine.frozen_stages import FrozenStages, is_cacheable
from workbench.engine.parameter_groups import L2SPPenalty
from workbench.record import EpochResult, now
from workbench.record.strategy import Phase, Plan
from workbench.tasks.task import Task

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch


class Interrupted(Exception):
    """The caller asked to stop within an epoch; only ``restore`` makes the engine usable again."""


class DivergedError(ArithmeticError):
    """The loss or another metric is not finite.

    Args:
        epoch: The epoch in which it happened; with several reports an epoch, such as 1.25.
        what: For example ``train/loss is nan``.
    """

    def __init__(self, epoch: float, what: str) -> None:
        number = int(epoch) if epoch == int(epoch) else round(epoch, 3)
        super().__init__(f"diverged at epoch {number}: {what}")


class Engine:
    """Trains one model on one split by one plan.

    An epoch has ``plan.reports_per_epoch`` reports, usually one.

    Attributes:
        device: Of the model.
        validated: Outputs and targets of the last validation; None before it.
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
        activation_source: ActivationSource | None = None,
    ) -> None:
        """Prepare the model, the batches and the optimizer; no training yet.

        Args:
            plan: Complete; the freeze depths must fit the backbone.
            staged: Trained in place.
            task: Must have as many outputs as the model.
            data: Not changed.
            seed: The trial's training seed, for order, augmentation and dropout.
            device: Of the model and the batches.
            interrupted: Polled before every batch; true raises ``Interrupted`` from ``epochs``.
            activation_source: Gives the outputs of frozen stages; None runs them in every epoch.

        Raises:
            ValueError: A phase, a method or the augmentation cannot be built or does not fit.
            OutOfMemoryError: The model does not fit into the device's memory.
        """
        self.device = device
        self._plan, self._task, self._seed = plan, task, seed
        self._interrupted = interrupted
        self._report = 0
        self.validated: tuple[Tensor, Tensor] | None = None
        # Number of the phase, and of frozen stages, that the optimizer was built for.
        self._settled: tuple[int, int] | None = None
        mixup.check(plan, data.kind)
        if plan.lora is not None:
            deepest = min(parameter_groups.depth(phase, phase.epochs) for phase in plan.phases)
            example = data.validation.inputs[torch.arange(min(2, len(data.validation.inputs)))]
            with memory.explain_errors("adding LoRA's adapters", device=torch.device("cpu")):
                staged = lora.inject(staged, plan.lora, frozen=deepest, seed=seed, example=example)
        self._staged = staged
        parameter_groups.check(staged, plan)
        doing = "moving the model to its device"
        with memory.explain_errors(doing, device=device, needs=self._needs):
            devices.move(staged.module, device, plan.precision)
            self._dropout_seeds = DropoutSeeds(staged, seed, device)
            self._batches = Batches(data, plan, seed=seed, device=device)
            cacheable = is_cacheable(plan, device, data.train, data.validation)
            self._frozen = FrozenStages(
                source=activation_source if cacheable else None,
                plan=plan,
                data=data,
                batches=self._batches,
                before_batch=self._stop_if_asked,
            )
            self._validation_inputs = data.validation.inputs.to(device)
            self._validation_targets = data.validation.targets.to(device)
            penalised = any(phase.l2_sp for phase in plan.phases)
            self._l2_sp = L2SPPenalty(staged) if penalised else None
            self._average = None if plan.ema is None else Average(staged.module, plan.ema)
            # Those of libraries are computed again from what is saved; an author's may not be.
            own = usercode.is_reference(plan.backbone["name"])
            self._unsaved = stages.unsaved(staged) if own else {}
            self._optimizer: torch.optim.Optimizer
            self._settle(1)

    @property
    def parameters(self) -> dict[str, int]:
        """Number of parameters: all (``total``), and those trained now (``trainable``)."""
        return stages.parameters(self._staged)

    @property
    def saved_seconds(self) -> float:
        """See ``FrozenStages``."""
        return self._frozen.saved_seconds

    def epochs(self) -> Iterator[EpochResult]:
        """Train from the last report on, and yield each report; numbers count through all phases.

        Raises:
            Interrupted: ``interrupted()`` was true before a batch.
            DivergedError: A metric is not finite; the report is not yielded.
            OutOfMemoryError: A step does not fit into the device's memory.
            ValueError: Training changes a buffer that is not saved with the model.
            RuntimeError: A loader process died; see ``batches.is_dead_loader``.
        """
        each = self._plan.reports_per_epoch
        while self._report < self._plan.reports:
            report = self._report + 1
            epoch, part = self._report // each + 1, self._report % each
            self._settle(epoch)
            size = self._plan.micro_batch_size or self._plan.batch_size
            doing = f"training with batches of {size}"
            needs = partial(self._needs, passes=True)
            with memory.explain_errors(doing, device=self.device, needs=needs, passes=True):
                metrics = self._run(epoch, part)
            for name, value in metrics.items():
                if not math.isfinite(value):
                    raise DivergedError(report / each, f"{name} is {value}")
            self._report = report
            phase = self._plan.phases[self._plan.place_of(epoch)[0]]
            yield EpochResult(epoch=report, phase=phase.name, metrics=metrics, timestamp=now())

    def state(self) -> dict[str, Any]:
        """Everything that is needed to resume; only right after a report, or before the first one.

        Only tensors, numbers, strings, lists and dictionaries, so that
        ``torch.load(weights_only=True)`` reads it. The tensors are those that training changes,
        not copies: store the state before the training continues.
        """
        return {
            "epoch": self._report,
            "weights": {**self._staged.module.state_dict(), **self._frozen_weights},
            "average": {} if self._average is None else self._average.tensors,
            "optimizer": self._optimizer.state_dict()["state"],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same plan, data and seed; training changes its tensors."""
        self._report = state["epoch"]
        self.validated = None
        self._staged.module.load_state_dict(state["weights"])
        # After the weights, of which it copies those that are frozen.
        self._settled = None
        self._settle(max(math.ceil(self._report / self._plan.reports_per_epoch), 1))
        if self._average is not None:
            self._average.restore(state["average"])
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})

    def weights(self) -> dict[str, Tensor]:
        """The model that was validated in the last report, as a state dict on the CPU.

        Of the average if there is one; adapters are merged. The tensors are copies, but those that
        training does not change any more may be the model's own.
        """
        average = {} if self._average is None else self._average.tensors
        if self._plan.lora is not None:
            return lora.merged(self._staged.module, average)
        kept = {} if average else self._frozen_weights
        live = average or self._staged.module.state_dict()
        return {name: kept[name] if name in kept else devices.copied(live[name]) for name in live}

    def _needs(self, *, passes: bool = False) -> str:
        """The memory that training needs, in words; with that of a pass if asked for."""
        example = None
        if passes:
            few = torch.arange(min(2, len(self._validation_targets)))
            example = batches.to_device(self._validation_inputs[few], self.device)
        return memory.needed(
            self._staged,
            example,
            samples=self._plan.micro_batch_size or self._plan.batch_size,
            slots=max(optimizers.OPTIMIZERS[p.optimizer].slots for p in self._plan.phases),
        )

    def _settle(self, epoch: int) -> None:
        """Freeze stages for an epoch, and build the optimizer when the trained set changes.

        A phase begins with a new optimizer; within a phase, parameters keep their optimizer state.
        """
        number, within = self._plan.place_of(epoch)
        phase = self._plan.phases[number]
        frozen = parameter_groups.depth(phase, within)
        if self._settled == (number, frozen):
            return
        same_phase = self._settled is not None and self._settled[0] == number
        past = self._optimizer.state if same_phase else {}
        adapters = self._plan.lora is not None
        parameter_groups.select(self._staged, phase, frozen=frozen, adapters=adapters)
        self._optimizer = optimizers.build(phase, parameter_groups.groups(self._staged, phase))
        for parameter in stages.trainable_parameters(self._staged):
            if parameter in past:
                self._optimizer.state[parameter] = past[parameter]
        self._settled = (number, frozen)
        # They stay as they are until the set of trained parameters changes: copied once, and those
        # that are never trained again not at all.
        last = number == len(self._plan.phases) - 1
        for_good = last and frozen == parameter_groups.depth(phase, phase.epochs)
        self._frozen_weights = {
            name: devices.on_cpu(weight) if for_good else devices.copied(weight)
            for name, weight in self._staged.module.named_parameters()
            if not weight.requires_grad
        }

    def _run(self, epoch: int, part: int) -> dict[str, float]:
        started = time.perf_counter()
        trained = self._train_part(epoch, part)
        stages.require_unchanged(self._staged, self._unsaved, self._plan.backbone["name"])
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
        """Train the steps of a report; metrics of the forward passes that they used."""
        number, within = self._plan.place_of(epoch)
        phase, steps = self._plan.phases[number], self._batches.steps
        each = self._plan.reports_per_epoch
        first, last = round(steps * part / each), round(steps * (part + 1) / each)
        self._stored = self._frozen.outputs(self._staged, epoch)
        stages.train_mode(self._staged, parameter_groups.depth(phase, within))
        losses, outputs, targets = [], [], []
        weight: Tensor | float = 0.0
        batch_positions = self._batches.positions(epoch, first, last)
        batch_inputs: Iterable[Batch | None]
        if self._stored.train is None:
            batch_inputs = self._batches.inputs(epoch, first, last)
        else:  # They are read only where the rest of the model needs them.
            batch_inputs = [None] * len(batch_positions)
        steps_of_part = enumerate(
            zip(batch_positions, batch_inputs, strict=True), start=(within - 1) * steps + first
        )
        for step, (positions, inputs) in steps_of_part:
            self._stop_if_asked()
            batch_targets = self._batches.targets(positions)
            self._rates = optimizers.set_learning_rates(
                self._optimizer, phase, step=step, steps_per_epoch=steps
            )
            loss, batch_weight, batch_outputs = self._step(
                phase, epoch, step, positions, inputs, batch_targets
            )
            losses.append(loss * batch_weight)
            outputs.append(batch_outputs)
            targets.append(batch_targets)
            weight = weight + batch_weight
        # One transfer from the device for all steps, not one for each.
        mean = float(torch.stack(losses).sum()) / float(weight)
        return {"loss": mean, **self._task.metrics(torch.cat(outputs), torch.cat(targets))}

    def _step(
        self,
        phase: Phase,
        epoch: int,
        step: int,
        positions: Tensor,
        inputs: Batch | None,
        targets: Tensor,
    ) -> tuple[Tensor, Tensor | float, Tensor]:
        """One step of the optimizer: the batch's mean loss, its weight in it, and its outputs."""
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
        parts = batches.parts(len(targets), plan.micro_batch_size)
        # As zero_grad does, which takes longer than a small layer.
        for group in self._optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
        # With several passes, each loss counts by its part of the batch's weight, so that gradients
        # add up to those of the whole batch.
        whole = self._task.total_weight(targets)
        losses, outputs = [], []
        for number, part in enumerate(parts):
            self._dropout_seeds.begin(epoch, step, number)
            given = None if inputs is None else batches.rows(inputs, part)
            passed = self._forward(epoch, positions[part], given)
            loss = self._task.loss(passed, targets[part])
            if len(parts) > 1:
                loss = loss * (self._task.total_weight(targets[part]) / whole)
            torch.autograd.backward(loss)
            losses.append(loss.detach())
            outputs.append(passed.detach())
        if self._l2_sp is not None and phase.l2_sp:
            self._l2_sp.add_gradient(phase.l2_sp)
        # After the penalty, whose gradient is part of the norm.
        if plan.clip_norm is not None:
            live = stages.trainable_parameters(self._staged)
            nn.utils.clip_grad_norm_(live, plan.clip_norm)
        self._optimizer.step()
        if self._average is not None:
            self._average.update()
        if len(parts) == 1:
            # Copied: it may be a part of a larger tensor.
            return losses[0], whole, outputs[0].clone()
        return torch.stack(losses).sum(), whole, torch.cat(outputs)

    def _forward(self, epoch: int, positions: Tensor, inputs: Batch | None) -> Tensor:
        module, stored = self._staged.module, self._stored.train
        if stored is not None:
            return stored.forward(module, positions, partial(self._batches.read, epoch))
        assert inputs is not None
        return inference.forward(module, inputs, device=self.device, precision=self._plan.precision)

    def _validate(self) -> dict[str, float]:
        module, targets = self._staged.module, self._validation_targets
        with ema.temporary_weights(module, {} if self._average is None else self._average.tensors):
            outputs = inference.outputs_of(
                module,
                self._validation_inputs,
                device=self.device,
                precision=self._plan.precision,
                stored=self._stored.validation,
                before=self._stop_if_asked,
            )
        self.validated = outputs, targets
        return inference.metrics_of(self._task, outputs, targets)

    def _stop_if_asked(self) -> None:
        if self._interrupted():
            raise Interrupted(f"asked to stop after report {self._report}")
