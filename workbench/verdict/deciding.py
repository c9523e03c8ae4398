"""The word of a verdict: which of the fixed ones the comparisons allow, in order of precedence.

Knows how a sentence is worded as little as where the evidence comes from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean

from workbench.verdict import comparing, contrast, statistics
from workbench.verdict import exploratory as exploring
from workbench.verdict.contrast import Contrast
from workbench.verdict.evidence import Design, Doubt, Evidence, Stage
from workbench.verdict.judgement import Comparison, Level, SeedPlan, Side, Verdict, Word
from workbench.verdict.table import Table, read
from workbench.verdict.wording import wording, words

_DECISIVE = (Word.NOT_COMPARABLE, Word.EXPLORATORY)
# Words under which nothing is claimed.
_SILENT = (*_DECISIVE, Word.UNDERPOWERED)


def decide(evidence: Evidence, *, draws: int = 10_000) -> Verdict:
    """The verdict that the evidence allows; see ``workbench.verdict.decide``."""
    design = evidence.design
    _check(evidence)
    if evidence.stage == Stage.SEARCH:
        return exploring.of_search(evidence)
    table = read(evidence)
    compared = contrast.of(design, table)
    doubts = (
        *evidence.doubts,
        *table.doubts,
        *compared.doubts,
        *_absent(evidence),
        *_beside(design, table, compared),
    )
    flips = comparing.sign_draws(len(compared.pairs), design.alpha)
    verdict = conclude(
        compared,
        design,
        doubts,
        stage=evidence.stage,
        level=Level.CONFIGURATION,
        seeds=table.seeds,
        shown=not table.hidden,
        test=partial(statistics.sign_flip, draws=flips),
        draws=draws,
    )
    plan = _plan(verdict, evidence) if verdict.word == Word.INCONCLUSIVE else None
    return wording.worded(replace(verdict, absent=evidence.absent, plan=plan))


def conclude(
    compared: Contrast,
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
    """The verdict on sides with one value for each seed or data set, without its sentences.

    Args:
        compared: Sides and planned pairs.
        design: Direction, smallest effect, alpha, gamma and bounds count.
        doubts: All that was found; one with a word decides for that word.
        stage: What kind of data it is.
        level: How far a claim may reach, where there is one.
        seeds: Names of the seeds or data sets.
        shown: Whether values may be shown and compared.
        test: Gives the p value of a pair's differences.
        unit: What ``seeds`` names: ``seed`` or ``data set``.
        draws: Of the bootstrap; see ``comparing.comparisons``.
    """
    reasons = [doubt for word in _DECISIVE for doubt in doubts if doubt.word == word]
    # p values mean what they say only of the seeds that were planned.
    exploratory = any(doubt.word == Word.EXPLORATORY for doubt in reasons)
    sides = _ranked([comparing.side(row, design, shown=shown) for row in compared.rows], design)
    pairs: tuple[Comparison, ...] = ()
    if shown and not exploratory:
        pairs = comparing.comparisons(compared, design, test=test, unit=unit, draws=draws)
    n = len(seeds)
    floor = min(1.0, statistics.p_floor(n) * len(compared.pairs)) if n else None
    # The data choose the leader; without a comparison there is none.
    leader = sides[0].name if pairs and not reasons else None
    against = [pair for pair in pairs if leader in (pair.first, pair.second)]
    closest = min(against, key=lambda pair: pair.difference.estimate, default=None)
    beaten = [pair for pair in against if pair.beaten and pair.first == leader]
    tied = [pair for pair in against if pair not in beaten and pair.equivalent]
    left = [pair for pair in against if pair not in (*beaten, *tied)]

    def names(found: Sequence[Comparison]) -> tuple[str, ...]:
        return tuple(pair.second if pair.first == leader else pair.first for pair in found)

    if reasons:
        word = Word(str(reasons[0].word))
    elif closest is None or floor is None or floor > design.alpha:
        word = Word.UNDERPOWERED
    else:
        word = _word(closest.difference.estimate, len(against), len(beaten), len(left), design)
    return Verdict(
        word=word,
        stage=stage,
        level=Level.NONE if word in _SILENT else level,
        headline="",
        claim="",
        metric=design.metric,
        direction=design.direction,
        contrast=design.contrast,
        averaged=compared.averaged,
        alpha=design.alpha,
        gamma=design.gamma,
        smallest_effect=design.smallest_effect,
        seeds=seeds,
        pairs=len(compared.pairs),
        p_floor=floor,
        leader=leader,
        gap=closest.difference.estimate if closest else None,
        closest=names([closest])[0] if closest else None,
        beaten=names(beaten),
        tied=names(tied),
        open=names(left),
        absent={},
        sides=sides,
        comparisons=pairs,
        reasons=tuple(reasons),
        flags=tuple(doubt for doubt in doubts if doubt.word is None),
        plan=None,
    )


def _word(gap: float, rivals: int, beaten: int, left: int, design: Design) -> Word:
    """The word where there is a comparison: the gap to the closest, and counts of rivals."""
    effect = design.smallest_effect
    if effect is None:
        return Word.INCONCLUSIVE
    if beaten == rivals:
        # A gap that equals the smallest effect but for rounding is not above it.
        return Word.WINNER if gap > effect * (1 + 1e-9) else Word.NEGLIGIBLE
    return Word.INCONCLUSIVE if left else Word.TIE


def _check(evidence: Evidence) -> None:
    design = evidence.design
    if design.direction not in ("maximize", "minimize"):
        raise ValueError(f"direction is {design.direction!r}, expected maximize or minimize.")
    for name, value in (("alpha", design.alpha), ("gamma", design.gamma)):
        if not 0 < value < 1:
            raise ValueError(f"{name} is {value:g}, expected a number between 0 and 1.")
    effect = design.smallest_effect
    if effect is not None and not (math.isfinite(effect) and effect > 0):
        raise ValueError(
            f"smallest_effect is {effect:g}, expected a number above 0 in units of {design.metric}."
        )
    if len(set(design.seeds)) < len(design.seeds):
        raise ValueError("seeds: the list names a seed twice, expected different ones.")
    for doubt in evidence.doubts:
        if doubt.word is not None and doubt.word not in _DECISIVE:
            raise ValueError(
                f"A doubt decides for {doubt.word!r}, expected {' or '.join(_DECISIVE)} or None."
            )


def _absent(evidence: Evidence) -> Iterator[Doubt]:
    for name, reason in evidence.absent.items():
        text = f"{name} is {Word.NOT_COMPARABLE} and was not confirmed: {reason}."
        yield Doubt(rule=None, word=None, text=f"{text} The verdict is about the others only.")


def _beside(design: Design, table: Table, compared: Contrast) -> Iterator[Doubt]:
    """A baseline that a contrast over a factor leaves out, where it has the best mean of all."""
    default = next((row for row in table.rows if row.baseline and row.sound), None)
    if table.hidden or design.contrast in (contrast.ALL, contrast.BASELINE) or default is None:
        return
    sign = 1.0 if design.direction == "maximize" else -1.0
    mean = fmean(default.counted)
    others = [fmean(row.counted) for row in compared.rows if row.sound]
    if others and all(sign * mean > sign * other for other in others):
        text = (
            f"{default.name}, the baseline, has a mean of {mean:.4g}, which no level of"
            f" {design.contrast} reaches; a contrast over {design.contrast} does not compare it."
        )
        yield Doubt(rule=None, word=None, text=text)


def _ranked(sides: Sequence[Side], design: Design) -> tuple[Side, ...]:
    sign = -1.0 if design.direction == "maximize" else 1.0
    return tuple(
        sorted(sides, key=lambda side: math.inf if not side.mean else sign * side.mean.estimate)
    )


def _plan(verdict: Verdict, evidence: Evidence) -> SeedPlan | None:
    """Seeds for the smallest effect, by the open rival whose differences vary most.

    So many seeds serve every open rival. The effect is the one that matters, never the one seen.
    None without an open rival that more seeds could settle.
    """
    unsettled = [
        pair
        for pair in words.against_leader(verdict)
        if words.rival(pair, verdict) in verdict.open and not pair.undecidable
    ]
    widest = max(unsettled, key=lambda pair: pair.sd, default=None)
    if verdict.smallest_effect is None or widest is None or widest.sd == 0:
        return None
    needed = statistics.seeds_needed(
        widest.sd, widest.n, verdict.smallest_effect, pairs=verdict.pairs, alpha=verdict.alpha
    )
    trained = sum(bool(arm.runs) for arm in evidence.arms)
    cost = None if evidence.seconds is None else evidence.seconds * trained
    return SeedPlan(
        low=needed.low,
        high=needed.high,
        estimate=needed.estimate,
        rival=words.rival(widest, verdict),
        sd=widest.sd,
        seconds_low=None if cost is None else cost * needed.low,
        seconds_high=None if cost is None or needed.high is None else cost * needed.high,
    )
