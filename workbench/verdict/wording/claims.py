"""The claim of a verdict: the sentence that a paper may print, with how far it reaches."""

from __future__ import annotations

from workbench.verdict.comparing import sign_draws
from workbench.verdict.evidence import Stage
from workbench.verdict.judgement import Comparison, Verdict, Word
from workbench.verdict.statistics.paired import EXACT_TO
from workbench.verdict.wording import words
from workbench.verdict.wording.numbers import fixed, listed, p_value

_TESTED = "For these configurations, on this data set and test split"
# Nobody knows what results from elsewhere were tested on.
_GIVEN = "For these configurations, by the results given"


def claim(verdict: Verdict) -> str:
    """The claim that the verdict allows, about these configurations."""
    scope = _GIVEN if verdict.stage == Stage.EXTERNAL else _TESTED
    if verdict.averaged:
        scope += f", averaged over {listed(verdict.averaged)}"
    if verdict.word == Word.NOT_COMPARABLE:
        return "No claim: the arms cannot all be compared."
    if verdict.word == Word.EXPLORATORY:
        return (
            "No claim: these values describe the runs that were made and do not show that one"
            " strategy is ahead of another."
        )
    if verdict.word == Word.UNDERPOWERED:
        return (
            f"No claim: with {words.seeds(verdict)} no difference between these arms could have"
            " been shown."
        )
    if verdict.word == Word.TIE:
        said = _tie(verdict)
    elif verdict.word == Word.INCONCLUSIVE:
        said = f"{words.undecided(verdict, words.seeds(verdict))}."
    else:
        said = _ahead(verdict)
    return f"{scope}, {said}{words.caveats(verdict)}"


def _ahead(verdict: Verdict) -> str:
    pair = words.closest(verdict)
    text = (
        f"{verdict.leader} has a {words.higher(verdict)} {words.metric(verdict)} than"
        f" {words.others(verdict)}: {_difference(verdict, pair)}"
    )
    if verdict.word == Word.NEGLIGIBLE:
        text += f"; this is not above {words.effect(verdict)}, the smallest effect that matters"
    return f"{text}."


def _tie(verdict: Verdict) -> str:
    tests = [
        pair.p_equivalence
        for pair in words.against_leader(verdict)
        if pair.p_equivalence is not None and words.rival(pair, verdict) in verdict.tied
    ]
    p = p_value(max(tests))
    text = (
        f"{verdict.leader} is equivalent to {listed(verdict.tied, 50)} in {words.metric(verdict)},"
        f" within {words.effect(verdict)} (paired TOST over {words.seeds(verdict)}, Holm over"
        f" {words.pairs(verdict)}, {p})"
    )
    if verdict.beaten:
        text += f", and {words.higher(verdict)} than {listed(verdict.beaten, 50)}"
    return f"{text}."


def _difference(verdict: Verdict, pair: Comparison) -> str:
    places = words.places(verdict, pair)
    low, high = (fixed(end, places) for end in (pair.difference.low, pair.difference.high))
    alone = words.against_baseline(verdict) or verdict.pairs == 1
    rival = "" if alone else f" to the closest, {pair.second},"
    test = "exact sign-flip permutation test"
    if pair.n > EXACT_TO:
        draws = sign_draws(verdict.pairs, verdict.alpha)
        test = f"sign-flip permutation test with {draws:,} random draws"
    return (
        f"a mean difference{rival} of {fixed(pair.difference.estimate, places)}"
        f" ({100 * pair.difference.level:g} % interval {low} to {high}; paired over {pair.n}"
        f" seeds; {test}, Holm over {words.pairs(verdict)},"
        f" {p_value(pair.p_holm)}; probability of improvement {pair.improvement.estimate:.2f})"
    )
