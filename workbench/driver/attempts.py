"""How often a run is tried, and what becomes of one that an earlier driver left unfinished.

One rule for every source of runs. The attempt counts how often a run was handed out and only grows:
it tells an old worker from a new one. The failures count how often the run's own worker died while
its driver lived. The driver writes that number into the specification when it sees the death; a run
that was begun and has no result has lost its driver, which says nothing about the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from workbench import record
from workbench.driver.leases import Busy
from workbench.record import Result, State, TrialDirectory, TrialSpec
from workbench.record.files import Locked, lock

MAX_FAILURES = 3
LOCK_SECONDS = 30.0


def failure(spec: TrialSpec, reason: str) -> Result:
    """The result of a trial that no worker could finish."""
    now = record.now()
    return Result(state=State.FAILED, attempt=spec.attempt, reason=reason, started=now, ended=now)


@contextmanager
def orphaned(directory: TrialDirectory, called: str) -> Iterator[None]:
    """Hold the record of a run that an earlier driver has begun, for the length of a block.

    A worker outlives its driver for a moment, so there is some patience.

    Args:
        directory: The run's record.
        called: What the message calls it: ``trial sgd/003``.

    Raises:
        Busy: A process still works at it.
    """
    try:
        with lock(directory.lock_path, wait_seconds=LOCK_SECONDS):
            yield
    except Locked as locked:
        raise Busy(
            f"The {called} of an earlier start still runs ({locked or 'in an unknown process'}). "
            "End that process (kill -9), and run the command again."
        ) from None


def take_over(
    spec: TrialSpec, directory: TrialDirectory, finish: Callable[[TrialSpec, Result], None]
) -> TrialSpec | None:
    """What is to be run of a run that an earlier driver left behind; None where it has ended.

    It continues from its last checkpoint as the next attempt, however often a driver was killed.

    Args:
        spec: As it was recorded.
        directory: Its record, which the caller holds (``orphaned``).
        finish: Told of a run that has ended.
    """
    result = directory.result()
    if result is None or not result.state.ended:
        return replace(spec, attempt=spec.attempt + 1)
    finish(spec, result)
    return None
