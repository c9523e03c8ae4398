"""Which parameters a phase trains, their learning rates, and the L2-SP penalty.

Used by the training loop. ``backbones.stages`` defines what a freeze depth freezes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from workbench.backbones import stages
from workbench.backbones.stages import Staged
from workbench.record.strategy import Phase, Plan

_NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)
_WORDS = {"bias": "bias terms", "norm": "normalisation layers with affine parameters"}


def depth(phase: Phase, epoch: int) -> int:
    """Number of frozen stages in an epoch.

    Gradual unfreezing unfreezes one stage after another, the last one first (Howard and Ruder 2018,
    section 3.3).

    Args:
        phase: Of the epoch.
        epoch: Counted from 1 at the phase's start.
    """
    if not phase.unfreeze_every:
        return phase.freeze_depth
    return max(0, phase.freeze_depth - (epoch - 1) // phase.unfreeze_every)


def select(staged: Staged, phase: Phase, *, frozen: int, adapters: bool = False) -> None:
    """Turn gradients on for what is trained; turn them off and delete them for everything else.

    Args:
        staged: The model.
        phase: Selects what is trained in the stages that are not frozen.
        frozen: Number of frozen stages.
        adapters: Train the adapters of ``lora`` in those stages instead of the weights.

    Raises:
        ValueError: The backbone has fewer stages.
    """
    stages.freeze(staged, frozen)
    if phase.trainable == "all" and not adapters:
        return
    wanted = set(map(id, staged.head.parameters()))
    # Several modules may share a parameter: it is trained if one of them selects it.
    for path, module in staged.module.named_modules():
        for name, parameter in module.named_parameters(path, recurse=False):
            if "lora_" in name if adapters else _is_wanted(module, name, parameter, phase):
                wanted.add(id(parameter))
    for parameter in staged.module.parameters():
        if id(parameter) not in wanted:
            parameter.requires_grad_(False)
            # An old gradient would only take memory.
            parameter.grad = None


def check(staged: Staged, plan: Plan) -> None:
    """Check that a plan trains what it promises.

    Raises:
        ValueError: The freeze depth exceeds the number of stages; a phase with unfrozen stages
            trains only the head; or two methods exclude each other.
    """
    for phase in plan.phases:
        where = f" in phase {phase.name}" if len(plan.phases) > 1 else ""
        if plan.lora is not None and (phase.trainable != "all" or phase.l2_sp):
            other = "l2_sp" if phase.l2_sp else f"trainable {phase.trainable}"
            raise ValueError(
                f"lora does not train the body's own weights, so {other}{where} has no effect; "
                f"remove one of the two."
            )
        frozen = depth(phase, phase.epochs)
        live = staged.names[frozen:]
        select(staged, phase, frozen=frozen, adapters=plan.lora is not None)
        if live and not any(parameter.requires_grad for parameter in _body(staged)):
            lack = "adapters" if plan.lora else _WORDS.get(phase.trainable, "parameters")
            raise ValueError(
                f"trainable is {phase.trainable}{where}, but the stages that are not frozen "
                f"({', '.join(live)}) have no {lack}: only the head would be trained. Set "
                f"freeze_depth: all if that is intended, or a lower freeze_depth."
            )


def groups(staged: Staged, phase: Phase) -> list[dict[str, Any]]:
    """Trained parameters as an optimizer's groups, each with its ``rate`` before the schedule.

    The head has the head's rate, the last stage the phase's rate times ``layer_decay``, the stage
    before it times ``layer_decay`` squared, and so on (Clark et al. 2020, appendix B). The order
    depends on the model and the phase alone, so that a stored optimizer state fits.
    """
    places: dict[int, tuple[float, int]] = {}
    for place, (_, tensors) in enumerate(staged.tensors()):
        steps = len(staged.stages) - place
        rate = phase.learning_rate * phase.layer_decay**steps
        if steps == 0 and phase.head_learning_rate is not None:
            rate = phase.head_learning_rate
        # Stages that are unfrozen later get a group of their own: torch's fused SGD assumes that
        # either all parameters of a group have a momentum buffer or none has.
        joined = min(place, phase.freeze_depth)
        places.update({id(tensor): (rate, joined) for tensor in tensors})
    grouped: dict[tuple[float, int], list[nn.Parameter]] = {}
    for parameter in stages.trainable_parameters(staged):
        grouped.setdefault(places[id(parameter)], []).append(parameter)
    return [{"params": group, "lr": rate, "rate": rate} for (rate, _), group in grouped.items()]


class L2SPPenalty:
    """The body's parameters at the start, and the L2-SP penalty on the distance from them.

    The penalty is ``strength / 2 * ||w - w0||^2`` over the trained parameters of the body (Li et
    al. 2018, equation 3). The head, which starts at random, is left to the weight decay.
    """

    def __init__(self, staged: Staged) -> None:
        """Copy the body's current parameters."""
        self._pairs = [(now, now.detach().clone()) for now in _body(staged)]

    @torch.no_grad()
    def add_gradient(self, strength: float) -> None:
        """Add the penalty's gradient to every parameter that has a gradient."""
        for now, start in self._pairs:
            if now.requires_grad and now.grad is not None:
                now.grad.add_(now - start, alpha=strength)


def _body(staged: Staged) -> Iterator[nn.Parameter]:
    head = set(map(id, staged.head.parameters()))
    return (each for each in staged.module.parameters() if id(each) not in head)


def _is_wanted(module: nn.Module, name: str, parameter: Tensor, phase: Phase) -> bool:
    """Whether a module's own parameter is of the kind that a phase trains."""
    if phase.trainable == "bias":
        return name.endswith("bias")
    # Model families define their own normalisation layers; only the name tells what they are.
    has_norm_name = "norm" in type(module).__name__.lower() and parameter.ndim == 1
    return isinstance(module, _NORMS) or has_norm_name
