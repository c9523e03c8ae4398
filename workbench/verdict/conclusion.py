"""The decision rule: from compared sides and doubts to a verdict with its word, but no sentences.

``deciding`` uses it over seeds and for a search, ``across.deciding`` over data sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.verdict import comparing
from workbench.verdict.contrast import BASELINE, Contrast
from workbench.verdict.evidence import Design, Doubt, Stage, corrected
from workbench.verdict.judgement import Comparison, Level, Side, Size, Unit, Verdict, Word
from workbench.verdict.statistics import mcb, paired, planning
from workbench.verdict.statistics.mcb import Best
from workbench.verdict.table import Row

# Words that a doubt may decide for, in their order of precedence.
DECISIVE = (Word.NOT_COMPARABLE, Word.EXPLORATORY)

CompareWithBest = Callable[[Sequence[Row], Design], Best]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the comparisons say of the side that leads.

    Attributes:
        lead: Lower bound of its lead over every other side; None where there is none.
        behind: Upper bound of how far it is behind the best; None where there is none.
    """

    leader: str
    p_win: float
    candidates: tuple[str, ...]
    lead: float | None = None
    behind: float | None = None


def with_the_best(rows: Sequence[Row], design: Design) -> Best:
    """Multiple comparisons with the best over seeds."""
    sign = 1.0 if design.direction == "maximize" else -1.0
    values = sign * np.array([row.counted for row in rows]).T
    failed = [place for place, row in enumerate(rows) if comparing.overstated(row, design)]
    return mcb.best(values, alpha=design.alpha, overstated=failed)


def conclude(
    contrast: Contrast,
    design: Design,
    doubts: Sequence[Doubt],
    *,
    stage: Stage,
    level: Level,
    seeds: tuple[str, ...],
    shown: bool,
    test: comparing.Test,
    compare_with_best: CompareWithBest = with_the_best,
    unit: Unit = Unit.SEED,
    draws: int = 10_000,
) -> Verdict:
    """The verdict on sides with one value for each seed or data set.

    Args:
        contrast: Sides and planned pairs.
        design: Direction, smallest effect, alpha and bounds are used.
        doubts: All that was found; one with a word decides for that word.
        stage: Kind of data.
        level: How far a claim reaches, if one can be made.
        seeds: Names of the units.
        shown: Whether values may be shown and compared.
        test: Gives the p value of a pair's differences.
        compare_with_best: Gives the winner and the set of the best.
        unit: What ``seeds`` names.
        draws: Of the bootstrap; see ``comparing.comparisons``.
    """
    sides = [comparing.side(row, design, shown=shown) for row in contrast.rows]
    sign = -1.0 if design.direction == "maximize" else 1.0
    # A side without a mean comes last in either direction.
    order = sorted(
        range(len(sides)),
        key=lambda at: math.inf if (mean := sides[at].mean) is None else sign * mean.estimate,
    )
    comparisons: tuple[Comparison, ...] = ()
    # With unplanned seeds a p value does not mean what it says.
    if shown and all(doubt.word != Word.EXPLORATORY for doubt in doubts):
        comparisons = comparing.comparisons(contrast, design, test=test, unit=unit, draws=draws)
    finding = None
    if comparisons and all(doubt.word not in DECISIVE for doubt in doubts):
        best = compare_with_best(contrast.rows, design)
        if design.contrast == BASELINE:
            leader = sides[best.leader].name
            finding = _against_baseline(leader, comparisons, design, len(contrast.pairs))
        else:
            sides = [
                replace(side, p_best=_known(p), behind=float(far) if math.isfinite(far) else None)
                for side, p, far in zip(sides, best.p_best, best.behind, strict=True)
            ]
            ranked = [sides[at] for at in order]
            finding = _of_best(best, sides[best.leader], ranked, comparisons, design)
    return build(
        design,
        doubts,
        stage=stage,
        level=level,
        sides=[sides[at] for at in order],
        unit=unit,
        seeds=seeds,
        comparisons=comparisons,
        pairs=len(contrast.pairs),
        averaged=contrast.averaged,
        finding=finding,
    )


