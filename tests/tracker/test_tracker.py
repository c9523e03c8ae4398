from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.support import mlflow_home as made
from tests.support.mlflow_home import contents
from workbench import record
from workbench.record import Result, State, TrialDirectory
from workbench.record.files import lock
from workbench.tracker import Tracker, client, reader
from workbench.tracker.entry import DatasetUse, record_tags
from workbench.tracker.store import StoreError

KEY = "digits/search/adamw-2/007"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return made.home_in(tmp_path / "a höme #1 &")


@pytest.fixture
def tracker(home: Path) -> Tracker:
    return Tracker(home)


@pytest.fixture
def parent(tracker: Tracker) -> str:
    return made.parent_of(tracker)


def complete(home: Path, number: int = 7, weights: bytes | None = None) -> TrialDirectory:
    return made.write(home, made.spec(number), ended=made.result(State.COMPLETE), weights=weights)


def identity(directory: TrialDirectory) -> dict[str, str]:
    """The tags that its run has from the moment it exists."""
    spec = directory.spec()
    assert spec is not None
    return record_tags(spec)


def test_mirroring_twice_and_by_another_process_changes_no_row(
    home: Path, tracker: Tracker, parent: str
) -> None:
    directory = complete(home)
    run_id = tracker.mirror(directory, parent)
    before = made.everything(home)

    assert tracker.mirror(directory, parent) == run_id
    assert Tracker(home).mirror(directory, parent) == run_id
    assert made.everything(home) == before


def test_a_run_says_what_the_record_says(home: Path, tracker: Tracker, parent: str) -> None:
    run_id = tracker.mirror(complete(home), parent)

    tags = made.tags_of(home, run_id)
    assert tags["mlflow.parentRunId"] == parent
    assert tags["mlflow.runName"] == "adamw-2/007 lr=3.1e-4"
    assert tags["workbench.factor.optimizer"] == "adamw"
    assert tags["workbench.levels"] == '{"optimizer": "adamw", "freeze_depth": "2"}'
    assert made.params_of(home, run_id)["learning_rate"] == "0.00031"
    assert made.history_of(home, run_id, "validation/accuracy") == [
        (n, made.epoch(n).metrics["validation/accuracy"], made.epoch(n).timestamp)
        for n in range(1, 6)
    ]
    assert made.history_of(home, run_id, "parameters/trainable") == [(0, 200, made.BEGAN + 6000)]
    assert (made.artifacts_of(home, run_id) / "mistakes.png").read_bytes() == b"picture"
    contexts = made.rows(home, "SELECT value FROM input_tags ORDER BY value")
    assert contexts == [("training",), ("validation",)]
    assert made.rows(home, "SELECT start_time FROM runs WHERE run_uuid = ?", run_id) == [
        (made.BEGAN,)
    ]


@pytest.mark.parametrize(
    ("state", "status", "ended"),
    [
        (State.COMPLETE, "FINISHED", made.BEGAN + 6000),
        (State.PRUNED, "KILLED", made.BEGAN + 6000),
        (State.FAILED, "FAILED", made.BEGAN + 6000),
        (State.PARKED, "SCHEDULED", None),
    ],
)
def test_a_result_sets_status_end_state_and_reason(
    home: Path, tracker: Tracker, parent: str, state: State, status: str, ended: int | None
) -> None:
    directory = made.write(home, ended=made.result(state, reason="It had to be."))
    run_id = tracker.mirror(directory, parent)

    assert made.run_of(home, KEY) == (run_id, status, ended)
    tags = made.tags_of(home, run_id)
    assert (tags["workbench.state"], tags["workbench.reason"]) == (state, "It had to be.")


def test_a_running_trial_grows_line_by_line(home: Path, tracker: Tracker, parent: str) -> None:
    directory = made.write(home, epochs=2)
    run_id = tracker.mirror(directory, parent)
    assert made.run_of(home, KEY)[1:] == ("RUNNING", None)
    directory.append(made.epoch(3))
    tracker.mirror(directory, parent)

    steps = [step for step, _, _ in made.history_of(home, run_id, "train/loss")]
    assert steps == [1, 2, 3]
    assert made.tags_of(home, run_id)["workbench.epochs"] == "3"


def test_a_parked_trial_runs_again_under_the_same_run_and_loses_its_reason(
    home: Path, tracker: Tracker, parent: str
) -> None:
    directory = made.write(home, epochs=2, ended=made.result(State.PARKED, reason="Stopped."))
    run_id = tracker.mirror(directory, parent)
    directory.reopen()
    made.again(directory, attempt=2)
    tracker.mirror(directory, parent)

    assert made.run_of(home, KEY) == (run_id, "RUNNING", None)
    tags = made.tags_of(home, run_id)
    assert "workbench.reason" not in tags
    assert tags["workbench.attempt"] == "2"

    directory.append(made.epoch(3))
    directory.write_result(made.result(State.COMPLETE, attempt=2))
    tracker.mirror(directory, parent)
    assert made.run_of(home, KEY)[1] == "FINISHED"
    assert [step for step, _, _ in made.history_of(home, run_id, "train/loss")] == [1, 2, 3]


