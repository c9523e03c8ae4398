"""The search as a source of trials: balanced, resumable, and refusing what does not belong."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import psutil
import pytest
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from tests.support.processes import Forked
from tests.support.tiny import TWO, Silent
from tests.support.virtual_workers import score
from workbench import record
from workbench.commands.session import readable
from workbench.driver import Driver, Workers, attempts
from workbench.driver.leases import StudyBusyError
from workbench.driver.resources import Resources
from workbench.record import Decision, EpochResult, Result, State, TrialDirectory, TrialSpec
from workbench.record.files import lock, write_atomically
from workbench.study.config import StudyChangedError, load
from workbench.study.optuna_storage import locate
from workbench.study.search import Search
from workbench.study.search.storage import StorageError, open_storage, refuse_changes
from workbench.study.study import Study
from workbench.tracker.store import StoreError

Write = Callable[..., Path]


class MadeUpTraining(Workers):
    """Stands where workers stand, so that the search alone is tested: no network is trained.

    Args:
        stop_after: Kill this process in the middle of the trial after so many have ended.
    """

    local = True

    def __init__(self, stop_after: int | None = None) -> None:
        self.left = stop_after
        self.begun: list[str] = []

    def count(self, resources: Resources) -> int:
        return 1

    def prepare(self, trials: int, resources: Resources) -> None:
        return None

    def run(self, driver: Driver) -> None:
        while (directory := driver.next()) is not None:
            spec = directory.spec()
            assert spec is not None
            self.begun.append(spec.name)
            last = self.left == 0
            self._train(driver, directory, spec, epochs=1 if last else 3)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.left is not None:
                self.left -= 1

    def kill(self) -> None:
        return None

    def close(self) -> None:
        return None

    def _train(
        self, driver: Driver, directory: TrialDirectory, spec: TrialSpec, epochs: int
    ) -> None:
        known = len(directory.history())
        for epoch in range(1, epochs + 1):
            line = EpochResult(
                epoch=epoch,
                phase="main",
                metrics={"validation/accuracy": score(spec, epoch)},
                timestamp=epoch,
            )
            if epoch > known:
                directory.append(line)
            if epoch >= known and driver.report(directory, line) is Decision.PRUNE:
                result = Result(state=State.PRUNED, attempt=spec.attempt)
                directory.write_result(result)
                driver.finish(directory, result)
                return
        if epochs == 3:
            value = score(spec, 3)
            result = Result(state=State.COMPLETE, attempt=spec.attempt, value=value, epoch=3)
            write_atomically(directory.weights, b"weights")
            directory.write_result(result)
            driver.finish(directory, result)


def search_of(file: Path, home: Path) -> Search:
    config = load(file)
    return Search(Study(config, home))


def drive(file: Path, home: Path, workers: MadeUpTraining) -> Search:
    search = search_of(file, home)
    directory = record.study_directory(home, load(file).name)
    driver = Driver(
        study_directory=directory,
        source=search,
        workers=workers,
        mirror=Silent(),
        progress=lambda driver: None,
    )
    driver.run()
    return search


def kill(file: Path, home: Path, *, after: int) -> None:
    """Run a driver that is killed in the middle of the trial after so many have ended."""
    assert Forked(_drive_until_killed, file, home, after).wait() == -signal.SIGKILL


def _drive_until_killed(file: Path, home: Path, after: int) -> None:
    drive(file, home, MadeUpTraining(stop_after=after))


def outcomes(home: Path, study: str = "tiny") -> dict[str, object]:
    """What a search found, without the attempts."""
    found: dict[str, object] = {}
    for directory, spec in record.scan(record.study_directory(home, study)):
        result = directory.result()
        assert result is not None
        settings = dict(spec.hyperparameters)
        found[spec.name] = (settings, result.state, result.value, len(directory.history()))
    return found


def test_every_strategy_gets_the_same_number_of_trials_in_turn(tiny: Path, home: Path) -> None:
    workers = MadeUpTraining()
    search = drive(tiny, home, workers)
    first = ["sgd-0/000", "sgd-all/000", "adamw-0/000", "adamw-all/000", "sgd-0/001"]
    assert workers.begun[:5] == first
    assert [(s.name, s.ended, s.target) for s in search.progress()] == [
        (name, 5, 5) for name in ("sgd-0", "sgd-all", "adamw-0", "adamw-all")
    ]


def test_optuna_s_own_tools_show_the_objective_by_its_name(tiny: Path, home: Path) -> None:
    drive(tiny, home, MadeUpTraining()).close()
    storage = f"sqlite:///{record.study_directory(home, 'tiny') / 'optuna.db'}"
    studies = optuna.study.get_all_study_names(storage)
    assert len(studies) == 4
    for name in studies:
        shown = optuna.load_study(study_name=name, storage=storage)
        assert shown.metric_names == ["validation/accuracy"]


def test_the_first_trial_of_every_strategy_is_the_default(tiny: Path, home: Path) -> None:
    drive(tiny, home, MadeUpTraining())
    for directory, spec in record.scan(record.study_directory(home, "tiny")):
        assert directory.path.exists()
        if spec.number == 0:
            assert spec.hyperparameters["learning_rate"] == 1e-2


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_the_searches_of_strategies_draw_independently(
    write_study: Write, home: Path, sampler: str
) -> None:
    drive(write_study(("sampler: tpe", f"sampler: {sampler}")), home, MadeUpTraining())
    drawn = [
        spec.hyperparameters["learning_rate"]
        for _, spec in record.scan(record.study_directory(home, "tiny"))
        if spec.number > 0
    ]
    assert len(drawn) == len(set(drawn)) == 4 * 4


def test_a_second_run_finishes_what_is_missing_and_a_third_does_nothing(
    write_study: Write, home: Path
) -> None:
    drive(write_study(("trials_per_strategy: 5", "trials_per_strategy: 2")), home, MadeUpTraining())
    more = MadeUpTraining()
    drive(write_study(), home, more)
    assert len(more.begun) == 4 * 3
    again = MadeUpTraining()
    drive(write_study(), home, again)
    assert again.begun == []


@pytest.mark.parametrize("ended", [0, 1, 13])
def test_a_search_killed_and_resumed_equals_one_that_was_not(
    tiny: Path, home: Path, tmp_path: Path, ended: int
) -> None:
    whole = tmp_path / "whole"
    drive(tiny, whole, MadeUpTraining())
    kill(tiny, home, after=ended)
    search = drive(tiny, home, MadeUpTraining())
    assert outcomes(home) == outcomes(whole)
    assert all(group.running == 0 for group in search.progress())


def test_an_orphan_keeps_its_number_and_gets_the_next_attempt(tiny: Path, home: Path) -> None:
    kill(tiny, home, after=1)
    (spec,) = search_of(tiny, home).adopt()
    assert (spec.name, spec.attempt) == ("sgd-all/000", 2)


def test_a_trial_is_never_given_up_for_the_deaths_of_its_drivers(tiny: Path, home: Path) -> None:
    kill(tiny, home, after=0)
    for attempt in range(2, 9):
        (spec,) = search_of(tiny, home).adopt()
        assert (spec.attempt, spec.failures) == (attempt, 0)
        record.directory_of(record.study_directory(home, "tiny"), spec).write_spec(spec)


def test_a_specification_of_an_earlier_version_is_continued(tiny: Path, home: Path) -> None:
    kill(tiny, home, after=0)
    path = record.study_directory(home, "tiny") / "trials/sgd-0/000/spec.json"
    stored = json.loads(path.read_text())
    del stored["failures"]
    path.write_text(json.dumps({**stored, "attempt": 3}))
    (spec,) = search_of(tiny, home).adopt()
    assert (spec.attempt, spec.failures) == (4, 0)


def test_a_parked_trial_is_continued_without_a_failure(tiny: Path, home: Path) -> None:
    kill(tiny, home, after=0)
    directory = TrialDirectory(record.study_directory(home, "tiny") / "trials/sgd-0/000")
    directory.write_result(Result(state=State.PARKED, attempt=1))
    (spec,) = search_of(tiny, home).adopt()
    assert (spec.attempt, spec.failures) == (2, 0)


def test_a_result_that_optuna_was_never_told_is_told_on_adoption(tiny: Path, home: Path) -> None:
    kill(tiny, home, after=0)
    directory = TrialDirectory(record.study_directory(home, "tiny") / "trials/sgd-0/000")
    directory.write_result(Result(state=State.COMPLETE, attempt=1, value=0.5, epoch=1))
    search = search_of(tiny, home)
    assert search.adopt() == []
    assert search.progress()[0].best == 0.5


def test_a_trial_asked_but_never_specified_is_specified_again_as_it_was(
    tiny: Path, home: Path
) -> None:
    search = search_of(tiny, home)
    asked = [search.next() for _ in range(9)][-1]
    assert asked is not None
    adopted = search_of(tiny, home).adopt()
    assert len(adopted) == 9
    assert asked in adopted


def test_only_the_best_trial_of_each_strategy_keeps_its_weights(tiny: Path, home: Path) -> None:
    search = drive(tiny, home, MadeUpTraining())
    held = {
        spec.strategy: spec.name
        for directory, spec in record.scan(record.study_directory(home, "tiny"))
        if directory.weights.exists()
    }
    assert set(held) == {"sgd-0", "sgd-all", "adamw-0", "adamw-all"}
    for strategy, directory in search.best().items():
        spec = directory.spec()
        assert spec is not None and held[strategy] == spec.name
    # The same is known after a restart.
    assert search_of(tiny, home).best() == search.best()


@pytest.mark.parametrize(
    ("rule", "values", "answer"),
    [
        ("best", (0.4, 0.4, 0.4), Decision.DROP_WEIGHTS),
        ("best", (0.4, 0.5, 0.4), Decision.DROP_WEIGHTS),  # of equals the earlier one is the best
        ("best", (0.4, 0.6, 0.4), Decision.CONTINUE),
        ("last", (0.4, 0.6, 0.4), Decision.DROP_WEIGHTS),
        ("last", (0.4, 0.4, 0.6), Decision.CONTINUE),
    ],
)
def test_a_trial_that_is_not_the_best_need_not_write_its_weights(
    write_study: Write, home: Path, rule: str, values: tuple[float, ...], answer: Decision
) -> None:
    study = write_study(("validation/accuracy}", f"validation/accuracy, epoch: {rule}}}"))
    search = search_of(study, home)
    first, second = [s for s in (search.next() for _ in range(8)) if s and s.group == "sgd-0"]

    def report(spec: TrialSpec, epoch: int, value: float) -> Decision:
        metrics = {"validation/accuracy": value}
        line = EpochResult(epoch=epoch, phase="main", metrics=metrics, timestamp=epoch)
        return search.report(spec, line)

    assert [report(first, n, 0.5) for n in (1, 2, 3)] == [Decision.CONTINUE] * 3
    search.finish(first, Result(state=State.COMPLETE, attempt=1, value=0.5, epoch=1))
    answers = [report(second, n, value) for n, value in enumerate(values, start=1)]
    assert answers == [Decision.CONTINUE, Decision.CONTINUE, answer]
    # Trained again after its record was lost; and one more report of a user's own training.
    assert [report(second, n, 0.6) for n in (3, 4)] == [Decision.CONTINUE] * 2


def test_of_equal_trials_the_earlier_one_is_the_best_whichever_ended_first(
    tiny: Path, home: Path
) -> None:
    search = search_of(tiny, home)
    specs = [spec for spec in (search.next() for _ in range(8)) if spec and spec.group == "sgd-0"]
    assert [spec.number for spec in specs] == [0, 1]
    for spec in reversed(specs):
        directory = record.directory_of(record.study_directory(home, "tiny"), spec)
        directory.write_spec(spec)
        write_atomically(directory.weights, b"weights")
        search.finish(spec, Result(state=State.COMPLETE, attempt=1, value=0.5, epoch=1))
    assert search.best()["sgd-0"].path.name == "000"
    assert search.best()["sgd-0"].weights.exists()


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("epochs: 3", "epochs: 4", "recipe.epochs: was 3, is 4  (tiny.yaml:6)  (sgd-0, sgd-all"),
        ("high: 1e-1", "high: 1", "tune.learning_rate.high: was 0.1, is 1.0  (tiny.yaml:12)"),
        ("seed: 1}", "seed: 2}", "search.seed: was 1, is 2  (tiny.yaml:14)"),
        ("validation/accuracy}", "validation/loss}", 'objective.metric: was "validation/accuracy"'),
        (
            "validation: 40",
            "validation: 41",
            "recipe.dataset.validation: was 40, is 41  (tiny.yaml:4)",
        ),
    ],
)
def test_a_changed_study_is_refused_with_what_changed(
    write_study: Write, home: Path, old: str, new: str, change: str
) -> None:
    kill(write_study(), home, after=2)
    with pytest.raises(StudyChangedError) as refusal:
        search_of(write_study((old, new)), home)
    told = str(refusal.value).replace(f"{home.parent}/", "")
    assert change in told
    assert "Give the study a new name" in told


def test_a_changed_study_is_told_by_the_keys_of_its_file(write_study: Write, home: Path) -> None:
    own = write_study().with_name("own.py")
    own.write_text("def share(probabilities, labels):\n    return 1.0\n")
    written = [
        ("  epochs: 3", "  phases: {probe: {epochs: 1, freeze_depth: all}, full: {}}\n  epochs: 3"),
        ("  batch_size", "  task: {name: classification, metrics: [own.py:share]}\n  batch_size"),
        (
            "  freeze_depth: [0, all]",
            "  decay: {low: {weight_decay: 0}, high: {weight_decay: 0.1}}",
        ),
    ]
    before = Study(load(write_study(*written)), home)
    stored = {group.name: group.definition for group in before.groups}
    own.write_text("def share(probabilities, labels):\n    return 0.0\n")
    changes = [("probe: {epochs: 1", "probe: {epochs: 2"), ("epochs: 3", "epochs: 4")]
    changes += [("decay: 0.1", "decay: 0.2"), ("1e-1, log: true, default: 1e-2", "1, default: 0.1")]
    now = Study(load(write_study(*written, *changes)), home)
    with pytest.raises(StudyChangedError) as refusal:
        refuse_changes(stored, now)
    told = str(refusal.value).replace(f"{before.file.parent}/", "").splitlines()
    lines = {line.strip().rpartition("  ")[0]: line.rpartition("  ")[2] for line in told[1:-1]}
    (code,) = (line for line in lines if line.startswith("code of own.py: was "))
    assert set(lines) - {code} == {
        "recipe.phases.probe.epochs: was 1, is 2  (tiny.yaml:6)",
        "recipe.epochs: was 3, is 4  (tiny.yaml:7)",
        "compare.decay.high.weight_decay: was 0.1, is 0.2  (tiny.yaml:12)",
        "tune.learning_rate.high: was 0.1, is 1.0  (tiny.yaml:14)",
        "tune.learning_rate.log: was true, is false  (tiny.yaml:14)",
        "tune.learning_rate.default: was 0.01, is 0.1  (tiny.yaml:14)",
    }
    assert lines.pop("compare.decay.high.weight_decay: was 0.1, is 0.2  (tiny.yaml:12)") == (
        "(sgd-high, adamw-high)"
    )
    assert set(lines.values()) == {"(sgd-low, sgd-high, adamw-low, adamw-high)"}
    assert "--retry-failed" in told[-1]


@pytest.mark.parametrize(
    ("name", "content"), [("definition.json", None), ("000/result.json", b"[1]")]
)
def test_a_search_that_is_refused_leaves_the_storage_closed(
    tiny: Path, home: Path, name: str, content: bytes | None
) -> None:
    drive(tiny, home, MadeUpTraining()).close()
    path = home / "mlruns/studies/tiny/trials/sgd-0" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((StorageError, record.DamagedRecordError), match=path.name):
        search_of(tiny, home)
    assert not [file for file in psutil.Process().open_files() if str(home) in file.path]


def test_a_new_level_runs_only_what_is_new(write_study: Write, home: Path) -> None:
    drive(write_study(), home, MadeUpTraining())
    more = MadeUpTraining()
    drive(write_study(("[sgd, adamw]", "[sgd, adam, adamw]")), home, more)
    assert {name.partition("/")[0] for name in more.begun} == {"adam-0", "adam-all"}
    assert len(more.begun) == 10


def test_a_joint_study_reads_the_strategy_back_from_the_trial(
    write_study: Write, home: Path
) -> None:
    file = write_study(
        ("compare:\n  optimizer", "tune:\n  optimizer"),
        ("tune:\n  learning_rate", "  learning_rate"),
        ("trials_per_strategy: 5", "trials: 12"),
    )
    workers = MadeUpTraining()
    search = drive(file, home, workers)
    assert workers.begun[0] == "joint/000"
    (group,) = search.progress()
    assert (group.name, group.ended) == ("joint", 12)
    for _, spec in record.scan(record.study_directory(home, "tiny")):
        optimizer, depth = spec.hyperparameters["optimizer"], spec.hyperparameters["freeze_depth"]
        assert spec.strategy == f"{optimizer}-{depth}"
        assert spec.levels == {"optimizer": optimizer, "freeze_depth": depth}
        assert spec.plan.phases[0].optimizer == optimizer


@pytest.mark.parametrize("pruner", ["none", "median", "successive_halving", "hyperband"])
@pytest.mark.parametrize("sampler", ["tpe", "random", "{name: grid, points: 2}"])
def test_every_sampler_runs_with_every_pruner(
    write_study: Write, home: Path, sampler: str, pruner: str
) -> None:
    file = write_study(
        TWO, ("sampler: tpe", f"sampler: {sampler}"), ("pruner: median", f"pruner: {pruner}")
    )
    search = drive(file, home, MadeUpTraining())
    assert all(group.ended == group.target for group in search.progress())
    if pruner == "none":
        assert all(group.pruned == 0 for group in search.progress())


def test_a_grid_has_no_more_trials_than_cells(write_study: Write, home: Path) -> None:
    file = write_study(
        ("sampler: tpe", "sampler: {name: grid, points: 3}"),
        ("trials_per_strategy: 5", "trials_per_strategy: 50"),
    )
    search = drive(file, home, MadeUpTraining())
    # Three rates (the default is not among them) and three momenta; the default comes first.
    assert {s.name: s.ended for s in search.progress()} == {
        "sgd-0": 10,
        "sgd-all": 10,
        "adamw-0": 4,
        "adamw-all": 4,
    }


def test_a_timeout_ends_the_search_after_a_full_round(write_study: Write, home: Path) -> None:
    search = search_of(write_study(("seed: 1}", "seed: 1, timeout: 1h}")), home)
    first = search.next()
    search._began -= 3601
    rest = [search.next() for _ in range(4)]
    names = [spec.name if spec else None for spec in [first, *rest]]
    assert names == ["sgd-0/000", "sgd-all/000", "adamw-0/000", "adamw-all/000", None]


def test_a_timeout_ends_a_grid_whose_strategies_differ_in_size(
    write_study: Write, home: Path
) -> None:
    file = write_study(
        ("sampler: tpe", "sampler: {name: grid, points: 3}"),
        ("trials_per_strategy: 5", "trials_per_strategy: 50"),
        ("seed: 1}", "seed: 1, timeout: 1h}"),
    )
    search = search_of(file, home)
    for _ in range(4 * 4 + 2):
        assert search.next() is not None
    search._began -= 3601
    assert search.next() is None


def test_a_point_enqueued_later_is_tried_and_none_twice(write_study: Write, home: Path) -> None:
    grid = ("sampler: tpe", "sampler: {name: grid, points: 2}")
    drive(
        write_study(grid, ("trials_per_strategy: 5", "trials_per_strategy: 2")),
        home,
        MadeUpTraining(),
    )
    late = ("seed: 1}", "seed: 1, enqueue: [{learning_rate: 2e-3, momentum: 0.6}]}")
    drive(
        write_study(grid, ("trials_per_strategy: 5", "trials_per_strategy: 20"), late),
        home,
        MadeUpTraining(),
    )
    found: dict[str, list[tuple[object, ...]]] = {}
    for _, spec in record.scan(record.study_directory(home, "tiny")):
        found.setdefault(spec.group, []).append(tuple(spec.hyperparameters.values()))
    for points in found.values():
        assert len(points) == len(set(points))
        assert any(point[0] == 2e-3 for point in points)


@pytest.mark.parametrize("pruner", ["median", "successive_halving", "hyperband"])
def test_a_prune_whose_answer_was_lost_is_said_again(
    write_study: Write, home: Path, pruner: str
) -> None:
    file = write_study(
        ("pruner: median", f"pruner: {pruner}"),
        ("trials_per_strategy: 5", "trials_per_strategy: 40"),
        ("epochs: 3", "epochs: 9"),
    )
    search = search_of(file, home)
    directory = record.study_directory(home, "tiny")
    for number in range(120):
        spec = search.next()
        assert spec is not None
        at = record.directory_of(directory, spec)
        at.write_spec(spec)
        for epoch in range(1, 9):
            value = 1.0 / (1 + number) + epoch / 100
            line = EpochResult(
                epoch=epoch, phase="main", metrics={"validation/accuracy": value}, timestamp=epoch
            )
            at.append(line)
            if search.report(spec, line) is Decision.PRUNE:
                again = search_of(file, home)
                (orphan,) = again.adopt()
                assert orphan.name == spec.name
                assert again.report(orphan, line) is Decision.PRUNE
                return
        result = Result(state=State.COMPLETE, attempt=1, value=value, epoch=8)
        at.write_result(result)
        search.finish(spec, result)
    pytest.fail("nothing was pruned")


def test_the_history_of_an_orphan_is_replayed_to_optuna(tiny: Path, home: Path) -> None:
    search = search_of(tiny, home)
    spec = search.next()
    assert spec is not None
    at = record.directory_of(record.study_directory(home, "tiny"), spec)
    at.write_spec(spec)
    for epoch in (1, 2):
        metrics = {"validation/accuracy": epoch / 10}
        at.append(EpochResult(epoch=epoch, phase="main", metrics=metrics, timestamp=epoch))
    again = search_of(tiny, home)
    again.adopt()
    (trial,) = again._studies["sgd-0"].get_trials()
    assert trial.intermediate_values == {1: 0.1, 2: 0.2}


def test_the_last_epoch_is_never_pruned(tiny: Path, home: Path) -> None:
    drive(tiny, home, MadeUpTraining())
    for directory, _ in record.scan(record.study_directory(home, "tiny")):
        result = directory.result()
        assert result is not None
        assert (result.state is State.COMPLETE) == (len(directory.history()) == 3)


def test_with_two_reports_an_epoch_a_trial_may_be_pruned_until_its_last_report(
    write_study: Write, home: Path
) -> None:
    search = search_of(
        write_study(
            ("epochs: 3", "epochs: 3\n  report_every: 0.5"),
            ("pruner: median", "pruner: {name: median, n_startup_trials: 1}"),
        ),
        home,
    )

    def tell(value: float, reports: int) -> list[Decision]:
        spec = search.next()
        while spec is not None and spec.group != "sgd-0":
            search.finish(spec, Result(state=State.FAILED, attempt=1))
            spec = search.next()
        assert spec is not None and spec.plan.reports == 6
        answers = []
        for number in range(1, reports + 1):
            metrics = {"validation/accuracy": value, "epochs": number / 2}
            line = EpochResult(epoch=number, phase="main", metrics=metrics, timestamp=number)
            answers.append(search.report(spec, line))
        search.finish(spec, Result(state=State.COMPLETE, attempt=1, value=value, epoch=1))
        return answers

    assert set(tell(0.9, 6)) == {Decision.CONTINUE}
    # The third epoch is the sixth report; the pruner is asked at the third report, too.
    assert tell(0.1, 6)[2:] == [*[Decision.PRUNE] * 3, Decision.DROP_WEIGHTS]


def test_a_trial_that_an_earlier_worker_still_runs_is_not_adopted(
    tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "LOCK_SECONDS", 0.0)
    kill(tiny, home, after=0)
    directory = TrialDirectory(record.study_directory(home, "tiny") / "trials/sgd-0/000")
    note = lock(directory.lock_path, note="process 1234 on here")
    with note, pytest.raises(StudyBusyError, match=r"sgd-0/000 .*process 1234 on here"):
        search_of(tiny, home).adopt()


JOINT = (
    ("compare:\n  optimizer", "tune:\n  optimizer"),
    ("tune:\n  learning_rate", "  learning_rate"),
    ("trials_per_strategy: 5", "trials: 12"),
)
SAMPLERS: dict[str, tuple[tuple[str, str], ...]] = {
    "tpe": (),
    "grid": (("sampler: tpe", "sampler: {name: grid, points: 5}"),),
    "joint tpe": JOINT,
}


def optuna_trials(home: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that Optuna knows of the trials of a study."""
    storage = open_storage(locate(record.study_directory(home, "tiny")))
    return {
        study.study_name: [
            (t.number, t.state, t.value, t.params, t.distributions, t.intermediate_values)
            for t in optuna.load_study(study_name=study.study_name, storage=storage).trials
        ]
        for study in optuna.get_all_study_summaries(storage)
    }


