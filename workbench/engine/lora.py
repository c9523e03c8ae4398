"""Low-rank adapters: put into a model's stages, and taken out of its weights again.

The adapters are peft's. Knows neither which of them are trained when nor how.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from workbench.backbones.stages import Staged, memory_limit
from workbench.engine.ema import lent
from workbench.record.seeds import derive
from workbench.record.strategy import Lora
from workbench.record.text import did_you_mean, listed

_ADAPTER = "default"
# What stands in the names of a layer's own parameters once peft has wrapped it.
_BASE = ".base_layer."
_SHOWN = 12


def inject(staged: Staged, lora: Lora, *, frozen: int, seed: int) -> Staged:
    """The model with adapters in its stages; what it computes is the same until they are trained.

    Each adapter's first numbers come from a generator of its own, so that a freeze depth shifts
    nobody else's. A weight matrix ``W`` becomes ``W + alpha / rank * B A`` (Hu et al. 2022, section
    4.1): ``A`` is drawn as peft does it, ``B`` is zero.

    Args:
        staged: Its module is changed in place; no weight is.
        lora: ``targets`` may name linear and 2d convolutional layers.
        frozen: Stages that are never trained get none, all of them in a linear probe.
        seed: The trial's training seed.

    Returns:
        The same module in stages that hold the adapters too; it has no cuts.

    Raises:
        ValueError: peft is not installed; nothing can have an adapter; or a target names nothing.
    """
    if frozen >= len(staged.stages):
        return staged  # A linear probe has none.
    try:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer
    except ImportError as error:
        raise ValueError(
            "lora needs the library peft, which is not installed: pip install peft"
        ) from error

    chosen = _targets(staged, lora, frozen)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        # It finds out by itself how GPT-2's linear layers store their weights, and says so.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set")
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,  # type: ignore[arg-type]  # any number does
            lora_dropout=lora.dropout,
            target_modules="|".join(re.escape(name) for name in chosen),
        )
        with memory_limit(f"LoRA's adapters of rank {lora.rank}"):
            inject_adapter_in_model(config, staged.module, adapter_name=_ADAPTER)
        replaced: dict[int, nn.Module] = {}
        for name in chosen:
            layer = staged.module.get_submodule(name)
            assert isinstance(layer, LoraLayer)
            torch.default_generator.manual_seed(derive(seed, "lora", name))
            layer.reset_lora_parameters(  # type: ignore[no-untyped-call]
                _ADAPTER, init_lora_weights=True
            )
            replaced[id(chosen[name])] = layer
    return Staged(
        module=staged.module,
        head=staged.head,
        stages=tuple(
            replace(stage, modules=tuple(replaced.get(id(m), m) for m in stage.modules))
            for stage in staged.stages
        ),
    )


def merged(module: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The plain model's state dict with the adapters added in: it loads without peft.

    Args:
        module: The model with its adapters.
        weights: Its state dict, for example an average; the model's own weights stay.
    """
    if not any(_BASE in name for name in module.state_dict()):
        # A linear probe has no adapter, and must not need peft to say so.
        state = {**module.state_dict(), **weights}
        return {name: tensor.cpu().clone() for name, tensor in state.items()}
    from peft.tuners.lora import LoraLayer

    plain: dict[str, Tensor] = {}
    with lent(module, weights), torch.no_grad():
        layers = {
            name: layer for name, layer in module.named_modules() if isinstance(layer, LoraLayer)
        }
        for name, tensor in module.state_dict().items():
            owner, _, leaf = name.rpartition(".")
            if any(part.startswith("lora_") for part in name.split(".")):
                continue
            outer = owner.removesuffix(".base_layer")
            if outer == owner or outer not in layers:
                plain[name] = tensor.cpu().clone()
                continue
            delta = 0.0
            if leaf == "weight":
                delta = layers[outer].get_delta_weight(_ADAPTER)  # type: ignore[attr-defined]
            plain[f"{outer}.{leaf}"] = (tensor + delta).cpu()
    return plain


def _targets(staged: Staged, lora: Lora, frozen: int) -> dict[str, nn.Module]:
    """The layers that get an adapter, by their names in the model."""
    from transformers.pytorch_utils import Conv1D

    kinds: tuple[type[nn.Module], ...] = (nn.Linear, Conv1D, nn.Conv2d)
    inside = {
        id(module)
        for stage in staged.stages[frozen:]
        for top in stage.modules
        for module in top.modules()
    }
    # Attention of torch's own multiplies with these weights without calling the layer.
    unused = {
        id(module.out_proj)
        for module in staged.module.modules()
        if isinstance(module, nn.MultiheadAttention)
    }
    fit: dict[str, nn.Module] = {}
    for name, module in staged.module.named_modules():
        if id(module) in inside - unused and isinstance(module, kinds):
            fit[name] = module
    every = {name: module for name, module in fit.items() if not isinstance(module, nn.Conv2d)}
    if lora.targets is None and not every:
        other = (
            f"name some of its other layers in lora.targets ({listed(fit)})"
            if fit
            else "no other layer of this backbone can have one either: take lora out of the recipe"
        )
        raise ValueError(
            f"lora puts adapters into every linear layer of the stages, but the stages "
            f"{', '.join(staged.names[frozen:])} have none; {other}."
        )
    if lora.targets is None:
        return every
    chosen: dict[str, nn.Module] = {}
    for target in lora.targets:
        found = {n: m for n, m in fit.items() if n == target or n.endswith(f".{target}")}
        if not found:
            ends = [name.rpartition(".")[2] for name in fit] + list(fit)
            hint = did_you_mean(target, ends) or f"; they have {listed(fit)}."
            raise ValueError(
                f"lora.targets names {target}, but no linear or convolutional layer in the stages "
                f"that are not frozen has a name that ends so{hint}"
            )
        chosen |= found
    return {name: chosen[name] for name in fit if name in chosen}
