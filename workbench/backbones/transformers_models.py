"""Models of transformers that classify texts or images, from the hub or a folder.

``config.json`` defines the architecture; the model's own forward runs, without its loss.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from workbench.backbones import hub
from workbench.backbones.stages import Staged, create, discover
from workbench.backbones.transformers_configs import (
    CLASSES,
    configuration,
    model_class,
    padding_token,
    quiet,
)
from workbench.backbones.weights import Pretrained, WeightsError
from workbench.messages import first_line, listed

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

_AUTO = {"text": AutoModelForSequenceClassification, "image": AutoModelForImageClassification}
# transformers' names of ``datasets.samples.TARGETS``; they choose the loss.
_Problem = Literal["single_label_classification", "multi_label_classification", "regression"]
_PROBLEMS: dict[str, _Problem] = {
    "class": "single_label_classification",
    "labels": "multi_label_classification",
    "numbers": "regression",
}
# Tokens per text in the batch that is used to find the stages.
_EXAMPLE = 8


class Logits(nn.Module):
    """A model of transformers that takes a batch of the engine.

    Its parameters have the names of transformers with the prefix ``model.``.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        """Logits ``[B, outputs]``.

        Args:
            batch: Images ``[B, C, H, W]``; or ``input_ids``, ``attention_mask`` and other inputs of
                the model, each ``[B, length]``.
        """
        named = batch if isinstance(batch, dict) else {"pixel_values": batch}
        logits: Tensor = self.model(**named).logits
        return logits


def build(
    *,
    model: str,
    input_shape: tuple[int, ...],
    outputs: int,
    stages: list[str] | None = None,
    max_length: int | None = None,
    tokenizer: str | None = None,
    padding: str = "longest",
) -> Staged:
    """Build a model in stages; the head is everything outside transformers' base model.

    Args:
        model: A hub id or the path of a folder; only its configuration is read.
        input_shape: ``(C, H, W)`` of one image; ``()`` for texts.
        outputs: Number of outputs of the head.
        stages: Modules that begin a stage; None finds them.
        max_length: Ignored; an option of the tokenizer.
        tokenizer: Ignored; an option of the tokenizer.
        padding: Ignored; an option of the tokenizer.

    Raises:
        NotDownloadedError: The configuration is not on this machine.
        ValueError: transformers has no such model, or it cannot take such samples.
    """
    del max_length, tokenizer, padding
    kind = "image" if input_shape else "text"
    config = configuration(model)
    model_class(model, config, kind)  # Refuses what transformers cannot classify with.
    make = partial(_initialise, config, kind, outputs)
    module = Logits(create(f"the backbone {model}", make)).eval()
    if kind == "text":
        example: Batch = _texts(config)
    else:
        _check_images(model, module, config, input_shape)
        example = torch.rand(2, *input_shape, generator=torch.Generator().manual_seed(0))
    # Stages depend neither on the weights nor on the number of outputs.
    key = (__name__, config.to_json_string(), input_shape, tuple(stages or ()))
    base = module.model.base_model
    parts = [child for child in module.model.children() if child is not base]
    head = [part for part in parts if any(True for _ in part.parameters())]
    only = head[0] if len(head) == 1 else nn.ModuleList(head)
    return discover(module, example, head=only, cuts=stages, key=key)


def pretrained(*, source: str, model: str) -> Pretrained:
    """Weights as transformers loads them, under the names of ``build``'s model.

    The weights may come from a model with another head or without one. The pooler may be missing,
    because many heads do not use it.

    Args:
        source: ``hub`` for the model's own, or another hub id or folder.
        model: The backbone.

    Raises:
        NotDownloadedError: They are not on this machine.
        WeightsError: They are of another architecture or incomplete.
    """
    place = model if source == "hub" else source
    config, own = configuration(place), configuration(model)
    if config.model_type != own.model_type:
        raise WeightsError(
            f"The weights {place} belong to a model of the type {config.model_type}, but the "
            f"backbone {model} has the type {own.model_type}."
        )
    folder = hub.folder_of(place, hub.WEIGHTS)
    kind = "text" if type(config) in CLASSES["text"] else "image"
    model_class(model, config, kind)
    with quiet(), torch.random.fork_rng(devices=[]):
        try:
            found, info = _AUTO[kind].from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
            )
        except Exception as error:
            raise WeightsError(
                f"The weights {place} in {folder} cannot be loaded: {first_line(error)}."
            ) from error
    return _loaded_weights(place, found, info)


def save(module: nn.Module, folder: Path, *, classes: Sequence[str], target: str) -> None:
    """Write ``build``'s model as ``save_pretrained`` does, with the names of its outputs.

    Args:
        module: Of ``build``.
        folder: Gets ``config.json`` and ``model.safetensors``.
        classes: Names of the outputs.
        target: What they predict; see ``datasets.samples.TARGETS``.

    Raises:
        OSError: The folder cannot be written to.
    """
    assert isinstance(module, Logits)
    config = module.model.config
    config.id2label = dict(enumerate(classes))
    config.label2id = {name: number for number, name in enumerate(classes)}
    config.problem_type = _PROBLEMS[target]
    with quiet():
        # One file, whatever its size.
        module.model.save_pretrained(folder, max_shard_size="1TB")