def storage_files(home: Path) -> list[Path]:
    return sorted(record.study_directory(home, "tiny").glob("optuna.db*"))


def empty_storage(home: Path) -> None:
    path, *others = storage_files(home)
    for other in others:
        other.unlink()  # What this process still has open.
    path.unlink()
    path.touch()


@pytest.mark.parametrize(
    ("sampler", "older"), [*((sampler, True) for sampler in SAMPLERS), ("tpe", False)]
)
def test_trials_that_the_storage_lacks_are_restored_from_their_records(
    write_study: Write, home: Path, sampler: str, older: bool
) -> None:
    asked = SAMPLERS[sampler]
    few = (
        *asked,
        ("trials: 12", "trials: 8") if asked == JOINT else ("strategy: 5", "strategy: 2"),
    )
    reference = home.with_name("reference")
    drive(write_study(*asked), reference, MadeUpTraining())

    kill(write_study(*few), home, after=3)
    copies = {path: path.read_bytes() for path in storage_files(home)}
    drive(write_study(*few), home, MadeUpTraining())
    before = outcomes(home), optuna_trials(home)
    for path in storage_files(home):
        path.unlink()
    for path, content in copies.items() if older else []:
        path.write_bytes(content)

    again = MadeUpTraining()
    drive(write_study(*few), home, again)
    assert again.begun == []
    assert (outcomes(home), optuna_trials(home)) == before
    drive(write_study(*asked), home, MadeUpTraining())
    assert (outcomes(home), optuna_trials(home)) == (outcomes(reference), optuna_trials(reference))


