"""The driver's promises: one driver, nothing lost, three attempts, a stop in good order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from signal import SIGHUP

import pytest

from tests.support.scripted import ListSource, Script, a_spec, drive
from workbench import record
from workbench.driver import Driver, RepeatedFailureError, attempts
from workbench.driver.leases import StudyBusyError, holder_of, lease
from workbench.driver.progress import GroupProgress, RunningTrial
from workbench.driver.signals import SIGNALS, Stop
from workbench.record import (
    Decision,
    EpochResult,
    Result,
    Role,
    State,
    TrialDirectory,
    TrialSpec,
)
from workbench.record.files import DiskError, lock


def complete(driver: Driver, directory: TrialDirectory) -> None:
    epoch = EpochResult(epoch=1, phase="main", metrics={"x": 1.0}, timestamp=1)
    directory.append(epoch)
    assert driver.report(directory, epoch) is Decision.CONTINUE
    driver.finish(directory, Result(state=State.COMPLETE, attempt=1, value=1.0))


def test_every_trial_is_specified_on_disk_before_a_worker_sees_it(tmp_path: Path) -> None:
    source, workers = ListSource(3), Script(complete)
    assert drive(tmp_path, source, workers)[0] is None
    assert workers.attempts == [("a/000", 1), ("a/001", 1), ("a/002", 1)]
    assert [state for _, state, _ in source.finished] == [State.COMPLETE] * 3
    assert len(record.scan(tmp_path)) == 3


def test_adopted_trials_come_before_new_ones(tmp_path: Path) -> None:
    source = ListSource(1, adopted=[replace(a_spec(7), attempt=2)])
    workers = Script(complete)
    drive(tmp_path, source, workers)
    assert workers.attempts == [("a/007", 2), ("a/000", 1)]


def test_a_trial_whose_worker_dies_is_tried_three_times_and_then_fails_with_the_reason(
    tmp_path: Path,
) -> None:
    source = ListSource(1)
    workers = Script(
        lambda driver, directory: driver.lost(directory, "worker ended by signal SIGKILL")
    )
    drive(tmp_path, source, workers)
    assert workers.attempts == [("a/000", 1), ("a/000", 2), ("a/000", 3)]
    spec = TrialDirectory(tmp_path / "trials" / "a" / "000").spec()
    assert spec is not None and spec.failures == 3
    ((name, state, reason),) = source.finished
    assert (name, state) == ("a/000", State.FAILED)
    assert reason == "worker ended by signal SIGKILL; given up after 3 attempts"
    result = TrialDirectory(tmp_path / "trials" / "a" / "000").result()
    assert result is not None and result.state is State.FAILED


@pytest.mark.parametrize("attempt", [1, 3])
def test_a_result_written_by_a_worker_that_died_before_it_said_so_is_kept(
    tmp_path: Path, attempt: int
) -> None:
    source = ListSource(0, adopted=[replace(a_spec(0), attempt=attempt)])

    def act(driver: Driver, directory: TrialDirectory) -> None:
        directory.write_result(Result(state=State.COMPLETE, attempt=attempt, value=1.0))
        driver.lost(directory, "worker ended by signal SIGKILL")

    workers = Script(act)
    drive(tmp_path, source, workers)
    assert workers.attempts == [("a/000", attempt)]
    assert source.finished == [("a/000", State.COMPLETE, None)]


def test_a_failed_attempt_is_remembered_by_the_next_driver(tmp_path: Path) -> None:
    """Each driver dies as soon as it has seen the death of a worker."""

    class Died(BaseException):
        pass

    def act(driver: Driver, directory: TrialDirectory) -> None:
        driver.lost(directory, "worker ended by signal SIGKILL")
        raise Died

    at = TrialDirectory(tmp_path / "trials" / "a" / "000")
    specs = [a_spec(0)]
    for failures in (1, 2, 3):
        source = ListSource(0, adopted=specs)
        with pytest.raises(Died):
            drive(tmp_path, source, Script(act))
        stored = at.spec()
        assert stored is not None and stored.failures == failures
        if failures < 3:
            assert at.result() is None
            specs = [spec for spec in [attempts.take_over(stored, at, lambda *_: None)] if spec]
    result = at.result()
    assert result is not None and result.state is State.FAILED


def test_a_driver_that_fails_parks_what_had_not_ended(tmp_path: Path) -> None:
    class Failing(ListSource):
        def report(self, spec: TrialSpec, result: EpochResult) -> Decision:
            raise OSError("database is locked")

    with pytest.raises(OSError, match="database is locked"):
        drive(tmp_path, Failing(1), Script(complete))
    result = TrialDirectory(tmp_path / "trials" / "a" / "000").result()
    assert result is not None and result.state is State.PARKED


def test_trials_given_up_before_their_first_epoch_stop_the_study(tmp_path: Path) -> None:
    source = ListSource(9)
    workers = Script(lambda driver, directory: driver.lost(directory, "worker ended with status 1"))
    with pytest.raises(RepeatedFailureError, match="given up after 3 attempts"):
        drive(tmp_path, source, workers)
    assert len(source.finished) == 3


def test_the_first_signal_parks_running_trials_and_hands_out_no_more(tmp_path: Path) -> None:
    source = ListSource(3)

    def act(driver: Driver, directory: TrialDirectory) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        epoch = EpochResult(epoch=1, phase="main", metrics={"x": 1.0}, timestamp=1)
        assert driver.report(directory, epoch) is Decision.PARK
        driver.finish(directory, Result(state=State.PARKED, attempt=1))

    before = signal.getsignal(signal.SIGTERM)
    done, notes = drive(tmp_path, source, Script(act))
    assert done == signal.SIGTERM
    assert source.finished == []
    assert len(source.specs) == 2
    assert notes.paths
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_pruned_trial_stays_pruned_when_a_signal_comes(tmp_path: Path) -> None:
    class Pruning(ListSource):
        def report(self, spec: TrialSpec, result: EpochResult) -> Decision:
            return Decision.PRUNE

    def act(driver: Driver, directory: TrialDirectory) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        epoch = EpochResult(epoch=1, phase="main", metrics={"x": 1.0}, timestamp=1)
        assert driver.report(directory, epoch) is Decision.PRUNE
        driver.finish(directory, Result(state=State.PRUNED, attempt=1))

    source = Pruning(1)
    drive(tmp_path, source, Script(act))
    assert [state for _, state, _ in source.finished] == [State.PRUNED]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_stops_at_once_and_parks(tmp_path: Path, number: signal.Signals) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.support import scripted as t\n"
        "def act(driver, directory):\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "    assert driver.stopping\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        f"    os.kill(os.getpid(), {int(number)} if {number is not SIGHUP} else signal.SIGTERM)\n"
        "t.drive(Path(sys.argv[1]), t.ListSource(1), t.Script(act))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == 128 + (signal.SIGTERM if number is SIGHUP else number)
    result = TrialDirectory(tmp_path / "trials" / "a" / "000").result()
    assert result is not None and result.state is State.PARKED


def test_a_hangup_that_is_ignored_at_the_start_stays_ignored() -> None:
    before = signal.signal(SIGHUP, signal.SIG_IGN)
    try:
        with Stop().listening():
            assert signal.getsignal(SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(SIGHUP, before)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_nothing_runs_interrupts(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), Stop().listening() as stop:
        os.kill(os.getpid(), number)
    assert stop.signal == number


def test_a_record_that_cannot_be_written_stops_the_study_and_fails_no_trial(tmp_path: Path) -> None:
    source = ListSource(3)
    with pytest.raises(DiskError, match=r"disk full \(0 bytes are free\)"):
        drive(
            tmp_path,
            source,
            Script(lambda driver, at: driver.halt(at, "disk full (0 bytes are free).")),
        )
    assert source.finished == []
    assert len(source.specs) == 2
    result = TrialDirectory(tmp_path / "trials" / "a" / "000").result()
    assert result is not None and result.state is State.PARKED


def test_the_same_failure_three_times_before_the_first_epoch_stops_the_study(
    tmp_path: Path,
) -> None:
    def act(driver: Driver, directory: TrialDirectory) -> None:
        result = Result(
            state=State.FAILED, attempt=1, reason="RuntimeError: no data", traceback="Traceback: x"
        )
        driver.finish(directory, result)

    source = ListSource(9)
    told = r"Study stopped: 3 trials(?s:.*)Traceback: x\n.*--retry-failed"
    with pytest.raises(RepeatedFailureError, match=told):
        drive(tmp_path, source, Script(act))
    assert len(source.finished) == 3


def test_trials_that_diverge_do_not_stop_the_study(tmp_path: Path) -> None:
    def act(driver: Driver, directory: TrialDirectory) -> None:
        driver.finish(
            directory, Result(state=State.FAILED, attempt=1, reason="diverged at epoch 1")
        )

    source = ListSource(5)
    drive(tmp_path, source, Script(act))
    assert len(source.finished) == 5


def test_a_trial_that_the_driver_does_not_know_is_fenced(tmp_path: Path) -> None:
    source = ListSource(1)

    def act(driver: Driver, directory: TrialDirectory) -> None:
        epoch = EpochResult(epoch=1, phase="main", metrics={"x": 1.0}, timestamp=1)
        stranger = TrialDirectory(tmp_path / "trials" / "a" / "099")
        assert driver.report(stranger, epoch) is Decision.FENCED
        complete(driver, directory)

    drive(tmp_path, source, Script(act))
    assert source.reports == [(0, 1)]


def test_a_second_driver_is_refused_and_told_who_holds_the_study(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from workbench.driver.leases import lease\n"
        "with lease(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StudyBusyError, match=f"process {holder.pid} on "), lease(tmp_path):
            pass
        words = holder_of(tmp_path)
        assert words is not None and words.startswith(f"process {holder.pid} on ")
        holder.kill()
        holder.wait()
    with lease(tmp_path):
        assert f"process {os.getpid()} on " in (tmp_path / "lock").read_text()
    assert holder_of(tmp_path) is None


def test_a_study_that_an_older_version_holds_is_refused_without_its_json(tmp_path: Path) -> None:
    with lock(tmp_path / "lock", note='{"pid": 7, "host": "a", "since": "2025-01-01 10:00:00"}'):
        assert holder_of(tmp_path) == "another process"
        with (
            pytest.raises(StudyBusyError, match=r"already running: another process\."),
            lease(tmp_path),
        ):
            pass


def test_a_standing_counts_what_has_ended() -> None:
    group = GroupProgress(name="a", target=9, complete=2, pruned=3, failed=1, running=2)
    assert group.ended == 6


@pytest.mark.parametrize(
    ("role", "value"), [(Role.SEARCH, 0.75), (Role.SELECTION, 0.75), (Role.CONFIRMATION, None)]
)
def test_a_running_trial_is_shown_by_its_last_report_and_a_confirmation_without_its_value(
    tmp_path: Path, role: Role, value: float | None
) -> None:
    seen = []

    def halfway(driver: Driver, directory: TrialDirectory) -> None:
        seen.append(driver.running)
        metrics = {"validation/accuracy": 0.75, "epochs": 0.5}
        driver.report(directory, EpochResult(epoch=1, phase="main", metrics=metrics, timestamp=1))
        seen.append(driver.running)
        driver.finish(directory, Result(state=State.COMPLETE, attempt=1, value=1.0))
        seen.append(driver.running)

    drive(tmp_path, ListSource(0, adopted=[replace(a_spec(7), role=role)]), Script(halfway))
    begun = RunningTrial(name="a/007", epoch=0, epochs=0)
    assert seen == [[begun], [replace(begun, epoch=0.5, value=value)], []]


def test_a_resumed_trial_is_shown_at_its_last_recorded_epoch(tmp_path: Path) -> None:
    spec = replace(a_spec(7), attempt=2)
    epochs = [
        EpochResult(epoch=number, phase="main", metrics={"validation/accuracy": 0.1}, timestamp=1)
        for number in (1, 2)
    ]
    directory = record.directory_of(tmp_path, spec)
    directory.write_spec(spec)
    for epoch in epochs:
        directory.append(epoch)
    seen = []

    def look(driver: Driver, directory: TrialDirectory) -> None:
        seen.extend(driver.running)
        driver.finish(directory, Result(state=State.COMPLETE, attempt=2, value=1.0))

    drive(tmp_path, ListSource(0, adopted=[spec]), Script(look))
    assert [trial.epoch for trial in seen] == [2]


def test_a_resumed_trial_is_shown_where_it_trains_and_what_it_repeats_is_decided_once(
    tmp_path: Path,
) -> None:
    spec = replace(a_spec(7), attempt=2)
    epochs = [EpochResult(epoch=n, phase="main", metrics={"x": 0.1}, timestamp=1) for n in (1, 2)]
    directory = record.directory_of(tmp_path, spec)
    directory.write_spec(spec)
    for epoch in epochs:
        directory.append(epoch)
    shown: list[float] = []
    decided: list[int] = []

    class Source(ListSource):
        def report(self, spec: TrialSpec, result: EpochResult) -> Decision:
            decided.append(result.epoch)
            return Decision.PRUNE

    def repeat(driver: Driver, directory: TrialDirectory) -> None:
        assert driver.report(directory, epochs[0]) is Decision.CONTINUE
        shown.extend(trial.epoch for trial in driver.running)
        assert driver.report(directory, epochs[1]) is Decision.PRUNE
        driver.finish(directory, Result(state=State.PRUNED, attempt=2))

    drive(tmp_path, Source(0, adopted=[spec]), Script(repeat))
    assert (shown, decided) == ([1], [2])


@pytest.mark.parametrize(
    ("attempt", "state", "again", "told"),
    [
        (1, None, 2, None),
        (9, None, 10, None),
        (3, State.PARKED, 4, None),
        (1, State.COMPLETE, None, (State.COMPLETE, None)),
    ],
)
def test_what_becomes_of_a_run_that_an_earlier_driver_left(
    tmp_path: Path,
    attempt: int,
    state: State | None,
    again: int | None,
    told: tuple[State, str | None] | None,
) -> None:
    spec = replace(a_spec(0), attempt=attempt)
    directory = TrialDirectory(tmp_path / "run")
    directory.write_spec(spec)
    if state is not None:
        directory.write_result(Result(state=state, attempt=attempt))
    finished: list[tuple[State, str | None]] = []
    with attempts.orphaned(directory, "run a/000"):
        taken = attempts.take_over(
            spec, directory, lambda _, result: finished.append((result.state, result.reason))
        )
    assert (taken.attempt if taken else None, finished) == (again, [told] if told else [])
