"""Brings an Optuna study back in line with the records of its trials.

The records are the truth about what happened in a trial. An Optuna storage that has lost its last
commits, or is an older copy, or was deleted, lacks trials that have records: asked again, Optuna
would propose other parameters under their numbers. ``Search`` calls this before it asks anything.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from workbench import record
from workbench.record import Result, Role, State, TrialDirectory, TrialSpec
from workbench.record.strategy import Scalar, Strategy
from workbench.study import space
from workbench.study.config import StudyChangedError
from workbench.study.config.knobs import Categorical, Interval
from workbench.study.config.study_config import StudyConfig

# Attribute of a trial that takes a failed one's place: the number of the failed one.
RETRIES = "retries"
# Attribute of a trial for which the pruner has decided, or need not be asked again: the report
# after which it was pruned, 0 for none.
PRUNED_AT = "pruned_at"

Records = Mapping[int, tuple[TrialDirectory, TrialSpec]]

# How Optuna calls the final states.
STATES = {
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAILED: TrialState.FAIL,
}


def records_of(directory: Path) -> Mapping[str, Records]:
    """The records of a study's search: by group and by number.

    Raises:
        DamagedRecordError: A record cannot be read.
    """
    found: dict[str, dict[int, tuple[TrialDirectory, TrialSpec]]] = {}
    for at, spec in record.scan(directory):
        if spec.role is Role.SEARCH:
            found.setdefault(spec.group, {})[spec.number] = (at, spec)
    return found


def reconcile(
    config: StudyConfig, group: Strategy, study: optuna.Study, records: Records
) -> list[FrozenTrial] | None:
    """The trials that a study must hold where it disagrees with the records, else None.

    A trial that only the records know, or that they know with other parameters, is as they say. One
    that has ended but whose record is gone waits to be run again under its number, and so does one
    that only the record of the failed trial names whose place it takes.

    Args:
        config: The study's.
        group: What the trials of this study have in common.
        study: Holds the trials as Optuna knows them.
        records: Of this group.

    Raises:
        StudyChangedError: A record has a value that the study's ranges do not hold.
    """
    stored = study.get_trials(deepcopy=False)
    replaced = {
        result.retried: number
        for number, (at, _) in records.items()
        if (result := at.result()) is not None and result.retried is not None
    }
    # A number is a position in Optuna: trials that are missing in between must be made too.
    count = max(len(stored), 1 + max([*records, *replaced], default=-1))
    trials = [
        _trial(
            config,
            group,
            number,
            stored[number] if number < len(stored) else None,
            records,
            {RETRIES: replaced[number]} if number in replaced else {},
        )
        for number in range(count)
    ]
    unchanged = len(trials) == len(stored) and all(map(lambda a, b: a is b, trials, stored))
    return None if unchanged else trials


def rewrite(study: optuna.Study, trials: Sequence[FrozenTrial], storage: BaseStorage) -> None:
    """Replace the trials of a study; its other attributes are lost."""
    name, direction = study.study_name, study.direction
    optuna.delete_study(study_name=name, storage=storage)
    optuna.create_study(study_name=name, storage=storage, direction=direction).add_trials(trials)


def _trial(
    config: StudyConfig,
    group: Strategy,
    number: int,
    stored: FrozenTrial | None,
    records: Records,
    attributes: Mapping[str, Any],
) -> FrozenTrial:
    if number not in records:
        if stored is not None and not stored.state.is_finished():
            return stored  # Not begun, or its driver died before it wrote the specification.
        parameters: Mapping[str, Any] = {} if stored is None else stored.params
        if stored is not None and stored.state in (TrialState.COMPLETE, TrialState.PRUNED):
            # It ends as before: the pruner would judge it by trials that came after it.
            pruned = stored.state is TrialState.PRUNED
            last = max(stored.intermediate_values, default=0)
            attributes = {**attributes, PRUNED_AT: last if pruned else 0}
        if stored is None and RETRIES in attributes:
            parameters, _ = _parameters(config, group, *records[attributes[RETRIES]])
        # Waits to be run; the sampler chooses the parameters that are not given.
        return optuna.trial.create_trial(
            state=TrialState.WAITING,
            user_attrs=dict(attributes),
            system_attrs={"fixed_params": dict(parameters)},
        )
    at, spec = records[number]
    result = at.result()
    ended = result is not None and result.state.ended
    parameters, distributions = _parameters(config, group, at, spec)
    if (
        stored is not None
        and stored.params == parameters
        and stored.state is not TrialState.WAITING
        and (ended or not stored.state.is_finished())
    ):
        return stored
    if not config.balanced:
        attributes = {**attributes, "strategy": spec.strategy}
    return FrozenTrial(
        **_outcome_of(at, spec, result if ended else None),
        number=number,
        trial_id=-1,
        params=dict(parameters),
        distributions=dict(distributions),
        user_attrs=dict(attributes),
        # So that a default is not proposed again.
        system_attrs={"fixed_params": dict(parameters)},
    )


def _outcome_of(at: TrialDirectory, spec: TrialSpec, result: Result | None) -> dict[str, Any]:
    """How a trial went, by its record; without a result it is running, for the driver to adopt."""
    history = at.history() if result is not None else at.repair_history()
    values = {line.epoch: line.metrics[spec.objective.metric] for line in history}
    state = TrialState.RUNNING if result is None else STATES[result.state]
    value = result.value if result is not None and result.state is State.COMPLETE else None
    if state is TrialState.PRUNED and values:
        value = values[max(values)]  # As Optuna itself values a pruned trial.
    started = history[0].timestamp if history else record.now()
    return {
        "state": state,
        "value": value,
        "intermediate_values": values,
        "datetime_start": _time(started if result is None else result.started),
        "datetime_complete": None if result is None else _time(result.ended),
    }


def _parameters(
    config: StudyConfig, group: Strategy, at: TrialDirectory, spec: TrialSpec
) -> tuple[Mapping[str, Scalar], Mapping[str, optuna.distributions.BaseDistribution]]:
    """What Optuna proposed for a record, by Optuna's names, and from which ranges."""
    knob_of = space.knobs_by_parameter(config)

    def pick(name: str, entry: Interval | Categorical) -> Any:
        value = spec.hyperparameters.get(knob_of[name])
        if not entry.holds(value):
            raise StudyChangedError(
                f"{at.path}: {knob_of[name]} is {value} in this trial, which the ranges of the "
                f"study {config.name} do not hold. Restore the ranges, or give the study a new "
                "name."
            )
        return value

    parameters = dict(space.propose(config, group, pick).parameters)
    trial = optuna.trial.FixedTrial(parameters)
    space.suggest(config, group, trial)
    return parameters, trial.distributions


def _time(milliseconds: int) -> datetime.datetime:
    """Local time without a zone, as Optuna stores it."""
    return datetime.datetime.fromtimestamp(milliseconds / 1000)
