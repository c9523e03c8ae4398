"""How much memory a model and its training take, estimated before it is taken.

Used by the backbones and the engine.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from workbench.backbones.stages.recording import evaluating
from workbench.backbones.stages.staged import Staged, freeze

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.datasets.samples import Batch


class OutOfMemory(MemoryError):
    """The memory of the machine or of its accelerator is not enough; the message says for what."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes that training needs at least.

    Attributes:
        weights: Of all parameters and buffers.
        gradients: Of the live parameters.
        optimizer: What the optimizer remembers of them.
        activations: What a forward pass keeps for the backward pass.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int


def free_memory() -> int:
    """Bytes of the machine's memory that could be had now."""
    return int(psutil.virtual_memory().available)


def size_text(count: int) -> str:
    """A number of bytes as text: ``25.6 GB``."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


@contextmanager
def memory_limit(what: str) -> Iterator[None]:
    """Refuse parameters made within a block that need more memory than is free when it begins.

    The block ends before values are written that would not fit; on torch's meta device, where
    parameters take no memory, it ends when all of them are counted.

    Args:
        what: Has these parameters, for the message: ``the backbone mlp``.

    Raises:
        OutOfMemory: They do not fit.
    """
    free, needed = free_memory(), 0
    seen: set[int] = set()

    def refuse() -> None:
        raise OutOfMemory(
            f"the parameters of {what} need at least {size_text(needed)}, but {size_text(free)} of "
            f"memory are free. Choose a smaller one, or a machine with more memory."
        )

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal needed
        if parameter is None or nn.parameter.is_lazy(parameter) or id(parameter) in seen:
            return
        seen.add(id(parameter))
        needed += _bytes(parameter)
        if needed > free and not parameter.is_meta:
            refuse()

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()
    if needed > free:
        refuse()


def check_memory(what: str, make: Callable[[], nn.Module]) -> None:
    """Refuse a model whose parameters need more memory than is free, before it is made.

    It is made on torch's meta device, without memory. One that cannot be made there passes.

    Raises:
        OutOfMemory: They do not fit.
    """
    with (
        torch.random.fork_rng(devices=[]),
        memory_limit(what),
        torch.device("meta"),
        suppress(Exception),
    ):
        make()


def memory(
    staged: Staged, example: Batch, *, depth: int, batch_size: int, slots: int = 2
) -> Memory:
    """An estimate, from one forward pass of a few samples.

    Leaves out what only lives for a moment (the largest operation's workspace, the frozen part's
    activations) and what torch itself takes, so that the true need is somewhat higher.

    Args:
        staged: The model; nothing about it changes.
        example: A few samples.
        depth: How many stages are frozen.
        batch_size: Samples of a forward pass.
        slots: Numbers that the optimizer remembers for a live parameter: 2 for the Adam family,
            1 for SGD with momentum.

    Raises:
        ValueError: The backbone has fewer stages.
    """
    module = staged.module
    every = [*module.parameters(), *module.buffers()]
    with _frozen(staged, depth):
        live = sum(_bytes(p) for p in module.parameters() if p.requires_grad)
        kept = _kept(staged, example)
    samples = len(example if isinstance(example, Tensor) else next(iter(example.values())))
    return Memory(
        weights=sum(map(_bytes, every)),
        gradients=live,
        optimizer=slots * live,
        activations=round(kept / samples * batch_size),
    )


def _kept(staged: Staged, example: Batch) -> int:
    """Bytes that autograd keeps of a pass, beside the model's own tensors."""
    module = staged.module
    own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    # The tensors are held, or another one could come to lie at the same place.
    held: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own:
            held.setdefault(place, tensor)
        return tensor

    with (
        evaluating(module),
        torch.enable_grad(),
        torch.random.fork_rng(devices=[]),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        outputs = module(example)
        del outputs
    return sum(tensor.untyped_storage().nbytes() for tensor in held.values())


@contextmanager
def _frozen(staged: Staged, depth: int) -> Iterator[None]:
    """A freeze depth within a block."""
    before = [(p, p.requires_grad, p.grad) for p in staged.module.parameters()]
    freeze(staged, depth)
    try:
        yield
    finally:
        for parameter, required, gradient in before:
            parameter.requires_grad_(required)
            parameter.grad = gradient


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
