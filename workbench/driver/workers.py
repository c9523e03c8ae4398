"""Where trials run: in this process, or in local processes that stay warm.

A worker gets the path of a trial directory and sends back epoch results and a result. Messages are
JSON, not pickle: nothing that arrives is ever executed.

Each worker leads its own process group. A small process in that group, the guard, kills the group
when the driver or the worker has ended. So a worker that is busy in native code and holds the GIL
ends with its driver, and the processes that a trial has started end with its worker.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cached_property
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import BinaryIO

from workbench import record
from workbench.driver import Driver
from workbench.record import Decision, EpochResult, TrialDirectory, environment
from workbench.record.files import DiskError

GRACE_SECONDS = 30.0

Message = dict[str, object]


def default_count() -> int:
    """One process for each core that this process may use; a single one if there is a GPU."""
    import torch

    return 1 if torch.cuda.is_available() else environment.cores()


def _outcome(
    directory: TrialDirectory,
    report: Callable[[EpochResult], Decision],
    interrupted: Callable[[], bool],
) -> Message:
    """Run a trial; the message says how it ended."""
    # Not at the top: it loads torch, which the driver of local workers does not need.
    from workbench.trial import run as trial_run

    try:
        result = trial_run.run(directory, report=report, interrupted=interrupted)
    except trial_run.Fenced:
        return {"fenced": True}
    except DiskError as error:
        return {"halt": str(error)}
    except trial_run.Lost as lost:
        return {"lost": str(lost)}
    return {"result": json.loads(record.to_json(result))}


def _deliver(driver: Driver, directory: TrialDirectory, message: Message) -> None:
    """Tell the driver how a trial ended; a fenced one is another worker's by now."""
    if "halt" in message:
        driver.halt(directory, str(message["halt"]))
    elif "lost" in message:
        driver.lost(directory, str(message["lost"]))
    elif "result" in message:
        driver.finish(directory, record.result_from_json(json.dumps(message["result"])))


class InlineWorkers:
    """Runs trials one after another in this process, for debugging."""

    def prepare(self, trials: int) -> None:
        """Nothing to do: this process is there."""

    def run(self, driver: Driver) -> None:
        """Run the trials of a driver."""
        while (directory := driver.next()) is not None:

            def report(result: EpochResult, at: TrialDirectory = directory) -> Decision:
                decision = driver.report(at, result)
                driver.idle()
                return decision

            _deliver(driver, directory, _outcome(directory, report, lambda: driver.stopping))

    def kill(self) -> None:
        """Nothing to do: there are no other processes."""

    def close(self) -> None:
        """Nothing to do: there are no other processes."""


class LocalWorkers:
    """Runs trials in local processes: started before or on demand, reused, killed at the end.

    Args:
        count: Number of processes; see ``default_count`` by default.
        logs: Folder for the output of the processes.
    """

    def __init__(self, count: int | None, logs: Path) -> None:
        self._given = count
        self._logs = logs
        self._pool: list[_Process] = []

    @cached_property
    def _count(self) -> int:
        # Not at construction: it loads torch, and there may be no trial to run.
        return self._given or default_count()

    def prepare(self, trials: int) -> None:
        """Start processes for so many trials: they need seconds to load their libraries."""
        while len(self._pool) < min(trials, self._count):
            self._pool.append(_Process(_free_log(self._logs)))

    def run(self, driver: Driver) -> None:
        """Run the trials of a driver; the processes are kept for the next call."""
        deadline: float | None = None
        while True:
            self._hand_out(driver)
            busy = [worker for worker in self._pool if worker.directory is not None]
            if not busy:
                return
            if driver.stopping and deadline is None:
                deadline = time.monotonic() + GRACE_SECONDS
                for worker in busy:
                    worker.send({"interrupt": True})
            if deadline is not None and time.monotonic() > deadline:
                for worker in busy:
                    self._lose(driver, worker, f"did not stop within {GRACE_SECONDS:.0f} s")
                continue
            # The timeout lets the loop notice a signal, and the display show the time.
            ready = wait([worker.connection for worker in busy], timeout=0.25)
            for worker in busy:
                if worker.connection in ready:
                    self._receive(driver, worker)
            driver.idle()

    def kill(self) -> None:
        """Kill the processes and everything that they have started, without waiting."""
        for worker in self._pool:
            worker.signal_end()

    def close(self) -> None:
        """Kill the processes and wait until they are gone."""
        for worker in self._pool:
            worker.kill()
        self._pool.clear()

    def _hand_out(self, driver: Driver) -> None:
        # A trial must not lose an attempt to a worker that ended while it had none.
        for worker in [w for w in self._pool if w.directory is None and w.ended()]:
            worker.kill()
            self._pool.remove(worker)
        free = [worker for worker in self._pool if worker.directory is None]
        while free or len(self._pool) < self._count:
            directory = driver.next()
            if directory is None:
                return
            if not free:
                free = [_Process(_free_log(self._logs))]
                self._pool += free
            free.pop(0).start(directory)

    def _receive(self, driver: Driver, worker: _Process) -> None:
        directory = worker.directory
        assert directory is not None
        try:
            message = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            self._lose(driver, worker, worker.exit_reason())
            return
        if "epoch" in message:
            result = record.epoch_from_json(json.dumps(message["epoch"]))
            worker.send({"decision": driver.report(directory, result)})
            return
        worker.directory = None
        _deliver(driver, directory, message)

    def _lose(self, driver: Driver, worker: _Process, reason: str) -> None:
        directory = worker.directory
        assert directory is not None
        worker.kill()
        self._pool.remove(worker)
        driver.lost(directory, reason)


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


