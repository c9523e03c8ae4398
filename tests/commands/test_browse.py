"""What ``list`` and ``show`` say of records on disk, with no store and beside a driver."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.commands import call
from tests.support.studies import Studies, ended
from workbench import record
from workbench.commands import browse
from workbench.commands.home_studies import UnknownNameError
from workbench.commands.summaries import StudyDetails
from workbench.driver.leases import lease
from workbench.record import EpochResult, Role, State
from workbench.record.seeds import derive

Write = Callable[..., Path]


@pytest.fixture
def studies(home: Path, write_study: Write) -> Studies:
    return Studies(home, write_study)


@pytest.fixture
def busy(studies: Studies) -> Studies:
    """A study with a trial of every state."""
    studies.study("tiny")
    studies.trial("tiny", 0, 0, ended(State.COMPLETE, 0.7))
    studies.trial("tiny", 0, 1, ended(State.PRUNED, 0.99, "pruned at epoch 1"), epochs=1)
    studies.trial("tiny", 1, 0, ended(State.COMPLETE, 0.8))
    studies.trial("tiny", 1, 1, ended(State.FAILED, None, "diverged at epoch 1"), epochs=0)
    studies.trial("tiny", 2, 0, ended(State.PARKED, None, "interrupted"))
    studies.trial("tiny", 3, 0, None)
    studies.trial("tiny", 0, 0, ended(State.COMPLETE, 0.95), role=Role.TRY)
    return studies


def test_an_empty_home_has_no_study(home: Path) -> None:
    assert browse.studies(home) == []
    with pytest.raises(UnknownNameError, match="No study named tiny in /"):
        browse.study(home, "tiny")


def test_a_study_shows_its_states_counts_and_best_trial(busy: Studies) -> None:
    (row,) = browse.studies(busy.home)
    assert {key: asdict(row)[key] for key in ("name", "state", "holder", "trials", "metric")} == {
        "name": "tiny",
        "state": "unfinished",
        "holder": None,
        "trials": 20,
        "metric": "validation/accuracy",
    }
    states = ("complete", "pruned", "failed", "parked", "running")
    counts = {key: asdict(row)[key] for key in states}
    assert counts == {"complete": 2, "pruned": 1, "failed": 1, "parked": 2, "running": 0}
    assert row.question == "Which optimizer fits the wines?"
    assert row.file.endswith("tiny.yaml")


def test_the_best_trial_is_a_completed_one_of_the_search(busy: Studies) -> None:
    (row,) = browse.studies(busy.home)
    assert (row.best, row.best_trial) == (0.8, "sgd-all/000")


def test_the_best_trial_of_a_loss_has_the_lowest_one(studies: Studies) -> None:
    studies.study("tiny", ("validation/accuracy", "validation/loss"))
    studies.trial("tiny", 0, 0, ended(State.COMPLETE, 0.7))
    studies.trial("tiny", 0, 1, ended(State.COMPLETE, 0.3))
    (row,) = browse.studies(studies.home)
    assert (row.best, row.best_trial) == (0.3, "sgd-0/001")


def test_a_trial_without_a_result_runs_only_while_somebody_drives_the_study(
    busy: Studies,
) -> None:
    directory = record.study_directory(busy.home, "tiny")

    def states() -> list[str]:
        trials = browse.study(busy.home, "tiny").trials
        return [row.state for row in trials if row.role == "search"]

    rest = ["complete", "pruned", "complete", "failed"]
    assert states() == ["parked", "parked", *rest]
    assert browse.trial(busy.home, "tiny", "adamw-all/000").summary.state == "parked"
    with lease(directory):
        (row,) = browse.studies(busy.home)
        assert row.state == "running" and str(row.holder).startswith("process ")
        assert (row.parked, row.running) == (1, 1)
        assert browse.trial(busy.home, "tiny", "adamw-all/000").summary.state == "running"
        assert states() == ["parked", "running", *rest]


def test_a_study_with_all_its_trials_is_complete(studies: Studies) -> None:
    studies.study("tiny", ("trials_per_strategy: 5", "trials_per_strategy: 1"))
    for group in range(4):
        assert browse.studies(studies.home)[0].state == "unfinished"
        studies.trial("tiny", group, 0, ended(State.PRUNED if group else State.COMPLETE))
    assert browse.studies(studies.home)[0].state == "complete"


def test_a_study_of_which_every_trial_failed_is_not_called_just_complete(studies: Studies) -> None:
    studies.study("tiny", ("trials_per_strategy: 5", "trials_per_strategy: 1"))
    for group in range(4):
        studies.trial("tiny", group, 0, ended(State.FAILED))
    assert browse.studies(studies.home)[0].state == "complete, none usable"


def test_reports_within_an_epoch_count_as_the_part_of_it_that_is_done(studies: Studies) -> None:
    studies.study("tiny")
    directory = studies.trial("tiny", 0, 0, None, epochs=0)
    metrics = {"validation/accuracy": 0.5, "epochs": 0.25}
    directory.append(EpochResult(epoch=1, phase="main", metrics=metrics, timestamp=1))
    assert browse.study(studies.home, "tiny").trials[0].epochs == 0.25


def test_show_lists_every_trial_with_what_it_was_and_came_to(busy: Studies) -> None:
    rows = browse.study(busy.home, "tiny").trials
    assert [(row.role, row.trial) for row in rows] == [
        ("search", "adamw-0/000"),
        ("search", "adamw-all/000"),
        ("search", "sgd-0/000"),
        ("search", "sgd-0/001"),
        ("search", "sgd-all/000"),
        ("search", "sgd-all/001"),
        ("try", "try/sgd-0/000"),
    ]
    best = asdict(rows[4])
    assert best == {
        "trial": "sgd-all/000",
        "role": "search",
        "strategy": "sgd-all",
        "state": "complete",
        "value": 0.8,
        "test": {},
        "epoch": 2,
        "epochs": 2,
        "seconds": 1.0,
        "reason": None,
        "weights": None,
        "seed": str(derive(1, "training", 0)),
        "hyperparameters": {"learning_rate": 0.01, "momentum": 0.9},
    }
    assert (rows[5].reason, rows[5].epochs) == ("diverged at epoch 1", 0)


def test_show_gives_one_trial_with_its_record(busy: Studies) -> None:
    found = browse.trial(busy.home, "tiny", "sgd-all/000")
    assert found.spec.plan.dataset["name"] == "wine"
    assert [report.epoch for report in found.history] == [1, 2]
    assert found.directory.name == "000"
    content = json.loads(json.dumps(found.as_json()))
    assert content["spec"]["plan"]["dataset"]["name"] == "wine"
    assert [line["epoch"] for line in content["history"]] == [1, 2]
    assert (content["trial"], content["result"]["value"]) == ("sgd-all/000", 0.8)
    assert content["directory"] == str(found.directory)
    assert browse.trial(busy.home, "tiny", "adamw-all/000").result is None


def test_a_trial_of_another_role_is_shown_by_its_role_and_name(busy: Studies) -> None:
    assert browse.trial(busy.home, "tiny", "sgd-0/000").summary.value == 0.7
    assert browse.trial(busy.home, "tiny", "search/sgd-0/000").summary.value == 0.7
    assert browse.trial(busy.home, "tiny", "try/sgd-0/000").summary.value == 0.95


def test_a_name_alone_is_the_searchs_although_the_confirmation_has_it_too(busy: Studies) -> None:
    busy.trial("tiny", 0, 0, ended(State.COMPLETE, 0.6), role=Role.CONFIRMATION)
    busy.trial("tiny", 1, 7, ended(State.COMPLETE, 0.5), role=Role.CONFIRMATION)
    assert browse.trial(busy.home, "tiny", "sgd-0/000").summary.value == 0.7
    names = [row.trial for row in browse.study(busy.home, "tiny").trials]
    assert len(set(names)) == len(names)
    values = {name: browse.trial(busy.home, "tiny", name).summary.value for name in names}
    assert values["confirmation/sgd-0/000"] == 0.6
    only = browse.trial(busy.home, "tiny", "sgd-all/007")
    assert only.summary.value == 0.5, "no other has the name"


@pytest.mark.parametrize("part", ["confirmation", "confirmation/sgd-0"])
def test_part_of_a_name_is_answered_with_those_that_go_on_from_there(
    busy: Studies, part: str
) -> None:
    busy.trial("tiny", 0, 0, ended(State.COMPLETE, 0.6), role=Role.CONFIRMATION)
    with pytest.raises(UnknownNameError, match=f"no trial {part}; there is confirmation/sgd-0/000"):
        browse.trial(busy.home, "tiny", part)


def test_what_is_unknown_is_answered_with_the_nearest(busy: Studies) -> None:
    busy.study("other")
    with pytest.raises(UnknownNameError) as caught:
        browse.study(busy.home, "tinny")
    assert str(caught.value) == "There is no study tinny; did you mean tiny?"
    with pytest.raises(UnknownNameError, match=r"There is no study zzz; there are other, tiny\."):
        browse.study(busy.home, "zzz")
    with pytest.raises(UnknownNameError, match="There is no study tinny"):
        browse.trial(busy.home, "tinny", "sgd-0/000")
    with pytest.raises(UnknownNameError) as caught:
        browse.trial(busy.home, "tiny", "sdg-all/000")
    assert str(caught.value) == "There is no trial sdg-all/000; did you mean sgd-all/000?"


@pytest.mark.parametrize(("written", "near"), [("sdg-all", "sgd-all"), ("sgd-al", "sgd-all")])
def test_a_strategy_that_is_nearly_right_is_answered_with_the_nearest_strategy(
    busy: Studies, written: str, near: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        browse.trial(busy.home, "tiny", written)
    assert str(caught.value) == f"There is no strategy {written}; did you mean {near}?"


@pytest.mark.parametrize("name", ["sgd-0/000", "confirmation/sgd-0/000"])
def test_a_trial_is_shown_by_one_word_with_its_study(busy: Studies, name: str) -> None:
    busy.trial("tiny", 0, 0, ended(State.COMPLETE, 0.6), role=Role.CONFIRMATION)
    apart = call("show", "tiny", name, "--home", busy.home, "--json")
    assert apart[0] == 0
    assert call("show", f"tiny/{name}", "--home", busy.home, "--json") == apart
    assert browse.split_name("tiny") == browse.split_name("tiny/") == ("tiny", None)


def test_a_strategy_s_trials_are_shown_from_the_best_to_the_worst(studies: Studies) -> None:
    studies.study("tiny")
    for number, value in enumerate([0.7, 0.9, 0.8]):
        studies.trial("tiny", 0, number, ended(State.COMPLETE, value))
    studies.trial("tiny", 0, 3, ended(State.PRUNED, 0.99))
    studies.trial("tiny", 0, 4, ended(State.FAILED))
    studies.trial("tiny", 1, 0, ended(State.COMPLETE, 1.0))
    studies.trial("tiny", 0, 0, ended(State.COMPLETE, 0.95), role=Role.CONFIRMATION)

    def shown(*words: str) -> list[str]:
        code, output, errors = call("show", *words, "--home", studies.home, "--json")
        assert code == 0, errors
        return [row["trial"] for row in json.loads(output)["rows"]]

    best_first = [f"sgd-0/00{number}" for number in (1, 2, 0, 3, 4)]
    assert shown("tiny/sgd-0") == shown("tiny", "sgd-0") == [*best_first, "confirmation/sgd-0/000"]
    assert shown("tiny/confirmation/") == ["confirmation/sgd-0/000"]


def test_a_strategy_s_trials_with_the_lowest_loss_come_first(studies: Studies) -> None:
    studies.study("tiny", ("validation/accuracy", "validation/loss"))
    for number, value in enumerate([0.7, 0.3, None]):
        studies.trial("tiny", 0, number, ended(State.COMPLETE, value))
    found = browse.found(studies.home, "tiny", "sgd-0")
    assert isinstance(found, StudyDetails)
    assert [row.value for row in found.trials] == [0.3, 0.7, None]


def test_a_path_is_no_study_and_those_that_there_are_are_named(busy: Studies) -> None:
    with pytest.raises(UnknownNameError, match=r"no study nothing/sgd-0/000; there is tiny\."):
        browse.study(busy.home, "nothing/sgd-0/000")


def test_a_folder_that_is_no_study_is_passed_over(busy: Studies) -> None:
    (record.study_directory(busy.home, "half") / "trials").mkdir(parents=True)
    assert [row.name for row in browse.studies(busy.home)] == ["tiny"]


@pytest.mark.parametrize(
    ("file", "garbage", "message"),
    [
        ("study.json", b"{", "study.json is damaged"),
        ("study.json", b"[1]", "study.json is damaged"),
        ("study.json", b"", "study.json is gone. Run the study's file again"),
        ("study.json", b'{"name": "tiny"}', "study.json is damaged ("),
        ("trials/sgd-0/000/result.json", b"{}", "result.json is damaged"),
        ("trials/sgd-0/000/result.json", None, "Is a directory"),
    ],
)
def test_a_study_with_a_damaged_file_hides_no_other_and_is_named(
    busy: Studies, file: str, garbage: bytes | None, message: str
) -> None:
    busy.study("other")
    path = record.study_directory(busy.home, "tiny") / file
    path.unlink()
    if garbage is None:
        path.mkdir()
    elif garbage:
        path.write_bytes(garbage)
    other, tiny = browse.studies(busy.home)
    assert (other.name, other.state, other.problem) == ("other", "unfinished", None)
    assert (tiny.name, tiny.state) == ("tiny", "damaged")
    assert message in str(tiny.problem)
    code, output, _ = call("list", "--home", busy.home)
    assert code == 0
    assert f"tiny: {tiny.problem}" in output
    assert str(path) in output


def test_a_renamed_folder_is_told_its_studys_name(busy: Studies) -> None:
    folder = record.study_directory(busy.home, "tiny")
    folder.rename(folder.with_name("renamed"))
    (row,) = browse.studies(busy.home)
    assert str(row.problem).endswith("must have its name: rename the folder to tiny.")
