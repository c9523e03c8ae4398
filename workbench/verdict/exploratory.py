"""The verdict on a search: the values in order, and that they support no claim.

No mean, no interval and no p value: trials are proposed one after another, differ in their
hyperparameters, and each strategy shows the best of its own.
"""

from __future__ import annotations

import math

from workbench.verdict.conclusion import build
from workbench.verdict.evidence import Arm, Evidence
from workbench.verdict.judgement import Side, Verdict, Word
from workbench.verdict.refusals import because


def of_search(evidence: Evidence) -> Verdict:
    """EXPLORATORY, whatever the values are, unless a doubt makes it NOT COMPARABLE.

    Sides are in the order of their best trial. A pruned, failed or unfinished trial has no value.
    """
    trials = sum(len(arm.runs) for arm in evidence.arms)
    found = f"All values come from the search: {trials} trials of {len(evidence.arms)} strategies."
    if not any(run.measured for arm in evidence.arms for run in arm.runs):
        found = f"There was only a search, and none of its {trials} trials has a value."
    doubts = [*evidence.doubts, because(1, Word.EXPLORATORY, found)]
    counts = {arm.name: len(arm.runs) for arm in evidence.arms}
    if len(set(counts.values())) > 1:
        numbers = ", ".join(f"{name} {count}" for name, count in counts.items())
        doubts.append(
            because(4, None, f"The strategies have different numbers of trials ({numbers}).")
        )
    sign = -1.0 if evidence.design.direction == "maximize" else 1.0

    def best(side: Side) -> float:
        return min((sign * value for value in side.values if value is not None), default=math.inf)

    sides = sorted(map(_side, evidence.arms), key=best)
    return build(evidence.design, doubts, stage=evidence.stage, sides=sides)


def _side(arm: Arm) -> Side:
    values = [run.value if run.measured else None for run in arm.runs]
    return Side(
        name=arm.name,
        values=tuple(values),
        run_ids=tuple(run.run_id for run in arm.runs if run.run_id),
        imputed=(),
        n=sum(value is not None for value in values),
        mean=None,
        sd=None,
        baseline=arm.baseline,
    )