def test_a_crash_after_the_run_was_made_leaves_one_run_that_is_completed_later(
    home: Path, tracker: Tracker, parent: str
) -> None:
    directory = complete(home)
    # As far as a killed process comes: the run with its key, and half of a batch.
    client = tracker._client._client
    run = client.create_run(
        tracker.experiment(made.STUDY),
        tags={**identity(directory), "mlflow.parentRunId": parent},
    )
    client.log_param(run.info.run_id, "optimizer", "adamw")
    point = made.epoch(1)
    client.log_metric(
        run.info.run_id, "train/loss", point.metrics["train/loss"], point.timestamp, point.epoch
    )

    assert Tracker(home).mirror(directory, parent) == run.info.run_id
    assert made.run_of(home, KEY)[1] == "FINISHED"
    assert [step for step, _, _ in made.history_of(home, run.info.run_id, "train/loss")] == [
        1, 2, 3, 4, 5,
    ]  # fmt: skip
    assert made.params_of(home, run.info.run_id)["learning_rate"] == "0.00031"


def test_epochs_that_were_sent_but_not_counted_are_not_doubled(
    home: Path, tracker: Tracker, parent: str
) -> None:
    directory = complete(home)
    run_id = tracker.mirror(directory, parent)
    before = made.everything(home)
    client = tracker._client._client
    client.set_tag(run_id, "workbench.epochs", "2")
    client.set_tag(run_id, "workbench.state", "running")
    client.update_run(run_id, status="RUNNING")

    Tracker(home).mirror(directory, parent)
    assert made.everything(home) == before


def test_a_failure_keeps_its_traceback(home: Path, tracker: Tracker, parent: str) -> None:
    text = 'Traceback (most recent call last):\n  File "läuft.py"\nValueError: nö'
    failed = made.result(State.FAILED, reason="nö", traceback=text)
    run_id = tracker.mirror(made.write(home, ended=failed), parent)

    path = made.artifacts_of(home, run_id) / "traceback.txt"
    assert path.read_text("utf-8") == text


def test_odd_names_and_long_values_are_mirrored(home: Path, tracker: Tracker, parent: str) -> None:
    spec = made.spec(
        group="käse 100%'\"; DROP TABLE runs",
        levels={"method (odd)": "\U0001f9c0\n\x00" + "x" * 7000},
        plan=replace(made.plan(), dataset={"name": "d" * 9000, "a=b": "\x00"}),
    )
    directory = made.write(home, spec)
    directory.append(replace(made.epoch(6), metrics={"f1 (macro) #5": 0.5}))
    directory.write_result(made.result(State.PRUNED, reason="Because. " * 2000))
    run_id = tracker.mirror(directory, parent)

    assert made.run_of(home, spec.key)[1] == "KILLED"
    assert made.history_of(home, run_id, "f1 _macro_ _5")[0][:2] == (6, 0.5)
    assert len(made.params_of(home, run_id)["dataset"]) == 6000
    assert len(made.tags_of(home, run_id)["workbench.reason"]) == 8000
    assert [trial.group for trial in tracker.read_trials(made.STUDY)] == [spec.group]


def test_more_metrics_params_and_tags_than_one_batch_takes_all_arrive(
    home: Path, tracker: Tracker, parent: str
) -> None:
    knobs: dict[str, float] = {f"option_{number}": number / 7 for number in range(150)}
    spec = made.spec(
        plan=made.plan(made.phase(options=knobs)),
        levels={f"factor_{number}": "x" for number in range(120)},
    )
    directory = made.write(home, spec, epochs=0)
    for number in range(1, 501):
        directory.append(made.epoch(number))
    directory.write_result(made.result(State.COMPLETE))
    run_id = tracker.mirror(directory, parent)

    assert len(made.history_of(home, run_id, "seconds")) == 500
    assert made.params_of(home, run_id)["option_149"] == repr(149 / 7)
    assert made.tags_of(home, run_id)["workbench.factor.factor_119"] == "x"


def test_a_param_that_changed_is_kept_as_a_tag_instead_of_failing(
    home: Path, tracker: Tracker, parent: str
) -> None:
    directory = made.write(home)
    run_id = tracker.mirror(directory, parent)
    made.again(directory, plan=replace(made.plan(), threads=2))
    tracker.mirror(directory, parent)

    assert made.params_of(home, run_id)["threads"] == "1"
    assert made.tags_of(home, run_id)["workbench.changed.threads"] == "2"


