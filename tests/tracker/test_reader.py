from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.support import mlflow_home as made
from workbench.record import Result, Role, State, TrialSpec
from workbench.tracker import Tracker
from workbench.tracker.reader import UnknownStudyError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return made.home_in(tmp_path / "home")


def scores(tracker: Tracker) -> dict[str, list[float]]:
    with tracker.reading(made.STUDY) as stored:
        return stored.scores()


def histories(tracker: Tracker, *given: Any) -> dict[str, dict[str, list[tuple[float, float]]]]:
    with tracker.reading(made.STUDY) as stored:
        return stored.histories(*given)


def test_a_trial_reads_back_as_it_was_recorded(home: Path) -> None:
    tracker = Tracker(home)
    ended = made.result(State.COMPLETE)
    run_id = tracker.mirror(made.write(home, ended=ended), made.parent_of(tracker))

    (row,) = Tracker(home, create=False).read_trials(made.STUDY)
    assert row.run_id == run_id
    assert row.name == "adamw-2/007"
    assert row.key == "digits/search/adamw-2/007"
    assert (row.role, row.group, row.strategy) == ("search", "adamw-2", "adamw-2")
    assert (row.number, row.state) == (7, "complete")
    assert row.value == ended.value
    assert (row.epoch, row.seconds) == (3, 5.5)
    assert (row.epochs, row.epochs_done) == (5, 5)
    assert (row.optimizer, row.learning_rate, row.freeze_depth) == ("adamw", 3.1e-4, 2)
    assert row.levels == {"optimizer": "adamw", "freeze_depth": "2"}
    assert row.hyperparameters == {"learning_rate": 3.1e-4, "weight_decay": 1e-4}
    assert row.metrics == ended.metrics
    assert row.started == made.BEGAN
    assert row.trainable == 200
    assert row.device == "cpu"
    assert (row.seed, row.data_digest) == ("11", "cd" * 32)
    assert (row.test, row.protocol, row.provenance) == ({}, "", {})
    assert row.peak_memory is None


def test_reports_within_an_epoch_read_back_as_the_epochs_that_they_make(home: Path) -> None:
    tracker = Tracker(home)
    spec = made.spec(plan=replace(made.plan(), report_every=0.25))
    directory = made.write(home, spec, epochs=0)
    for number in range(1, 7):
        line = made.epoch(number)
        directory.append(replace(line, metrics={**line.metrics, "epochs": number / 4}))
    metrics = {**made.epoch(3).metrics, "epochs": 0.75}
    directory.write_result(made.result(State.COMPLETE, metrics=metrics))
    tracker.mirror(directory, made.parent_of(tracker))
    (row,) = tracker.read_trials(made.STUDY)
    assert (row.epoch, row.epochs, row.epochs_done) == (3, 5, 1.5)
    assert row.metrics["epochs"] == 0.75


def test_a_trial_that_never_ran_has_no_device_whatever_its_plan_says(home: Path) -> None:
    tracker = Tracker(home)
    spec = made.spec(plan=replace(made.plan(), device="auto"))
    tracker.mirror(made.write(home, spec), made.parent_of(tracker))
    assert tracker.read_trials(made.STUDY)[0].device == ""


def test_trials_come_by_role_group_and_number_with_a_value_only_where_complete(
    home: Path,
) -> None:
    tracker = Tracker(home)
    search, confirmation = made.parent_of(tracker), made.parent_of(tracker, "confirmation")
    pruned = made.result(State.PRUNED, reason="Below the median.")
    for spec, ended in (
        (made.spec(10), made.result(State.COMPLETE)),
        (made.spec(2), pruned),
        (made.spec(3), None),
        (made.spec(0, group="adam-0"), made.result(State.FAILED, value=None, epoch=None)),
    ):
        tracker.mirror(made.write(home, spec, ended=ended), search)
    seed = made.spec(0, role=Role.CONFIRMATION)
    tracker.mirror(made.write(home, seed, ended=made.result(State.COMPLETE)), confirmation)

    trials = tracker.read_trials(made.STUDY)
    assert [(trial.role, trial.group, trial.number) for trial in trials] == [
        ("confirmation", "adamw-2", 0),
        ("search", "adam-0", 0),
        ("search", "adamw-2", 2),
        ("search", "adamw-2", 3),
        ("search", "adamw-2", 10),
    ]
    states = ["complete", "failed", "pruned", "running", "complete"]
    assert [trial.state for trial in trials] == states
    assert [trial.value is None for trial in trials] == [False, True, True, True, False]
    assert trials[1].epoch is None
    assert trials[2].reason == "Below the median."


