"""Where trials run: in this process, or in local processes that stay warm.

``WorkerPool`` hands trials to workers and passes on what they send; Ray's workers use it too.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from workbench import record
from workbench.driver import Driver, Workers
from workbench.driver.process import Process, WorkerEnded
from workbench.driver.resources import Resources, gpu_ids, local_count
from workbench.driver.worker import Message, run_trial
from workbench.record import Decision, EpochResult, TrialDirectory

GRACE_SECONDS = 30.0
# How long a pool waits for a message, before it looks for a signal and shows the time.
POLL_SECONDS = 0.25


def _deliver(driver: Driver, directory: TrialDirectory, message: Message) -> None:
    """Tell the driver how a trial ended; a fenced one is another worker's by now."""
    if "halt" in message:
        driver.halt(directory, message["halt"])
    elif "lost" in message:
        driver.lost(directory, message["lost"])
    elif "result" in message:
        driver.finish(directory, record.result_from_json(message["result"]))


class InlineWorkers(Workers):
    """Runs trials one after another in this process, for debugging."""

    local = True

    def count(self, resources: Resources) -> int:
        """One trial at a time."""
        return 1

    def prepare(self, trials: int, resources: Resources) -> None:
        """Nothing to do: this process is there."""

    def run(self, driver: Driver) -> None:
        """Run the trials of a driver."""
        while (directory := driver.next()) is not None:

            def report(result: EpochResult, at: TrialDirectory = directory) -> Decision:
                decision = driver.report(at, result)
                driver.idle()
                return decision

            _deliver(driver, directory, run_trial(directory, report, lambda: driver.stopping))

    def kill(self) -> None:
        """Nothing to do: there are no other processes."""

    def close(self) -> None:
        """Nothing to do: there are no other processes."""


class ClusterError(Exception):
    """A cluster cannot be used; the message says why."""


class Worker(Protocol):
    """A worker of a pool.

    Attributes:
        directory: The trial that it has; None if it has none.
        since: When it got the trial or last sent a message, by the monotonic clock.
    """

    directory: TrialDirectory | None
    since: float

    @property
    def ready(self) -> bool:
        """Whether it can take a trial at once; False while its place is not assigned."""

    def run(self, directory: TrialDirectory) -> None:
        """Let it run a trial."""

    def send(self, message: Message) -> None:
        """Send a message, also to a worker that has ended."""

    def receive(self) -> Message:
        """A message that has arrived; empty if it only became ready.

        Raises:
            WorkerEnded: The worker has ended.
        """

    def ended(self) -> bool:
        """Whether a worker without a trial has ended."""

    def kill(self) -> None:
        """End it, and everything that it has started, and wait for that."""


W = TypeVar("W", bound=Worker)


