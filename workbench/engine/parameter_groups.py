"""Which parameters a phase trains, at which rate, and what pulls them back.

Knows no data, no loss and no optimizer; what a freeze depth means is for ``stages``.
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
_CALLED = {"bias": "bias terms", "norm": "normalisation layers with affine parameters"}


def depth(phase: Phase, epoch: int) -> int:
    """How many stages are frozen in an epoch.

    Gradual unfreezing takes one stage after another, the last one first (Howard and Ruder 2018,
    section 3.3).

    Args:
        phase: Of the epoch.
        epoch: Counted from 1 at the phase's start.
    """
    if not phase.unfreeze_every:
        return phase.freeze_depth
    return max(0, phase.freeze_depth - (epoch - 1) // phase.unfreeze_every)


def select(staged: Staged, phase: Phase, *, frozen: int, adapters: bool = False) -> None:
    """Turn gradients on for what is trained, and off, and away, for everything else.

    Args:
        staged: The model.
        phase: Says what is trained in the stages that are not frozen.
        frozen: How many stages are.
        adapters: Train the adapters of ``lora`` in those stages, and not the weights.

    Raises:
        ValueError: The backbone has fewer stages.
    """
    stages.freeze(staged, frozen)
    if phase.trainable == "all" and not adapters:
        return
    wanted = set(map(id, staged.head.parameters()))
    for module in staged.module.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if _is_wanted(module, name, parameter, phase.trainable):
                wanted.add(id(parameter))
    if adapters:
        wanted = set(map(id, staged.head.parameters())) | {
            id(parameter) for name, parameter in staged.module.named_parameters() if "lora_" in name
        }
    for parameter in staged.module.parameters():
        if id(parameter) not in wanted:
            parameter.requires_grad_(False)
            parameter.grad = None


def check(staged: Staged, plan: Plan) -> None:
    """Refuse a plan that would train less than it says.

    Raises:
        ValueError: The backbone has fewer stages than are to be frozen; a phase trains nothing but
            the head although it leaves stages unfrozen; or two methods exclude each other.
    """
    for phase in plan.phases:
        where = f" in phase {phase.name}" if len(plan.phases) > 1 else ""
        if phase.trainable not in ("all", *_CALLED):
            raise ValueError(f"trainable is {phase.trainable!r}; it is all, bias or norm.")
        if plan.lora is not None and (phase.trainable != "all" or phase.l2_sp):
            other = "l2_sp" if phase.l2_sp else f"trainable {phase.trainable}"
            raise ValueError(
                f"lora trains adapters and leaves the body's own weights as they are, so {other}"
                f"{where} has nothing to act on; take one of the two out."
            )
        frozen = depth(phase, phase.epochs)
        live = staged.names[frozen:]
        select(staged, phase, frozen=frozen, adapters=plan.lora is not None)
        if live and not any(parameter.requires_grad for parameter in _body(staged)):
            lack = "adapters" if plan.lora else _CALLED.get(phase.trainable, "parameters")
            raise ValueError(
                f"trainable is {phase.trainable}{where}, but the stages that are not frozen "
                f"({', '.join(live)}) have no {lack}: nothing but the head would be trained. Set "
                f"freeze_depth: all if that is what you want, or a lower freeze_depth."
            )


def groups(staged: Staged, phase: Phase) -> list[dict[str, Any]]:
    """What is trained as an optimizer's groups, each with its ``rate`` before the schedule.

    The head has the head's rate; the last stage the phase's rate times ``layer_decay``, the one
    before it once more, and so on down to the input (Clark et al. 2020, appendix B). The order is
    a function of the model and the phase alone, so that an optimizer's state finds its way back.
    """
    places: dict[int, tuple[float, int]] = {}
    for place, (_, tensors) in enumerate(staged.tensors()):
        steps = len(staged.stages) - place
        rate = phase.learning_rate * phase.layer_decay**steps
        if steps == 0 and phase.head_learning_rate is not None:
            rate = phase.head_learning_rate
        # Stages that join later are apart: torch's fused SGD takes one past for a whole group.
        joined = min(place, phase.freeze_depth)
        places.update({id(tensor): (rate, joined) for tensor in tensors})
    grouped: dict[tuple[float, int], list[nn.Parameter]] = {}
    for parameter in stages.trainable_parameters(staged):
        grouped.setdefault(places[id(parameter)], []).append(parameter)
    return [{"params": found, "lr": rate, "rate": rate} for (rate, _), found in grouped.items()]


class StartingPoint:
    """Where the body's parameters started, and the pull back there.

    The penalty is ``strength / 2 * ||w - w0||^2`` over the parameters of the body that are trained
    (L2-SP: Li et al. 2018, equation 3; the head, which had no start worth keeping, is left to the
    weight decay).
    """

    def __init__(self, staged: Staged) -> None:
        """Remember the body as it is now."""
        self._pairs = [(now, now.detach().clone()) for now in _body(staged)]

    @torch.no_grad()
    def pull(self, strength: float) -> None:
        """Add the penalty's gradient to that of every parameter that has one."""
        for now, start in self._pairs:
            if now.requires_grad and now.grad is not None:
                now.grad.add_(now - start, alpha=strength)


def _body(staged: Staged) -> Iterator[nn.Parameter]:
    head = set(map(id, staged.head.parameters()))
    return (found for found in staged.module.parameters() if id(found) not in head)


def _is_wanted(module: nn.Module, name: str, parameter: Tensor, trainable: str) -> bool:
    """Whether a parameter that a module holds itself is of the kind that is trained."""
    if trainable == "bias":
        return name.endswith("bias")
    # Families bring normalisation layers of their own, which share no class, but a name.
    named_so = "norm" in type(module).__name__.lower() and parameter.ndim == 1
    return isinstance(module, _NORMS) or named_so
