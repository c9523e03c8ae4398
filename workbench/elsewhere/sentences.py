"""What is said of several data sets: headline, claim and reason.

The words of a claim across data sets stand here alone, and are reached from five data sets on.
Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workbench import statistics
from workbench.elsewhere.comparing import ALPHA, Question
from workbench.statistics.several import LEAST_DATASETS
from workbench.verdict import Doubt, Verdict, Word


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How the strategies stand over all data sets.

    Attributes:
        refused: Why they do not compare; empty where they do.
        gap: Mean difference of the leader to the closest rival; negative where a baseline leads.
        p: Of that pair, corrected.
        floor: Least corrected p that so many data sets can reach.
    """

    word: Word
    refused: tuple[Doubt, ...]
    leader: str | None
    closest: str | None
    gap: float | None
    p: float | None
    floor: float
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


def headline(found: Standing, verdicts: Mapping[str, Verdict], question: Question) -> str:
    """What a reader remembers: what holds across, and the verdict of each data set."""
    each = "; ".join(
        f"{dataset}: {one.word}" + (f" ({one.leader} ahead)" if one.leader else "")
        for dataset, one in verdicts.items()
    )
    if found.refused:
        return f"Not comparable across data sets: {found.refused[0].text} {each}."
    k = len(verdicts)
    if k < LEAST_DATASETS:
        return f"No claim across data sets ({k}, and {LEAST_DATASETS} are the least). {each}."
    if found.word == Word.UNDERPOWERED or found.gap is None or found.p is None:
        return (
            f"Underpowered by design across {k} data sets: no corrected p can be below"
            f" {found.floor:.3g}. {each}."
        )
    if found.gap < 0:
        said = f"{found.closest}, the baseline, has the best mean; the closest is {found.leader}"
    else:
        said = f"{found.leader} {_VERBS[found.word]}; the closest is {found.closest}"
    undefined = (
        " No smallest effect was given, so neither a winner nor a tie can be named."
        if question.smallest_effect is None
        else ""
    )
    return (
        f"Across {k} data sets {said}, with a mean difference of {abs(found.gap):.4g} in"
        f" {_words(question)} (Wilcoxon signed-rank, Holm-corrected: p = {found.p:.2g}).{undefined}"
        f" {each}."
    )


_VERBS = {
    Word.WINNER: "wins",
    Word.NEGLIGIBLE: "is detectably but negligibly ahead",
    Word.TIE: "ties with every rival that it does not lead",
    Word.INCONCLUSIVE: "has the best mean, and no more was shown",
}


def claim(found: Standing, k: int, question: Question) -> str:
    """What a paper may print."""
    if found.word == Word.NOT_COMPARABLE:
        return "No claim across data sets: they cannot be compared."
    if found.word == Word.UNDERPOWERED or found.gap is None or found.p is None:
        return f"No claim across data sets: {_count(k, 'data set')} cannot carry one."
    metric, start = _words(question), "Across the data sets compared,"
    test = f"Wilcoxon signed-rank test over {k} data sets, Holm-corrected, p = {found.p:.2g}"
    if found.word in (Word.WINNER, Word.NEGLIGIBLE):
        higher = "higher" if question.direction == "maximize" else "lower"
        others = "the baseline" if question.baseline else "every other strategy compared"
        small = "; this is not above the smallest effect that matters"
        return (
            f"{start} {found.leader} has a {higher} {metric} than {others}: a mean difference to"
            f" the closest, {found.closest}, of {found.gap:.4g} ({test})"
            f"{small if found.word == Word.NEGLIGIBLE else ''}."
        )
    if question.smallest_effect is None:
        return (
            f"{start} {found.leader} and {found.closest} differ by {abs(found.gap):.4g} in mean"
            f" {metric} ({test}); whether a difference matters was not defined."
        )
    within = f"within {question.smallest_effect:g}"
    if found.word == Word.TIE:
        return (
            f"{start} {found.leader} is equivalent to {', '.join(found.tied)} in {metric} {within}"
            f" (paired TOST over {k} data sets, Holm-corrected)."
        )
    return (
        f"{start} neither a difference between {found.leader} and {', '.join(found.open)} nor their"
        f" equivalence {within} was shown in {metric} over {k} data sets."
    )


def _words(question: Question) -> str:
    return question.metric.replace("/", " ").replace("_", " ")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
