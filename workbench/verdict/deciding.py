"""The word of a verdict: which of the fixed ones the comparisons allow, in order of precedence.

Knows how a sentence is worded as little as where the evidence comes from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from workbench import statistics
from workbench.verdict import comparing, contrast, exploring, wording
from workbench.verdict.contrast import Contrast
from workbench.verdict.evidence import Design, Doubt, Evidence, Stage
from workbench.verdict.forbidden import Refused
from workbench.verdict.judgement import Comparison, Level, SeedPlan, Side, Verdict, Word
from workbench.verdict.table import Table, read

# One study has one search on one data set. ``elsewhere.several`` claims across data sets, from the
# verdict of each.
_LEVEL = Level.CONFIGURATION

_DECISIVE = (Word.NOT_COMPARABLE, Word.EXPLORATORY)
# Words under which nothing is claimed.
_SILENT = (*_DECISIVE, Word.UNDERPOWERED)


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """How the leader stands to each of its rivals."""

    leader: Side
    closest: Comparison
    gap: float
    beaten: tuple[str, ...]
    tied: tuple[str, ...]
    open: tuple[str, ...]
    against: tuple[Comparison, ...]


def decide(evidence: Evidence, *, draws: int = 10_000) -> Verdict:
    """The verdict that the evidence allows; see ``workbench.verdict.decide``."""
    design = evidence.design
    _check(evidence)
    alpha = comparing.level_of_a_look(design)
    if evidence.stage == Stage.SEARCH:
        return exploring.of_search(evidence, alpha=alpha)
    table = read(evidence)
    compared = contrast.of(design, table)
    doubts = (
        *evidence.doubts,
        *table.doubts,
        *compared.doubts,
        *_absent(evidence),
        *_beside(design, table, compared),
        *_looks(design, alpha),
    )
    reasons = [doubt for word in _DECISIVE for doubt in doubts if doubt.word == word]
    # p values mean what they say only of the seeds and looks that were planned.
    exploratory = any(doubt.word == Word.EXPLORATORY for doubt in reasons)
    sides = [comparing.side(row, design, shown=not table.hidden) for row in compared.rows]
    pairs: tuple[Comparison, ...] = ()
    if not (table.hidden or exploratory):
        pairs = comparing.comparisons(compared, design, alpha=alpha, draws=draws)
    n = len(table.seeds)
    floor = min(1.0, statistics.p_floor(n) * len(compared.pairs)) if n else None
    standing = None if reasons else _standing(sides, pairs, design)
    word = Word(str(reasons[0].word)) if reasons else _word(standing, design, floor, alpha)
    plan = None
    if standing is not None and word == Word.INCONCLUSIVE:
        plan = _plan(standing, design, alpha, len(compared.pairs), evidence)
    verdict = Verdict(
        word=word,
        stage=evidence.stage,
        level=Level.NONE if word in _SILENT else _LEVEL,
        headline="",
        claim="",
        metric=design.metric,
        direction=design.direction,
        contrast=design.contrast,
        averaged=compared.averaged,
        alpha=alpha,
        gamma=design.gamma,
        smallest_effect=design.smallest_effect,
        looks=design.looks,
        seeds=table.seeds,
        pairs=len(compared.pairs),
        p_floor=floor,
        leader=standing.leader.name if standing else None,
        gap=standing.gap if standing else None,
        closest=_rival(standing) if standing else None,
        beaten=standing.beaten if standing else (),
        tied=standing.tied if standing else (),
        open=standing.open if standing else (),
        absent=evidence.absent,
        sides=_ranked(sides, design),
        comparisons=pairs,
        reasons=tuple(reasons),
        flags=tuple(doubt for doubt in doubts if doubt.word is None),
        plan=plan,
    )
    return wording.worded(verdict)


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
    # Its p values are over the seeds of one data set and the configurations of one search.
    if evidence.datasets > 1:
        raise Refused(
            8,
            f"One verdict over {evidence.datasets} data sets was asked for, expected one for each;"
            " the verdict across them is made of those.",
        )
    if evidence.searches > 1:
        raise Refused(
            14,
            f"One verdict over {evidence.searches} searches of a strategy was asked for; the runs"
            " do not tell which search each belongs to, and verdicts over searches come later.",
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


def _looks(design: Design, alpha: float) -> tuple[Doubt, ...]:
    if design.looks == 1:
        return ()
    text = (
        f"{design.looks} looks were planned, so each is decided at alpha = {alpha:g}, which keeps"
        f" all of them together at {design.alpha:g}."
    )
    return (Doubt(rule=10, word=None, text=text),)


def _ranked(sides: Sequence[Side], design: Design) -> tuple[Side, ...]:
    sign = -1.0 if design.direction == "maximize" else 1.0
    return tuple(
        sorted(sides, key=lambda side: math.inf if not side.mean else sign * side.mean.estimate)
    )


def _standing(
    sides: Sequence[Side], pairs: Sequence[Comparison], design: Design
) -> _Standing | None:
    """The leader, which the data choose, against each of its rivals; None without a comparison."""
    if not pairs:
        return None
    leader = _ranked(sides, design)[0]
    against = tuple(pair for pair in pairs if leader.name in (pair.first, pair.second))
    closest = min(against, key=lambda pair: pair.difference.estimate)
    beaten = [pair for pair in against if pair.beaten and pair.first == leader.name]
    tied = [pair for pair in against if pair not in beaten and pair.equivalent]
    left = [pair for pair in against if pair not in (*beaten, *tied)]

    def names(found: Sequence[Comparison]) -> tuple[str, ...]:
        return tuple(_other(pair, leader) for pair in found)

    return _Standing(
        leader=leader,
        closest=closest,
        gap=closest.difference.estimate,
        beaten=names(beaten),
        tied=names(tied),
        open=names(left),
        against=against,
    )


def _other(pair: Comparison, leader: Side) -> str:
    return pair.second if pair.first == leader.name else pair.first


def _rival(standing: _Standing) -> str:
    return _other(standing.closest, standing.leader)


def _word(standing: _Standing | None, design: Design, floor: float | None, alpha: float) -> Word:
    if standing is None or floor is None or floor > alpha:
        return Word.UNDERPOWERED
    effect = design.smallest_effect
    if effect is None:
        return Word.INCONCLUSIVE
    if len(standing.beaten) == len(standing.against):
        # A gap that equals the smallest effect but for rounding is not above it.
        above = standing.gap > effect * (1 + 1e-9)
        return Word.WINNER if above else Word.NEGLIGIBLE
    settled = len(standing.beaten) + len(standing.tied)
    return Word.TIE if settled == len(standing.against) else Word.INCONCLUSIVE


def _plan(
    standing: _Standing, design: Design, alpha: float, pairs: int, evidence: Evidence
) -> SeedPlan | None:
    """Seeds for the smallest effect, by the open rival whose differences vary most.

    So many seeds serve every open rival. The effect is the one that matters, never the one seen.
    None without an open rival that more seeds could settle.
    """
    unsettled = [
        pair
        for pair in standing.against
        if _other(pair, standing.leader) in standing.open and not pair.undecidable
    ]
    widest = max(unsettled, key=lambda pair: pair.sd, default=None)
    if design.smallest_effect is None or widest is None or widest.sd == 0:
        return None
    needed = statistics.seeds_needed(
        widest.sd, widest.n, design.smallest_effect, pairs=pairs, alpha=alpha
    )
    trained = sum(bool(arm.runs) for arm in evidence.arms)
    cost = None if evidence.seconds is None else evidence.seconds * trained
    return SeedPlan(
        low=needed.low,
        high=needed.high,
        estimate=needed.estimate,
        rival=_other(widest, standing.leader),
        sd=widest.sd,
        seconds_low=None if cost is None else cost * needed.low,
        seconds_high=None if cost is None or needed.high is None else cost * needed.high,
    )
