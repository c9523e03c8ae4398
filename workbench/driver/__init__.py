"""The process that owns a study: it holds the lease, hands out, collects and mirrors.

Fed by a source of trials; knows neither where the trials come from (Optuna, a fixed list) nor
where they run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from workbench import record
from workbench.driver.attempts import MAX_FAILURES, failure, orphaned, take_over
from workbench.driver.leases import Busy, holder_of, lease
from workbench.driver.signals import SIGNALS, Stop
from workbench.driver.workers import Workers
from workbench.record import (
    Decision,
    EpochResult,
    Result,
    State,
    TrialDirectory,
    TrialSpec,
    directory_of,
)
from workbench.record.files import DiskError

__all__ = [
    "MAX_FAILURES",
    "SIGNALS",
    "Broken",
    "Busy",
    "Driver",
    "Mirror",
    "Source",
    "Standing",
    "Stop",
    "failure",
    "holder_of",
    "lease",
    "orphaned",
    "take_over",
]

SAME_FAILURES = 3


class Broken(Exception):
    """The study cannot go on: the same failure again and again before the first epoch."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far one group of trials is.

    Attributes:
        target: Number of trials in the end.
        best: The best completed value.
    """

    name: str
    target: int
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    running: int = 0
    best: float | None = None

    @property
    def ended(self) -> int:
        """Trials that nothing more will happen to."""
        return self.complete + self.pruned + self.failed


class Source(Protocol):
    """Where trials come from and where their results go; called from the driver's thread only."""

    def adopt(self) -> list[TrialSpec]:
        """Trials that an earlier driver left unfinished, brought up to date with their records."""
        ...

    def next(self) -> TrialSpec | None:
        """A new trial, or None where there is none now."""
        ...

    def report(self, spec: TrialSpec, result: EpochResult) -> Decision:
        """Take note of an epoch, once however often it comes, and decide how the trial goes on."""
        ...

    def finish(self, spec: TrialSpec, result: Result) -> None:
        """Take note of how a trial ended."""
        ...

    def standings(self) -> Sequence[Standing]:
        """How far each group of trials is."""
        ...


class Mirror(Protocol):
    """Who is told that a record has changed; never blocks."""

    def changed(self, directory: TrialDirectory) -> None:
        """The record says something new."""
        ...


