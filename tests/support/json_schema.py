"""A validator of the part of JSON Schema (Draft 2020-12) that a study file's schema uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
# Words that say nothing about a value.
_SILENT = {"$schema", "$defs", "title", "description", "default", "then", "else"}


def errors(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "") -> list[str]:
    """Where a value breaks a schema; a keyword that is not known here raises ``KeyError``."""
    return [
        error
        for word, wanted in schema.items()
        if word not in _SILENT
        for error in _CHECKS[word](value, wanted, schema, root, at)
    ]


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _type(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> Iterator[str]:
    names = [wanted] if isinstance(wanted, str) else wanted
    if not any(_is(value, name) for name in names):
        yield f"{at}: {value!r} is not of type {names}"


def _keys(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> Iterator[str]:
    patterns = schema.get("patternProperties", {})
    for key, item in value.items() if isinstance(value, dict) else ():
        inner = f"{at}.{key}"
        found = [sub for pattern, sub in patterns.items() if re.search(pattern, key)]
        found += [schema["properties"][key]] if key in schema.get("properties", {}) else []
        if not found and "additionalProperties" in schema:
            found = [schema["additionalProperties"]]
        for sub in found:
            if sub is False:
                yield f"{inner}: unknown key"
            elif sub is not True:
                yield from errors(item, sub, root, inner)


def _ref(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> list[str]:
    return errors(value, root["$defs"][wanted.removeprefix("#/$defs/")], root, at)


def _any_of(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> list[str]:
    every = [errors(value, sub, root, at) for sub in wanted]
    deepest = max(
        every, key=lambda found: max((len(e.partition(": ")[0]) for e in found), default=0)
    )
    return deepest if all(every) else []


def _if(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> list[str]:
    then = "else" if errors(value, wanted, root, at) else "then"
    return errors(value, schema.get(then, {}), root, at)


def _items(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> Iterator[str]:
    for index, item in enumerate(value) if isinstance(value, list) else ():
        yield from errors(item, wanted, root, f"{at}.{index}")


def _required(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{at}: no key {key}" for key in wanted if key not in value)


def _said(word: str, holds: Any, *kinds: str) -> Any:
    def check(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> Iterator[str]:
        if (not kinds or any(_is(value, kind) for kind in kinds)) and not holds(value, wanted):
            yield f"{at}: {value!r} breaks {word} {wanted!r}"

    return check


def _no_check(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> tuple[str, ...]:
    return ()


_CHECKS: dict[str, Any] = {
    "type": _type,
    "properties": _keys,
    # Read together with the properties, unless there are none.
    "additionalProperties": lambda v, w, s, r, a: [] if "properties" in s else _keys(v, w, s, r, a),
    "patternProperties": _no_check,
    "$ref": _ref,
    "anyOf": _any_of,
    "if": _if,
    "items": _items,
    "required": _required,
    "enum": _said("enum", lambda v, w: v in w),
    "const": _said("const", lambda v, w: v == w),
    "minimum": _said("minimum", lambda v, w: v >= w, "number"),
    "maximum": _said("maximum", lambda v, w: v <= w, "number"),
    "exclusiveMinimum": _said("exclusiveMinimum", lambda v, w: v > w, "number"),
    "exclusiveMaximum": _said("exclusiveMaximum", lambda v, w: v < w, "number"),
    "pattern": _said("pattern", lambda v, w: re.search(w, v) is not None, "string"),
    "minLength": _said("minLength", lambda v, w: len(v) >= w, "string"),
    "minItems": _said("minItems", lambda v, w: len(v) >= w, "array"),
    "maxItems": _said("maxItems", lambda v, w: len(v) <= w, "array"),
    "minProperties": _said("minProperties", lambda v, w: len(v) >= w, "object"),
    "maxProperties": _said("maxProperties", lambda v, w: len(v) <= w, "object"),
}
