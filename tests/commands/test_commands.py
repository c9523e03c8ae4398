"""A command from beginning to end, in this process, with real stores."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support.commands import call
from tests.support.mlflow_home import STUDY, close, everything, result, runs_of, write
from tests.support.studies import Studies, ended
from tests.support.tiny import Unseen
from workbench import downloads, record, report
from workbench.commands import browse, outcomes
from workbench.commands import report as publish
from workbench.commands.check import check_file
from workbench.commands.confirm import confirm_study
from workbench.commands.outcomes import Outcome
from workbench.commands.run import run_study
from workbench.driver import RepeatedFailureError
from workbench.driver.progress import GroupProgress, StudyProgress
from workbench.driver.workers import InlineWorkers
from workbench.record import State, file_cache
from workbench.study.config import StudyChangedError, load
from workbench.study.config.document import StudyFileError
from workbench.study.study import Study
from workbench.tracker import Tracker

Write = Callable[..., Path]

SMALL = (
    ("optimizer: [sgd, adamw]\n  freeze_depth: [0, all]", "optimizer: [sgd, adamw]"),
    ("trials_per_strategy: 5", "trials_per_strategy: 2"),
)
CONFIRMED = (
    "objective: {metric: validation/accuracy}",
    "objective: {metric: validation/accuracy}\n"
    "confirm: {smallest_effect: 0.02, seeds: 7, select: {configs: 1, seeds: 2}}",
)


def outcome_of(*groups: GroupProgress, signal: int | None = None) -> Outcome:
    return Outcome(study="s", groups=groups, fresh=0, signal=signal, seconds=0.0)


def test_damaged_checkpoints_of_an_earlier_command_are_not_told_again(
    write_study: Write, home: Path
) -> None:
    studies, study = Studies(home, write_study), Study(load(write_study()), home)
    studies.study("tiny")
    one = studies.trial("tiny", 0, 0, ended(State.PARKED))
    two = studies.trial("tiny", 1, 0, replace(ended(State.PARKED), restarted=True))
    (one.path / "checkpoint.pt.corrupt").write_bytes(b"of an earlier command")
    before = outcomes.damaged_checkpoints(study.directory)
    for directory in (one, two):
        (directory.path / "checkpoint.pt").write_bytes(b"half")
        directory.find_checkpoint()
    found = outcomes.outcome_of(study, damaged=before)
    assert (found.damaged, found.resumed, found.restarted) == (2, 1, 1)
    later = outcomes.damaged_checkpoints(study.directory)
    assert outcomes.outcome_of(study, damaged=later).damaged == 0


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (outcome_of(GroupProgress(name="a", target=2, complete=1, failed=1)), outcomes.DONE),
        (outcome_of(GroupProgress(name="a", target=2, failed=2)), outcomes.UNUSABLE),
        (outcome_of(GroupProgress(name="a", target=2, complete=1), signal=2), outcomes.RESUMABLE),
    ],
)
def test_the_exit_code_says_how_it_ended(outcome: Outcome, code: int) -> None:
    assert outcome.exit_code == code


def test_a_report_is_up_to_date_when_it_was_written_after_the_last_run_had_ended(
    home: Path,
) -> None:
    page = home / "reports" / STUDY / "index.html"

    def known() -> Path | None:
        return outcomes.report_of(home, STUDY, record.scan(record.study_directory(home, STUDY)))

    assert known() is None
    page.parent.mkdir(parents=True)
    page.touch()
    directory = write(home, ended=replace(result(record.State.COMPLETE), ended=record.now()))
    os.utime(page, (0, 0))
    assert known() is None
    page.touch()
    assert known() == page
    directory.write_result(replace(result(record.State.COMPLETE), ended=record.now() + 60_000))
    assert known() is None


def test_a_study_is_finished_when_every_group_has_its_trials() -> None:
    done, open_ = GroupProgress(name="a", target=1, pruned=1), GroupProgress(name="b", target=1)
    assert outcome_of(done).finished
    assert not outcome_of(done, open_).finished


def test_looking_ahead_says_what_a_run_will_do_and_writes_nothing(tiny: Path, home: Path) -> None:
    plan = check_file(tiny, [], home)[0].as_json()
    assert plan["budget"]["total"] == 20
    assert set(plan["budget"]["targets"].values()) == {5}
    assert plan["data"]["test"] == 40
    assert [stage["name"] for stage in plan["backbone"]["stages"]] == ["hidden1", "hidden2"]
    assert plan["backbone"]["head"] == 8 * 3 + 3
    assert not list(home.iterdir())


def test_a_study_that_needs_itself_is_refused(write_study: Write, home: Path) -> None:
    hidden = "hidden: [8, 8]}"
    write_study((hidden, "hidden: [8, 8], weights: second.yaml}"), name="first")
    second = write_study((hidden, "hidden: [8, 8], weights: first.yaml}"), name="second")
    with pytest.raises(StudyFileError, match="second needs first needs second"):
        run_study(second, [], home, InlineWorkers(), Unseen())


def test_a_signal_before_the_first_trial_ends_the_command_with_a_line(
    tiny: Path, home: Path
) -> None:
    class Signalled(Unseen):
        def prepare(self, title: str) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(
        outcomes.Stopped, match="Stopped by SIGTERM while no trial was running"
    ) as e:
        run_study(tiny, [], home, InlineWorkers(), Signalled())
    assert outcomes.exit_code(e.value) == outcomes.RESUMABLE
    assert signal.getsignal(signal.SIGTERM) is before


def test_pictures_are_drawn_at_the_end_of_a_search_and_not_where_it_is_stopped(
    write_study: Write, stored: Path
) -> None:
    class Stopping(Unseen):
        def update(self, progress: StudyProgress) -> None:
            if progress.ended == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    file, pictures = write_study(*SMALL), "trials/*/*/artifacts/confusion_matrix.png"
    directory = record.study_directory(stored, "tiny")
    outcome = run_study(file, [], stored, InlineWorkers(), Stopping())
    assert outcome.signal == signal.SIGTERM
    assert not list(directory.glob(pictures))
    assert run_study(file, [], stored, InlineWorkers(), Unseen()).signal is None
    assert {path.parts[-4] for path in directory.glob(pictures)} == {"sgd", "adamw"}


def test_a_search_in_which_every_trial_diverges_ends_unusable_with_a_report(
    write_study: Write, stored: Path
) -> None:
    file = write_study(
        *SMALL,
        (
            "low: 1e-4, high: 1e-1, log: true, default: 1e-2",
            "low: 1e25, high: 1e30, log: true, default: 1e28",
        ),
    )
    outcome = run_study(file, [], stored, InlineWorkers(), Unseen())
    assert outcome.exit_code == outcomes.UNUSABLE
    assert {run.info.status for run in runs_of(stored, "tiny")} == {"FAILED", "FINISHED"}
    written = publish.write("tiny", stored, None)
    assert not written.usable
    report = json.loads((written.page.parent / "report.json").read_text())
    assert len(report["failures"]) == 4
    assert all("diverged at epoch" in failure["reason"] for failure in report["failures"])


def test_a_study_that_cannot_begin_stops_after_three_trials_and_says_why(
    write_study: Write, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.trial import trainers

    def broken(*_: object, **__: object) -> Iterator[None]:
        raise RuntimeError("the data went away")

    monkeypatch.setattr(trainers, "Engine", broken)
    with pytest.raises(RepeatedFailureError, match="the data went away"):
        run_study(write_study(), [], stored, InlineWorkers(), Unseen())
    runs = runs_of(stored, "tiny")
    assert [run.info.status for run in runs] == ["FAILED"] * 4
    assert len(record.scan(record.study_directory(stored, "tiny"))) == 3


def git(folder: Path, *words: str) -> str:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", str(folder), *author, *words], capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


class Prepared(Unseen):
    """Remembers what is said to be looked at."""

    def __init__(self) -> None:
        self.titles: list[str] = []

    def prepare(self, title: str) -> None:
        self.titles.append(title)


def stored_files(home: Path) -> dict[str, bytes]:
    """Every file of a home but the databases, whose pages move when they are only opened."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and ".db" not in path.name and path.name not in ("lock", ".store.lock")
    }


