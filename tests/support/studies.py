"""Records of studies as a driver and its workers leave them, without training."""

from __future__ import annotations

import json
from collections.abc import Callable
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
from workbench.study import description, plans, space
from workbench.study.config import load
from workbench.study.config.changes import Changed, Unready
from workbench.study.config.document import StudyFileError
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import planning
from workbench.study.confirm.protocol import Protocol
from workbench.study.resources import Foundation, training_seed

Write = Callable[..., Path]


class Searched:
    """A study with records of a search as the driver leaves them, without training."""

    def __init__(self, file: Path, home: Path, *overrides: str) -> None:
        self.file = file
        self.config = load(file, overrides)
        self.foundation = Foundation(self.config, home)
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
        plan = plans.plan_of(self.config, proposal, self.foundation)
        spec = TrialSpec(
            study=self.config.name,
            role=Role.SEARCH,
            group=strategy if self.config.balanced else "joint",
            strategy=strategy,
            number=number,
            levels=proposal.strategy.levels,
            hyperparameters=proposal.hyperparameters,
            plan=plan,
            objective=self.config.objective,
            seed=training_seed(self.config),
            study_seed=self.config.search.seed,
            data_digest=self.foundation.digest(plan),
        )
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
        return planning.plan_of_confirmation(self.config, self.foundation, self.directory)

    def refused(self) -> str:
        """Why there is no plan."""
        with pytest.raises((StudyFileError, Unready, Changed)) as caught:
            self.plan()
        return str(caught.value).replace(str(self.file), "FILE")


class Studies:
    """Writes studies and trials the way a driver and its workers do, without training."""

    def __init__(self, home: Path, write: Write) -> None:
        self.home = home
        self._write = write
        self._configs: dict[str, tuple[StudyConfig, Foundation]] = {}

    def study(self, name: str, *replacements: tuple[str, str]) -> Path:
        config = load(self._write(*replacements, name=name))
        foundation = Foundation(config, self.home)
        self._configs[name] = (config, foundation)
        directory = record.study_directory(self.home, name)
        described = json.dumps(description.describe(config, foundation))
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
        config, foundation = self._configs[study]
        proposal = space.default(config, config.groups[group])
        spec = TrialSpec(
            study=study,
            role=role,
            group=config.groups[group].name,
            strategy=proposal.strategy.name,
            number=number,
            levels=proposal.strategy.levels,
            hyperparameters=proposal.hyperparameters,
            plan=plans.plan_of(config, proposal, foundation),
            objective=config.objective,
            seed=training_seed(config),
            study_seed=config.search.seed,
            data_digest="digest",
        )
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
    with parent_run.opened(config, Foundation(config, home), home, role) as page:
        if status is not None:
            page.status = status
