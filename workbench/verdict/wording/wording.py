"""The sentences of a verdict: headline, claim and reasons, with names and numbers.

A test without a finding is never worded as equality, and no sentence of an exploratory verdict
puts one strategy before another.
"""

from __future__ import annotations

from dataclasses import replace

from workbench.messages import joined
from workbench.verdict.contrast import BASELINE
from workbench.verdict.evidence import Doubt, corrected
from workbench.verdict.judgement import Comparison, SeedPlan, Verdict, Word
from workbench.verdict.refusals import because
from workbench.verdict.statistics import planning
from workbench.verdict.wording import words
from workbench.verdict.wording.claims import claim
from workbench.verdict.wording.headlines import headline
from workbench.verdict.wording.numbers import bare_p, duration, p_value


def worded(verdict: Verdict) -> Verdict:
    """The same with its sentences."""
    verdict = replace(
        verdict,
        reasons=verdict.reasons or tuple(_reasons(verdict)),
        look=words.look(verdict),
    )
    return replace(
        verdict,
        heading=words.heading(verdict),
        headline=headline(verdict),
        claim=claim(verdict),
        needed=_needed(verdict),
    )


def _reasons(verdict: Verdict) -> list[Doubt]:
    if verdict.word == Word.UNDERPOWERED:
        tests = corrected(verdict.contrast, verdict.pairs)
        needed = planning.seeds_floor(tests, alpha=verdict.alpha)
        least = "none" if verdict.p_floor is None else bare_p(verdict.p_floor)
        text = (
            f"With {words.units(verdict)}{words.over_comparisons(verdict)} the smallest possible p"
            f" value is {least}, above alpha = {verdict.alpha:g}; at least {needed}"
            f" {verdict.unit}s are needed."
        )
        return [because(7, verdict.word, text)]
    # Those that may be the best first, the closest first of all.
    ranked = sorted(
        words.against_leader(verdict),
        key=lambda pair: (
            words.rival(pair, verdict) in verdict.excluded,
            pair.difference.estimate * (1 if pair.first == verdict.leader else -1),
        ),
    )
    return [
        Doubt(
            word=verdict.word,
            text=_reason(verdict, pair),
            rival=words.rival(pair, verdict),
        )
        for pair in ranked
    ]


def _reason(verdict: Verdict, pair: Comparison) -> str:
    """What is known of a rival, with the p value that decides it."""
    other = words.rival(pair, verdict)
    side = next(side for side in verdict.sides if side.name == other)
    lead = (
        f"{verdict.leader} {words.lead(verdict, pair, 'it')} ({words.interval(verdict, pair)}),"
        f" ahead {words.agreement(verdict, pair)}"
    )
    if pair.undecidable and other not in verdict.excluded:
        return f"Nothing is decided for {other}: {pair.undecidable}; {lead}."
    if verdict.word == Word.WINNER or verdict.contrast == BASELINE:
        p = pair.p_holm if verdict.contrast == BASELINE else pair.p
        better = "is" if other in verdict.excluded else "is not shown to be"
        return f"{verdict.leader} {better} better than {other}: {lead} ({p_value(p)})."
    # Not "p of being the best", which reads as a probability.
    tested = "" if side.p_best is None else f" ({p_value(side.p_best)})"
    if other in verdict.excluded:
        return f"{other} is not the single best: {lead}{tested}."
    if verdict.word == Word.GOOD_ENOUGH and not words.behind(verdict):
        return f"The stricter test of a winner does not exclude {other}: {lead}{tested}."
    return f"{other} may be the best: {lead}{tested}."


def _needed(verdict: Verdict) -> str | None:
    if not verdict.plan:
        return None
    plans = sorted(verdict.plan, key=lambda plan: plan.estimate)
    each = joined((f"{_range_of(plan)} against {plan.rival}" for plan in plans), 50)
    all_of = f" from each of {len(plans)} rivals" if len(plans) > 1 else ""
    return (
        f"To find a true difference of {words.effect(verdict)}{all_of} with 80 % power at"
        f" alpha = {verdict.alpha:g}, about {each} are needed in all{_cost(plans[-1])}."
    )


def _range_of(plan: SeedPlan) -> str:
    if plan.high is None:
        return f"{plan.low:,} to over 10,000 seeds"
    return f"{plan.low:,} to {plan.high:,} seeds" if plan.high > plan.low else f"{plan.low:,} seeds"


def _cost(plan: SeedPlan) -> str:
    """The cost of the largest plan."""
    if plan.seconds_low is None:
        return ""
    low = duration(plan.seconds_low)
    if plan.seconds_high is None:
        return f"; the largest of these costs {low} or far more"
    high = duration(plan.seconds_high)
    return f"; the largest of these costs about {low if low == high else f'{low} to {high}'}"
