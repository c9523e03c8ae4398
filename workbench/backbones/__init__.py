"""Backbones by name: model families, each cut into stages, with first weights and a head.

Knows no data set beyond the shape of a sample, and no task beyond the number of outputs. Importing
it loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from workbench import usercode
from workbench.backbones import hub
from workbench.backbones.torchvision_names import FAMILY_OF, WEIGHTS
from workbench.backbones.weights import WeightsError, check_folder, is_file, load, read
from workbench.record.seeds import derive
from workbench.record.strategy import Weights
from workbench.record.text import refuse_unknown_options, unknown

if TYPE_CHECKING:
    from workbench.backbones.stages import Staged
    from workbench.datasets import Data, Part

__all__ = ["BACKBONES", "Entry", "WeightsError", "build", "entry_of", "named", "prepare"]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A model family that a study file may name.

    Attributes:
        build: Function that makes it, as ``module:name``; called with ``input_shape``, ``outputs``
            and the options. What it draws for the body must not depend on ``outputs``.
        input: Samples that it takes: ``image``, ``vector``, ``text`` or ``any`` (numbers of any
            shape).
        options: Type of each option; None where the user's code alone knows them.
        arguments: Passed to ``build``, ``pretrained`` and ``tokenize`` whatever a file says.
        weights: Names of the weights that the family itself resolves.
        named: Function that says which weights such a name stands for, as ``module:name``; called
            with ``source`` and the arguments, returns ``Weights``.
        hub: Whether ``pretrained`` also takes a hub id or the path of a model's folder.
        pretrained: Function that returns such weights (tensors by name), as ``module:name``;
            called with ``source`` and the arguments. What is not on this machine it fetches where
            ``downloads.may()`` says so, and else raises ``Absent``.
        tokenize: Function that makes ``Tokens`` of ``Texts``, as ``module:name``; called with
            ``texts``, the arguments and the options.
    """

    build: str
    input: str
    options: Mapping[str, Any] | None = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[str, ...] = ()
    named: str = ""
    hub: bool = False
    pretrained: str = ""
    tokenize: str = ""


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
    "small_text": Entry(
        build="workbench.backbones.small_text:build",
        input="text",
        options={"width": int, "buckets": int, "max_length": int},
        tokenize="workbench.backbones.small_text:tokenize",
    ),
    **{
        name: Entry(
            build="workbench.backbones.torchvision_models:build",
            input="image",
            options={"stages": list[str], **dict.fromkeys(family.options, float)},
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
    options={"stages": list[str], "dropout": float, "stochastic_depth": float},
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
_TEXT_OPTIONS = {"max_length": int, "tokenizer": str}
_USER = Entry(build="workbench.backbones.user:build", input="any", options=None)


def _of_hub(name: str) -> Entry:
    """The entry of a model on the hub or in a folder, by what its ``config.json`` says."""
    takes = hub.input_of(name)
    found = replace(_MODEL, input=takes, arguments={"model": name})
    if takes == "image":
        return found
    options = {**(_MODEL.options or {}), **_TEXT_OPTIONS}
    return replace(found, options=options, tokenize="workbench.backbones.tokenizers:tokenize")


BACKBONES.update({name: _of_hub(name) for names in hub.NAMES.values() for name in names})


def entry_of(name: str) -> Entry | None:
    """The entry of a backbone's name, or of a user's own ``FILE.py:NAME``; None for others."""
    if usercode.is_reference(name):
        return replace(_USER, arguments={"reference": name})
    if name.startswith("timm:"):
        return replace(_TIMM, arguments={"model": name.removeprefix("timm:")})
    if name not in BACKBONES and hub.is_model(name):
        return _of_hub(name)
    return BACKBONES.get(name)


def named(backbone: str, source: str) -> Weights:
    """The weights that a name stands for which the backbone's family resolves itself.

    Raises:
        Absent: They have to be downloaded first.
        ValueError: There are none, or the family's library is not installed.
    """
    entry = entry_of(backbone)
    if entry is None or not entry.named:
        return Weights(source=source)
    found: Weights = resolve_name(entry.named)(source=source, **entry.arguments)
    return found


def prepare(backbone: Mapping[str, Any], data: Data) -> Data:
    """Data as a backbone takes it: texts become tokens, everything else stays as it is.

    Raises:
        Absent: The tokenizer is not on this machine.
        ValueError: The backbone does not take such samples.
    """
    entry, options = _entry_and_options(backbone)
    numbers_or_text = ("image", "text" if entry.tokenize else "vector")
    takes = numbers_or_text if entry.input == "any" else (entry.input,)
    if data.kind not in takes and entry.options is not None:
        raise ValueError(
            f"The backbone {backbone['name']} takes {'s or '.join(takes)}s, but the samples are "
            f"{data.kind}s."
        )
    if data.kind != "text" or not entry.tokenize:
        return data

    made: dict[int, Part] = {}

    def ready(part: Part) -> Part:
        # A part that stands for another one as well is made ready once.
        if id(part) not in made:
            tokens = resolve_name(entry.tokenize)(part.inputs, **entry.arguments, **options)
            made[id(part)] = replace(part, inputs=tokens)
        return made[id(part)]

    return replace(
        data,
        train=ready(data.train),
        validation=ready(data.validation),
        test=None if data.test is None else ready(data.test),
    )


def build(
    backbone: Mapping[str, Any],
    *,
    weights: Weights | None,
    keep_head: bool,
    input_shape: tuple[int, ...],
    outputs: int,
    seed: int,
    notes: list[str] | None = None,
) -> Staged:
    """A backbone with a head, initialised and with its weights loaded.

    Body and head are drawn from generators of their own, so that a new head starts from the same
    numbers whatever the body was initialised from, and nobody else's randomness shifts.

    Args:
        backbone: ``name`` and the family's options; ``strict: false`` takes what fits of weights.
        weights: First weights of the body; None trains from scratch.
        keep_head: Take the head from the weights too.
        input_shape: Of one sample: ``(C, H, W)`` or ``(features,)``.
        outputs: Of the head.
        seed: The trial's training seed.
        notes: Gets a sentence on each thing in the weights that was left out, or lacked.

    Raises:
        Absent: The model or its weights are not on this machine.
        OutOfMemory: The parameters do not fit into the machine's memory.
        ValueError: The name or an option is unknown, or the backbone cannot take such samples.
        WeightsError: The weights cannot be had or do not fit.
    """
    entry, options = _entry_and_options(backbone)
    name = backbone["name"]
    if entry.input == "image" and len(input_shape) != 3:
        raise ValueError(
            f"The backbone {name} takes images, but a sample has the shape {input_shape}."
        )
    if keep_head and weights is None:
        raise ValueError("backbone.keep_head takes the head from weights; set backbone.weights.")

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
        for module in staged.head.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    if weights is not None:
        own, source = weights.source in entry.weights, weights.source
        if entry.hub and not is_file(source):
            source = entry.arguments["model"] if own else source
            check_folder(weights, hub.folder_of(source, hub.WEIGHTS))
        elif own and weights.sha256 is not None and named(name, source) != weights:
            raise WeightsError(f"The weights {source} of {name} are not those that were planned.")
        if own or (entry.hub and not is_file(source)):
            found = resolve_name(entry.pretrained)(source=weights.source, **entry.arguments)
        else:
            found = read(weights)
        strict = bool(backbone.get("strict", True))
        said = load(staged, found, keep_head=keep_head, source=source, strict=strict)
        if notes is not None:
            notes += said
    return staged


def _entry_and_options(backbone: Mapping[str, Any]) -> tuple[Entry, dict[str, Any]]:
    options = {key: value for key, value in backbone.items() if key != "strict"}
    name = options.pop("name")
    entry = entry_of(name)
    if entry is None:
        raise ValueError(unknown("backbone", name, BACKBONES))
    refuse_unknown_options(f"backbone {name}", options, entry.options)
    return entry, options
