"""Which best trials lie at a bound of what was searched, and the warning that a caption owes.

An optimum at a bound may lie beyond it; no figure shows one and keeps silent. Draws nothing.
"""

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
    """A strategy whose best trial lies within 5 % of an end of a knob's range."""

    strategy: str
    knob: str


def hits(study: StoredStudy, trials: Sequence[TrialRun]) -> tuple[Hit, ...]:
    """Those of every strategy, in the study's order."""
    return tuple(
        Hit(name, bound.knob)
        for name, group in by_strategy(study, trials).items()
        if (trial := best(study, group))
        for bound in at_bound(study, trial.hyperparameters, settings_of(trial))
    )


def warned(caption: str, found: Sequence[Hit]) -> str:
    """A caption with a warning that names each strategy and knob; as it was where there is none.

    Raises:
        Refused: The warning does not name them all; it is this function's business that it does.
    """
    if not found:
        return caption
    named = ", ".join(f"{hit.strategy} ({naming.words(hit.knob)})" for hit in found)
    text = (
        f"{caption} Warning: the best trial lies at a bound of the searched range for {named};"
        " values beyond it are unknown."
    )
    optimum(naming.words(text), [naming.words(hit.knob) for hit in found])
    return text