def test_of_several_phases_the_last_one_is_told(home: Path) -> None:
    tracker = Tracker(home)
    plan = made.plan(
        made.phase(name="probe", freeze_depth=4, learning_rate=1e-2, optimizer="sgd"),
        made.phase(name="fine-tune", freeze_depth=0, learning_rate=1e-4),
    )
    tracker.mirror(made.write(home, made.spec(plan=plan)), made.parent_of(tracker))

    (row,) = tracker.read_trials(made.STUDY)
    assert (row.optimizer, row.learning_rate, row.freeze_depth) == ("adamw", 1e-4, 0)


def test_a_study_without_trials_has_none(home: Path) -> None:
    tracker = Tracker(home)
    made.parent_of(tracker)
    assert tracker.read_trials(made.STUDY) == ()


def test_a_run_that_a_crash_left_with_its_key_alone_can_be_read(home: Path) -> None:
    tracker = Tracker(home)
    parent = made.parent_of(tracker)
    tracker._client._client.create_run(
        tracker.experiment(made.STUDY),
        tags={"workbench.key": "digits/search/a/000", "mlflow.parentRunId": parent},
    )
    (row,) = tracker.read_trials(made.STUDY)
    assert row.state == "running"
    assert row.learning_rate is None


def test_runs_that_others_logged_into_the_experiment_are_no_trials(home: Path) -> None:
    tracker = Tracker(home)
    made.parent_of(tracker)
    tracker._client._client.create_run(tracker.experiment(made.STUDY))
    assert tracker.read_trials(made.STUDY) == ()


def test_what_lies_in_the_bin_is_neither_trial_nor_study(home: Path) -> None:
    tracker = Tracker(home)
    parent = made.parent_of(tracker)
    run_id = tracker.mirror(made.write(home), parent)
    tracker._client._client.delete_run(run_id)
    assert tracker.read_trials(made.STUDY) == ()

    tracker._client._client.delete_run(parent)
    with pytest.raises(UnknownStudyError):
        tracker.read_study(made.STUDY)


def test_a_study_reads_back_as_its_driver_described_it(home: Path) -> None:
    tracker = Tracker(home)
    files = {
        "study.json": '{"name": "digits", "mode": "balanced"}',
        "environment.json": '{"os": 1}',
    }
    confirmation = made.parent_of(tracker, "confirmation", files=files)
    search = made.parent_of(tracker, files=files)

    study = Tracker(home).read_study(made.STUDY)
    assert (study.name, study.mode) == ("digits", "balanced")
    assert study.environment == {"os": 1}
    assert study.parent_run_id == search
    assert study.parents == {"search": search, "confirmation": confirmation}
    assert study.tracking_uri == tracker.uri
    assert study.experiment_id == tracker.experiment(made.STUDY)
    assert (study.commit, study.dirty) == ("", False)


def test_the_commit_of_the_last_start_is_read_from_the_parents_tags(home: Path) -> None:
    tags = {"mlflow.source.git.commit": "ab" * 20, "workbench.git_dirty": "true"}
    Tracker(home).open_parent(made.STUDY, "search", tags=tags, params={}, files={})
    study = Tracker(home).read_study(made.STUDY)
    assert (study.commit, study.dirty) == ("ab" * 20, True)


def test_a_home_that_was_moved_can_still_be_read(home: Path) -> None:
    made.parent_of(Tracker(home), files={"study.json": '{"name": "digits"}'})
    moved = home.rename(home.with_name("moved"))

    assert Tracker(moved).read_study(made.STUDY).name == "digits"


def test_an_unknown_study_names_those_that_there_are(home: Path) -> None:
    tracker = Tracker(home)
    made.parent_of(tracker)
    with pytest.raises(UnknownStudyError, match=r"has no study 'digts'; did you mean digits\?$"):
        tracker.read_trials("digts")
    with pytest.raises(
        UnknownStudyError, match=r"has no study 'wines'. Its studies are: digits\.$"
    ):
        tracker.read_trials("wines")
    with pytest.raises(UnknownStudyError, match="has no study 'digts'"):
        tracker.read_study("digts")


def test_an_experiment_without_a_parent_run_is_no_study(home: Path) -> None:
    tracker = Tracker(home)
    tracker.experiment("empty")
    with pytest.raises(UnknownStudyError, match=r"has no study 'empty'. Its studies are: none\.$"):
        tracker.read_study("empty")


# Confirmation


def test_a_confirmation_run_reads_back_with_its_test_its_seed_and_its_provenance(
    home: Path,
) -> None:
    tracker = Tracker(home)
    parent = made.parent_of(tracker, "confirmation")
    ended = made.tested(0.9375)
    tracker.mirror(made.write(home, made.confirmation(3), ended=ended), parent, seeds_shown=4)

    (row,) = Tracker(home, create=False).read_trials(made.STUDY)
    assert (row.role, row.group, row.strategy) == ("confirmation", "adamw-2", "adamw-2")
    assert row.number == 3
    assert row.test == {"test/accuracy": 0.9375, "test/loss": 0.25}
    # The objective's value stays that of validation.
    assert row.value == ended.value and "test/accuracy" not in row.metrics
    # No float can hold a seed of this size.
    assert row.seed == str(2**62 + 3)
    assert row.protocol == made.PROTOCOL_SHA256
    assert row.provenance == made.PROVENANCE
    assert row.peak_memory == 3_000_000


