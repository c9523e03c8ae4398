"""Exponential moving average (EMA) of a model's weights, and weights set for the length of a block.

Used by the training loop; ``lora`` uses the block as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """Exponential moving average of everything in a model's state dict (Polyak and Juditsky 1992).

    The first update takes the weights as they are, as torch's ``AveragedModel`` does; each later
    one moves the average by ``1 - decay`` of the way. Integers, such as the count of batches that
    a normalisation layer has seen, are copied: their mean is not an integer.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Nothing is averaged yet.

        Args:
            module: Averaged; it must stay on its device.
            decay: In (0, 1).
        """
        self._module = module
        self._step = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self._tensors: dict[str, Tensor] = {}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The average, keyed like the state dict; empty before the first update."""
        return self._tensors

    @torch.no_grad()
    def update(self) -> None:
        """Update the average with the weights after a step."""
        live = self._module.state_dict()
        if not self._tensors:
            self._tensors = {name: tensor.detach().clone() for name, tensor in live.items()}
            return
        # torch's multi-tensor update wants tensors of one type.
        kinds: dict[torch.dtype, list[str]] = {}
        for name, tensor in live.items():
            if tensor.is_floating_point():
                kinds.setdefault(tensor.dtype, []).append(name)
            else:
                self._tensors[name].copy_(tensor)
        for names in kinds.values():
            self._step([self._tensors[name] for name in names], [live[n] for n in names], 0)

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from the tensors of an average of the same model."""
        live = self._module.state_dict()
        self._tensors = {
            name: tensor.to(live[name].device, copy=True) for name, tensor in tensors.items()
        }


@contextmanager
def temporary_weights(module: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Replace a model's weights for the length of a block; restores its own bit for bit.

    Args:
        module: Changed in place.
        tensors: Keyed like the state dict; an empty mapping changes nothing.
    """
    live = module.state_dict() if tensors else {}
    # Copies: the live tensors are overwritten in place, so that the optimizer keeps its own.
    own = {name: tensor.clone() for name, tensor in live.items()}
    _copy(live, tensors)
    try:
        yield
    finally:
        _copy(live, own)


@torch.no_grad()
def _copy(to: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        to[name].copy_(value)
