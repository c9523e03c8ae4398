"""Backbones by name: model families as stages with a head, and their pretrained weights.

A new family is a module here and an entry in ``BACKBONES``. Importing this package loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Literal

from workbench import usercode
from workbench.backbones import hub
from workbench.backbones.torchvision_names import FAMILY_OF, WEIGHTS, checkpoints
from workbench.backbones.weights import WeightsError, check_folder, is_file, load, read
from workbench.messages import refuse_unknown_options, unknown
from workbench.record.knob import BelowOne, FromOne, FromTwo
from workbench.record.seeds import derive
from workbench.record.strategy import Knobs, Weights

if TYPE_CHECKING:
    from workbench.backbones.stages import Staged
    from workbench.datasets import Data, Part
    from workbench.datasets.samples import Inputs

__all__ = [
    "BACKBONES",
    "Entry",
    "WeightsError",
    "build",
    "entry_of",
    "named",
    "paths_of",
    "prepare",
    "prepare_inputs",
]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model family that a study file may name.

    Attributes:
        build: Function that builds it, as ``module:name``; called with ``input_shape``, ``outputs``
            and the options. The body's random numbers must not depend on ``outputs``.
        input: Kind of samples: ``image``, ``vector``, ``text`` or ``any`` (numbers of any shape).
        options: Type of each option; None if only the user's code knows them.
        arguments: Fixed arguments of ``build``, ``pretrained`` and ``tokenize``.
        weights: Names of weights that the family resolves itself.
        named: Function that returns the ``Weights`` of such a name, as ``module:name``; called
            with ``source`` and the arguments.
        hub: Whether ``pretrained`` also takes a hub id or the path of a model's folder.
        pretrained: Function that returns such weights (tensors by name), as ``module:name``;
            called with ``source`` and the arguments. It downloads missing files if
            ``downloads.may()`` allows it, and raises ``NotDownloadedError`` otherwise.
        tokenize: Function that turns ``Texts`` into ``Tokens``, as ``module:name``; called with
            ``texts``, the arguments and the options.
    """

    build: str
    input: str
    options: Mapping[str, object] | None = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    weights: tuple[str, ...] = ()
    named: str = ""
    hub: bool = False
    pretrained: str = ""
    tokenize: str = ""


BACKBONES: dict[str, Entry] = {
    "mlp": Entry(
        build="workbench.backbones.mlp:build",
        input="any",
        options={"hidden": list[FromOne], "dropout": BelowOne},
    ),
    "small_cnn": Entry(
        build="workbench.backbones.small_cnn:build",
        input="image",
        options={"width": FromOne},
    ),
    "small_text": Entry(
        build="workbench.backbones.small_text:build",
        input="text",
        options={"width": FromOne, "buckets": FromTwo, "max_length": FromOne},
        tokenize="workbench.backbones.small_text:tokenize",
    ),
    **{
        name: Entry(
            build="workbench.backbones.torchvision_models:build",
            input="image",
            options={"stages": list[str], **dict.fromkeys(family.options, BelowOne)},
            arguments={"model": name},
            weights=WEIGHTS[name],
            named="workbench.backbones.torchvision_models:named",
            pretrained="workbench.backbones.torchvision_models:pretrained",
        )
        for name, family in FAMILY_OF.items()
    },
}
_TIMM = Entry(
    build="workbench.backbones.timm_models:build",
    input="image",
    options={"stages": list[str], "dropout": BelowOne, "stochastic_depth": BelowOne},
    weights=("timm",),
    named="workbench.backbones.timm_models:named",
    pretrained="workbench.backbones.timm_models:pretrained",
)
_MODEL = Entry(
    build="workbench.backbones.transformers_models:build",
    input="any",
    options={"stages": list[str]},
    weights=("hub",),
    hub=True,
    pretrained="workbench.backbones.transformers_models:pretrained",
)
_TEXT_OPTIONS = {
    "max_length": FromOne,
    "tokenizer": str,
    "padding": Literal["longest", "max_length"],
}
_USER = Entry(build="workbench.backbones.user:build", input="any", options=None)


def _of_hub(name: str) -> Entry:
    """The entry of a model on the hub or in a folder, by its ``config.json``."""
    kind = hub.input_of(name)
    entry = replace(_MODEL, input=kind, arguments={"model": name})
    if kind == "image":
        return entry
    # A model without a ``config.json`` here may turn out to take texts: it has their options too.
    options = {**(_MODEL.options or {}), **_TEXT_OPTIONS}
    return replace(entry, options=options, tokenize="workbench.backbones.tokenizers:tokenize")


BACKBONES.update({name: _of_hub(name) for names in hub.NAMES.values() for name in names})


def entry_of(name: str) -> Entry | None:
    """The entry of a backbone's name or of a user's ``FILE.py:NAME``; None for unknown names."""
    if usercode.is_reference(name):
        return replace(_USER, arguments={"reference": name})
    if name.startswith("timm:"):
        return replace(_TIMM, arguments={"model": name.removeprefix("timm:")})
    if name not in BACKBONES and hub.is_model(name):
        return _of_hub(name)
    return BACKBONES.get(name)


