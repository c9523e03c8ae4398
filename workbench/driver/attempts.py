"""Retries of a run, and how a driver takes over the runs of an earlier driver.

Used by every source of runs. ``attempt`` counts how often a run was given to a worker; it only
grows and so tells an old worker from a new one. ``failures`` counts how often the run's worker died
while its driver was alive; the driver writes it into the specification when it sees the death. A
run that was begun and has no result lost its driver, which is not a failure of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from workbench import record
from workbench.driver.leases import StudyBusyError
from workbench.record import Result, State, TrialDirectory, TrialSpec
from workbench.record.files import LockedError, lock

MAX_FAILURES = 3
LOCK_SECONDS = 30.0


def failure(spec: TrialSpec, reason: str) -> Result:
    """The result of a trial that failed without a result of its own."""
    now = record.now()
    return Result(state=State.FAILED, attempt=spec.attempt, reason=reason, started=now, ended=now)


@contextmanager
def orphaned(directory: TrialDirectory, called: str) -> Iterator[None]:
    """Lock the record of a run that an earlier driver has begun, for the length of a block.

    Waits up to ``LOCK_SECONDS``, because a worker may outlive its driver for a moment.

    Args:
        directory: The run's record.
        called: Name of the run in messages: ``trial sgd/003``.

    Raises:
        StudyBusyError: A process is still running it.
    """
    try:
        with lock(directory.lock_path, wait_seconds=LOCK_SECONDS):
            yield
    except LockedError as locked:
        raise StudyBusyError(
            f"The {called} is still running in {locked or 'an unknown process'}, which an earlier "
            "command started. Kill that process (kill -9), then rerun the command."
        ) from None


def take_over(
    spec: TrialSpec, directory: TrialDirectory, finish: Callable[[TrialSpec, Result], None]
) -> TrialSpec | None:
    """The specification with which a run of an earlier driver is resumed; None if it has ended.

    It continues from its last checkpoint as the next attempt, however often a driver was killed.

    Args:
        spec: As it was recorded.
        directory: Its record, locked by the caller (``orphaned``).
        finish: Called with the result of a run that has ended.
    """
    result = directory.result()
    if result is None or not result.state.ended:
        return replace(spec, attempt=spec.attempt + 1)
    finish(spec, result)
    return None
