"""The claim of a verdict: the sentence that a paper may print, with how far it reaches."""

from __future__ import annotations

from workbench.messages import joined
from workbench.verdict.contrast import BASELINE
from workbench.verdict.evidence import Stage
from workbench.verdict.judgement import Unit, Verdict, Word
from workbench.verdict.wording import headlines, words

_TESTED = "For these configurations, on this data set and test split"
# It is not known what external results were tested on.
_GIVEN = "For these configurations, by the results given"

_SEARCHED = "For these strategies under this search protocol, on this data set"
_DRAWN = f"{_SEARCHED}, with a test split drawn for each search"


def claim(verdict: Verdict) -> str:
    """The claim that the verdict allows about these configurations."""
    scope = _GIVEN if verdict.stage == Stage.EXTERNAL else _TESTED
    if verdict.unit == Unit.REPLICATE:
        scope = f"{_SEARCHED} and test split" if verdict.one_test else _DRAWN
    if verdict.averaged:
        scope += f", averaged over {joined(verdict.averaged)}"
    if verdict.word == Word.NOT_COMPARABLE:
        return "No claim: not all configurations can be compared."
    if verdict.word == Word.EXPLORATORY:
        return (
            "No claim: these values describe the runs that were made and do not show that one"
            " strategy is ahead of another."
        )
    if verdict.word == Word.UNDERPOWERED:
        return f"No claim: {words.units(verdict)} cannot show a difference."
    # The caveats belong to the claim: without them it would say more than was shown.
    return f"{scope}, {finding(verdict)}.{words.caveats(verdict)}"


def finding(verdict: Verdict) -> str:
    """What the comparisons show, without its scope and without a full stop."""
    metric, over = words.metric(verdict), words.units(verdict)
    if verdict.word == Word.WINNER:
        return (
            f"{verdict.leader} has a {words.higher(verdict)} {metric} than {words.others(verdict)}:"
            f" {words.difference(verdict, words.closest(verdict))}."
            f" {words.size(verdict).rstrip('.')}"
        )
    if words.against_baseline(verdict):
        better = words.better_than_baseline(verdict)
        also = (
            f". Shown to be better than {verdict.closest}: {joined(better, 50)}" if better else ""
        )
        return (
            f"{verdict.leader} has the best mean {metric}, and no difference from"
            f" {words.others(verdict)} is shown:"
            f" {words.difference(verdict, words.closest(verdict))}{also}"
        )
    mean = f"mean {metric}"
    if verdict.unit == Unit.DATA_SET:
        mean = f"mean of the standardized {metric}"
    method = f"multiple comparisons with the best, joint sign flips over {over}"
    test = words.test(verdict, words.closest(verdict))
    if verdict.contrast == BASELINE:
        method = f"{test} over {over}, Holm over {words.pairs(verdict)}"
    elif all(side.p_best is None for side in verdict.sides):
        method = f"{test} over {over}"
    if verdict.word == Word.GOOD_ENOUGH:
        text = f"{headlines.bound(verdict)} ({method}). {words.the_set(verdict)}"
        return text.rstrip(". ")
    if verdict.word == Word.NARROWED:
        best = words.side(verdict).removesuffix(" compared")
        return (
            f"no single winner is shown; if a single {best} has the {words.highest(verdict)}"
            f" {mean}, it is {joined(verdict.candidates, 50, word='or')}, not"
            f" {joined(verdict.excluded, 50, word='or')} ({100 * (1 - verdict.alpha):g} %"
            f" confidence, {method})"
        )
    return (
        f"{words.any_of(verdict)} {words.side(verdict, several=True)} may have the"
        f" {words.highest(verdict)} {mean} ({method})"
    )
