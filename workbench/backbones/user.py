"""A user's own backbone: ``FILE.py:NAME``, a function that returns a module."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn

from workbench import usercode
from workbench.backbones.stages import Staged, discover
from workbench.backbones.stages.recording import evaluation_mode

# Usual names of a model's head.
_HEADS = ("head", "fc", "classifier")


def build(*, reference: str, input_shape: tuple[int, ...], outputs: int, **options: Any) -> Staged:
    """Build the model of a user's function, in stages.

    The function is called with ``input_shape``, ``outputs`` and the options of the study file. The
    stages of the returned module are its own blocks; its head is its attribute ``head``, ``fc`` or
    ``classifier``, or else its last layer. A ``Staged`` is used unchanged. The random numbers of
    the body should not depend on ``outputs``.

    Args:
        reference: ``FILE.py:NAME``.
        input_shape: ``(C, H, W)`` or ``(features,)`` of one sample.
        outputs: Number of outputs of the head.
        options: The backbone's other keys in the study file. ``stages`` lists the modules that
            begin a stage and is not passed to the function.

    Raises:
        ValueError: The file cannot be run, the function fails, or the model does not take such
            samples; the message names the file.
    """
    if not input_shape:
        raise ValueError(
            f"{reference} cannot take texts, which need a tokenizer; use a model of transformers."
        )
    cuts = options.pop("stages", None)
    make = usercode.load_function(reference, "a backbone")
    with usercode.errors_of(reference, " while building the model"):
        made = make(input_shape=input_shape, outputs=outputs, **options)
    if isinstance(made, Staged):
        return made
    if not isinstance(made, nn.Module):
        raise ValueError(
            f"{reference} returned {type(made).__name__}, not a torch.nn.Module or a Staged."
        )
    example = torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(0))
    _check_runs(made, example, outputs, reference)
    # The structure may depend on the code and on every option.
    structure = json.dumps([options, cuts], sort_keys=True, default=str)
    key = (usercode.sha256_of(reference), reference, input_shape, outputs, structure)
    try:
        with usercode.errors_of(reference, " in training mode", alone=False):
            return discover(made, example, head=_head(made), cuts=cuts, key=key)
    except usercode.UserCodeError:
        raise
    except ValueError as error:
        raise ValueError(f"{reference}: {error}") from error


def _check_runs(module: nn.Module, example: Tensor, outputs: int, reference: str) -> None:
    doing = f" for a batch {list(example.shape)}"
    with evaluation_mode(module), torch.no_grad(), usercode.errors_of(reference, doing):
        made = module(example)
    expected = (len(example), outputs)
    if not isinstance(made, Tensor) or tuple(made.shape) != expected:
        found = f"shape {list(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
        raise ValueError(
            f"The model of {reference} returns {found} for a batch {list(example.shape)}; "
            f"it must return outputs {list(expected)}."
        )


def _head(module: nn.Module) -> nn.Module | None:
    for name in _HEADS:
        head = getattr(module, name, None)
        if isinstance(head, nn.Module) and any(True for _ in head.parameters()):
            return head
    return None
