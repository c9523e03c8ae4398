"""The headline of a verdict: what a reader remembers, with names and numbers."""

from __future__ import annotations

from workbench.verdict.judgement import Verdict, Word
from workbench.verdict.wording import words
from workbench.verdict.wording.numbers import fixed, listed, measured


def headline(verdict: Verdict) -> str:
    """The headline of a verdict that has its reasons."""
    found = verdict.reasons[0].found or verdict.reasons[0].text
    if verdict.word == Word.NOT_COMPARABLE:
        return f"Not comparable: {found}"
    if verdict.word == Word.EXPLORATORY:
        return _seen(verdict) if not verdict.seeds else f"Exploratory: {found}"
    if verdict.word == Word.UNDERPOWERED:
        return f"Underpowered by design: {found[:1].lower()}{found[1:]}"
    return _compared(verdict)


def outcome(verdict: Verdict) -> str:
    """What holds of the leader: ``a wins``, ``a ties with b within 0.01``."""
    leader, left = verdict.leader, verdict.open
    if verdict.word == Word.WINNER:
        return f"{leader} wins{words.over(verdict)}"
    if verdict.word == Word.NEGLIGIBLE:
        return f"{leader} is detectably but negligibly {words.higher(verdict)}{words.over(verdict)}"
    if verdict.word == Word.TIE:
        return f"{leader} ties with {listed(verdict.tied)} within {words.effect(verdict)}"
    if verdict.smallest_effect is None or not left:
        return f"{leader} has the best mean"
    return f"{leader} has the best mean, but the comparison with {listed(left)} is inconclusive"


def remarks(verdict: Verdict) -> str:
    """Sentences after a headline: a smallest effect that was not given, and the caveats."""
    undefined = ""
    if verdict.smallest_effect is None:
        undefined = " No smallest effect was given, so neither a winner nor a tie can be named."
    return undefined + words.caveats(verdict)


def _compared(verdict: Verdict) -> str:
    effect = ""
    if verdict.word == Word.NEGLIGIBLE:
        effect = f", and the smallest effect that matters is {words.effect(verdict)}"
    return f"{outcome(verdict)}: {_against(verdict)}{effect}.{remarks(verdict)}"


def _seen(verdict: Verdict) -> str:
    """The best value of a search, which is no comparison."""
    if not verdict.sides or not verdict.sides[0].n:
        return "Exploratory: no trial of the search has a value."
    values = [value for value in verdict.sides[0].values if value is not None]
    best = max(values) if verdict.direction == "maximize" else min(values)
    names = [side.name for side in verdict.sides if best in side.values]
    empty = [side.name for side in verdict.sides if not side.n]
    return (
        f"Exploratory: the {words.highest(verdict)} {words.metric(verdict)} in the search is"
        f" {measured(best)} ({listed(names)}); only a confirmation on fresh seeds can show which"
        " strategy is ahead." + (f" No trial of {listed(empty)} has a value." if empty else "")
    )


def _against(verdict: Verdict) -> str:
    """Both means, the difference with its interval, and n."""
    pair = words.deciding(verdict)
    places = words.places(verdict, pair)
    sides = {side.name: side for side in verdict.sides}
    ours, theirs = (words.mean(sides[name], places) for name in (pair.first, pair.second))
    alone = words.against_baseline(verdict)
    nearest = words.rival(pair, verdict) == verdict.closest
    rival = "the closest rival " if nearest and verdict.pairs > 1 and not alone else ""
    low, high = (fixed(end, places) for end in (pair.difference.low, pair.difference.high))
    turned = "" if verdict.direction == "maximize" else "lower is better; "
    difference = fixed(pair.difference.estimate, places)
    spread = f"{100 * pair.difference.level:g} % interval {low} to {high}, n = {pair.n} seeds"
    if pair.sd == 0:
        spread = f"the same on each of {pair.n} seeds"
    return (
        f"{words.metric(verdict)} {ours} against {theirs} of {rival}{pair.second} ({turned}"
        f"difference {difference}, {spread})"
    )
