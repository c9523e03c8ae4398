"""Real faults: drivers and workers that are killed, terminals that close, disks that are full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench import record
from workbench.record import TrialDirectory

Write = Callable[..., Path]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# A search of two trials by the parts that a command wires together, without MLflow.
SEARCH = """
import sys
from pathlib import Path
from workbench import record
from workbench.config import load
from workbench.driver import Driver, Stop
from workbench.foundation import Foundation
from workbench.study import Search
from workbench.workers import LocalWorkers

class Silent:
    def changed(self, directory):
        pass

if __name__ == "__main__":
    file, home = map(Path, sys.argv[1:])
    config = load(file)
    directory = record.study_directory(home, config.name)
    workers = LocalWorkers(1, home / "logs")
    search = Search(config, Foundation(config, home), directory)
    with Stop().listening() as stop:
        signal = Driver(
            study_directory=directory, source=search, workers=workers, mirror=Silent(),
            progress=lambda: None, stop=stop,
        ).run()
    workers.close()
    sys.exit(0 if signal is None else 75)
"""
# Two trials of one strategy.
SMALL = (
    ("optimizer: [sgd, adamw]\n  freeze_depth: [0, all]", "optimizer: [sgd]"),
    ("trials_per_strategy: 5", "trials_per_strategy: 2"),
    ("pruner: median", "pruner: none"),
)


def search(file: Path, home: Path, **options: Any) -> subprocess.Popen[Any]:
    """A driver in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", SEARCH, str(file), str(home)], **options)


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


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    for _ in range(2400):
        if condition():
            return
        assert process.poll() is None, "the process ended too early"
        time.sleep(0.025)
    pytest.fail("nothing happened within a minute")


def test_five_deaths_of_the_driver_in_one_trial_change_nothing(
    write_study: Write, home: Path, tmp_path: Path
) -> None:
    file, whole = write_study(*SMALL, ("epochs: 3", "epochs: 300")), tmp_path / "whole"
    assert search(file, whole).wait() == 0
    at = TrialDirectory(record.study_directory(home, "tiny") / "trials/sgd/000")
    for lines in (10, 20, 30, 40, 50):
        driver = search(file, home)

        def reached(lines: int = lines) -> bool:
            return len(at.history()) >= lines

        wait_for(reached, driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        assert at.result() is None, "it was over before the kill"
    assert search(file, home).wait() == 0
    assert outcome(home) == outcome(whole)
    spec = at.spec()
    assert spec is not None and (spec.attempt, spec.failures) == (6, 0)