def test_whatever_lies_among_the_artifacts_is_sent_whatever_its_kind_and_folder(
    home: Path, tracker: Tracker, parent: str
) -> None:
    directory = made.write(home, ended=made.result(State.COMPLETE))
    kinds = ("classes.csv", "mistakes.html", "mistakes/0001.png", "curve.svg", "per class/a b.json")
    for name in kinds:
        path = directory.artifacts / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    sent = made.artifacts_of(home, tracker.mirror(directory, parent))
    assert {name: (sent / name).read_text() for name in kinds} == {name: name for name in kinds}


def test_only_artifacts_that_changed_are_sent_again(
    home: Path, tracker: Tracker, parent: str
) -> None:
    directory = made.write(home)
    (directory.artifacts / "tables").mkdir()
    (directory.artifacts / "tables" / "a.csv").write_text("a\n1\n")
    run_id = tracker.mirror(directory, parent)
    stored = made.artifacts_of(home, run_id)
    kept = (stored / "mistakes.png").stat().st_ino
    (directory.artifacts / "tables" / "a.csv").write_text("a\n2\n")
    tracker.mirror(directory, parent)
    Tracker(home).mirror(directory, parent)

    assert (stored / "tables" / "a.csv").read_text() == "a\n2\n"
    assert (stored / "mistakes.png").stat().st_ino == kept


def test_a_directory_without_a_specification_is_an_error(
    home: Path, tracker: Tracker, parent: str
) -> None:
    with pytest.raises(ValueError, match=r"is not a trial directory"):
        tracker.mirror(TrialDirectory(home / "empty"), parent)


def test_a_parent_is_found_again_and_tells_what_changed(home: Path, tracker: Tracker) -> None:
    files = {"study.yaml": "name: digits\n", "study.json": '{"name": "digits"}'}
    uses = [DatasetUse(name="digits", digest="abc", context="training", source={})]
    first = made.parent_of(
        tracker, params={"seed": 0, "workers": 2}, files=files, datasets=uses, tags={"a": "1"}
    )
    before = made.everything(home)
    again = Tracker(home)
    same = made.parent_of(
        again, params={"seed": 0, "workers": 2}, files=files, datasets=uses, tags={"a": "1"}
    )
    assert same == first
    assert made.everything(home) == before

    files["study.yaml"] = "name: digits # better\n"
    made.parent_of(again, params={"seed": 0, "workers": 4}, files=files, tags={"a": "2"})
    assert made.params_of(home, first)["workers"] == "2"
    tags = made.tags_of(home, first)
    assert (tags["workbench.changed.workers"], tags["a"]) == ("4", "2")
    stored = made.artifacts_of(home, first) / "study" / "study.yaml"
    assert stored.read_text() == "name: digits # better\n"
    assert made.rows(home, "SELECT name FROM runs") == [("digits search",)]


def test_search_and_confirmation_have_a_parent_each(tracker: Tracker) -> None:
    assert made.parent_of(tracker, "search") != made.parent_of(tracker, "confirmation")


@pytest.mark.parametrize(
    ("status", "ends"), [("FINISHED", True), ("FAILED", True), ("SCHEDULED", False)]
)
def test_a_parent_is_closed_and_runs_again(
    home: Path, tracker: Tracker, parent: str, status: str, ends: bool
) -> None:
    tracker.close_parent(parent, status)
    _, shown, ended = made.run_of(home, "digits/search")
    assert (shown, ended is not None) == (status, ends)

    made.parent_of(Tracker(home))
    assert made.run_of(home, "digits/search")[1] == "RUNNING"


def test_a_description_is_shown_and_cut_where_mlflow_would_refuse_it(
    home: Path, tracker: Tracker, parent: str
) -> None:
    tracker.describe(parent, "# Digits")
    assert made.tags_of(home, parent)["mlflow.note.content"] == "# Digits"
    tracker.describe(parent, "| a | row |\n" * 3000)
    note = made.tags_of(home, parent)["mlflow.note.content"]
    assert len(note) <= 8000
    assert note.endswith("| a | row |\n…")


def test_what_was_deleted_in_the_web_interface_comes_back_with_its_history(
    home: Path, tracker: Tracker, parent: str
) -> None:
    directory = made.write(home, epochs=2)
    run_id = tracker.mirror(directory, parent)
    tracker._client._client.delete_experiment(tracker.experiment(made.STUDY))
    directory.append(made.epoch(3))

    later = Tracker(home)
    assert made.parent_of(later) == parent
    assert later.mirror(directory, parent) == run_id
    assert len(made.history_of(home, run_id, "train/loss")) == 3


def test_a_run_deleted_meanwhile_fails_once_and_is_taken_back_the_next_time(
    home: Path, tracker: Tracker, parent: str
) -> None:
    directory = made.write(home, epochs=2)
    run_id = tracker.mirror(directory, parent)
    tracker._client._client.delete_run(run_id)
    directory.append(made.epoch(3))

    with pytest.raises(Exception, match="must be in the 'active' state"):
        tracker.mirror(directory, parent)
    assert tracker.mirror(directory, parent) == run_id
    assert len(made.history_of(home, run_id, "train/loss")) == 3


