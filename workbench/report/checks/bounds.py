"""Finds tuned values at a bound of their range, where the optimum may be outside the range."""

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
    """Settings of a trial that the condition of a range (``when``) may refer to."""
    plan = {"optimizer": trial.optimizer, "freeze_depth": trial.freeze_depth}
    return {**plan, **trial.hyperparameters, **trial.levels}


def at_bound(
    study: StoredStudy, hyperparameters: Mapping[str, Any], settings: Mapping[str, Any]
) -> list[Bound]:
    """Tuned values within 5 % of an end of their range.

    Args:
        study: Its ``tune`` has the ranges.
        hyperparameters: Value of each tuned knob.
        settings: Levels and hyperparameters that decide which range applies; for a trial,
            ``settings_of``.
    """
    bounds = []
    for knob, value in hyperparameters.items():
        entry = range_of(study, knob, settings)
        if entry is None or not isinstance(value, int | float):
            continue
        if entry.low is None or entry.high is None:
            continue
        low, high, at = float(entry.low), float(entry.high), float(value)
        # On the range's own scale: 5 % of a linear range would be decades of a logarithmic one.
        if entry.log:
            position = math.log(at / low) / math.log(high / low) if at > 0 else 0.0
        else:
            position = (at - low) / (high - low)
        if position < EDGE:
            bounds.append(Bound(knob, at, low, "lower"))
        elif position > 1 - EDGE:
            bounds.append(Bound(knob, at, high, "upper"))
    return bounds


def range_of(study: StoredStudy, knob: str, settings: Mapping[str, Any]) -> Range | None:
    """The first range of a knob that applies; None if none does or a setting is unknown."""
    for entry in study.tune:
        if entry.knob != knob:
            continue
        if any(settings.get(name) is None for name in entry.when):
            return None
        if all(_is_one_of(settings[name], labels) for name, labels in entry.when.items()):
            return entry
    return None


def _is_one_of(value: Any, labels: tuple[Any, ...]) -> bool:
    # As text: YAML reads ``true`` and ``2`` as other types than a stored label has.
    return str(value).lower() in {str(label).lower() for label in labels}