class _Process:
    """One worker process, seen from the driver."""

    def __init__(self, log: BinaryIO) -> None:
        ours, theirs = socket.socketpair()
        self._log, self._log_start = Path(log.name), log.tell()
        with theirs, log:
            # In a new session, so that Ctrl-C and a closed terminal reach the driver alone, which
            # then asks the worker to stop. The worker inherits the open log, and so its lock.
            self._process = subprocess.Popen(
                # -P: a file in the current folder must not take the place of a library.
                [sys.executable, "-P", "-m", "workbench.driver.workers", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.connection = Connection(ours.detach())
        self.directory: TrialDirectory | None = None

    def start(self, directory: TrialDirectory) -> None:
        """Let the process run a trial."""
        self.directory = directory
        self.send({"run": str(directory.path)})

    def send(self, message: Message) -> None:
        """Send a message. A dead worker is detected in ``_receive``, so errors are ignored here."""
        try:
            self.connection.send_bytes(json.dumps(message).encode())
        except OSError:
            return

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

    def exit_reason(self) -> str:
        """Why the process ended: signal or exit status, and the last line of its output."""
        code = self._process.wait()
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").split("\n")
        lines = [line.strip() for line in lines if line.strip()]
        last = f": {lines[-1]}" if lines and code > 0 else ""
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        return f"worker ended {how}{last}"


def _work(connection: Connection) -> None:
    """Run the trials that the driver sends, until the driver closes the connection."""
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    answers: queue.SimpleQueue[Decision] = queue.SimpleQueue()
    interrupt = threading.Event()

    def listen() -> None:
        while True:
            try:
                message = json.loads(connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(1)  # The driver is gone; the main thread may be deep in native code.
            if "run" in message:
                interrupt.clear()
                orders.put(message["run"])
            elif "interrupt" in message:
                interrupt.set()
            else:
                answers.put(Decision(message["decision"]))

    # A thread: while libraries are imported or a trial runs, it notices that the driver has ended.
    threading.Thread(target=listen, daemon=True).start()

    def send(message: Message) -> None:
        connection.send_bytes(json.dumps(message).encode())

    def report(result: EpochResult) -> Decision:
        send({"epoch": json.loads(record.to_json(result))})
        return answers.get()

    _load_libraries()
    while True:
        send(_outcome(TrialDirectory(Path(orders.get())), report, interrupt.is_set))


def _load_libraries() -> None:
    """Load what a trial needs, before there is one."""
    import torch._dynamo  # noqa: F401, which torch loads with the first optimizer

    import workbench.trial.run  # noqa: F401


def _start_guard(connection: int) -> None:
    """Start the process that kills this process group when the driver or this process has ended.

    Args:
        connection: The socket whose other end only the driver holds.
    """
    # The kernel closes ``held`` when this process ends, which wakes the guard at ``alive``.
    alive, held = os.pipe()
    if (between := os.fork()) != 0:
        os.waitpid(between, 0)
        os.close(alive)
        # A forked child would inherit the open end and keep the guard waiting.
        os.register_at_fork(after_in_child=lambda: os.close(held))
        return
    # A grandchild: a trial that waits for all its children must not wait for the guard.
    if os.fork() != 0:
        os._exit(0)
    os.close(held)
    watched = select.poll()
    for end in (alive, connection):
        watched.register(end, 0)  # poll reports a hang-up whatever the event mask is.
    watched.poll()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    # A scheduler may signal every process of a job; only the driver reacts, and asks the workers to
    # stop. Not SIG_IGN, which the processes that a trial starts would inherit.
    for _name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1"):
        signal.signal(getattr(signal, _name), lambda *_: None)
    _start_guard(int(sys.argv[1]))
    _work(Connection(int(sys.argv[1])))
