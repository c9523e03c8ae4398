"""A run of MLflow as a typed trial: what is missing or not finite is None."""

from __future__ import annotations

import math
from typing import Any

import pytest

from workbench.tracker import trial_run
from workbench.tracker.stored_run import Run
from workbench.tracker.trial_run import TrialRun


def read(state: str = "complete", **changes: Any) -> TrialRun:
    """A search trial; changes of tags (by their names after ``workbench.``), params, metrics."""
    tags = {"key": "digits/search/sgd-0/007", "role": "search", "group": "sgd-0"}
    tags |= {"strategy": "sgd-0", "number": "7", "state": state, **changes.get("tags", {})}
    run = Run(
        run_id="f" * 32,
        name="edited by hand",
        artifacts="",
        status="FINISHED",
        deleted=False,
        started=1,
        params=changes.get("params", {}),
        tags={f"workbench.{name}": value for name, value in tags.items()},
        metrics=changes.get("metrics", {}),
    )
    return trial_run.of(run)


def test_a_pruned_trials_last_value_is_never_taken_for_a_score() -> None:
    assert read("pruned", metrics={"objective": 0.99}).value is None
    assert read("complete", metrics={"objective": 0.99}).value == 0.99


@pytest.mark.parametrize("value", [math.nan, math.inf, 1.797e308])
def test_a_value_that_is_not_finite_is_no_value(value: float) -> None:
    found = read(metrics={"objective": value, "best/loss": value, "test/loss": value})
    assert (found.value, found.metrics, found.test) == (None, {}, {})


def test_a_trial_has_the_metrics_of_its_chosen_epoch_and_those_of_the_test_split() -> None:
    found = read(metrics={"best/validation/f1": 0.25, "validation/f1": 0.3, "test/f1": 0.5})
    assert found.metrics == {"validation/f1": 0.25}
    assert found.test == {"test/f1": 0.5}


def test_a_trial_is_named_by_its_tags_not_by_the_runs_name() -> None:
    assert read().name == "sgd-0/007"


def test_a_trial_that_failed_at_once_is_read() -> None:
    found = read("failed")
    assert (found.optimizer, found.learning_rate, found.freeze_depth) == (None, None, None)
    assert found.levels == found.hyperparameters == found.metrics == {}


def test_an_unknown_state_is_refused() -> None:
    with pytest.raises(ValueError, match="finished"):
        read("finished")


def test_settings_of_the_last_phase_are_the_trials() -> None:
    params = {"phases": "probe,tune", "probe.optimizer": "sgd", "tune.optimizer": "adamw"}
    assert read(params=params | {"tune.learning_rate": "0.01"}).optimizer == "adamw"
