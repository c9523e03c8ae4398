"""The thread that updates MLflow while a driver runs; it never delays or fails the driver."""

from __future__ import annotations

import logging
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from workbench.record import TrialDirectory
from workbench.tracker import Tracker
from workbench.tracker.store import UnreachableError

_LOGGER = logging.getLogger(__name__)

_WARNING_SECONDS = 60.0
_LONGEST_RETRY_SECONDS = 60.0
_LAST_ATTEMPTS = 3


@dataclass(kw_only=True)
class _Job:
    """Something to send, not before a time of the monotonic clock."""

    due: float
    send: Callable[[], None]


class Mirror(threading.Thread):
    """Sends what has changed under one parent run.

    A trial is sent at most once an interval while it runs, and at once when it has a result. What
    MLflow does not take is kept and tried again, later and later.

    Args:
        tracker: Of the study.
        open_parent: Opens the parent run and returns its id. Called again while a shared store does
            not answer.
        interval_seconds: See above.
        retry_seconds: Until what failed once is tried again.

    Attributes:
        sent: How many times something was sent.
    """

    def __init__(
        self,
        tracker: Tracker,
        open_parent: Callable[[], str],
        *,
        interval_seconds: float = 1.0,
        retry_seconds: float = 1.0,
    ) -> None:
        super().__init__(name="mirror", daemon=True)
        self.sent = 0
        self._tracker = tracker
        self._open_parent = open_parent
        self._parent: str | None = None
        self._interval = interval_seconds
        # Notes and marks change with every trial, and nobody reads them every second.
        self._note_interval = 5 * interval_seconds
        self._first_retry = retry_seconds
        self._condition = threading.Condition()
        self._jobs: dict[tuple[str, str], _Job] = {}
        self._last: dict[tuple[str, str], float] = {}
        self._busy = False
        self._hurry = False
        self._closing = False
        self._failures = 0
        self._unreachable = False
        self._retry_at = 0.0
        self._warned_at = float("-inf")

    @property
    def parent(self) -> str:
        """The id of the parent run, which is opened if it is not yet.

        Raises:
            StoreError: It cannot be opened; ``UnreachableError``: not now.
        """
        if self._parent is None:
            self._parent = self._open_parent()
        return self._parent

    def changed(self, directory: TrialDirectory) -> None:
        """A record has changed. Returns at once."""
        ended = (directory.path / "result.json").exists()

        def send() -> None:
            self._tracker.mirror(directory, self.parent)

        self._post(("trial", str(directory.path)), send, 0.0 if ended else self._interval)

    def best(self, strategy: str, directory: TrialDirectory) -> None:
        """A trial is the best of its strategy so far. Returns at once."""

        def send() -> None:
            self._tracker.mark_best(self.parent, strategy, directory)

        self._post(("best", strategy), send, self._note_interval)

    def describe(self, text: Callable[[], str]) -> None:
        """There is a new text for the parent's page, made when it is sent. Returns at once."""

        def send() -> None:
            self._tracker.describe(self.parent, text())

        self._post(("note", ""), send, self._note_interval)

    @property
    def pending(self) -> int:
        """How many things wait to be sent, or are being sent."""
        with self._condition:
            return len(self._jobs) + self._busy

    def drain(self, timeout: float = 30.0) -> bool:
        """Send all that waits, now; whether that was done.

        Gives up after so many seconds, or when MLflow has refused all that is left, or does not
        answer.
        """
        with self._condition:
            self._hurry = True
            self._unreachable = False
            self._retry_at = 0.0
            self._failures = 0
            for job in self._jobs.values():
                job.due = 0.0
            self._condition.notify_all()
            try:
                self._condition.wait_for(self._given_up, timeout)
            finally:
                self._hurry = False
            return self._idle

    def _given_up(self) -> bool:
        # What failed goes behind all others, so each was tried since something was last sent.
        refused = not self._jobs or self._failures >= max(len(self._jobs), _LAST_ATTEMPTS)
        return not self.is_alive() or ((refused or self._unreachable) and not self._busy)

    @property
    def _idle(self) -> bool:
        return not self._jobs and not self._busy

    def close(self, timeout: float = 30.0) -> bool:
        """Send all that waits and stop; whether everything was sent, see ``drain``."""
        done = self._idle if self._closing or self._unreachable else self.drain(timeout)
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if done and self.is_alive():
            self.join()
        return done

    def __enter__(self) -> Mirror:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def run(self) -> None:
        """Send until closed."""
        while True:
            with self._condition:
                key = self._wait_for_job()
                if key is None:
                    return
                job = self._jobs.pop(key)
                self._busy = True
            problem = None
            try:
                job.send()
            except Exception as error:  # whatever is wrong with MLflow must not stop a study
                problem = error
            with self._condition:
                self._busy = False
                self._last[key] = time.monotonic()
                if problem is None:
                    self.sent += 1
                    self._failures = 0
                    self._unreachable = False
                else:
                    self._put_back(key, job, problem)
                self._condition.notify_all()

    def _post(self, key: tuple[str, str], send: Callable[[], None], interval: float) -> None:
        with self._condition:
            now = time.monotonic()
            # The first change of a running trial waits too: many a small trial ends meanwhile.
            due = max(now, self._last.get(key, now) + interval)
            waiting = self._jobs.get(key)
            # The thread is woken only for what is due before it would wake by itself.
            if waiting is None or due < waiting.due:
                self._condition.notify_all()
            self._jobs[key] = _Job(due=min(due, waiting.due) if waiting else due, send=send)

    def _wait_for_job(self) -> tuple[str, str] | None:
        """The key of the next job when it is due, or None when the mirror is closed."""
        while not self._closing:
            now = time.monotonic()
            key = min(self._jobs, key=lambda key: self._jobs[key].due, default=None)
            if key is None:
                self._condition.wait()
                continue
            due = 0.0 if self._hurry else self._jobs[key].due
            delay = max(due, self._retry_at) - now
            if delay <= 0:
                return key
            self._condition.wait(delay)
        return None

    def _put_back(self, key: tuple[str, str], job: _Job, problem: Exception) -> None:
        self._failures += 1
        self._unreachable = isinstance(problem, UnreachableError)
        now = time.monotonic()
        pause = min(self._first_retry * 2 ** (self._failures - 1), _LONGEST_RETRY_SECONDS)
        if self._hurry and not self._unreachable:
            # Each is tried once without a pause.
            pause = 0.0 if self._failures <= len(self._jobs) else self._first_retry
        self._retry_at = now + pause
        # Behind all others, so that one record that MLflow refuses does not hold them up; what has
        # been posted meanwhile is newer.
        self._jobs.setdefault(key, _Job(due=now + pause, send=job.send))
        self.warn(problem)

    def warn(self, problem: Exception) -> None:
        """Log why MLflow cannot be updated; one line a minute, because an outage may be long."""
        now = time.monotonic()
        if now - self._warned_at >= _WARNING_SECONDS:
            self._warned_at = now
            _LOGGER.warning(
                "MLflow cannot be updated now (%s). Training continues; %d records wait, and are "
                "sent as soon as MLflow takes them, at the latest by the next run or `workbench "
                "sync`.",
                _reason(problem),
                len(self._jobs),
            )


def _reason(problem: BaseException) -> str:
    """One line: that of the first cause, without the layers that passed it on."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    text = str(problem).strip() or type(problem).__name__
    return textwrap.shorten(text.splitlines()[0], 300, placeholder=" ...")
