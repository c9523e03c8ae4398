"""What is said of several data sets: headline, claim and reason.

The words of a claim across data sets stand here alone, and are reached from five data sets on.
Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench import statistics
from workbench.elsewhere.comparing import ALPHA, Question
from workbench.statistics.several import LEAST_DATASETS
from workbench.verdict import Doubt, Verdict, Word
from workbench.verdict.numbers import fixed, listed, p_value

_MOST_PAIRS = 6  # that a headline counts


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How the strategies stand over all data sets.

    Attributes:
        refused: Why they do not compare; empty where they do.
        gap: Mean difference of the leader to the closest rival that it is compared with.
        places: Decimals that the interval of this difference deserves.
        p: Of that pair, corrected.
        floor: Least corrected p that so many data sets can reach.
        pairs: Number of comparisons that Holm corrects for.
    """

    word: Word
    refused: tuple[Doubt, ...]
    leader: str | None
    closest: str | None
    gap: float | None
    places: int
    p: float | None
    floor: float
    pairs: int
    tied: tuple[str, ...]
    open: tuple[str, ...]


def reason(found: Standing, k: int, pairs: int) -> Doubt:
    """Why the word is this one, where the data sets compare."""
    if k < LEAST_DATASETS:
        text = (
            f"{k} data sets carry no claim across data sets, which needs {LEAST_DATASETS}; the"
            " verdict of each stands for itself."
        )
        return Doubt(rule=8, word=found.word, text=text)
    test = f"{k} data sets and {_count(pairs, 'pair')}"
    least = "the least corrected p that Wilcoxon's signed-rank test can reach is"
    if found.floor > ALPHA:
        enough = statistics.seeds_floor(pairs, alpha=ALPHA)
        text = f"With {test} {least} {found.floor:.3g}; {enough} data sets would be enough."
        return Doubt(rule=7, word=found.word, text=text)
    return Doubt(rule=None, word=found.word, text=f"With {test} {least} {found.floor:.3g}.")


def headline(
    found: Standing,
    verdicts: Mapping[str, Verdict],
    outcomes: Sequence[Mapping[str, Any]],
    question: Question,
) -> str:
    """What a reader remembers: what holds across, and the verdict of each data set.

    Of fewer data sets than carry a claim: the verdict of each, and how often each pair was decided.
    """
    each = "; ".join(f"{dataset}: {_alone(one)}" for dataset, one in verdicts.items())
    if found.refused:
        return f"Not comparable across data sets: {found.refused[0].text} {each}."
    k = len(verdicts)
    if k < LEAST_DATASETS:
        return (
            f"One verdict for each of {k} data sets, and none over all of them. {each}."
            f" {_counted(outcomes)}"
        ).rstrip()
    if found.word == Word.UNDERPOWERED or found.gap is None or found.p is None:
        return (
            f"Underpowered by design across {k} data sets: no corrected p can be below"
            f" {found.floor:.3g}. {each}."
        )
    undefined = (
        " No smallest effect was given, so neither a winner nor a tie can be named."
        if question.smallest_effect is None
        else ""
    )
    return (
        f"Across {k} data sets {_said(found)}; the closest is {found.closest}, with a mean"
        f" difference of {fixed(found.gap, found.places)} in {question.metric} (Wilcoxon"
        f" signed-rank, Holm-corrected: {p_value(found.p)}).{undefined}"
        f"{_left_out(question, found)} {each}."
    )


def _said(found: Standing) -> str:
    if found.word == Word.WINNER:
        return f"{found.leader} wins"
    if found.word == Word.NEGLIGIBLE:
        return f"{found.leader} is detectably but negligibly ahead"
    if found.word == Word.TIE:
        return f"{found.leader} ties with {listed(found.tied)}"
    still = ""
    if found.open:
        still = f", but {listed(found.open)} {'stays' if len(found.open) == 1 else 'stay'} open"
    return f"{found.leader} has the best mean{still}"


def _alone(one: Verdict) -> str:
    """The verdict of a data set, with names that say no more than its word."""
    if one.leader is None:
        return str(one.word)
    if one.word in (Word.WINNER, Word.NEGLIGIBLE):
        return f"{one.word} ({one.leader})"
    if one.word == Word.TIE:
        return f"{one.word} ({one.leader} with {listed(one.tied)})"
    return f"{one.word} (best mean: {one.leader})"


def _counted(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """Wins, ties, losses and undecided data sets of each pair."""
    told = [
        f"{row['first']} against {row['second']} {row['wins']}, {row['ties']}, {row['losses']} and"
        f" {row['open']}"
        for row in outcomes[:_MOST_PAIRS]
    ]
    if len(outcomes) > _MOST_PAIRS:
        told.append(f"{_count(len(outcomes) - _MOST_PAIRS, 'more pair')} in the table")
    return f"Wins, ties, losses and open: {'; '.join(told)}." if told else ""


def _left_out(question: Question, found: Standing) -> str:
    if question.baseline is None or found.pairs < 2:
        return ""
    return " Only comparisons with the baseline were made."


def claim(found: Standing, k: int, question: Question) -> str:
    """What a paper may print."""
    if found.word == Word.NOT_COMPARABLE:
        return "No claim across data sets: they cannot be compared."
    if found.word == Word.UNDERPOWERED or found.gap is None or found.p is None:
        return f"No claim across data sets: {_count(k, 'data set')} cannot carry one."
    metric, start = question.metric, "Across the data sets compared,"
    test = f"Wilcoxon signed-rank test over {k} data sets, Holm-corrected, {p_value(found.p)}"
    if found.word in (Word.WINNER, Word.NEGLIGIBLE):
        higher = "higher" if question.direction == "maximize" else "lower"
        others = "every other strategy compared"
        if question.baseline not in (None, found.leader):
            others = "the baseline"
        small = "; this is not above the smallest effect that matters"
        return (
            f"{start} {found.leader} has a {higher} {metric} than {others}: a mean difference to"
            f" the closest, {found.closest}, of {fixed(found.gap, found.places)} ({test})"
            f"{small if found.word == Word.NEGLIGIBLE else ''}."
        )
    if question.smallest_effect is None:
        return (
            f"{start} {found.leader} and {found.closest} differ by"
            f" {fixed(found.gap, found.places)} in mean {metric} ({test}); whether"
            " a difference matters was not defined."
        )
    within = f"within {question.smallest_effect:g}"
    if found.word == Word.TIE:
        return (
            f"{start} {found.leader} is equivalent to {listed(found.tied, 50)} in {metric} {within}"
            f" (paired TOST over {k} data sets, Holm-corrected)."
        )
    return (
        f"{start} neither a difference between {found.leader} and {listed(found.open, 50)} nor"
        f" their equivalence {within} was shown in {metric} over {k} data sets."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