def _loaded_weights(place: str, found: PreTrainedModel, info: dict[str, Any]) -> Pretrained:
    """Convert transformers' report on the loaded weights to the form of ``weights.load``."""
    base = f"{found.base_model_prefix}."
    parts = {name for name, _ in found.base_model.named_children()}

    def in_body(name: str) -> bool:
        return name.removeprefix(base).split(".")[0] in parts

    shapes = [
        f"{name} {tuple(theirs)} instead of {tuple(ours)}"
        for name, theirs, ours in sorted(info["mismatched_keys"])
        if in_body(name)
    ]
    if shapes:
        raise WeightsError(
            f"The weights {place} do not fit their own config.json. Different shape: "
            f"{listed(shapes)}."
        )
    missing = set(info["missing_keys"]) | {name for name, *_ in info["mismatched_keys"]}
    unknown = sorted(info["unexpected_keys"])
    strange = [name for name in unknown if in_body(name) and "pooler." not in name]
    left = [name for name in unknown if name not in strange]
    tensors = {name: value for name, value in found.state_dict().items() if name not in missing}
    # transformers does not return these tensors; only their names matter, for the error message.
    tensors |= {base + name.removeprefix(base): torch.empty(0) for name in strange}
    return Pretrained(
        tensors={f"model.{name}": value for name, value in tensors.items()},
        lacking=tuple(f"model.{name}" for name in missing if in_body(name) and "pooler." in name),
        notes=(f"Of the weights {place}, {listed(left)} belong to another head.",) if left else (),
    )


def _initialise(config: PreTrainedConfig, kind: str, outputs: int) -> PreTrainedModel:
    """A randomly initialised model whose body does not depend on the number of outputs."""
    before = torch.get_rng_state()
    found = _create(config, kind, outputs)
    if next(found.children()) is not found.base_model:
        # Here the head is drawn before the body: draw the body again from the same state.
        torch.set_rng_state(before)
        setattr(found, found.base_model_prefix, _create(config, kind, 1).base_model)
    return found


def _create(config: PreTrainedConfig, kind: str, outputs: int) -> PreTrainedModel:
    # The configuration is also the key of the stages: it must not change with the outputs.
    config = copy.deepcopy(config)
    config.num_labels = outputs
    config.use_cache = False
    # transformers reads this list if a type has several classes, and fails on None.
    config.architectures = config.architectures or []
    if kind == "text":
        config.get_text_config().pad_token_id = padding_token(config)
    # LayerDrop would shift the random numbers of all other layers.
    for name in ("layerdrop", "encoder_layerdrop", "decoder_layerdrop"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    with quiet():
        # Fused attention accumulates gradients in no fixed order on a GPU: not reproducible.
        made: PreTrainedModel = _AUTO[kind].from_config(  # type: ignore[no-untyped-call]
            config, dtype=torch.float32, attn_implementation="eager"
        )
    return made


def _check_images(
    model: str, module: Logits, config: PreTrainedConfig, shape: tuple[int, ...]
) -> None:
    channels = getattr(config, "num_channels", shape[0])
    if channels != shape[0]:
        raise ValueError(
            f"The backbone {model} takes images of {channels} channels, but these have {shape[0]}; "
            f"set dataset.channels: {channels}."
        )
    size = getattr(config, "image_size", None)
    height, width = size if isinstance(size, list | tuple) else (size, size)
    if (height, width) == shape[1:]:
        return
    try:
        # Many models take other sizes than the configured one.
        # Not in inference mode: some models cache tables here and need them for training later.
        with torch.no_grad():
            module(torch.zeros(1, *shape))
    except (ValueError, RuntimeError, AssertionError) as error:
        these = f"{shape[1]} x {shape[2]}"
        if size is None:
            raise ValueError(
                f"The backbone {model} cannot take images of {these} pixels ({first_line(error)}); "
                f"set a larger dataset.image_size."
            ) from error
        raise ValueError(
            f"The backbone {model} takes images of {height} x {width} pixels, but these have "
            f"{these}; set dataset.image_size: {height}."
        ) from error


def _texts(config: PreTrainedConfig) -> dict[str, Tensor]:
    """Two texts with different tokens, the second one shorter."""
    of_text = config.get_text_config()
    pad, vocabulary = padding_token(config), of_text.vocab_size
    ids = (pad + 1 + torch.arange(2 * _EXAMPLE) % max(vocabulary - 1, 1)) % vocabulary
    mask = torch.ones(2, _EXAMPLE, dtype=torch.int64)
    mask[1, _EXAMPLE // 2 :] = 0
    return {
        "input_ids": torch.where(mask.bool(), ids.view(2, _EXAMPLE), pad),
        "attention_mask": mask,
    }
