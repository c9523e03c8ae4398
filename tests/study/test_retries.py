"""Failed trials that are run again after a correction: nothing mixed, nothing counted twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import call
from tests.support.mlflow_home import runs_of
from workbench import record
from workbench.commands import browse
from workbench.driver import Driver, Workers
from workbench.driver.resources import Resources
from workbench.record import Result, State, TrialDirectory
from workbench.study.config import StudyChangedError, load
from workbench.study.confirm import candidates, preregistration
from workbench.study.search import Search
from workbench.study.study import Study

Write = Callable[..., Path]

SMALL = (
    ("optimizer: [sgd, adamw]\n  freeze_depth: [0, all]", "optimizer: [sgd]"),
    ("trials_per_strategy: 5", "trials_per_strategy: 4"),
    ("pruner: median", "pruner: none"),
)


class Silent:
    def changed(self, directory: TrialDirectory) -> None:
        return None


class Scripted(Workers):
    """Ends trials at once, the way that their numbers say."""

    local = True

    def __init__(self, reasons: dict[int, str]) -> None:
        self.reasons = reasons
        self.begun: list[int] = []

    def count(self, resources: Resources) -> int:
        return 1

    def prepare(self, trials: int, resources: Resources) -> None:
        return None

    def run(self, driver: Driver) -> None:
        while (directory := driver.next()) is not None:
            spec = directory.spec()
            assert spec is not None
            self.begun.append(spec.number)
            reason = self.reasons.get(spec.number)
            result = Result(
                state=State.FAILED if reason else State.COMPLETE,
                attempt=spec.attempt,
                reason=reason,
                value=None if reason else 0.5,
                epoch=None if reason else 1,
            )
            directory.write_result(result)
            driver.finish(directory, result)

    def kill(self) -> None:
        return None

    def close(self) -> None:
        return None


def drive(file: Path, home: Path, reasons: dict[int, str], *, retry: bool = False) -> list[int]:
    """Run a search; the numbers of the trials that were begun."""
    config = load(file)
    directory = record.study_directory(home, config.name)
    workers = Scripted(reasons)
    Driver(
        study_directory=directory,
        source=Search(Study(config, home), retry_failed=retry),
        workers=workers,
        mirror=Silent(),
        progress=lambda driver: None,
    ).run()
    return workers.begun


def settings(home: Path) -> dict[int, dict[str, object]]:
    found = record.scan(record.study_directory(home, "tiny"))
    return {spec.number: dict(spec.hyperparameters) for _, spec in found}


def test_failed_trials_are_run_again_with_their_settings_and_count_once(
    write_study: Write, home: Path
) -> None:
    file = write_study(*SMALL)
    failed = {1: "KeyError: 'x'", 2: "diverged at epoch 1: the loss is nan", 3: "KeyError: 'x'"}
    assert drive(file, home, failed) == [0, 1, 2, 3]
    assert drive(file, home, {}) == []
    # The fault is not gone at first.
    assert drive(file, home, {5: "KeyError: 'x'"}, retry=True) == [4, 5]
    assert drive(file, home, {}, retry=True) == [6]
    assert drive(file, home, {}, retry=True) == []
    held = settings(home)
    assert [held[n] for n in (4, 5, 6)] == [held[1], held[3], held[3]]
    directory = record.study_directory(home, "tiny")
    replaced = {
        spec.number: result.retried
        for at, spec in record.scan(directory)
        if (result := at.result()) is not None and result.state is State.FAILED
    }
    assert replaced == {1: 4, 2: None, 3: 5, 5: 6}
    config = load(file)
    (group,) = Search(Study(config, home)).progress()
    assert (group.ended, group.complete, group.failed) == (4, 3, 1)
    assert candidates.look(Study(config, home)).ended == {"sgd": 4}


def test_a_retry_that_was_killed_half_way_is_neither_lost_nor_made_twice(
    write_study: Write, home: Path
) -> None:
    file = write_study(*SMALL)
    drive(file, home, {0: "KeyError: 'x'"})
    config, directory = load(file), record.study_directory(home, "tiny")
    for _ in range(2):
        Search(Study(config, home), retry_failed=True)
    at = TrialDirectory(directory / "trials/sgd/000")
    result = at.result()
    assert result is not None and result.retried == 4
    at.write_result(Result(state=State.FAILED, attempt=1, reason="KeyError: 'x'"))
    assert drive(file, home, {}) == [4]
    result = at.result()
    assert result is not None and result.retried == 4
    assert settings(home)[4] == settings(home)[0]


@pytest.mark.parametrize("older", [True, False])
def test_a_retry_outlives_the_loss_of_optunas_storage(
    write_study: Write, home: Path, older: bool
) -> None:
    file = write_study(*SMALL)
    drive(file, home, {1: "KeyError: 'x'", 2: "KeyError: 'x'"})
    config, directory = load(file), record.study_directory(home, "tiny")
    copies = {path: path.read_bytes() for path in directory.glob("optuna.db*")}
    Search(Study(config, home), retry_failed=True)
    for path in directory.glob("optuna.db*"):
        path.unlink()
    for path, content in copies.items() if older else ():
        path.write_bytes(content)
    assert drive(file, home, {}) == [4, 5]
    held = settings(home)
    assert [held[4], held[5]] == [held[1], held[2]]
    assert candidates.look(Study(config, home)).missing == {}
    assert drive(file, home, {}) == []


def test_trials_that_a_confirmation_rests_on_are_not_run_again(
    write_study: Write, home: Path
) -> None:
    file = write_study(*SMALL)
    drive(file, home, {1: "KeyError: 'x'"})
    directory = record.study_directory(home, "tiny")
    preregistration.refuse_retries(Study(load(file), home))
    record.protocol_path(directory).write_text("{}")
    with pytest.raises(StudyChangedError, match="would change the search that it rests on"):
        preregistration.refuse_retries(Study(load(file), home))


NET = """\
from torch import nn

