"""What a trial is, as data: complete, and never changed by whoever carries it out."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import pytest

from workbench.record import strategy
from workbench.record.strategy import EarlyStopping, Lora, Phase, Plan, Schedule, Strategy, Weights


def phase(name: str, epochs: int) -> Phase:
    return Phase(
        name=name,
        epochs=epochs,
        freeze_depth=0,
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=0.0,
        options={},
        schedule=Schedule(),
    )


def plan(*phases: Phase) -> Plan:
    return Plan(
        dataset={"name": "wine"},
        backbone={"name": "mlp"},
        weights=Weights(source="imagenet"),
        keep_head=False,
        task={"name": "classification"},
        batch_size=32,
        augmentation=(),
        device="cpu",
        threads=1,
        phases=phases,
    )


@pytest.mark.parametrize(("epochs", "total"), [([3], 3), ([2, 5], 7), ([1, 1, 4], 6)])
def test_the_epochs_of_a_plan_are_those_of_all_its_phases(epochs: list[int], total: int) -> None:
    assert plan(*(phase(f"p{index}", count) for index, count in enumerate(epochs))).epochs == total


@pytest.mark.parametrize(
    "value",
    [
        Strategy(name="adamw-2"),
        Schedule(),
        phase("a", 1),
        Weights(source="a"),
        EarlyStopping(patience=2),
        Lora(),
        plan(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nothing_that_says_what_a_trial_is_can_be_changed(value: Any) -> None:
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, getattr(value, field.name))


def test_no_kind_of_data_is_left_out_of_the_test_above() -> None:
    kinds = {name for name, kind in vars(strategy).items() if is_dataclass(kind)}
    assert kinds == {
        "Strategy",
        "Schedule",
        "Phase",
        "EarlyStopping",
        "Lora",
        "Weights",
        "Plan",
    }


def test_data_is_made_by_name_only() -> None:
    with pytest.raises(TypeError):
        Strategy("adamw-2")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Schedule("cosine")  # type: ignore[call-arg]


def test_two_strategies_that_say_the_same_are_equal() -> None:
    assert Strategy(name="a", levels={"x": "1"}) == Strategy(name="a", levels={"x": "1"})
    assert Strategy(name="a") != Strategy(name="b")