def test_of_several_runs_of_one_trial_the_oldest_that_is_not_deleted_goes_on_alone(
    home: Path, tracker: Tracker, parent: str
) -> None:
    client, experiment = tracker._client._client, tracker.experiment(made.STUDY)
    directory = complete(home)
    tags = {**identity(directory), "mlflow.parentRunId": parent}
    runs = [client.create_run(experiment, start_time=at, tags=tags) for at in (3, 1, 2)]
    newest, deleted, oldest = (run.info.run_id for run in runs)
    client.delete_run(deleted)

    assert Tracker(home).mirror(directory, parent) == oldest
    assert [trial.run_id for trial in Tracker(home).read_trials(made.STUDY)] == [oldest]
    client.restore_run(newest)
    client.delete_run(oldest)
    assert Tracker(home).mirror(directory, parent) == newest


def test_threads_that_mirror_a_trial_at_once_make_one_run(
    home: Path, tracker: Tracker, parent: str
) -> None:
    directory = complete(home)
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda _: tracker.mirror(directory, parent), range(4)))

    assert len(set(ids)) == 1
    assert made.run_of(home, KEY)[:2] == (ids[0], "FINISHED")


def model_of(home: Path, run_id: str) -> Path:
    """The folder of a run's model."""
    study = made.artifacts_of(home, run_id).parents[1]
    return study / "models" / made.tags_of(home, run_id)["workbench.model_id"] / "artifacts"


def test_the_best_mark_and_its_model_move_to_the_better_trial(
    home: Path, tracker: Tracker, parent: str
) -> None:
    old, new, other = complete(home, 1, b"old"), complete(home, 2, b"new"), complete(home, 3, b"o")
    made.again(other, strategy="sgd-0")
    elsewhere = tracker.mark_best(parent, "sgd-0", other)
    first = tracker.mark_best(parent, "adamw-2", old)
    assert made.tags_of(home, first)["workbench.best"] == "true"
    model = model_of(home, first)
    assert sorted(path.name for path in model.iterdir()) == [
        "MLmodel",
        "input_example.json",
        "model.safetensors",
        "serving_input_example.json",
        "workbench.json",
    ]

    second = Tracker(home).mark_best(parent, "adamw-2", new)
    assert not model.exists()
    assert "workbench.best" not in made.tags_of(home, first)
    assert (model_of(home, second) / "model.safetensors").read_bytes() == b"new"
    assert made.tags_of(home, second)["workbench.best"] == "true"
    assert made.tags_of(home, elsewhere)["workbench.best"] == "true"


def test_a_confirmation_run_hangs_under_its_own_parent_with_the_test_as_a_data_set(
    home: Path, tracker: Tracker
) -> None:
    directory = made.write(home, made.confirmation(), ended=made.tested())
    made.write_predictions(directory, [1.0, 0.0])
    made.write(home, made.selection(), ended=made.result(State.COMPLETE))
    assert tracker.reconcile(record.study_directory(home, made.STUDY), seeds_shown=1) == 2
    parents = tracker.read_study(made.STUDY).parents
    for spec in (made.selection(), made.confirmation()):
        run_id, status, _ = made.run_of(home, spec.key)
        assert made.tags_of(home, run_id)["mlflow.parentRunId"] == parents["confirmation"]
        assert status == "FINISHED"
    contexts = made.rows(home, "SELECT value FROM input_tags ORDER BY value")
    assert [context for (context,) in contexts].count("test") == 1
    assert made.history_of(home, run_id, "test/accuracy") == [(3, 0.9, made.BEGAN + 6000)]
    assert (made.artifacts_of(home, run_id) / "predictions.parquet").exists()


