"""What runs on a node of a cluster: it holds a worker process and passes its messages on."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import ray

from workbench import __version__
from workbench.driver import transfer
from workbench.driver.process import Process, WorkerEnded
from workbench.driver.transfer import Files
from workbench.driver.worker import Message

_PREFIX = "workbench-home-"


@dataclass(frozen=True, kw_only=True)
class Node:
    """What an agent says of its node.

    Attributes:
        name: Of the host.
        version: Of Workbench.
        shared: Whether it has the files of the driver's home.
    """

    name: str
    version: str
    shared: bool


class Agent:
    """Holds one worker process; a Ray actor, in which ``receive`` has a thread of its own."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._home: Path | None = None
        self._last: Path | None = None
        self._changes: transfer.Changes | None = None
        self._failure: str | None = None

    def start(self, token: Path, secret: str, environment: Mapping[str, str]) -> Node:
        """Start the worker process.

        Args:
            token: A file in the home's folder for logs; a node that can read ``secret`` in it has
                the files of the home.
            secret: What it contains.
            environment: Variables for a worker that shares the home.
        """
        shared = False
        with suppress(OSError):
            shared = token.read_text() == secret
        if shared:
            self._process = Process(token.parent, environment)
        else:
            self._home = _new_home()
            self._process = Process(self._home / "mlruns" / "workers", {})
        return Node(name=socket.gethostname(), version=__version__, shared=shared)

    def run(self, directory: str, files: Files) -> None:
        """Let the worker run a trial of another home.

        Args:
            directory: Path of the trial's record in that home.
            files: What the trial needs of it.
        """
        assert self._home is not None and self._process is not None
        try:
            if self._last is not None:  # Records of earlier trials would fill the disk.
                shutil.rmtree(self._last, ignore_errors=True)
            self._last = self._home / directory
            transfer.write(self._home, files)
        except OSError as error:
            # Ends ``receive``, which says why.
            self._failure = f"{socket.gethostname()}: {error}"
            self._process.signal_end()
            return
        self._changes = transfer.Changes(self._home, self._last)
        self._process.send({"run": str(self._last)})

    def send(self, message: Message) -> None:
        """Pass a message on to the worker."""
        assert self._process is not None
        self._process.send(message)

    @ray.method(concurrency_group="receive")  # type: ignore[untyped-decorator]
    def receive(self) -> tuple[Message, Files]:
        """The worker's next message, or why it has ended: ``{"ended": REASON}``.

        Beside it what has changed in the trial's record, where the home is not shared.
        """
        assert self._process is not None
        try:
            message = self._process.receive()
        except WorkerEnded as ended:
            return {"ended": self._failure or str(ended)}, {}
        return message, self._changes.collect() if self._changes else {}


def _new_home() -> Path:
    """An empty home on the node's disk; those of agents that have ended are removed."""
    for old in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = old.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")).resolve()
