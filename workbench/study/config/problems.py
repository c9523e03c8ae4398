"""What is wrong with a value, in words that a person can act on.

Turns what pydantic finds into flaws: what was found, what was expected, and the nearest valid
choice. Knows no block of a study file.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """One thing that is wrong with a value.

    Attributes:
        loc: The path of keys and list indices below the value that was checked.
        found: What stands there, as it should be shown.
        expected: What may stand there.
        nearest: The valid choice closest to it, if any is close.
        unknown: Whether the value is a key that nobody knows.
    """

    loc: tuple[str | int, ...]
    found: object
    expected: str
    nearest: str | None = None
    unknown: bool = False


# What other tools call a knob or a metric.
_ALIASES = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "model": "backbone",
    "lr_scheduler": "schedule",
    "scheduler": "schedule",
    "num_epochs": "epochs",
    "n_epochs": "epochs",
    "val_loss": "validation/loss",
    "val_acc": "validation/accuracy",
    "acc": "validation/accuracy",
}


def nearest(found: object, valid: Iterable[object]) -> str | None:
    """The valid word closest to what was written, if any is close."""
    words = {str(word).lower(): str(word) for word in valid}
    alias = _ALIASES.get(str(found).lower())
    if alias in words:
        return words[alias]
    matches = difflib.get_close_matches(str(found).lower(), list(words), n=1, cutoff=0.6)
    return words[matches[0]] if matches else None


def listed(names: Iterable[object]) -> str:
    """``one of a, b, c``; the name itself where there is only one."""
    words = [str(name) for name in names]
    if len(words) < 2:
        return words[0] if words else "nothing"
    return "one of " + ", ".join(words)


def unknown_key(loc: tuple[str | int, ...], valid: Iterable[object], owner: str = "") -> Flaw:
    """A key, the last of a path, that is none of those that there are."""
    names, key = list(valid), loc[-1]
    return Flaw(
        loc=loc,
        found=key,
        expected=listed(names) + owner,
        nearest=nearest(key, names),
        unknown=True,
    )


def mismatch(expected: str, choice: str | None = None) -> PydanticCustomError:
    """What a validator raises to say what it expected, and what may have been meant."""
    return PydanticCustomError("mismatch", "{expected}", {"expected": expected, "nearest": choice})


def flaws(model: type[BaseModel], value: object) -> list[Flaw]:
    """What is wrong with a value that should be a model; no flaw means that it validates."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        found = [_translate(model, details) for details in error.errors(include_url=False)]
        return list({flaw.loc: flaw for flaw in found}.values())
    return []


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list: "a list",
    dict: "a mapping",
    type(None): "null",
}


def in_words(annotation: Any) -> str:
    """What a type annotation asks for."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        limits = [
            f" {words} {getattr(limit, key):g}"
            for field in arguments[1:]
            for limit in field.metadata
            for key, words in _LIMITS.items()
            if hasattr(limit, key)
        ]
        return in_words(arguments[0]) + " and".join(limits)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(in_words(argument) for argument in arguments)
    if origin in (list, tuple):
        inner = [in_words(argument) for argument in arguments if argument is not ...]
        return f"a list ({inner[0]} each)" if inner else "a list"
    if origin is Literal:
        return listed(arguments)
    return _WORDS.get(origin or annotation, str(annotation))


def _translate(model: type[BaseModel], details: ErrorDetails) -> Flaw:
    kind, context = details["type"], details.get("ctx", {})
    # pydantic appends the name of a union's branch to the path; only keys of the file belong.
    loc = tuple(
        part for part in details["loc"] if not str(part).startswith(("function-", "constrained-"))
    )
    found: object = details["input"]
    choice = None
    if kind == "extra_forbidden":
        return unknown_key(loc, _keys_at(model, loc[:-1]))
    if kind == "missing":
        found, expected = None, f"the key {loc[-1]}"
    elif kind == "mismatch":
        expected, choice = str(context["expected"]), context.get("nearest")
    elif kind == "literal_error":
        expected = listed(
            str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        )
        choice = nearest(found, expected.removeprefix("one of ").split(", "))
    elif kind in _BOUNDS:
        key = _BOUNDS[kind]
        limit = context[key]
        limit = str(limit) if isinstance(limit, int) else f"{limit:g}"
        expected = f"a number {_LIMITS[key]} {limit}"
    else:
        expected = _PYDANTIC_WORDS.get(kind, details["msg"])
    return Flaw(loc=loc, found=found, expected=expected, nearest=choice)


_LIMITS = {"ge": "of at least", "gt": "greater than", "le": "of at most", "lt": "less than"}
_BOUNDS = {
    "greater_than_equal": "ge",
    "greater_than": "gt",
    "less_than_equal": "le",
    "less_than": "lt",
}
_PYDANTIC_WORDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
}


def _keys_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that the model knows at a path."""
    annotation: Any = model
    for part in loc:
        annotation = _model_in(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            annotation = annotation.model_fields[str(part)].annotation
        else:
            annotation = typing.get_args(annotation)[-1]
    annotation = _model_in(annotation)
    return list(annotation.model_fields)


def _model_in(annotation: Any) -> Any:
    """The model or mapping inside an optional or annotated type."""
    while typing.get_origin(annotation) in (Annotated, typing.Union, types.UnionType):
        annotation = next(item for item in typing.get_args(annotation) if item is not type(None))
    return annotation
