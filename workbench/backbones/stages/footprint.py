"""Estimates how much memory a model and its training need, before it is allocated.

Used by the backbones and the engine.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import psutil
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from workbench.backbones.stages.recording import evaluation_mode
from workbench.backbones.stages.replaying import samples_in
from workbench.backbones.stages.staged import Staged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workbench.datasets.samples import Batch

M = TypeVar("M", bound=nn.Module)


class OutOfMemoryError(MemoryError):
    """The machine or its accelerator has too little memory; the message says for what."""


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
        OutOfMemoryError: They do not fit.
    """
    free, needed = free_memory(), 0
    seen: set[int] = set()

    def refuse() -> None:
        raise OutOfMemoryError(
            f"the parameters of {what} need at least {size_text(needed)} of memory, but only "
            f"{size_text(free)} are free. Choose a smaller model or a machine with more memory."
        )

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal needed
        # Shared parameters are registered more than once; lazy ones have no size yet.
        if parameter is None or nn.parameter.is_lazy(parameter) or id(parameter) in seen:
            return
        seen.add(id(parameter))
        needed += parameter.nbytes
        if needed > free and not parameter.is_meta:
            refuse()

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()
    if needed > free:
        refuse()


def create(what: str, make: Callable[[], M]) -> M:
    """Make a model, unless its parameters need more memory than is free.

    It is made on torch's meta device first, without memory. A model that cannot be made there is
    made all the same.

    Args:
        what: See ``memory_limit``.
        make: Makes the model.

    Raises:
        OutOfMemoryError: They do not fit.
    """
    with (
        torch.random.fork_rng(devices=[]),
        memory_limit(what),
        torch.device("meta"),
        suppress(Exception),
    ):
        make()
    return make()


def activation_bytes(staged: Staged, example: Batch, *, samples: int) -> int:
    """Estimate the bytes that a forward pass keeps for the backward pass.

    Short-lived memory (the largest operation's workspace, the frozen part's activations) and the
    overhead of torch are not included, so training needs somewhat more.

    Args:
        staged: With gradients turned on for what is trained; it is left unchanged.
        example: A few samples.
        samples: Of a forward pass.
    """
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
    kept = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    return round(kept / samples_in(example) * samples)
