"""Records of studies as a driver and its workers leave them, without training."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench import record
from workbench.commands import parent_run
from workbench.record import (
    EpochResult,
    Result,
    Role,
    State,
    TrialDirectory,
    TrialSpec,
)
from workbench.record.files import write_atomically
from workbench.record.strategy import Strategy
from workbench.study import description, space
from workbench.study.config import load
from workbench.study.config.changes import NotReadyError, StudyChangedError
from workbench.study.config.document import StudyFileError
from workbench.study.confirm import planning
from workbench.study.confirm.planning import Protocol
from workbench.study.study import Study

Write = Callable[..., Path]


class SearchResults:
    """A study with records of a search as the driver leaves them, without training."""

    def __init__(self, file: Path, home: Path, *overrides: str) -> None:
        self.file = file
        self.config = load(file, overrides)
        self.study = Study(self.config, home)
        self.directory = record.study_directory(home, self.config.name)

    def trial(
        self,
        strategy: str,
        number: int,
        value: float | None,
        *,
        rate: float | None = None,
        state: State = State.COMPLETE,
        seconds: float = 2.0,
    ) -> TrialSpec:
        """One trial of a strategy; by default every number has a learning rate of its own."""
        chosen = next(s for s in self.config.strategies if s.name == strategy)
        proposal = self._proposal(chosen, 1e-3 * (number + 1) if rate is None else rate)
        group = strategy if self.config.balanced else "joint"
        spec = self.study.spec(proposal, role=Role.SEARCH, group=group, number=number)
        at = record.directory_of(self.directory, spec)
        at.write_spec(spec)
        at.write_result(
            Result(
                state=state,
                attempt=1,
                value=value,
                started=1_000_000,
                ended=1_000_000 + round(1000 * seconds),
            )
        )
        return spec

    def _proposal(self, strategy: Strategy, rate: float) -> space.Proposal:
        group = strategy if self.config.balanced else self.config.groups[0]
        knob_of = space.knobs_by_parameter(self.config)

        def pick(name: str, entry: Any) -> Any:
            wanted = {**strategy.levels, "learning_rate": rate}
            return wanted.get(knob_of[name], entry.default)

        return space.propose(self.config, group, pick)

    def plan(self) -> Protocol:
        return planning.plan_of_confirmation(self.study)

    def refused(self) -> str:
        """Why there is no plan."""
        with pytest.raises((StudyFileError, NotReadyError, StudyChangedError)) as caught:
            self.plan()
        return str(caught.value).replace(str(self.file), "FILE")


class Studies:
    """Writes studies and trials the way a driver and its workers do, without training."""

    def __init__(self, home: Path, write: Write) -> None:
        self.home = home
        self._write = write
        self._studies: dict[str, Study] = {}

    def study(self, name: str, *replacements: tuple[str, str]) -> Path:
        study = Study(load(self._write(*replacements, name=name)), self.home)
        self._studies[name] = study
        directory = study.directory
        described = json.dumps(description.describe(study))
        write_atomically(directory / "study.json", described.encode())
        return directory

    def trial(
        self,
        study: str,
        group: int,
        number: int,
        result: Result | None,
        *,
        epochs: int = 2,
        role: Role = Role.SEARCH,
    ) -> TrialDirectory:
        resolved = self._studies[study]
        of = resolved.groups[group]
        spec = resolved.spec(of.default, role=role, group=of.name, number=number)
        spec = replace(spec, data_digest="digest")
        directory = record.directory_of(record.study_directory(self.home, study), spec)
        directory.write_spec(spec)
        for epoch in range(1, epochs + 1):
            metrics = {"validation/accuracy": epoch / 10, "seconds": 0.5}
            directory.append(
                EpochResult(epoch=epoch, phase="main", metrics=metrics, timestamp=epoch)
            )
        if result is not None:
            directory.write_result(result)
        return directory


def ended(state: State, value: float | None = None, reason: str | None = None) -> Result:
    epoch = None if value is None else 2
    return Result(state=state, attempt=1, value=value, epoch=epoch, reason=reason)


def hold(
    file: Path, home: Path, *, role: Role = Role.SEARCH, status: str | None = "FINISHED"
) -> None:
    """Open a study's page and close it again, without any trial."""
    config = load(file)
    with parent_run.open_parent(Study(config, home), role) as page:
        if status is not None:
            page.status = status
