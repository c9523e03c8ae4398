"""The sentences of a verdict: headline, claim and reasons, with names and numbers.

A test without a finding is never worded as equality, and no sentence of an exploratory verdict
puts one strategy before another.
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
from workbench.verdict.wording.numbers import bare_p, duration, fixed, p_value, share


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
        least = "none" if verdict.p_floor is None else bare_p(verdict.p_floor)
        text = (
            f"With {words.units(verdict)} and {words.pairs(verdict)} the smallest possible"
            f" corrected p value is {least}, above alpha = {verdict.alpha:g}; at least {needed}"
            " seeds are needed."
        )
        return [because(7, verdict.word, text)]
    reasons = [
        Doubt(
            rule=None,
            word=verdict.word,
            text=_reason(verdict, pair),
            rival=words.rival(pair, verdict),
        )
        for pair in _deciding_first(verdict)
    ]
    if (size := _size(verdict)) is not None:
        # The word depends on the closest rival, which is first, and on the difference from it.
        reasons.insert(1, Doubt(rule=None, word=verdict.word, text=size))
    return reasons


def _deciding_first(verdict: Verdict) -> list[Comparison]:
    """The leader's comparisons: undecided ones, then equivalent, then beaten rivals.

    Within each kind the closest rival comes first.
    """
    kinds = (verdict.open, verdict.tied, verdict.beaten)

    def place(pair: Comparison) -> tuple[int, bool]:
        rival = words.rival(pair, verdict)
        kind = [rival in names for names in kinds].index(True)
        return kind, rival != verdict.closest

    return sorted(words.against_leader(verdict), key=place)


def _size(verdict: Verdict) -> str | None:
    """How the difference compares with the smallest effect, where that decides the word."""
    if verdict.smallest_effect is None:
        return "No smallest effect was given, so no difference can be called large or negligible."
    if verdict.word not in (Word.WINNER, Word.NEGLIGIBLE):
        return None
    pair, effect = words.closest(verdict), words.effect(verdict)
    other = "the baseline" if words.against_baseline(verdict) else "the closest rival"
    if verdict.word == Word.NEGLIGIBLE:
        return f"The difference from {other} is not above the smallest effect, {effect}."
    text = f"The mean difference from {other} is above the smallest effect, {effect}"
    if pair.difference.low < verdict.smallest_effect:
        low = fixed(pair.difference.low, words.places(verdict, pair))
        text += f"; its interval reaches down to {low}, so the true difference may be smaller"
    return f"{text}."


def _needed(verdict: Verdict) -> str | None:
    plan = verdict.plan
    if plan is None:
        return None
    return (
        f"About {_range_of(plan)} give 80 % power to detect a true difference of"
        f" {words.effect(verdict)} at alpha = {verdict.alpha:g} (Holm over {words.pairs(verdict)};"
        f" SD of the paired differences from {plan.rival}: {plan.sd:.2g}){_cost(plan)}. This is the"
        f" power of the test alone: a {Word.WINNER} also needs a probability of improvement of"
        f" {verdict.gamma:g} and a difference above {words.effect(verdict)}."
    )


def _range_of(plan: SeedPlan) -> str:
    if plan.high is None:
        return f"{plan.low:,} to over 10,000 seeds"
    return f"{plan.low:,} to {plan.high:,} seeds" if plan.high > plan.low else f"{plan.low:,} seeds"


def _cost(plan: SeedPlan) -> str:
    if plan.seconds_low is None:
        return ""
    low = duration(plan.seconds_low)
    if plan.seconds_high is None:
        return f"; they cost {low} or far more"
    high = duration(plan.seconds_high)
    return f"; they cost about {low if low == high else f'{low} to {high}'}"


def _reason(verdict: Verdict, pair: Comparison) -> str:
    other, effect = words.rival(pair, verdict), words.effect(verdict)
    difference = (
        f"Holm {p_value(pair.p_holm)}, probability of improvement"
        f" {share(pair.improvement.estimate)}"
    )
    equivalence = "" if pair.p_equivalence is None else f"Holm {p_value(pair.p_equivalence)}"
    if other in verdict.beaten:
        return f"{verdict.leader} beats {other} ({difference})."
    if other in verdict.tied:
        return (
            f"{verdict.leader} and {other} are equivalent within {effect} ({equivalence};"
            f" difference: {difference})."
        )
    if pair.undecidable:
        return f"No conclusion for {other}: {pair.undecidable} ({difference})."
    if pair.p_holm < verdict.alpha and pair.improvement.estimate < verdict.gamma:
        # The means differ, but not on enough seeds.
        difference += f", below {verdict.gamma:g}"
    if not equivalence:
        return f"No conclusion for {other}: a difference was not shown ({difference})."
    return (
        f"No conclusion for {other}: neither a difference ({difference}) nor equivalence within"
        f" {effect} ({equivalence}) was shown."
    )
