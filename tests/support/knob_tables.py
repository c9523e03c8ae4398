"""The tables of ``docs/studies.md``, made from the declarations of the knobs.

``python -m tests.support.knob_tables`` writes them into the page, between their markers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workbench.datasets.augmentations import AUGMENTATIONS
from workbench.engine.optimizers import OPTIMIZERS
from workbench.study.config.json_schema import json_schema

PAGE = Path(__file__).parent.parent.parent / "docs" / "studies.md"
_HEAD = ("Key", "Value", "Default", "What it is")


def tables() -> dict[str, str]:
    """Every table by the name in its markers."""
    blocks = json_schema()["$defs"]
    options = {name for entry in OPTIMIZERS.values() for name in entry.knobs}
    phase = blocks["PhaseKnobs"]["properties"]
    whole = blocks["Recipe"]["properties"]
    found = {
        "recipe": _keys(_only(whole, whole.keys() - phase.keys()), blocks),
        "phase": _keys(_only(phase, phase.keys() - options), blocks),
        "optimizers": _table(
            ("Optimizer", "`learning_rate`", "`weight_decay`", "Its own knobs"),
            (
                (f"`{name}`", _number(e.learning_rate), _number(e.weight_decay), _defaults(e.knobs))
                for name, e in OPTIMIZERS.items()
            ),
        ),
        "optimizer knobs": _table(
            ("Knob", "Value", "What it is"),
            (
                (f"`{name}`", _value(phase[name], blocks), phase[name]["description"])
                for name in phase
                if name in options
            ),
        ),
        "augmentation": _table(
            ("Transform", "Options"),
            (
                (f"`{name}`", ", ".join(f"`{option}`" for option in known))
                for name, known in AUGMENTATIONS.items()
            ),
        ),
        "tune": _keys(
            {
                **blocks["Range"]["properties"],
                "choices": blocks["Choices"]["properties"]["choices"],
            },
            blocks,
            [*blocks["Range"]["required"], *blocks["Choices"]["required"]],
        ),
        "cited": _keys(
            blocks["CitedValue"]["properties"], blocks, blocks["CitedValue"]["required"]
        ),
    }
    for name, block in (
        ("schedule", "ScheduleKnobs"),
        ("early_stopping", "EarlyStopping"),
        ("lora", "Lora"),
        ("search", "Search"),
        ("objective", "ObjectiveKnobs"),
        ("confirm", "Confirm"),
        ("select", "Select"),
        ("resources", "ResourceKnobs"),
        ("across", "Across"),
    ):
        properties, required = blocks[block]["properties"], blocks[block].get("required", [])
        found[name] = _keys(properties, blocks, required)
    for name, block in (("sampler", "SamplerKnobs"), ("pruner", "PrunerKnobs")):
        found[name] = _table(
            (name.capitalize(), "Option", "Value", "Default", "What it is"),
            (
                (f"`{entry['properties']['name']['const']}`", *row)
                for entry in blocks[block]["anyOf"]
                for row in _rows(_only(entry["properties"], entry["properties"].keys() - {"name"}))
                or [("none", "", "", "")]
            ),
        )
    return found


def page() -> str:
    """The page with every table as it is declared."""
    text = PAGE.read_text()
    for name, table in tables().items():
        marked = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end -->)", re.S)
        text, count = marked.subn(lambda match, t=table: f"{match[1]}{t}{match[2]}", text)  # type: ignore[misc]
        assert count == 1, f"the page has the table {name} {count} times"
    return text


def _only(properties: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    wanted = set(names)
    return {name: item for name, item in properties.items() if name in wanted}


def _keys(
    properties: Mapping[str, Any], blocks: Mapping[str, Any], required: Iterable[str] = ()
) -> str:
    return _table(_HEAD, _rows(properties, blocks, required))


def _rows(
    properties: Mapping[str, Any], blocks: Mapping[str, Any] = {}, required: Iterable[str] = ()
) -> list[tuple[str, ...]]:
    return [
        (
            f"`{name}`",
            _value(item, blocks),
            "required" if name in required else _default(item.get("default")),
            re.sub(r"docs/(\w+\.md)", r"[\1](\1)", item.get("description", "")),
        )
        for name, item in properties.items()
    ]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, [":--"] * len(names), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("|:--", "|:--")


def _value(item: Mapping[str, Any], blocks: Mapping[str, Any]) -> str:
    """What a key may have, in words."""
    if "$ref" in item:
        return _value(blocks[item["$ref"].rpartition("/")[2]], blocks)
    if "anyOf" in item:
        return " or ".join(dict.fromkeys(v for s in item["anyOf"] if (v := _value(s, blocks))))
    if "enum" in item:
        *names, last = (f"`{name}`" for name in item["enum"])
        return f"{', '.join(names)} or {last}"
    kinds = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text"}
    kinds |= {"array": "list", "object": "mapping", "null": ""}
    bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {_number(item[word])}" for word, sign in bounds.items() if word in item]
    return f"{kinds.get(item.get('type', ''), 'any value')} {' and '.join(limits)}".strip()


def _default(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("name", value)
    if value is None or value == {}:
        return ""
    if isinstance(value, dict):
        return "`{" + ", ".join(f"{key}: {item}" for key, item in value.items()) + "}`"
    return f"`{value}`" if isinstance(value, str | list) else _number(value)


def _number(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return re.sub(r"e-0(\d)", r"e-\1", f"{value:g}")


def _defaults(knobs: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}` {_number(knob.default)}" for name, knob in knobs.items())


if __name__ == "__main__":
    PAGE.write_text(page())
