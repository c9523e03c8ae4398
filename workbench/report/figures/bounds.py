"""Best trials at a bound of a range, and the warning about them in captions of figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from workbench.plotting import naming
from workbench.report.checks.bounds import at_bound, settings_of
from workbench.report.trials import best, by_strategy
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict.guards import optimum


class Hit(NamedTuple):
    """A strategy whose best trial is within 5 % of an end of a knob's range."""

    strategy: str
    knob: str


def hits(study: StoredStudy, trials: Sequence[TrialRun]) -> tuple[Hit, ...]:
    """Hits of all strategies, in the study's order."""
    return tuple(
        Hit(name, bound.knob)
        for name, group in by_strategy(study, trials).items()
        if (trial := best(study, group))
        for bound in at_bound(study, trial.hyperparameters, settings_of(trial))
    )


def warned(caption: str, at_bound: Sequence[Hit]) -> str:
    """A caption with a warning that names each strategy and knob; unchanged without hits."""
    if not at_bound:
        return caption
    named = ", ".join(f"{hit.strategy} ({naming.words(hit.knob)})" for hit in at_bound)
    text = (
        f"{caption} Warning: the best trial is at a bound of its range for {named}; values outside"
        " the range are unknown."
    )
    # The guard of rule 15 raises if a knob were not named.
    optimum(naming.words(text), [naming.words(hit.knob) for hit in at_bound])
    return text
