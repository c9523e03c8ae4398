"""The name that was probably meant, and lists of names."""

from __future__ import annotations

import pytest

from workbench.messages import did_you_mean, listed, nearest, refuse_unknown_options, unknown


def test_the_nearest_name_ignores_case_and_is_none_when_nothing_is_close() -> None:
    assert nearest("AdamW", ["sgd", "adamw"]) == "adamw"
    assert nearest("xyz", ["sgd", "adamw"]) is None
    assert nearest(3, [1, 2]) is None


def test_of_equally_near_names_the_first_is_suggested() -> None:
    assert nearest("resnett", ["resnet18", "resnet50", "resnet152"]) == "resnet18"


def test_what_other_tools_call_a_knob_is_known() -> None:
    assert nearest("lr", ["learning_rate", "lora"]) == "learning_rate"
    assert nearest("lr", ["momentum"]) is None


def test_a_suggestion_ends_a_message_and_is_empty_without_a_near_name() -> None:
    assert did_you_mean("adm", ["sgd", "adam"]) == "; did you mean adam?"
    assert did_you_mean("resnet81", ["resnet18"], "timm:") == "; did you mean timm:resnet18?"
    assert did_you_mean("xyz", ["sgd", "adam"]) == ""


def test_a_long_list_of_names_is_counted() -> None:
    assert listed("abc") == "a, b, c"
    assert listed("abcde", most=3) == "a, b, c and 2 more"
    assert listed([]) == "none"


def test_an_unknown_name_is_answered_with_the_nearest_or_with_all() -> None:
    assert unknown("task", "regresion", ["regression"]) == (
        "There is no task regresion; did you mean regression?"
    )
    assert unknown("task", "x", ["a", "b"]) == "There is no task x; there are a, b."


def test_an_option_that_an_entry_does_not_have_is_refused_unless_it_takes_any() -> None:
    refuse_unknown_options("task a", {"x": 1}, None)
    refuse_unknown_options("task a", {"x": 1}, ["x"])
    with pytest.raises(ValueError, match=r"The task a has no option y; its options are x\."):
        refuse_unknown_options("task a", {"x": 1, "y": 2}, ["x"])
    with pytest.raises(ValueError, match=r"The task a has no option x; it has none\."):
        refuse_unknown_options("task a", {"x": 1}, [])
