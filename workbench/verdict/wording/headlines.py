"""The headline of a verdict: what a reader remembers, with names and numbers."""

from __future__ import annotations

from workbench.verdict.judgement import Verdict, Word
from workbench.verdict.wording import words
from workbench.verdict.wording.numbers import fixed, listed


def headline(verdict: Verdict) -> str:
    """The headline of a verdict that has its reasons."""
    found = verdict.reasons[0].found or verdict.reasons[0].text
    if verdict.word == Word.NOT_COMPARABLE:
        return f"Not comparable: {found}"
    if verdict.word == Word.EXPLORATORY:
        return _seen(verdict) if not verdict.seeds else f"Exploratory: {found}"
    if verdict.word == Word.UNDERPOWERED:
        return f"Underpowered by design: {found[:1].lower()}{found[1:]}"
    return _said(verdict) + words.caveats(verdict)


def _said(verdict: Verdict) -> str:
    numbers = _against(verdict)
    if verdict.word == Word.WINNER:
        return f"{verdict.leader} wins{words.over(verdict)}: {numbers}."
    if verdict.word == Word.NEGLIGIBLE:
        return (
            f"{verdict.leader} is detectably but negligibly"
            f" {words.higher(verdict)}{words.over(verdict)}: {numbers}, and the smallest effect"
            f" that matters is {words.effect(verdict)}."
        )
    if verdict.word == Word.TIE:
        tied = f"{verdict.leader} ties with {listed(verdict.tied)}"
        return f"{tied} within {words.effect(verdict)}: {numbers}."
    return _inconclusive(verdict, numbers)


def _seen(verdict: Verdict) -> str:
    """The highest value of a search, which is no comparison."""
    if not verdict.sides or not verdict.sides[0].n:
        return "Exploratory: no trial of the search has a value."
    first = verdict.sides[0]
    values = [value for value in first.values if value is not None]
    best = max(values) if verdict.direction == "maximize" else min(values)
    names = [side.name for side in verdict.sides if best in side.values]
    empty = [side.name for side in verdict.sides if not side.n]
    return (
        f"Exploratory: the {words.highest(verdict)} {words.metric(verdict)} that the search saw is"
        f" {best:.4g}, with {listed(names)}; which strategy is ahead is not known before a"
        " confirmation on fresh seeds."
        + (f" No trial of {listed(empty)} has a value." if empty else "")
    )


def _inconclusive(verdict: Verdict, numbers: str) -> str:
    if verdict.smallest_effect is None:
        return (
            f"{verdict.leader} has the best mean: {numbers}. No smallest effect was given, so"
            " neither a winner nor a tie can be named."
        )
    return (
        f"{verdict.leader} has the best mean, but {listed(verdict.open)}"
        f" {'stays' if len(verdict.open) == 1 else 'stay'} open: {numbers}."
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