def test_commands_with_nothing_to_do_change_nothing_and_the_commit_stays_that_of_the_trials(
    write_study: Write, stored: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    file = Path(shutil.copy(write_study(*SMALL, CONFIRMED), folder))
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    commit = git(folder, "rev-parse", "HEAD")

    watcher = Prepared()

    def search() -> Outcome:
        return run_study(file, [], stored, InlineWorkers(), watcher)

    def confirm() -> Outcome:
        return confirm_study(file, [], stored, InlineWorkers(), watcher, agree=lambda _: True)

    assert search().fresh == 4
    assert watcher.titles == ["tiny"], "said once"
    assert confirm().fresh == 2 * 2 + 2 * 7
    (kept,) = browse.studies(stored)
    material = publish.material(Tracker(stored), "tiny", record.study_directory(stored, "tiny"))
    found = report.compose(material).summary.content["verdict"]
    assert kept.verdict is not None and found["leader"]
    assert (kept.verdict.word, kept.verdict.leader) == (found["word"], found["leader"])
    _, told, _ = call("list", "--home", stored)
    assert f"{found['heading']} ({found['leader']})" in told
    rows, files = everything(stored), stored_files(stored)
    git(folder, "commit", "-q", "--allow-empty", "-m", "second")

    again = search()
    assert (again.fresh, confirm().fresh) == (0, 0)
    assert again.confirmed
    assert everything(stored) == rows
    assert stored_files(stored) == files
    for run in runs_of(stored, "tiny"):
        if "mlflow.parentRunId" in run.data.tags:
            assert run.data.tags["workbench.commit"] == commit[:12]
        else:
            assert run.data.tags["mlflow.source.git.commit"] == commit


def delete_a_run(home: Path) -> None:
    client = MlflowClient(f"sqlite:///{home / 'mlruns' / 'mlflow.db'}")
    client.delete_run(runs_of(home, "tiny")[0].info.run_id)


def delete_an_artifact(home: Path) -> None:
    next((home / "mlruns" / "artifacts").rglob("per_class.csv")).unlink()


def delete_a_tag(home: Path) -> None:
    client = MlflowClient(f"sqlite:///{home / 'mlruns' / 'mlflow.db'}")
    client.delete_tag(runs_of(home, "tiny")[0].info.run_id, "workbench.state")


def delete_the_store(home: Path) -> None:
    for path in (home / "mlruns").glob("mlflow.db*"):
        path.unlink()


def test_mlflow_is_asked_once_about_a_finished_search_and_again_after_any_change(
    write_study: Write, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The empty store, which MLflow takes seconds to make, is there already.
    shutil.copytree(downloads.folder() / "mlflow", tmp_path / "cache" / "mlflow")
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(file_cache, "_TICK_NS", 0)  # as if some seconds had passed
    asked: list[str] = []
    finished = Tracker.is_finished

    def noted(tracker: Tracker, study: str, role: str, **files: Any) -> bool:
        asked.append(study)
        return finished(tracker, study, role, **files)

    monkeypatch.setattr(Tracker, "is_finished", noted)

    def run() -> int:
        # As in another process, which leaves no log of sqlite's.
        file_cache._FIRST.clear()
        close(Tracker(stored))
        return run_study(file, [], stored, InlineWorkers(), Unseen()).fresh

    file = write_study(*SMALL)
    assert (run(), asked) == (4, [])
    rows, files = everything(stored), stored_files(stored)
    assert (run(), run(), asked) == (0, 0, ["tiny"])
    for change in (delete_a_run, delete_an_artifact, delete_a_tag):
        asked.clear()
        change(stored)
        assert (run(), asked) == (0, ["tiny"])
        assert (everything(stored), stored_files(stored)) == (rows, files)
        assert (run(), run(), asked) == (0, 0, ["tiny", "tiny"])
    delete_the_store(stored)
    assert run() == 0
    runs = runs_of(stored, "tiny")
    assert len(runs) == 5 and {run.info.status for run in runs} == {"FINISHED"}


def test_a_study_takes_the_weights_of_another_that_runs_first_and_may_not_change(
    write_study: Write, stored: Path
) -> None:
    single = (*SMALL, ("trials_per_strategy: 2", "trials_per_strategy: 1"))
    write_study(*single, name="first")
    weights = ("hidden: [8, 8]}", "hidden: [8, 8], weights: first.yaml}")
    second = write_study(*single, weights, name="second")
    assert run_study(second, [], stored, InlineWorkers(), Unseen()).fresh == 2
    trials = record.scan(record.study_directory(stored, "second"))
    (used,) = {spec.plan.weights for _, spec in trials}
    assert used is not None
    assert Path(used.source).is_relative_to(record.study_directory(stored, "first"))
    assert used.sha256 == record.sha256_of(Path(used.source))
    write_study(*single, ("epochs: 3", "epochs: 2"), name="first")
    with pytest.raises(StudyChangedError, match=r"recipe\.epochs: was 3, is 2"):
        run_study(second, [], stored, InlineWorkers(), Unseen())
