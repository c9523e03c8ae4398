"""A driver with a list of trials, and workers that do what a function says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workbench.driver import Driver, Workers
from workbench.driver.progress import GroupProgress
from workbench.driver.resources import Resources
from workbench.driver.signals import Stop
from workbench.record import (
    Decision,
    EpochResult,
    Objective,
    Result,
    Role,
    State,
    TrialDirectory,
    TrialSpec,
)
from workbench.record.strategy import Plan

PLAN = Plan(
    dataset={"name": "wine"},
    backbone={"name": "mlp"},
    weights=None,
    keep_head=False,
    task={"name": "classification"},
    batch_size=1,
    augmentation=(),
    device="cpu",
    threads=1,
    phases=(),
)


def a_spec(number: int) -> TrialSpec:
    return TrialSpec(
        study="s",
        role=Role.SEARCH,
        group="a",
        strategy="a",
        number=number,
        levels={},
        hyperparameters={},
        plan=PLAN,
        objective=Objective(metric="validation/accuracy", direction="maximize"),
        seed=0,
        study_seed=0,
        data_digest="",
    )


class ListSource:
    """Hands out so many trials and remembers what it is told."""

    def __init__(self, count: int, adopted: list[TrialSpec] | None = None) -> None:
        self.outage: Exception | None = None
        self.specs = [a_spec(number) for number in range(count)]
        self.adopted = adopted or []
        self.reports: list[tuple[int, int]] = []
        self.finished: list[tuple[str, State, str | None]] = []

    def adopt(self) -> list[TrialSpec]:
        return self.adopted

    def next(self) -> TrialSpec | None:
        return self.specs.pop(0) if self.specs else None

    def report(self, spec: TrialSpec, result: EpochResult) -> Decision:
        self.reports.append((spec.number, result.epoch))
        return Decision.CONTINUE

    def finish(self, spec: TrialSpec, result: Result) -> None:
        self.finished.append((spec.name, result.state, result.reason))

    def progress(self) -> list[GroupProgress]:
        return []


class Script(Workers):
    """Workers that do what a function says: the real ones are tested in test_workers."""

    local = True

    def __init__(self, act: Callable[[Driver, TrialDirectory], None]) -> None:
        self.act = act
        self.attempts: list[tuple[str, int]] = []

    def count(self, resources: Resources) -> int:
        return 1

    def prepare(self, trials: int, resources: Resources) -> None:
        return None

    def run(self, driver: Driver) -> None:
        while (directory := driver.next()) is not None:
            spec = directory.spec()
            assert spec is not None
            self.attempts.append((spec.name, spec.attempt))
            self.act(driver, directory)

    def kill(self) -> None:
        return None

    def close(self) -> None:
        return None


class Notes:
    def __init__(self) -> None:
        self.paths: list[Path] = []

    def changed(self, directory: TrialDirectory) -> None:
        self.paths.append(directory.path)


def drive(tmp_path: Path, source: ListSource, workers: Script) -> tuple[int | None, Notes]:
    notes = Notes()
    with Stop().listening() as stop, stop.deferred():
        done = Driver(
            study_directory=tmp_path,
            source=source,
            workers=workers,
            mirror=notes,
            progress=lambda driver: None,
            stop=stop,
        ).run()
    return done, notes
