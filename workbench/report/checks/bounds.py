"""Finds tuned values at a bound of their range, where the optimum may be outside the range."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from workbench.plotting import naming
from workbench.report.trials import best_of_each
from workbench.tracker.stored_study import Range, StoredStudy
from workbench.tracker.trial_run import TrialRun

EDGE = 0.05  # of a range, on its own scale


class Bound(NamedTuple):
    """A tuned value of a strategy close to an end of its range; ``bound`` is that end."""

    strategy: str
    knob: str
    value: float
    bound: float
    side: str


def of_best_trials(study: StoredStudy, trials: Sequence[TrialRun]) -> tuple[Bound, ...]:
    """Those of the best trial of each strategy, in the study's order."""
    return tuple(
        bound
        for name, trial in best_of_each(study, trials).items()
        for bound in at_bound(study, name, trial.hyperparameters, settings_of(trial))
    )


def settings_of(trial: TrialRun) -> dict[str, object]:
    """Settings of a trial that the condition of a range (``when``) may refer to."""
    plan = {"optimizer": trial.optimizer, "freeze_depth": trial.freeze_depth}
    return {**plan, **trial.hyperparameters, **trial.levels}


def at_bound(
    study: StoredStudy,
    strategy: str,
    hyperparameters: Mapping[str, object],
    settings: Mapping[str, object],
) -> list[Bound]:
    """Tuned values within 5 % of an end of their range.

    Args:
        study: Its ``tune`` has the ranges.
        strategy: Whose values these are.
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
        at = position(value, entry.low, entry.high, log=bool(entry.log))
        if at < EDGE:
            bounds.append(Bound(strategy, knob, value, entry.low, "lower"))
        elif at > 1 - EDGE:
            bounds.append(Bound(strategy, knob, value, entry.high, "upper"))
    return bounds


def position(value: float, low: float, high: float, *, log: bool) -> float:
    """Where a value is in its range, from 0 to 1 on the range's own scale."""
    if high <= low:  # a range of one value has no positions
        return 0.5
    # 5 % of a linear range would be decades of a logarithmic one.
    if log:
        return math.log(value / low) / math.log(high / low) if value > 0 else 0.0
    return (value - low) / (high - low)


def bounds_finding(bounds: Sequence[Bound]) -> str:
    """The values at a bound, as the finding of a check."""
    text = "; ".join(
        f"{item.strategy}: {naming.words(item.knob)} = {item.value:.3g},"
        f" {item.side} bound {item.bound:.3g}"
        for item in bounds
    )
    return f"At a bound, so a wider range may change the result: {text}."


def with_warning(caption: str, at_bound: Sequence[Bound]) -> str:
    """A caption with a warning that names each strategy and knob at a bound of its range."""
    if not at_bound:
        return caption
    named = ", ".join(f"{bound.strategy} ({naming.words(bound.knob)})" for bound in at_bound)
    return (
        f"{caption} Warning: the best trial is at a bound of its range for {named}; values outside"
        " the range are unknown."
    )


def range_of(study: StoredStudy, knob: str, settings: Mapping[str, object]) -> Range | None:
    """The first range of a knob that applies; None if none does or a setting is unknown."""
    for entry in study.tune:
        if entry.knob != knob:
            continue
        if any(settings.get(name) is None for name in entry.when):
            return None
        if all(_is_one_of(settings[name], labels) for name, labels in entry.when.items()):
            return entry
    return None


def _is_one_of(value: object, labels: tuple[object, ...]) -> bool:
    # As text: YAML reads ``true`` and ``2`` as other types than a stored label has.
    return str(value).lower() in {str(label).lower() for label in labels}