def test_runs_of_a_selection_read_back_by_candidate_and_seed(home: Path) -> None:
    tracker = Tracker(home)
    parent = made.parent_of(tracker, "confirmation")
    for candidate, number in ((17, 1), (4, 0), (17, 0)):
        directory = made.write(
            home, made.selection(number, candidate), ended=made.result(State.COMPLETE)
        )
        assert directory.path.parts[-4:-1] == ("selection", "adamw-2", f"{candidate:03d}")
        tracker.mirror(directory, parent)

    trials = tracker.read_trials(made.STUDY)
    names = ["adamw-2/004/000", "adamw-2/017/000", "adamw-2/017/001"]
    assert [trial.name for trial in trials] == names
    assert {(trial.role, trial.strategy) for trial in trials} == {("selection", "adamw-2")}
    assert [trial.test for trial in trials] == [{}, {}, {}]


def test_a_confirmed_study_reads_back_with_its_protocol_and_the_hash_of_its_bytes(
    home: Path,
) -> None:
    tracker = Tracker(home)
    made.parent_of(tracker, files={"study.json": '{"name": "digits"}'})
    study = tracker.read_study(made.STUDY)
    assert (study.protocol, study.selection) == (None, None)
    assert (study.protocol_sha256, study.protocol_logged) == (None, None)

    parent = made.parent_of(
        tracker,
        "confirmation",
        tags={"workbench.protocol": made.PROTOCOL_SHA256},
        files={"protocol.json": made.PROTOCOL},
    )
    study = tracker.read_study(made.STUDY)
    assert study.protocol == {"schema": 1, "study": "digits"}
    assert study.protocol_sha256 == study.protocol_logged == made.PROTOCOL_SHA256
    assert study.selection is None

    made.parent_of(tracker, "confirmation", files={"selection.json": '{"chosen": {}}'})
    path = made.artifacts_of(home, parent) / "study" / "protocol.json"
    path.write_text(made.PROTOCOL + " ")
    study = tracker.read_study(made.STUDY)
    assert study.selection == {"chosen": {}}
    assert study.protocol_sha256 != study.protocol_logged == made.PROTOCOL_SHA256


def test_scores_are_those_of_completed_confirmation_runs_that_have_some(home: Path) -> None:
    tracker = Tracker(home)
    search, confirmation = made.parent_of(tracker), made.parent_of(tracker, "confirmation")

    def mirrored(spec: TrialSpec, ended: Result | None, scores: list[float] | None) -> str:
        directory = made.write(home, spec, ended=ended)
        made.write_predictions(directory, scores)
        parent = search if spec.role is Role.SEARCH else confirmation
        return tracker.mirror(directory, parent, seeds_shown=4)

    first = mirrored(made.confirmation(0), made.tested(), [1.0, 0.0, 1.0])
    second = mirrored(made.confirmation(1), made.tested(), [1.0, 1 / 3, 0.0])
    mirrored(made.confirmation(2), made.tested(), None)
    # Its test was killed before its result was written: nobody has looked at it.
    mirrored(made.confirmation(3), None, [1.0, 1.0, 1.0])
    mirrored(made.spec(0), made.result(State.COMPLETE), [0.5, 0.5, 0.5])
    tracker.mirror(made.write(home, made.confirmation(4), ended=made.tested()), confirmation)

    assert scores(tracker) == {first: [1.0, 0.0, 1.0], second: [1.0, 1 / 3, 0.0]}
    moved = home.rename(home.with_name("moved"))
    assert set(scores(Tracker(moved))) == {first, second}


def test_predictions_are_the_numbers_of_the_completed_runs_asked_for(home: Path) -> None:
    tracker = Tracker(home)
    parent = made.parent_of(tracker, "confirmation")

    def mirrored(number: int, ended: Result | None, **columns: list[Any]) -> str:
        directory = made.write(home, made.confirmation(number), ended=ended)
        directory.artifacts.mkdir(exist_ok=True)
        table = {name.replace("_", "/"): values for name, values in columns.items()}
        pyarrow.parquet.write_table(
            pyarrow.table(table), directory.artifacts / "predictions.parquet"
        )
        return tracker.mirror(directory, parent, seeds_shown=6)

    numbers: dict[str, list[Any]] = {"target_age": [1.0, 2.0], "predicted_age": [1.5, 2.5]}
    asked = [
        mirrored(0, made.tested(), **numbers),
        mirrored(1, None, **numbers),
        mirrored(2, made.tested(), target=["a", "b"], predicted=["a", "a"]),
        mirrored(3, made.tested(), target_a=[True, False], predicted_a=[True, True]),
        # Of a task of the user whose outputs have another shape.
        mirrored(5, made.tested(), target_a=[1.0, 2.0], output_0=[1.0, 2.0]),
    ]
    mirrored(4, made.tested(), **numbers)
    with tracker.reading(made.STUDY) as stored:
        assert stored.predictions(asked) == {asked[0]: {"age": ([1.0, 2.0], [1.5, 2.5])}}