def test_a_study_that_lost_its_storage_is_still_held_to_its_settings(
    write_study: Write, home: Path
) -> None:
    drive(write_study(), home, MadeUpTraining())
    empty_storage(home)
    with pytest.raises(StudyChangedError, match="default"):
        search_of(write_study(("default: 1e-2", "default: 2e-2")), home)


def test_a_record_with_other_parameters_than_optunas_trial_is_never_continued(
    tiny: Path, home: Path
) -> None:
    drive(tiny, home, MadeUpTraining())
    directory = TrialDirectory(home / "mlruns/studies/tiny/trials/sgd-0/004")
    spec = directory.spec()
    assert spec is not None
    other = {**spec.hyperparameters, "learning_rate": 0.0123}
    directory.write_spec(replace(spec, hyperparameters=other))
    again = MadeUpTraining()
    drive(tiny, home, again)
    assert again.begun == []
    assert optuna_trials(home)["sgd-0"][4][3] == other


def test_a_trial_whose_record_was_deleted_is_run_again_under_its_number(
    tiny: Path, home: Path
) -> None:
    drive(tiny, home, MadeUpTraining())
    before = outcomes(home)
    shutil.rmtree(home / "mlruns/studies/tiny/trials/sgd-0/002")
    (home / "mlruns/studies/tiny/trials/adamw-0/003/result.json").unlink()
    (home / "mlruns/studies/tiny/trials/adamw-all/001/spec.json").unlink()
    again = MadeUpTraining()
    drive(tiny, home, again)
    assert sorted(again.begun) == ["adamw-0/003", "adamw-all/001", "sgd-0/002"]
    assert outcomes(home) == before


