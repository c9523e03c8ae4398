"""The resolved study: configuration, inputs and directory. Every command begins with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench import record
from workbench.record import Role, TrialSpec
from workbench.record.strategy import Knobs, Plan, Scalar, Strategy
from workbench.study import space
from workbench.study.config.knobs import merged
from workbench.study.config.study_config import StudyConfig
from workbench.study.fingerprint import PlannedTrial, define
from workbench.study.inputs import Inputs
from workbench.study.plans import plan_of
from workbench.study.space import Proposal
from workbench.study.weights import STUDY_SUFFIXES


class Study:
    """One study of one home.

    Args:
        config: The content of the study file.
        home: Directory that contains ``mlruns/``.
        pending: See ``Inputs``.

    Attributes:
        inputs: Data, backbones and weights.
        directory: Where the study's records are; it may not exist yet.
    """

    def __init__(self, config: StudyConfig, home: Path, *, pending: bool = False) -> None:
        self.config = config
        self.home = home
        self.directory = record.study_directory(home, config.name)
        self.inputs = Inputs(
            config.document.path.parent, home, study_seed=config.search.seed, pending=pending
        )

    @property
    def name(self) -> str:
        """Of the study."""
        return self.config.name

    @property
    def file(self) -> Path:
        """The study file."""
        return self.config.document.path

    @cached_property
    def strategies(self) -> tuple[StudyStrategy, ...]:
        """What the report compares, in the order of the file."""
        return tuple(StudyStrategy(self, strategy) for strategy in self.config.strategies)

    @cached_property
    def groups(self) -> tuple[StudyStrategy, ...]:
        """What has an Optuna study of its own: every strategy, or ``joint`` alone."""
        if self.config.balanced:
            return self.strategies
        return tuple(StudyStrategy(self, strategy) for strategy in self.config.groups)

    def knobs(self, proposal: Proposal) -> Knobs:
        """The recipe as one trial sees it, nested."""
        return merged(self.config.recipe, {**proposal.strategy.knobs, **proposal.knobs})

    def plan(self, proposal: Proposal) -> Plan:
        """The plan of one trial.

        Raises:
            ValueError: A freeze depth that the backbone does not have, or weights that are not
                there.
        """
        return plan_of(self.knobs(proposal), self.inputs)

    def spec(self, proposal: Proposal, *, role: Role, group: str, number: int) -> TrialSpec:
        """The specification of a trial that trains with the seed of the search."""
        plan = self.plan(proposal)
        return TrialSpec(
            study=self.name,
            role=role,
            group=group,
            strategy=proposal.strategy.name,
            number=number,
            levels=proposal.strategy.levels,
            hyperparameters=proposal.hyperparameters,
            plan=plan,
            objective=self.config.objective,
            seed=self.inputs.seed,
            study_seed=self.config.search.seed,
            data_digest=self.inputs.digest(plan),
        )

    @cached_property
    def studies_needed(self) -> Mapping[str, Path]:
        """The study files whose best trial gives this study its weights, as they are written."""
        needed = {}
        for strategy in self.strategies:
            for proposal in strategy.proposals:
                source = self.knobs(proposal)["backbone"].get("weights")
                if isinstance(source, str) and source.endswith(STUDY_SUFFIXES):
                    needed[source] = self.file.parent / source
        return needed


@dataclass(frozen=True, eq=False)
class StudyStrategy:
    """A strategy of a study, or the one group of a joint study."""

    study: Study
    strategy: Strategy

    @property
    def name(self) -> str:
        """Of the strategy."""
        return self.strategy.name

    @property
    def levels(self) -> Mapping[str, str]:
        """The label of each factor's level."""
        return self.strategy.levels

    @cached_property
    def default(self) -> Proposal:
        """Every tuned knob at its default: the first trial."""
        return space.start(self.study.config, self.strategy)

    @cached_property
    def ends(self) -> tuple[tuple[str, Scalar, Proposal], ...]:
        """The default with one tuned knob at an end of its range or at one of its levels."""
        return tuple(space.ends(self.study.config, self.strategy))

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """The default and the ends."""
        return (self.default, *(proposal for _, _, proposal in self.ends))

    @cached_property
    def knobs(self) -> Knobs:
        """The recipe of the default."""
        return self.study.knobs(self.default)

    @cached_property
    def plan(self) -> Plan:
        """The plan of the default."""
        return self.study.plan(self.default)

    @cached_property
    def definition(self) -> dict[str, Any]:
        """What makes the results of this group comparable, see ``fingerprint``."""
        study, digest = self.study, self.study.inputs.digest
        choices = space.choices(study.config, self.strategy)
        plans = {at: study.plan(proposal) for at, proposal in choices.items()}
        return define(
            study.config,
            self.strategy,
            PlannedTrial(self.plan, digest(self.plan)),
            {at: PlannedTrial(plan, digest(plan)) for at, plan in plans.items()},
        )