def _known(p: float) -> float | None:
    return None if math.isnan(p) else float(p)


def _of_best(
    best: Best,
    leader: Side,
    ranked: Sequence[Side],
    comparisons: Sequence[Comparison],
    design: Design,
) -> Finding:
    """The finding where every side is compared with all others.

    "Better than every other" is false as soon as one comparison is, so each may be tested at alpha
    without a correction. That the data chose the leader costs the second side of each test.

    Args:
        best: Multiple comparisons with the best.
        leader: The side with the best mean.
        ranked: All sides by their means.
        comparisons: All pairs.
        design: Alpha is used.

    Source:
        Berger (1982), Multiparameter hypothesis testing and acceptance sampling, Technometrics 24.
        Gutmann and Maymin (1987), Is the selected population the best?, Ann. Stat. 15. Hung and
        Fithian (2019), Rank verification for exponential families, Ann. Stat. 47.
    """
    rivals = _rivals(leader.name, comparisons)
    p_values = {pair.second: pair.p if _shows_a_lead(pair) else 1.0 for pair in rivals}
    p_win = max(p_values.values())
    left: list[str] = []
    if p_win > design.alpha:
        others = [side for side in ranked if side is not leader]
        left = [s.name for s in others if s.p_best is None or s.p_best > design.alpha]
        # The test of the set has one side, which the data chose: alone it names no winner.
        left = left or [side.name for side in others if p_values[side.name] > design.alpha]
    return Finding(
        leader=leader.name,
        p_win=p_win,
        candidates=(leader.name, *left),
        lead=best.lead if math.isfinite(best.lead) else None,
        behind=leader.behind,
    )


def _shows_a_lead(pair: Comparison) -> bool:
    """Whether a small p value shows that the first side is ahead.

    Where all are equal, or across data sets, the better side of a pair may be the other one.
    """
    return not pair.undecidable and pair.difference.estimate > 0


def _against_baseline(
    leader: str, comparisons: Sequence[Comparison], design: Design, pairs: int
) -> Finding:
    """The finding where every side is compared with the baseline only.

    The leader is the best of several that are compared with one baseline, so Holm's correction
    over them decides.
    """
    rivals = _rivals(leader, comparisons)
    p_values = [pair.p_holm if _shows_a_lead(pair) else 1.0 for pair in rivals]
    left = [pair.second for pair, p in zip(rivals, p_values, strict=True) if p > design.alpha]
    # The same correction, Bonferroni's, for the size.
    level = 1 - 2 * design.alpha / pairs
    lead = min(paired.t_interval(pair.differences, level=level).low for pair in rivals)
    return Finding(leader=leader, p_win=max(p_values), candidates=(leader, *left), lead=lead)


