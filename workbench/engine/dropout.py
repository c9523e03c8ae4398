"""What a model draws while it trains, such as dropout: a function of seed, epoch, step and place.

A place is a layer, or a stage, and how often it was called in the same pass.

From one running generator for all of it, a frozen layer, which draws nothing, would shift the
layers after it, so that a freeze depth would change more than what is frozen; and a trial could go
on bit for bit only where an epoch ends. Knows no data and no optimizer.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from workbench.backbones.stages import Staged
from workbench.backbones.stages.torch_internals import DROPOUTS
from workbench.record.seeds import derive


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
        self._calls: dict[tuple[str | int, ...], int] = {}
        for stage in staged.stages:
            for number, module in enumerate(stage.modules):
                self._key(module, "stage", stage.name, number)
        self._key(staged.head, "head")
        for name, layer in staged.module.named_modules():
            if isinstance(layer, DROPOUTS):
                self._key(layer, name)

    def begin(self, epoch: int, step: int, pass_: int = 0) -> None:
        """Say where training is, before a forward pass.

        Args:
            epoch: Counted from 1.
            step: Of the phase.
            pass_: Of the step, where it takes several.
        """
        self._place = (epoch, step, pass_) if pass_ else (epoch, step)
        self._calls.clear()
        torch.manual_seed(derive(self._seed, "dropout", *self._place))

    def _key(self, module: nn.Module, *name: str | int) -> None:
        module.register_forward_pre_hook(partial(self._seed_for, name=name))

    def _seed_for(self, module: nn.Module, _: object, name: tuple[str | int, ...]) -> None:
        if not module.training:
            return
        # A layer may be called more than once in a pass, as ALBERT's are: each call draws anew.
        calls = self._calls[name] = self._calls.get(name, 0) + 1
        again = (calls,) if calls > 1 else ()
        torch.manual_seed(derive(self._seed, "dropout", *self._place, *name, *again))