def test_why_mlflow_does_not_register_a_model_is_said(
    home: Path, tracker: Tracker, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = tracker.mark_best(parent, "adamw-2", complete(home, 1, b"weights"))

    def refuse(name: str) -> None:
        raise tracker._mlflow.MlflowException(f"no permission for {name}")

    monkeypatch.setattr(tracker._models._client, "create_registered_model", refuse)
    with pytest.raises(StoreError, match="no permission for wines"):
        tracker.register(run_id, "wines", "a card", champion=True)


def test_models_beyond_the_first_page_are_removed_too(
    home: Path, tracker: Tracker, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate("abc"):
        tracker.mark_best(parent, name, complete(home, number, name.encode()))
    monkeypatch.setattr(client, "_PAGE", 1)
    default = "mlflow.store.tracking.sqlalchemy_store.SEARCH_LOGGED_MODEL_MAX_RESULTS_DEFAULT"
    monkeypatch.setattr(default, 1)
    tracker._models.remove(tracker.experiment(made.STUDY))
    assert made.rows(home, "SELECT * FROM logged_models WHERE lifecycle_stage = 'active'") == []


def test_a_trial_that_was_best_before_can_be_best_again(
    home: Path, tracker: Tracker, parent: str
) -> None:
    old, new = complete(home, 1, b"old"), complete(home, 2, b"new")
    for directory in (old, new, old):
        run_id = tracker.mark_best(parent, "adamw-2", directory)

    assert (model_of(home, run_id) / "model.safetensors").read_bytes() == b"old"
    assert len(made.rows(home, "SELECT * FROM tags WHERE key = 'workbench.best'")) == 1


@pytest.mark.parametrize("step", ["log_outputs", "finalize_logged_model"])
def test_a_model_that_was_being_stored_in_a_crash_is_stored_again_and_once(
    home: Path, tracker: Tracker, parent: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = complete(home, 1, b"weights")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tracker._client._client, step, crash)
        tracker.mark_best(parent, "adamw-2", directory)
    for _ in range(2):
        run_id = Tracker(home).mark_best(parent, "adamw-2", directory)
    assert (model_of(home, run_id) / "model.safetensors").read_bytes() == b"weights"
    states = made.rows(home, "SELECT status FROM logged_models WHERE lifecycle_stage = 'active'")
    assert states == [(2,)], "one, ready"
    assert len(list(model_of(home, run_id).parents[1].iterdir())) == 1


def test_a_registered_model_stays_when_another_trial_is_better(
    home: Path, tracker: Tracker, parent: str
) -> None:
    old, new = complete(home, 1, b"old"), complete(home, 2, b"new")
    first = tracker.mark_best(parent, "adamw-2", old)
    model = model_of(home, first)
    assert tracker.register(first, "wines", "a card", champion=True) == "1"
    tracker.mark_best(parent, "adamw-2", new)
    assert (model / "model.safetensors").read_bytes() == b"old"
    with pytest.raises(LookupError, match="has no model"):
        tracker.register(parent, "wines", "a card", champion=True)


def test_test_values_and_predictions_are_withheld_until_all_of_them_are_shown(home: Path) -> None:
    study = record.study_directory(home, made.STUDY)
    for number in range(2):
        directory = made.write(home, made.confirmation(number), ended=made.tested())
        made.write_predictions(directory, [1.0, 0.0])
    # Of a run whose test was killed before it had a result.
    made.write_predictions(made.write(home, made.confirmation(2)), [1.0, 0.0])

    def shown() -> list[bool]:
        found = []
        for number in range(3):
            run_id, *_ = made.run_of(home, made.confirmation(number).key)
            tested = bool(made.history_of(home, run_id, "test/accuracy"))
            predicted = (made.artifacts_of(home, run_id) / "predictions.parquet").exists()
            assert ("workbench.withheld" in made.tags_of(home, run_id)) == (
                number < 2 and not tested
            )
            assert tested == predicted or number == 2
            found.append(predicted)
        return found

    assert Tracker(home).reconcile(study) == 3
    assert shown() == [False] * 3
    with Tracker(home).reading(made.STUDY) as stored:
        assert set(stored.tested().values()) == {made.PROTOCOL_SHA256}, "they can be looked at"
    assert Tracker(home).reconcile(study, seeds_shown=1) == 1
    assert shown() == [True, False, False]
    # As a driver that sends a run again before it knows better.
    assert Tracker(home).reconcile(study) == 0
    assert shown() == [True, False, False]
    assert Tracker(home).reconcile(study, seeds_shown=3) == 2
    assert shown() == [True] * 3
    assert Tracker(home).reconcile(study, seeds_shown=3) == 0


def test_a_crash_between_test_values_and_their_mark_shows_them_later(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = record.study_directory(home, made.STUDY)
    made.write(home, made.confirmation(), ended=made.tested())
    Tracker(home).reconcile(study)
    broken = Tracker(home)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(broken._client._client, "delete_tag", crash)
        broken.reconcile(study, seeds_shown=1)
    Tracker(home).reconcile(study, seeds_shown=1)
    run_id, *_ = made.run_of(home, made.confirmation().key)
    assert made.history_of(home, run_id, "test/accuracy") == [(3, 0.9, made.BEGAN + 6000)]
    assert "workbench.withheld" not in made.tags_of(home, run_id)


def start(home: Path, record_id: str, number: int, epochs: int) -> tuple[str, str]:
    """A study's directory with a trial, mirrored: the ids of parent and run."""
    study = record.study_directory(home, made.STUDY)
    study.mkdir(parents=True)
    (study / "study.json").write_text(f'{{"name": "digits", "record_id": "{record_id}"}}')
    tracker = Tracker(home)
    parent = made.parent_of(tracker, params={"seed": number})
    made.parent_of(tracker, "confirmation", tags={"workbench.protocol": record_id})
    directory = made.write(
        home, epochs=epochs, ended=made.result(State.COMPLETE), weights=b"weights"
    )
    return parent, tracker.mark_best(parent, "adamw-2", directory)


@pytest.mark.parametrize("experiment_deleted", [True, False])
def test_a_study_that_starts_again_shares_nothing_with_the_one_before(
    home: Path, experiment_deleted: bool
) -> None:
    parent, run_id = start(home, "first", 1, epochs=5)
    model = model_of(home, run_id)
    if experiment_deleted:
        client = Tracker(home)._client._client
        client.delete_experiment(Tracker(home).experiment(made.STUDY))
    shutil.rmtree(record.study_directory(home, made.STUDY))
    new_parent, new_run = start(home, "second", 2, epochs=3)

    assert parent != new_parent and run_id != new_run
    assert [step for step, *_ in made.history_of(home, new_run, "train/loss")] == [1, 2, 3]
    assert made.params_of(home, new_parent)["seed"] == "2"
    tracker = Tracker(home)
    assert [trial.run_id for trial in tracker.read_trials(made.STUDY)] == [new_run]
    assert tracker.read_study(made.STUDY).parents["search"] == new_parent
    assert not model.exists()
    assert model_of(home, new_run).exists()
    assert tracker.reconcile(record.study_directory(home, made.STUDY)) == 0
    # The hash of a protocol outlives the records of its runs.
    shutil.rmtree(record.study_directory(home, made.STUDY))
    assert tracker.parent_tag(made.STUDY, "confirmation", "workbench.protocol") == "second"


def test_a_trial_that_is_trained_again_in_a_new_directory_has_a_run_of_its_own(
    home: Path, tracker: Tracker, parent: str
) -> None:
    directory = complete(home)
    first = tracker.mirror(directory, parent)
    shutil.rmtree(directory.path)
    second = Tracker(home).mirror(made.write(home, epochs=2), parent)

    assert first != second
    assert len(made.history_of(home, second, "train/loss")) == 2
    assert [trial.run_id for trial in tracker.read_trials(made.STUDY)] == [second]


def test_reconciling_restores_deleted_models_and_the_mark_of_the_best(home: Path) -> None:
    study = record.study_directory(home, made.STUDY)
    for number, weights in ((1, None), (2, b"weights"), (3, None)):
        value = 0.9 if number == 2 else 0.5
        ended = made.result(State.COMPLETE, value=value)
        made.write(home, made.spec(number), ended=ended, weights=weights)
    made.write(home, made.confirmation(), ended=made.tested(), weights=b"tested")
    assert Tracker(home).reconcile(study) == 4
    assert Tracker(home).reconcile(study) == 0
    runs = [made.run_of(home, spec.key)[0] for spec in (made.spec(2), made.confirmation())]
    client = Tracker(home)._client._client
    for run_id in runs:
        client.delete_logged_model(made.tags_of(home, run_id)["workbench.model_id"])
    client.delete_tag(runs[0], "workbench.best")

    assert Tracker(home).reconcile(study) == 2
    assert made.tags_of(home, runs[0])["workbench.best"] == "true"
    contents = [(model_of(home, run) / "model.safetensors").read_bytes() for run in runs]
    assert contents == [b"weights", b"tested"]
    models = "SELECT COUNT(*) FROM logged_models WHERE lifecycle_stage = 'active'"
    assert made.rows(home, models) == [(2,)]
    assert Tracker(home).reconcile(study) == 0


def test_reconciling_sends_what_mlflow_lacks_and_nothing_twice(home: Path) -> None:
    directory = record.study_directory(home, made.STUDY)
    complete(home, 1), complete(home, 2)

    assert Tracker(home).reconcile(directory) == 2
    assert Tracker(home).reconcile(directory) == 0
    assert made.run_of(home, "digits/search")[1] == "SCHEDULED"
    assert len(Tracker(home).read_trials(made.STUDY)) == 2


def test_reconciling_leaves_running_only_what_a_worker_holds(home: Path, tracker: Tracker) -> None:
    parent = made.parent_of(tracker)
    orphan, held = made.write(home, made.spec(1)), made.write(home, made.spec(2))
    gone = made.write(home, made.spec(3))
    for directory in (orphan, held, gone):
        tracker.mirror(directory, parent)
    (gone.path / "spec.json").unlink()
    with lock(held.lock_path):
        sent = Tracker(home).reconcile(record.study_directory(home, made.STUDY))

    assert sent == 2
    assert made.run_of(home, "digits/search/adamw-2/001")[1:] == ("SCHEDULED", None)
    assert made.run_of(home, "digits/search/adamw-2/002")[1] == "RUNNING"
    lost = made.run_of(home, "digits/search/adamw-2/003")
    assert lost[1] == "FAILED"
    assert made.tags_of(home, lost[0])["workbench.reason"] == "The record of this trial is gone."
    assert made.run_of(home, "digits/search")[1] == "RUNNING"


def test_reconciling_closes_parents_that_a_dead_driver_left_running(
    home: Path, tracker: Tracker
) -> None:
    parent = made.parent_of(tracker)
    tracker.mirror(complete(home), parent)
    Tracker(home).reconcile(
        record.study_directory(home, made.STUDY), parent_statuses={"search": "SCHEDULED"}
    )
    assert made.run_of(home, "digits/search")[1] == "SCHEDULED"


def test_a_report_replaces_the_one_before(
    home: Path, tracker: Tracker, parent: str, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    (report / "figures").mkdir(parents=True)
    (report / "figures" / "old.png").write_bytes(b"old")
    tracker.log_report(parent, report)
    (report / "figures" / "old.png").unlink()
    (report / "index.html").write_text("<p>new</p>")
    tracker.log_report(parent, report)

    stored = made.artifacts_of(home, parent) / "report"
    assert [path.name for path in stored.rglob("*") if path.is_file()] == ["index.html"]


def test_a_study_beyond_the_first_page_of_experiments_is_found(
    home: Path, tracker: Tracker, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker.mirror(made.write(home, made.spec(0), epochs=1), parent)
    for number in range(5):
        tracker.experiment(f"later-{number}")
    monkeypatch.setattr(client, "_PAGE", 2)

    # MLflow lists the newest first.
    assert [trial.number for trial in Tracker(home).read_trials(made.STUDY)] == [0]


def test_a_trial_that_failed_before_its_first_epoch_is_mirrored(
    home: Path, tracker: Tracker, parent: str
) -> None:
    failed = Result(state=State.FAILED, attempt=1, reason="No.", ended=made.BEGAN)
    directory = made.write(home, epochs=0, ended=failed)
    run_id = tracker.mirror(directory, parent)

    assert made.run_of(home, KEY) == (run_id, "FAILED", made.BEGAN)


@pytest.mark.slow
def test_mlflow_is_imported_late_and_torch_never(home: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from workbench import tracker; "
        "from workbench.tracker import mirror; "
        "assert 'mlflow' not in sys.modules and 'pandas' not in sys.modules; "
        "t = tracker.Tracker(Path(sys.argv[1])); "
        "p = t.open_parent('digits', 'search', tags={}, params={}, files={}); "
        "t.read_trials('digits'); t.read_study('digits'); "
        "assert 'torch' not in sys.modules, 'torch'"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(home)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def used(home: Path, number: int) -> None:
    """Read a home's store, and write to it, as every command does."""
    tracker = Tracker(home)
    assert tracker.read_study(made.STUDY).name == made.STUDY
    parent = made.parent_of(tracker, files={"study.json": f'{{"name": "{made.STUDY}"}}'})
    run_id = tracker.mirror(complete(home, number), parent)
    assert (made.artifacts_of(home, run_id) / "mistakes.png").exists()
    artifacts = (home / "mlruns" / "artifacts").as_uri()
    locations = made.rows(home, "SELECT artifact_uri FROM runs")
    locations += made.rows(home, "SELECT artifact_location FROM experiments WHERE name = 'digits'")
    assert all(location.startswith(artifacts) for (location,) in locations)


@pytest.fixture
def filled(home: Path) -> Path:
    """A home with a study, closed."""
    tracker = Tracker(home)
    parent = made.parent_of(tracker, files={"study.json": f'{{"name": "{made.STUDY}"}}'})
    tracker.mirror(complete(home), parent)
    made.close(tracker)
    return home


@pytest.mark.parametrize("possible", [True, False], ids=["free", "taken"])
def test_a_moved_home_is_used_where_it_is_now(filled: Path, possible: bool) -> None:
    moved = filled.rename(filled.with_name("möved here"))
    if not possible:
        filled.write_text("The old place cannot be made again.")
    used(moved, 8)
    assert filled.is_file() if not possible else not filled.exists()


def test_a_copy_never_touches_the_home_that_it_was_copied_from(filled: Path) -> None:
    copy = filled.with_name("copy")
    shutil.copytree(filled, copy)
    before = contents(filled)
    used(copy, 8)
    assert contents(filled) == before
    after = contents(copy)
    used(filled, 9)
    assert contents(copy) == after
    assert [trial.number for trial in Tracker(copy).read_trials(made.STUDY)] == [7, 8]
    assert [trial.number for trial in Tracker(filled).read_trials(made.STUDY)] == [7, 9]


def test_a_home_that_is_seen_at_two_places_is_written_from_both(
    filled: Path, tmp_path: Path
) -> None:
    """As where a container and its host mount one disk: neither path is wrong."""
    tracker = Tracker(filled)
    parent = made.parent_of(tracker)
    tracker.mirror(complete(filled, 8), parent)
    for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
        with closing(sqlite3.connect(filled / "mlruns" / "mlflow.db")) as other, other:
            other.execute(
                f"UPDATE {table} SET {column} = replace({column}, ?, 'file:///other/host/mlruns')",
                ((filled / "mlruns").as_uri(),),
            )
    run_id = tracker.mirror(complete(filled, 9), parent)
    assert (made.artifacts_of(filled, run_id) / "mistakes.png").exists()


@pytest.mark.parametrize(
    "uri",
    [
        "{outside}",
        "{home}/mlruns/artifacts/../../../outside/{run}/artifacts",
        "{home}/mlruns/artifacts/digits/../../../../outside/{run}/artifacts",
        "{home}/mlruns/artifacts/digits/%2e%2e/{run}/artifacts",
        "s3://bucket/{run}/artifacts",
        "http://127.0.0.1:9/{run}/artifacts",
    ],
)
def test_artifacts_that_a_store_keeps_outside_the_home_are_refused(
    filled: Path, tmp_path: Path, uri: str
) -> None:
    (tmp_path / "outside").mkdir()
    run_id, *_ = made.run_of(filled, "digits/search")
    planted = uri.format(outside=(tmp_path / "outside").as_uri(), home=filled.as_uri(), run=run_id)
    with closing(sqlite3.connect(filled / "mlruns" / "mlflow.db")) as other, other:
        other.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (planted, run_id))
    tracker = Tracker(filled)
    with pytest.raises(StoreError, match="not below mlruns/artifacts"):
        tracker.read_study(made.STUDY)
    with pytest.raises(StoreError, match="not below mlruns/artifacts"):
        tracker.log_report(run_id, tmp_path)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("name", ["../../../pwn", "..", "", "a/b", "/tmp/pwn"])
def test_a_study_whose_name_is_a_path_is_refused(home: Path, tracker: Tracker, name: str) -> None:
    with pytest.raises(StoreError, match="name of a study"):
        tracker.open_parent(name, "search", tags={}, params={}, files={"study.json": "{}"})
    with pytest.raises(reader.UnknownStudyError, match="name of a study"):
        tracker.read_study(name)
    assert made.rows(home, "SELECT name FROM experiments") == [("Default",)]


def test_a_record_of_another_study_is_not_mirrored(home: Path, tracker: Tracker) -> None:
    complete(home)
    folder = record.study_directory(home, made.STUDY)
    renamed = folder.rename(folder.with_name("renamed"))
    with pytest.raises(
        record.DamagedRecordError, match=r"spec.json is of the study 'digits', but lies in"
    ):
        tracker.reconcile(renamed)
    assert made.rows(home, "SELECT * FROM runs") == []


def test_artifacts_that_were_deleted_are_sent_again(home: Path, tracker: Tracker) -> None:
    directory = complete(home)
    study = record.study_directory(home, made.STUDY)
    for name in ("study.json", "protocol.json"):
        (study / name).write_text(f'{{"name": "{made.STUDY}"}}')
    made.write(home, made.confirmation(), ended=made.tested())
    parent = made.parent_of(tracker, files={"study.json": '{"name": "digits", "git": {}}'})
    run_id = tracker.mirror(directory, parent)
    tracker.reconcile(study)
    kept = made.artifacts_of(home, parent) / "study" / "study.json"
    assert "git" in kept.read_text(), "what a driver has logged stays"
    shutil.rmtree(home / "mlruns" / "artifacts")

    assert Tracker(home).reconcile(study) == 2
    assert (made.artifacts_of(home, run_id) / "mistakes.png").read_bytes() == b"picture"
    found = Tracker(home).read_study(made.STUDY)
    assert (found.name, found.protocol) == (made.STUDY, {"name": made.STUDY})
    assert Tracker(home).reconcile(study) == 0


def test_a_parent_in_mlflows_bin_is_told_of_and_restored(filled: Path) -> None:
    with closing(sqlite3.connect(filled / "mlruns" / "mlflow.db")) as other, other:
        other.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE name = 'digits search'")
    with pytest.raises(
        reader.UnknownStudyError, match=r"deleted in MLflow .*`workbench sync digits`"
    ):
        Tracker(filled).read_study(made.STUDY)
    Tracker(filled).reconcile(record.study_directory(filled, made.STUDY))
    assert Tracker(filled).read_study(made.STUDY).name == made.STUDY


@pytest.fixture
def impatient() -> Iterator[None]:
    """MLflow asks sqlite to wait 20 s for a lock; here it waits a fifth of a second."""

    def shorten(
        _: object, __: object, statement: str, parameters: object, *___: object
    ) -> tuple[str, object]:
        return statement.replace("busy_timeout = 20000", "busy_timeout = 200"), parameters

    event.listen(Engine, "before_cursor_execute", shorten, retval=True)
    yield
    event.remove(Engine, "before_cursor_execute", shorten)


@pytest.mark.usefixtures("impatient")
def test_a_store_that_another_process_has_locked_is_told_of_in_a_line(filled: Path) -> None:
    tracker = Tracker(filled)
    with closing(sqlite3.connect(filled / "mlruns" / "mlflow.db")) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as caught:
            made.parent_of(tracker, tags={"new": "yes"})
    assert str(caught.value) == (
        f"MLflow's store {filled}/mlruns/mlflow.db cannot be used: database is locked. If another "
        "program has it open, end that program; then run the command again."
    )
