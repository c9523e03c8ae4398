"""Image classifiers of timm, by any name that timm lists: ``timm:NAME``.

timm is an optional library; without it, the error says how to install it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from workbench.backbones import hub
from workbench.backbones.stages import Staged, create, discover
from workbench.backbones.stages.recording import evaluation_mode
from workbench.backbones.weights import WeightsError, fingerprint
from workbench.messages import did_you_mean
from workbench.record.strategy import Weights


def build(
    *,
    model: str,
    input_shape: tuple[int, ...],
    outputs: int,
    stages: Sequence[str] | None = None,
    dropout: float | None = None,
    stochastic_depth: float | None = None,
) -> Staged:
    """Build a model of timm in stages, for images with any number of channels.

    Args:
        model: timm's name, with or without the tag of its weights.
        input_shape: ``(C, H, W)`` of one image.
        outputs: Number of outputs of the head.
        stages: The modules that begin a stage; None takes the model's own blocks.
        dropout: Before the head; None takes the model's default.
        stochastic_depth: Largest probability of dropping a block (timm's ``drop_path_rate``).

    Raises:
        ValueError: timm is not installed or has no such model, the images do not fit it, or a
            stage cannot begin at a given module.
    """
    timm = _timm(model)
    channels, height, width = input_shape
    given: dict[str, object] = {
        "drop_rate": dropout,
        "drop_path_rate": stochastic_depth,
        "in_chans": channels,
    }
    known = timm.models.get_pretrained_cfg(model)
    if known is not None and known.fixed_input_size:
        given["img_size"] = (height, width)
    example = torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(0))
    make = partial(timm.create_model, model, pretrained=False, **given)
    try:
        module: nn.Module = create(f"the backbone timm:{model}", make)
    except TypeError as error:
        raise ValueError(f"timm:{model} does not take these options: {error}.") from error
    # Built with the original head first, so that the body's numbers do not depend on ``outputs``.
    module.reset_classifier(outputs)  # type: ignore[operator]
    _check_runs(module, example, model, None if known is None else known.input_size)
    cuts = None if stages is None else tuple(stages)
    return discover(
        module,
        example,
        head=_head(module),
        cuts=cuts,
        key=("timm", model, input_shape, dropout, stochastic_depth, cuts),
    )


def named(*, source: str, model: str) -> Weights:
    """The weights of timm for a model, with their hash; downloaded first if that is allowed.

    Raises:
        NotDownloadedError, WeightsError: As for ``pretrained``.
        ValueError: timm is not installed or has no such model.
    """
    return Weights(source=source, sha256=fingerprint(_folder(model)))


def pretrained(*, source: str, model: str) -> dict[str, Tensor]:
    """The weights of timm for a model, from the hub's cache or downloaded into it.

    Args:
        source: ``timm``.
        model: timm's name; its tag selects the weights.

    Raises:
        NotDownloadedError: They are not on this machine, and downloading is not allowed or fails.
        WeightsError: timm has none for this model, or they are damaged.
    """
    timm = _timm(model)
    folder = _folder(model)
    file = next(folder / name for name in hub.WEIGHTS if (folder / name).is_file())
    try:
        made: nn.Module = timm.create_model(
            model, pretrained=True, pretrained_cfg_overlay={"file": str(file)}
        )
    # Damaged files raise errors without a common base class.
    except Exception as error:
        raise WeightsError(f"The weights {file} cannot be read: {error}") from error
    return dict(made.state_dict())


def _folder(model: str) -> Path:
    known = _timm(model).models.get_pretrained_cfg(model)
    if known is None or not known.hf_hub_id:
        raise WeightsError(f"timm has no weights for {model} on the Hugging Face hub.")
    return hub.folder_of(known.hf_hub_id, hub.WEIGHTS)


def _timm(model: str) -> ModuleType:
    try:
        import timm
    except ImportError as error:
        raise ValueError(
            f"timm:{model} needs the library timm, which is not installed: pip install timm"
        ) from error
    if not timm.is_model(model):
        hint = did_you_mean(model, timm.list_models(), "timm:") or "."
        raise ValueError(f"timm has no model {model}{hint}")
    found: ModuleType = timm
    return found


def _head(module: Any) -> nn.Module | None:
    """The classifier of the model; distilled models (DeiT) have two."""
    found = module.get_classifier()
    heads = list(found) if isinstance(found, tuple | list) else [found]
    heads = [head for head in heads if any(True for _ in head.parameters())]
    if not heads:
        return None
    return heads[0] if len(heads) == 1 else nn.ModuleList(heads)


def _check_runs(
    module: nn.Module, example: Tensor, model: str, own: tuple[int, ...] | None
) -> None:
    """Refuse images that the model cannot take; timm does not document the smallest size."""
    try:
        # One sample in evaluation mode: BatchNorm cannot train on one, and one is enough here.
        with evaluation_mode(module), torch.no_grad():
            module(example[:1])
    except (RuntimeError, AssertionError, ValueError) as error:
        size = f"; it was trained with dataset.image_size: {own[-1]}" if own else ""
        shape = " x ".join(map(str, example.shape[1:]))
        raise ValueError(f"timm:{model} cannot take images of {shape} ({error}){size}.") from error
