"""A study file that is complete and consistent: what ``load`` returns, and what follows from it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from workbench.driver.resources import Resources
from workbench.record import Addition, Cell, Objective
from workbench.record.strategy import Knobs, Strategy
from workbench.study.config.document import Document, Location
from workbench.study.config.knobs import (
    Factor,
    TunedKnob,
    combinations,
    labels_of,
    levels_of,
    parts_of,
    phases_in,
    strategy_of,
)
from workbench.study.config.schema import Confirm, Report, Search

_JOINT_FINALISTS = 3


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """A study file that is complete and consistent.

    Attributes:
        document: The file itself: its path, text and content, and the place of every key.
        cell: Which of the file's studies, of a file with ``across``.
        added: The level that is added to the file's study; then the strategies are those with it.
        recipe: The knobs held fixed, nested.
        resources: What a worker needs.
    """

    document: Document
    cell: Cell | None
    name: str
    question: str
    recipe: Knobs
    compare: tuple[Factor, ...]
    tune: tuple[TunedKnob, ...]
    search: Search
    objective: Objective
    confirm: Confirm
    report: Report
    resources: Resources
    added: Addition | None = None

    @property
    def balanced(self) -> bool:
        """Whether every strategy gets a search of its own, with the same number of trials."""
        return bool(self.compare)

    @property
    def factor_block(self) -> str:
        """The block of the file in which the factors stand."""
        return "compare" if self.compare else "tune"

    @property
    def factors(self) -> tuple[Factor, ...]:
        """What the strategies differ in: what is compared, or in a joint study the choices."""
        if self.compare:
            return self.compare
        return tuple(
            Factor(name=tuned.knob, levels=tuple(levels.values()))
            for tuned in self.tune
            if (levels := levels_of(tuned))
        )

    @property
    def strategies(self) -> tuple[Strategy, ...]:
        """Every combination of the factors' levels; in a joint study those that may be chosen."""
        if self.compare:
            every = (
                strategy_of(self.compare, levels)
                for levels in itertools.product(*(factor.levels for factor in self.compare))
            )
            added = self.added
            return tuple(s for s in every if not added or s.levels[added.factor] == added.label)
        factors = {factor.name: factor for factor in self.factors}
        return tuple(
            strategy_of([factors[name] for name in chosen], list(chosen.values()))
            for chosen in combinations(self.tune, labels_of(self.recipe))
        )

    @property
    def groups(self) -> tuple[Strategy, ...]:
        """What has an Optuna study of its own: every strategy, or ``joint`` alone."""
        return self.strategies if self.balanced else (Strategy(name="joint"),)

    @property
    def seed_study(self) -> str:
        """The study whose confirmation seeds it has: what is added pairs with what was tested."""
        return self.added.study if self.added else self.name

    @property
    def contrast(self) -> str:
        """What the confirmation compares: ``all`` pairs, each with the ``baseline``, or a factor.

        A joint study has searched no strategy for itself: it compares with the baseline alone,
        unless it says otherwise.
        """
        return self.confirm.contrast or ("all" if self.balanced else "baseline")

    @property
    def finalists(self) -> int | None:
        """How many strategies go on to the test; None: every one that can be compared."""
        if self.added:
            return None
        return self.confirm.finalists or (None if self.balanced else _JOINT_FINALISTS)

    @property
    def trials_per_group(self) -> int:
        """Number of trials of each group, all starts of the study together."""
        trials = self.search.trials_per_strategy if self.balanced else self.search.trials
        assert trials is not None
        return trials

    @property
    def startup_trials(self) -> int:
        """Trials before a sampler models and a pruner prunes, where the file names no number."""
        return max(3, self.trials_per_group // 4)

    def location(self, knob: str, levels: Mapping[str, str] | None = None) -> Location:
        """The place of a knob in the file: the first block that sets it or a part of it.

        Args:
            knob: Its path from ``recipe``.
            levels: The label of each factor's level, where only one of them is meant.
        """
        for factor in self.factors:
            if f"{factor.name}.".startswith(f"{knob}."):
                return (self.factor_block, factor.name)
            for level in factor.levels:
                if levels and levels.get(factor.name, level.label) != level.label:
                    continue
                if any(f"{path}.".startswith(f"{knob}.") for path in level.knobs):
                    return (self.factor_block, factor.name, level.label, knob)
        if any(tuned.knob == knob for tuned in self.tune):
            return ("tune", knob)
        return ("recipe", *parts_of(knob, phases_in(self.recipe)))
