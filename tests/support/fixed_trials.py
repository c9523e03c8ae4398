"""A driver with a fixed list of trials, for tests of workers; and their logs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from tests.support.trials import directory_for, spec_for
from workbench.driver import Driver
from workbench.record import Decision, EpochResult, Result, TrialDirectory


class FixedTrials(Driver):
    """A driver with a fixed list of trials."""

    stopping: bool = False

    def __init__(
        self, waiting: list[TrialDirectory], after_a_loss: Sequence[TrialDirectory] = ()
    ) -> None:
        self.waiting = waiting
        self.after_a_loss = after_a_loss
        self.finished: list[tuple[TrialDirectory, Result]] = []
        self.lost_trials: list[tuple[TrialDirectory, str]] = []
        self.on_report: Callable[[TrialDirectory, EpochResult], None] | None = None
        self.answer = Decision.CONTINUE

    def next(self) -> TrialDirectory | None:
        return self.waiting.pop(0) if self.waiting and not self.stopping else None

    def report(self, directory: TrialDirectory, result: EpochResult) -> Decision:
        if self.on_report is not None:
            self.on_report(directory, result)
        return self.answer

    def finish(self, directory: TrialDirectory, result: Result) -> None:
        self.finished.append((directory, result))

    def lost(self, directory: TrialDirectory, reason: str) -> None:
        self.lost_trials.append((directory, reason))
        self.waiting += self.after_a_loss

    def halt(self, directory: TrialDirectory, reason: str) -> None:
        raise AssertionError(reason)

    def idle(self) -> None:
        return None


def trial_directories(count: int, file: Path, home: Path, folder: Path) -> list[TrialDirectory]:
    spec = spec_for(file, home)
    return [directory_for(spec, folder / str(number)) for number in range(count)]


def log_of(worker: psutil.Process) -> Path:
    (log,) = {file.path for file in worker.open_files() if file.path.endswith(".log")}
    return Path(log)
