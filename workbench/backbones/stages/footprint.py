"""Estimates how much memory a model and its training need, before it is allocated.

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

from workbench.backbones.stages.recording import evaluation_mode
from workbench.backbones.stages.replaying import samples_in
from workbench.backbones.stages.staged import Staged, freeze

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.datasets.samples import Batch


class OutOfMemory(MemoryError):
    """The machine or its accelerator has too little memory; the message says for what."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes that training needs at least.

    Attributes:
        weights: Of all parameters and buffers.
        gradients: Of the trainable parameters.
        optimizer: The optimizer's state for them.
        activations: What a forward pass keeps for the backward pass.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int


def free_memory() -> int:
    """Bytes of the machine's memory that are available now."""
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
    """Refuse parameters created in a block that need more memory than is free when it begins.

    The error is raised before the values that would not fit are written; on torch's meta device,
    where parameters take no memory, it is raised when all of them are counted.

    Args:
        what: What has these parameters, for the message: ``the backbone mlp``.

    Raises:
        OutOfMemory: They do not fit.
    """
    free, needed = free_memory(), 0
    seen: set[int] = set()

    def refuse() -> None:
        raise OutOfMemory(
            f"the parameters of {what} need at least {size_text(needed)} of memory, but only "
            f"{size_text(free)} are free. Choose a smaller model or a machine with more memory."
        )

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal needed
        # Shared parameters are registered more than once; lazy ones have no size yet.
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
    """Refuse a model whose parameters need more memory than is free, before it is built.

    It is built on torch's meta device, without memory. A model that cannot be built there passes.

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
    """Estimate the memory of training from one forward pass of a few samples.

    Short-lived memory (the largest operation's workspace, the frozen part's activations) and the
    overhead of torch are not included, so training needs somewhat more.

    Args:
        staged: The model; it is left unchanged.
        example: A few samples.
        depth: How many stages are frozen.
        batch_size: Samples of a forward pass.
        slots: Values per trainable parameter in the optimizer's state: 2 for the Adam family, 1
            for SGD with momentum.

    Raises:
        ValueError: The backbone has fewer stages.
    """
    module = staged.module
    every = [*module.parameters(), *module.buffers()]
    with _frozen(staged, depth):
        live = sum(_bytes(p) for p in module.parameters() if p.requires_grad)
        kept = _saved_bytes(staged, example)
    return Memory(
        weights=sum(map(_bytes, every)),
        gradients=live,
        optimizer=slots * live,
        activations=round(kept / samples_in(example) * batch_size),
    )


def _saved_bytes(staged: Staged, example: Batch) -> int:
    """Bytes that autograd saves in a forward pass, without the model's own tensors."""
    module = staged.module
    own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    # Keep a reference to each tensor: a freed address could be reused by another one.
    saved: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in own:
            saved.setdefault(place, tensor)
        return tensor

    with (
        evaluation_mode(module),
        torch.enable_grad(),
        torch.random.fork_rng(devices=[]),
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
    ):
        # The graph is released at once; what it saved has been counted by then.
        outputs = module(example)
        del outputs
    return sum(tensor.untyped_storage().nbytes() for tensor in saved.values())


@contextmanager
def _frozen(staged: Staged, depth: int) -> Iterator[None]:
    """Apply a freeze depth within a block."""
    # freeze() drops the gradients of frozen stages; the caller may still need them.
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
