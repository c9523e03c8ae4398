"""The JSON Schema (Draft 2020-12) of a study file, for editors; ``workbench schema`` prints it.

Made from the blocks and the catalogues. It checks each block alone; only ``load`` checks the blocks
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from workbench.backbones import BACKBONES
from workbench.datasets import DATASETS, common_options
from workbench.datasets.augmentations import AUGMENTATIONS
from workbench.record import FILE_NAME
from workbench.record.knob import Knob
from workbench.record.strategy import Knobs
from workbench.study.config import schema
from workbench.study.config.samplers import PRUNERS, SAMPLERS
from workbench.tasks import TASKS

Schema = dict[str, Any]
_OWN = r"\.py:"


class _Untitled(GenerateJsonSchema):
    """Without a title for every key, which would only repeat it."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def json_schema() -> Schema:
    """The schema of a whole study file."""
    root: dict[str, type[BaseModel]] = {
        "across": schema.Across,
        "recipe": schema.Recipe,
        "search": schema.Search,
        "objective": schema.ObjectiveKnobs,
        "confirm": schema.Confirm,
        "report": schema.Report,
        "resources": schema.ResourceKnobs,
    }
    models: list[type[BaseModel]] = [*root.values(), schema.Range, schema.Choices]
    _, generated = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/$defs/{model}",
        schema_generator=_Untitled,
    )
    definitions: Schema = generated["$defs"]
    for block in definitions.values():
        block["description"] = block.get("description", "").replace("``", "`")
    for name, options in (
        ("DatasetKnobs", [{**common_options(e), **(e.options or {})} for e in DATASETS.values()]),
        ("BackboneKnobs", [entry.options or {} for entry in BACKBONES.values()]),
        ("TaskKnobs", [entry.options or {} for entry in TASKS.values()]),
    ):
        definitions[name] = _entry(definitions[name], options)
    definitions |= {"SamplerKnobs": _one_of(SAMPLERS), "PrunerKnobs": _one_of(PRUNERS)}
    for name in ("Recipe", "PhaseKnobs"):
        # A dotted path stands for nested keys.
        definitions[name]["patternProperties"] = {r"\.": {}}
    definitions["Recipe"]["properties"]["augmentation"]["items"] = _transform()
    definitions |= {"TunedKnob": _tuned(), "Factor": {"type": ["array", "object"]}}
    blocks = {key: _ref(model.__name__) for key, model in root.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Study file of Workbench",
        "type": "object",
        "required": ["name", "recipe", "search"],
        "additionalProperties": False,
        "properties": {
            "name": {
                "type": "string",
                "pattern": f"^{FILE_NAME.pattern}$",
                "description": "Name of the study: letters, digits, dots, dashes, underscores.",
            },
            **blocks,
            "compare": {
                **_by_knob("The factors whose levels are the strategies.", "Factor"),
                "minProperties": 1,
            },
            "tune": _by_knob("What is searched afresh for every strategy.", "TunedKnob"),
        },
        "if": {"required": ["compare"]},
        "then": {"properties": {"search": {"required": ["trials_per_strategy"]}}},
        "else": {"properties": {"search": {"required": ["trials"]}}},
        "$defs": definitions,
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _by_knob(description: str, entry: str) -> Schema:
    """A block whose keys are knobs, of which an editor offers those of the recipe."""
    knobs = {
        name: {**_ref(entry), "description": field.description}
        for name, field in schema.Recipe.model_fields.items()
    }
    return {
        "description": description,
        "type": "object",
        "properties": knobs,
        "additionalProperties": _ref(entry),
    }


def _entry(block: Schema, options: Iterable[Mapping[str, Any]]) -> Schema:
    """A catalogue's entry with the options of all of them, or a user's own code with any."""
    types: dict[str, Any] = {}
    for known in options:
        for name, kind in known.items():
            types[name] = types[name] | kind if name in types else kind
    shipped = {**block, "properties": {**block["properties"], **_properties(types)}}
    # The options of a user's own code are declared nowhere, and may have the name of another's.
    own = {"type": "object", "required": ["name"], "properties": {"name": {"pattern": _OWN}}}
    return {"anyOf": [{**shipped, "additionalProperties": False}, own]}


def _properties(types: Knobs) -> Schema:
    return {name: TypeAdapter(kind).json_schema() for name, kind in types.items()}


def _one_of(catalogue: Mapping[str, Mapping[str, Knob]]) -> Schema:
    """One of the entries of a catalogue with its own options."""
    return {
        "anyOf": [
            {
                **_object({"name": {"const": name}, **{k: _option(o) for k, o in own.items()}}),
                "required": ["name"],
            }
            for name, own in catalogue.items()
        ]
    }


def _object(properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _option(knob: Knob) -> Schema:
    default = {} if knob.default is None else {"default": knob.default}
    return {**TypeAdapter(knob.type).json_schema(), **default, "description": knob.help}


def _transform() -> Schema:
    """A step of ``augmentation``: a name, or one name with its options."""
    options = {name: _object(_properties(known)) for name, known in AUGMENTATIONS.items()}
    named = {
        **_object(options),
        "minProperties": 1,
        "maxProperties": 1,
        "patternProperties": {_OWN: {"type": "object"}},
    }
    return {"anyOf": [{"enum": [*AUGMENTATIONS]}, {"type": "string", "pattern": _OWN}, named]}


def _tuned() -> Schema:
    """A tuned knob: an entry, a list of entries, or levels in the grammar of ``compare``."""
    keys = {**schema.Range.model_fields, **schema.Choices.model_fields}
    # One of these keys makes a mapping an entry, else its keys are labels of levels.
    entry = {
        "if": {"type": "object", "anyOf": [{"required": [key]} for key in keys]},
        "then": {"anyOf": [_ref("Range"), _ref("Choices")]},
    }
    return {"type": ["array", "object"], "items": entry, **entry}
