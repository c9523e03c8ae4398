"""Real faults: drivers and workers that are killed, terminals that close, disks that are full."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import processes
from tests.support.commands import call, wait_for, works
from tests.support.hungry import write_hungry
from tests.support.mlflow_home import home_in
from tests.support.processes import Forked
from tests.support.trials import OWN, directory_for, go_on, never, numbers, spec_for, write_light
from workbench import record
from workbench.commands import outcomes
from workbench.record import Decision, EpochResult, TrialDirectory
from workbench.record.files import DiskError
from workbench.tracker import Tracker
from workbench.trial import run as trial_run

Write = Callable[..., Path]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Two trials of one strategy.
SMALL = (
    ("optimizer: [sgd, adamw]\n  freeze_depth: [0, all]", "optimizer: [sgd]"),
    ("trials_per_strategy: 5", "trials_per_strategy: 2"),
    ("pruner: median", "pruner: none"),
)


_STARTED: list[Forked] = []


def search(file: Path, home: Path, *, inline: bool = False) -> Forked:
    """A driver in a process of its own; with ``inline`` it is its own worker."""
    process = Forked(processes.search, file, home, inline=inline)
    _STARTED.append(process)
    return process


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Ends the processes of a test that has failed."""
    yield
    while _STARTED:
        process = _STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


def outcome(home: Path) -> dict[str, Any]:
    """All that a search found, but for times and attempts."""
    found: dict[str, Any] = {}
    for directory, spec in record.scan(record.study_directory(home, "tiny")):
        result = directory.result()
        assert result is not None
        history = [
            {**line.metrics, "seconds": 0.0, "epoch": float(line.epoch)}
            for line in directory.history()
        ]
        weights = record.sha256_of(directory.weights) if directory.weights.exists() else None
        found[spec.name] = (spec.hyperparameters, result.state, result.value, history, weights)
    return found


