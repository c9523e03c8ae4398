"""From a finished search to tested arms, with real runs, real records and a real MLflow store."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import pytest
from pydantic import create_model

from tests.support import processes
from tests.support.commands import call, wait_for
from tests.support.mlflow_home import close, empty_store, home_in, runs_of
from tests.support.processes import Forked
from tests.support.studies import SearchResults
from tests.support.tiny import CONFIRM, JOINT, TINY, TWO, Unseen
from workbench import record
from workbench.commands import browse, outcomes, report
from workbench.commands.check import check_file
from workbench.commands.confirm import confirm_study
from workbench.commands.confirmation_progress import (
    ConfirmationProgress,
    other_tests_of_same_samples,
)
from workbench.commands.home_studies import UnknownNameError
from workbench.commands.outcomes import Outcome
from workbench.commands.run import run_study
from workbench.commands.smoke import smoke_study
from workbench.commands.tryout import try_trial
from workbench.driver import RepeatedFailureError
from workbench.driver.workers import InlineWorkers
from workbench.engine.optimizers import OPTIMIZERS
from workbench.record import EpochResult, Result, Role, State, TrialDirectory, TrialSpec
from workbench.record.knob import Knob
from workbench.record.seeds import derive
from workbench.record.strategy import Phase, Schedule
from workbench.study import fingerprint, plans
from workbench.study.config import recipes, schema
from workbench.study.config.changes import NotReadyError, StudyChangedError
from workbench.study.confirm import preregistration, replicates
from workbench.study.confirm.offer import Offer, spread
from workbench.study.confirm.planning import Protocol
from workbench.study.confirm.replicates import Replicates
from workbench.study.confirm.selection import SelectionOutcome, choose
from workbench.tracker import Tracker, location
from workbench.verdict.statistics import planning

Write = Callable[..., Path]

SHORT = ("epochs: 3", "epochs: 2")
FEW = ("trials_per_strategy: 5", "trials_per_strategy: 2")
SMALL = CONFIRM.replace("0.02}", "0.02, seeds: 7, select: {configs: 2, seeds: 2}}")
CONFIRMED = ("objective: {metric: validation/accuracy}", SMALL)


class Asked:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.offers: list[Offer] = []

    def __call__(self, offer: Offer) -> bool:
        self.offers.append(offer)
        return self.answer


class Told(Unseen):
    """Remembers what it was told before anything ran."""

    def __init__(self) -> None:
        self.notes: dict[str, list[str]] = {}

    def begin(self, title: str, notes: object) -> None:
        assert isinstance(notes, list | tuple)
        self.notes[title] = list(notes)


def run(file: Path, home: Path, *overrides: str) -> outcomes.Outcome:
    return run_study(file, overrides, home, InlineWorkers(), Unseen())


def confirmed(
    file: Path | str,
    home: Path,
    *overrides: str,
    agree: Callable[[Offer], bool] = lambda offer: True,
    watcher: Unseen | None = None,
) -> Outcome:
    return confirm_study(file, overrides, home, InlineWorkers(), watcher or Unseen(), agree=agree)


def records(home: Path, role: Role, study: str = "tiny") -> dict[str, tuple[TrialSpec, Result]]:
    """Every run of a role that has ended, by its name."""
    found = {}
    for at, spec in record.scan(record.study_directory(home, study)):
        result = at.result()
        if spec.role is role and result is not None and result.state.ended:
            found[spec.name] = (spec, result)
    return found


def measured(home: Path) -> dict[str, Any]:
    """What selection and confirmation came to: everything but the clock."""
    return {
        f"{role}/{name}": (result.state, result.value, result.epoch, dict(result.test), spec.seed)
        for role in (Role.SELECTION, Role.CONFIRMATION)
        for name, (spec, result) in records(home, role).items()
    }


def copied(home: Path, into: Path) -> Path:
    """A copy of a home with a search in it."""
    shutil.copytree(home, into)
    return into


@pytest.fixture
def home(stored: Path) -> Path:
    return stored


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    text = TINY
    for old, new in (TWO, SHORT, FEW, CONFIRMED):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def searched(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the study is searched and nothing more."""
    home = home_in(tmp_path_factory.mktemp("searched"))
    run(file, home)
    return home


@pytest.fixture
def fresh(file: Path, searched: Path, tmp_path: Path) -> Path:
    """A home of one's own with the records of that search."""
    return copied(searched, tmp_path / "fresh")


class Story:
    """A confirmation that is first declined, and then carried out."""

    def __init__(self, file: Path, home: Path) -> None:
        self.file, self.home = file, home
        self.directory = record.study_directory(home, "tiny")
        self.no, self.yes = Asked(False), Asked(True)
        self.declined = confirmed(file, home, agree=self.no)
        self.after_declining = sorted(path.name for path in self.directory.iterdir())
        self.row_after_declining = browse.study(home, "tiny").summary
        self.untested = copied(home, home.with_name("untested"))
        self.done = confirmed(file, home, agree=self.yes)
        self.protocol = json.loads(record.protocol_path(self.directory).read_text())
        self.selection = json.loads((self.directory / "selection.json").read_text())


