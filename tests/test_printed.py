"""What the commands print, read as a person reads it: from real plans and real records."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from test_browse import Studies, ended

from workbench import browse, launch, printed
from workbench.driver import Standing
from workbench.ending import Outcome
from workbench.record import State

Write = Callable[..., Path]


class Paper:
    """A console of 200 columns, and what stands on it: runs of blanks as one."""

    def __init__(self) -> None:
        self.console = Console(file=StringIO(), width=200)

    @property
    def lines(self) -> list[str]:
        assert isinstance(self.console.file, StringIO)
        return [
            re.sub(r"\s+", " ", line).strip() for line in self.console.file.getvalue().splitlines()
        ]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def paper() -> Paper:
    return Paper()


@pytest.fixture
def studies(home: Path, write_study: Write) -> Studies:
    return Studies(home, write_study)


@pytest.fixture
def some(studies: Studies) -> Studies:
    """A study of 20 trials that has five of them."""
    studies.study("tiny")
    studies.trial("tiny", 0, 0, ended(State.COMPLETE, 0.7))
    studies.trial("tiny", 0, 1, ended(State.PRUNED, 0.99, "pruned at epoch 1"), epochs=1)
    studies.trial("tiny", 1, 0, ended(State.COMPLETE, 0.8))
    studies.trial("tiny", 1, 1, ended(State.FAILED, None, "diverged [1e9]"), epochs=0)
    studies.trial("tiny", 2, 0, ended(State.PARKED, None, "interrupted"))
    return studies


def outcome(
    *standings: Standing, fresh: int = 0, signal: int | None = None, unsent: int = 0
) -> Outcome:
    return Outcome(
        study="tiny", standings=standings, fresh=fresh, signal=signal, seconds=61.4, unsent=unsent
    )


DONE = Standing(name="sgd-0", target=3, complete=2, pruned=1, best=0.91237)
OPEN = Standing(name="sgd-all", target=3, failed=1)
NEXT = "next: workbench confirm tiny, or workbench report tiny"


def test_a_plan_says_what_a_balanced_study_will_do(paper: Paper, tiny: Path, home: Path) -> None:
    printed.plan(paper.console, launch.look_ahead(tiny, [], home))
    for line in (
        "tiny Which optimizer fits the wines?",
        "objective maximize validation/accuracy of the best epoch",
        "strategies 4: sgd-0, sgd-all, adamw-0, adamw-all",
        "baseline sgd-0",
        "trials 20 (5 for each strategy) of 3 epochs",
        "sampler tpe, pruner median, seed 1",
        "tune learning_rate: 0.0001 to 0.1, log; default 0.01",
        "tune momentum (optimizer is sgd): 0.5 to 0.99; default 0.9",
        "data wine: 98 train, 40 validation, 40 test samples, 3 classes",
        "backbone mlp, weights: none (from scratch)",
        "hidden1 112 parameters frozen from depth 1 on",
        "hidden2 72 parameters frozen from depth 2 on",
        "head 27 parameters never frozen",
    ):
        assert line in paper.lines
    assert not [line for line in paper.lines if line.startswith("note")]


def test_a_plan_of_a_joint_study_shows_its_choices_and_its_notes(
    paper: Paper, write_study: Write, home: Path
) -> None:
    file = write_study(
        ("compare:\n", "tune:\n"),
        ("  freeze_depth: [0, all]\ntune:\n", "  freeze_depth: [0, all]\n"),
        ("trials_per_strategy: 5", "trials: 3"),
    )
    printed.plan(paper.console, launch.look_ahead(file, [], home))
    assert "joint search optimizer: sgd, adamw; freeze_depth: 0, all" in paper.lines
    assert "trials 3 of 3 epochs" in paper.lines
    notes = [line for line in paper.lines if line.startswith("note")]
    assert any("with 3 trials it is random search" in note for note in notes)


def test_a_plan_whose_question_looks_like_markup_is_printed_as_it_is(
    paper: Paper, write_study: Write, home: Path
) -> None:
    file = write_study(("# Which optimizer fits the wines?", "# Is [bold] better than [/bold]?"))
    printed.plan(paper.console, launch.look_ahead(file, [], home))
    assert paper.lines[0] == "tiny Is [bold] better than [/bold]?"


def test_an_outcome_counts_every_strategy_and_says_what_is_new(paper: Paper, home: Path) -> None:
    printed.outcome(paper.console, outcome(DONE, fresh=2), home)
    assert paper.lines[:2] == ["strategy done pruned failed best", "sgd-0 2 1 0 0.9124"]
    assert "tiny: 2 trials in 61 s; 3 in all." in paper.lines
    assert paper.lines[-1] == NEXT


def test_an_outcome_of_a_study_that_was_complete_says_that_nothing_is_to_do(
    paper: Paper, home: Path
) -> None:
    printed.outcome(paper.console, outcome(DONE), home)
    assert "tiny: all 3 trials have been run before; nothing to do." in paper.lines
    assert paper.lines[-1] == NEXT


def test_an_outcome_that_was_stopped_names_no_report(paper: Paper, home: Path) -> None:
    printed.outcome(paper.console, outcome(DONE, OPEN, fresh=4, signal=2), home)
    assert paper.lines[-1] == "tiny: stopped after 4 trials; the same command goes on."


def test_an_outcome_without_a_value_leaves_its_place_empty(paper: Paper, home: Path) -> None:
    printed.outcome(paper.console, outcome(OPEN, fresh=1), home)
    assert "sgd-all 0 0 1" in paper.lines
    assert "tiny: time is up after 1 trials; the same command goes on." in paper.lines


def test_an_outcome_of_a_smoke_test_names_nothing_that_was_thrown_away(
    paper: Paper, home: Path
) -> None:
    printed.outcome(paper.console, outcome(DONE, fresh=3), home, smoke=True)
    assert paper.lines[-1] == "tiny: the tiny copy ran through in 61 s; nothing was kept."
    assert "workbench report" not in paper.text


def test_an_outcome_with_unsent_records_says_how_to_send_them(paper: Paper, home: Path) -> None:
    printed.outcome(paper.console, outcome(DONE, fresh=3, unsent=2), home)
    assert "MLflow did not take 2 records; when it is back: workbench sync tiny" in paper.lines
    printed.outcome((sent := Paper()).console, outcome(DONE, fresh=3), home)
    assert "sync" not in sent.text


def test_a_home_without_a_study_says_how_one_is_started(paper: Paper, home: Path) -> None:
    printed.studies(paper.console, browse.studies(home))
    assert paper.lines == ["No study yet: workbench run studies/NAME.yaml starts one."]


def test_the_list_of_studies_has_a_row_for_each(paper: Paper, some: Studies) -> None:
    some.study("other")
    printed.studies(paper.console, browse.studies(some.home))
    assert paper.lines == [
        "study state trials done pruned failed best best trial of confirmed",
        "other unfinished 20 0 0 0 validation/accuracy",
        "tiny unfinished 20 2 1 1 0.8000 sgd-all/000 validation/accuracy",
    ]


def test_a_study_is_summed_up_in_one_row_and_its_trials_follow(paper: Paper, some: Studies) -> None:
    printed.study(paper.console, browse.study(some.home, "tiny"))
    assert paper.lines[:3] == [
        "study state trials done pruned failed best best trial of confirmed",
        "tiny unfinished 20 2 1 1 0.8000 sgd-all/000 validation/accuracy",
        "trial role state value epochs seconds hyperparameters",
    ]
    assert paper.lines[3:] == [
        "adamw-0/000 search parked 2 1.0 learning_rate=0.01",
        "sgd-0/000 search complete 0.7000 2 1.0 learning_rate=0.01 momentum=0.9",
        "sgd-0/001 search pruned 0.9900 1 0.5 learning_rate=0.01 momentum=0.9",
        "sgd-all/000 search complete 0.8000 2 1.0 learning_rate=0.01 momentum=0.9",
        "sgd-all/001 search failed 0 0.0 learning_rate=0.01 momentum=0.9 (diverged [1e9])",
    ]


def test_a_trial_is_printed_with_its_settings_and_its_epochs(paper: Paper, some: Studies) -> None:
    printed.trial(paper.console, browse.trial(some.home, "tiny", "sgd-all/000"))
    assert paper.lines[0] == "sgd-all/000 complete, 0.8000 at epoch 2"
    assert "learning_rate 0.01" in paper.lines
    assert "momentum 0.9" in paper.lines
    assert any(line.startswith("record /") and line.endswith("/000") for line in paper.lines)
    assert paper.lines[-3:] == ["epoch validation accuracy", "1 0.1", "2 0.2"]
    assert "MLflow run" not in paper.text


def test_a_trial_that_reports_within_an_epoch_is_printed_by_epochs_and_its_own_metric(
    paper: Paper, some: Studies
) -> None:
    found = browse.trial(some.home, "tiny", "sgd-all/000")
    found["spec"]["objective"]["metric"] = "validation/rmse"
    found["value"] = 21_770.44
    for line in found["history"]:
        line["metrics"] = {
            "epochs": line["epoch"] / 4,
            "train/rmse": 1000.0 * line["epoch"],
            "validation/rmse": 2000.0 * line["epoch"],
        }
    printed.trial(paper.console, found)
    assert paper.lines[0] == "sgd-all/000 complete, 21770.4 at epoch 0.5"
    assert paper.lines[-3:] == [
        "epoch train rmse validation rmse",
        "0.25 1000 2000",
        "0.5 2000 4000",
    ]


def test_a_trial_that_failed_is_printed_with_its_reason_and_without_a_value(
    paper: Paper, some: Studies
) -> None:
    printed.trial(paper.console, browse.trial(some.home, "tiny", "sgd-all/001"))
    assert paper.lines[0] == "sgd-all/001 failed"
    assert "reason diverged [1e9]" in paper.lines
    assert "epoch" not in paper.text


def test_a_trial_that_raised_is_printed_with_its_traceback_as_it_is(
    paper: Paper, some: Studies
) -> None:
    found = browse.trial(some.home, "tiny", "sgd-all/001")
    found["result"]["traceback"] = "KeyError: '[red]'\n"
    printed.trial(paper.console, {**found, "run_id": "abc"})
    assert "KeyError: '[red]'" in paper.lines
    assert "MLflow run abc" in paper.lines
