"""Sentences and rows on comparisons that the page, tables, captions and methods share."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from workbench.messages import counted, joined
from workbench.report.results import Row, Versus
from workbench.report.table import StrategyResult
from workbench.verdict import Doubt, Side, Unit, Verdict, Word
from workbench.verdict.contrast import ALL, BASELINE
from workbench.verdict.wording import words
from workbench.verdict.wording.numbers import p_value

AnyRow = TypeVar("AnyRow", bound=Row)

# Words under which a best mean may be pointed out at all.
COMPARED = (Word.WINNER, Word.GOOD_ENOUGH, Word.NARROWED, Word.INCONCLUSIVE)


@dataclass(frozen=True, kw_only=True)
class Why:
    """The reasons of a verdict: ``first`` what decides it, then those about ``excluded`` rivals."""

    first: tuple[Doubt, ...]
    excluded: tuple[Doubt, ...]


def primary_test(verdict: Verdict) -> str | None:
    """Name of the primary test: exact, or with its number of draws; None without a comparison."""
    # The pair with the most seeds: above 15 the test draws arrangements instead of counting all.
    most = max(verdict.comparisons, key=lambda pair: pair.n, default=None)
    return None if most is None else words.test(verdict, most)


def emphasis(verdict: Verdict, rows: Collection[Row], what: str = "configuration") -> str | None:
    """The rule for bold and underlined values; None where no value is emphasised.

    Args:
        verdict: Of the table.
        rows: Of the table; the best one is bold, others that may be the best are underlined.
        what: The noun for a row.
    """
    if not any(row.best for row in rows):
        return None
    mean = "mean of standardized values" if verdict.unit == Unit.DATA_SET else "mean"
    text = f"Bold: best {mean}; chosen for being the best, it is on average a little too good."
    if verdict.contrast == BASELINE:
        text += " Only comparisons with the baseline were made."
    elif verdict.contrast != ALL:
        _, _, plural = counted(2, what).partition(" ")
        text += f" Levels of {verdict.contrast} were compared, not single {plural}."
    if any(row.may_be_best for row in rows):
        text += (
            " Underlined: may be the best as well (in the"
            f" {100 * (1 - verdict.alpha):g} % confidence set of the best)."
        )
    return text


def reference(verdict: Verdict) -> str | None:
    """What the rows of a main table are compared with: the leader, or the baseline of a contrast.

    None without a comparison.
    """
    if verdict.contrast == BASELINE:
        return next((side.name for side in verdict.sides if side.baseline), None)
    return verdict.leader


def columns(verdict: Verdict) -> str | None:
    """What a main table's columns about the comparisons mean; None where it has none."""
    other = reference(verdict)
    if other is None or not verdict.comparisons:
        return None
    sure, unit = f"{100 * (1 - verdict.alpha):g} % confidence", verdict.unit
    text = (
        f"Difference: a row minus {other}, paired by {unit}, with the 95 % interval of this pair"
        f" alone. Ahead on: {unit}s with a better value than {other}."
    )
    if all(side.p_best is None for side in verdict.sides):
        pairs = counted(verdict.pairs, "pair")
        return f"{text} p (Holm): {primary_test(verdict)}, corrected over {pairs}."
    if verdict.word == Word.WINNER:
        text += f" p: {other} against the row alone ({primary_test(verdict)})."
    else:
        text += (
            " p: of the hypothesis that a row is the best, by joint sign flips over whole"
            f" {unit}s; a small p shows that it is not the single best, a large one shows nothing."
            f" Where only the stricter test of a winner keeps a row, p is that of {other} against"
            f" it. {other} against each rival alone: {primary_test(verdict)}, largest"
            f" {p_value(verdict.p_win or 0.0)}."
        )
    if any(side.behind is not None for side in verdict.sides):
        text += f" At most behind: how far a row can be behind the best, for all together ({sure})."
    return text


def needed(verdict: Verdict, study: str) -> str | None:
    """What would be enough for a conclusion, and how to take the look that is left, if any is."""
    if verdict.fresh is None:
        return verdict.needed
    look = (
        f"The second planned look adds {counted(verdict.fresh, 'seed')} to every configuration and"
        f" judges the seeds of both: workbench confirm {study} --fresh {verdict.fresh}."
    )
    return f"{verdict.needed} {look}" if verdict.needed else look


