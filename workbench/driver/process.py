"""A worker process on this machine, seen from whoever started it."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

from workbench.driver.worker import Message


class WorkerEnded(Exception):
    """A worker has ended; the message says why."""


class Process:
    """A worker process.

    Args:
        logs: Folder of the file that takes its output.
        environment: Variables that it has beside those of this process.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        log = _free_log(logs)
        ours, theirs = socket.socketpair()
        self._log, self._log_start = Path(log.name), log.tell()
        with theirs, log:
            # In a new session, so that Ctrl-C and a closed terminal reach the driver alone, which
            # then asks the worker to stop. The worker inherits the open log, and so its lock.
            self._process = subprocess.Popen(
                # -P: a file in the current folder must not take the place of a library.
                [sys.executable, "-P", "-m", "workbench.driver.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        self.connection = Connection(ours.detach())
        self.pid = self._process.pid

    def send(self, message: Message) -> None:
        """Send a message. ``receive`` detects that it has ended, so errors are ignored here."""
        try:
            self.connection.send_bytes(json.dumps(message).encode())
        except OSError:
            return

    def receive(self) -> Message:
        """The next message; blocks until there is one.

        Raises:
            WorkerEnded: The process has ended.
        """
        try:
            message: Message = json.loads(self.connection.recv_bytes())
        except (EOFError, OSError):
            raise WorkerEnded(self._exit_reason()) from None
        return message

    def signal_end(self) -> None:
        """Kill the process and everything that it has started, without waiting."""
        # macOS raises PermissionError for a group whose processes have all ended.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill the process and everything that it has started, and wait for its end."""
        self.signal_end()
        self._process.wait()
        self.connection.close()

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def _exit_reason(self) -> str:
        """Why the process ended: signal or exit status, and the last line of its output."""
        code = self._process.wait()
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        last = f": {lines[-1]}" if lines and code > 0 else ""
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        return f"worker ended {how}{last}"


def _free_log(folder: Path) -> BinaryIO:
    """The first log file that no running worker, of any driver, has locked."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        log = (folder / f"worker-{number}.log").open("ab")
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.close()
            continue
        except OSError:
            pass  # The file system has no locks: two drivers may then share a log.
        return log
    raise AssertionError("unreachable")
