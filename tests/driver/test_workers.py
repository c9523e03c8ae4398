"""Local worker processes: warm, replaceable, stoppable; and the same numbers as in this process."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.support.fixed_trials import FixedTrials, log_of, trial_directories
from tests.support.trials import EPOCHS, directory_for, numbers, planned, spec_for, write_light
from workbench.driver.process import Process, WorkerEnded
from workbench.driver.resources import Resources
from workbench.driver.workers import InlineWorkers, LocalWorkers
from workbench.record import Decision, EpochResult, State, TrialDirectory, result_from_json
from workbench.record.files import lock
from workbench.trial import run as trial_run

pytestmark = pytest.mark.slow

Write = Callable[..., Path]


@pytest.fixture
def light(tmp_path: Path) -> Path:
    """A study whose trials cost little more than the start of a worker."""
    return write_light(tmp_path / "light")


def children() -> list[psutil.Process]:
    # For a moment after its start a process has no command line.
    started = [(p, p.cmdline()) for p in psutil.Process().children()]
    return [p for p, words in started if not words or "workbench.driver.worker" in words]


@pytest.mark.timeout(120)
def test_local_workers_run_every_trial_once_with_the_numbers_of_this_process_and_park_at_a_stop(
    write_study: Write, home: Path, tmp_path: Path
) -> None:
    tiny, endless = write_study(), write_study(("epochs: 3", "epochs: 100000"), name="endless")
    driver = FixedTrials(trial_directories(4, tiny, home, tmp_path / "local"))
    stopped = FixedTrials(trial_directories(1, endless, home, tmp_path / "stopped"))

    def stop(_: TrialDirectory, line: EpochResult) -> None:
        stopped.stopping = line.epoch >= 3

    stopped.on_report = stop
    workers = LocalWorkers(2, tmp_path / "logs")
    try:
        workers.prepare(1, Resources())
        assert len(children()) == 1, "no more processes than trials"
        workers.prepare(9, Resources())
        assert len(children()) == 2
        workers.run(driver)
        assert len(children()) == 2, "workers stay warm between two studies"
        workers.run(stopped)
    finally:
        workers.close()
    assert children() == []
    assert [result.state for _, result in driver.finished] == [State.COMPLETE] * 4
    here = FixedTrials(trial_directories(1, tiny, home, tmp_path / "inline"))
    InlineWorkers().run(here)
    expected = numbers(here.finished[0][0])
    assert all(numbers(directory) == expected for directory, _ in driver.finished)
    assert [result.state for _, result in stopped.finished] == [State.PARKED]


@pytest.mark.timeout(300)
def test_a_killed_worker_is_noticed_with_its_signal_and_replaced_by_one_with_its_own_log(
    light: Path, home: Path, tmp_path: Path
) -> None:
    first, second = trial_directories(2, light, home, tmp_path)
    driver = FixedTrials([first], after_a_loss=[second])

    def kill_first(directory: TrialDirectory, _: EpochResult) -> None:
        if directory.path == first.path:
            (worker,) = children()
            worker.kill()

    driver.on_report = kill_first
    workers, other = LocalWorkers(1, tmp_path / "logs"), LocalWorkers(1, tmp_path / "logs")
    try:
        workers.run(driver)
        other.prepare(1, Resources())
        logs = {log_of(child).name for child in children()}
    finally:
        workers.close()
        other.close()
    assert driver.lost_trials == [(first, "worker ended by signal SIGKILL")]
    assert [(at, result.state) for at, result in driver.finished] == [(second, State.COMPLETE)]
    assert logs == {"worker-0.log", "worker-1.log"}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkers]:
    """A worker that was started in a folder with a file that is called like a library."""
    folder = tmp_path_factory.mktemp("warm")
    (folder / "queue.py").write_text("raise RuntimeError('imported from the directory')")
    workers = LocalWorkers(1, folder / "logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        workers.prepare(1, Resources())
    yield workers
    workers.close()


@pytest.mark.timeout(120)
def test_a_file_in_the_current_directory_is_never_imported_by_a_worker(
    warm: LocalWorkers, light: Path, home: Path, tmp_path: Path
) -> None:
    driver = FixedTrials(trial_directories(1, light, home, tmp_path / "waiting"))
    warm.run(driver)
    assert driver.lost_trials == []
    assert [result.state for _, result in driver.finished] == [State.COMPLETE]


@pytest.mark.timeout(120)
def test_pictures_are_drawn_by_the_workers_or_else_in_this_process(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directories = trial_directories(3, tiny, home, tmp_path)
    workers = LocalWorkers(2, tmp_path / "logs")
    here: list[TrialDirectory] = []
    monkeypatch.setattr("workbench.trial.artifacts.draw_best", here.extend)
    try:
        workers.run(FixedTrials([*directories]))
        workers.draw(directories)
        drawn = [(at.artifacts / "confusion_matrix.png").stat().st_size for at in directories]
        assert min(drawn) > 1000
        assert here == []
        first, second = (psutil.Process(worker.pid) for worker in workers._pool)
        # One ends while it draws, the other one before.
        first.suspend()
        second.kill()
        second.wait()
        threading.Timer(0.5, first.kill).start()
        workers.draw(directories)
        assert here == directories
    finally:
        workers.close()


@pytest.mark.timeout(120)
def test_a_trial_that_hangs_is_tried_again_and_one_that_reports_now_and_then_is_not(
    warm: LocalWorkers, light: Path, home: Path, tmp_path: Path
) -> None:
    slow, hung = (
        trial_directories(1, write_light(tmp_path / name, train), home, tmp_path / name)
        for name, train in (
            ("slow", EPOCHS.replace("yield", "__import__('time').sleep(0.8); yield")),
            ("hung", EPOCHS.replace("yield", "__import__('time').sleep(3600); yield")),
        )
    )
    # Loading libraries is no report either.
    warm.run(FixedTrials(trial_directories(1, light, home, tmp_path / "light")))
    warm._resources = Resources(stall_timeout=2.0)
    driver = FixedTrials([*slow, *hung])
    warm.run(driver)
    assert [result.state for _, result in driver.finished] == [State.COMPLETE]
    assert driver.lost_trials == [(hung[0], "stalled: no report for 2 s")]


@pytest.mark.timeout(120)
def test_no_trial_loses_an_attempt_to_a_worker_that_ended_while_it_had_none(
    light: Path, home: Path, tmp_path: Path
) -> None:
    driver = FixedTrials(trial_directories(1, light, home, tmp_path))
    workers = LocalWorkers(1, tmp_path / "logs")
    try:
        workers.prepare(1, Resources())
        (idle,) = (child for child in children() if log_of(child).parent == tmp_path / "logs")
        idle.kill()
        while idle.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        workers.run(driver)
    finally:
        workers.close()
    assert driver.lost_trials == []
    assert [result.state for _, result in driver.finished] == [State.COMPLETE]


@pytest.mark.parametrize("words", ["", ": MemoryError: its own"])
def test_the_last_words_of_a_worker_are_its_own(tmp_path: Path, words: str) -> None:
    (tmp_path / "worker-0.log").write_text("MemoryError: of an earlier process\n")
    # Python runs this module before all others.
    ending = f"import os\nos.write(2, {words.removeprefix(': ').encode()!r})\nos._exit(7)\n"
    (tmp_path / "sitecustomize.py").write_text(ending)
    worker = Process(tmp_path, {"PYTHONPATH": str(tmp_path)})
    with pytest.raises(WorkerEnded, match=f"^worker ended with status 7{words}$"):
        worker.receive()
    worker.kill()


@pytest.mark.timeout(240)
def test_a_worker_that_gets_no_answer_gives_up_a_trial_whose_next_attempt_has_begun(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    directory = directory_for(spec := spec_for(tiny, home), tmp_path / "t")
    worker = Process(tmp_path, {})
    try:
        worker.send({"run": str(directory.path)})
        assert "epoch" in worker.receive()
        directory.write_spec(replace(spec, attempt=2))
        assert worker.receive() == {"fenced": True}
        with lock(directory.lock_path, note="attempt 2", wait_seconds=0.0):
            pass
        # An answer that comes too late is none to the next trial.
        worker.send({"decision": Decision.PRUNE})
        other = directory_for(spec, tmp_path / "other")
        worker.send({"run": str(other.path)})
        while "epoch" in (message := worker.receive()):
            worker.send({"decision": Decision.CONTINUE})
        assert result_from_json(message["result"]).state is State.COMPLETE
    finally:
        worker.kill()


def test_a_trial_whose_loader_process_was_killed_is_tried_again_from_its_last_epoch(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = planned(spec_for(tiny, home), loader_workers=1)
    directory = directory_for(spec, tmp_path / "t")
    driver = FixedTrials([directory])
    epochs: list[int] = []

    def kill_the_loader_once(_: TrialDirectory, result: EpochResult) -> None:
        epochs.append(result.epoch)
        if epochs == [1]:
            loaders = [p for p in psutil.Process().children() if "spawn_main" in str(p.cmdline())]
            assert loaders
            for loader in loaders:
                loader.kill()

    def try_again(lost: TrialDirectory, reason: str) -> None:
        driver.lost_trials.append((lost, reason))
        lost.write_spec(replace(spec, attempt=2))
        driver.waiting.append(lost)

    driver.on_report = kill_the_loader_once
    driver.lost = try_again  # type: ignore[assignment, method-assign]
    InlineWorkers().run(driver)
    assert [result.reason for _, result in driver.finished] == [None]
    ((_, reason),) = driver.lost_trials
    assert reason.startswith("a loader process died: DataLoader worker")
    ((_, result),) = driver.finished
    assert (result.state, result.attempt) == (State.COMPLETE, 2)
    # The answer to the first epoch may have been lost; it is neither trained nor written again.
    assert epochs == [1, 1, 2, 3]
    whole = directory_for(planned(spec, loader_workers=0), tmp_path / "whole")
    trial_run.run(whole, report=lambda _: Decision.CONTINUE, interrupted=lambda: False)
    assert numbers(directory) == numbers(whole)


@pytest.mark.timeout(120)
def test_a_worker_that_does_not_stop_in_time_is_killed_and_reported(
    light: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.driver.workers.GRACE_SECONDS", 0.0)
    driver = FixedTrials(trial_directories(1, light, home, tmp_path))

    def freeze(_: TrialDirectory, __: EpochResult) -> None:
        driver.stopping = True
        for child in children():
            os.kill(child.pid, signal.SIGSTOP)

    driver.on_report = freeze
    workers = LocalWorkers(1, tmp_path / "logs")
    try:
        workers.run(driver)
    finally:
        workers.close()
    ((_, reason),) = driver.lost_trials
    assert reason == "did not stop within 0 s"
