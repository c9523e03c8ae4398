"""A worker process: runs the trials that the driver sends through a socket.

It gets the path of a trial directory and sends back epoch results and a result. Messages are JSON,
not pickle: nothing that arrives is ever executed.

Each worker leads its own process group. A small process in that group, the guard, kills the group
when the driver or the worker has ended. So a worker that is busy in native code and holds the GIL
ends with its driver, and the processes that a trial has started end with its worker.
"""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypedDict

from workbench import record
from workbench.record import Decision, EpochResult, TrialDirectory
from workbench.record.files import DiskError

# How long a report may wait for its answer before the worker asks whether it was cut off.
_UNANSWERED_SECONDS = 2.0


class Message(TypedDict, total=False):
    """What driver and worker send each other: JSON with one key.

    Attributes:
        run: To the worker: the path of a trial's record.
        draw: To the worker: the paths of trials whose pictures it should draw.
        interrupt: To the worker: stop the trial after this step.
        decision: To the worker: the answer to ``epoch``.
        epoch: An ``EpochResult`` as JSON.
        result: A trial's ``Result`` as JSON; the trial has ended.
        fenced: A later attempt of the trial has begun.
        lost: Why the trial must be tried again.
        halt: Why no trial can run, for example because the disk is full.
        drawn: The pictures are there.
        ended: Why a worker of a node has ended.
    """

    run: str
    draw: list[str]
    interrupt: bool
    decision: str
    epoch: str
    result: str
    fenced: bool
    lost: str
    halt: str
    drawn: bool
    ended: str


def run_trial(
    directory: TrialDirectory,
    report: Callable[[EpochResult], Decision],
    interrupted: Callable[[], bool],
) -> Message:
    """Run a trial; the message says how it ended."""
    # Not at the top: it loads torch, which the driver of other processes does not need.
    from workbench.trial import run as trial_run

    try:
        result = trial_run.run(directory, report=report, interrupted=interrupted)
    except trial_run.Fenced:
        return {"fenced": True}
    except DiskError as error:
        return {"halt": str(error)}
    except trial_run.Lost as lost:
        return {"lost": str(lost)}
    return {"result": record.to_json(result)}


def _work(connection: Connection) -> None:
    """Do what the driver asks for, until it closes the connection."""
    orders: queue.SimpleQueue[Message] = queue.SimpleQueue()
    answers: queue.SimpleQueue[Decision] = queue.SimpleQueue()
    interrupt = threading.Event()

    def listen() -> None:
        while True:
            try:
                message = json.loads(connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(1)  # The driver is gone; the main thread may be deep in native code.
            if "run" in message or "draw" in message:
                interrupt.clear()
                while not answers.empty():
                    answers.get()  # to a report of the trial before, which was given up
                orders.put(message)
            elif "interrupt" in message:
                interrupt.set()
            else:
                answers.put(Decision(message["decision"]))

    # A thread: while libraries are imported or a trial runs, it notices that the driver has ended.
    threading.Thread(target=listen, daemon=True).start()

    def send(message: Message) -> None:
        connection.send_bytes(json.dumps(message).encode())

    def report(directory: TrialDirectory, attempt: int, result: EpochResult) -> Decision:
        send({"epoch": record.to_json(result)})
        while True:
            with suppress(queue.Empty):
                return answers.get(timeout=_UNANSWERED_SECONDS)
            # Where this worker was cut off, no answer comes, and a later attempt needs its lock.
            current = directory.stored_spec()
            if current is not None and current.attempt > attempt:
                return Decision.FENCED

    _load_libraries()
    while True:
        order = orders.get()
        if "draw" in order:
            from workbench.trial import artifacts

            artifacts.draw_best([TrialDirectory(Path(path)) for path in order["draw"]])
            send({"drawn": True})
            continue
        directory = TrialDirectory(Path(order["run"]))
        spec = directory.stored_spec()
        asked = partial(report, directory, 1 if spec is None else spec.attempt)
        send(run_trial(directory, asked, interrupt.is_set))


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
