"""What pydantic finds, in words that a person can act on."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from workbench.study.config.problems import Flaw, in_words, one_of, read


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    width: Annotated[int, Field(gt=0, le=8)] = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    inner: Inner | None = None
    named: dict[str, Inner] = {}
    rate: float = 0.0
    kind: Literal["image", "vector"] = "image"
    text: str = ""
    needed: bool


WIDTH = "a whole number greater than 0 and of at most 8"


@pytest.mark.parametrize(
    ("value", "flaw"),
    [
        ({}, Flaw(loc=("needed",), found=None, expected="the key needed")),
        ({"needed": "on"}, Flaw(loc=("needed",), found="on", expected="true or false")),
        (
            {"needed": True, "inner": {"widht": 3}},
            Flaw(
                loc=("inner", "widht"),
                found="widht",
                expected="",
                nearest="width",
                unknown=True,
            ),
        ),
        (
            {"needed": True, "named": {"a": {"length": 3}}},
            Flaw(loc=("named", "a", "length"), found="length", expected="width", unknown=True),
        ),
        (
            {"needed": True, "inner": {"width": 9}},
            Flaw(loc=("inner", "width"), found=9, expected=WIDTH),
        ),
        (
            {"needed": True, "inner": {"width": 0}},
            Flaw(loc=("inner", "width"), found=0, expected=WIDTH),
        ),
        (
            {"needed": True, "inner": {"width": 1.5}},
            Flaw(loc=("inner", "width"), found=1.5, expected=WIDTH),
        ),
        ({"needed": True, "inner": 3}, Flaw(loc=("inner",), found=3, expected="a mapping")),
        ({"needed": True, "rate": "x"}, Flaw(loc=("rate",), found="x", expected="a number")),
        (
            {"needed": True, "rate": float("inf")},
            Flaw(loc=("rate",), found=float("inf"), expected="a finite number"),
        ),
        ({"needed": True, "text": 3}, Flaw(loc=("text",), found=3, expected="text")),
        (
            {"needed": True, "kind": "images"},
            Flaw(loc=("kind",), found="images", expected="", nearest="image"),
        ),
    ],
)
def test_each_kind_of_flaw_says_what_was_found_and_expected(value: object, flaw: Flaw) -> None:
    assert read(Outer, value) == (None, [flaw])


def test_all_flaws_of_a_value_are_found_at_once() -> None:
    _, found = read(Outer, {"rate": "x", "text": 3, "inner": {"width": "y"}})
    assert {flaw.loc for flaw in found} == {("rate",), ("text",), ("inner", "width"), ("needed",)}


def test_a_sound_value_has_no_flaw() -> None:
    value = {"needed": True, "inner": {"width": 8}}
    assert read(Outer, value) == (Outer(needed=True, inner=Inner(width=8)), [])


def test_a_list_of_choices_reads_as_a_sentence() -> None:
    assert one_of(["a", "b"]) == "one of a, b"
    assert one_of(["a"]) == "a"
    assert one_of([]) == "nothing"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (int | float, "a whole number or a number"),
        (list[int | str], "a list (a whole number or text each)"),
        (list, "a list"),
        (Literal[1, 3], "one of 1, 3"),
        (Annotated[int, Field(ge=2)], "a whole number of at least 2"),
        (Annotated[float, Field(gt=0, le=1)], "a number greater than 0 and of at most 1"),
        (bool | None, "true or false"),
    ],
)
def test_a_type_reads_as_what_it_asks_for(annotation: object, words: str) -> None:
    assert in_words(annotation) == words