def test_five_deaths_of_the_driver_in_one_trial_change_nothing(
    write_study: Write, home: Path, tmp_path: Path
) -> None:
    file, whole = write_study(*SMALL, ("epochs: 3", "epochs: 300")), tmp_path / "whole"
    assert search(file, whole, inline=True).wait() == 0
    at = TrialDirectory(record.study_directory(home, "tiny") / "trials/sgd/000")
    for _ in range(5):
        # More than there are: a driver that has begun nothing is no attempt.
        lines = len(at.history()) + 5
        driver = search(file, home, inline=True)

        def reached(lines: int = lines) -> bool:
            return len(at.history()) >= lines

        wait_for(reached, driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        assert at.result() is None, "it was over before the kill"
    assert search(file, home, inline=True).wait() == 0
    assert outcome(home) == outcome(whole)
    spec = at.spec()
    assert spec is not None and (spec.attempt, spec.failures) == (6, 0)


# A training that starts a process of its own and then waits: in native code that keeps the
# interpreter's lock, or in Python.
WAITING = """\
import ctypes, os, pathlib, subprocess, time

def train(trial):
    child = subprocess.Popen(["sleep", "1000"])
    note = pathlib.Path(__file__).with_name("pids")
    note.with_suffix(".new").write_text(f"{{os.getpid()}} {{child.pid}}")
    note.with_suffix(".new").rename(note)
    {wait}
    yield {{}}
"""
IN_NATIVE_CODE = "ctypes.PyDLL(None).sleep(1000)"
IN_PYTHON = "time.sleep(1000)"


def waiting(folder: Path, wait: str) -> tuple[Forked, list[int]]:
    """A driver whose trial waits for ever, and the processes of worker and trial."""
    file = write_light(folder, WAITING.format(wait=wait))
    driver = search(file, folder)
    note = file.with_name("pids")
    wait_for(note.exists, driver)
    return driver, [int(number) for number in note.read_text().split()]


def gone(process: int) -> bool:
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def ended(processes: list[int]) -> bool:
    """Whether all of them end soon; what does not is ended here."""
    for _ in range(200):
        if all(map(gone, processes)):
            return True
        time.sleep(0.05)
    for process in processes:
        if not gone(process):
            os.kill(process, signal.SIGKILL)
    return False


def test_a_worker_in_native_code_and_what_it_has_started_end_with_a_driver_that_is_killed(
    home: Path,
) -> None:
    driver, processes = waiting(home, IN_NATIVE_CODE)
    driver.kill()
    driver.wait()
    assert ended(processes)


def test_what_a_trial_has_started_ends_with_a_worker_that_is_killed(home: Path) -> None:
    driver, (worker, child) = waiting(home, IN_PYTHON)
    os.kill(worker, signal.SIGKILL)
    try:
        assert ended([child])
    finally:
        driver.kill()
        driver.wait()


def test_a_second_signal_ends_a_worker_in_native_code_and_what_it_has_started(home: Path) -> None:
    driver, processes = waiting(home, IN_NATIVE_CODE)
    driver.send_signal(signal.SIGINT)
    wait_for((home / "stopping").exists, driver)
    driver.send_signal(signal.SIGINT)
    assert driver.wait() == 130
    assert ended(processes)


def test_a_terminal_that_closes_parks_the_study(write_study: Write, stored: Path) -> None:
    file = write_study(*SMALL, ("epochs: 3", "epochs: 100000"))
    terminal, end = os.openpty()
    words = ("run", file, "--home", stored, "--workers", "1")
    process = Forked(processes.command_at, os.ttyname(end), *words)
    _STARTED.append(process)
    at = TrialDirectory(record.study_directory(stored, "tiny") / "trials/sgd/000")
    os.set_blocking(terminal, False)

    def reached() -> bool:
        with contextlib.suppress(BlockingIOError):
            os.read(terminal, 1 << 16)
        return len(at.history()) >= 3

    wait_for(reached, process)
    os.close(terminal)
    assert process.wait() == outcomes.RESUMABLE
    os.close(end)
    result = at.result()
    assert result is not None
    assert result.state is record.State.PARKED
    assert result.reason in ("interrupted", f"parked at epoch {at.history()[-1].epoch}")


def test_a_study_without_memory_is_trained_with_half_the_micro_batch_and_the_report_lists_it(
    write_study: Write, stored: Path, tmp_path: Path
) -> None:
    write_hungry(tmp_path)
    backbone = "{name: hungry.py:hungry, most: 8}"
    file = write_study(*SMALL, ("{name: mlp, hidden: [8, 8]}", backbone))
    works("run", file, "--home", stored, "--workers", "1")
    first, second = Tracker(stored).read_trials("tiny")
    tag = "8, halved after running out of memory"
    for trial in (first, second):
        assert trial.state is record.State.COMPLETE
        assert trial.provenance["micro_batch_size"] == tag
    works("report", "tiny", "--home", stored)
    page = (stored / "reports" / "tiny" / "report.md").read_text()
    assert "trained with half the micro-batch: sgd/000 and sgd/001." in page


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty disk of forty megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
    try:
        subprocess.run(mounting, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no disk can be mounted here: {error}")
    yield folder
    # Lazily: a test that has failed may have left a process there.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


# A training that, once, writes to a file that a note names until its disk is full. It shortens the
# pauses in which its worker waits for room.
FILLING = "import pathlib\nNOTE = pathlib.Path(__file__).with_name('full')\n" + OWN.replace(
    "        module.train()\n",
    "        if epoch == 2 and NOTE.exists():\n"
    "            ballast = pathlib.Path(NOTE.read_text())\n"
    "            NOTE.unlink()\n"
    "            from workbench.trial import run\n"
    "            run.DISK_PAUSES = (0.1,)\n"
    "            with ballast.open('wb', buffering=0) as stream:\n"
    "                while True:\n"
    "                    stream.write(bytes(1 << 20))\n"
    "        module.train()\n",
)


def test_a_full_disk_parks_the_study_and_the_next_start_ends_like_an_undisturbed_one(
    home: Path, small_disk: Path, tmp_path: Path
) -> None:
    file, disk = write_light(tmp_path, FILLING), home_in(small_disk)
    ballast = disk / "ballast"
    file.with_name("full").write_text(str(ballast))
    code, _, errors = call("run", file, "--home", disk, "--workers", "1")
    assert code == outcomes.ENVIRONMENT, errors
    at = TrialDirectory(record.study_directory(disk, "tiny") / "trials/joint/000")
    assert f"{at.path}: No space left on device (0 bytes are free). The study is parked" in errors
    result = at.result()
    assert result is None or result.state is record.State.PARKED
    ballast.unlink()
    works("run", file, "--home", disk, "--inline")
    assert search(file, home, inline=True).wait() == 0
    assert outcome(disk) == outcome(home)


def fill(disk: Path) -> Path:
    """A file that takes all room of a disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        for size in (1 << 20, 512):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(bytes(size))
    return ballast


@pytest.mark.parametrize("epoch", [1, 3], ids=["history and checkpoint", "weights and pictures"])
def test_a_trial_waits_for_room_on_a_full_disk_and_ends_as_if_there_had_been_some(
    tiny: Path,
    home: Path,
    tmp_path: Path,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    epoch: int,
) -> None:
    monkeypatch.setattr(trial_run, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(trial_run, "DISK_PAUSES", (0.2, 0.2, 0.2))
    reference = directory_for(spec_for(tiny, home), tmp_path / "reference")
    expected = trial_run.run(reference, report=go_on, interrupted=never)

    def report(line: EpochResult) -> Decision:
        if line.epoch == epoch:
            fill(small_disk)
        return Decision.CONTINUE

    # It gives up where nobody makes room.
    at = directory_for(spec_for(tiny, home), small_disk / "trial")
    with pytest.raises(DiskError, match=r"No space left on device \(.*bytes are free\)\."):
        trial_run.run(at, report=report, interrupted=never)
    assert at.result() is None
    (small_disk / "ballast").unlink()

    asked = 0

    def interrupted() -> bool:
        nonlocal asked
        asked += 1
        if (small_disk / "ballast").exists() and asked % 3 == 0:
            (small_disk / "ballast").unlink()
        return False

    for directory in (at, directory_for(spec_for(tiny, home), small_disk / "other")):
        result = trial_run.run(directory, report=report, interrupted=interrupted)
        assert (result.state, result.value) == (expected.state, expected.value)
        assert numbers(directory) == numbers(reference)
        assert directory.weights.read_bytes() == reference.weights.read_bytes()
        left = {path.name for path in directory.artifacts.iterdir()}
        assert left == {path.name for path in reference.artifacts.iterdir()}
