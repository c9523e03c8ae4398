"""Several data sets: what holds on each, and from five on what holds across them.

Here a data set is what a seed is elsewhere: one value for each strategy, the mean over seeds.
Knows neither files nor pages.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

import numpy as np

from workbench import statistics
from workbench.elsewhere import across, sentences
from workbench.elsewhere.across import Table, turn
from workbench.elsewhere.comparing import ALPHA, GAMMA, Question
from workbench.statistics.several import LEAST_DATASETS
from workbench.verdict import (
    Bounds,
    Comparison,
    Doubt,
    Level,
    Side,
    Stage,
    Verdict,
    Word,
)


def verdict(
    names: Sequence[str],
    verdicts: Mapping[str, Verdict],
    question: Question,
) -> Verdict:
    """The verdict over all data sets: of fewer than five it never says who is ahead.

    The word follows the rules of a single data set, with data sets in place of seeds and Wilcoxon's
    signed-rank test, Holm-corrected over all pairs, in place of the permutation test.
    """
    refused = across.refused(names, verdicts)
    table = None if refused else across.means(names, verdicts)
    k = len(verdicts)
    enough = k >= LEAST_DATASETS and table is not None
    pairs = _pairs(names, question)
    floor = min(1.0, statistics.p_floor(k) * len(pairs))
    comparisons: tuple[Comparison, ...] = ()
    sides = [_side(name, at, table if enough else None, question) for at, name in enumerate(names)]
    if enough and table is not None:
        comparisons = _comparisons(names, table, pairs, question, _failed(verdicts))
        sides.sort(key=lambda side: turn(question) * -(side.mean.estimate if side.mean else 0.0))
    leader = sides[0].name if comparisons else None
    own = [pair for pair in comparisons if leader in (pair.first, pair.second)]
    beaten = [pair.second for pair in own if pair.beaten and pair.first == leader]
    rest = [pair for pair in own if _rival(pair, leader) not in beaten]
    tied = [_rival(pair, leader) for pair in rest if pair.equivalent]
    left = [_rival(pair, leader) for pair in rest if not pair.equivalent]
    closest = min(own, key=lambda pair: pair.difference.estimate, default=None)
    gap = None if closest is None else closest.difference.estimate
    word = _word(refused, floor, gap, beaten, left, own, question)
    silent = word in (Word.NOT_COMPARABLE, Word.UNDERPOWERED)
    found = Verdict(
        word=word,
        stage=Stage.ELSEWHERE,
        level=Level.NONE if silent else Level.DATASETS,
        headline="",
        claim="",
        metric=question.metric,
        direction=question.direction,
        contrast=question.contrast,
        averaged=(),
        alpha=ALPHA,
        gamma=GAMMA,
        smallest_effect=question.smallest_effect,
        looks=1,
        seeds=tuple(verdicts),
        pairs=len(pairs),
        p_floor=floor,
        leader=leader,
        gap=gap,
        closest=_rival(closest, leader) if closest else None,
        beaten=tuple(beaten),
        tied=tuple(tied),
        open=tuple(left),
        absent={},
        sides=tuple(sides),
        comparisons=comparisons,
        reasons=tuple(refused),
        flags=(),
        plan=None,
    )
    return sentences.worded(found, verdicts, across.outcomes(names, verdicts))


def _pairs(names: Sequence[str], question: Question) -> list[tuple[str, str]]:
    if question.baseline is None:
        return list(combinations(names, 2))
    return [(name, question.baseline) for name in names if name != question.baseline]


def _side(name: str, at: int, table: Table | None, question: Question) -> Side:
    values: list[float | None] = [] if table is None else [float(x) for x in table[:, at]]
    mean, sd = None, None
    if table is not None:
        interval = statistics.t_interval(table[:, at])
        mean = Bounds(**interval._asdict())
        sd = statistics.moments(table[:, at])[1]
    return Side(
        name=name,
        values=values,
        run_ids=(),
        imputed=(),
        n=len(values),
        mean=mean,
        sd=sd,
        baseline=name == question.baseline,
    )


def _comparisons(
    names: Sequence[str],
    table: Table,
    pairs: Sequence[tuple[str, str]],
    question: Question,
    failed: Collection[str],
) -> tuple[Comparison, ...]:
    column = {name: turn(question) * table[:, at] for at, name in enumerate(names)}
    ordered = [
        (first, second) if column[first].mean() >= column[second].mean() else (second, first)
        for first, second in pairs
    ]
    gaps = [statistics.differences(column[a], column[b]) for a, b in ordered]
    p_values = [statistics.wilcoxon(column[a], column[b]) for a, b in ordered]
    corrected = statistics.holm(p_values)
    margin = question.smallest_effect
    equivalence: list[float | None] = [None] * len(gaps)
    if margin is not None:
        equivalence = [*statistics.holm([statistics.tost(gap, margin) for gap in gaps])]
    return tuple(
        _comparison(pair, gap, p, p_holm, p_tost, margin, failed)
        for pair, gap, p, p_holm, p_tost in zip(
            ordered, gaps, p_values, corrected, equivalence, strict=True
        )
    )


def _comparison(
    pair: tuple[str, str],
    gaps: Table,
    p: float,
    p_holm: float,
    p_equivalence: float | None,
    margin: float | None,
    failed: Collection[str],
) -> Comparison:
    sd = statistics.moments(gaps)[1]
    dz = statistics.hedges_dz(gaps)
    chance = statistics.probability_of_improvement(gaps, np.zeros_like(gaps))
    interval = statistics.t_interval(gaps)
    undecidable = _undecidable(pair, interval.estimate, margin, failed, varies=sd > 0)
    return Comparison(
        first=pair[0],
        second=pair[1],
        n=len(gaps),
        differences=tuple(map(float, gaps)),
        difference=Bounds(**interval._asdict()),
        sd=sd,
        p=p,
        p_holm=p_holm,
        p_t=None if sd == 0 else statistics.paired_t(gaps),
        dz=dz if math.isfinite(dz) else None,
        improvement=Bounds(**chance._asdict()),
        p_equivalence=p_equivalence,
        posterior=None if margin is None else statistics.posterior(gaps, margin)._asdict(),
        beyond=None,
        beyond_missing="data sets in place of seeds have no per-example scores",
        beaten=(
            not undecidable
            and interval.estimate > 0
            and p_holm < ALPHA
            and chance.estimate >= GAMMA
        ),
        equivalent=not undecidable and p_equivalence is not None and p_equivalence < ALPHA,
        undecidable=undecidable,
    )


def _failed(verdicts: Mapping[str, Verdict]) -> frozenset[str]:
    """Strategies with a run that counts with the worst value, on whatever data set."""
    return frozenset(side.name for each in verdicts.values() for side in each.sides if side.imputed)


def _undecidable(
    pair: tuple[str, str],
    gap: float,
    margin: float | None,
    failed: Collection[str],
    *,
    varies: bool,
) -> str:
    """Why no p value can decide between two strategies, if so; by the rule of a single data set.

    The worst value seen is no limit to how bad a failed run was: the mean of its strategy may be
    worse, which at most understates a lead of the other.
    """
    if not varies:
        return "the difference is the same on every data set, so that no test can weigh it"
    small = margin is None or gap <= margin * (1 + 1e-9)
    lost = [name for name in pair if name in failed]
    if pair[0] in failed or (lost and small):
        return (
            f"failed runs of {' and '.join(lost)} count with the worst value seen, which is no"
            " limit to how bad they were"
        )
    return ""


def _rival(pair: Comparison, leader: str | None) -> str:
    return pair.second if pair.first == leader else pair.first


def _word(
    refused: Sequence[Doubt],
    floor: float,
    gap: float | None,
    beaten: Sequence[str],
    left: Sequence[str],
    own: Sequence[Comparison],
    question: Question,
) -> Word:
    if refused:
        return Word.NOT_COMPARABLE
    if floor > ALPHA or gap is None:
        return Word.UNDERPOWERED
    if question.smallest_effect is None:
        return Word.INCONCLUSIVE
    if len(beaten) == len(own):
        above = gap > question.smallest_effect * (1 + 1e-9)
        return Word.WINNER if above else Word.NEGLIGIBLE
    return Word.INCONCLUSIVE if left else Word.TIE
