"""Workers in virtual time: they train nothing, and are lost as a seed says."""

from __future__ import annotations

import heapq
import itertools
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.tiny import Silent
from workbench import record
from workbench.driver import Driver, Workers
from workbench.driver.resources import Resources
from workbench.record import Decision, EpochResult, Result, State, TrialDirectory, TrialSpec
from workbench.study.config import load
from workbench.study.search import Search
from workbench.study.study import Study

STUDY = """\
# What do so many workers cost?
name: virtual
recipe:
  dataset: {name: wine, validation: 40, test: 40}
  backbone: {name: mlp, hidden: [4]}
  epochs: 4
compare: {optimizer: [sgd, adamw]}
tune: {learning_rate: {low: 1e-4, high: 1e-1, log: true, default: 1e-2}}
search: {sampler: random, pruner: none, trials_per_strategy: COUNT, seed: 1}
objective: {metric: validation/accuracy}
"""


class Crash(BaseException):
    """The driver's process is killed."""


@dataclass(kw_only=True)
class Faults:
    """How often something is lost, for each event.

    Attributes:
        worker: A worker dies.
        node: Ten workers die together.
        driver: The driver dies: before an epoch is reported, or before a result is received.
    """

    worker: float = 0.0
    node: float = 0.0
    driver: float = 0.0


@dataclass(order=True)
class _Busy:
    at: float
    number: int
    directory: TrialDirectory = field(compare=False)
    spec: TrialSpec = field(compare=False)
    epochs: int = field(compare=False)


class VirtualWorkers(Workers):
    """Runs trials in virtual time, as ``driver.Workers``.

    Attributes:
        now: Virtual seconds.
        calls: Processor seconds of the driver by what it was asked: next, report, finish, lost.
        elapsed: The same in seconds of the clock, waiting for the disk included.
        counts: How often it was asked.
    """

    local = True

    def __init__(self, count: int, *, seed: int = 0, faults: Faults | None = None) -> None:
        self.size = count
        self.now = 0.0
        self.calls = dict.fromkeys(("next", "report", "finish", "lost"), 0.0)
        self.elapsed = dict.fromkeys(self.calls, 0.0)
        self.counts = dict.fromkeys(self.calls, 0)
        self._random = random.Random(seed)
        self._faults = faults or Faults()
        self._numbers = itertools.count()

    def count(self, resources: Resources) -> int:
        return self.size

    def prepare(self, trials: int, resources: Resources) -> None:
        return None

    def kill(self) -> None:
        return None

    def close(self) -> None:
        return None

    def run(self, driver: Driver) -> None:
        busy: list[_Busy] = []
        while True:
            while len(busy) < self.size:
                with self._timed("next"):
                    directory = driver.next()
                if directory is None:
                    break
                spec = directory.spec()
                assert spec is not None
                known = len(directory.history())
                heapq.heappush(busy, self._busy(directory, spec, known))
            if not busy:
                return
            first = heapq.heappop(busy)
            self.now = first.at
            lost = self._draw(self._faults.worker)
            if self._draw(self._faults.node):
                lost = True
                for other in [heapq.heappop(busy) for _ in range(min(9, len(busy)))]:
                    self._lose(driver, other)
            if lost:
                self._lose(driver, first)
            elif (later := self._train(driver, first)) is not None:
                heapq.heappush(busy, later)

    def _train(self, driver: Driver, at: _Busy) -> _Busy | None:
        """One epoch, or the end of a trial."""
        directory, spec, epoch = at.directory, at.spec, at.epochs + 1
        if epoch <= spec.plan.epochs:
            line = EpochResult(
                epoch=epoch,
                phase="main",
                metrics={"validation/accuracy": score(spec, epoch), "seconds": 1.0},
                timestamp=epoch,
            )
            directory.append(line)
            self._crash()
            with self._timed("report"):
                decision = driver.report(directory, line)
            assert decision in (Decision.CONTINUE, Decision.DROP_WEIGHTS)
            return self._busy(directory, spec, epoch)
        value = score(spec, spec.plan.epochs)
        result = Result(
            state=State.COMPLETE, attempt=spec.attempt, value=value, epoch=spec.plan.epochs
        )
        directory.write_result(result)
        self._crash()
        with self._timed("finish"):
            driver.finish(directory, result)
        return None

    def _lose(self, driver: Driver, at: _Busy) -> None:
        with self._timed("lost"):
            driver.lost(at.directory, "worker ended")

    def _busy(self, directory: TrialDirectory, spec: TrialSpec, epochs: int) -> _Busy:
        at = self.now + self._random.expovariate(1.0)
        return _Busy(at, next(self._numbers), directory, spec, epochs)

    def _crash(self) -> None:
        if self._draw(self._faults.driver):
            raise Crash

    def _draw(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability

    def _timed(self, what: str) -> _Timer:
        return _Timer(self, what)


class _Timer:
    def __init__(self, workers: VirtualWorkers, what: str) -> None:
        self._workers, self._what = workers, what

    def __enter__(self) -> None:
        self._begun, self._clock = time.thread_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._workers.calls[self._what] += time.thread_time() - self._begun
        self._workers.elapsed[self._what] += time.perf_counter() - self._clock
        self._workers.counts[self._what] += 1


class _Killed(Driver):
    """A driver whose end is that of a killed process: it writes nothing more."""

    def _park_all(self) -> None:
        return None


def score(spec: TrialSpec, epoch: int) -> float:
    """A made-up learning curve: good near a learning rate of 0.01, rising with the epochs."""
    rate = spec.plan.phases[0].learning_rate
    return 1.0 / (1.0 + (math.log10(rate) + 2.0) ** 2) * epoch / spec.plan.epochs


def drive(file: Path, home: Path, workers: VirtualWorkers) -> Iterator[Search]:
    """Run a study to its end; yields the search of each driver after its last act."""
    ended = False
    while not ended:
        config = load(file)
        search = Search(Study(config, home))
        driver = _Killed(
            study_directory=record.study_directory(home, config.name),
            source=search,
            workers=workers,
            mirror=Silent(),
            progress=lambda driver: None,
        )
        try:
            driver.run()
            ended = True
        except Crash:
            pass
        yield search
        search.close()
