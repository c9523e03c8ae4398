"""A grid visits every cell once, in order, and honours conditions."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.study.config.knobs import Categorical, Interval, Level
from workbench.study.grid import Pick, cells, values_of


def interval(low: float, high: float, **changes: Any) -> Interval:
    fields = {"when": {}, "log": False, "step": None, "whole": False, "default": low}
    return Interval(low=low, high=high, **{**fields, **changes})


OPTIMIZER = Categorical(
    when={}, levels=(Level(label="sgd", knobs={}), Level(label="adam", knobs={})), default="sgd"
)
MOMENTUM = interval(0.8, 0.9)
DEPTH = interval(0, 2, whole=True)


def test_the_last_value_picked_is_the_fastest_and_conditions_are_honoured() -> None:
    def propose(pick: Pick) -> tuple[object, ...]:
        optimizer = pick("optimizer", OPTIMIZER)
        momentum = (pick("momentum", MOMENTUM),) if optimizer == "sgd" else ()
        return (optimizer, *momentum, pick("depth", DEPTH))

    assert list(cells(propose, 2)) == [
        ("sgd", 0.8, 0),
        ("sgd", 0.8, 2),
        ("sgd", 0.9, 0),
        ("sgd", 0.9, 2),
        ("adam", 0),
        ("adam", 2),
    ]


def test_a_grid_without_a_choice_has_one_cell() -> None:
    assert list(cells(lambda pick: "the only one", 5)) == ["the only one"]


@pytest.mark.parametrize(
    ("entry", "points", "values"),
    [
        (OPTIMIZER, 5, ["sgd", "adam"]),
        (interval(0.0, 1.0), 3, [0.0, 0.5, 1.0]),
        (interval(1e-4, 1e-2, log=True), 3, [1e-4, 1e-3, 1e-2]),
        (interval(0.1, 0.7, step=0.2), 99, [0.1, 0.3, 0.5, 0.7]),
        (interval(1, 9, whole=True, step=4), 99, [1, 5, 9]),
        (interval(0, 3, whole=True), 9, [0, 1, 2, 3]),
        (interval(1, 16, whole=True, log=True), 5, [1, 2, 4, 8, 16]),
    ],
)
def test_a_range_is_divided_evenly_both_ends_included(
    entry: Interval | Categorical, points: int, values: list[object]
) -> None:
    assert values_of(entry, points) == pytest.approx(values)


def test_rounding_never_leaves_the_range() -> None:
    for high in (0.1, 0.3, 0.7, 1e-3):
        entry = interval(1e-5, high, log=True)
        assert all(entry.holds(value) for value in values_of(entry, 7))
