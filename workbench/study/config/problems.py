"""Flaws: what is wrong with a value, translated from pydantic's errors.

A flaw says what was found, what was expected, and the nearest valid choice. The readers of all
blocks use it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from workbench.messages import nearest

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """One thing that is wrong with a value.

    Attributes:
        loc: The path of keys and list indices below the value that was checked.
        found: The value there.
        expected: What is valid there; empty where ``nearest`` says it.
        nearest: The valid choice closest to it, if one is close.
        unknown: Whether the value is an unknown key.
    """

    loc: tuple[str | int, ...]
    found: object
    expected: str
    nearest: str | None = None
    unknown: bool = False


def one_of(names: Iterable[object]) -> str:
    """``one of a, b, c``; the name itself where there is only one."""
    words = [str(name) for name in names]
    if len(words) < 2:
        return words[0] if words else "nothing"
    return "one of " + ", ".join(words)


def choice(written: object, valid: Iterable[object], more: str = "") -> tuple[str, str | None]:
    """What may stand in place of a value, and the nearest of it.

    The names are listed only where none is near: a list of fifty hides the suggestion.
    """
    names = list(valid)
    near = nearest(written, names)
    return ("" if near else one_of(names) + more), near


def unknown_key(loc: tuple[str | int, ...], valid: Iterable[object], owner: str = "") -> Flaw:
    """The flaw of an unknown key, the last of a path."""
    expected, near = choice(loc[-1], valid, owner)
    return Flaw(loc=loc, found=loc[-1], expected=expected, nearest=near, unknown=True)


def mismatch(expected: str, near: str | None = None) -> PydanticCustomError:
    """What a validator raises to say what it expected, and what may have been meant."""
    return PydanticCustomError("mismatch", "{expected}", {"expected": expected, "nearest": near})


def read(model: type[M], value: object) -> tuple[M | None, list[Flaw]]:
    """A value as a block of the study file, or None and what is wrong with it."""
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        found = [_translate(model, details) for details in error.errors(include_url=False)]
        # One flaw for each place: a union reports one for each of its types.
        return None, list({flaw.loc: flaw for flaw in found}.values())


def sound_part(model: type[M], value: Mapping[str, Any], found: Iterable[Flaw]) -> M | None:
    """A block without its flawed keys, so that the others are checked all the same."""
    flawed = {flaw.loc[0] for flaw in found if flaw.loc}
    return read(model, {key: item for key, item in value.items() if key not in flawed})[0]


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list: "a list",
    dict: "a mapping",
}
_LIMITS = {"ge": "of at least", "gt": "greater than", "le": "of at most", "lt": "less than"}


def in_words(annotation: Any) -> str:
    """What a type annotation asks for; null is not named, which is the same as no value."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        limits = [
            f" {words} {_limit(getattr(limit, key))}"
            for field in arguments[1:]
            for limit in getattr(field, "metadata", ())
            for key, words in _LIMITS.items()
            if hasattr(limit, key)
        ]
        return in_words(arguments[0]) + " and".join(limits)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(in_words(each) for each in arguments if each is not type(None))
    if origin in (list, tuple):
        inner = [in_words(argument) for argument in arguments if argument is not ...]
        return f"a list ({inner[0]} each)" if inner and arguments[0] is not Any else "a list"
    if origin is Literal:
        return one_of(arguments)
    if hasattr(annotation, "__pydantic_fields__") or is_dataclass(annotation):
        return "a mapping"
    return _WORDS.get(origin or annotation, str(annotation))


def _limit(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _translate(model: type[BaseModel], details: ErrorDetails) -> Flaw:
    kind, found, context = details["type"], details["input"], details.get("ctx", {})
    # pydantic appends the name of a union's branch to the path; only keys of the file belong.
    loc = tuple(
        part for part in details["loc"] if not str(part).startswith(("function-", "constrained-"))
    )
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return unknown_key(loc, _types_of(_annotation_at(model, loc[:-1])))
    if kind == "missing":
        return Flaw(loc=loc, found=None, expected=f"the key {loc[-1]}")
    if kind == "mismatch":
        expected, near = str(context["expected"]), context.get("nearest")
    elif kind == "literal_error":
        expected, near = choice(found, typing.get_args(_inside(_annotation_at(model, loc))))
    else:
        finite = kind == "finite_number"
        expected, near = "a finite number" if finite else in_words(_annotation_at(model, loc)), None
    return Flaw(loc=loc, found=found, expected=expected, nearest=near)


def _annotation_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> Any:
    """The type, with its limits, that a model declares at a path."""
    annotation: Any = model
    for part in loc:
        known = _types_of(annotation)
        annotation = known[str(part)] if known else typing.get_args(_inside(annotation))[-1]
    return annotation


def _types_of(annotation: Any) -> dict[str, object]:
    """The types of a block's keys; empty for a type that is no block."""
    block = _inside(annotation)
    if is_dataclass(block):
        return typing.get_type_hints(block, include_extras=True)
    fields = getattr(block, "__pydantic_fields__", {})
    return {name: Annotated[field.annotation, field] for name, field in fields.items()}


def _inside(annotation: Any) -> Any:
    """The type inside an optional or annotated type."""
    while typing.get_origin(annotation) in (Annotated, typing.Union, types.UnionType):
        annotation = next(item for item in typing.get_args(annotation) if item is not type(None))
    return annotation
