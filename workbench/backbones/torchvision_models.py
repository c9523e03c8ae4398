"""Image classifiers as torchvision builds them, for images of 3 channels.

Knows no data set. The names and what can be said of each model stand in ``torchvision_names``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models import MNASNet

from workbench import downloads
from workbench.backbones.stages import Staged, check_memory, discover
from workbench.backbones.torchvision_names import FAMILY_OF
from workbench.backbones.weights import Pretrained, WeightsError
from workbench.record.files import sha256_of
from workbench.record.strategy import Weights

# In the name of a file of torchvision: how its SHA-256 begins.
_HASH = re.compile(r"-([0-9a-f]{8,64})\.")
# Heads beside the main one that only training uses; no study trains them.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
# DenseNet's files are older than its names of layers.
_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
_WIDTHS = {"mnasnet0_5": 0.5, "mnasnet0_75": 0.75, "mnasnet1_0": 1.0, "mnasnet1_3": 1.3}


class _MNASNet(MNASNet):  # type: ignore[misc]  # torchvision has no types
    """MNASNet whose weights load from any state dict of its present layout.

    torchvision's own refuses one that has lost its version, as every copy of a state dict has.
    """

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        nn.Module._load_from_state_dict(self, *args, **kwargs)


def build(
    *,
    model: str,
    input_shape: tuple[int, ...],
    outputs: int,
    stages: Sequence[str] | None = None,
    **options: float,
) -> Staged:
    """A model of torchvision in stages; the head is its last linear layer.

    GoogLeNet and Inception have no auxiliary heads, and take images normalised as ImageNet's are,
    as they do with torchvision's own weights.

    Args:
        model: As torchvision names it.
        input_shape: ``(3, H, W)`` of one image.
        outputs: Of the head.
        stages: The modules that begin a stage; None takes the model's own blocks.
        options: See ``torchvision_names.Family.options``.

    Raises:
        ValueError: The images do not fit the model, an option is out of range, or no stage can
            begin where it should.
    """
    _check_images(model, input_shape)
    chosen = {}
    for name, value in options.items():
        if not 0.0 <= value < 1.0:
            raise ValueError(f"backbone.{name} is {value}; it must be at least 0 and below 1.")
        chosen[FAMILY_OF[model].options[name]] = value
    make = partial(_made, model, input_shape, chosen)
    check_memory(f"the backbone {model}", make)
    module = make()
    path = _head_path(module)
    old = module.get_submodule(path)
    # The body was drawn with the head as it is in the weights: it does not depend on outputs.
    head: nn.Module
    if isinstance(old, nn.Conv2d):
        head = nn.Conv2d(old.in_channels, outputs, kernel_size=1)
    else:
        assert isinstance(old, nn.Linear)
        head = nn.Linear(old.in_features, outputs, bias=old.bias is not None)
    module.set_submodule(path, head)
    generator = torch.Generator().manual_seed(0)
    cuts = None if stages is None else tuple(stages)
    return discover(
        module,
        torch.randn(2, *input_shape, generator=generator),
        head=head,
        cuts=cuts,
        key=("torchvision", model, input_shape, cuts),
    )


def named(*, source: str, model: str) -> Weights:
    """The weights by torchvision's own name: which of them is its best may change with it."""
    if source != "imagenet":
        return Weights(source=source)
    return Weights(source=models.get_model_weights(model).DEFAULT.name)