def test_what_a_trial_left_about_its_mistakes_is_read_of_the_runs_asked_for(home: Path) -> None:
    tracker = Tracker(home)
    directory = made.write(home, ended=made.result(State.COMPLETE))
    directory.artifacts.mkdir(exist_ok=True)
    (directory.artifacts / "per_class.csv").write_text("class,f1,support\n5,0.75,60\n")
    (directory.artifacts / "mistakes.json").write_text("[]")
    (directory.artifacts / "confusion_matrix.png").write_bytes(b"png")
    run_id = tracker.mirror(directory, made.parent_of(tracker))
    with tracker.reading(made.STUDY) as stored:
        assert stored.artifacts(["other"]) == {}
        read = stored.artifacts([run_id])[run_id]
    assert read.scores == ({"class": "5", "f1": "0.75", "support": "60"},)
    assert read.pictures["confusion_matrix"] == b"png"


def test_histories_are_the_curves_of_the_runs_asked_for(home: Path) -> None:
    tracker = Tracker(home)
    parent = made.parent_of(tracker)
    first, second = (
        tracker.mirror(made.write(home, made.spec(number), epochs=3), parent) for number in (1, 2)
    )
    metrics = ["train/loss", "validation/accuracy", "validation/f1"]
    loss = [(1.0, 1.0), (2.0, 1 / 2), (3.0, 1 / 3)]
    accuracy = [(float(n), made.epoch(n).metrics["validation/accuracy"]) for n in (1, 2, 3)]
    curves = {"train/loss": loss, "validation/accuracy": accuracy}
    assert histories(tracker, metrics, [first]) == {first: curves}
    assert histories(tracker, metrics, [first, second]) == {first: curves, second: curves}
    assert histories(tracker, metrics, []) == {}
    with pytest.raises(UnknownStudyError):
        tracker.read_trials("digts")


def test_histories_of_reports_within_an_epoch_are_told_in_epochs(home: Path) -> None:
    tracker = Tracker(home)
    directory = made.write(home, epochs=0)
    for number in (1, 2, 3):
        line = made.epoch(number)
        directory.append(replace(line, metrics={"f1 (macro)": number / 8, "epochs": number / 2}))
    run_id = tracker.mirror(directory, made.parent_of(tracker))
    found = histories(tracker, ["f1 (macro)"], [run_id])
    assert found == {run_id: {"f1 (macro)": [(0.5, 0.125), (1.0, 0.25), (1.5, 0.375)]}}


def test_of_studies_that_share_an_experiment_only_the_runs_of_one_are_read(home: Path) -> None:
    tracker = Tracker(home)
    parents = {
        study: tracker.open_parent(study, "search", tags={}, params={}, files={})
        for study in ("tables", "tables@wine", "tables@iris")
    }
    client, experiment = tracker._client, tracker.experiment("tables")
    untagged = client._client.create_run(experiment).info.run_id
    for study, expected in (
        ("tables@wine", {parents["tables@wine"]}),
        # A run without the tag may be one of the study that the experiment is named after.
        ("tables", {parents["tables"], untagged}),
    ):
        assert {run.run_id for run in client.read(experiment, study)} == expected


def test_runs_are_read_whole_the_oldest_first_with_those_in_the_bin(home: Path) -> None:
    tracker = Tracker(home)
    parent = made.parent_of(tracker)
    ids = [tracker.mirror(made.write(home, made.spec(n), epochs=2), parent) for n in range(3)]
    client, experiment = tracker._client, tracker.experiment(made.STUDY)
    client._client.log_metric(ids[0], "train/loss", math.nan, step=3)
    client._client.delete_run(ids[1])
    other = client._client.create_run(tracker.experiment("other")).info.run_id

    found = client.read(experiment, made.STUDY)

    assert {run.run_id for run in found} == {parent, *ids}
    assert other not in {run.run_id for run in found}
    assert [run.run_id for run in found if run.deleted] == [ids[1]]
    assert [run.started for run in found] == sorted(run.started for run in found)
    for run in found:
        assert run.tags and (run.run_id == parent or (run.params and run.metrics and run.datasets))
        known = client.get(run.run_id)
        assert repr(sorted(run.metrics.items())) == repr(sorted(known.metrics.items()))  # NaN
        run.metrics = known.metrics
        assert run == known
