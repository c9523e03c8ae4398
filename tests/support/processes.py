"""Processes of their own that begin without the seconds that importing torch takes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.tiny import Silent

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.support.preloaded"])


class Forked:
    """A function in a process of its own, with the methods of ``subprocess.Popen``.

    Args:
        function: Of a module; what it prints is lost. Its process ends with the status of
            ``SystemExit``, or with 0.
    """

    def __init__(
        self, function: Callable[..., None], *arguments: object, **options: object
    ) -> None:
        # The server of forks has the environment of the test that began it.
        self._process = _SERVER.Process(
            target=_quietly, args=({**os.environ}, function, *arguments), kwargs=options
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Its status, the negative number of the signal that ended it, or None."""
        return self._process.exitcode

    def wait(self) -> int:
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def _quietly(
    environment: dict[str, str],
    function: Callable[..., None],
    *arguments: object,
    **options: object,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    function(*arguments, **options)


def command(*words: str | Path) -> None:
    """A command of the program."""
    from workbench.cli.app import app

    app([str(word) for word in words])


def command_at(terminal: str, *words: str | Path) -> None:
    """A command of the program whose terminal is the one with this name."""
    os.setsid()  # The first terminal that is opened then controls the process.
    opened = os.open(terminal, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(opened, number)
    sys.stdin = open(0)  # noqa: SIM115 -- multiprocessing has put nothing in its place
    command(*words)


def search(file: Path, home: Path, *, inline: bool) -> None:
    """A search by the parts that a command connects, without MLflow.

    Once it has been asked to stop there is a file ``stopping`` in the home.
    """
    from workbench.driver import Driver
    from workbench.driver.signals import Stop
    from workbench.driver.workers import InlineWorkers, LocalWorkers
    from workbench.study.config import load
    from workbench.study.search import Search
    from workbench.study.study import Study

    config = load(file)
    study = Study(config, home)
    workers: Any = InlineWorkers() if inline else LocalWorkers(1, home / "logs")

    def note(driver: Driver) -> None:
        if stop.signal is not None:
            (home / "stopping").touch()

    with Stop().listening() as stop, stop.deferred():
        ended_by = Driver(
            study_directory=study.directory,
            source=Search(study),
            workers=workers,
            mirror=Silent(),
            progress=note,
            stop=stop,
        ).run()
    workers.close()
    sys.exit(0 if ended_by is None else 75)


def free_port() -> int:
    """A port of this machine that nobody listens to."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