class WorkerPool(Workers, Generic[W]):
    """Runs trials in workers that each have one at a time, and stay for the next one."""

    local = True

    def __init__(self) -> None:
        self._pool: list[W] = []
        self._resources = Resources()
        self._limit: int | None = None
        # A trial for which no worker is ready yet.
        self._pending: TrialDirectory | None = None

    @abstractmethod
    def _add(self) -> W:
        """A new worker."""

    @abstractmethod
    def _wait(self, workers: Sequence[W]) -> Sequence[W]:
        """Those that have something to receive, after at most ``POLL_SECONDS``."""

    def prepare(self, trials: int, resources: Resources) -> None:
        """Start workers for so many trials: they need seconds to load their libraries."""
        if resources != self._resources:
            self.close()
            self._resources, self._limit = resources, None
        # Without a trial nothing is counted: that may load torch.
        while len(self._pool) < trials and len(self._pool) < self._most():
            self._pool.append(self._add())

    def run(self, driver: Driver) -> None:
        """Run the trials of a driver; the workers are kept for the next call."""
        deadline: float | None = None
        while True:
            exhausted = not self._assign(driver)
            busy = [worker for worker in self._pool if worker.directory is not None]
            if not busy and (exhausted or driver.stopping):
                break
            if driver.stopping and deadline is None:
                deadline = time.monotonic() + GRACE_SECONDS
                for worker in busy:
                    worker.send({"interrupt": True})
            if deadline is not None and time.monotonic() > deadline:
                for worker in busy:
                    self._lose(driver, worker, f"did not stop within {GRACE_SECONDS:.0f} s")
                continue
            for worker in self._wait([w for w in self._pool if w in busy or not w.ready]):
                self._receive(driver, worker)
            self._end_stalled(driver)
            driver.idle()
        if self._pending is not None:
            driver.lost(self._pending, "stopped")
            self._pending = None

    def close(self) -> None:
        """Kill the workers and wait until they are gone."""
        for worker in self._pool:
            worker.kill()
        self._pool.clear()
        self._pending = None

    def _assign(self, driver: Driver) -> bool:
        """Give trials to workers; return whether the driver may have another one."""
        # A trial must not lose an attempt to a worker that ended while it had none.
        for worker in [w for w in self._pool if w.ready and not w.directory and w.ended()]:
            self._remove(worker)
        while True:
            free = next((w for w in self._pool if w.ready and w.directory is None), None)
            if free is None and self._pool and len(self._pool) >= self._most():
                return True
            self._pending = self._pending or driver.next()
            if self._pending is None:
                return False
            if free is not None:
                free.run(self._pending)
                free.since = time.monotonic()
                self._pending = None
            elif all(worker.ready for worker in self._pool):
                self._pool.append(self._add())
            else:
                return True

    def _most(self) -> int:
        # Once: a cluster that loses nodes has room again when others take their place.
        if self._limit is None:
            self._limit = self.count(self._resources)
        return self._limit

    def _receive(self, driver: Driver, worker: W) -> None:
        directory = worker.directory
        try:
            message = worker.receive()
        except WorkerEnded as ended:
            self._lose(driver, worker, str(ended))
            return
        worker.since = time.monotonic()
        if directory is None:
            return
        if "epoch" in message:
            result = record.epoch_from_json(message["epoch"])
            worker.send({"decision": driver.report(directory, result)})
            return
        worker.directory = None
        _deliver(driver, directory, message)

    def _end_stalled(self, driver: Driver) -> None:
        limit = self._resources.stall_timeout
        if limit is None:
            return
        now = time.monotonic()
        late = [w for w in self._pool if w.directory is not None and now - w.since > limit]
        # A report may have come while the driver was busy with another worker's.
        here = self._wait(late) if late else ()
        for worker in [worker for worker in late if worker not in here]:
            self._lose(driver, worker, f"stalled: no report for {limit:g} s")

    def _lose(self, driver: Driver, worker: W, reason: str) -> None:
        self._remove(worker)
        if worker.directory is not None:
            driver.lost(worker.directory, reason)

    def _remove(self, worker: W) -> None:
        worker.kill()
        self._pool.remove(worker)


class LocalWorkers(WorkerPool["LocalWorker"]):
    """Runs trials in processes of this machine: started before or on demand, and reused.

    Args:
        count: Number of processes; by default as many as the machine has room for.
        logs: Folder for the output of the processes.
    """

    def __init__(self, count: int | None, logs: Path) -> None:
        super().__init__()
        self._given = count
        self._logs = logs

    def count(self, resources: Resources) -> int:
        """The number given, or else what the resources of the machine suffice for."""
        return self._given or local_count(resources)

    def draw(self, directories: Sequence[TrialDirectory]) -> None:
        """Draw in the workers, which have loaded torch and the data."""
        free = [worker for worker in self._pool if not worker.ended()]
        left = list(directories if not free else ())
        shares = [directories[place :: len(free)] for place in range(len(free))]
        for worker, share in zip(free, shares, strict=True):
            worker.send({"draw": [str(directory.path) for directory in share]})
        for worker, share in zip(free, shares, strict=True):
            try:
                while "drawn" not in worker.receive():
                    pass
            except WorkerEnded:
                left += share
        super().draw(left)

    def kill(self) -> None:
        """Kill the processes and everything that they have started, without waiting."""
        for worker in self._pool:
            worker.signal_end()

    def _add(self) -> LocalWorker:
        taken = {worker.place for worker in self._pool}
        place = next(place for place in range(len(taken) + 1) if place not in taken)
        environment = {}
        if gpus := gpu_ids(self._resources):
            environment["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]
        elif self._resources.gpus == 0:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        return LocalWorker(self._logs, environment, place)

    def _wait(self, workers: Sequence[LocalWorker]) -> Sequence[LocalWorker]:
        ready = wait([worker.connection for worker in workers], timeout=POLL_SECONDS)
        return [worker for worker in workers if worker.connection in ready]


class LocalWorker(Process):
    """A process of this machine.

    Attributes:
        place: The lowest number that no other worker of the pool has; it decides the GPU.
    """

    ready = True

    def __init__(self, logs: Path, environment: Mapping[str, str], place: int) -> None:
        super().__init__(logs, environment)
        self.place = place
        self.directory: TrialDirectory | None = None
        self.since = time.monotonic()

    def run(self, directory: TrialDirectory) -> None:
        """Let it run a trial."""
        self.directory = directory
        self.send({"run": str(directory.path)})
