"""A fixed list of runs as a source for the driver; nothing is pruned.

Whether a run has ended is read from its record, so a restart continues where it stopped.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from workbench.driver.attempts import orphaned, take_over
from workbench.driver.progress import GroupProgress
from workbench.record import (
    Decision,
    EpochResult,
    Result,
    Role,
    State,
    TrialSpec,
    directory_of,
    plain,
)
from workbench.study import plans
from workbench.study.config.changes import StudyChangedError, differences
from workbench.study.confirm.planning import Protocol
from workbench.study.confirm.selection import Arm


class Replicates:
    """A source of planned runs (``driver.Source``), counted by their strategy.

    Args:
        planned: Every run, in the order in which they begin.
        directory: The study's directory.
        keeps_weights: Whether the weights of a completed run are kept.

    Raises:
        StudyChangedError: A record of one of these runs was made with other settings.
    """

    def __init__(
        self,
        planned: Sequence[TrialSpec],
        directory: Path,
        *,
        keeps_weights: Callable[[TrialSpec], bool] = lambda spec: False,
    ) -> None:
        self._planned = tuple(planned)
        self._directory = directory
        self._keeps_weights = keeps_weights
        self._targets = Counter(spec.strategy for spec in self._planned)
        self._begun: Counter[str] = Counter()
        self._ended: dict[str, Counter[State]] = {name: Counter() for name in self._targets}
        self._fresh: deque[TrialSpec] = deque()
        self._left: list[TrialSpec] = []
        self.outage: Exception | None = None  # All that is kept of a run is its record.
        for spec in self._planned:
            self._look(spec)

    def _look(self, spec: TrialSpec) -> None:
        at = directory_of(self._directory, spec)
        stored, result = at.spec(), at.result()
        if stored is None:
            self._fresh.append(spec)
            return
        lines = differences(_settings(stored), _settings(spec))
        if lines:
            raise StudyChangedError.in_lines(
                f"{at.path}: this run was made with other settings",
                lines,
                "Restore these settings, or give the study a new name.",
            )
        self._begun[spec.strategy] += 1
        if result is not None and result.state.ended:
            # A driver killed between a run's end and its own note of it has dropped no weights.
            self.finish(spec, result)
        else:
            self._left.append(stored)

    # -- what the driver asks for (driver.Source) ------------------------------------------

    def adopt(self) -> list[TrialSpec]:
        """Unfinished runs of an earlier driver, which has ended: the caller holds the lease."""
        left, self._left = self._left, []
        return [spec for stored in left if (spec := self._take_over(stored)) is not None]

    def _take_over(self, spec: TrialSpec) -> TrialSpec | None:
        at = directory_of(self._directory, spec)
        with orphaned(at, f"run {spec.role}/{spec.name}"):
            return take_over(spec, at, self.finish)

    def next(self) -> TrialSpec | None:
        """The next run that has not begun."""
        if not self._fresh:
            return None
        spec = self._fresh.popleft()
        self._begun[spec.strategy] += 1
        return spec

    def report(self, spec: TrialSpec, result: EpochResult) -> Decision:
        """Nothing is pruned: a value that was cut short could not be compared."""
        return Decision.CONTINUE

    def finish(self, spec: TrialSpec, result: Result) -> None:
        """Keep count, and few weights: they are large, and there are many runs."""
        self._ended[spec.strategy][result.state] += 1
        if not self._keeps_weights(spec):
            directory_of(self._directory, spec).drop_weights()

    # -- what people ask for ---------------------------------------------------------------

    @property
    def missing(self) -> int:
        """Runs that have not ended."""
        return len(self._planned) - sum(ended.total() for ended in self._ended.values())

    @property
    def kept(self) -> list[TrialSpec]:
        """Those runs that keep their weights."""
        return [spec for spec in self._planned if self._keeps_weights(spec)]

    @property
    def untouched(self) -> bool:
        """Whether no run has begun."""
        return not self._begun

    def progress(self) -> list[GroupProgress]:
        """How far each strategy is, in the order of its first run; never a value.

        A test value before the last run has ended would be a look at the result.
        """
        return [
            GroupProgress.of(name, target, self._ended[name], begun=self._begun[name])
            for name, target in self._targets.items()
        ]


def _settings(spec: TrialSpec) -> object:
    """What the records of one run have in common, whichever attempt wrote them."""
    plan = plans.comparable(spec.plan)
    return plain(asdict(replace(spec, plan=plan, attempt=1, failures=0, record_id="")))


def selection(protocol: Protocol, directory: Path) -> Replicates:
    """The candidates of every strategy on fresh seeds, validated only.

    Seed by seed, so that one that is stopped has treated all candidates alike. A strategy with one
    candidate runs too: its values tell how far seeds scatter.
    """
    return Replicates(list(selection_specs(protocol)), directory)


def selection_specs(protocol: Protocol) -> list[TrialSpec]:
    """The runs of the selection, in order."""
    return [
        replace(
            candidate,
            role=Role.SELECTION,
            group=f"{strategy}/{candidate.number:03d}",
            number=number,
            seed=int(seed),
            attempt=1,
            failures=0,
        )
        for number, seed in enumerate(protocol.content["selection"]["seeds"])
        for strategy, candidates in protocol.candidates.items()
        for candidate in candidates
    ]


def confirmation(
    protocol: Protocol, arms: Sequence[Arm], directory: Path, second: Protocol | None = None
) -> Replicates:
    """Every arm on the same list of seeds, and then on the test split; the second look's as well.

    Seed by seed, so that one that is stopped is balanced. Of each arm the model of the first seed
    is kept: not the best one, which only the test split could tell.
    """
    seeds = [(seed, plan) for plan in (protocol, second) if plan for seed in plan.content["seeds"]]
    planned = [
        replace(
            arm.spec,
            role=Role.CONFIRMATION,
            group=arm.name,
            strategy=arm.name,
            number=number,
            seed=int(seed),
            attempt=1,
            failures=0,
            protocol=plan.sha256,
        )
        for number, (seed, plan) in enumerate(seeds)
        for arm in arms
    ]
    return Replicates(planned, directory, keeps_weights=lambda spec: spec.number == 0)