def _rivals(leader: str | None, comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons of the leader, seen from its side."""
    return [
        pair if pair.first == leader else pair.flipped()
        for pair in comparisons
        if leader in (pair.first, pair.second)
    ]


def build(
    design: Design,
    doubts: Sequence[Doubt],
    *,
    stage: Stage,
    sides: Sequence[Side],
    level: Level = Level.NONE,
    unit: Unit = Unit.SEED,
    seeds: tuple[str, ...] = (),
    comparisons: Sequence[Comparison] = (),
    pairs: int = 0,
    averaged: tuple[str, ...] = (),
    finding: Finding | None = None,
) -> Verdict:
    """The verdict that sides, comparisons and doubts give.

    Args:
        design: What was fixed in advance.
        doubts: All that was found; one with a word decides for that word.
        stage: Kind of data.
        sides: The best first.
        level: How far a claim reaches, if one can be made.
        unit: What ``seeds`` names.
        seeds: Names of the units; empty for a search.
        comparisons: Of the planned pairs, those that could be compared.
        pairs: Number of planned pairs.
        averaged: Factors whose levels were averaged over.
        finding: About the leader; None where nothing could be compared.
    """
    reasons = tuple(doubt for word in DECISIVE for doubt in doubts if doubt.word == word)
    tests = corrected(design.contrast, pairs)
    floor = min(1.0, planning.p_floor(len(seeds)) * tests) if seeds else None
    # Without a comparison there is no leader: the order of the means alone shows nothing.
    leader, candidates = (finding.leader, finding.candidates) if finding else (None, ())
    # In the order of the sides, as a reader of the table of pairs expects them.
    place = {side.name: number for number, side in enumerate(sides)}
    comparisons = sorted(comparisons, key=lambda pair: (place[pair.first], place[pair.second]))
    rivals = _rivals(leader, comparisons)
    closest = min(rivals, key=lambda pair: pair.difference.estimate, default=None)
    behind = {pair.second for pair in rivals} - set(candidates)
    excluded = tuple(side.name for side in sides if side.name in behind)
    if reasons:
        word = Word(str(reasons[0].word))
    elif finding is None or closest is None or floor is None or floor > design.alpha:
        word = Word.UNDERPOWERED
    else:
        word = _word(finding, excluded, design)
    # With too few seeds nothing is shown at all, and a winner is not behind.
    if word == Word.UNDERPOWERED:
        candidates, excluded = (), ()
        sides = [replace(side, p_best=None, behind=None) for side in sides]
    elif finding is not None:
        # What decides about these is the test of the leader against each of them alone.
        p_values = {
            pair.second: pair.p
            for pair in rivals
            if word == Word.WINNER or pair.second in candidates
        }
        sides = [
            replace(side, p_best=p_values[side.name])
            if side.p_best is not None
            and side.name in p_values
            and (word == Word.WINNER or side.p_best <= design.alpha)
            else side
            for side in sides
        ]
    lead, size = None, None
    if word == Word.WINNER and finding is not None and closest is not None:
        sides = [replace(side, behind=None) if side.name == leader else side for side in sides]
        # Stand-ins for failed runs say who is behind, but not by how much.
        measured = not any(comparing.overstated(side, design) for side in sides)
        lead = finding.lead if measured else None
        # Corrected over all pairs, since the data chose which rival is the closest.
        size = _size(lead, design.smallest_effect, negligible=measured and closest.equivalent)
    return Verdict(
        word=word,
        stage=stage,
        level=Level.NONE if word in (*DECISIVE, Word.UNDERPOWERED) else level,
        unit=unit,
        metric=design.metric,
        direction=design.direction,
        contrast=design.contrast,
        averaged=averaged,
        alpha=design.alpha,
        looks=design.looks,
        seeds_by_look=design.seeds_by_look,
        smallest_effect=design.smallest_effect,
        seeds=seeds,
        pairs=pairs,
        p_floor=floor,
        leader=leader,
        gap=closest.difference.estimate if closest else None,
        closest=closest.second if closest else None,
        p_win=finding.p_win if finding else None,
        lead=lead,
        size=size,
        candidates=candidates,
        excluded=excluded,
        sides=tuple(sides),
        comparisons=tuple(comparisons),
        reasons=reasons,
        flags=tuple(doubt for doubt in doubts if doubt.word is None),
    )


def _word(finding: Finding, excluded: Sequence[str], design: Design) -> Word:
    """The word where the leader was compared with enough seeds."""
    effect = design.smallest_effect
    if finding.p_win <= design.alpha:
        return Word.WINNER
    if effect is not None and finding.behind is not None and finding.behind < effect:
        return Word.GOOD_ENOUGH
    return Word.NARROWED if excluded else Word.INCONCLUSIVE


def _size(lead: float | None, effect: float | None, *, negligible: bool) -> Size | None:
    """How a winner's lead compares with the smallest effect."""
    # Nobody has said which difference matters, so none can be called large or small.
    if effect is None:
        return None
    if lead is not None and lead > effect:
        return Size.ABOVE
    return Size.NEGLIGIBLE if negligible else Size.OPEN
