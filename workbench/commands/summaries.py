"""What ``list`` and ``show`` say of a study and of a trial: typed results, and their JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench.commands.confirmation_progress import ConfirmationProgress
from workbench.record import Addition, EpochResult, Result, Role, State, TrialSpec
from workbench.record.strategy import Scalar


@dataclass(frozen=True, kw_only=True)
class VerdictSummary:
    """The verdict of a finished confirmation, as its end or the last report left it.

    Attributes:
        heading: The word as it is shown; see ``Verdict.heading``.
        leader: The configuration with the best mean; None where no mean may be compared.
        seeds: How many seeds of each configuration it is of.
        protocol: SHA-256 of the protocol that it is of.
        headline: What the word means for this study; empty where an earlier version gave it.
        needed: How many seeds would be enough for a conclusion; empty where nothing is to be said.
    """

    word: str
    heading: str
    leader: str | None
    seeds: int
    protocol: str
    headline: str = ""
    needed: str = ""


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """One study, as ``list`` shows it.

    Attributes:
        state: ``running``, ``unfinished``, ``complete``, ``complete, none usable`` or ``damaged``.
        holder: The process that runs it, in words.
        trials: Planned trials of the search; the counts of each state are the search's too.
        test_metric: Name of the objective's metric on the test split.
        best: Value of the best complete trial, whose name is ``best_trial``.
        confirmation: None where none has begun.
        verdict: None until a confirmation is complete.
        added: What it adds to another study, whose report shows it; None of other studies.
        problem: Why a damaged study cannot be read.
    """

    name: str
    state: str
    holder: str | None = None
    trials: int = 0
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    parked: int = 0
    running: int = 0
    metric: str = ""
    test_metric: str = ""
    best: float | None = None
    best_trial: str | None = None
    confirmation: ConfirmationProgress | None = None
    verdict: VerdictSummary | None = None
    added: Addition | None = None
    file: str = ""
    question: str = ""
    problem: str | None = None

    @property
    def searched(self) -> bool:
        """Whether its search has all its trials and nobody runs it."""
        return self.state.startswith("complete")


@dataclass(frozen=True, kw_only=True)
class TrialSummary:
    """One trial, as ``show STUDY`` lists it.

    Attributes:
        trial: Its name within the study, as ``trial`` takes it.
        value: Of the objective; None without a result.
        test: Metrics on the test split; empty until its whole look has ended.
        epoch: The report whose value counts.
        epochs: Epochs done; a fraction where a trial reports within an epoch.
        reason: Why it ended as it did.
        weights: The file of its model; None where it keeps none.
        seed: Text, because a number of its size is not safe in every reader of JSON.
    """

    trial: str
    role: str
    strategy: str
    state: State
    value: float | None
    test: Mapping[str, float]
    epoch: int | None
    epochs: float
    seconds: float
    reason: str | None
    weights: str | None
    seed: str
    hyperparameters: Mapping[str, Scalar]

    def rank(self, direction: str) -> tuple[int, int, float]:
        """A key that sorts trials by role and then from the best to the worst.

        The value of a trial that did not complete is of fewer epochs, so it comes after all others.
        """
        value = math.inf if self.value is None else self.value
        worse = -value if direction == "maximize" and self.value is not None else value
        return list(Role).index(Role(self.role)), self.state is not State.COMPLETE, worse


@dataclass(frozen=True, kw_only=True)
class StudyDetails:
    """A study with its trials: all of them, or those that were asked for."""

    summary: StudySummary
    trials: tuple[TrialSummary, ...]

    @property
    def models(self) -> list[TrialSummary]:
        """Of several strategies the leader's trial that keeps its model; of one all that do."""
        verdict, alone = self.summary.verdict, len({row.strategy for row in self.trials}) == 1
        leader = self.summary.best_trial
        if verdict and verdict.leader:
            leader = f"{Role.CONFIRMATION}/{verdict.leader}/000"
        return [row for row in self.trials if row.weights and (alone or row.trial == leader)]

    def as_json(self) -> dict[str, object]:
        """For ``show --json``."""
        return {**asdict(self.summary), "rows": [asdict(row) for row in self.trials]}


@dataclass(frozen=True, kw_only=True)
class TrialDetails:
    """A trial with its whole record.

    Attributes:
        withheld: Whether it has test values that must not be shown yet.
        seeds: The objective on the test split of all runs of its configuration that may be shown.
        result: Without its test values, where they are withheld; None while it runs.
    """

    summary: TrialSummary
    withheld: bool
    seeds: tuple[float, ...]
    spec: TrialSpec
    history: list[EpochResult]
    result: Result | None
    directory: Path

    def as_json(self) -> dict[str, object]:
        """For ``show --json``."""
        content = asdict(self)
        return {**content.pop("summary"), **content, "directory": str(self.directory)}