def pretrained(*, source: str, model: str) -> Pretrained:
    """Weights by torchvision's own names, from torch's cache or downloaded into it.

    The file is checked against the hash in its name. Values that are not finite (the head of
    ``IMAGENET1K_FEATURES``) are left out.

    Args:
        source: ``imagenet`` for torchvision's best, or a name such as ``IMAGENET1K_V1``.
        model: As torchvision names it.

    Raises:
        Absent: They are not here, and may not or cannot be downloaded.
        WeightsError: The model has no such weights, or the file is damaged.
    """
    every = models.get_model_weights(model)
    if source != "imagenet" and source not in every.__members__:
        raise WeightsError(
            f"The backbone {model} has no weights {source}; it has imagenet, "
            f"{', '.join(every.__members__)}."
        )
    weights = every.DEFAULT if source == "imagenet" else every[source]
    file = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    here = file.exists()
    if not here and not downloads.may():
        raise downloads.Absent(
            f"The weights {source} of {model} are not on this machine: workbench run downloads "
            f"{file.name}, or put it into {file.parent} yourself."
        )
    # torch checks what it downloads, but not what it finds in its cache.
    digest = _HASH.search(file.name)
    if here and digest and not sha256_of(file).startswith(digest[1]):
        raise WeightsError(
            f"The weights {file} are damaged, or other ones: their SHA-256 does not begin with "
            f"{digest[1]}, as their name does. Remove the file to have it downloaded again; name "
            "weights of your own by their path."
        )
    try:
        found: dict[str, Tensor] = weights.get_state_dict(
            progress=True, check_hash=True, weights_only=True, map_location="cpu"
        )
    # Of the connection, the disk, the hash and the file: they have no class in common.
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
        if here:
            raise WeightsError(
                f"The weights {file} are damaged or of another format: {reason}. Remove the file "
                f"to have it downloaded again."
            ) from error
        raise downloads.Absent(
            f"The weights {source} of {model} could not be downloaded: {reason}; put {file.name} "
            f"into {file.parent} yourself."
        ) from error
    return _named_as_now(found, model, source)


def _named_as_now(found: dict[str, Tensor], model: str, source: str) -> Pretrained:
    """Weights by the names that the model has now, without what no study uses."""
    named = {}
    for name, tensor in found.items():
        name = _DENSENET.sub(r"\1\2", name) if model.startswith("densenet") else name
        if model.startswith("vit"):
            name = name.replace("mlp.linear_1.", "mlp.0.").replace("mlp.linear_2.", "mlp.3.")
        named[name] = tensor
    auxiliary = [name for name in named if name.startswith(_AUXILIARY)]
    empty = [
        name
        for name, tensor in named.items()
        if tensor.is_floating_point() and not bool(tensor.isfinite().all())
    ]
    notes = []
    if auxiliary:
        notes.append(f"The auxiliary heads in the weights {source} of {model} are left out.")
    kept = {name: tensor for name, tensor in named.items() if name not in {*auxiliary, *empty}}
    return Pretrained(tensors=kept, lacking=tuple(empty), notes=tuple(notes))


def _check_images(model: str, input_shape: tuple[int, ...]) -> None:
    channels, height, width = input_shape
    if channels != 3:
        raise ValueError(
            f"The backbone {model} takes images of 3 channels, but these have {channels}; "
            f"set dataset.channels: 3."
        )
    smallest, multiple = FAMILY_OF[model].side(model)
    fits = height == width or multiple == 1
    if min(height, width) < smallest or height % multiple or not fits:
        more = f", and whole multiples of {multiple}" if multiple > 1 else ""
        raise ValueError(
            f"The smallest images that the backbone {model} takes are {smallest} x {smallest} "
            f"pixels{more}, but these are {height} x {width}; set dataset.image_size: "
            f"{max(smallest, -(-max(height, width) // multiple) * multiple)}."
        )


def _made(model: str, input_shape: tuple[int, ...], options: dict[str, Any]) -> nn.Module:
    if model in _WIDTHS:
        return _MNASNet(_WIDTHS[model], **options)
    if model in ("googlenet", "inception_v3"):
        options |= {"init_weights": True, "aux_logits": False, "transform_input": True}
    if model.startswith("vit_"):
        options |= {"image_size": input_shape[1]}
    if model.startswith("maxvit_"):
        options |= {"input_size": input_shape[1:]}
    made: nn.Module = models.get_model(model, weights=None, **options)
    return made


def _head_path(module: nn.Module) -> str:
    """The last linear layer; SqueezeNet's last convolution."""
    linear = [path for path, part in module.named_modules() if type(part) is nn.Linear]
    convolutions = [path for path, part in module.named_modules() if type(part) is nn.Conv2d]
    last: str = (linear or convolutions)[-1]
    return last
