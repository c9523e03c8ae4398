"""The sentences of a verdict over several data sets: headline, claim, reasons and flags.

Only here is something claimed across data sets, and only from six data sets on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from workbench.messages import counted, joined
from workbench.verdict import Doubt, Verdict, Word, corrected
from workbench.verdict.across.ranks import PairCounts
from workbench.verdict.statistics import planning
from workbench.verdict.statistics.several import LEAST_DATASETS
from workbench.verdict.wording import claims, headlines, wording, words
from workbench.verdict.wording.numbers import bare_p

_MOST_PAIRS = 6  # that a headline counts


def worded(
    verdict: Verdict, verdicts: Mapping[str, Verdict], outcomes: Sequence[PairCounts]
) -> Verdict:
    """The verdict over all data sets with its sentences.

    Args:
        verdict: With reasons only where the data sets do not compare.
        verdicts: Of each data set.
        outcomes: How often each pair was decided.
    """
    lost = failed(verdicts)
    verdict = replace(verdict, look=words.look(verdict))
    return replace(
        verdict,
        heading=_heading(verdict),
        headline=_headline(verdict, verdicts, outcomes, lost),
        claim=_claim(verdict, lost),
        reasons=_reasons(verdict),
        flags=flags(verdicts),
    )


def _reasons(verdict: Verdict) -> Sequence[Doubt]:
    if verdict.reasons:
        return verdict.reasons
    if verdict.word != Word.UNDERPOWERED:
        # The reasons are worded alike, whether the test was over seeds or over data sets.
        return wording.worded(verdict).reasons
    k, floor = len(verdict.seeds), verdict.p_floor or 0.0
    tests = corrected(verdict.contrast, verdict.pairs)
    enough = planning.seeds_floor(tests, alpha=verdict.alpha)
    if k < LEAST_DATASETS:
        text = (
            f"{k} data sets support no claim across data sets, which needs {enough}; the verdict"
            " on each data set holds on its own."
        )
        return (Doubt(rule=8, word=verdict.word, text=text),)
    text = (
        f"With {k} data sets{words.over_comparisons(verdict)} the smallest possible p of Wilcoxon's"
        f" signed-rank test is {bare_p(floor)}; {enough} data sets would be enough."
    )
    return (Doubt(rule=7, word=verdict.word, text=text),)


def flags(verdicts: Mapping[str, Verdict]) -> tuple[Doubt, ...]:
    """Shared flags once, then each other flag with the name of its data set or search."""
    every = [one.flags for one in verdicts.values()]
    # Without this, each remark would be repeated for every data set.
    shared = [flag for flag in every[0] if all(flag in flags for flags in every)]
    own = [
        replace(flag, text=f"On {name}: {flag.text}")
        for name, one in verdicts.items()
        for flag in one.flags
        if flag not in shared
    ]
    return (*shared, *own)


def failed(verdicts: Mapping[str, Verdict], where: str = "On {}") -> str:
    """Which runs count with a worst value, a sentence for each data set or search."""
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
            text += (
                f" {where.format(dataset)} {joined(lost, 50)} failed and {counts} with the worst"
                " value."
            )
    return text


def _heading(verdict: Verdict) -> str:
    """The word; of too few data sets their number, because only the verdict on each holds."""
    few = verdict.word == Word.UNDERPOWERED and len(verdict.seeds) < LEAST_DATASETS
    return counted(len(verdict.seeds), "data set") if few else words.heading(verdict)


def _headline(
    verdict: Verdict,
    verdicts: Mapping[str, Verdict],
    outcomes: Sequence[PairCounts],
    lost: str,
) -> str:
    """What holds across, and the verdict on each data set.

    With fewer data sets than a claim needs: the verdict on each, and how each pair was decided.
    """
    each = "; ".join(f"{dataset}: {_alone(one)}" for dataset, one in verdicts.items())
    if verdict.word == Word.NOT_COMPARABLE:
        return f"Not comparable across data sets: {verdict.reasons[0].text} {each}."
    if verdict.word == Word.EXPLORATORY:
        reason = verdict.reasons[0]
        return f"{reason.found or reason.text} {each}."
    k = len(verdicts)
    if k < LEAST_DATASETS:
        return (
            f"One verdict for each of {k} data sets, and none over all of them.{lost} {each}."
            f" {_counts(outcomes)}"
        ).rstrip()
    if verdict.word == Word.UNDERPOWERED:
        return (
            f"Across {k} data sets no p can be below"
            f" {bare_p(verdict.p_floor or 0.0)}.{lost} {each}."
        )
    text = headlines.compared(verdict)
    # A sentence that begins with a name is not changed.
    named = verdict.word in (Word.WINNER, Word.GOOD_ENOUGH) or words.against_baseline(verdict)
    text = f" {text}" if named else f": {text[:1].lower()}{text[1:]}"
    return f"Across {k} data sets{text}{lost} {each}."


def _alone(one: Verdict) -> str:
    """The verdict on a data set in a few words."""
    if one.leader is None:
        return one.heading
    if one.word in (Word.WINNER, Word.GOOD_ENOUGH):
        return f"{one.heading} ({one.leader})"
    return f"{one.heading} (best mean: {one.leader})"


def _counts(outcomes: Sequence[PairCounts]) -> str:
    """Wins, ties, losses and undecided data sets of each pair."""
    pairs = [
        f"{row.first} against {row.second}: {counted(row.wins, 'win')}, {counted(row.ties, 'tie')},"
        f" {counted(row.losses, 'loss')}, {row.open} undecided"
        for row in outcomes[:_MOST_PAIRS]
    ]
    if len(outcomes) > _MOST_PAIRS:
        pairs.append(f"{counted(len(outcomes) - _MOST_PAIRS, 'more pair')} in the table")
    return f"{'; '.join(pairs)}." if pairs else ""


def _claim(verdict: Verdict, lost: str) -> str:
    """What a paper may print."""
    if verdict.word == Word.NOT_COMPARABLE:
        return "No claim across data sets: they cannot be compared."
    if verdict.word == Word.EXPLORATORY:
        return claims.claim(verdict)
    if verdict.word == Word.UNDERPOWERED:
        k = counted(len(verdict.seeds), "data set")
        return (
            f"No claim across data sets: {k} cannot support one. The error rate of"
            f" {100 * verdict.alpha:g} % holds for the verdict on each data set alone."
        )
    return (
        f"Across the data sets compared, {claims.finding(verdict)}.{words.caveats(verdict)}{lost}"
    )
