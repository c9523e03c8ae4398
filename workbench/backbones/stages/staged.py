"""A model as stages from input to output, and a head: what a freeze depth means.

Knows no model family, no optimizer and no data. The contract of a freeze depth k: the parameters
and buffers of the first k stages do not change by one bit, their dropout is off, no gradient is
computed for them, and the optimizer never holds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from workbench.backbones.stages.replaying import Cut
from workbench.verdict.wording.numbers import counted

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Neighbouring modules that are frozen together.

    Attributes:
        tensors: Parameters and buffers of the stage that a module around it holds itself, such as
            a class token.
        enclosing: Modules around this stage and earlier ones whose last call ends with it: where
            the stage is frozen they are in evaluation mode themselves.
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
        head: Belongs to no stage and is never frozen. Several modules stand in an
            ``nn.ModuleList`` that is no part of ``module``.
        candidates: How the model may be cut after 1, 2, ... stages, which ``stages.cut`` tries;
            None where it can be frozen there but not cut. Empty where ``discover`` did not look.

    Raises:
        ValueError: Two stages share a name, or a parameter or buffer does not belong to exactly
            one stage or the head.
    """

    module: nn.Module
    stages: tuple[Stage, ...]
    head: nn.Module
    candidates: tuple[Cut | None, ...] = ()

    def __post_init__(self) -> None:
        names = self.names
        if ALL in names or len(set(names)) < len(names):
            raise ValueError(
                f"The stages {', '.join(names)} need names of their own, none of them {ALL}."
            )
        places: dict[int, list[str]] = {}
        for place, tensors in self.tensors():
            for tensor in tensors:
                places.setdefault(id(tensor), []).append(place)
        for name, tensor in _named_tensors(self.module):
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
        """Parameters and buffers of every stage by its name, those of the head last."""
        for stage in self.stages:
            yield stage.name, [*_tensors(stage.modules), *stage.tensors]
        yield "head", _tensors((self.head,))


def resolve_depth(value: int | str, names: Sequence[str]) -> int:
    """How many stages a freeze depth freezes.

    Args:
        value: A number of stages; a stage's name, which freezes up to and including that stage;
            or ``all``, which leaves the head alone.
        names: Of the backbone's stages, in order.

    Raises:
        ValueError: The backbone has no such stage, or not so many.
    """
    if value == ALL:
        return len(names)
    if isinstance(value, str) and value in names:
        return list(names).index(value) + 1
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= len(names):
        return value
    valid = f"0 to {len(names)}, {', '.join(names)}, or {ALL}"
    if isinstance(value, int) and not isinstance(value, bool) and value > len(names):
        stages = counted(len(names), "stage")
        raise ValueError(
            f"Freeze depth {value} is deeper than the backbone, which has {stages}; "
            f"valid are {valid}."
        )
    raise ValueError(f"Freeze depth {value!r} is not one of this backbone's; valid are {valid}.")


def freeze(staged: Staged, depth: int) -> None:
    """Turn gradients off in the first stages and on in all others.

    Raises:
        ValueError: The backbone has fewer stages.
    """
    depth = resolve_depth(depth, staged.names)
    for number, stage in enumerate(staged.stages):
        for module in stage.modules:
            module.requires_grad_(number >= depth)
            if number < depth:
                module.zero_grad(set_to_none=True)
        for tensor in stage.tensors:
            if isinstance(tensor, nn.Parameter):
                tensor.requires_grad_(number >= depth)
                tensor.grad = tensor.grad if number >= depth else None
    staged.head.requires_grad_(True)


def train_mode(staged: Staged, depth: int) -> None:
    """Training mode for what is live, evaluation mode for the first ``depth`` stages.

    In evaluation mode a frozen batch normalisation neither moves its statistics nor uses the
    batch's, and dropout is off: a frozen stage is one fixed function.
    """
    staged.module.train()
    for stage in staged.stages[:depth]:
        for module in stage.modules:
            module.eval()
        for module in stage.enclosing:
            module.training = False


def trainable_parameters(staged: Staged) -> list[nn.Parameter]:
    """The parameters that an optimizer may hold."""
    return [parameter for parameter in staged.module.parameters() if parameter.requires_grad]


def parameters(staged: Staged) -> dict[str, int]:
    """Number of parameters: ``total`` and ``trainable``."""
    every = list(staged.module.parameters())
    return {
        "total": sum(parameter.numel() for parameter in every),
        "trainable": sum(parameter.numel() for parameter in every if parameter.requires_grad),
    }


def describe(staged: Staged) -> list[tuple[str, int]]:
    """Name and number of parameters of every stage, the head last."""
    return [
        (place, sum(t.numel() for t in tensors if isinstance(t, nn.Parameter)))
        for place, tensors in staged.tensors()
    ]


def _named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers, one that two modules share once."""
    yield from module.named_parameters()
    yield from module.named_buffers()


def _tensors(modules: tuple[nn.Module, ...]) -> list[Tensor]:
    """Parameters and buffers of several modules, one that they share once."""
    tensors = (tensor for module in modules for _, tensor in _named_tensors(module))
    return list({id(tensor): tensor for tensor in tensors}.values())
