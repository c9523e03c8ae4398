"""Which tuned values lie at a bound of what was searched: an optimum there may lie beyond it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from workbench.tracker.stored_study import Range, StoredStudy
from workbench.tracker.trial_run import TrialRun

EDGE = 0.05  # of a range, on its own scale


class Bound(NamedTuple):
    """A tuned value close to an end of its range; ``bound`` is that end."""

    knob: str
    value: float
    bound: float
    side: str


def settings_of(trial: TrialRun) -> dict[str, Any]:
    """What the conditions of a range may ask of a trial."""
    plan = {"optimizer": trial.optimizer, "freeze_depth": trial.freeze_depth}
    return {**plan, **trial.hyperparameters, **trial.levels}


def at_bound(
    study: StoredStudy, hyperparameters: Mapping[str, Any], settings: Mapping[str, Any]
) -> list[Bound]:
    """Tuned values that lie within 5 % of an end of their range.

    Args:
        study: Whose ranges were searched.
        hyperparameters: Value of each tuned knob.
        settings: What decides which range applies: levels and hyperparameters; of a trial
            ``settings_of``.
    """
    found = []
    for knob, value in hyperparameters.items():
        entry = range_of(study, knob, settings)
        if entry is None or not isinstance(value, int | float):
            continue
        if entry.low is None or entry.high is None:
            continue
        low, high, at = float(entry.low), float(entry.high), float(value)
        if entry.log:
            position = math.log(at / low) / math.log(high / low) if at > 0 else 0.0
        else:
            position = (at - low) / (high - low)
        if position < EDGE:
            found.append(Bound(knob, at, low, "lower"))
        elif position > 1 - EDGE:
            found.append(Bound(knob, at, high, "upper"))
    return found


def range_of(study: StoredStudy, knob: str, settings: Mapping[str, Any]) -> Range | None:
    """The first range of a knob that applies; None where there is none or it cannot be told."""
    for entry in study.tune:
        if entry.knob != knob:
            continue
        if any(settings.get(name) is None for name in entry.when):
            return None
        if all(_is_one_of(settings[name], labels) for name, labels in entry.when.items()):
            return entry
    return None


def _is_one_of(value: Any, labels: tuple[Any, ...]) -> bool:
    return str(value).lower() in {str(label).lower() for label in labels}