class Driver:
    """Runs what a source has to give; the caller holds the lease.

    Args:
        study_directory: Where the records lie.
        source: Where trials come from.
        workers: Where they run.
        mirror: Who is told of every change.
        progress: Called whenever there may be something new to show, with whether the study stops.
        stop: What listens to signals; by default nothing does.
    """

    def __init__(
        self,
        *,
        study_directory: Path,
        source: Source,
        workers: Workers,
        mirror: Mirror,
        progress: Callable[[bool], None],
        stop: Stop | None = None,
    ) -> None:
        self._study_directory = study_directory
        self._source = source
        self._workers = workers
        self._mirror = mirror
        self._progress = progress
        self._specs: dict[TrialDirectory, TrialSpec] = {}
        self._again: deque[TrialSpec] = deque()
        self._stop = stop or Stop()
        self._failures: list[str] = []
        self._broken: str | None = None
        self._halted: str | None = None

    def run(self) -> int | None:
        """Run until the source has no more.

        Returns:
            None when all is done, else the signal that stopped it: whatever had not ended is
            parked, and the next driver goes on with it.

        Raises:
            Broken: The same failure, three times running, before any first epoch.
            DiskError: A record cannot be written; what had not ended is parked.
        """
        try:
            with self._stop.before_exit(self._end):
                self._again.extend(self._source.adopt())
                self._workers.run(self)
        except BaseException:
            # Nobody works for a driver that has failed: what had not ended goes on next time.
            self._workers.close()
            self._park_all()
            raise
        if self._halted is not None:
            raise DiskError(self._halted)
        if self._broken is not None:
            raise Broken(
                f"{SAME_FAILURES} trials in a row failed alike before their first epoch, so the "
                f"study was stopped:\n{self._broken.rstrip()}\n"
                "Correct the cause; then run the study again, with --retry-failed."
            )
        return self._stop.signal

    # What workers ask for (workers.Desk).

    @property
    def stopping(self) -> bool:
        """Whether no new trial is handed out and running ones are to be parked."""
        return any(why is not None for why in (self._stop.signal, self._broken, self._halted))

    def next(self) -> TrialDirectory | None:
        """The next trial to run: first what was left unfinished."""
        if self.stopping:
            return None
        spec = self._again.popleft() if self._again else self._source.next()
        if spec is None:
            return None
        directory = directory_of(self._study_directory, spec)
        directory.write_spec(spec)
        self._specs[directory] = spec
        self._progress(self.stopping)
        return directory

    def report(self, directory: TrialDirectory, result: EpochResult) -> Decision:
        """Ask the source; a trial goes on only while nobody wants to stop."""
        spec = self._specs.get(directory)
        if spec is None:
            return Decision.FENCED
        decision = self._source.report(spec, result)
        self._mirror.changed(directory)
        self._progress(self.stopping)
        if decision is Decision.CONTINUE and self.stopping:
            return Decision.PARK
        return decision

    def finish(self, directory: TrialDirectory, result: Result) -> None:
        """Tell the source, unless the trial was only parked."""
        spec = self._specs.pop(directory)
        if result.state.ended:
            self._source.finish(spec, result)
            self._watch(directory, spec, result)
        self._mirror.changed(directory)
        self._progress(self.stopping)

    def lost(self, directory: TrialDirectory, reason: str) -> None:
        """Try again from the checkpoint, until the trial's worker has died ``MAX_FAILURES`` times.

        Each death is written down at once: a driver that dies in between does not forget it.
        """
        result = directory.result()
        if result is not None and result.state.ended:
            # It died between writing its result and sending it.
            self.finish(directory, result)
            return
        spec = self._specs.pop(directory)
        if self.stopping:
            self._specs[directory] = spec
            self._park(directory, reason)
            return
        spec = replace(spec, failures=spec.failures + 1)
        directory.write_spec(spec)
        if spec.failures < MAX_FAILURES:
            self._again.append(replace(spec, attempt=spec.attempt + 1))
            return
        result = failure(spec, f"{reason}; given up after {MAX_FAILURES} attempts")
        directory.write_result(result)
        self._specs[directory] = spec
        self.finish(directory, result)

    def halt(self, directory: TrialDirectory, reason: str) -> None:
        """Stop the study: the trial goes on as soon as its record can be written."""
        self._halted = self._halted or reason
        self._park(directory, reason)

    def idle(self) -> None:
        """Show progress."""
        self._progress(self.stopping)

    def _park(self, directory: TrialDirectory, reason: str) -> None:
        spec = self._specs.pop(directory)
        result = Result(state=State.PARKED, attempt=spec.attempt, reason=reason, ended=record.now())
        # A trial without a result is taken up by the next driver like a parked one.
        with suppress(DiskError):
            directory.write_result(result)
        self._mirror.changed(directory)

    def _end(self) -> None:
        """End all work at once; the next driver goes on with it."""
        self._workers.kill()
        self._park_all()

    def _park_all(self) -> None:
        for directory in list(self._specs):
            result = directory.result()
            if result is not None and result.state.ended:
                continue  # Whoever adopts it tells the source.
            self._park(directory, "stopped")

    def _watch(self, directory: TrialDirectory, spec: TrialSpec, result: Result) -> None:
        """Stop a study whose every trial fails in the same way before it has begun."""
        given_up = spec.failures >= MAX_FAILURES
        early = (result.traceback is not None or given_up) and not directory.history()
        self._failures = [*self._failures, str(result.reason)] if early else []
        last = self._failures[-SAME_FAILURES:]
        if len(last) == SAME_FAILURES and len(set(last)) == 1:
            self._broken = str(result.traceback or result.reason)
