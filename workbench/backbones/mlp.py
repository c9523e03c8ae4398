"""A multilayer perceptron; each hidden layer is a stage, and images are flattened."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from workbench.backbones.stages import Staged, create, discover


def build(
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    hidden: Sequence[int] = (128, 128),
    dropout: float = 0.0,
) -> Staged:
    """Stages ``hidden1``, ``hidden2``, ...: linear, ReLU and, if asked for, dropout.

    Args:
        input_shape: Of one sample, with any number of axes.
        outputs: Number of outputs of the head.
        hidden: Width of each hidden layer.
        dropout: Probability of dropping a unit.

    Raises:
        ValueError: There are no hidden layers.
    """
    if not hidden:
        raise ValueError("backbone.hidden is empty; it must list the width of each hidden layer.")
    module = create(
        "the backbone mlp", partial(_model, math.prod(input_shape), hidden, outputs, dropout)
    )
    return discover(
        module,
        torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(0)),
        head=module.get_submodule("head"),
        cuts=[name for name, _ in module.named_children() if name.startswith("hidden")],
        key=("mlp", input_shape, tuple(hidden), dropout > 0),
    )


def _model(inputs: int, hidden: Sequence[int], outputs: int, dropout: float) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number, width in enumerate(hidden, start=1):
        modules = [nn.Linear(inputs, width), nn.ReLU()]
        layers[f"hidden{number}"] = nn.Sequential(
            *modules, *([nn.Dropout(dropout)] if dropout > 0 else [])
        )
        inputs = width
    layers["head"] = nn.Linear(inputs, outputs)
    return nn.Sequential(layers)
