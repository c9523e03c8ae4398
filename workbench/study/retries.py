"""Failed trials that are run again after what failed them was corrected.

Optuna reopens no trial, so a new one gets the same parameters. The failed one stays as it is in
Optuna, on disk and in MLflow; its record names the trial that took its place, and it no longer
counts in the search.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from workbench.driver import failure, orphaned
from workbench.record import State, TrialDirectory, plain

# Attribute of the new trial: the number of the failed one.
_OF = "retries"

At = Callable[[str, int], TrialDirectory]


def retried(study: optuna.Study) -> dict[int, int]:
    """The number of the trial that took a failed one's place, by the failed one's number."""
    trials = study.get_trials(deepcopy=False)
    return {t.user_attrs[_OF]: t.number for t in trials if _OF in t.user_attrs}


def mark(study: optuna.Study, at: At) -> None:
    """Have the records of failed trials name the trials that took their places."""
    for number, other in retried(study).items():
        directory = at(study.study_name, number)
        result = directory.result()
        if result is not None and result.retried is None:
            directory.write_result(replace(result, retried=other))


def retry(study: optuna.Study, at: At, *, diverged: bool) -> None:
    """Give every failed trial a successor that waits to be asked for; safe to repeat.

    Args:
        study: One group's.
        at: The directory of a trial, by group and number.
        diverged: Those too that diverged: with the same code they would diverge again.
    """
    known = retried(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
        result = at(study.study_name, trial.number).result()
        reason = "" if result is None else str(result.reason)
        if trial.number not in known and (diverged or not reason.startswith("diverged at")):
            study.enqueue_trial(dict(trial.params), user_attrs={_OF: trial.number})
    mark(study, at)


def accept_code(storage: RDBStorage, definitions: Mapping[str, Mapping[str, Any]], at: At) -> None:
    """Take a group's changed code over, where no trial of the group has a result of the old code.

    All that the old code has begun is then failed, and is run again.

    Args:
        storage: Where the trials are.
        definitions: Of each group, as it is now.
        at: The directory of a trial, by group and number.
    """
    for summary in optuna.get_all_study_summaries(storage, include_best_trial=False):
        name = summary.study_name
        stored = json.loads(summary.user_attrs.get("definition", "null"))
        now = json.loads(json.dumps(definitions.get(name)))
        if stored is None or now is None or stored == now or _settings(stored) != _settings(now):
            continue
        study = optuna.load_study(study_name=name, storage=storage)
        trials = [t for t in study.get_trials(deepcopy=False) if t.state is not TrialState.WAITING]
        states = [_state(at(name, trial.number)) for trial in trials]
        if any(state in (State.COMPLETE, State.PRUNED) for state in states):
            continue
        for trial in trials:
            if trial.state is TrialState.RUNNING:
                _fail(study, trial.number, at(name, trial.number))
        retry(study, at, diverged=True)
        study.set_user_attr("definition", json.dumps(now))


def _state(directory: TrialDirectory) -> State:
    result = directory.result()
    return State.RUNNING if result is None else result.state


def _fail(study: optuna.Study, number: int, directory: TrialDirectory) -> None:
    spec = directory.spec()
    if spec is not None and _state(directory) is not State.FAILED:
        with orphaned(directory, f"trial {spec.name}"):
            directory.write_result(failure(spec, "begun with code that was corrected since"))
    study.tell(number, state=TrialState.FAIL)


def _settings(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A definition without the hashes of code, and of the data, which code may make."""
    settings: dict[str, Any] = plain(definition)
    settings.pop("data", None)
    settings["plan"].pop("code", None)
    for entry in settings["space"]:
        for content in entry.get("sets", ()):
            content.pop("code", None)
            content.pop("data", None)
    return settings