def test_a_trial_that_is_run_again_is_not_pruned_by_trials_that_came_after_it(
    write_study: Write, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [0.1, 0.9, 0.9, 0.05, 0.9]
    monkeypatch.setitem(globals(), "score", lambda spec, epoch: values[spec.number])
    study = write_study(("pruner: median", "pruner: {name: median, n_startup_trials: 1}"))
    drive(study, home, MadeUpTraining())
    before = outcomes(home)
    for number in (0, 3):
        shutil.rmtree(home / f"mlruns/studies/tiny/trials/sgd-0/{number:03d}")
        drive(study, home, MadeUpTraining())
        assert outcomes(home) == before


def test_a_study_of_an_earlier_version_keeps_its_definition_in_the_storage(
    write_study: Write, home: Path
) -> None:
    search = drive(write_study(), home, MadeUpTraining())
    for name in search._studies:
        path = home / "mlruns/studies/tiny/trials" / name / "definition.json"
        study = optuna.load_study(study_name=name, storage=search._database)
        study.set_user_attr("definition", path.read_text())
        path.unlink()
    changed = write_study(("default: 1e-2", "default: 2e-2"))
    with pytest.raises(StudyChangedError, match="default"):
        search_of(changed, home)
    again = MadeUpTraining()
    drive(write_study(), home, again)
    assert again.begun == []
    assert path.exists(), "from now on the definition lies beside the records"

    path.unlink()
    empty_storage(home)
    with pytest.raises(StorageError, match="does not say with which settings"):
        search_of(write_study(), home)


def test_a_kill_while_trials_are_restored_loses_no_definition_of_an_earlier_version(
    write_study: Write, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = drive(write_study(), home, MadeUpTraining())
    for name in search._studies:
        path = home / "mlruns/studies/tiny/trials" / name / "definition.json"
        study = optuna.load_study(study_name=name, storage=search._database)
        study.set_user_attr("definition", path.read_text())
        path.unlink()
    shutil.rmtree(home / "mlruns/studies/tiny/trials/sgd-0/002")

    def killed(study: optuna.Study, trials: object, storage: RDBStorage) -> None:
        optuna.delete_study(study_name=study.study_name, storage=storage)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("workbench.study.search.rewrite", killed)
        with pytest.raises(KeyboardInterrupt):
            search_of(write_study(), home)
    again = MadeUpTraining()
    drive(write_study(), home, again)
    assert again.begun == ["sgd-0/002"]


def open_until_killed(file: Path, home: Path, inserted: int) -> None:
    """Open a search, and be killed after a number of trials were written to Optuna's file."""
    left = inserted

    def kill_in_time(connection: object, cursor: object, statement: str, *rest: object) -> None:
        nonlocal left
        if statement.startswith("INSERT INTO trials "):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", kill_in_time)
    search_of(file, home)


@pytest.mark.parametrize("inserted", [0, 3, 5])
def test_a_kill_while_trials_are_restored_leaves_each_group_as_it_was_or_restored(
    tiny: Path, home: Path, inserted: int
) -> None:
    drive(tiny, home, MadeUpTraining()).close()
    for group in ("sgd-0", "sgd-all"):  # of 5 trials each
        shutil.rmtree(home / f"mlruns/studies/tiny/trials/{group}/002")
    before = optuna_trials(home)
    assert Forked(open_until_killed, tiny, home, inserted).wait() == -signal.SIGKILL
    left = optuna_trials(home)
    restored = ["sgd-0"] if inserted == 5 else []
    assert [name for name in before if left[name] != before[name]] == restored
    for name in restored:
        assert left[name].pop(2)[1] is TrialState.WAITING
        assert left[name] == before[name][:2] + before[name][3:]
    drive(tiny, home, again := MadeUpTraining())
    assert sorted(again.begun) == ["sgd-0/002", "sgd-all/002"]


@pytest.mark.parametrize("content", [b'{"plan"', b"[1]"])
def test_a_damaged_definition_is_named_with_what_to_do(
    tiny: Path, home: Path, content: bytes
) -> None:
    search_of(tiny, home).next()
    path = home / "mlruns/studies/tiny/trials/sgd-0/definition.json"
    path.write_bytes(content)
    with pytest.raises(
        record.DamagedRecordError, match=r"definition\.json is damaged .* Restore the file"
    ):
        search_of(tiny, home)


def test_a_storage_of_another_version_of_optuna_is_named_with_what_to_do(
    tiny: Path, home: Path
) -> None:
    search_of(tiny, home)
    path = record.study_directory(home, "tiny") / "optuna.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    connection.close()
    with pytest.raises(StorageError, match=r"optuna.db was .* another version .*storage upgrade"):
        search_of(tiny, home)


def test_a_storage_that_another_program_has_locked_is_named_and_not_called_damaged(
    tiny: Path, home: Path
) -> None:
    study = Study(load(tiny), home)
    study.directory.mkdir(parents=True)
    path = study.directory / "optuna.db"
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with (
        pytest.raises(StoreError, match=r"is locked: another program has it open") as caught,
        readable(study),
        engine.begin() as connection,
    ):
        connection.exec_driver_sql("CREATE TABLE made (number)")
    assert "End that program" in str(caught.value)
    assert "move the file" not in str(caught.value)
    other.close()
    engine.dispose()


def test_an_epoch_that_was_reported_with_another_value_is_trained_again(
    tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(tiny, home, after=5)
    # As if the epoch had been reported a second ago.
    monkeypatch.setattr("workbench.study.search.write_through._WRITE_SECONDS", 0.0)
    search_of(tiny, home).adopt()
    directory = TrialDirectory(home / "mlruns/studies/tiny/trials/sgd-all/001")
    (line,) = directory.history()
    path = directory.path / "history.jsonl"
    path.write_text(record.to_json(replace(line, metrics={"validation/accuracy": 0.9})) + "\n")
    search_of(tiny, home).adopt()
    assert directory.history() == []


def report_until_killed(file: Path, home: Path) -> None:
    """Begin a trial, report two epochs of it within a second, and be killed."""
    search = search_of(file, home)
    search._storage._written = math.inf  # as if the last write were a moment ago
    spec = search.next()
    assert spec is not None
    report_epochs(search, spec, record.directory_of(search._directory, spec))
    os.kill(os.getpid(), signal.SIGKILL)


def report_epochs(search: Search, spec: TrialSpec, directory: TrialDirectory) -> None:
    directory.write_spec(spec)
    for epoch in (1, 2):
        metrics = {"validation/accuracy": score(spec, epoch)}
        line = EpochResult(epoch=epoch, phase="main", metrics=metrics, timestamp=epoch)
        directory.append(line)
        search.report(spec, line)


def test_epochs_that_the_file_lacks_after_a_kill_are_reported_again_in_order(
    tiny: Path, home: Path
) -> None:
    assert Forked(report_until_killed, tiny, home).wait() == -signal.SIGKILL
    assert written_epochs(home) == []
    search = search_of(tiny, home)
    (spec,) = search.adopt()
    search.close()
    assert written_epochs(home) == [(1, score(spec, 1)), (2, score(spec, 2))]


def test_a_search_that_is_closed_has_written_every_epoch(tiny: Path, home: Path) -> None:
    search = search_of(tiny, home)
    spec = search.next()
    assert spec is not None
    report_epochs(search, spec, record.directory_of(search._directory, spec))
    search.close()
    assert written_epochs(home) == [(1, score(spec, 1)), (2, score(spec, 2))]


def written_epochs(home: Path) -> list[tuple[int, float]]:
    """The epochs in Optuna's file and their values, in the order in which they were written."""
    path = record.study_directory(home, "tiny") / "optuna.db"
    with sqlite3.connect(path) as connection:
        found = connection.execute(
            "select step, intermediate_value from trial_intermediate_values"
            " order by trial_intermediate_value_id"
        ).fetchall()
    connection.close()
    return found


def test_a_joint_study_prunes_within_a_strategy_only(write_study: Write, home: Path) -> None:
    file = write_study(
        ("compare:\n  optimizer", "tune:\n  optimizer"),
        ("tune:\n  learning_rate", "  learning_rate"),
        ("trials_per_strategy: 5", "trials: 60"),
        (
            "sampler: tpe, pruner: median",
            "sampler: random, pruner: {name: median, n_startup_trials: 2}",
        ),
    )
    search = search_of(file, home)
    # One strategy is far below all others from the first epoch on, and never changes.
    for _ in range(40):
        spec = search.next()
        assert spec is not None
        value = 0.1 if spec.strategy == "sgd-all" else 0.9
        metrics = {"validation/accuracy": value}
        line = EpochResult(epoch=1, phase="main", metrics=metrics, timestamp=1)
        assert search.report(spec, line) is Decision.CONTINUE, (
            f"Optuna {optuna.__version__} gives a pruner the trials of other strategies: does it "
            "still ask Study.get_trials (samplers.OneStrategy)?"
        )
        search.finish(spec, Result(state=State.COMPLETE, attempt=1, value=value, epoch=1))


def test_optuna_is_told_states_values_and_intermediate_values(tiny: Path, home: Path) -> None:
    drive(tiny, home, MadeUpTraining())
    path = record.study_directory(home, "tiny") / "optuna.db"
    with sqlite3.connect(path) as connection:
        states = connection.execute("select state, count(*) from trials group by state").fetchall()
        steps = connection.execute("select count(*) from trial_intermediate_values").fetchone()[0]
        mode = connection.execute("pragma journal_mode").fetchone()[0]
    connection.close()
    assert mode == "wal"
    assert sum(count for _, count in states) == 20
    assert {state for state, _ in states} <= {"COMPLETE", "PRUNED"}
    lines = [len(d.history()) for d, _ in record.scan(record.study_directory(home, "tiny"))]
    assert steps == sum(lines)


def test_a_report_asks_memory_and_not_the_file(
    write_study: Write, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = search_of(write_study(("trials_per_strategy: 5", "trials_per_strategy: 9")), home)
    statements: list[str] = []

    def count(connection: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    sqlalchemy.event.listen(search._database.engine, "before_cursor_execute", count)
    monkeypatch.setattr("workbench.study.search.write_through._WRITE_SECONDS", math.inf)
    counts = []
    while (spec := search.next()) is not None:
        before = len(statements)
        for epoch in (1, 2, 3):
            metrics = {"validation/accuracy": score(spec, epoch)}
            line = EpochResult(epoch=epoch, phase="main", metrics=metrics, timestamp=epoch)
            if search.report(spec, line) is Decision.PRUNE:
                break
        else:
            assert len(statements) == before
        result = Result(state=State.COMPLETE, attempt=1, value=score(spec, 3), epoch=3)
        search.finish(spec, result)
        counts.append(len(statements))
    # The file is written alike for the first trials and for the last.
    assert counts[-1] - counts[-9] <= 2 * (counts[8] - counts[0])


def test_the_definition_is_kept_with_the_study(tiny: Path, home: Path) -> None:
    search_of(tiny, home)
    path = home / "mlruns/studies/tiny/trials/sgd-0/definition.json"
    assert json.loads(path.read_bytes())["seed"] == 1


def test_settings_may_change_until_the_first_trial(write_study: Write, home: Path) -> None:
    search_of(write_study(), home)
    changed = write_study(("default: 1e-2", "default: 2e-2"))
    search = search_of(changed, home)
    assert search.next() is not None
    with pytest.raises(StudyChangedError, match="default"):
        search_of(write_study(), home)


def test_so_may_the_objective_whose_direction_optuna_then_has(
    write_study: Write, home: Path
) -> None:
    search_of(write_study(), home)
    search = search_of(write_study(("validation/accuracy}", "validation/loss}")), home)
    found = {
        (study.direction.name, *(study.metric_names or ())) for study in search._studies.values()
    }
    assert found == {("MINIMIZE", "validation/loss")}
