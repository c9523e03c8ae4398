"""How much memory training takes, estimated before it starts.

Knows no optimizer and no device.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from workbench.stages.recording import evaluating
from workbench.stages.staged import Staged, freeze

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.datasets.samples import Batch


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

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.activations

    def __str__(self) -> str:
        amount, unit = float(self.total), "bytes"
        for unit in ("bytes", "kB", "MB", "GB", "TB"):
            if amount < 1000 or unit == "TB":
                break
            amount /= 1000
        return f"about {amount:.3g} {unit}"


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
