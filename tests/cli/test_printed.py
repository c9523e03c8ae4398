"""What the commands print, read as a person reads it: from real plans and real records."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.support.studies import Studies, ended
from workbench.cli import printed
from workbench.commands import browse, verdict
from workbench.commands.check import check_file
from workbench.commands.confirmation_progress import ConfirmationProgress
from workbench.commands.outcomes import Outcome
from workbench.commands.summaries import StudyDetails, VerdictSummary
from workbench.driver.progress import GroupProgress
from workbench.record import State
from workbench.study.confirm.offer import Offer
from workbench.study.confirm.selection import Arm
from workbench.verdict.statistics import planning
from workbench.verdict.wording import numbers

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
    *groups: GroupProgress,
    fresh: int = 0,
    signal: int | None = None,
    parked: tuple[float, ...] = (),
    unsent: int = 0,
    damaged: int = 0,
    resumed: int = 0,
    restarted: int = 0,
    saved_seconds: float = 0.0,
) -> Outcome:
    return Outcome(
        study="tiny",
        groups=groups,
        fresh=fresh,
        signal=signal,
        parked=parked,
        seconds=61.4,
        unsent=unsent,
        damaged=damaged,
        resumed=resumed,
        restarted=restarted,
        saved_seconds=saved_seconds,
    )


DONE = GroupProgress(name="sgd-0", target=3, complete=2, pruned=1, best=0.91237)
OPEN = GroupProgress(name="sgd-all", target=3, failed=1)
NEXT = "next: workbench confirm tiny, or workbench report tiny"


@pytest.mark.parametrize(
    ("damaged", "resumed", "restarted", "then"),
    [
        (1, 1, 0, "1 trial resumed from an earlier one"),
        (2, 0, 1, "1 trial started again from epoch 1"),
        (4, 2, 1, "2 trials resumed from an earlier one, 1 trial started again from epoch 1"),
    ],
)
def test_damaged_checkpoints_are_told_at_the_end(
    paper: Paper, damaged: int, resumed: int, restarted: int, then: str
) -> None:
    printed.outcome(
        paper.console, outcome(DONE, damaged=damaged, resumed=resumed, restarted=restarted)
    )
    (line,) = [line for line in paper.lines if "damaged" in line]
    assert line.startswith(f"{damaged} damaged checkpoint")
    assert line.endswith(f"set aside (*.corrupt); {then}")


def test_quiet_leaves_warnings_and_how_it_ended(paper: Paper) -> None:
    printed.outcome(paper.console, outcome(DONE, fresh=3, unsent=1, saved_seconds=60), quiet=True)
    assert paper.lines == [
        "1 record not sent to MLflow yet; once it answers again, run: workbench sync tiny",
        "tiny: 3 trials in 61 s; 3 in total.",
    ]


def test_a_plan_says_what_a_balanced_study_will_do(paper: Paper, tiny: Path, home: Path) -> None:
    printed.plans(paper.console, check_file(tiny, [], home))
    for line in (
        "tiny Which optimizer fits the wines?",
        "objective maximize validation/accuracy of the best epoch",
        "strategies 4: sgd-0, sgd-all, adamw-0, adamw-all",
        "baseline sgd-0",
        "trials 20 (5 per strategy) of 3 epochs",
        "sampler tpe, pruner median, seed 1",
        "tune learning_rate: 0.0001 to 0.1, log; default 0.01",
        "tune momentum (optimizer is sgd): 0.5 to 0.99; default 0.9",
        "data wine: 98 train, 40 validation, 40 test samples, 3 classes",
        "confirm 5 configurations including the default, comparing each with the best; 12 seeds"
        " (the default), at least 6 needed",
        "confirm.smallest_effect is missing; workbench confirm requires it",
        "at most 36 selection and 60 confirmation runs",
        "backbone mlp, weights: none (from scratch)",
        "hidden1 112 parameters frozen from depth 1",
        "hidden2 72 parameters frozen from depth 2",
        "head 27 parameters never frozen",
    ):
        assert line in paper.lines
    (note,) = [line for line in paper.lines if line.startswith("note")]
    assert note.startswith("note freeze_depth: the frozen stages of sgd-all, adamw-all keep random")


def test_a_plan_of_a_joint_study_shows_its_choices_and_its_notes(
    paper: Paper, write_study: Write, home: Path
) -> None:
    file = write_study(
        ("compare:\n", "tune:\n"),
        ("  freeze_depth: [0, all]\ntune:\n", "  freeze_depth: [0, all]\n"),
        ("trials_per_strategy: 5", "trials: 3"),
    )
    printed.plans(paper.console, check_file(file, [], home))
    assert "joint search optimizer: sgd, adamw; freeze_depth: 0, all" in paper.lines
    assert "trials 3 of 3 epochs" in paper.lines
    notes = [line for line in paper.lines if line.startswith("note")]
    assert any("so with 3 trials it is random search" in note for note in notes)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ("confirm={seeds: 9, smallest_effect: 0.02, contrast: optimizer}",),
            [
                "confirm 5 configurations including the default, comparing each level of optimizer"
                " with the best; 9 seeds, at least 6 needed",
                "smallest effect that matters: 0.02 in test/accuracy",
                "at most 36 selection and 45 confirmation runs",
            ],
        ),
        (
            ("confirm={seeds: 5, contrast: baseline, select: {configs: 1, seeds: 2}}",),
            [
                "confirm 5 configurations including the default, comparing each with the default,"
                " 4 pairs; 5 seeds, at least 8 needed",
                "5 seeds cannot show a difference of any size",
                "at most 8 selection and 25 confirmation runs",
                "note confirm.seeds: with 5 seeds no result can be significant; at least 8 are "
                "needed. The verdict will be UNDERPOWERED BY DESIGN",
            ],
        ),
    ],
)
def test_a_plan_says_what_its_confirmation_takes(
    paper: Paper, tiny: Path, home: Path, overrides: tuple[str, ...], expected: list[str]
) -> None:
    printed.plans(paper.console, check_file(tiny, overrides, home))
    for line in expected:
        assert line in paper.lines


def test_a_plan_says_in_sds_what_its_seeds_find(paper: Paper, tiny: Path, home: Path) -> None:
    found = planning.detectable_effect(12)
    printed.plans(paper.console, check_file(tiny, [], home))
    size = numbers.setting(found)
    (at,) = [n for n, line in enumerate(paper.lines) if line.startswith("12 seeds detect")]
    assert f"a difference of {size} times its spread (SD) between seeds" in paper.lines[at]
    assert "one rival" in paper.lines[at + 1]


def test_a_plan_shows_every_backbone_that_is_compared_by_its_level(
    paper: Paper, tiny: Path, home: Path
) -> None:
    levels = "{narrow: {name: mlp, hidden: [4]}, wide: {name: mlp, hidden: [16]}}"
    overrides = ["recipe={dataset: {name: wine}, epochs: 3}", f"compare.backbone={levels}"]
    printed.plans(paper.console, check_file(tiny, overrides, home))
    start = paper.lines.index("backbone narrow: mlp, weights: none (from scratch)")
    assert paper.lines[start + 1 : start + 6] == [
        "hidden1 56 parameters frozen from depth 1",
        "head 15 parameters never frozen",
        "backbone wide: mlp, weights: none (from scratch)",
        "hidden1 224 parameters frozen from depth 1",
        "head 51 parameters never frozen",
    ]


def test_a_plan_whose_question_looks_like_markup_is_printed_as_it_is(
    paper: Paper, write_study: Write, home: Path
) -> None:
    file = write_study(("# Which optimizer fits the wines?", "# Is [bold] better than [/bold]?"))
    printed.plans(paper.console, check_file(file, [], home))
    assert paper.lines[0] == "tiny Is [bold] better than [/bold]?"


def test_an_outcome_counts_every_strategy_and_says_what_is_new(paper: Paper, home: Path) -> None:
    printed.outcome(paper.console, outcome(DONE, fresh=2))
    assert paper.lines[:2] == ["strategy done pruned failed best", "sgd-0 2 1 0 0.9124"]
    assert "tiny: 2 trials in 61 s; 3 in total." in paper.lines
    assert paper.lines[-1] == NEXT


def test_an_outcome_of_a_study_that_was_complete_says_that_nothing_is_to_do(
    paper: Paper, home: Path
) -> None:
    printed.outcome(paper.console, outcome(DONE))
    assert "tiny: all 3 trials are done; nothing to do." in paper.lines
    assert paper.lines[-1] == NEXT


def test_after_a_finished_confirmation_an_outcome_names_no_step_that_was_taken(
    paper: Paper, home: Path
) -> None:
    printed.outcome(paper.console, replace(outcome(DONE), confirmed=True))
    assert paper.lines[-1] == "next: workbench report tiny"


@pytest.mark.parametrize("confirm", [True, False])
def test_a_report_that_is_up_to_date_is_named_instead_of_its_command(
    paper: Paper, home: Path, confirm: bool
) -> None:
    page = home / "reports" / "tiny" / "index.html"
    found = replace(outcome(DONE), confirmed=not confirm, report=page)
    printed.outcome(paper.console, found)
    last = ["next: workbench confirm tiny"] if confirm else []
    assert paper.lines[-1 - len(last) :] == [f"report: {page}", *last]
    printed.confirmed((other := Paper()).console, replace(confirmed(ARM, fresh=0), report=page))
    assert other.lines[-1] == f"report: {page}"


def test_an_outcome_that_was_stopped_names_no_report(paper: Paper, home: Path) -> None:
    printed.outcome(paper.console, outcome(DONE, OPEN, fresh=4, signal=2))
    assert paper.lines[-1] == "tiny: stopped after 4 trials; rerun the same command to resume."


@pytest.mark.parametrize(
    ("parked", "words"),
    [((629.0,), "1 parked at epoch 629"), ((3.0, 0.25), "2 parked at epochs 3 and 0.25")],
)
def test_an_outcome_that_was_stopped_counts_its_parked_trials_with_their_epochs(
    paper: Paper, home: Path, parked: tuple[float, ...], words: str
) -> None:
    group = GroupProgress(name="sgd-0", target=3, running=len(parked))
    printed.outcome(paper.console, outcome(group, signal=2, parked=parked))
    assert f"sgd-0 0 0 0 {len(parked)}" in paper.lines
    assert f"tiny: stopped after 0 trials, {words}; rerun" in paper.lines[-1]


def test_an_outcome_without_a_value_leaves_its_place_empty(paper: Paper, home: Path) -> None:
    printed.outcome(paper.console, outcome(OPEN, fresh=1))
    assert "sgd-all 0 0 1" in paper.lines
    assert "tiny: timeout reached after 1 trial; rerun the same command to continue." in paper.lines


def test_an_outcome_of_a_smoke_test_names_nothing_that_was_thrown_away(
    paper: Paper, home: Path
) -> None:
    printed.outcome(paper.console, outcome(DONE, fresh=3), smoke=True)
    assert paper.lines[-1] == "tiny: the tiny copy finished in 61 s; nothing was kept."
    assert "workbench report" not in paper.text


def test_an_outcome_says_how_much_training_time_stored_activations_saved(paper: Paper) -> None:
    printed.outcome(paper.console, outcome(DONE, fresh=3, saved_seconds=125.0))
    assert "saved this study about 2.1 min of training" in paper.text


def test_an_outcome_with_unsent_records_says_how_to_send_them(paper: Paper, home: Path) -> None:
    printed.outcome(paper.console, outcome(DONE, fresh=3, unsent=2))
    assert "2 records not sent to MLflow yet; once" in paper.text
    printed.outcome((sent := Paper()).console, outcome(DONE, fresh=3))
    assert "sync" not in sent.text


def test_a_home_without_a_study_says_how_one_is_started(paper: Paper, home: Path) -> None:
    printed.studies(paper.console, browse.studies(home))
    assert paper.lines == ["No studies yet. To start one: workbench run studies/NAME.yaml"]


def test_the_list_of_studies_has_a_row_for_each(paper: Paper, some: Studies) -> None:
    some.study("other")
    printed.studies(paper.console, browse.studies(some.home))
    assert paper.lines == [
        "study state trials done pruned failed parked best best trial of confirmed",
        "other unfinished 20 0 0 0 0 validation/accuracy",
        "tiny unfinished 20 2 1 1 1 0.8000 sgd-all/000 validation/accuracy",
    ]


def test_a_study_is_summed_up_in_one_row_and_its_trials_follow(paper: Paper, some: Studies) -> None:
    printed.study(paper.console, browse.study(some.home, "tiny"))
    assert paper.lines[:3] == [
        "study state trials done pruned failed parked best best trial of confirmed",
        "tiny unfinished 20 2 1 1 1 0.8000 sgd-all/000 validation/accuracy",
        "trial role state validation/accuracy epochs seconds hyperparameters",
    ]
    assert paper.lines[3:] == [
        "adamw-0/000 search parked 2 1.0 learning_rate=0.01",
        "sgd-0/000 search complete 0.7000 2 1.0 learning_rate=0.01 momentum=0.9",
        "sgd-0/001 search pruned 0.9900 1 0.5 learning_rate=0.01 momentum=0.9",
        "sgd-all/000 search complete 0.8000 2 1.0 learning_rate=0.01 momentum=0.9",
        "sgd-all/001 search failed 0 0.0 learning_rate=0.01 momentum=0.9 (diverged [1e9])",
    ]


def test_a_study_a_strategy_and_a_trial_name_the_file_of_their_model(
    paper: Paper, some: Studies
) -> None:
    kept = {}
    for name in ("sgd-0/000", "sgd-all/000"):
        path = kept[name] = browse.trial(some.home, "tiny", name).directory / "best.safetensors"
        path.touch()
    for within, name in ((None, "sgd-all/000"), ("sgd-0", "sgd-0/000")):
        found = browse.found(some.home, "tiny", within)
        assert isinstance(found, StudyDetails)
        printed.study(paper.console, found)
        assert paper.lines[-1] == f"weights of {name}: {kept[name]}"
    assert paper.text.count("weights of") == 2, "of a study that of the best trial alone"
    printed.trial(paper.console, browse.trial(some.home, "tiny", "sgd-0/000"))
    assert f"weights {kept['sgd-0/000']}" in paper.lines


def test_a_trial_is_printed_with_its_settings_and_its_epochs(paper: Paper, some: Studies) -> None:
    printed.trial(paper.console, browse.trial(some.home, "tiny", "sgd-all/000"))
    assert paper.lines[0] == "sgd-all/000 complete, validation/accuracy 0.8000 at epoch 2"
    assert "learning_rate 0.01" in paper.lines
    assert "momentum 0.9" in paper.lines
    assert any(line.startswith("record /") and line.endswith("/000") for line in paper.lines)
    assert paper.lines[-3:] == ["epoch validation accuracy", "1 0.1", "2 0.2"]
    assert "MLflow run" not in paper.text


def test_a_trial_that_reports_within_an_epoch_is_printed_by_epochs_and_its_own_metric(
    paper: Paper, some: Studies
) -> None:
    found = browse.trial(some.home, "tiny", "sgd-all/000")
    objective = replace(found.spec.objective, metric="validation/rmse")
    history = [
        replace(
            report,
            metrics={
                "epochs": report.epoch / 4,
                "train/rmse": 1000.0 * report.epoch,
                "validation/rmse": 2000.0 * report.epoch,
            },
        )
        for report in found.history
    ]
    found = replace(
        found,
        summary=replace(found.summary, value=21_770.44),
        spec=replace(found.spec, objective=objective),
        history=history,
    )
    printed.trial(paper.console, found)
    assert paper.lines[0] == "sgd-all/000 complete, validation/rmse 21770 at epoch 0.5"
    assert paper.lines[-3:] == [
        "epoch train rmse validation rmse",
        "0.25 1000 2000",
        "0.5 2000 4000",
    ]


def test_a_trial_that_ran_out_of_memory_is_printed_with_its_micro_batch(
    paper: Paper, some: Studies
) -> None:
    size = "16, halved after running out of memory"
    done = replace(ended(State.COMPLETE, 0.9), provenance={"micro_batch_size": size})
    some.trial("tiny", 3, 0, done)
    printed.trial(paper.console, browse.trial(some.home, "tiny", "adamw-all/000"))
    assert f"micro-batch {size}" in paper.lines


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
    assert found.result is not None
    result = replace(found.result, traceback="KeyError: '[red]'\n")
    printed.trial(paper.console, replace(found, result=result), "abc")
    assert "KeyError: '[red]'" in paper.lines
    assert "MLflow run abc" in paper.lines


@pytest.fixture
def offer(some: Studies) -> Offer:
    """Two strategies and the default; one run of the selection failed."""
    spec = some.trial("tiny", 0, 3, None, epochs=0).spec()
    assert spec is not None
    return Offer(
        study="tiny",
        metric="test/accuracy",
        arms=(
            Arm(name="sgd-0", spec=spec, baseline=False, values=(0.5, None)),
            Arm(name="[b]", spec=spec, baseline=False, values=(0.5, 0.625)),
            Arm(name="default", spec=spec, baseline=True),
        ),
        contrast="all",
        pairs=3,
        seeds=10,
        floor=7,
        smallest_effect=0.02,
        sd=0.0101,
        reach=(0.0085, 0.0263),
        runs=30,
        seconds=400.0,
        workers=2,
        test_samples=40,
    )


def test_an_offer_names_a_study_that_has_tested_the_same_samples(
    paper: Paper, offer: Offer
) -> None:
    printed.offer(paper.console, replace(offer, tested=("The study first has tested them.",)))
    assert paper.lines[0] == "tiny selected; the test split was read before"
    assert paper.lines[-1] == "note The study first has tested them."


def test_an_offer_says_what_is_tested_what_it_finds_and_what_it_costs(
    paper: Paper, offer: Offer
) -> None:
    printed.offer(paper.console, offer)
    assert paper.lines == [
        "tiny selected; the test split is untouched",
        "strategy chosen from validation values hyperparameters",
        "sgd-0 sgd-0/003 0.5000, failed learning_rate=0.01 momentum=0.9",
        "[b] sgd-0/003 0.5000, 0.6250 learning_rate=0.01 momentum=0.9",
        "default its default learning_rate=0.01 momentum=0.9",
        "compared each with the best, on 10 seeds; at least 7 are needed",
        "power 80 % for a difference of about 0.0085 to 0.0263 against one rival, lower against "
        "all of them",
        "whether a difference of exactly the smallest effect (0.02) is found cannot be estimated "
        "from so few seeds",
        "estimated from the few validation seeds of the selection: SD of paired differences "
        "0.0101, pooled over all pairs of chosen configurations, with its 90 % interval",
        "smallest effect 0.02 in test/accuracy",
        "runs 30, each tested once on 40 samples; about 6.7 min, 2 at a time (estimated from the "
        "runs of the selection)",
    ]


def test_an_offer_does_not_promise_seconds(paper: Paper, offer: Offer) -> None:
    printed.offer(paper.console, replace(offer, seconds=6.0, workers=1))
    assert "on 40 samples; less than 60 s (estimated" in paper.text


def test_an_offer_says_what_it_cannot_find(paper: Paper, offer: Offer) -> None:
    printed.offer(paper.console, replace(offer, smallest_effect=0.005))
    assert "smallest effect (0.005) may be missed\nestimated" in paper.text
    printed.offer(paper.console, replace(offer, smallest_effect=0.03))
    assert "smallest effect (0.03) is found\nestimated" in paper.text
    printed.offer(paper.console, replace(offer, sd=0.7, reach=(1.0, 1.0)))
    assert "power below 80 % for every difference that the metric can have\nestimated" in paper.text
    printed.offer(paper.console, replace(offer, sd=None, reach=None, seconds=None, pairs=1))
    assert (
        "power unknown: no two strategies completed on the same two seeds of the selection"
        in paper.lines
    )
    assert "compared each with the best, on 10 seeds; at least 7 are needed" in paper.lines
    printed.offer(paper.console, replace(offer, sd=0.0, reach=None))
    assert "power unknown: no difference between two strategies varied" in paper.text
    printed.offer(paper.console, replace(offer, seconds=None))
    assert paper.lines[-1] == "runs 30, each tested once on 40 samples"
    low = replace(offer, seeds=5, reach=None, notes=["confirm.seeds: too few"])
    printed.offer(paper.console, low)
    assert "power too few seeds to show a difference of any size" in paper.lines
    assert paper.lines[-1] == "note confirm.seeds: too few"


def test_an_offer_names_the_arm_that_is_the_default(paper: Paper, offer: Offer) -> None:
    arm = replace(offer.arms[0], baseline=True)
    printed.offer(paper.console, replace(offer, arms=(arm,)))
    assert paper.lines[2].startswith("sgd-0 (the default) sgd-0/003 0.5000, failed")


SELECTED = GroupProgress(name="sgd-0", target=4, complete=4)
ARM = GroupProgress(name="default", target=7, complete=6, failed=1)


def confirmed(
    *arms: GroupProgress, fresh: int = 7, signal: int | None = None, agreed: bool = True
) -> Outcome:
    return Outcome(
        study="tiny",
        selection=(SELECTED,),
        groups=arms if agreed else (),
        agreed=agreed,
        fresh=fresh,
        signal=signal,
        seconds=61.4,
        reasons=("1 x diverged [1e9]",) if arms else (),
    )


NEXT_REPORT = "next: workbench report tiny"


@pytest.mark.parametrize(
    ("found", "row", "told", "last"),
    [
        (
            confirmed(ARM),
            "default 7 6 1",
            "tiny: 4 selection runs and 7 confirmation runs, 7 of them now, in 61 s; "
            "1 configuration tested on 7 seeds each.",
            NEXT_REPORT,
        ),
        (
            confirmed(ARM, fresh=11),
            "default 7 6 1",
            "tiny: 4 selection runs and 7 confirmation runs in 61 s; 1 configuration tested on 7 "
            "seeds each.",
            NEXT_REPORT,
        ),
        (
            confirmed(ARM, fresh=0),
            "default 7 6 1",
            "tiny: 4 selection runs and 7 confirmation runs are done; nothing to do.",
            NEXT_REPORT,
        ),
        (
            confirmed(replace(ARM, complete=2), signal=2),
            "default 7 2 1",
            "tiny: stopped after 3 of 7 confirmation runs; rerun the same command to resume.",
            "failed: 1 x diverged [1e9]",
        ),
        (
            confirmed(GroupProgress(name="default", target=7), agreed=False),
            "sgd-0 4 4 0",
            "tiny: not tested. The selection is kept, the test split is untouched; rerun the "
            "same command to be asked again.",
            "failed: 1 x diverged [1e9]",
        ),
        (
            confirmed(),
            "sgd-0 4 4 0",
            "tiny: no run of the selection completed, so nothing can be tested.",
            "tiny: no run of the selection completed, so nothing can be tested.",
        ),
    ],
)
def test_a_confirmation_says_where_it_stands_and_no_value(
    paper: Paper, found: Outcome, row: str, told: str, last: str
) -> None:
    printed.confirmed(paper.console, found)
    assert paper.lines[1:3] == [row, told]
    assert paper.lines[-1] == last


def test_only_a_finished_confirmation_says_a_verdict(paper: Paper) -> None:
    given = VerdictSummary(
        word="winner", heading="WINNER", leader="sgd", seeds=7, protocol="", headline="sgd is best."
    )
    printed.confirmed(paper.console, replace(confirmed(ARM), verdict=given))
    assert paper.lines[-2:] == ["WINNER sgd is best.", NEXT_REPORT]
    open_ = replace(given, heading="INCONCLUSIVE", needed="About 20 seeds are needed.")
    printed.confirmed(paper.console, replace(confirmed(ARM), verdict=open_))
    assert paper.lines[-2:] == ["needed: About 20 seeds are needed.", NEXT_REPORT]
    # A second look that was stopped: the first one's verdict stands, and is not news.
    stopped = replace(confirmed(replace(ARM, complete=2), signal=2), verdict=given)
    printed.confirmed(paper.console, stopped)
    assert paper.text.count("WINNER") == 1


def test_a_confirmation_that_mlflow_missed_is_told_how_to_be_sent(paper: Paper) -> None:
    printed.confirmed(paper.console, replace(confirmed(ARM), unsent=3))
    assert "3 records not sent to MLflow yet; once" in paper.text


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (None, ""),
        (ConfirmationProgress(stage="selection", ended=3, planned=18), "selecting 3/18"),
        (ConfirmationProgress(stage="selected", ended=0, planned=30), "selected"),
        (ConfirmationProgress(stage="confirmation", ended=4, planned=30), "testing 4/30"),
        (ConfirmationProgress(stage="complete", ended=30, planned=30), "yes"),
        (ConfirmationProgress(stage="damaged", ended=0, planned=0), "damaged"),
    ],
)
def test_the_list_says_how_far_a_confirmation_is(
    paper: Paper, some: Studies, stage: ConfirmationProgress | None, expected: str
) -> None:
    (row,) = browse.studies(some.home)
    printed.studies(paper.console, [replace(row, confirmation=stage)])
    assert paper.lines[1].removeprefix(paper.lines[1].partition("validation/accuracy")[0]) == (
        f"validation/accuracy {expected}".strip()
    )


def results(folder: Path, *names: str) -> Path:
    """Two strategies on ten seeds of each data set, and a column that nobody reads."""
    draw = random.Random(0)
    lines = ["dataset,strategy,seed,value,who"]
    for name in names:
        for strategy, mean in (("[b]adam", 0.9), ("sgd", 0.8)):
            for seed in range(10):
                lines.append(f"{name},{strategy},{seed},{draw.gauss(mean, 0.01):.5f},me")
    path = folder / "results.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_verdict_says_what_was_ignored_and_where_the_page_is(
    paper: Paper, tmp_path: Path
) -> None:
    path = results(tmp_path, "pets")
    judged = verdict.judge(path, home=tmp_path, smallest_effect=0.01, out=tmp_path / "out")
    printed.verdict(paper.console, judged)
    assert paper.lines[0].startswith("WINNER [b]adam")
    assert "note: Ignored in results.csv: the column who." in paper.lines
    assert paper.lines[-1] == f"page: {judged.page}"
    assert "data set ahead" not in paper.text


def test_a_pair_says_who_is_ahead_whatever_is_better(paper: Paper, tmp_path: Path) -> None:
    path = results(tmp_path, "pets")
    printed.verdict(paper.console, verdict.judge(path, home=tmp_path, direction="minimize"))
    assert paper.lines[1].endswith(" SD p at most behind")
    (said, head, row) = paper.lines[4:7]
    assert said == "Pairwise comparisons (not used for the verdict)"
    assert head.split()[:3] == ["first", "second", "difference"]
    assert row.split()[:2] == ["sgd", "[b]adam"] and float(row.split()[2]) > 0
    assert "10 of 10" in row


def test_a_verdict_on_several_data_sets_shows_each_and_what_holds_across(
    paper: Paper, tmp_path: Path
) -> None:
    names = ("pets", "cars", "birds", "flowers", "food", "textures")
    judged = verdict.judge(results(tmp_path, *names), home=tmp_path, smallest_effect=0.01)
    printed.verdict(paper.console, judged)
    start = paper.lines.index("data set best mean closest difference verdict")
    for line, name in zip(paper.lines[start + 1 :], names, strict=False):
        assert re.fullmatch(rf"{name} \[b\]adam sgd 0\.\d{{4}} WINNER", line)
    assert paper.lines[start + 7 : start + 9] == [
        "first second wins ties losses undecided",
        "[b]adam sgd 6 0 0 0",
    ]
    start = paper.lines.index("strategy average rank")
    assert paper.lines[start + 1 : start + 3] == ["[b]adam 1.00", "sgd 2.00"]
    assert not [line for line in paper.lines if line.startswith("page:")]


def test_a_verdict_on_few_data_sets_counts_and_has_no_ranks(paper: Paper, tmp_path: Path) -> None:
    path = results(tmp_path, "pets", "cars")
    printed.verdict(paper.console, verdict.judge(path, home=tmp_path, smallest_effect=0.01))
    assert "[b]adam sgd 2 0 0 0" in paper.lines
    assert "average rank" not in paper.text
