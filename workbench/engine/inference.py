"""Outputs of a model for a whole part, and a model rebuilt from the weights of a trial.

Validation, test and ``predict`` all use these functions, so that batches, autocast and mode are
the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from workbench import backbones
from workbench.backbones.stages import Staged
from workbench.engine import batches
from workbench.record.strategy import Knobs
from workbench.tasks.task import Task

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch, Inputs
    from workbench.engine.activations import StoredActivations

MAX_BATCH = 512
# Most numbers in a batch's inputs: images of 224 pixels come in smaller batches.
MAX_NUMBERS = 2**24


class WeightsMismatchError(ValueError):
    """Weights do not fit the backbone of their plan."""


def forward(module: nn.Module, inputs: Batch, *, device: torch.device, precision: str) -> Tensor:
    """Outputs of a batch in ``float32``, whatever the precision of the computation.

    Args:
        module: On the device.
        inputs: On the device.
        device: Of both.
        precision: Of the plan: ``float32``, ``tf32`` or ``bfloat16``.
    """
    reduced = precision == "bfloat16"
    with torch.autocast(device.type, torch.bfloat16) if reduced else nullcontext():
        outputs: Tensor = module(inputs)
    return outputs.float() if reduced else outputs


def outputs_of(
    module: nn.Module,
    inputs: Inputs,
    *,
    device: torch.device,
    precision: str,
    stored: StoredActivations | None = None,
    before: Callable[[], None] = lambda: None,
) -> Tensor:
    """Outputs for every sample, ``float32 [N, O]`` on the device; the model is left in eval mode.

    Args:
        module: On the device.
        inputs: N samples, at least one.
        device: Of the model.
        precision: As for ``forward``.
        stored: Outputs of the frozen stages for these samples, in place of running them.
        before: Called before every batch; may raise.
    """
    module.eval()
    outputs = []
    with torch.inference_mode():
        positions = torch.arange(len(inputs))
        for chunk in torch.split(positions, batch_size(inputs)):
            before()
            if stored is not None:
                outputs.append(stored.forward(module, chunk, inputs.__getitem__))
                continue
            batch = batches.to_device(inputs[chunk], device)
            outputs.append(forward(module, batch, device=device, precision=precision))
        return torch.cat(outputs)


def batch_size(inputs: Inputs) -> int:
    """Samples of a batch of ``outputs_of``.

    It depends on the samples alone, so that the same model gives the same bits.
    """
    numbers = batches.input_size(inputs[torch.arange(1)])
    return max(1, min(MAX_BATCH, MAX_NUMBERS // numbers))


def metrics_of(task: Task, outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """The loss and every metric of a task for a whole part, by names without a prefix."""
    with torch.inference_mode():
        return {"loss": float(task.loss(outputs, targets)), **task.metrics(outputs, targets)}


def rebuild_model(
    backbone: Knobs,
    weights: Mapping[str, Tensor],
    *,
    owner: str,
    input_shape: tuple[int, ...],
    outputs: int,
) -> Staged:
    """A backbone with the weights of a trial, on the CPU.

    Args:
        backbone: Of the trial's plan.
        weights: State dict of the whole model: adapters merged, and of the average if there is one.
        owner: Name of the trial in messages.
        input_shape: Of one sample.
        outputs: Of the head.

    Raises:
        NotDownloadedError: The model is not on this machine.
        WeightsMismatchError: The weights do not fit this backbone.
    """
    staged = backbones.build(
        backbone,
        weights=None,
        keep_head=False,
        input_shape=input_shape,
        outputs=outputs,
        seed=0,
    )
    try:
        staged.module.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())  # torch's message has several lines.
        message = f"The weights of {owner} do not fit the backbone of its plan: {reason}"
        raise WeightsMismatchError(message) from error
    return staged
