"""Low-rank adapters (LoRA) by peft: added to a model's stages, and merged into its weights.

Used by the training loop; ``parameter_groups`` selects which adapters are trained.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench.backbones.stages import Staged, memory_limit
from workbench.engine.devices import copied
from workbench.engine.ema import temporary_weights
from workbench.messages import did_you_mean, listed
from workbench.record.seeds import derive
from workbench.record.strategy import Lora

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

_ADAPTER = "default"
# peft puts this into the names of a wrapped layer's own parameters.
_BASE = ".base_layer."


def inject(staged: Staged, lora: Lora, *, frozen: int, seed: int, example: Batch) -> Staged:
    """The model with adapters in its stages; its outputs are the same until they are trained.

    Each adapter is initialised with its own seed, so that a freeze depth does not change the
    numbers of the others. A weight matrix ``W`` becomes ``W + alpha / rank * B A`` (Hu et al. 2022,
    section 4.1): ``A`` is drawn as peft does it, ``B`` is zero.

    Args:
        staged: Its module is changed in place, its weights are not.
        lora: ``targets`` may name linear and 2d convolutional layers that the model calls.
        frozen: Number of stages that are never trained; they get no adapters.
        seed: The trial's training seed.
        example: Some inputs, on the device of the module: they show which layers it calls.

    Returns:
        The same module, in stages that contain the adapters; it has no cuts.

    Raises:
        ValueError: peft is not installed; no layer can have an adapter; or a target matches none.
    """
    if frozen >= len(staged.stages):
        return staged  # A linear probe has no adapters.
    try:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.lora import LoraLayer
    except ImportError as error:
        raise ValueError(
            "lora needs the library peft, which is not installed: pip install peft"
        ) from error

    chosen = _targets(staged, lora, frozen, example)
    # peft initialises every adapter from the global generator; it must be unchanged afterwards.
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        # peft detects how GPT-2's linear layers store their weights, and warns about it.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set")
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,  # type: ignore[arg-type]  # any number does
            lora_dropout=lora.dropout,
            target_modules="|".join(re.escape(name) for name in chosen),
        )
        with memory_limit(f"LoRA's adapters of rank {lora.rank}"):
            inject_adapter_in_model(config, staged.module, adapter_name=_ADAPTER)
        # A stage may name a wrapped layer itself as one of its modules.
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
    """The plain model's state dict with the adapters merged; it loads without peft.

    Args:
        module: The model with its adapters.
        weights: A state dict of it, for example an average. The model's own weights are unchanged.
    """
    if not any(_BASE in name for name in module.state_dict()):
        # A linear probe has no adapters, and must not need peft.
        state = {**module.state_dict(), **weights}
        return {name: copied(tensor) for name, tensor in state.items()}
    from peft.tuners.lora import LoraLayer

    plain: dict[str, Tensor] = {}
    with temporary_weights(module, weights), torch.no_grad():
        layers = {
            name: layer for name, layer in module.named_modules() if isinstance(layer, LoraLayer)
        }
        for name, tensor in module.state_dict().items():
            owner, _, leaf = name.rpartition(".")
            if any(part.startswith("lora_") for part in name.split(".")):
                continue
            outer = owner.removesuffix(".base_layer")
            if outer == owner or outer not in layers:
                plain[name] = copied(tensor)
                continue
            delta = 0.0
            if leaf == "weight":
                delta = layers[outer].get_delta_weight(_ADAPTER)  # type: ignore[attr-defined]
            plain[f"{outer}.{leaf}"] = copied(tensor + delta)
    return plain


def _called(module: nn.Module, example: Batch) -> set[int]:
    """The modules, by id, that a forward pass calls; the others have at most their weights read.

    Attention is often such a case: torch's own, Swin's and BEiT's multiply by the weights of their
    layers, so that an adapter of such a layer would have no effect.
    """
    called: set[int] = set()

    def enter(entered: nn.Module, _: Any) -> None:
        called.add(id(entered))

    hooks = [part.register_forward_pre_hook(enter) for part in module.modules()]
    was = module.training
    try:
        # With gradients, because torch has faster ways in evaluation without them.
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            module.eval()(example)
    finally:
        module.train(was)
        for hook in hooks:
            hook.remove()
    return called


def _targets(staged: Staged, lora: Lora, frozen: int, example: Batch) -> dict[str, nn.Module]:
    """The layers that get an adapter, by their names in the model."""
    from transformers.pytorch_utils import Conv1D

    inside = {
        id(module)
        for stage in staged.stages[frozen:]
        for top in stage.modules
        for module in top.modules()
    }
    inside &= _called(staged.module, example)
    fit: dict[str, nn.Module] = {
        name: module
        for name, module in staged.module.named_modules()
        if id(module) in inside and isinstance(module, nn.Linear | Conv1D | nn.Conv2d)
    }
    if lora.targets is None:
        linear = {n: module for n, module in fit.items() if not isinstance(module, nn.Conv2d)}
        if not linear:
            other = f"name other layers in lora.targets (there is {listed(fit)}), or"
            if not fit:
                other = "no other layer can have one, so"
            raise ValueError(
                "lora adds adapters to linear layers that the model calls, but the stages "
                f"{', '.join(staged.names[frozen:])} have none; {other} remove lora from"
                " the recipe."
            )
        return linear
    chosen: set[str] = set()
    for target in lora.targets:
        matches = {name for name in fit if name == target or name.endswith(f".{target}")}
        if not matches:
            ends = [name.rpartition(".")[2] for name in fit] + list(fit)
            raise ValueError(
                f"lora.targets: no linear or convolutional layer in the stages that are not frozen "
                f"has a name that ends in {target} and is called by the model, which an adapter "
                f"needs; their layers: {listed(fit)}"
                f"{did_you_mean(target, ends) or '.'}"
            )
        chosen |= matches
    return {name: module for name, module in fit.items() if name in chosen}
