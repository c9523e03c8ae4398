"""What a model draws while it trains, such as dropout: a function of seed, epoch, step and place.

From one running generator for all of it, a frozen layer, which draws nothing, would shift the
layers after it, so that a freeze depth would change more than what is frozen; and a trial could go
on bit for bit only where an epoch ends. Knows no data and no optimizer.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from workbench.randomness import derive
from workbench.stages import Staged


class Noise:
    """The seeds of a model's own draws."""

    def __init__(self, staged: Staged, seed: int) -> None:
        """Give every dropout layer, and every stage for what has no layer, numbers of its own.

        Args:
            staged: Its modules get hooks.
            seed: The trial's training seed.
        """
        self._seed = seed
        self._place: tuple[int, ...] = (0, 0)
        for stage in staged.stages:
            for number, module in enumerate(stage.modules):
                self._key(module, "stage", stage.name, number)
        self._key(staged.head, "head")
        for name, layer in staged.module.named_modules():
            if isinstance(layer, nn.modules.dropout._DropoutNd):
                self._key(layer, name)

    def begin(self, epoch: int, step: int, pass_: int = 0) -> None:
        """Say where training is, before a forward pass.

        Args:
            epoch: Counted from 1.
            step: Of the phase.
            pass_: Of the step, where it takes several.
        """
        self._place = (epoch, step, pass_) if pass_ else (epoch, step)
        torch.manual_seed(derive(self._seed, "dropout", *self._place))

    def _key(self, module: nn.Module, *name: str | int) -> None:
        module.register_forward_pre_hook(partial(self._seed_for, name=name))

    def _seed_for(self, module: nn.Module, _: object, name: tuple[str | int, ...]) -> None:
        if module.training:
            torch.manual_seed(derive(self._seed, "dropout", *self._place, *name))