def left_out(verdict: Verdict) -> list[str]:
    """A sentence for each strategy that could not be confirmed, with the reason."""
    return [
        f"{name} is not comparable and was not confirmed: {reason}."
        for name, reason in verdict.absent.items()
    ]


def unconfirmed(strategies: Sequence[StrategyResult], confirmed: Collection[str]) -> str | None:
    """A sentence that names strategies whose trials count in the totals without being confirmed.

    Args:
        strategies: Of the search.
        confirmed: Names of strategies whose chosen configuration was confirmed.
    """
    others = [item.name for item in strategies if item.started and item.name not in confirmed]
    if not others:
        return None
    # The templates replace the words "The sums also count"; change them together.
    return (
        "The sums also count the search and the selection of strategies that were not confirmed:"
        f" {joined(others)}."
    )


def rows(verdict: Verdict) -> Iterator[Row]:
    """The sides of a verdict as rows, with the best one and others that may be the best marked."""
    return (marked(row(side), verdict, verdict.leader) for side in verdict.sides)


def marked(row: AnyRow, verdict: Verdict, best: str | None) -> AnyRow:
    """A row compared with the reference, and marked as the best or as one that may be."""
    may_be_best = verdict.contrast == ALL and row.name in verdict.candidates
    return replace(
        row,
        best=row.name == best,
        may_be_best=may_be_best and row.name != best,
        versus=versus(verdict, row.name),
    )


def versus(verdict: Verdict, name: str) -> Versus | None:
    """A row against the one that all are compared with; None where it was not compared."""
    other = reference(verdict)
    pairs = (pair for pair in verdict.comparisons if {pair.first, pair.second} == {name, other})
    pair = next(pairs, None)
    if pair is None:
        return None
    pair = pair if pair.first == name else pair.flipped()
    # In a comparison, positive means that ``first`` is better; here, that its value is higher.
    difference, beyond = pair.difference, pair.beyond
    if verdict.direction == "minimize":
        difference, beyond = difference.negated(), beyond and beyond.negated()
    return Versus(
        name=pair.second,
        difference=difference.estimate,
        low=finite(difference.low),
        high=finite(difference.high),
        p_holm=finite(pair.p_holm),
        p_equivalence=pair.p_equivalence,
        leads=pair.differences,
        beyond=None if beyond is None else {"low": beyond.low, "high": beyond.high},
    )


def row(side: Side) -> Row:
    """A side of a verdict as a row of a main table."""
    mean = side.mean
    return Row(
        name=side.name,
        n=side.n,
        mean=mean.estimate if mean else None,
        sd=side.sd,
        low=finite(mean.low) if mean else None,
        high=finite(mean.high) if mean else None,
        failed=len(side.imputed),
        baseline=side.baseline,
        p_best=side.p_best,
        behind=side.behind,
    )


def finite(value: float) -> float | None:
    """None for NaN, which the ends of an interval are that one value or stand-ins would have."""
    return value if math.isfinite(value) else None


def caution(verdict: Verdict) -> str | None:
    """A warning to print with test values that support no claim; None where they do.

    Without it, test values of a confirmation that did not follow its protocol would look like any
    others.
    """
    if verdict.word not in (Word.EXPLORATORY, Word.NOT_COMPARABLE):
        return None
    reason = verdict.reasons[0]
    # The first sentence. A full stop within a number or a file's name does not end it.
    cause = reason.found or re.split(r"(?<=\.)\s+(?=[A-Z])", reason.text, maxsplit=1)[0]
    start = str(verdict.word).capitalize()
    if verdict.word == Word.EXPLORATORY:
        start += ", because the protocol was changed or not kept"
    return f"{start}: {cause.rstrip('.')}. The numbers are descriptive only."


def why(verdict: Verdict) -> Why:
    """The reasons of a verdict: those that decide it, then those about excluded rivals."""
    won = verdict.word == Word.WINNER
    excluded = tuple(
        reason
        for reason in verdict.reasons
        if reason.rival in verdict.excluded and not (won and reason.rival == verdict.closest)
    )
    first = tuple(reason for reason in verdict.reasons if reason not in excluded)
    return Why(first=first, excluded=excluded)
