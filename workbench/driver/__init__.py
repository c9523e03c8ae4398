"""The driver: takes trials from a source, gives them to workers and collects their results.

Used by ``run``, ``confirm`` and ``try``. A source is Optuna or a fixed list of runs; workers are
this process, local processes or those of a Ray cluster.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from workbench import record
from workbench.driver.attempts import MAX_FAILURES, failure
from workbench.driver.progress import GroupProgress, RunningTrial
from workbench.driver.resources import Resources
from workbench.driver.signals import Stop
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

_LOGGER = logging.getLogger(__name__)

SAME_FAILURES = 3
_SHOWN_SECONDS = 0.25


class RepeatedFailureError(Exception):
    """The study was stopped: several trials in a row failed alike before their first epoch."""


class Source(Protocol):
    """Where trials come from and where their results go; called from the driver's thread only."""

    @property
    def outage(self) -> Exception | None:
        """Why it cannot keep results any more: trials park, and the driver raises it at the end."""

    def adopt(self) -> list[TrialSpec]:
        """Unfinished trials of an earlier driver, updated from their records."""

    def next(self) -> TrialSpec | None:
        """A new trial, or None if there is none now."""

    def report(self, spec: TrialSpec, result: EpochResult) -> Decision:
        """Register an epoch, once however often it comes; decide whether the trial continues."""

    def finish(self, spec: TrialSpec, result: Result) -> None:
        """Register the result of a trial."""

    def progress(self) -> Sequence[GroupProgress]:
        """Progress of each group of trials."""


class Mirror(Protocol):
    """Gets a notice of every changed record, for example to copy it to MLflow; never blocks."""

    def changed(self, directory: TrialDirectory) -> None:
        """The record in this directory has changed."""


class Workers(Protocol):
    """A place to run trials.

    Attributes:
        local: Whether it is this machine, with its devices.
    """

    local: bool

    def count(self, resources: Resources) -> int:
        """How many trials run at a time, if each needs so much."""

    def prepare(self, trials: int, resources: Resources) -> None:
        """Get ready for so many trials, while the caller does something else."""

    def run(self, driver: Driver) -> None:
        """Run the trials of the driver until it has no more and the last one has ended."""

    def draw(self, directories: Sequence[TrialDirectory]) -> None:
        """Draw the pictures of trials that have ended: here, or where torch is loaded."""
        from workbench.trial import artifacts

        artifacts.draw_best(directories)

    def kill(self) -> None:
        """Kill what is running without waiting for it; safe in a signal handler."""

    def close(self) -> None:
        """Kill what is running and wait until it is gone."""


