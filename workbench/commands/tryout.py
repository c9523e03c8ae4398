"""One trial on demand: what somebody wants to see once, tracked but not counted.

Knows which settings are meant and what they mean; how the trial is run is for ``launch``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench import record
from workbench.record import Decision, EpochResult, Result, Role, TrialSpec
from workbench.record.strategy import Scalar
from workbench.record.text import nearest
from workbench.study import plans, space
from workbench.study.config import recipes, schema
from workbench.study.config.document import Problem, StudyFileError, parse_value, show
from workbench.study.config.knobs import Categorical, Interval, label, merged, phases_below
from workbench.study.config.problems import choice
from workbench.study.config.study_config import StudyConfig
from workbench.study.resources import Foundation, training_seed


class One:
    """A source of a single trial that no search counts (``driver.Source``)."""

    def __init__(self, spec: TrialSpec) -> None:
        self._specs = [spec]

    def adopt(self) -> list[TrialSpec]:
        """Nothing is left from before."""
        return []

    def next(self) -> TrialSpec | None:
        """The trial, once."""
        return self._specs.pop() if self._specs else None

    def report(self, spec: TrialSpec, result: EpochResult) -> Decision:
        """Nobody prunes it."""
        return Decision.CONTINUE

    def finish(self, spec: TrialSpec, result: Result) -> None:
        """Nobody counts it."""
        return


def proposal_of(config: StudyConfig, settings: Sequence[str]) -> space.Proposal:
    """What to try: the defaults, with factors, tuned knobs and any knob of the recipe set."""
    wanted: dict[str, Any] = {}
    for setting in settings:
        knob, separator, written = setting.partition("=")
        try:
            wanted[knob] = parse_value(written)
        except ValueError as error:
            separator, written = "", str(error)
        if not separator:
            raise StudyFileError(
                [_bad(f"try {setting}", knob, written or "no value", "KNOB=VALUE")]
            )
    factors = {factor.name: factor for factor in config.factors}
    knobs_there = [*factors, *(item.knob for item in config.tune), *schema.Recipe.model_fields]
    phases = set(phases_below(config.document.content))
    for name, value in wanted.items():
        if name not in knobs_there and name.partition(".")[0] not in {*knobs_there, *phases}:
            guess = nearest(name, knobs_there)
            raise StudyFileError([_bad(f"try {name}={value}", name, name, "a knob", guess)])
        labels = [level.label for level in factors[name].levels] if name in factors else []
        if name in factors and label(value) not in labels:
            raise StudyFileError([_bad(f"try {name}={value}", name, value, *choice(value, labels))])
    group = next(
        strategy
        for strategy in config.groups
        if all(strategy.levels.get(k, label(v)) == label(v) for k, v in wanted.items())
    )
    tuned = {item.knob for item in config.tune}

    knob_of = space.knobs_by_parameter(config)

    def pick(name: str, entry: Interval | Categorical) -> Scalar:
        knob = knob_of[name]
        if knob not in wanted:
            return entry.default
        value: Scalar = wanted[knob]
        return label(value) if isinstance(entry, Categorical) else value

    proposal = space.propose(config, group, pick)
    others = {k: v for k, v in wanted.items() if k not in tuned and k not in factors}
    knobs = {**proposal.knobs, **others}
    for flaw in recipes.recipe_flaws(merged(config.recipe, {**group.knobs, **knobs})):
        key = ".".join(map(str, flaw.loc))
        problem = _bad(f"try {key}", key, flaw.found, flaw.expected, flaw.nearest)
        raise StudyFileError([replace(problem, unknown=flaw.unknown)])
    settings_of = {**proposal.hyperparameters, **others}
    return space.Proposal(
        parameters={}, hyperparameters=settings_of, knobs=knobs, strategy=proposal.strategy
    )


def _bad(place: str, key: str, found: object, expected: str, near: str | None = None) -> Problem:
    return Problem(place=place, key=key, found=show(found), expected=expected, nearest=near)


def spec_of(
    config: StudyConfig, foundation: Foundation, proposal: space.Proposal, directory: Path
) -> TrialSpec:
    """The specification of the next try of a strategy."""
    strategy = proposal.strategy
    taken = [
        spec.number
        for _, spec in record.scan(directory)
        if spec.role is Role.TRY and spec.group == strategy.name
    ]
    plan = plans.plan_of(config, proposal, foundation)
    return TrialSpec(
        study=config.name,
        role=Role.TRY,
        group=strategy.name,
        strategy=strategy.name,
        number=max(taken, default=-1) + 1,
        levels=strategy.levels,
        hyperparameters=proposal.hyperparameters,
        plan=plan,
        objective=config.objective,
        seed=training_seed(config),
        study_seed=config.search.seed,
        data_digest=foundation.digest(plan),
    )
