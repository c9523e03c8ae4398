"""What a model puts out for a whole part, and a model made again from the weights a trial kept.

Validation, the test and predictions go the same way: the same batches, precision and mode. Knows
neither which part it is given nor what is done with the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from workbench import backbones
from workbench.engine import batches
from workbench.record.strategy import Plan
from workbench.tasks import Task

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch, Inputs

BATCH = 512
# Numbers of a batch's inputs: images of 224 pixels come in smaller batches.
NUMBERS = 2**24


class Unfit(ValueError):
    """Weights do not fit the backbone that they are said to be of."""


def forward(module: nn.Module, inputs: Batch, *, device: torch.device, precision: str) -> Tensor:
    """Outputs of a batch in ``float32``, whatever they were computed in.

    Args:
        module: On the device.
        inputs: The same.
        device: Of both.
        precision: Of the plan: ``float32`` or ``bfloat16``.
    """
    reduced = precision == "bfloat16"
    with torch.autocast(device.type, torch.bfloat16) if reduced else nullcontext():
        outputs: Tensor = module(inputs)
    return outputs.float() if reduced else outputs


def of_part(
    module: nn.Module,
    inputs: Inputs,
    *,
    device: torch.device,
    precision: str,
    before: Callable[[], None] = lambda: None,
) -> Tensor:
    """Outputs for every sample, ``float32 [N, O]`` on the device; the model is left in eval mode.

    Args:
        module: On the device.
        inputs: N samples, at least one.
        device: Of the model.
        precision: As for ``forward``.
        before: Called before every batch; what it raises goes through.
    """
    module.eval()
    outputs = []
    with torch.inference_mode():
        positions = torch.arange(len(inputs))
        fit = max(1, min(BATCH, NUMBERS // batches.numbers(inputs[positions[:1]])))
        for taken in torch.split(positions, fit):
            before()
            batch = batches.moved(inputs[taken], device)
            outputs.append(forward(module, batch, device=device, precision=precision))
        return torch.cat(outputs)


def measured(task: Task, outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """The loss and every metric of a task for a whole part, by their names without a prefix."""
    with torch.inference_mode():
        return {"loss": float(task.loss(outputs, targets)), **task.metrics(outputs, targets)}


def rebuilt(
    plan: Plan,
    weights: Mapping[str, Tensor],
    *,
    whose: str,
    input_shape: tuple[int, ...],
    outputs: int,
) -> nn.Module:
    """The plan's backbone with the weights that a trial has kept, on the CPU.

    Args:
        plan: Of the trial.
        weights: State dict of the whole model, adapters merged, averages taken.
        whose: What a message calls their owner.
        input_shape: Of one sample.
        outputs: Of the head.

    Raises:
        Absent: The model is not on this machine.
        Unfit: The weights are not of this backbone.
    """
    staged = backbones.build(
        plan.backbone,
        weights=None,
        keep_head=False,
        input_shape=input_shape,
        outputs=outputs,
        seed=0,
    )
    module: nn.Module = staged.module
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        said = " ".join(str(error).split())
        raise Unfit(f"The weights of {whose} do not fit the backbone of its plan: {said}") from (
            error
        )
    return module
