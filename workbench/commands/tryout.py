"""``workbench try``: one trial with chosen settings, tracked but not counted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench import record
from workbench.commands import browse, session
from workbench.commands.outcomes import Stopped
from workbench.commands.parent_run import ParentRun
from workbench.commands.run import run_needed
from workbench.commands.session import Watcher
from workbench.commands.summaries import TrialDetails
from workbench.driver import Workers
from workbench.driver.attempts import failure
from workbench.driver.leases import lease
from workbench.messages import nearest
from workbench.record import Role, TrialSpec
from workbench.record.strategy import Scalar
from workbench.study import space
from workbench.study.checks import check
from workbench.study.config import load, recipes, schema
from workbench.study.config.document import Problem, StudyFileError, parse_value, show
from workbench.study.config.knobs import Categorical, Interval, label, merged, phases_below
from workbench.study.config.problems import choice
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm.replicates import Replicates
from workbench.study.study import Study
from workbench.tracker.store import UnreachableError


@dataclass(frozen=True, kw_only=True)
class TryResult:
    """A trial that ``try`` has run, and the id of its MLflow run; ``stopped`` by a signal."""

    trial: TrialDetails
    run_id: str
    stopped: bool


def try_trial(
    file: Path,
    settings: Sequence[str],
    home: Path,
    workers: Workers,
    watcher: Watcher,
    *,
    wait: bool = False,
) -> TryResult:
    """Run one trial of a study with some knobs set (``KNOB=VALUE``): tracked, but not counted.

    Raises:
        StudyFileError: As for ``run_study``, or a setting is not valid.
    """
    with session.open_session(home, workers, watcher) as at:
        config = load(file)
        proposal = proposal_of(config, settings)
        study = Study(config, at.home, pending=True)
        stopped = run_needed(at, study)
        if stopped is not None:
            raise Stopped(f"Stopped while running {stopped.study}. Rerun the command to continue.")
        study = Study(config, at.home)
        check(study)
        # Inside the lease: two tries at once would get the same number.
        with lease(study.directory, wait=wait):
            spec = spec_of(study, proposal)
            directory = record.directory_of(study.directory, spec)

            def finish(page: ParentRun) -> None:
                result = directory.result()
                if result is None or not result.state.ended:
                    # No later command would continue it.
                    directory.write_result(failure(spec, "interrupted"))
                    page.mirror.changed(directory)

            source = Replicates([spec], study.directory, keeps_weights=lambda spec: True)
            driven = at.drive(study, source, Role.TRY, title=spec.name, finish=finish)
            run_id = ""
            with suppress(UnreachableError):
                run_id = driven.page.tracker.mirror(directory, driven.page.mirror.parent)
    trial = browse.trial(home, study.name, f"{spec.role}/{spec.name}")
    return TryResult(trial=trial, run_id=run_id, stopped=driven.signal is not None)


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
    # The first strategy that the chosen labels allow; its other factors keep their defaults.
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


def spec_of(study: Study, proposal: space.Proposal) -> TrialSpec:
    """The specification of the next try of a strategy."""
    group = proposal.strategy.name
    taken = [
        spec.number
        for _, spec in record.scan(study.directory)
        if spec.role is Role.TRY and spec.group == group
    ]
    number = max(taken, default=-1) + 1
    return study.spec(proposal, role=Role.TRY, group=group, number=number)
