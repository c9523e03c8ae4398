"""The claim of a verdict: the sentence that a paper may print, with how far it reaches."""

from __future__ import annotations

from workbench.verdict.evidence import Stage
from workbench.verdict.judgement import Verdict, Word
from workbench.verdict.wording import words
from workbench.verdict.wording.numbers import listed, p_value

_TESTED = "For these configurations, on this data set and test split"
# It is not known what external results were tested on.
_GIVEN = "For these configurations, by the results given"


def claim(verdict: Verdict) -> str:
    """The claim that the verdict allows about these configurations."""
    scope = _GIVEN if verdict.stage == Stage.EXTERNAL else _TESTED
    if verdict.averaged:
        scope += f", averaged over {listed(verdict.averaged)}"
    if verdict.word == Word.NOT_COMPARABLE:
        return "No claim: not all configurations can be compared."
    if verdict.word == Word.EXPLORATORY:
        return (
            "No claim: these values describe the runs that were made and do not show that one"
            " strategy is ahead of another."
        )
    if verdict.word == Word.UNDERPOWERED:
        seeds = words.units(verdict)
        return f"No claim: {seeds} cannot show a difference between these configurations."
    # The caveats belong to the claim: without them it would say more than was shown.
    return f"{scope}, {finding(verdict)}.{words.caveats(verdict)}"


def finding(verdict: Verdict) -> str:
    """What the comparisons show, without its scope and without a full stop."""
    if verdict.word == Word.TIE:
        return _tie(verdict)
    if verdict.word == Word.INCONCLUSIVE:
        return words.undecided(verdict)
    alone = words.against_baseline(verdict) or verdict.pairs == 1
    text = (
        f"{verdict.leader} has a {words.higher(verdict)} {words.metric(verdict)} than"
        f" {words.others(verdict)}:"
        f" {words.difference(verdict, words.closest(verdict), named=not alone)}"
    )
    if verdict.word == Word.NEGLIGIBLE:
        text += f"; this is not above {words.effect(verdict)}, the smallest effect that matters"
    return text


def _tie(verdict: Verdict) -> str:
    tests = [
        pair.p_equivalence
        for pair in words.against_leader(verdict)
        if pair.p_equivalence is not None and words.rival(pair, verdict) in verdict.tied
    ]
    text = (
        f"{verdict.leader} is equivalent to {listed(verdict.tied, 50)} in {words.metric(verdict)}"
        f" within {words.effect(verdict)} (paired TOST over {words.units(verdict)}, Holm over"
        f" {words.pairs(verdict)}, {p_value(max(tests))})"
    )
    if verdict.beaten:
        text += f", and {words.higher(verdict)} than {listed(verdict.beaten, 50)}"
    return text
