"""Failed trials that are run again after what failed them was corrected.

Optuna reopens no trial, so a new one gets the same parameters. The failed one stays as it is in
Optuna, on disk and in MLflow; its record names the trial that took its place, and it no longer
counts in the search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.trial import TrialState

from workbench.driver.attempts import failure, orphaned
from workbench.record import State, TrialDirectory, plain
from workbench.study.search.recovery import RETRIES, Records

At = Callable[[str, int], TrialDirectory]


def successors(study: optuna.Study) -> dict[int, int]:
    """The number of the trial that took a failed one's place, by the failed one's number."""
    trials = study.get_trials(deepcopy=False)
    return {t.user_attrs[RETRIES]: t.number for t in trials if RETRIES in t.user_attrs}


def mark(study: optuna.Study, at: At) -> None:
    """Have the records of failed trials name the trials that took their places."""
    for number, other in successors(study).items():
        directory = at(study.study_name, number)
        result = directory.result()
        if result is not None and result.retried is None:
            directory.write_result(replace(result, retried=other))


def retry(study: optuna.Study, at: At, *, corrected: bool) -> None:
    """Give every failed trial a successor that waits to be asked for; safe to repeat.

    Args:
        study: One group's.
        at: The directory of a trial, by group and number.
        corrected: Whether the code was corrected since (``accepts``). Then trials that the old code
            has only begun fail too, and those that diverged are run again: with the same code they
            would diverge again.
    """
    name = study.study_name
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if corrected:
            _fail(study, trial.number, at(name, trial.number))
    known = successors(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
        result = at(name, trial.number).result()
        reason = "" if result is None else str(result.reason)
        if trial.number not in known and (corrected or not reason.startswith("diverged at")):
            study.enqueue_trial(dict(trial.params), user_attrs={RETRIES: trial.number})


def accepts(
    stored: Mapping[str, Any] | None, definition: Mapping[str, Any], records: Records
) -> bool:
    """Whether a group's code has changed, and no trial of the group has a result of the old code.

    Args:
        stored: With which settings the group's trials were made; None where there are none.
        definition: The settings as they are now.
        records: Of the group's trials.
    """
    now = plain(definition)
    if stored is None or stored == now or _settings(stored) != _settings(now):
        return False
    results = [at.result() for at, _ in records.values()]
    return not any(r is not None and r.state in (State.COMPLETE, State.PRUNED) for r in results)


def _fail(study: optuna.Study, number: int, directory: TrialDirectory) -> None:
    spec = directory.spec()
    if spec is not None:
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
