"""The figures of a report, drawn by two processes where there is a core for the second one.

The second process is started with ``python -m``, not forked: the one that writes a report has
threads of MLflow. It gets what a figure shows through a pipe, writes the files and gives the SVG
back. A figure that it fails at, or takes too long for, is drawn here, so that whatever is wrong is
raised here. Which process drew a figure makes no difference to a byte. Knows neither the page nor
what a figure shows.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from workbench.plotting import venues
from workbench.report.figures import FIGURES, load, rendering

# Far above what the slowest figure takes on a busy machine, in seconds.
PATIENCE = 60.0


class Job(NamedTuple):
    """The arguments of ``rendering.render``."""

    name: str
    numbers: Any
    caption: str
    folder: Path
    venue: str = venues.PAGE


class Second:
    """A process that draws what it is given, one figure at a time."""

    def __init__(self) -> None:
        """Start it; it imports matplotlib while this process goes on.

        Raises:
            OSError: There can be no other process.
        """
        # Found where this process finds its modules, and nowhere else.
        path = os.pathsep.join(filter(None, sys.path))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )

    def draw(self, job: Job) -> str | None:
        """The SVG of a figure, whose files are then written; None where that failed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            content = pickle.dumps(job)
            self._process.stdin.write(content)
            self._process.stdin.flush()
            drawn: str | None = pickle.load(self._process.stdout)
        except (OSError, EOFError, ValueError, TypeError, AttributeError, pickle.PickleError):
            return None
        return drawn

    def stop(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it and let go of its pipes."""
        self.stop()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:  # what was not sent yet cannot be sent any more
                continue


@contextmanager
def second(*, wanted: bool = True) -> Iterator[Second | None]:
    """A second process until the end of the block; None if unwanted, or without a core for it."""
    process = None
    if wanted and _cores() > 1:
        try:
            process = Second()
        except OSError:
            process = None
    try:
        yield process
    finally:
        if process is not None:
            process.close()


def draw(
    jobs: Sequence[Job],
    process: Second | None = None,
    first: Callable[[], None] = lambda: None,
    *,
    patience: float = PATIENCE,
) -> dict[str, str]:
    """The SVG elements of figures by name, their files written; see ``rendering.render``.

    Args:
        jobs: Of different names.
        process: Draws from the first on, while this process draws from the last on.
        first: What this process does before it draws.
        patience: Seconds that this process, done with its own share, waits for the figure that the
            other one is at. Then it stops that process and draws the figure itself.

    Raises:
        ValueError: There is no such venue.
    """
    waiting, refused = deque(jobs), deque[Job]()
    drawn: dict[str, str] = {}

    def hand_over(to: Second) -> None:
        while waiting:
            try:
                job = waiting.popleft()
            except IndexError:  # this process took the last one in between
                return
            try:
                picture = to.draw(job)
            except Exception:  # such as a RecursionError, which would leave it drawn by nobody
                picture = None
            if picture is None:
                refused.append(job)
                return
            drawn[job.name] = picture

    def draw_here(left: deque[Job]) -> None:
        while left:
            try:
                job = left.pop()
            except IndexError:
                return
            drawn[job.name] = rendering.render(*job)

    if process is None:
        first()
        draw_here(waiting)
        return drawn
    thread = Thread(target=hand_over, args=(process,), daemon=True)
    thread.start()
    try:
        first()
        draw_here(waiting)
        thread.join(patience)
        if thread.is_alive():
            # It stands still. Stopped, its pipe ends, and what it was at is refused.
            process.stop()
    except BaseException:
        # Or it would go on writing into a folder that is about to be removed.
        process.stop()
        raise
    finally:
        thread.join()
    draw_here(refused)
    return drawn


def _cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def main() -> None:
    """Draw what standard input asks for until it ends."""
    gc.disable()
    # What else is printed must not get among the answers.
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for name in FIGURES:
        load(name)
    for format in ("agg", "pdf", "svg"):
        import_module(f"matplotlib.backends.backend_{format}")
    while True:
        try:
            job = pickle.load(asked)
        except EOFError:
            return
        try:
            picture = rendering.render(*job)
        except Exception:
            picture = None
        pickle.dump(picture, answers)
        answers.flush()


if __name__ == "__main__":
    main()
