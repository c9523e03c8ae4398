"""The sentences of a verdict: headline, claim and reasons, with names and numbers.

Says what the verdict holds and decides nothing. A test that finds nothing is never worded as
equality, and no sentence of an exploratory verdict puts one strategy before another one.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.verdict import statistics
from workbench.verdict.evidence import Doubt
from workbench.verdict.judgement import Comparison, SeedPlan, Verdict, Word
from workbench.verdict.refusals import because
from workbench.verdict.wording import words
from workbench.verdict.wording.claims import claim
from workbench.verdict.wording.headlines import headline
from workbench.verdict.wording.numbers import fixed, listed, p_value, span


def worded(verdict: Verdict) -> Verdict:
    """The same with its sentences."""
    verdict = replace(verdict, reasons=verdict.reasons or tuple(_reasons(verdict)))
    return replace(
        verdict,
        headline=headline(verdict),
        claim=claim(verdict),
        needed=_needed(verdict),
    )


def _reasons(verdict: Verdict) -> list[Doubt]:
    if verdict.word == Word.UNDERPOWERED:
        needed = statistics.seeds_floor(max(1, verdict.pairs), alpha=verdict.alpha)
        least = "none" if verdict.p_floor is None else f"{verdict.p_floor:.2g}"
        text = (
            f"With {words.seeds(verdict)} and {words.pairs(verdict)} the least p value possible is"
            f" {least}, above alpha = {verdict.alpha:g}; at least {needed} seeds are needed."
        )
        return [because(7, verdict.word, text)]
    found = [
        Doubt(
            rule=None,
            word=verdict.word,
            text=_reason(verdict, pair),
            rival=words.rival(pair, verdict),
        )
        for pair in _deciding_first(verdict)
    ]
    if (gap := _gap(verdict)) is not None:
        # What is ahead of all is decided by the closest rival and the size of the gap to it.
        found.insert(1, Doubt(rule=None, word=verdict.word, text=gap))
    return found


def _deciding_first(verdict: Verdict) -> list[Comparison]:
    """The leader's comparisons: what stays open, then what is equivalent, then what is beaten.

    The closest rival first among its like.
    """
    kinds = (verdict.open, verdict.tied, verdict.beaten)

    def place(pair: Comparison) -> tuple[int, bool]:
        rival = words.rival(pair, verdict)
        return next(
            at for at, names in enumerate(kinds) if rival in names
        ), rival != verdict.closest

    return sorted(words.against_leader(verdict), key=place)


def _gap(verdict: Verdict) -> str | None:
    """What the size of the gap has to do with the word."""
    effect = verdict.smallest_effect
    if effect is None:
        return (
            "No smallest effect was given: without one a difference cannot be called large enough"
            " to matter, nor small enough not to."
        )
    if verdict.word == Word.WINNER:
        return _above(verdict, effect)
    if verdict.word == Word.NEGLIGIBLE:
        return f"The gap to the closest rival is not above {effect:g}, the smallest effect."
    return None


def _needed(verdict: Verdict) -> str | None:
    if verdict.plan is None:
        return None
    return (
        f"For a p below {verdict.alpha:g} with 80 % power at a true difference of"
        f" {words.effect(verdict)} it takes about {_range_of(verdict.plan)} (Holm over"
        f" {words.pairs(verdict)}; SD of the paired differences to {verdict.plan.rival}:"
        f" {verdict.plan.sd:.2g}){_cost(verdict.plan)}. That is the power of the test alone: a"
        f" {Word.WINNER} must also reach a probability of improvement of {verdict.gamma:g} and a"
        f" gap above {words.effect(verdict)}."
    )


def _above(verdict: Verdict, effect: float) -> str:
    pair = words.closest(verdict)
    places = words.places(verdict, pair)
    rival = "the baseline" if words.against_baseline(verdict) else "the closest rival"
    text = f"The mean gap to {rival} is above {effect:g}, the smallest effect"
    if pair.difference.low < effect:
        low = fixed(pair.difference.low, places)
        text += f"; its interval reaches down to {low}, so the true gap may be smaller than that"
    return f"{text}."


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
    if low == high:
        return f"; they cost about {low}"
    number, unit = low.split()
    return f"; they cost about {number if high.endswith(unit) else low} to {high}"


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
    if pair.undecidable:
        return f"{rival} stays open: {pair.undecidable} ({numbers}{equivalence})."
    lacking = []
    if pair.p_holm >= verdict.alpha:
        lacking.append(f"p is not below {verdict.alpha:g}")
    if pair.improvement.estimate < verdict.gamma:
        lacking.append(f"the probability of improvement is below {verdict.gamma:g}")
    if pair.p_equivalence is not None:
        lacking.append("equivalence is not shown")
    return f"{rival} stays open: {listed(lacking)} ({numbers}{equivalence})."
