"""Local worker processes: warm, replaceable, stoppable; and the same numbers as in this process."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.support.crew import Tray, log_of, pile_of
from tests.support.trials import EPOCHS, directory_for, numbers, planned, spec_for, write_light
from workbench.driver import Resources, workers
from workbench.driver.workers import InlineWorkers, LocalWorkers
from workbench.record import Decision, EpochResult, State, TrialDirectory
from workbench.trial import run as trial_run

Write = Callable[..., Path]


@pytest.fixture
def light(tmp_path: Path) -> Path:
    """A study whose trials cost little more than the start of a worker."""
    return write_light(tmp_path / "light")


def children() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "workbench.driver.worker" in p.cmdline()]


@pytest.mark.timeout(120)
def test_local_workers_run_every_trial_once_with_the_numbers_of_this_process_and_park_at_a_stop(
    write_study: Write, home: Path, tmp_path: Path
) -> None:
    tiny, endless = write_study(), write_study(("epochs: 3", "epochs: 100000"), name="endless")
    tray = Tray(pile_of(4, tiny, home, tmp_path / "local"))
    stopped = Tray(pile_of(1, endless, home, tmp_path / "stopped"))

    def stop(_: TrialDirectory, line: EpochResult) -> None:
        stopped.stopping = line.epoch >= 3

    stopped.on_report = stop
    crew = LocalWorkers(2, tmp_path / "logs")
    try:
        crew.prepare(1, Resources())
        assert len(children()) == 1, "no more processes than trials"
        crew.prepare(9, Resources())
        assert len(children()) == 2
        crew.run(tray)
        assert len(children()) == 2, "workers stay warm between two studies"
        crew.run(stopped)
    finally:
        crew.close()
    assert children() == []
    assert [result.state for _, result in tray.finished] == [State.COMPLETE] * 4
    here = Tray(pile_of(1, tiny, home, tmp_path / "inline"))
    InlineWorkers().run(here)
    expected = numbers(here.finished[0][0])
    assert all(numbers(directory) == expected for directory, _ in tray.finished)
    assert [result.state for _, result in stopped.finished] == [State.PARKED]


@pytest.mark.timeout(300)
def test_a_killed_worker_is_noticed_with_its_signal_and_replaced_by_one_with_its_own_log(
    light: Path, home: Path, tmp_path: Path
) -> None:
    # After the loss there is one trial more than the worker that is left can take.
    first, second, *more = pile_of(4, light, home, tmp_path)
    tray = Tray([first, second], after_a_loss=more)

    def kill_first(directory: TrialDirectory, _: EpochResult) -> None:
        if directory.path.name == "0":
            worker = next(child for child in children() if log_of(child).name == "worker-0.log")
            worker.kill()

    tray.on_report = kill_first
    crew, other = LocalWorkers(2, tmp_path / "logs"), LocalWorkers(1, tmp_path / "logs")
    try:
        crew.run(tray)
        other.run(Tray(pile_of(1, light, home, tmp_path / "other")))
        logs = {log_of(child) for child in children()}
    finally:
        crew.close()
        other.close()
    ((lost, reason),) = tray.lost_ones
    assert (lost.path.name, reason) == ("0", "worker ended by signal SIGKILL")
    assert {(at.path.name, result.state) for at, result in tray.finished} == {
        ("1", State.COMPLETE),
        ("2", State.COMPLETE),
        ("3", State.COMPLETE),
    }
    assert {log.name for log in logs} == {"worker-0.log", "worker-1.log", "worker-2.log"}


@pytest.mark.timeout(120)
def test_a_trial_that_hangs_is_tried_again_and_one_that_reports_now_and_then_is_not(
    light: Path, home: Path, tmp_path: Path
) -> None:
    slow, hung = (
        pile_of(1, write_light(tmp_path / name, train), home, tmp_path / name)
        for name, train in (
            ("slow", EPOCHS.replace("yield", "__import__('time').sleep(0.8); yield")),
            ("hung", EPOCHS.replace("yield", "__import__('time').sleep(3600); yield")),
        )
    )
    # The first one warms the worker up: loading libraries is no report either.
    tray = Tray([*pile_of(1, light, home, tmp_path / "light"), *slow, *hung])
    crew = LocalWorkers(1, tmp_path / "logs")
    try:
        crew.run(Tray([tray.pile.pop(0)]))
        crew._resources = Resources(stall_timeout=2.0)
        crew.run(tray)
    finally:
        crew.close()
    assert [result.state for _, result in tray.finished] == [State.COMPLETE]
    assert tray.lost_ones == [(hung[0], "stalled: no report for 2 s")]


@pytest.mark.timeout(120)
def test_no_trial_loses_an_attempt_to_a_worker_that_ended_while_it_had_none(
    light: Path, home: Path, tmp_path: Path
) -> None:
    tray = Tray(pile_of(2, light, home, tmp_path))
    crew = LocalWorkers(2, tmp_path / "logs")
    try:
        crew.prepare(2, Resources())
        idle = children()[0]
        idle.kill()
        while idle.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        crew.run(tray)
    finally:
        crew.close()
    assert tray.lost_ones == []
    assert [result.state for _, result in tray.finished] == [State.COMPLETE] * 2


@pytest.mark.timeout(300)
def test_the_last_words_of_a_worker_are_its_own(tmp_path: Path, home: Path, light: Path) -> None:
    (tmp_path / "worker-0.log").write_text("MemoryError: of an earlier process\n")
    missing = TrialDirectory(tmp_path / "missing")
    tray = Tray([missing])
    crew = LocalWorkers(1, tmp_path)
    try:
        crew.run(tray)
        ((_, reason),) = tray.lost_ones
        assert reason.startswith("worker ended with status 1: FileNotFoundError: There is no spec")
        silent = spec_for(light, home)
        silent = replace(silent, plan=replace(silent.plan, trial=f"{tmp_path / 'exits.py'}:train"))
        (tmp_path / "exits.py").write_text("import os\ndef train(trial): os._exit(7)\n")
        tray.pile = [directory_for(silent, tmp_path / "silent")]
        crew.run(tray)
    finally:
        crew.close()
    assert tray.lost_ones[1][1] == "worker ended with status 7"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("inline", [False, True])
def test_a_trial_whose_loader_process_was_killed_is_tried_again_from_its_last_epoch(
    inline: bool, tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = planned(spec_for(tiny, home), loader_workers=1)
    directory = directory_for(spec, tmp_path / "t")
    tray = Tray([directory])
    epochs: list[int] = []

    def kill_the_loader_once(_: TrialDirectory, result: EpochResult) -> None:
        epochs.append(result.epoch)
        if epochs == [1]:
            (worker,) = [psutil.Process()] if inline else children()
            loaders = [p for p in worker.children() if "spawn_main" in " ".join(p.cmdline())]
            assert loaders
            for loader in loaders:
                loader.kill()

    def try_again(lost: TrialDirectory, reason: str) -> None:
        tray.lost_ones.append((lost, reason))
        lost.write_spec(replace(spec, attempt=2))
        tray.pile.append(lost)

    tray.on_report = kill_the_loader_once
    tray.lost = try_again  # type: ignore[assignment, method-assign]
    crew = InlineWorkers() if inline else LocalWorkers(1, tmp_path / "logs")
    try:
        crew.run(tray)
    finally:
        crew.close()
    assert [result.reason for _, result in tray.finished] == [None]
    ((_, reason),) = tray.lost_ones
    assert reason.startswith("a loader process died: DataLoader worker")
    ((_, result),) = tray.finished
    assert (result.state, result.attempt) == (State.COMPLETE, 2)
    # The answer to the first epoch may have been lost; it is neither trained nor written again.
    assert epochs == [1, 1, 2, 3]
    whole = directory_for(planned(spec, loader_workers=0), tmp_path / "whole")
    trial_run.run(whole, report=lambda _: Decision.CONTINUE, interrupted=lambda: False)
    assert numbers(directory) == numbers(whole)


@pytest.mark.timeout(120)
def test_a_file_in_the_current_directory_is_never_imported_by_a_worker(
    light: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise RuntimeError('imported from the directory')")
    tray = Tray(pile_of(1, light, home, tmp_path / "pile"))
    monkeypatch.chdir(tmp_path)
    crew = LocalWorkers(1, tmp_path / "logs")
    try:
        crew.run(tray)
    finally:
        crew.close()
    assert tray.lost_ones == []
    assert [result.state for _, result in tray.finished] == [State.COMPLETE]


@pytest.mark.timeout(120)
def test_a_worker_that_does_not_stop_in_time_is_killed_and_reported(
    light: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "GRACE_SECONDS", 0.0)
    tray = Tray(pile_of(1, light, home, tmp_path))

    def freeze(_: TrialDirectory, __: EpochResult) -> None:
        tray.stopping = True
        for child in children():
            os.kill(child.pid, signal.SIGSTOP)

    tray.on_report = freeze
    crew = LocalWorkers(1, tmp_path / "logs")
    try:
        crew.run(tray)
    finally:
        crew.close()
    ((_, reason),) = tray.lost_ones
    assert reason == "did not stop within 0 s"


@pytest.mark.timeout(120)
def test_workers_die_with_their_driver(light: Path, home: Path, tmp_path: Path) -> None:
    pile_of(1, light, home, tmp_path / "pile")
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from workbench.record import TrialDirectory\n"
        "from workbench.driver.workers import LocalWorkers\n"
        "crew = LocalWorkers(1, Path(sys.argv[1]))\n"
        "class Pile:\n"
        "    stopping = False\n"
        "    pile = [TrialDirectory(Path(sys.argv[2]))]\n"
        "    def next(self): return self.pile.pop() if self.pile else None\n"
        "    def report(self, *_): print('warm', flush=True); time.sleep(60)\n"
        "    def idle(self): pass\n"
        "crew.run(Pile())\n"
        "time.sleep(60)\n"
    )
    driver = psutil.Popen(
        [sys.executable, "-c", script, str(tmp_path / "logs"), str(tmp_path / "pile" / "0")],
        stdout=-1,
        text=True,
    )
    assert driver.stdout.readline() == "warm\n"
    (worker,) = driver.children()
    driver.kill()
    driver.wait()
    driver.stdout.close()
    for _ in range(1000):
        if not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived its driver")