@dataclass(kw_only=True, eq=False)
class Driver:
    """Runs the trials of a source; the caller holds the study's lease.

    Attributes:
        study_directory: Directory of the study's records.
        source: Provides the trials.
        workers: Run the trials.
        mirror: Notified of every change of a record.
        progress: Called with this driver whenever the display may need an update.
        stop: The signal handler; by default signals are not handled.
    """

    study_directory: Path
    source: Source
    workers: Workers
    mirror: Mirror
    progress: Callable[[Driver], None]
    stop: Stop = field(default_factory=Stop)
    _specs: dict[TrialDirectory, TrialSpec] = field(default_factory=dict)
    _last: dict[str, EpochResult] = field(default_factory=dict)
    # By trial: the last epoch that the source has; a resumed trial may repeat earlier ones.
    _known: dict[str, int] = field(default_factory=dict)
    _again: deque[TrialSpec] = field(default_factory=deque)
    _failures: list[str] = field(default_factory=list)
    _broken: str | None = None
    _halted: str | None = None
    _shown: float = 0.0

    def run(self) -> int | None:
        """Run until the source has no more trials.

        Returns:
            None when all trials have ended, else the signal that stopped the driver: unfinished
            trials are parked, and the next driver resumes them.

        Raises:
            RepeatedFailureError: Three trials in a row failed alike before their first epoch.
            DiskError: A record cannot be written; unfinished trials are parked.
            Exception: The source's ``outage``; unfinished trials are parked.
        """
        try:
            with self.stop.before_exit(self._end):
                self._again.extend(self.source.adopt())
                self.workers.run(self)
        except BaseException:
            # Without a driver nothing would read the workers' results. Parked trials are resumed
            # by the next driver.
            self.workers.close()
            self._park_all()
            raise
        if self._halted is not None:
            raise DiskError(self._halted)
        if self.source.outage is not None:
            raise self.source.outage
        if self._broken is not None:
            raise RepeatedFailureError(
                f"Study stopped: {SAME_FAILURES} trials in a row failed with the same error before "
                f"their first epoch:\n{self._broken.rstrip()}\n"
                "Fix the cause, then rerun the command with --retry-failed."
            )
        return self.stop.signal

    @property
    def running(self) -> list[RunningTrial]:
        """The trials that workers have, in the order in which they were given out."""
        return [RunningTrial.of(spec, self._last.get(spec.key)) for spec in self._specs.values()]

    # The members below are used by the workers, from one thread only.

    @property
    def stopping(self) -> bool:
        """Whether the study is stopping: no new trials, and running ones park."""
        reasons = (self.stop.signal, self._broken, self._halted, self.source.outage)
        return any(why is not None for why in reasons)

    def next(self) -> TrialDirectory | None:
        """The next trial to run; unfinished ones come first."""
        if self.stopping:
            return None
        spec = self._again.popleft() if self._again else self.source.next()
        if spec is None:
            return None
        directory = directory_of(self.study_directory, spec)
        # The record comes first: a trial that a worker has begun can always be found on disk.
        directory.write_spec(spec)
        self._specs[directory] = spec
        self._known[spec.key] = 0
        if spec.attempt > 1:
            # Without it a resumed trial would seem to begin again until its next report.
            with suppress(record.DamagedRecordError):
                if history := directory.history():
                    self._last[spec.key] = history[-1]
                    self._known[spec.key] = history[-1].epoch
        self.progress(self)
        return directory

    def report(self, directory: TrialDirectory, result: EpochResult) -> Decision:
        """Ask the source whether the trial continues; park it if the study is stopping."""
        spec = self._specs.get(directory)
        if spec is None:
            # This attempt was declared lost and the trial was given to another worker.
            return Decision.FENCED
        self._last[spec.key] = result
        decision = Decision.CONTINUE
        if result.epoch >= self._known[spec.key]:
            self._known[spec.key] = result.epoch
            decision = self.source.report(spec, result)
            self.mirror.changed(directory)
        if decision in (Decision.CONTINUE, Decision.DROP_WEIGHTS) and self.stopping:
            return Decision.PARK
        return decision

    def finish(self, directory: TrialDirectory, result: Result) -> None:
        """Pass the result to the source, unless the trial was only parked."""
        spec = self._specs.pop(directory)
        if result.state.ended:
            self.source.finish(spec, result)
            self._watch(directory, spec, result)
        self.mirror.changed(directory)
        self.progress(self)

    def lost(self, directory: TrialDirectory, reason: str) -> None:
        """Retry a trial from its checkpoint until its worker has died ``MAX_FAILURES`` times.

        Each death is recorded at once, so that the count survives a crash of the driver.
        """
        result = directory.result()
        if result is not None and result.state.ended:
            # The worker died after it wrote the result and before it sent it.
            self.finish(directory, result)
            return
        spec = self._specs[directory]
        if self.stopping:
            self._park(directory, reason)
            return
        spec = replace(spec, failures=spec.failures + 1)
        directory.write_spec(spec)
        if spec.failures < MAX_FAILURES:
            again = "the trial is tried again from its last checkpoint"
            _LOGGER.warning("%s: %s; %s.", spec.name, reason, again)
            del self._specs[directory]
            self._again.append(replace(spec, attempt=spec.attempt + 1))
            return
        result = failure(spec, f"{reason}; given up after {MAX_FAILURES} attempts")
        directory.write_result(result)
        self._specs[directory] = spec
        self.finish(directory, result)

    def halt(self, directory: TrialDirectory, reason: str) -> None:
        """Stop the study; the trial can be resumed once its record can be written again."""
        self._halted = self._halted or reason
        self._park(directory, reason)

    def idle(self) -> None:
        """Show progress now and then: a new display costs more than many an epoch."""
        if time.monotonic() - self._shown >= _SHOWN_SECONDS:
            self._shown = time.monotonic()
            self.progress(self)

    def _park(self, directory: TrialDirectory, reason: str) -> None:
        spec = self._specs.pop(directory)
        result = Result(state=State.PARKED, attempt=spec.attempt, reason=reason, ended=record.now())
        # The next driver treats a trial without a result like a parked one.
        with suppress(DiskError):
            directory.write_result(result)
        self.mirror.changed(directory)

    def _end(self) -> None:
        """End all work at once; the next driver resumes it."""
        self.workers.kill()
        self._park_all()

    def _park_all(self) -> None:
        for directory in list(self._specs):
            result = directory.result()
            if result is not None and result.state.ended:
                continue  # The next driver passes this result to the source (``Source.adopt``).
            self._park(directory, "stopped")

    def _watch(self, directory: TrialDirectory, spec: TrialSpec, result: Result) -> None:
        """Stop the study if its last trials all failed alike before their first epoch."""
        given_up = spec.failures >= MAX_FAILURES
        early = (result.traceback is not None or given_up) and not directory.history()
        self._failures = [*self._failures, str(result.reason)] if early else []
        last = self._failures[-SAME_FAILURES:]
        if len(last) == SAME_FAILURES and len(set(last)) == 1:
            self._broken = str(result.traceback or result.reason)
