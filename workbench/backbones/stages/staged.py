"""A model as stages from input to output, and a head: what a freeze depth means.

The contract of a freeze depth k: the parameters and buffers of the first k stages do not change by
one bit, their dropout is off, no gradient is computed for them, and the optimizer never holds them.
Used by every backbone and the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from workbench.backbones.depth import ALL, resolve_depth
from workbench.backbones.stages.recording import named_tensors
from workbench.backbones.stages.replaying import Cut


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Consecutive modules that are frozen together.

    Attributes:
        tensors: Parameters and buffers of the stage that belong to an enclosing module, such as a
            class token.
        enclosing: Modules that enclose this stage and earlier ones and whose last call ends with
            it; they are put in evaluation mode when the stage is frozen.
    """

    name: str
    modules: tuple[nn.Module, ...]
    tensors: tuple[Tensor, ...] = ()
    enclosing: tuple[nn.Module, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Staged:
    """A model with its stages in order from the input, and its head.

    Attributes:
        module: The whole model; ``module(inputs)`` runs its own forward.
        head: Belongs to no stage and is never frozen. Several modules are held in an
            ``nn.ModuleList`` that is not part of ``module``.
        candidates: Possible cuts after 1, 2, ... stages, which ``stages.cut`` verifies; None if
            the model can be frozen there but not cut. Empty if not made by ``discover``.
        fixed: Parameters of the body that need no gradient when this is made, such as random
            features or sines of positions: they are not trained at any depth.

    Raises:
        ValueError: Two stages share a name, or a parameter or buffer does not belong to exactly
            one stage or the head.
    """

    module: nn.Module
    stages: tuple[Stage, ...]
    head: nn.Module
    candidates: tuple[Cut | None, ...] = ()
    fixed: tuple[nn.Parameter, ...] = field(init=False)

    def __post_init__(self) -> None:
        head = set(map(id, self.head.parameters()))
        body = [each for each in self.module.parameters() if id(each) not in head]
        fixed = tuple(parameter for parameter in body if not parameter.requires_grad)
        object.__setattr__(self, "fixed", fixed)
        names = self.names
        if ALL in names or len(set(names)) < len(names):
            raise ValueError(
                f"The stages {', '.join(names)} need different names, and none may be called {ALL}."
            )
        # A tensor in no stage would be trained at every depth; one in two could not be frozen.
        places: dict[int, list[str]] = {}
        for place, tensors in self.tensors():
            for tensor in tensors:
                places.setdefault(id(tensor), []).append(place)
        for name, tensor in named_tensors(self.module):
            found = places.pop(id(tensor), [])
            if len(found) != 1:
                where = f"to both {' and '.join(found)}" if found else "to no stage"
                raise ValueError(
                    f"{name} belongs {where}; every parameter and buffer must belong to exactly "
                    f"one stage or the head."
                )
        if places:
            strays = sorted({place for found in places.values() for place in found})
            raise ValueError(
                f"{' and '.join(strays)} hold parameters or buffers that the model does not have."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the stages, in order."""
        return tuple(stage.name for stage in self.stages)

    def tensors(self) -> Iterator[tuple[str, list[Tensor]]]:
        """Parameters and buffers of each stage with its name, the head last."""
        for stage in self.stages:
            yield stage.name, [*_tensors(stage.modules), *stage.tensors]
        yield "head", _tensors((self.head,))


def freeze(staged: Staged, depth: int) -> None:
    """Turn gradients off in the first stages and on everywhere else, but for ``Staged.fixed``.

    Raises:
        ValueError: The backbone has fewer stages.
    """
    depth = resolve_depth(depth, staged.names)
    for number, stage in enumerate(staged.stages):
        for module in stage.modules:
            module.requires_grad_(number >= depth)
            # A gradient from an earlier phase is stale and takes memory.
            if number < depth:
                module.zero_grad(set_to_none=True)
        for tensor in stage.tensors:
            if isinstance(tensor, nn.Parameter):
                tensor.requires_grad_(number >= depth)
                tensor.grad = tensor.grad if number >= depth else None
    staged.head.requires_grad_(True)
    for parameter in staged.fixed:
        parameter.requires_grad_(False)


def train_mode(staged: Staged, depth: int) -> None:
    """Put the first ``depth`` stages in evaluation mode and everything else in training mode.

    In evaluation mode BatchNorm neither updates its statistics nor uses those of the batch, and
    dropout is off: a frozen stage is a fixed function.
    """
    staged.module.train()
    for stage in staged.stages[:depth]:
        for module in stage.modules:
            module.eval()
        # Not eval(): an enclosing module may have live children too.
        for module in stage.enclosing:
            module.training = False


def trainable_parameters(staged: Staged) -> list[nn.Parameter]:
    """The parameters for the optimizer."""
    return [parameter for parameter in staged.module.parameters() if parameter.requires_grad]


def parameters(staged: Staged) -> dict[str, int]:
    """Numbers of parameters: ``total`` and ``trainable``."""
    every = list(staged.module.parameters())
    return {
        "total": sum(parameter.numel() for parameter in every),
        "trainable": sum(parameter.numel() for parameter in every if parameter.requires_grad),
    }


def unsaved(staged: Staged) -> dict[str, Tensor]:
    """Copies of the buffers that a state dict does not contain, by name."""
    saved = staged.module.state_dict().keys()
    buffers = staged.module.named_buffers()
    return {name: tensor.detach().clone() for name, tensor in buffers if name not in saved}


def require_unchanged(staged: Staged, before: Mapping[str, Tensor], backbone: str) -> None:
    """Refuse a model whose training changes what its state dict does not contain.

    The model that is kept would not be the one that was validated.

    Args:
        staged: After training.
        before: Its ``unsaved`` buffers before training.
        backbone: Name in the message.

    Raises:
        ValueError: A buffer has changed.
    """
    now = dict(staged.module.named_buffers())
    for name, first in before.items():
        if not torch.equal(now[name], first):
            raise ValueError(
                f"{backbone}: training changes the buffer {name}, which is not saved with the "
                "model; register it with persistent=True."
            )


def describe(staged: Staged) -> list[tuple[str, int]]:
    """Name and number of parameters of each stage, the head last."""
    return [
        (place, sum(t.numel() for t in tensors if isinstance(t, nn.Parameter)))
        for place, tensors in staged.tensors()
    ]


def _tensors(modules: tuple[nn.Module, ...]) -> list[Tensor]:
    """Parameters and buffers of several modules, shared ones once."""
    tensors = (tensor for module in modules for _, tensor in named_tensors(module))
    return list({id(tensor): tensor for tensor in tensors}.values())
