"""A driver with a fixed pile of trials, for tests of workers; and their logs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from tests.support.trials import directory_for, spec_for
from workbench.driver import Driver
from workbench.record import Decision, EpochResult, Result, TrialDirectory


class Tray(Driver):
    """A driver with a fixed pile of trials."""

    stopping: bool = False

    def __init__(
        self, pile: list[TrialDirectory], after_a_loss: Sequence[TrialDirectory] = ()
    ) -> None:
        self.pile = pile
        self.after_a_loss = after_a_loss
        self.finished: list[tuple[TrialDirectory, Result]] = []
        self.lost_ones: list[tuple[TrialDirectory, str]] = []
        self.on_report: Callable[[TrialDirectory, EpochResult], None] | None = None
        self.answer = Decision.CONTINUE

    def next(self) -> TrialDirectory | None:
        return self.pile.pop(0) if self.pile and not self.stopping else None

    def report(self, directory: TrialDirectory, result: EpochResult) -> Decision:
        if self.on_report is not None:
            self.on_report(directory, result)
        return self.answer

    def finish(self, directory: TrialDirectory, result: Result) -> None:
        self.finished.append((directory, result))

    def lost(self, directory: TrialDirectory, reason: str) -> None:
        self.lost_ones.append((directory, reason))
        self.pile += self.after_a_loss

    def halt(self, directory: TrialDirectory, reason: str) -> None:
        raise AssertionError(reason)

    def idle(self) -> None:
        return None


def pile_of(count: int, file: Path, home: Path, folder: Path) -> list[TrialDirectory]:
    spec = spec_for(file, home)
    return [directory_for(spec, folder / str(number)) for number in range(count)]


def log_of(worker: psutil.Process) -> Path:
    (log,) = {file.path for file in worker.open_files() if file.path.endswith(".log")}
    return Path(log)
