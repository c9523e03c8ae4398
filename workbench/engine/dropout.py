"""Seeds for dropout and other random draws of a model in training. Used by the training loop.

The numbers of a layer are a function of seed, epoch, step, layer and the number of its call in the
pass. With one running generator for the whole model, a frozen layer, which draws nothing, would
shift the numbers of the layers after it, so that a freeze depth would change more than what is
frozen; and a trial could be resumed bit for bit only at the end of an epoch.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from workbench.backbones.stages import Staged
from workbench.backbones.stages.torch_internals import DROPOUTS
from workbench.record.seeds import derive


class DropoutSeeds:
    """The seeds of a model's own draws."""

    def __init__(self, staged: Staged, seed: int, device: torch.device) -> None:
        """Add a hook that seeds to every dropout layer, every stage and the head.

        A stage's seed serves functional dropout, which has no layer.

        Args:
            staged: Its modules get the hooks.
            seed: The trial's training seed.
            device: Of the model.
        """
        self._seed = seed
        # torch.manual_seed formats the stack for every kind of accelerator that is not in use,
        # which takes longer than a small layer.
        on_cpu = device.type == "cpu"
        self._reseed = torch.default_generator.manual_seed if on_cpu else torch.manual_seed
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
        """Set the place in the training; called before every forward pass.

        Args:
            epoch: Counted from 1.
            step: Within the phase.
            pass_: Within the step, if it takes several.
        """
        self._place = (epoch, step, pass_) if pass_ else (epoch, step)
        self._calls.clear()
        self._reseed(derive(self._seed, "dropout", *self._place))

    def _key(self, module: nn.Module, *name: str | int) -> None:
        # A linear layer draws nothing, and a hook doubles the time of a small one.
        if type(module) is not nn.Linear:
            module.register_forward_pre_hook(partial(self._seed_for, name=name))

    def _seed_for(self, module: nn.Module, _: object, name: tuple[str | int, ...]) -> None:
        if not module.training:
            return
        # A layer may be called several times in a pass, as ALBERT's are: each needs new numbers.
        calls = self._calls[name] = self._calls.get(name, 0) + 1
        repeated = (calls,) if calls > 1 else ()
        self._reseed(derive(self._seed, "dropout", *self._place, *name, *repeated))