def named(backbone: str, source: str) -> Weights:
    """The weights of a name that the backbone's family resolves itself.

    Raises:
        NotDownloadedError: They must be downloaded first.
        ValueError: They do not exist, or the family's library is not installed.
    """
    entry = entry_of(backbone)
    if entry is None or not entry.named:
        return Weights(source=source)
    found: Weights = resolve_name(entry.named)(source=source, **entry.arguments)
    return found


def paths_of(backbone: Knobs, weights: Weights | None) -> list[Path] | None:
    """The files and folders that a backbone is built from, besides installed packages.

    Returns:
        None where they are not known: of a user's own code and of timm's weights.
    """
    name = backbone["name"]
    entry = entry_of(name)
    source = None if weights is None else weights.source
    if entry is None or entry.options is None:
        return None
    if source in entry.weights and not entry.hub:
        return [checkpoints()] if name in FAMILY_OF else None
    models = [name, backbone.get("tokenizer"), source] if entry.hub else [source]
    return [path for model in models if model for path in hub.paths_of(model)]


def prepare(backbone: Knobs, data: Data) -> Data:
    """Data with every part in the form that a backbone takes; see ``prepare_inputs``."""

    def ready(part: Part) -> Part:
        return replace(part, inputs=prepare_inputs(backbone, data.kind, part.inputs))

    return replace(
        data,
        train=ready(data.train),
        validation=ready(data.validation),
        test=None if data.test is None else ready(data.test),
    )


def prepare_inputs(backbone: Knobs, kind: str, inputs: Inputs) -> Inputs:
    """Samples in the form that a backbone takes: texts become tokens, all others are unchanged.

    Args:
        backbone: ``name`` and the family's options.
        kind: ``image``, ``vector`` or ``text``.
        inputs: Of one part of the data, or new samples.

    Raises:
        NotDownloadedError: The tokenizer is not on this machine.
        ValueError: The backbone does not take such samples.
    """
    entry, options = _entry_and_options(backbone)
    numbers_or_text = ("image", "text" if entry.tokenize else "vector")
    takes = numbers_or_text if entry.input == "any" else (entry.input,)
    if kind not in takes and entry.options is not None:
        raise ValueError(
            f"The backbone {backbone['name']} takes {'s or '.join(takes)}s, but the samples are "
            f"{kind}s."
        )
    if kind != "text" or not entry.tokenize:
        return inputs
    tokens: Inputs = resolve_name(entry.tokenize)(inputs, **entry.arguments, **options)
    return tokens


def build(
    backbone: Knobs,
    *,
    weights: Weights | None,
    keep_head: bool,
    input_shape: tuple[int, ...],
    outputs: int,
    seed: int,
    notes: list[str] | None = None,
) -> Staged:
    """Build a backbone with a head, initialise it and load its weights.

    Body and head have separate generators, so that a new head starts from the same numbers
    whatever initialised the body. The global generator is left unchanged.

    Args:
        backbone: ``name`` and the family's options; ``strict: false`` loads only weights that fit.
        weights: Initial weights of the body; None trains from scratch.
        keep_head: Load the head from the weights too.
        input_shape: Of one sample: ``(C, H, W)`` or ``(features,)``.
        outputs: Number of outputs of the head.
        seed: The trial's training seed.
        notes: Receives a sentence about everything that was ignored or missing in the weights.

    Raises:
        NotDownloadedError: The model or its weights are not on this machine.
        OutOfMemoryError: The parameters do not fit into the machine's memory.
        ValueError: The name or an option is unknown, or the samples do not fit the backbone.
        WeightsError: The weights cannot be read or do not fit.
    """
    entry, options = _entry_and_options(backbone)
    name = backbone["name"]
    if keep_head and weights is None:
        raise ValueError("backbone.keep_head needs pretrained weights; set backbone.weights.")

    import torch

    from workbench.backbones.stages import memory_limit

    # devices=[]: torch.manual_seed would reset an accelerator's generator as well.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, "backbone"))
        with memory_limit(f"the backbone {name}"):
            staged: Staged = resolve_name(entry.build)(
                input_shape=input_shape, outputs=outputs, **entry.arguments, **options
            )
        torch.default_generator.manual_seed(derive(seed, "head"))
        # Draw the head again from its own seed: it must not depend on how the body was drawn.
        for module in staged.head.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    if weights is not None:
        # The planned hash is checked before loading, wherever the weights come from.
        own, source = weights.source in entry.weights, weights.source
        if entry.hub and not is_file(source):
            source = entry.arguments["model"] if own else source
            check_folder(weights, hub.folder_of(source, hub.WEIGHTS))
        elif own and weights.sha256 is not None and named(name, source) != weights:
            raise WeightsError(f"The weights {source} of {name} have changed since planning.")
        if own or (entry.hub and not is_file(source)):
            found = resolve_name(entry.pretrained)(source=weights.source, **entry.arguments)
        else:
            found = read(weights)
        strict = bool(backbone.get("strict", True))
        loaded = load(staged, found, keep_head=keep_head, source=source, strict=strict)
        if notes is not None:
            notes += loaded
    return staged


def _entry_and_options(backbone: Knobs) -> tuple[Entry, Knobs]:
    options = {key: value for key, value in backbone.items() if key != "strict"}
    name = options.pop("name")
    entry = entry_of(name)
    if entry is None:
        raise ValueError(unknown("backbone", name, BACKBONES))
    refuse_unknown_options(f"backbone {name}", options, entry.options)
    return entry, options
