"""The verdict over several data sets or searches, each with one value of a strategy: its mean.

The decision rule is that over seeds, with data sets or searches in place of seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from workbench.verdict import Design, Doubt, Level, Stage, Unit, Verdict, contrast
from workbench.verdict.across import ranks, wording
from workbench.verdict.comparing import overstated
from workbench.verdict.conclusion import conclude
from workbench.verdict.statistics import mcb, paired, several
from workbench.verdict.statistics.mcb import Best
from workbench.verdict.statistics.several import LEAST_DATASETS
from workbench.verdict.statistics.values import differences, moments
from workbench.verdict.table import Row, Table
from workbench.verdict.wording import wording as sentences


def over_data_sets(
    names: Sequence[str],
    verdicts: Mapping[str, Verdict],
    design: Design,
    *,
    doubts: Sequence[Doubt] = (),
    caveat: str = "",
) -> Verdict:
    """The verdict over all data sets: of fewer than six it never says which strategy is ahead.

    The word follows the rules of a single data set, with data sets in place of seeds and Wilcoxon's
    signed-rank test in place of the permutation test.

    Args:
        names: Of the strategies.
        verdicts: Of each data set.
        design: What all of them share.
        doubts: About which data sets there are.
        caveat: See ``Evidence.caveat``.
    """
    refused = ranks.refused(names, verdicts)
    found = conclude(
        contrast.of(design, _table(names, verdicts)),
        design,
        (*refused, *doubts),
        stage=_stage(verdicts),
        level=Level.DATASETS,
        seeds=tuple(verdicts),
        shown=len(verdicts) >= LEAST_DATASETS and not refused,
        test=several.wilcoxon,
        compare_with_best=_with_the_best,
        unit=Unit.DATA_SET,
    )
    # A mean with a failed run in it has not failed itself; ``sentences`` names the failed runs.
    sides = tuple(replace(side, imputed=()) for side in found.sides)
    found = replace(found, sides=sides, caveat=caveat)
    return wording.worded(found, verdicts, ranks.outcomes(names, verdicts))


def over_replicates(
    names: Sequence[str],
    verdicts: Mapping[str, Verdict],
    design: Design,
    *,
    one_test: bool,
    doubts: Sequence[Doubt] = (),
    caveat: str = "",
) -> Verdict:
    """The verdict over several searches of the same strategies on one data set.

    Each search chose configurations of its own, so the verdict is about the strategies under this
    search protocol. One value of a strategy is its mean over the seeds of one confirmation.

    Args:
        names: Of the strategies.
        verdicts: Of each search.
        design: What all of them share.
        one_test: Whether all of them were tested on the same samples.
        doubts: About which searches there are.
        caveat: See ``Evidence.caveat``.
    """
    refused = ranks.refused(names, verdicts)
    found = conclude(
        contrast.of(design, _table(names, verdicts)),
        design,
        (*refused, *doubts),
        stage=_stage(verdicts),
        level=Level.STRATEGY,
        seeds=tuple(verdicts),
        shown=not refused,
        test=paired.sign_flip,
        unit=Unit.REPLICATE,
    )
    caveat = f"{wording.failed(verdicts, 'In {},')} {caveat}".strip()
    found = replace(found, one_test=one_test, flags=wording.flags(verdicts), caveat=caveat)
    return sentences.worded(found)


def _stage(verdicts: Mapping[str, Verdict]) -> Stage:
    return next(iter(verdicts.values())).stage


def _table(names: Sequence[str], verdicts: Mapping[str, Verdict]) -> Table:
    rows = tuple(_row(name, verdicts) for name in names)
    return Table(seeds=tuple(verdicts), rows=rows, doubts=())


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
    best = mcb.best(
        np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0),
        alpha=design.alpha,
        overstated=failed,
    )
    gaps = [
        differences(values[:, best.leader], theirs)
        for theirs in np.delete(values, best.leader, axis=1).T
    ]
    # Two-sided, since the data chose the leader; not corrected, as in the test of the winner.
    lead = min(paired.t_interval(gap, level=1 - design.alpha).low for gap in gaps)
    nothing = np.full(len(rows), math.inf)
    # Of two standardized values the difference is the same on each data set: ranks alone decide.
    p_best = np.full(2, math.nan) if len(rows) == 2 else best.p_best
    return best._replace(lead=lead, behind=nothing, p_best=p_best)


def _row(name: str, verdicts: Mapping[str, Verdict]) -> Row:
    """A strategy's mean in each verdict; ``imputed`` are its failed runs in all of them."""
    sides = [
        next((side for side in each.sides if side.name == name), None) for each in verdicts.values()
    ]
    return Row(
        name=name,
        values=tuple(side.mean.estimate if side and side.mean else None for side in sides),
        imputed=tuple(
            f"{run} ({unit})"
            for unit, side in zip(verdicts, sides, strict=True)
            if side is not None
            for run in side.imputed
        ),
        baseline=any(side.baseline for side in sides if side),
        scores_missing="values that are means over seeds have no per-example scores",
    )
