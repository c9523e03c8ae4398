"""The typed content of report.json, from which pages and the files for a paper are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from workbench.record import Objective
from workbench.report import wording
from workbench.report.checks import Check
from workbench.report.methods import TrainingSummary, UsedMethod
from workbench.report.mistakes import StrategyMistakes
from workbench.report.results import ConfirmationResult, Row
from workbench.report.table import StrategyResult, TrialResult
from workbench.report.templates import words
from workbench.tracker.stored_study import CitedValue
from workbench.verdict import Verdict, as_json

_SCHEMA = 2


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the search is.

    Attributes:
        planned: Trials in all; None where unknown.
        done: Ended trials that count towards the plan.
        open: Started and not ended.
        other_roles: Number of runs of other roles.
    """

    planned: int | None
    done: int
    started: int
    ended: int
    running: int
    parked: int
    complete: int
    pruned: int
    failed: int
    open: int
    diverged: int
    stopped_early: int
    finished: bool
    other_roles: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class FigureEntry:
    """A figure that is drawn, with its number and the part of the report that it belongs to."""

    name: str
    number: int
    caption: str
    of: str


@dataclass(frozen=True, kw_only=True)
class VerdictDetails:
    """A verdict and its basis, from which tables and numbers for a paper are written.

    Attributes:
        study: Name of the study, or of the results' file.
        confirmation: None for a search alone and for external results.
        cited: Values from the literature.
        test: The primary test that was used; None without a comparison.
        emphasis: The rule for bold and underlined values; None where there are none.
        columns: What the main table's columns about the comparisons mean; None without them.
        caution: A warning to print with test values that support no claim.
        external: Whether the results come from other software, and not from Workbench's studies.
        strategies: Of the search, as ``progress`` is; empty for external results.
        first: The verdict before strategies were added, which ``verdict`` is about as well; None
            where none were.
        added: SHA-256 of the protocol of each study that added some, by its name.
    """

    study: str
    verdict: Verdict
    confirmation: ConfirmationResult | None = None
    cited: tuple[CitedValue, ...] = ()
    test: str | None = None
    emphasis: str | None = None
    columns: str | None = None
    caution: str | None = None
    external: bool = False
    strategies: tuple[StrategyResult, ...] = ()
    progress: Progress | None = None
    first: Verdict | None = None
    added: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """``the study NAME``; for external results, only the name."""
        return self.study if self.external else f"the study {self.study}"

    @property
    def metric(self) -> str:
        """The metric in words; that of external results keeps its own name."""
        return self.verdict.metric if self.external else words(self.verdict.metric)

    @property
    def confirmed(self) -> bool:
        """Whether its confirmation is finished."""
        return self.confirmation is not None and self.confirmation.finished

    @property
    def rows(self) -> Sequence[Row]:
        """Those of the main table."""
        arms = self.confirmation.arms if self.confirmation else None
        return list(wording.rows(self.verdict)) if arms is None else arms

    @property
    def shows_tests(self) -> bool:
        """Whether test values may be shown: an unfinished confirmation shows none."""
        if self.confirmation is not None:
            return bool(self.confirmation.finished and self.confirmation.arms)
        # A search has no means.
        return any(side.mean for side in self.verdict.sides)


@dataclass(frozen=True, kw_only=True)
class Summary(VerdictDetails):
    """The content of report.json; dictionaries go to the templates as they are.

    Attributes:
        usable: Whether a search trial completed with a value.
        top: The best trial of the search.
        unconfirmed: A sentence on what else the totals of the study include, besides its arms.
        medians: Whether the median of a strategy's trials describes the strategy.
        warnings: Number of checks with a warning.
        objective: Of the search, on validation data.
    """

    question: str
    mode: str
    usable: bool
    notes: list[str]
    why: wording.Why
    needed: str | None
    progress: Progress
    objective: Objective
    top: TrialResult | None
    baseline: str | None
    unconfirmed: str | None
    medians: bool
    metrics: list[str]
    knobs: list[str]
    health: tuple[Check, ...]
    warnings: int
    failures: tuple[TrialResult, ...]
    divergence: list[dict[str, Any]]
    mistakes: tuple[StrategyMistakes, ...]
    importances: dict[str, Any] | None
    factors: Mapping[str, tuple[str, ...]]
    search_space: list[dict[str, Any]]
    tuned: list[str]
    search: Mapping[str, Any]
    budget: dict[str, Any]
    epochs: dict[str, int] | None
    plan: dict[str, Any] | None
    methods: tuple[UsedMethod, ...]
    training: TrainingSummary
    data: dict[str, Any]
    backbone: dict[str, Any]
    figures: tuple[FigureEntry, ...]
    left_out: list[dict[str, str]]
    provenance: dict[str, Any]

    @cached_property
    def content(self) -> dict[str, Any]:
        """Of report.json: plain values, floats unrounded, unknown numbers None."""
        # A study's own report is never external.
        names = [each.name for each in fields(self) if each.name != "external"]
        content = {name: getattr(self, name) for name in names}
        if self.confirmation is not None:
            content["confirmation"] = self.confirmation.content
        return as_json({"schema": _SCHEMA, **content})
