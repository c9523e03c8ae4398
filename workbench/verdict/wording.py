"""The sentences of a verdict: headline, claim and reasons, with names and numbers.

Says what the verdict holds and decides nothing. A test that finds nothing is never worded as
equality, and no sentence of an exploratory verdict puts one strategy before another one.
"""

from __future__ import annotations

from dataclasses import replace

from workbench import statistics
from workbench.verdict import words
from workbench.verdict.claims import claim
from workbench.verdict.evidence import Doubt
from workbench.verdict.forbidden import Refused, because
from workbench.verdict.headlines import headline
from workbench.verdict.judgement import Comparison, Level, SeedPlan, Verdict, Word
from workbench.verdict.numbers import listed, p_value, span

_ORDER = (Level.CONFIGURATION, Level.STRATEGY, Level.DATASETS)


def worded(verdict: Verdict) -> Verdict:
    """The same with its sentences."""
    verdict = replace(verdict, reasons=verdict.reasons or tuple(_reasons(verdict)))
    return replace(verdict, headline=headline(verdict), claim=claim(verdict, verdict.level))


def claim_at(verdict: Verdict, level: Level) -> str:
    """The claim at a level; see ``workbench.verdict.claim_at``."""
    if _ORDER.index(level) > _ORDER.index(verdict.level):
        rule = 8 if level == Level.DATASETS else 14
        raise Refused(
            rule,
            f"A claim at the level {str(level)!r} was asked for; the evidence reaches"
            f" {str(verdict.level)!r}.",
        )
    return claim(verdict, level)


def _reasons(verdict: Verdict) -> list[Doubt]:
    if verdict.word == Word.UNDERPOWERED:
        needed = statistics.seeds_floor(max(1, verdict.pairs), alpha=verdict.alpha)
        least = "none" if verdict.p_floor is None else f"{verdict.p_floor:.2g}"
        text = (
            f"With {words.seeds(verdict)} and {words.pairs(verdict)} the least p value possible is"
            f" {least}, above alpha = {verdict.alpha:g}; at least {needed} seeds are needed."
        )
        return [because(7, verdict.word, text)]
    found = [_reason(verdict, pair) for pair in words.against_leader(verdict)]
    effect = verdict.smallest_effect
    if effect is None:
        found.append(
            "No smallest effect was given: without one a difference cannot be called large enough"
            " to matter, nor small enough not to."
        )
    elif verdict.word == Word.WINNER:
        found.append(f"The gap to the closest rival is above {effect:g}, the smallest effect.")
    elif verdict.word == Word.NEGLIGIBLE:
        found.append(f"The gap to the closest rival is not above {effect:g}, the smallest effect.")
    if verdict.plan is not None:
        found.append(
            f"A fresh batch of about {_range_of(verdict.plan)} would give 80 % power for a"
            f" difference of {words.effect(verdict)} (alpha = {verdict.alpha:g}, Holm over"
            f" {words.pairs(verdict)}; SD of the paired differences to {verdict.plan.rival}:"
            f" {verdict.plan.sd:.2g}){_cost(verdict.plan)}."
        )
    return [Doubt(rule=None, word=verdict.word, text=text) for text in found]


def _range_of(plan: SeedPlan) -> str:
    if plan.high is None:
        return f"{plan.low:,} to over 10,000 seeds"
    return f"{plan.low:,} to {plan.high:,} seeds" if plan.high > plan.low else f"{plan.low:,} seeds"


def _cost(plan: SeedPlan) -> str:
    if plan.seconds_low is None:
        return ""
    low = span(plan.seconds_low)
    if plan.seconds_high is None:
        return f"; they cost {low} or far more"
    high = span(plan.seconds_high)
    return f"; they cost about {low if low == high else f'{low} to {high}'}"


def _reason(verdict: Verdict, pair: Comparison) -> str:
    rival = words.rival(pair, verdict)
    numbers = (
        f"Holm {p_value(pair.p_holm)}, probability of improvement {pair.improvement.estimate:.2f}"
    )
    if rival in verdict.beaten:
        return f"{verdict.leader} beats {rival} ({numbers})."
    equivalence = ""
    if pair.p_equivalence is not None:
        equivalence = (
            f"; equivalence within {words.effect(verdict)}: Holm {p_value(pair.p_equivalence)}"
        )
    if rival in verdict.tied:
        return f"{verdict.leader} and {rival} are equivalent ({numbers}{equivalence})."
    lacking = []
    if pair.p_holm >= verdict.alpha:
        lacking.append(f"p is not below {verdict.alpha:g}")
    if pair.improvement.estimate < verdict.gamma:
        lacking.append(f"the probability of improvement is below {verdict.gamma:g}")
    if pair.p_equivalence is not None:
        lacking.append("equivalence is not shown")
    return f"{rival} stays open: {listed(lacking)} ({numbers}{equivalence})."
