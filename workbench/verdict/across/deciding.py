"""The verdict over several data sets, each with one value for a strategy: its mean over seeds.

The decision rule is that over seeds, with data sets in place of seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from workbench.verdict import Design, Level, Stage, Verdict, contrast, statistics
from workbench.verdict.across import ranks, wording
from workbench.verdict.comparing import DATA_SET, overstated
from workbench.verdict.conclusion import conclude
from workbench.verdict.question import Question
from workbench.verdict.statistics.mcb import Best
from workbench.verdict.statistics.several import LEAST_DATASETS
from workbench.verdict.statistics.values import differences, moments
from workbench.verdict.table import Row, Table


def verdict(
    names: Sequence[str],
    verdicts: Mapping[str, Verdict],
    question: Question,
) -> Verdict:
    """The verdict over all data sets: of fewer than six it never says which strategy is ahead.

    The word follows the rules of a single data set, with data sets in place of seeds and Wilcoxon's
    signed-rank test in place of the permutation test.
    """
    refused = ranks.refused(names, verdicts)
    datasets = tuple(verdicts)
    rows = tuple(_row(name, verdicts, baseline=name == question.baseline) for name in names)
    compared = contrast.of(question.design, Table(seeds=datasets, rows=rows, doubts=()))
    found = conclude(
        compared,
        question.design,
        refused,
        stage=Stage.EXTERNAL,
        level=Level.DATASETS,
        seeds=datasets,
        shown=len(datasets) >= LEAST_DATASETS and not refused,
        test=statistics.wilcoxon,
        compare_with_best=_with_the_best,
        unit=DATA_SET,
    )
    # A mean with a failed run in it has not failed itself; ``sentences`` names the failed runs.
    sides = tuple(replace(side, imputed=()) for side in found.sides)
    found = replace(found, sides=sides)
    return wording.worded(found, verdicts, ranks.outcomes(names, verdicts))


def _with_the_best(rows: Sequence[Row], design: Design) -> Best:
    """Multiple comparisons with the best, on values that are standardized on each data set.

    A mean over raw values would be that of the data set with the largest differences. The winner is
    tested by ranks, and nothing bounds how far each is behind in units of the metric.
    """
    sign = 1.0 if design.direction == "maximize" else -1.0
    values = sign * np.array([row.counted for row in rows]).T
    failed = [place for place, row in enumerate(rows) if overstated(row, design)]
    spread = np.array([[moments(row)[1]] for row in values])  # 0 for rounding errors alone
    centred = values - values.mean(axis=1, keepdims=True)
    best = statistics.best(
        np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0),
        alpha=design.alpha,
        overstated=failed,
    )
    gaps = [
        differences(values[:, best.leader], theirs)
        for theirs in np.delete(values, best.leader, axis=1).T
    ]
    # Two-sided, since the data chose the leader; not corrected, as in the test of the winner.
    lead = min(statistics.t_interval(gap, level=1 - design.alpha).low for gap in gaps)
    nothing = np.full(len(rows), math.inf)
    return best._replace(lead=lead, behind=nothing)


def _row(name: str, verdicts: Mapping[str, Verdict], *, baseline: bool) -> Row:
    """A strategy's mean on each data set; ``imputed`` are those where a run of it failed."""
    sides = [
        next((side for side in each.sides if side.name == name), None) for each in verdicts.values()
    ]
    return Row(
        name=name,
        values=tuple(side.mean.estimate if side and side.mean else None for side in sides),
        imputed=tuple(
            dataset
            for dataset, side in zip(verdicts, sides, strict=True)
            if side is not None and side.imputed
        ),
        baseline=baseline,
        scores_missing="data sets in place of seeds have no per-example scores",
    )
