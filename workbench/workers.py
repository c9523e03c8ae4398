"""Where trials run: in this process, or in local processes that stay warm.

A worker gets the path of a trial directory, sends epoch results and a result back, and knows
nothing else. Messages are JSON: nothing that arrives is ever executed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Protocol

from workbench import record
from workbench.record import Decision, EpochResult, Result, TrialDirectory

GRACE_SECONDS = 30.0


def default_count() -> int:
    """One process for each core that this one may use; one alone where a GPU does the work."""
    import torch

    if torch.cuda.is_available():
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Desk(Protocol):
    """What workers ask of the driver; called from one thread only."""

    @property
    def stopping(self) -> bool:
        """Whether no new trial is handed out and running ones are to be parked."""
        ...

    def next(self) -> TrialDirectory | None:
        """The next trial to run, or None where there is none now."""
        ...

    def report(self, directory: TrialDirectory, result: EpochResult) -> Decision:
        """Take note of an epoch and decide how the trial goes on."""
        ...

    def finish(self, directory: TrialDirectory, result: Result) -> None:
        """Take note of a result."""
        ...

    def lost(self, directory: TrialDirectory, reason: str) -> None:
        """Take note that the worker died, or a process that it needs."""
        ...

    def idle(self) -> None:
        """A moment without news: time to show progress."""
        ...


class Workers(Protocol):
    """Where trials run."""

    def run(self, desk: Desk) -> None:
        """Run what the desk hands out until it has no more and the last trial is back."""
        ...

    def close(self) -> None:
        """Stop at once, whatever runs."""
        ...


class InlineWorkers:
    """Runs trials one after the other in this process: for debugging."""

    def run(self, desk: Desk) -> None:
        """Run what the desk hands out."""
        from workbench import trial

        while (directory := desk.next()) is not None:

            def report(result: EpochResult, at: TrialDirectory = directory) -> Decision:
                desk.idle()
                return desk.report(at, result)

            try:
                result = trial.run(directory, report=report, interrupted=lambda: desk.stopping)
            except trial.Lost as lost:
                desk.lost(directory, str(lost))
                continue
            desk.finish(directory, result)

    def close(self) -> None:
        """Nothing runs but what was called."""


class LocalWorkers:
    """Runs trials in processes of this machine: started when needed, kept warm, killed at the end.

    Args:
        count: Number of processes.
        logs: Folder of what the processes print.
    """

    def __init__(self, count: int, logs: Path) -> None:
        self._count = count
        self._logs = logs
        self._pool: list[_Process] = []

    def run(self, desk: Desk) -> None:
        """Run what the desk hands out; the processes stay warm for the next study."""
        deadline: float | None = None
        while True:
            self._hand_out(desk)
            busy = [worker for worker in self._pool if worker.directory is not None]
            if not busy:
                return
            if desk.stopping and deadline is None:
                deadline = time.monotonic() + GRACE_SECONDS
                for worker in busy:
                    worker.send({"interrupt": True})
            if deadline is not None and time.monotonic() > deadline:
                for worker in busy:
                    self._lose(desk, worker, f"did not stop within {GRACE_SECONDS:.0f} s")
                continue
            ready = wait([worker.connection for worker in busy], timeout=0.25)
            for worker in busy:
                if worker.connection in ready:
                    self._receive(desk, worker)
            desk.idle()

    def close(self) -> None:
        """End the processes, whatever they do."""
        for worker in self._pool:
            worker.kill()
        self._pool.clear()

    def _hand_out(self, desk: Desk) -> None:
        free = [worker for worker in self._pool if worker.directory is None]
        while free or len(self._pool) < self._count:
            directory = desk.next()
            if directory is None:
                return
            if not free:
                free = [_Process(self._logs / f"worker-{len(self._pool)}.log")]
                self._pool += free
            free.pop(0).start(directory)

    def _receive(self, desk: Desk, worker: _Process) -> None:
        directory = worker.directory
        assert directory is not None
        try:
            message = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            self._lose(desk, worker, worker.obituary())
            return
        if "epoch" in message:
            result = record.epoch_from_json(json.dumps(message["epoch"]))
            worker.send({"decision": desk.report(directory, result)})
            return
        worker.directory = None
        if "result" in message:
            desk.finish(directory, record.result_from_json(json.dumps(message["result"])))
        elif "lost" in message:
            desk.lost(directory, message["lost"])

    def _lose(self, desk: Desk, worker: _Process, reason: str) -> None:
        directory = worker.directory
        assert directory is not None
        worker.kill()
        self._pool.remove(worker)
        desk.lost(directory, reason)


class _Process:
    """One worker process, seen from the driver."""

    def __init__(self, log: Path) -> None:
        ours, theirs = socket.socketpair()
        log.parent.mkdir(parents=True, exist_ok=True)
        with theirs, log.open("ab") as output:
            # A session of its own: Ctrl-C reaches the driver alone, which then asks to stop.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "workbench.workers", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._log = log
        self.connection = Connection(ours.detach())
        self.directory: TrialDirectory | None = None

    def start(self, directory: TrialDirectory) -> None:
        """Begin a trial."""
        self.directory = directory
        self.send({"run": str(directory.path)})

    def send(self, message: dict[str, object]) -> None:
        """Send a message; that the worker is gone is noticed where its messages are read."""
        try:
            self.connection.send_bytes(json.dumps(message).encode())
        except OSError:
            return

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self.connection.close()

    def obituary(self) -> str:
        """Why the process is gone, as far as can be told."""
        code = self._process.wait()
        lines = self._log.read_text(errors="replace").splitlines()
        last = f": {lines[-1]}" if lines and code > 0 else ""
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        return f"worker ended {how}{last}"


def _work(connection: Connection) -> None:
    """Serve the driver at the other end until it is gone."""
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    answers: queue.SimpleQueue[Decision] = queue.SimpleQueue()
    interrupt = threading.Event()

    def listen() -> None:
        while True:
            try:
                message = json.loads(connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(1)
            if "run" in message:
                interrupt.clear()
                orders.put(message["run"])
            elif "interrupt" in message:
                interrupt.set()
            else:
                answers.put(Decision(message["decision"]))

    threading.Thread(target=listen, daemon=True).start()
    from workbench import trial

    def send(message: dict[str, object]) -> None:
        connection.send_bytes(json.dumps(message).encode())

    def report(result: EpochResult) -> Decision:
        send({"epoch": json.loads(record.to_json(result))})
        return answers.get()

    while True:
        directory = TrialDirectory(Path(orders.get()))
        try:
            result = trial.run(directory, report=report, interrupted=interrupt.is_set)
        except trial.Fenced:
            send({"fenced": True})
            continue
        except trial.Lost as lost:
            send({"lost": str(lost)})
            continue
        send({"result": json.loads(record.to_json(result))})


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _work(Connection(int(sys.argv[1])))
