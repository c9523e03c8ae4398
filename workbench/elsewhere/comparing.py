"""Results on one data set to a verdict, and what results alone cannot prove.

Knows nothing of files and of several data sets.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.elsewhere.results import Result, Unreadable
from workbench.verdict import Arm, Design, Doubt, Evidence, Run, Stage, Verdict, decide

# A table of results comes with no design, so the usual one holds.
ALPHA, GAMMA = Design.alpha, Design.gamma

# What a table of results never says, by the number of the refusal that it would matter for.
_UNKNOWN = (
    (
        10,
        "No protocol came with these results: that strategies, metric and number of seeds were"
        " fixed before the first result was seen is the author's word.",
    ),
    (
        2,
        "Not known: whether the test data had any part in choosing these configurations, and"
        " whether they were measured once.",
    ),
    (4, "Not known: whether every strategy was tuned with the same budget."),
    (1, "Not known: whether the seeds are others than those that the tuning saw."),
    (
        9,
        "Not known: what a seed draws anew, and whether runs of one seed were tested on the same"
        " samples; equal seeds are taken as pairs.",
    ),
    (16, "Not known: whether code, libraries and hardware were the same for all runs."),
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """How results are to be compared.

    Attributes:
        direction: ``maximize`` or ``minimize``.
        smallest_effect: Smallest difference that matters, in units of the metric.
        baseline: Strategy that the others are compared with; None compares all pairs.
    """

    metric: str
    direction: str
    smallest_effect: float | None
    baseline: str | None

    @property
    def contrast(self) -> str:
        """As ``verdict.Design`` has it."""
        return "all" if self.baseline is None else "baseline"


def check(rows: Sequence[Result], question: Question) -> tuple[str, ...]:
    """Names of the strategies in order of appearance.

    Raises:
        Unreadable: Fewer than two, a data set without the baseline, or an effect that is none.
    """
    names = tuple(dict.fromkeys(row.strategy for row in rows))
    if len(names) < 2:
        raise Unreadable(f"There is one strategy, {names[0]!r}; a comparison needs two.")
    if question.baseline is not None and question.baseline not in names:
        nearest = difflib.get_close_matches(question.baseline, names, n=1)
        hint = f" {nearest[0]!r} is the nearest." if nearest else ""
        raise Unreadable(
            f"The baseline {question.baseline!r} is not a strategy here; the strategies are"
            f" {', '.join(names)}.{hint}"
        )
    for dataset in dict.fromkeys(row.dataset for row in rows):
        here = {row.strategy for row in rows if row.dataset == dataset}
        if question.baseline is not None and question.baseline not in here:
            raise Unreadable(
                f"The data set {dataset} has no run of the baseline {question.baseline!r}, only of"
                f" {', '.join(sorted(here))}. Add its runs, or leave the data set out."
            )
    effect = question.smallest_effect
    if effect is not None and not (math.isfinite(effect) and effect > 0):
        raise Unreadable(
            f"The smallest effect is {effect:g}, expected a finite number above 0 in"
            f" units of {question.metric}; leave it out where none is known."
        )
    return names


def judge(rows: Sequence[Result], names: Sequence[str], question: Question) -> Verdict:
    """The verdict on one data set; its level is never above *this configuration*."""
    arms = []
    for name in names:
        runs = tuple(
            Run(seed=row.seed, value=row.value, state=row.state, run_id=row.run_id)
            for row in rows
            if row.strategy == name
        )
        arms.append(Arm(name=name, runs=runs, baseline=name == question.baseline))
    design = Design(
        metric=question.metric,
        direction=question.direction,
        smallest_effect=question.smallest_effect,
        contrast=question.contrast,
    )
    doubts = tuple(Doubt(rule=rule, word=None, text=text) for rule, text in _UNKNOWN)
    return decide(Evidence(stage=Stage.ELSEWHERE, design=design, arms=tuple(arms), doubts=doubts))