def net(input_shape, outputs):
    (features,) = input_shape
    {line}
    return nn.Sequential(nn.Linear(features, 8), nn.Linear(8, outputs))
"""


@pytest.fixture
def own(write_study: Write) -> Callable[[str], Path]:
    """The study with a network of the user's own, of which a line can be changed."""
    file = write_study(*SMALL, ("{name: mlp, hidden: [8, 8]}", "boom.py:net"))

    def written(line: str) -> Path:
        file.with_name("boom.py").write_text(NET.format(line=line))
        return file

    return written


def test_corrected_code_is_accepted_where_it_has_no_result_yet(
    own: Callable[[str], Path], home: Path
) -> None:
    every = dict.fromkeys(range(4), "KeyError: 'x'") | {2: "diverged at epoch 1: the loss is nan"}
    assert drive(own("x = 1"), home, every) == [0, 1, 2, 3]
    file = own("x = 2")
    with pytest.raises(StudyChangedError, match="--retry-failed"):
        drive(file, home, {})
    # A trial that diverged by the old code is run again too.
    assert drive(file, home, {}, retry=True) == [4, 5, 6, 7]
    assert drive(file, home, {}) == []
    codes = [
        tuple(spec.plan.code.values())
        for _, spec in record.scan(record.study_directory(home, "tiny"))
    ]
    assert len(set(codes[:4])) == len(set(codes[4:])) == 1
    assert codes[0] != codes[4]


def test_a_trial_that_the_old_code_had_begun_is_run_again_with_the_new(
    own: Callable[[str], Path], home: Path
) -> None:
    file = own("x = 1")
    config, directory = load(file), record.study_directory(home, "tiny")
    spec = Search(Study(config, home)).next()
    assert spec is not None
    at = record.directory_of(directory, spec)
    at.write_spec(spec)
    at.write_result(Result(state=State.PARKED, attempt=1))
    assert drive(own("x = 2"), home, {}, retry=True) == [1, 2, 3, 4]
    result = at.result()
    assert result is not None
    assert (result.state, result.retried) == (State.FAILED, 1)
    assert result.reason == "begun with code that was corrected since"


def test_corrected_code_is_refused_where_results_of_the_old_code_are_there(
    own: Callable[[str], Path], home: Path
) -> None:
    drive(own("x = 1"), home, {1: "KeyError: 'x'"})
    with pytest.raises(
        StudyChangedError, match=r"code of boom\.py: was .*\n.*could not be compared"
    ):
        drive(own("x = 2"), home, {}, retry=True)
    assert settings(home).keys() == {0, 1, 2, 3}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_user_corrects_a_file_and_runs_the_failed_trials_again(
    write_study: Write, stored: Path
) -> None:
    file = write_study(
        ("optimizer: [sgd, adamw]\n  freeze_depth: [0, all]", "optimizer: [sgd]"),
        ("trials_per_strategy: 5", "trials_per_strategy: 2"),
        ("recipe:\n", "recipe:\n  trial: boom.py:train\n"),
    )
    code = file.with_name("boom.py")
    code.write_text("def train(trial):\n    raise KeyError('x')\n    yield\n")
    words = ("run", file, "--home", stored, "--inline")
    assert call(*words)[0] == 3
    code.write_text(
        "def train(trial):\n"
        "    for epoch in range(trial.plan.epochs):\n"
        "        yield {'validation/accuracy': 0.5, 'validation/loss': 1.0}\n"
    )
    status, _, errors = call(*words)
    assert status == 2
    assert "--retry-failed" in errors
    status, output, errors = call(*words, "--retry-failed")
    assert status == 0, output + errors
    states = {
        run.data.tags["workbench.key"]: (run.info.status, run.data.tags.get("workbench.retried"))
        for run in runs_of(stored, "tiny")
        if "mlflow.parentRunId" in run.data.tags
    }
    assert states == {
        "tiny/search/sgd/000": ("FAILED", "2"),
        "tiny/search/sgd/001": ("FAILED", "3"),
        "tiny/search/sgd/002": ("FINISHED", None),
        "tiny/search/sgd/003": ("FINISHED", None),
    }
    (row,) = browse.studies(stored)
    assert (row.state, row.complete, row.failed) == ("complete", 2, 0)
    shown = browse.trial(stored, "tiny", "sgd/000")
    assert str(shown.summary.reason).endswith("(run again as sgd/002)")
    status, _, errors = call("report", "tiny", "--home", stored, "--out", stored / "out")
    assert status == 0, errors
    summary = json.loads((stored / "out" / "report.json").read_text())
    assert summary["progress"]["other_roles"] == {"retried": 2}
    assert (summary["progress"]["failed"], summary["progress"]["finished"]) == (0, True)
    text = (stored / "out" / "index.html").read_text()
    assert "2 runs of failed trials that were run again after a correction" in text
