"""The only training loop: a plan's phases, epoch by epoch.

Knows neither Optuna nor MLflow, nor any file: it yields what it measured, and can be stopped before
any batch and continued after any epoch. On the CPU, with the same number of threads, a continued
trial and an uninterrupted one are equal to the last bit. The caller sets the number of threads
(``plan.threads``), because that belongs to the process.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench import augmentations, optimizers, stages
from workbench.datasets import Data, Part
from workbench.randomness import derive
from workbench.record import EpochResult, now
from workbench.stages import Staged
from workbench.strategy import Phase, Plan
from workbench.tasks import Task

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

VALIDATION_BATCH = 512


class Interrupted(Exception):
    """The caller asked to stop; the engine stands after its last finished epoch."""


class Diverged(ArithmeticError):
    """The loss or another metric is not finite.

    Attributes:
        epoch: The epoch in which it happened.
        what: For example ``train/loss is nan``.
    """

    def __init__(self, epoch: int, what: str) -> None:
        super().__init__(f"diverged at epoch {epoch}: {what}")
        self.epoch = epoch
        self.what = what


class Engine:
    """Trains one model on one split by one plan.

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
            ValueError: A phase or the augmentation cannot be built.
        """
        if device.type == "cuda":
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.benchmark = False
        self.device = device
        self._plan, self._task, self._seed = plan, task, seed
        self._interrupted, self._staged = interrupted, staged
        staged.module.to(device)
        self._place = (0, 0)
        self._key_dropout()
        self._augment = augmentations.build(plan.augmentation, mean=data.mean, std=data.std)
        # Augmentation works on the CPU; without it the samples may as well wait on the device.
        self._train = data.train if self._augment else _moved(data.train, device)
        self._validation = _moved(data.validation, device)
        self._steps_per_epoch = len(_batches(data.train.index, plan.batch_size))
        self._epoch = 0
        self._confusion: list[list[int]] | None = None
        self._begin(0)
        self._snapshot = self._take_snapshot()

    @property
    def confusion(self) -> list[list[int]] | None:
        """Rows true, columns predicted, of the last validation; None before it."""
        return self._confusion

    @property
    def parameters(self) -> dict[str, int]:
        """Number of parameters in the current phase, ``total`` and ``trainable``."""
        return stages.parameters(self._staged)

    def epochs(self) -> Iterator[EpochResult]:
        """Train on from the last finished epoch, and yield after each one.

        Raises:
            Interrupted: ``interrupted()`` was true before a batch. The epoch begun is undone.
            Diverged: A metric was not finite; the epoch is not yielded.
        """
        while self._epoch < self._plan.epochs:
            epoch = self._epoch + 1
            phase = self._phase_of(epoch)
            if phase != self._phase:
                self._begin(phase)
            try:
                metrics = self._run(epoch)
            except Interrupted:
                self.restore(self._snapshot)
                raise
            for name, value in metrics.items():
                if not math.isfinite(value):
                    raise Diverged(epoch, f"{name} is {value}")
            self._epoch = epoch
            self._snapshot = self._take_snapshot()
            yield EpochResult(
                epoch=epoch, phase=self._plan.phases[phase].name, metrics=metrics, timestamp=now()
            )

    def state(self) -> dict[str, Any]:
        """All that continuing after the last finished epoch needs, on the CPU.

        Only tensors, numbers, strings, lists and dictionaries: ``torch.load(weights_only=True)``
        reads it. Read it, do not change it.
        """
        return self._snapshot

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same plan, data and seed."""
        self._epoch = state["epoch"]
        self._confusion = state["confusion"]
        self._begin(self._phase_of(max(self._epoch, 1)))
        self._staged.module.load_state_dict(state["weights"])
        groups = self._optimizer.state_dict()["param_groups"]
        # A copy: torch would train on in the very tensors of the state.
        past = _copied(state["optimizer"])
        self._optimizer.load_state_dict({"state": past, "param_groups": groups})
        self._snapshot = self._take_snapshot()

    def weights(self) -> dict[str, Tensor]:
        """The model after the last finished epoch: tensors on the CPU that share no memory."""
        weights: dict[str, Tensor] = self._snapshot["weights"]
        return {name: tensor.clone() for name, tensor in weights.items()}

    def _key_dropout(self) -> None:
        """Give every dropout layer numbers of its own at each step.

        From one generator for all of them, a frozen layer, which draws nothing, would shift the
        layers after it: the freeze depth would change more than what is frozen.
        """

        def seed(layer: nn.Module, _: object, name: str) -> None:
            if layer.training:
                torch.manual_seed(derive(self._seed, "dropout", *self._place, name))

        for name, layer in self._staged.module.named_modules():
            if isinstance(layer, nn.modules.dropout._DropoutNd):
                layer.register_forward_pre_hook(partial(seed, name=name))

    def _phase_of(self, epoch: int) -> int:
        """Number of the phase that an epoch lies in."""
        last = 0
        for number, phase in enumerate(self._plan.phases):
            last += phase.epochs
            if epoch <= last:
                return number
        raise ValueError(f"Epoch {epoch} lies beyond the plan's {last} epochs.")

    def _begin(self, number: int) -> None:
        """Freeze what a phase freezes, and give it an optimizer without a past."""
        phase = self._plan.phases[number]
        stages.freeze(self._staged, phase.freeze_depth)
        self._optimizer = optimizers.build(phase, stages.trainable_parameters(self._staged))
        self._phase = number

    def _run(self, epoch: int) -> dict[str, float]:
        started = time.perf_counter()
        trained = self._train_epoch(epoch)
        validated = self._validate()
        return {
            **{f"train/{name}": value for name, value in trained.items()},
            **{f"validation/{name}": value for name, value in validated.items()},
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "seconds": time.perf_counter() - started,
        }

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        """Metrics of the forward passes that the training steps were made from."""
        phase = self._plan.phases[self._phase]
        generator = torch.Generator().manual_seed(derive(self._seed, "order", epoch))
        order = torch.randperm(len(self._train.targets), generator=generator)
        # For what draws without a layer of its own; see `_key_dropout` for layers.
        torch.manual_seed(derive(self._seed, "dropout", epoch))
        stages.train_mode(self._staged, phase.freeze_depth)
        before = sum(earlier.epochs for earlier in self._plan.phases[: self._phase])
        first_step = (epoch - before - 1) * self._steps_per_epoch
        losses, outputs, targets = [], [], []
        for step, positions in enumerate(_batches(order, self._plan.batch_size), start=first_step):
            self._stop_if_asked()
            self._set_learning_rate(phase, step)
            self._place = (epoch, step)
            batch_inputs, batch_targets = self._batch(positions, epoch)
            batch_outputs = self._staged.module(batch_inputs)
            loss = self._task.loss(batch_outputs, batch_targets)
            self._optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            self._optimizer.step()
            losses.append(loss.detach() * len(positions))
            outputs.append(batch_outputs.detach())
            targets.append(batch_targets)
        mean = float(torch.stack(losses).sum()) / len(order)
        return {"loss": mean, **self._task.metrics(torch.cat(outputs), torch.cat(targets))}

    def _validate(self) -> dict[str, float]:
        self._staged.module.eval()
        outputs = []
        with torch.inference_mode():
            positions = torch.arange(len(self._validation.targets))
            for batch in torch.split(positions, VALIDATION_BATCH):
                self._stop_if_asked()
                outputs.append(self._staged.module(self._validation.inputs[batch]))
            every, targets = torch.cat(outputs), self._validation.targets
            self._confusion = self._task.confusion(every, targets)
            loss = float(self._task.loss(every, targets))
            return {"loss": loss, **self._task.metrics(every, targets)}

    def _batch(self, positions: Tensor, epoch: int) -> tuple[Batch, Tensor]:
        train = self._train
        inputs, targets = train.inputs, train.targets
        if self._augment is None:
            return inputs[positions], targets[positions.to(self.device)]
        taken = inputs[positions]
        assert isinstance(taken, Tensor)
        augmented = self._augment(taken, seed=self._seed, epoch=epoch, index=train.index[positions])
        return augmented.to(self.device), targets[positions].to(self.device)

    def _set_learning_rate(self, phase: Phase, step: int) -> None:
        rate = phase.learning_rate * optimizers.factor(
            phase.schedule,
            step=step,
            steps=phase.epochs * self._steps_per_epoch,
            steps_per_epoch=self._steps_per_epoch,
        )
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def _stop_if_asked(self) -> None:
        if self._interrupted():
            raise Interrupted(f"asked to stop after epoch {self._epoch}")

    def _take_snapshot(self) -> dict[str, Any]:
        return {
            "epoch": self._epoch,
            "confusion": self._confusion,
            "weights": _copied(dict(self._staged.module.state_dict())),
            "optimizer": _copied(self._optimizer.state_dict()["state"]),
        }


def choose_device(name: str) -> torch.device:
    """The device of a plan: ``cuda``, ``mps`` or ``cpu``; ``auto`` takes the first there is.

    Raises:
        ValueError: torch sees no such device.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available.get(name, False):
        there = ", ".join(device for device, found in available.items() if found)
        raise ValueError(
            f"device is {name}, but torch finds only {there} here; say {there} or auto."
        )
    return torch.device(name)


def _batches(order: Tensor, size: int) -> list[Tensor]:
    """The order in batches; a last batch of one joins the one before.

    Batch normalisation has no variance to divide by in a batch of one.
    """
    batches = list(torch.split(order, size))
    if size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _moved(part: Part, device: torch.device) -> Part:
    return Part(
        inputs=part.inputs.to(device), targets=part.targets.to(device), index=part.index.to(device)
    )


def _copied(value: Any) -> Any:
    """Every tensor in nested dictionaries on the CPU, contiguous, in memory of its own."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
    return value
