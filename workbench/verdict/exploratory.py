"""The verdict on a search: what was seen, in order, and that it supports no claim.

No mean, no interval and no p value: trials are proposed one after the other, differ in their
hyperparameters, and each strategy shows the highest of its own. Texts avoid the words of a verdict.
"""

from __future__ import annotations

import math

from workbench.verdict.evidence import Arm, Evidence
from workbench.verdict.judgement import Level, Side, Verdict, Word
from workbench.verdict.refusals import because
from workbench.verdict.wording import wording


def of_search(evidence: Evidence) -> Verdict:
    """EXPLORATORY, whatever the values are, unless a doubt makes it NOT COMPARABLE.

    Sides come in the order of their best trial. A pruned, failed or unfinished trial has no value.
    """
    design = evidence.design
    trials = sum(len(arm.runs) for arm in evidence.arms)
    found = f"All values come from the search: {trials} trials of {len(evidence.arms)} strategies."
    if not any(run.measured for arm in evidence.arms for run in arm.runs):
        found = f"There is a search alone, and none of its {trials} trials has a value."
    doubts = [*evidence.doubts, because(1, Word.EXPLORATORY, found)]
    counts = {arm.name: len(arm.runs) for arm in evidence.arms}
    if len(set(counts.values())) > 1:
        numbers = ", ".join(f"{name} {count}" for name, count in counts.items())
        doubts.append(because(4, None, f"The strategies differ in their trials ({numbers})."))
    reasons = [
        doubt
        for word in (Word.NOT_COMPARABLE, Word.EXPLORATORY)
        for doubt in doubts
        if doubt.word == word
    ]
    sign = -1.0 if design.direction == "maximize" else 1.0
    sides = [_side(arm) for arm in evidence.arms]
    return wording.worded(
        Verdict(
            word=Word(str(reasons[0].word)),
            stage=evidence.stage,
            level=Level.NONE,
            headline="",
            claim="",
            metric=design.metric,
            direction=design.direction,
            contrast=design.contrast,
            averaged=(),
            alpha=design.alpha,
            gamma=design.gamma,
            smallest_effect=design.smallest_effect,
            seeds=(),
            pairs=0,
            p_floor=None,
            leader=None,
            gap=None,
            closest=None,
            beaten=(),
            tied=(),
            open=(),
            absent=evidence.absent,
            sides=tuple(
                sorted(
                    sides,
                    key=lambda side: min(
                        (sign * value for value in side.values if value is not None),
                        default=math.inf,
                    ),
                )
            ),
            comparisons=(),
            reasons=tuple(reasons),
            flags=tuple(doubt for doubt in doubts if doubt.word is None),
            plan=None,
        )
    )


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
