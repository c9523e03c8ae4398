"""What is said of several data sets: headline, claim, reasons and flags.

The words of a claim across data sets stand here alone, and are reached from six data sets on.
Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from workbench.verdict import Doubt, Verdict, Word, statistics
from workbench.verdict.statistics.several import LEAST_DATASETS
from workbench.verdict.wording import wording, words
from workbench.verdict.wording.numbers import counted, fixed, listed, p_value

_MOST_PAIRS = 6  # that a headline counts


def worded(
    verdict: Verdict, verdicts: Mapping[str, Verdict], outcomes: Sequence[Mapping[str, Any]]
) -> Verdict:
    """The verdict over all data sets with its sentences.

    Args:
        verdict: With reasons only where the data sets do not compare.
        verdicts: Of each data set.
        outcomes: How often each pair was decided.
    """
    rests = _failed(verdicts)
    return replace(
        verdict,
        headline=_headline(verdict, verdicts, outcomes, rests),
        claim=_claim(verdict, rests),
        reasons=_reasons(verdict),
        flags=_flags(verdicts),
    )


def _reasons(verdict: Verdict) -> Sequence[Doubt]:
    if verdict.reasons:
        return verdict.reasons
    if verdict.word != Word.UNDERPOWERED:
        # Of each rival, and of the gap, the same is said whatever the test was taken over.
        return wording.worded(verdict).reasons
    k, floor = len(verdict.seeds), verdict.p_floor or 0.0
    enough = statistics.seeds_floor(verdict.pairs, alpha=verdict.alpha)
    if k < LEAST_DATASETS:
        text = (
            f"{k} data sets carry no claim across data sets, which needs {enough}; the"
            " verdict of each stands for itself."
        )
        return (Doubt(rule=8, word=verdict.word, text=text),)
    text = (
        f"With {k} data sets and {words.pairs(verdict)} the least corrected p that Wilcoxon's"
        f" signed-rank test can reach is {floor:.3g}; {enough} data sets would be enough."
    )
    return (Doubt(rule=7, word=verdict.word, text=text),)


def _flags(verdicts: Mapping[str, Verdict]) -> tuple[Doubt, ...]:
    """What all data sets share once, then each other flag with the name of its data set."""
    every = [one.flags for one in verdicts.values()]
    shared = [flag for flag in every[0] if all(flag in flags for flags in every)]
    own = [
        replace(flag, text=f"On {dataset}: {flag.text}")
        for dataset, one in verdicts.items()
        for flag in one.flags
        if flag not in shared
    ]
    return (*shared, *own)


def _failed(verdicts: Mapping[str, Verdict]) -> str:
    """Which runs count with a worst value, a sentence for each data set; means rest on them."""
    text = ""
    for dataset, one in verdicts.items():
        lost = [
            f"{counted(len(side.imputed), 'run')} of {side.name}"
            for side in one.sides
            if side.imputed
        ]
        if lost:
            single = sum(len(side.imputed) for side in one.sides) == 1
            counts = "counts" if single else "count"
            text += f" On {dataset} {listed(lost, 50)} failed and {counts} with the worst value."
    return text


def _headline(
    verdict: Verdict,
    verdicts: Mapping[str, Verdict],
    outcomes: Sequence[Mapping[str, Any]],
    rests: str,
) -> str:
    """What a reader remembers: what holds across, and the verdict of each data set.

    Of fewer data sets than carry a claim: the verdict of each, and how often each pair was decided.
    """
    each = "; ".join(f"{dataset}: {_alone(one)}" for dataset, one in verdicts.items())
    if verdict.word == Word.NOT_COMPARABLE:
        return f"Not comparable across data sets: {verdict.reasons[0].text} {each}."
    k = len(verdicts)
    if k < LEAST_DATASETS:
        return (
            f"One verdict for each of {k} data sets, and none over all of them.{rests} {each}."
            f" {_counts(outcomes)}"
        ).rstrip()
    if verdict.word == Word.UNDERPOWERED:
        return (
            f"Underpowered by design across {k} data sets: no corrected p can be below"
            f" {verdict.p_floor:.3g}.{rests} {each}."
        )
    undefined = (
        " No smallest effect was given, so neither a winner nor a tie can be named."
        if verdict.smallest_effect is None
        else ""
    )
    return (
        f"Across {k} data sets {_said(verdict)}: {_difference(verdict)}.{undefined}"
        f"{words.caveats(verdict)}{rests} {each}."
    )


def _said(verdict: Verdict) -> str:
    leader, left = verdict.leader, verdict.open
    if verdict.word == Word.WINNER:
        return f"{leader} wins{words.over(verdict)}"
    if verdict.word == Word.NEGLIGIBLE:
        return f"{leader} is detectably but negligibly {words.higher(verdict)}{words.over(verdict)}"
    if verdict.word == Word.TIE:
        return f"{leader} ties with {listed(verdict.tied)} within {words.effect(verdict)}"
    if verdict.smallest_effect is None or not left:
        return f"{leader} has the best mean"
    return (
        f"{leader} has the best mean, but {listed(left)} {'stays' if len(left) == 1 else 'stay'}"
        " open"
    )


def _difference(verdict: Verdict) -> str:
    """The difference that decides, to whom, with its interval and its test."""
    pair = words.deciding(verdict)
    places = words.places(verdict, pair)
    rival = words.rival(pair, verdict)
    if rival == verdict.closest and len(words.against_leader(verdict)) > 1:
        rival = f"the closest, {rival},"
    gap, low, high = (
        fixed(value, places)
        for value in (pair.difference.estimate, pair.difference.low, pair.difference.high)
    )
    return (
        f"a mean difference to {rival} of {gap} in {words.metric(verdict)}"
        f" ({100 * pair.difference.level:g} % interval {low} to {high}; Wilcoxon signed-rank test"
        f" over {pair.n} data sets, Holm over {words.pairs(verdict)}, {p_value(pair.p_holm)})"
    )


def _alone(one: Verdict) -> str:
    """The verdict of a data set, with names that say no more than its word."""
    if one.leader is None:
        return str(one.word)
    if one.word in (Word.WINNER, Word.NEGLIGIBLE):
        return f"{one.word} ({one.leader})"
    if one.word == Word.TIE:
        return f"{one.word} ({one.leader} with {listed(one.tied)})"
    return f"{one.word} (best mean: {one.leader})"


def _counts(outcomes: Sequence[Mapping[str, Any]]) -> str:
    """Wins, ties, losses and undecided data sets of each pair."""
    told = [
        f"{row['first']} against {row['second']} {row['wins']}, {row['ties']}, {row['losses']} and"
        f" {row['open']}"
        for row in outcomes[:_MOST_PAIRS]
    ]
    if len(outcomes) > _MOST_PAIRS:
        told.append(f"{counted(len(outcomes) - _MOST_PAIRS, 'more pair')} in the table")
    return f"Wins, ties, losses and open: {'; '.join(told)}." if told else ""


def _claim(verdict: Verdict, rests: str) -> str:
    """What a paper may print."""
    if verdict.word == Word.NOT_COMPARABLE:
        return "No claim across data sets: they cannot be compared."
    k = len(verdict.seeds)
    if verdict.word == Word.UNDERPOWERED:
        return f"No claim across data sets: {counted(k, 'data set')} cannot carry one."
    if verdict.word in (Word.WINNER, Word.NEGLIGIBLE):
        said = _ahead(verdict)
    elif verdict.word == Word.TIE:
        said = _equivalent(verdict, k)
    else:
        said = words.undecided(verdict, f"{k} data sets")
    return f"Across the data sets compared, {said}.{words.caveats(verdict)}{rests}"


def _ahead(verdict: Verdict) -> str:
    text = (
        f"{verdict.leader} has a {words.higher(verdict)} {words.metric(verdict)} than"
        f" {words.others(verdict)}: {_difference(verdict)}"
    )
    if verdict.word == Word.NEGLIGIBLE:
        text += f"; this is not above {words.effect(verdict)}, the smallest effect that matters"
    return text


def _equivalent(verdict: Verdict, k: int) -> str:
    text = (
        f"{verdict.leader} is equivalent to {listed(verdict.tied, 50)} in {words.metric(verdict)}"
        f" within {words.effect(verdict)} (paired TOST over {k} data sets, Holm over"
        f" {words.pairs(verdict)})"
    )
    if verdict.beaten:
        text += f", and {words.higher(verdict)} than {listed(verdict.beaten, 50)}"
    return text