@pytest.fixture(scope="module")
def story(file: Path, searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("story")
    return Story(file, copied(searched, folder / "home"))


def test_declined_it_keeps_the_selection_and_leaves_the_test_split_alone(story: Story) -> None:
    assert not story.declined.agreed
    assert story.declined.exit_code == outcomes.RESUMABLE
    assert "selection.json" in story.after_declining
    assert "confirmation" not in story.after_declining
    assert story.row_after_declining.confirmation == ConfirmationProgress(
        stage="selected", planned=7 * len(story.selection["arms"])
    )
    assert (story.declined.fresh, story.done.fresh) == (8, 7 * len(story.selection["arms"]))


def test_every_candidate_is_run_on_every_selection_seed_and_reads_no_test_sample(
    story: Story,
) -> None:
    runs = records(story.home, Role.SELECTION)
    seeds = [derive(1, "training", "tiny", "selection", i) for i in range(2)]
    candidates = story.protocol["selection"]["candidates"]
    assert sorted(runs) == sorted(
        f"{strategy}/{one['number']:03d}/{i:03d}"
        for strategy, found in candidates.items()
        for one in found
        for i in range(2)
    )
    for name, (spec, result) in runs.items():
        assert spec.seed == seeds[spec.number], name
        assert spec.protocol is None
        assert result.test == {}
        trial = record.scan(story.directory)
        (source,) = [
            found
            for _, found in trial
            if found.role is Role.SEARCH and f"{found.strategy}/{found.number:03d}" == spec.group
        ]
        assert spec.plan == source.plan and spec.hyperparameters == source.hyperparameters


def test_the_best_mean_of_each_strategy_goes_on(story: Story) -> None:
    runs = records(story.home, Role.SELECTION)
    for strategy, chosen in story.selection["chosen"].items():
        means = {
            one["candidate"]: fmean(
                runs[f"{strategy}/{one['candidate']:03d}/{i:03d}"][1].value or 0 for i in range(2)
            )
            for one in story.selection["runs"][strategy]
        }
        assert chosen["mean"] == max(means.values())
        assert means[chosen["candidate"]] == chosen["mean"]
        assert len(chosen["values"]) == 2


def test_every_arm_is_tested_once_on_the_same_seeds_by_the_protocol(story: Story) -> None:
    runs = records(story.home, Role.CONFIRMATION)
    arms = [arm["name"] for arm in story.selection["arms"]]
    assert sorted(runs) == sorted(f"{arm}/{i:03d}" for arm in arms for i in range(7))
    sha256 = record.sha256_of(record.protocol_path(story.directory))
    for spec, result in runs.values():
        assert str(spec.seed) == story.protocol["seeds"][spec.number]
        assert spec.group == spec.strategy in arms
        assert spec.protocol == sha256
        assert spec.study_seed == 1
        assert result.state is State.COMPLETE
        assert 0 <= result.test["test/accuracy"] <= 1
    predictions = list(story.directory.glob("confirmation/*/*/artifacts/predictions.parquet"))
    assert len(predictions) == len(runs)


def test_of_each_arm_the_model_of_the_first_seed_is_kept_and_of_a_candidate_none(
    story: Story,
) -> None:
    kept = {path.parent.relative_to(story.directory) for path in _weights(story.directory)}
    arms = [arm["name"] for arm in story.selection["arms"]]
    assert {path for path in kept if path.parts[0] != "trials"} == {
        Path("confirmation", arm, "000") for arm in arms
    }


def _weights(directory: Path) -> list[Path]:
    return list(directory.glob("**/best.safetensors"))


def test_an_offer_says_what_will_be_tested_and_how_far_the_seeds_reach(story: Story) -> None:
    first, second = story.no.offers[0], story.yes.offers[0]
    assert first == second
    assert [arm.name for arm in first.arms] == [arm["name"] for arm in story.selection["arms"]]
    count = len(first.arms)
    assert first.pairs == count * (count - 1) // 2
    assert (first.seeds, first.runs, first.test_samples) == (7, 7 * count, 40)
    assert first.floor == planning.seeds_floor(first.pairs)
    values = {arm.name: arm.values for arm in first.arms if arm.values}
    assert first.sd == spread(pd.DataFrame(values))
    assert first.seconds is not None and first.seconds > 0


def test_a_child_for_every_run_hangs_under_the_confirmation(story: Story) -> None:
    runs = runs_of(story.home, "tiny")
    parents = {r.info.run_name: r for r in runs if "mlflow.parentRunId" not in r.data.tags}
    parent = parents["tiny confirmation"]
    assert parent.info.status == "FINISHED"
    tags = parent.data.tags
    assert tags["workbench.protocol"] == record.sha256_of(record.protocol_path(story.directory))
    assert tags["workbench.contrast"] == "all"
    children = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == 8 + 7 * len(story.selection["arms"])
    assert {run.info.status for run in children} == {"FINISHED"}
    assert {run.data.tags["workbench.role"] for run in children} == {"selection", "confirmation"}
    assert parent.inputs is not None
    assert {use.dataset.name for use in parent.inputs.dataset_inputs} == {
        "wine training",
        "wine validation",
        "wine test",
    }
    uri = parent.info.artifact_uri
    assert uri is not None
    folder = Path(uri.removeprefix("file://")) / "study"
    for name in ("protocol.json", "selection.json"):
        assert (folder / name).read_bytes() == (story.directory / name).read_bytes()


def test_the_saved_model_of_each_arm_has_its_confusion_matrix_in_mlflow(story: Story) -> None:
    drawn = set()
    for run in runs_of(story.home, "tiny"):
        uri = (run.info.artifact_uri or "").removeprefix("file://")
        if run.data.tags.get("workbench.role") == "confirmation" and uri:
            drawn |= {run.info.run_name.split()[0] for _ in Path(uri).glob("confusion_matrix.png")}
    assert drawn == {f"confirmation/{arm['name']}/000" for arm in story.selection["arms"]}


def test_a_second_time_there_is_nothing_to_do(story: Story) -> None:
    never = Asked(False)
    again = confirmed("tiny", story.home, agree=never)
    assert (again.fresh, again.finished, again.exit_code) == (0, True, outcomes.DONE)
    assert never.offers == [], "what was agreed to is not asked again"


def test_a_protocol_is_logged_before_the_first_test_or_not_at_all(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(location.VARIABLE, empty_store(tmp_path / "other"))
    sha256 = record.sha256_of(record.protocol_path(story.directory))
    for name, expected in (("known", sha256), ("unknown", None)):
        home = copied(story.home, tmp_path / name)
        if expected is None:
            close(Tracker(home, at=f"sqlite:///{home}/mlruns/mlflow.db"))
            (home / "mlruns" / "mlflow.db").unlink()
            monkeypatch.setenv(location.VARIABLE, empty_store(tmp_path / "another"))
        again = confirmed("tiny", home, agree=Asked(False))
        assert (again.fresh, again.finished) == (0, True)
        assert Tracker(home, "tiny").read_study("tiny").protocol_logged == expected


def test_a_finished_confirmation_is_listed_and_shows_its_test_values(story: Story) -> None:
    (row,) = browse.studies(story.home)
    total = 7 * len(story.selection["arms"])
    assert row.confirmation == ConfirmationProgress(
        stage="complete", ended=total, planned=total, seeds_shown=7
    )
    shown = browse.trial(story.home, "tiny", "confirmation/adamw/003")
    assert set(shown.summary.test) >= {"test/accuracy", "test/loss"}
    assert shown.summary.seed == story.protocol["seeds"][3]


def test_no_test_value_is_shown_before_the_last_run_has_ended(story: Story, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(story.home / "mlruns" / "studies", home / "mlruns" / "studies")
    last = home / "mlruns" / "studies" / "tiny" / "confirmation" / "sgd" / "006" / "result.json"
    last.unlink()
    progress = browse.studies(home)[0].confirmation
    assert progress is not None and progress.stage == "confirmation"
    shown = browse.trial(home, "tiny", "confirmation/adamw/003")
    assert "test/" not in json.dumps(shown.as_json())


def test_a_confirmed_study_is_searched_no_further_and_may_be_tried(story: Story) -> None:
    with pytest.raises(StudyChangedError, match=r"4 more trials \(sgd: 2, adamw: 2\) would change"):
        run(story.file, story.home, "search.trials_per_strategy=4")
    assert run(story.file, story.home).fresh == 0
    assert len(records(story.home, Role.SEARCH)) == 4
    tried = try_trial(story.file, ["learning_rate=0.005"], story.home, InlineWorkers(), Unseen())
    assert tried.trial.summary.state == "complete"


@pytest.mark.parametrize(
    "override", ["confirm.seeds=8", "confirm.smallest_effect=0.1", "confirm.contrast=baseline"]
)
def test_a_confirmation_that_has_begun_takes_no_other_settings(story: Story, override: str) -> None:
    for command in (confirmed, run):
        with pytest.raises(StudyChangedError, match="has begun by another protocol"):
            command(story.file, story.home, override)


@dataclass(frozen=True, kw_only=True)
class LaterSchedule(Schedule):
    restarts: int = 0


@dataclass(frozen=True, kw_only=True)
class LaterPhase(Phase):
    sharpness: float = 0.0


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later version: an option of each optimizer, a schedule's field and a knob more."""
    for name, option, knob in (
        ("sgd", "dampening", Knob(float, 0.0, "Dampening of the momentum.")),
        ("adamw", "amsgrad", Knob(bool, False, "Whether to keep the largest second moment.")),
    ):
        entry = OPTIMIZERS[name]
        knobs = {**entry.knobs, option: knob}
        monkeypatch.setitem(OPTIMIZERS, name, replace(entry, knobs=knobs))
    monkeypatch.setattr(plans, "Schedule", LaterSchedule)
    monkeypatch.setattr(plans, "Phase", LaterPhase)
    first = fingerprint._FIRST_FIELDS
    monkeypatch.setitem(first, LaterSchedule, first[Schedule])


@pytest.mark.usefixtures("upgraded")
def test_a_later_version_continues_a_stored_search(file: Path, fresh: Path) -> None:
    assert run(file, fresh, "search.trials_per_strategy=3").fresh == 2


@pytest.mark.usefixtures("upgraded")
def test_a_later_version_continues_a_stored_confirmation(story: Story, tmp_path: Path) -> None:
    text = record.protocol_path(story.directory).read_bytes()
    selected = copied(story.untested, tmp_path / "selected")
    assert confirmed(story.file, selected).exit_code == 0
    assert record.protocol_path(record.study_directory(selected, "tiny")).read_bytes() == text
    done = copied(story.home, tmp_path / "done")
    before = measured(done)
    assert confirmed(story.file, done).exit_code == 0
    assert measured(done) == before


@pytest.mark.usefixtures("upgraded")
def test_an_option_of_a_later_version_makes_another_study_unless_it_is_at_its_default(
    file: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = create_model("Recipe", __base__=schema.Recipe, amsgrad=(bool | None, None))
    monkeypatch.setattr(schema, "Recipe", later)
    monkeypatch.setattr(recipes, "Recipe", later)
    with pytest.raises(StudyChangedError, match=r"recipe\.amsgrad: was not set, is true"):
        run(file, fresh, "search.trials_per_strategy=3", "recipe.amsgrad=true")


def test_a_study_file_that_says_something_else_than_its_search_is_refused(
    file: Path, fresh: Path
) -> None:
    with pytest.raises(StudyChangedError, match=r"recipe\.epochs: was 2, is 3"):
        confirmed(file, fresh, "recipe.epochs=3")
    assert not preregistration.begun(record.study_directory(fresh, "tiny"))


def test_a_confirmation_whose_files_are_gone_is_begun_by_no_other_protocol(
    story: Story, tmp_path: Path
) -> None:
    home = copied(story.home, tmp_path / "home")
    directory = record.study_directory(home, "tiny")
    for name in ("selection", "confirmation"):
        shutil.rmtree(directory / name)
    for name in ("protocol.json", "selection.json"):
        (directory / name).unlink()
    with pytest.raises(
        StudyChangedError, match="MLflow has a confirmation of tiny by another"
    ) as caught:
        confirmed(story.file, home, "confirm.smallest_effect=0.2")
    assert "new name gives a study new confirmation seeds" in str(caught.value)
    assert "another search.seed also gives it another test split" in str(caught.value)
    assert not record.protocol_path(directory).exists()


def test_a_protocol_that_was_edited_is_told_from_a_study_file_that_was(
    story: Story, tmp_path: Path
) -> None:
    home = copied(story.home, tmp_path / "home")
    path = record.protocol_path(record.study_directory(home, "tiny"))
    edited = json.loads(path.read_text())
    edited["smallest_effect"] = 0.2
    path.write_text(json.dumps(edited))
    with pytest.raises(StudyChangedError, match="was edited after the confirmation of tiny began"):
        confirmed(story.file, home)


def test_weights_that_a_killed_driver_left_are_dropped(story: Story, tmp_path: Path) -> None:
    home = copied(story.home, tmp_path / "home")
    left = record.study_directory(home, "tiny") / "confirmation" / "adamw" / "001"
    assert (left / "result.json").exists()
    (left / "best.safetensors").write_bytes(b"left behind")
    assert confirmed(story.file, home).fresh == 0
    assert not (left / "best.safetensors").exists()
    assert (left.with_name("000") / "best.safetensors").exists(), "the first seed's is kept"


def test_a_selection_that_was_edited_is_refused(story: Story, tmp_path: Path) -> None:
    home = copied(story.home, tmp_path / "home")
    path = record.study_directory(home, "tiny") / "selection.json"
    edited = json.loads(path.read_text())
    edited["chosen"]["sgd"]["mean"] = 1.0
    path.write_text(json.dumps(edited, indent=1) + "\n")
    with pytest.raises(StudyChangedError) as caught:
        confirmed(story.file, home)
    assert f"{path} differs from the records of the selection" in str(caught.value)
    assert "chosen.sgd.mean: was 1.0, is " in str(caught.value)
    path.write_bytes(b"\xff")
    with pytest.raises(StudyChangedError, match="the file is damaged"):
        confirmed(story.file, home)


def test_a_study_that_nobody_searched_is_refused_and_leaves_nothing(
    file: Path, home: Path, tmp_path: Path
) -> None:
    # A folder's name is no part of a study's, whatever is in it.
    folder = tmp_path / "me@lab"
    folder.mkdir()
    with pytest.raises(NotReadyError, match="4 of 4 trials are missing"):
        confirmed(shutil.copy(file, folder), home)
    assert not (home / "mlruns" / "studies" / "tiny").exists()


def test_a_study_is_known_by_its_name_with_the_overrides_of_its_search(
    write_study: Write, home: Path, file: Path
) -> None:
    study = write_study(TWO, SHORT, FEW, CONFIRMED, name="named")
    run(study, home, "recipe.epochs=1")
    done = confirmed("named", home, agree=Asked(False))
    assert done.offer is not None
    assert records(home, Role.SELECTION, "named")["sgd/000/000"][0].plan.epochs == 1
    again = run(Path("named"), home)
    assert (again.study, again.fresh) == ("named", 0), "with the overrides that it had"
    (checked,) = check_file(Path("named"), [], home)
    assert checked.study.epochs == 1 and not checked.refused
    study.rename(study.with_name("gone.yaml"))
    with pytest.raises(UnknownNameError, match=f"was run from {study}, which is not there"):
        confirmed("named", home)
    with pytest.raises(UnknownNameError, match=f"was run from {study}, which is not there"):
        run(Path("named"), home)


# -- the command ------------------------------------------------------------------------------


def test_without_a_terminal_the_command_stops_before_the_test_and_says_how_to_go_on(
    story: Story, tmp_path: Path
) -> None:
    home = copied(story.untested, tmp_path / "home")
    code, output, _ = call("confirm", story.file, "--home", home, "--inline")
    assert code == outcomes.RESUMABLE
    assert "tiny  selected; the test split is untouched" in output
    assert "Rerun with --yes." in output
    assert "tiny: not tested. The selection is kept" in output
    assert not (record.study_directory(home, "tiny") / "confirmation").exists()


def test_deleted_records_of_a_test_do_not_make_its_split_untouched(
    story: Story, tmp_path: Path
) -> None:
    home = copied(story.home, tmp_path / "home")
    shutil.rmtree(record.study_directory(home, "tiny") / "confirmation")
    _, output, _ = call("confirm", story.file, "--home", home, "--inline")
    assert "tiny  selected; the test split was read before" in output
    tested = 7 * len(story.selection["arms"])
    assert f"MLflow has {tested} confirmation runs whose records are missing" in output
    assert (
        "tiny: not tested. The selection is kept; rerun the same command to be asked again."
        in output
    )


def test_a_test_split_that_another_study_has_tested_is_not_called_untouched(
    story: Story, tmp_path: Path
) -> None:
    home = copied(story.untested, tmp_path / "home")
    directory = record.study_directory(home, "tiny")
    # As it was confirmed under another name, with the same search.seed.
    first = shutil.copytree(story.directory, record.study_directory(home, "first"))
    said = (
        "The study first (with 7 of the 7 seeds of this one) has tested the same test samples. What"
        " was chosen after its results were seen is not independent of this test."
    )
    code, output, _ = call("confirm", story.file, "--home", home, "--inline")
    assert code == outcomes.RESUMABLE
    assert "tiny  selected; the test split was read before" in output
    assert said in " ".join(output.split()) and "untouched" not in output
    material = report.material(Tracker(home, create=False), "tiny", directory)
    assert material.tested_by_others == (said,), "and the report says it"
    assert other_tests_of_same_samples(first) == (), "tiny has tested nothing"

    (first / "confirmation" / "sgd" / "000" / "spec.json").write_text("{")
    code, output, _ = call("confirm", story.file, "--home", home, "--inline")
    assert code == outcomes.RESUMABLE
    assert "It is not known whether the study first has tested the same test" in output


def test_a_run_that_never_came_to_its_test_has_not_read_the_test_split(
    story: Story, tmp_path: Path
) -> None:
    home = copied(story.home, tmp_path / "home")
    shutil.rmtree(record.study_directory(home, "tiny") / "confirmation")
    with closing(sqlite3.connect(home / "mlruns" / "mlflow.db")) as store, store:
        one = "(SELECT run_uuid FROM latest_metrics WHERE key LIKE 'test/%' LIMIT 1)"
        store.execute(f"CREATE TEMP TABLE failed AS SELECT * FROM {one}")
        for table in ("metrics", "latest_metrics"):
            store.execute(
                f"DELETE FROM {table} WHERE key LIKE 'test/%'"
                " AND run_uuid IN (SELECT run_uuid FROM failed)"
            )
    _, output, _ = call("confirm", story.file, "--home", home, "--inline")
    tested = 7 * len(story.selection["arms"]) - 1
    assert f"MLflow has {tested} confirmation runs whose records are missing" in output


@pytest.mark.parametrize("intact", [0, 4096])
@pytest.mark.parametrize("words", ["check", "confirm", "run"])
def test_a_damaged_storage_of_the_search_is_named_with_what_to_do(
    story: Story, tmp_path: Path, words: str, intact: int
) -> None:
    home = copied(story.untested, tmp_path / "home")
    damaged = record.study_directory(home, "tiny") / "optuna.db"
    for beside in damaged.parent.glob("optuna.db-*"):
        beside.unlink()
    content = damaged.read_bytes()
    damaged.write_bytes(content[:intact] + b"x" * (len(content) - intact))
    code, _, errors = call(words, story.file, "--home", home)
    assert code == outcomes.ENVIRONMENT
    assert f"{damaged}, Optuna's storage of the search of tiny, cannot be used" in errors
    assert "move the file away: the next `workbench run` rebuilds it" in errors
    assert "Traceback" not in errors


def test_on_a_terminal_the_command_asks_until_it_understands_and_no_is_the_answer_to_silence(
    story: Story, tmp_path: Path
) -> None:
    home = copied(story.untested, tmp_path / "home")
    terminal, end = os.openpty()
    os.set_blocking(terminal, False)
    words = ("confirm", story.file, "--home", home, "--inline")
    process = Forked(processes.command_at, os.ttyname(end), *words)
    shown = b""

    def said(text: bytes) -> bool:
        nonlocal shown
        with suppress(BlockingIOError):
            shown += os.read(terminal, 4096)
        return text in shown

    wait_for(lambda: said(b"on the test split now? [y/N]"), process)
    os.write(terminal, b"maybe\n")
    wait_for(lambda: said(b"Error: invalid input"), process)
    os.write(terminal, b"\n")
    assert process.wait() == outcomes.RESUMABLE
    os.close(terminal)
    os.close(end)
    assert not (record.study_directory(home, "tiny") / "confirmation").exists()


def test_a_command_that_cannot_begin_says_why_and_ends_as_a_bad_study(
    story: Story, file: Path, home: Path
) -> None:
    code, _, errors = call("confirm", file, "--home", home, "--inline")
    assert code == outcomes.BAD_STUDY
    assert "4 of 4 trials are missing" in errors
    words = ("--set", "confirm.seeds=9")
    code, _, errors = call("confirm", file, "--home", story.home, "--inline", *words)
    assert code == outcomes.BAD_STUDY
    assert "seeds: was 7 seeds, is 9" in errors


def test_a_tiny_copy_goes_through_a_confirmation_too(write_study: Write, home: Path) -> None:
    told = Told()
    outcome = smoke_study(write_study(TWO, SHORT, FEW, CONFIRMED), [], home, InlineWorkers(), told)
    assert outcome.exit_code == outcomes.DONE
    assert "tiny selection" in told.notes
    assert not any(told.notes.values()), "they would be on the tiny copy"
    assert {spec.strategy for spec, _ in records(home, Role.SELECTION).values()} == {"sgd", "adamw"}
    # The best of the two and the default, or nothing where the best is the default.
    assert {spec.number for spec, _ in records(home, Role.CONFIRMATION).values()} <= {0, 1}


# -- kills ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_driver_killed_in_the_selection_and_in_the_test_loses_nothing(
    file: Path, fresh: Path, story: Story
) -> None:
    directory = record.study_directory(fresh, "tiny")
    words = ("confirm", file, "--home", fresh, "--inline", "--yes")
    for pattern, count in (("selection/*/*/*", 3), ("confirmation/*/*", 5)):

        def reached(pattern: str = pattern, count: int = count) -> bool:
            return len(list(directory.glob(f"{pattern}/result.json"))) >= count

        driver = Forked(processes.command, *words)
        wait_for(reached, driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert len(records(fresh, Role.CONFIRMATION)) < 7 * len(story.selection["arms"])
    assert confirmed(file, fresh).finished
    assert measured(fresh) == measured(story.home)
    runs = runs_of(fresh, "tiny")
    keys = [run.data.tags["workbench.key"] for run in runs]
    assert len(set(keys)) == len(keys)
    assert "RUNNING" not in {run.info.status for run in runs}


# -- strategies that are the default, never complete, or are joint --------------------------------


def test_a_strategy_whose_chosen_configuration_is_the_default_is_the_baseline_itself(
    write_study: Write, home: Path
) -> None:
    one = ("trials_per_strategy: 5", "trials_per_strategy: 1")
    study = write_study(TWO, SHORT, one, CONFIRMED)
    run(study, home)
    asked = Asked(False)
    confirmed(study, home, agree=asked)
    directory = record.study_directory(home, "tiny")
    selection = json.loads((directory / "selection.json").read_text())
    assert selection["default_is"] == "sgd"
    assert [(arm["name"], arm["baseline"]) for arm in selection["arms"]] == [
        ("sgd", True),
        ("adamw", False),
    ]
    (offer,) = asked.offers
    assert (offer.pairs, offer.runs) == (1, 14)


def test_a_strategy_that_never_completes_is_named_before_anything_runs(
    write_study: Write, home: Path
) -> None:
    levels = "rate:\n    wild: {learning_rate: 1e30}\n    tame: {learning_rate: 1e-2}"
    ranges = (
        "  learning_rate: {low: 1e-4, high: 1e-1, log: true, default: 1e-2}\n"
        "  momentum: {when: {optimizer: sgd}, low: 0.5, high: 0.99, default: 0.9}\n",
        "  weight_decay: {low: 1e-5, high: 1e-3, log: true, default: 1e-4}\n",
    )
    study = write_study((TWO[0], levels), ranges, SHORT, FEW, CONFIRMED)
    run(study, home)
    told = Told()
    done = confirmed(study, home, agree=Asked(False), watcher=told)
    left_out, unfit = told.notes["tiny selection"]
    assert left_out == "wild is NOT COMPARABLE and left out: none of its 2 trials completed"
    assert "the default configuration of wild failed in the search (diverged" in unfit
    assert [group.name for group in done.selection] == ["tame"]


def test_nothing_is_tested_where_the_one_configuration_is_the_default(
    write_study: Write, home: Path
) -> None:
    alone = ("optimizer: [sgd, adamw]\n  freeze_depth: [0, all]", "optimizer: [sgd]")
    one = ("trials_per_strategy: 5", "trials_per_strategy: 1")
    study = write_study(alone, SHORT, one, CONFIRMED)
    run(study, home)
    with pytest.raises(NotReadyError) as caught:
        confirmed(study, home)
    assert str(caught.value) == (
        "The chosen configuration of sgd is the default one, and there is no other to compare it "
        "with. Search longer, or with other ranges, under a new study name."
    )
    assert records(home, Role.CONFIRMATION) == {}


def test_a_joint_study_tests_its_finalists_against_the_default(
    write_study: Write, home: Path
) -> None:
    study = write_study(*JOINT, SHORT, CONFIRMED)
    few = ("confirm.select={configs: 1, seeds: 1}", "confirm.seeds=2", "confirm.finalists=2")
    run(study, home)
    asked = Asked()
    done = confirmed(study, home, *few, agree=asked)
    assert done.finished
    (offer,) = asked.offers
    assert offer.contrast == "baseline"
    names = [arm.name for arm in offer.arms]
    assert offer.pairs == len(names) - 1
    assert set(records(home, Role.CONFIRMATION)) == {
        f"{n}/{i:03d}" for n in names for i in range(2)
    }


# -- choosing, from records made by hand ----------------------------------------------------------


class Candidates:
    """A searched study of two optimizers, whose selection's results are written by hand."""

    def __init__(self, file: Path, home: Path, *overrides: str) -> None:
        self.searched = SearchResults(file, home, *overrides)
        self.directory = self.searched.directory
        for strategy in ("sgd", "adamw"):
            for number in range(2):
                self.searched.trial(strategy, number, 0.5)
        self.plan: Protocol = self.searched.plan()

    def reached(
        self, strategy: str, number: int, *values: float | None, trainable: int = 10
    ) -> None:
        for spec in replicates.selection_specs(self.plan):
            if spec.group == f"{strategy}/{number:03d}":
                value = values[spec.number]
                at = record.directory_of(self.directory, spec)
                at.write_spec(spec)
                at.write_result(
                    Result(
                        state=State.FAILED if value is None else State.COMPLETE,
                        attempt=1,
                        value=value,
                        parameters={"trainable": trainable},
                        seconds=1.0,
                        started=0,
                        ended=3000,
                    )
                )

    def chosen(self) -> SelectionOutcome:
        searched = self.searched
        return choose(searched.study, self.plan)


@pytest.fixture
def candidates(write_study: Write, home: Path) -> Callable[..., Candidates]:
    def make(*overrides: str) -> Candidates:
        return Candidates(write_study(TWO, SHORT, FEW, CONFIRMED), home, *overrides)

    return make


Make = Callable[..., Candidates]


def test_a_failed_run_counts_with_the_worst_value_that_the_metric_can_have(
    candidates: Make,
) -> None:
    found = candidates()
    found.reached("sgd", 0, 0.9, None)
    found.reached("sgd", 1, 0.5, 0.5)
    found.reached("adamw", 0, 0.9, 0.3)
    found.reached("adamw", 1, None, None)
    selected = found.chosen()
    assert {name: one.spec.number for name, one in selected.chosen.items()} == {
        "sgd": 1,
        "adamw": 0,
    }
    runs = selected.content["runs"]
    assert runs["sgd"][0] == {"candidate": 0, "values": [0.9, None], "mean": 0.45}
    assert runs["adamw"][1] == {"candidate": 1, "values": [None, None], "mean": 0.0}


def test_without_a_bound_a_failed_run_counts_with_the_worst_value_seen(candidates: Make) -> None:
    found = candidates("objective.metric=validation/loss")
    found.reached("sgd", 0, 0.1, None)
    found.reached("sgd", 1, 0.6, 0.7)
    found.reached("adamw", 0, 2.0, 0.5)
    found.reached("adamw", 1, 0.5, 0.5)
    selected = found.chosen()
    assert selected.content["runs"]["sgd"][0]["mean"] == fmean([0.1, 2.0])
    assert {name: one.spec.number for name, one in selected.chosen.items()} == {
        "sgd": 1,
        "adamw": 1,
    }


def test_of_equal_means_the_cheaper_one_goes_on_and_then_the_earlier(candidates: Make) -> None:
    found = candidates()
    found.reached("sgd", 0, 0.5, 0.7, trainable=20)
    found.reached("sgd", 1, 0.7, 0.5, trainable=10)
    found.reached("adamw", 0, 0.5, 0.7)
    found.reached("adamw", 1, 0.7, 0.5)
    assert [one.spec.number for one in found.chosen().chosen.values()] == [1, 0]


def test_finalists_are_the_strategies_with_the_best_means(candidates: Make) -> None:
    found = candidates("confirm.finalists=1")
    for strategy, value in (("sgd", 0.5), ("adamw", 0.6)):
        for number in range(2):
            found.reached(strategy, number, value, value)
    selected = found.chosen()
    assert selected.finalists == ("adamw",)
    assert [(arm.name, arm.baseline) for arm in selected.arms] == [
        ("adamw", False),
        ("default", True),
    ]
    assert set(selected.chosen) == {"sgd", "adamw"}
    default = selected.arms[1].spec
    assert default.strategy == "sgd"
    assert default.hyperparameters == {"learning_rate": 0.01, "momentum": 0.9}
    assert default.plan.phases[0].learning_rate == 0.01


def test_a_selection_in_which_nothing_completes_ends_before_the_test(candidates: Make) -> None:
    found = candidates("objective.metric=validation/loss")
    for strategy in ("sgd", "adamw"):
        for number in range(2):
            found.reached(strategy, number, None, None)
    assert not found.chosen().usable


def test_the_spread_is_pooled_over_pairs_that_share_two_seeds() -> None:
    sides = pd.DataFrame({"a": [0.5, 0.7, None], "b": [0.4, 0.4, 0.4], "c": [None, 0.1, 0.2]})
    # a - b: 0.1 and 0.3; b - c: 0.3 and 0.2; a and c share a single seed.
    assert spread(sides) == pytest.approx(((0.02 + 0.005) / 2) ** 0.5)
    assert spread(pd.DataFrame({"a": [0.5], "b": [0.4]})) is None
    assert spread(pd.DataFrame({"a": [0.5, 0.6]})) is None


# -- the list of runs as a source -----------------------------------------------------------------


@pytest.fixture
def planned(candidates: Make) -> tuple[list[TrialSpec], Path]:
    found = candidates()
    return replicates.selection_specs(found.plan), found.directory


def at(planned: tuple[list[TrialSpec], Path], index: int) -> TrialDirectory:
    specs, directory = planned
    return record.directory_of(directory, specs[index])


def test_runs_go_seed_by_seed_over_all_that_are_compared(
    planned: tuple[list[TrialSpec], Path],
) -> None:
    source = Replicates(*planned)
    order = []
    while (spec := source.next()) is not None:
        order.append((spec.number, spec.group))
    groups = ["sgd/000", "sgd/001", "adamw/000", "adamw/001"]
    assert order == [(seed, group) for seed in (0, 1) for group in groups]


def test_nothing_is_pruned(planned: tuple[list[TrialSpec], Path]) -> None:
    epoch = EpochResult(epoch=1, phase="main", metrics={"validation/accuracy": 0.0}, timestamp=1)
    assert Replicates(*planned).report(planned[0][0], epoch) is record.Decision.CONTINUE


def test_what_an_earlier_driver_left_is_taken_up_and_what_had_ended_is_not_run_again(
    planned: tuple[list[TrialSpec], Path],
) -> None:
    specs, directory = planned
    for index in range(4):
        at(planned, index).write_spec(specs[index])
    ended = Result(state=State.COMPLETE, attempt=1, value=0.5)
    at(planned, 0).write_result(ended)
    at(planned, 1).write_result(Result(state=State.PARKED, attempt=1))
    at(planned, 3).write_spec(replace(specs[3], attempt=9, failures=2))
    source = Replicates(specs, directory)
    assert source.adopt() == [
        replace(specs[1], attempt=2),
        replace(specs[2], attempt=2),
        replace(specs[3], attempt=10, failures=2),
    ]
    assert source.next() == specs[4]
    assert source.missing == 7
    sgd, adamw = source.progress()
    assert (sgd.target, sgd.complete, sgd.running) == (4, 1, 2)
    assert (adamw.target, adamw.running, adamw.best) == (4, 2, None)


def test_a_record_made_with_other_settings_is_refused(
    planned: tuple[list[TrialSpec], Path],
) -> None:
    specs, directory = planned
    at(planned, 0).write_spec(replace(specs[0], seed=1))
    with pytest.raises(StudyChangedError) as caught:
        Replicates(specs, directory)
    assert str(caught.value) == (
        f"{at(planned, 0).path}: this run was made with other settings:\n"
        f"  seed: was 1, is {specs[0].seed}\n"
        "Restore these settings, or give the study a new name."
    )


def test_runs_that_all_fail_in_the_same_way_stop_the_confirmation(
    file: Path, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.trial import trainers

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the data went away")

    monkeypatch.setattr(trainers, "Engine", broken)
    with pytest.raises(RepeatedFailureError, match="the data went away"):
        confirmed(file, fresh)
    assert len(records(fresh, Role.SELECTION)) == 3
    assert records(fresh, Role.CONFIRMATION) == {}
