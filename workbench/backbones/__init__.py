"""Backbones by name: model families, each cut into stages, with first weights and a head.

Knows no data set beyond the shape of a sample, and no task beyond the number of outputs. Importing
it loads no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.backbones.weights import WeightsError, load, read
from workbench.randomness import derive
from workbench.strategy import Weights

if TYPE_CHECKING:
    from workbench.stages import Staged

__all__ = ["BACKBONES", "Entry", "WeightsError", "build"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model family that a study file may name.

    Attributes:
        build: Function that makes it, as ``module:name``; called with ``input_shape``, ``outputs``
            and the options. What it draws for the body must not depend on ``outputs``.
        input: Samples that it takes: ``image``, ``vector`` or ``any``.
        options: Type of each option.
        weights: Names of weights that the family itself resolves, each with the function that
            returns them (tensors by name), as ``module:name``.
    """

    build: str
    input: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)


BACKBONES: dict[str, Entry] = {
    "mlp": Entry(
        build="workbench.backbones.mlp:build",
        input="any",
        options={"hidden": list[int], "dropout": float},
    ),
    "small_cnn": Entry(
        build="workbench.backbones.small_cnn:build",
        input="image",
        options={"width": int},
    ),
    "resnet18": Entry(
        build="workbench.backbones.resnet18:build",
        input="image",
        weights={"imagenet": "workbench.backbones.resnet18:imagenet"},
    ),
}


def build(
    backbone: Mapping[str, Any],
    *,
    weights: Weights | None,
    keep_head: bool,
    input_shape: tuple[int, ...],
    outputs: int,
    seed: int,
) -> Staged:
    """A backbone with a head, initialised and with its weights loaded.

    Body and head are drawn from generators of their own, so that a new head starts from the same
    numbers whatever the body was initialised from, and nobody else's randomness shifts.

    Args:
        backbone: ``name`` and the family's options.
        weights: First weights of the body; None trains from scratch.
        keep_head: Take the head from the weights too.
        input_shape: Of one sample: ``(C, H, W)`` or ``(features,)``.
        outputs: Of the head.
        seed: The trial's training seed.

    Raises:
        ValueError: The name or an option is unknown, or the backbone cannot take such samples.
        WeightsError: The weights cannot be had or do not fit.
    """
    options = dict(backbone)
    name = options.pop("name")
    if name not in BACKBONES:
        known = ", ".join(BACKBONES)
        raise ValueError(f"There is no backbone {name!r}; the backbones are {known}.")
    entry = BACKBONES[name]
    unknown = sorted(set(options) - set(entry.options))
    if unknown:
        known = f"its options are {', '.join(entry.options)}" if entry.options else "it has none"
        raise ValueError(f"The backbone {name} has no option {', '.join(unknown)}; {known}.")
    if entry.input == "image" and len(input_shape) != 3:
        raise ValueError(
            f"The backbone {name} takes images, but a sample has the shape {input_shape}."
        )
    if keep_head and weights is None:
        raise ValueError("backbone.keep_head takes the head from weights; set backbone.weights.")

    import torch

    # devices=[]: torch.manual_seed would reset an accelerator's generator as well.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, "backbone"))
        staged: Staged = _resolve(entry.build)(input_shape=input_shape, outputs=outputs, **options)
        torch.default_generator.manual_seed(derive(seed, "head"))
        for module in staged.head.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    if weights is not None:
        if weights.source in entry.weights:
            found = _resolve(entry.weights[weights.source])()
        else:
            found = read(weights)
        load(staged, found, keep_head=keep_head, source=weights.source)
    return staged


def _resolve(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
