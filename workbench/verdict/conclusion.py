"""The decision rule: from compared sides and doubts to a verdict with its word, but no sentences.

``deciding`` uses it over seeds, ``across.deciding`` over data sets, ``exploratory`` for a search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from workbench.verdict import comparing, statistics
from workbench.verdict.contrast import Contrast
from workbench.verdict.evidence import Design, Doubt, Stage
from workbench.verdict.judgement import Comparison, Level, Side, Verdict, Word

# Words that a doubt may decide for, in their order of precedence.
DECISIVE = (Word.NOT_COMPARABLE, Word.EXPLORATORY)


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
    unit: str = "seed",
    draws: int = 10_000,
) -> Verdict:
    """The verdict on sides with one value for each seed or data set.

    Args:
        contrast: Sides and planned pairs.
        design: Direction, smallest effect, alpha, gamma and bounds are used.
        doubts: All that was found; one with a word decides for that word.
        stage: Kind of data.
        level: How far a claim reaches, if one can be made.
        seeds: Names of the seeds or data sets.
        shown: Whether values may be shown and compared.
        test: Gives the p value of a pair's differences.
        unit: What ``seeds`` names: ``seed`` or ``data set``.
        draws: Of the bootstrap; see ``comparing.comparisons``.
    """
    sides = [comparing.side(row, design, shown=shown) for row in contrast.rows]
    sign = -1.0 if design.direction == "maximize" else 1.0
    # A side without a mean comes last in either direction.
    sides.sort(key=lambda side: math.inf if side.mean is None else sign * side.mean.estimate)
    comparisons: tuple[Comparison, ...] = ()
    # With unplanned seeds a p value does not mean what it says.
    if shown and all(doubt.word != Word.EXPLORATORY for doubt in doubts):
        comparisons = comparing.comparisons(contrast, design, test=test, unit=unit, draws=draws)
    return build(
        design,
        doubts,
        stage=stage,
        level=level,
        sides=sides,
        seeds=seeds,
        comparisons=comparisons,
        pairs=len(contrast.pairs),
        averaged=contrast.averaged,
    )


def build(
    design: Design,
    doubts: Sequence[Doubt],
    *,
    stage: Stage,
    sides: Sequence[Side],
    level: Level = Level.NONE,
    seeds: tuple[str, ...] = (),
    comparisons: Sequence[Comparison] = (),
    pairs: int = 0,
    averaged: tuple[str, ...] = (),
) -> Verdict:
    """The verdict that sides, comparisons and doubts give.

    Args:
        design: What was fixed in advance.
        doubts: All that was found; one with a word decides for that word.
        stage: Kind of data.
        sides: The best first.
        level: How far a claim reaches, if one can be made.
        seeds: Names of the seeds or data sets; empty for a search.
        comparisons: Of the planned pairs, those that could be compared.
        pairs: Number of planned pairs.
        averaged: Factors whose levels were averaged over.
    """
    reasons = tuple(doubt for word in DECISIVE for doubt in doubts if doubt.word == word)
    # Holm multiplies the smallest p by the number of pairs.
    floor = min(1.0, statistics.p_floor(len(seeds)) * pairs) if seeds else None
    # Without a comparison there is no leader: the order of the means alone shows nothing.
    leader = sides[0].name if comparisons and not reasons else None
    rivals = [pair for pair in comparisons if leader in (pair.first, pair.second)]
    closest = min(rivals, key=lambda pair: pair.difference.estimate, default=None)
    beaten = [pair for pair in rivals if pair.beaten and pair.first == leader]
    tied = [pair for pair in rivals if pair not in beaten and pair.equivalent]
    undecided = [pair for pair in rivals if pair not in (*beaten, *tied)]
    if reasons:
        word = Word(str(reasons[0].word))
    elif closest is None or floor is None or floor > design.alpha:
        word = Word.UNDERPOWERED
    else:
        word = _word(design, closest.difference.estimate, rivals, beaten, undecided)

    def names(found: Sequence[Comparison]) -> tuple[str, ...]:
        return tuple(pair.second if pair.first == leader else pair.first for pair in found)

    return Verdict(
        word=word,
        stage=stage,
        level=Level.NONE if word in (*DECISIVE, Word.UNDERPOWERED) else level,
        metric=design.metric,
        direction=design.direction,
        contrast=design.contrast,
        averaged=averaged,
        alpha=design.alpha,
        gamma=design.gamma,
        smallest_effect=design.smallest_effect,
        seeds=seeds,
        pairs=pairs,
        p_floor=floor,
        leader=leader,
        gap=closest.difference.estimate if closest else None,
        closest=names([closest])[0] if closest else None,
        beaten=names(beaten),
        tied=names(tied),
        open=names(undecided),
        sides=tuple(sides),
        comparisons=tuple(comparisons),
        reasons=reasons,
        flags=tuple(doubt for doubt in doubts if doubt.word is None),
    )


def _word(
    design: Design,
    gap: float,
    rivals: Sequence[Comparison],
    beaten: Sequence[Comparison],
    undecided: Sequence[Comparison],
) -> Word:
    """The word where the leader was compared; ``gap`` is the one to its closest rival."""
    effect = design.smallest_effect
    # Nobody has said which difference matters, so none can be called large or small.
    if effect is None:
        return Word.INCONCLUSIVE
    if len(beaten) == len(rivals):
        # A gap that equals the smallest effect up to rounding is not above it.
        return Word.WINNER if gap > effect * (1 + 1e-9) else Word.NEGLIGIBLE
    return Word.INCONCLUSIVE if undecided else Word.TIE
