"""Image classifiers of torchvision, for images of 3 channels.

The names and the properties of each model are in ``torchvision_names``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models import MNASNet

from workbench import downloads
from workbench.backbones.stages import Staged, create, discover
from workbench.backbones.torchvision_names import FAMILY_OF
from workbench.backbones.weights import Pretrained, WeightsError
from workbench.messages import first_line
from workbench.record.files import sha256_of
from workbench.record.strategy import Weights

# The first digits of a file's SHA-256 are part of its name in torchvision.
_HASH = re.compile(r"-([0-9a-f]{8,64})\.")
# Auxiliary heads that only the original training uses.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
# DenseNet's files use older names of layers.
_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
_WIDTHS = {"mnasnet0_5": 0.5, "mnasnet0_75": 0.75, "mnasnet1_0": 1.0, "mnasnet1_3": 1.3}


class _MNASNet(MNASNet):  # type: ignore[misc]  # torchvision has no types
    """MNASNet that loads any state dict of its current layout.

    torchvision's own class needs the version in ``_metadata``, which a copied dictionary loses.
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
    """Build a model of torchvision in stages; the head is its last linear layer.

    GoogLeNet and Inception have no auxiliary heads and expect images normalised for ImageNet, as
    they do with torchvision's own weights.

    Args:
        model: torchvision's name.
        input_shape: ``(3, H, W)`` of one image.
        outputs: Number of outputs of the head.
        stages: The modules that begin a stage; None takes the model's own blocks.
        options: See ``torchvision_names.Family.options``.

    Raises:
        ValueError: The images do not fit the model, or a stage cannot begin at a given module.
    """
    _check_images(model, input_shape)
    chosen = {FAMILY_OF[model].options[name]: value for name, value in options.items()}
    module = create(f"the backbone {model}", partial(_create, model, input_shape, chosen))
    path = _head_path(module)
    old = module.get_submodule(path)
    # Built with the original head first, so that the body's numbers do not depend on ``outputs``.
    head: nn.Module
    if isinstance(old, nn.Conv2d):
        head = nn.Conv2d(old.in_channels, outputs, kernel_size=1)
    else:
        assert isinstance(old, nn.Linear)
        head = nn.Linear(old.in_features, outputs, bias=old.bias is not None)
    module.set_submodule(path, head)
    # A generator of its own: the trial's random numbers must not depend on the search for stages.
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
    """The weights by torchvision's full name, since DEFAULT may change between releases."""
    if source != "imagenet":
        return Weights(source=source)
    return Weights(source=models.get_model_weights(model).DEFAULT.name)


def pretrained(*, source: str, model: str) -> Pretrained:
    """Weights of torchvision, from torch's cache or downloaded into it.

    The file is checked against the hash in its name. Tensors with non-finite values (the head of
    ``IMAGENET1K_FEATURES``) are ignored.

    Args:
        source: ``imagenet`` for torchvision's default, or a name such as ``IMAGENET1K_V1``.
        model: torchvision's name.

    Raises:
        NotDownloadedError: They are not on this machine, and downloading is not allowed or fails.
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
        raise downloads.NotDownloadedError(
            f"The weights {source} of {model} are not on this machine: workbench run downloads "
            f"{file.name}, or copy it to {file.parent} yourself."
        )
    # torch checks what it downloads, but not what it finds in its cache.
    digest = _HASH.search(file.name)
    if here and digest and not sha256_of(file).startswith(digest[1]):
        raise WeightsError(
            f"The weights {file} are damaged or were replaced: their SHA-256 does not begin with "
            f"{digest[1]}, as in their name. Remove the file to download it again; for your own "
            "weights, give their path."
        )
    try:
        found: dict[str, Tensor] = weights.get_state_dict(
            progress=True, check_hash=True, weights_only=True, map_location="cpu"
        )
    # Errors of the connection, the disk, the hash and the file have no common base class.
    except Exception as error:
        reason = first_line(error)
        if here:
            raise WeightsError(
                f"The weights {file} are damaged or of another format: {reason}. Remove the file "
                f"to download it again."
            ) from error
        raise downloads.NotDownloadedError(
            f"The weights {source} of {model} could not be downloaded: {reason}. Copy {file.name} "
            f"to {file.parent} yourself."
        ) from error
    return _rename(found, model, source)


def _rename(found: dict[str, Tensor], model: str, source: str) -> Pretrained:
    """Weights under the model's current names, without auxiliary heads and empty tensors."""
    named = {}
    for name, tensor in found.items():
        name = _DENSENET.sub(r"\1\2", name) if model.startswith("densenet") else name
        # ViT's files were written before its MLP became a Sequential.
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
        notes.append(f"The auxiliary heads in the weights {source} of {model} are ignored.")
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


def _create(model: str, input_shape: tuple[int, ...], options: Mapping[str, float]) -> nn.Module:
    given: dict[str, object] = dict(options)
    if model in _WIDTHS:
        return _MNASNet(_WIDTHS[model], **given)
    # No auxiliary heads; inputs are converted as for torchvision's own weights.
    if model in ("googlenet", "inception_v3"):
        given |= {"init_weights": True, "aux_logits": False, "transform_input": True}
    if model.startswith("vit_"):
        given |= {"image_size": input_shape[1]}
    if model.startswith("maxvit_"):
        given |= {"input_size": input_shape[1:]}
    made: nn.Module = models.get_model(model, weights=None, **given)
    return made


def _head_path(module: nn.Module) -> str:
    """The last linear layer; SqueezeNet's last convolution."""
    linear = [path for path, part in module.named_modules() if type(part) is nn.Linear]
    convolutions = [path for path, part in module.named_modules() if type(part) is nn.Conv2d]
    last: str = (linear or convolutions)[-1]
    return last
