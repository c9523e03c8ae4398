"""What was done to compare, in the words that page, tables, captions and methods share."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from workbench.report.table import StrategyResult
from workbench.verdict import Doubt, Side, Verdict, Word
from workbench.verdict.comparing import sign_draws
from workbench.verdict.contrast import ALL, BASELINE
from workbench.verdict.statistics.paired import EXACT_TO
from workbench.verdict.wording.numbers import counted, listed

_AHEAD = (Word.WINNER, Word.NEGLIGIBLE)
# Words under which a best mean may be pointed out at all.
COMPARED = (*_AHEAD, Word.TIE, Word.INCONCLUSIVE)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a main table: an arm, or a side of a verdict.

    Attributes:
        tied: Not separated from the ``best`` one.
        untuned: The strategy whose default values it has; empty for a tuned configuration.
    """

    name: str
    n: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    failed: int
    baseline: bool
    best: bool = False
    tied: bool = False
    untuned: str = ""


@dataclass(frozen=True, kw_only=True)
class Why:
    """The reasons of a verdict: ``first`` what decides it, then those about ``beaten`` rivals."""

    first: tuple[Doubt, ...]
    beaten: tuple[Doubt, ...]


def sign_flip(verdict: Verdict) -> str | None:
    """The primary test as it was made: exact, or with how many draws; None without a comparison."""
    if not verdict.comparisons:
        return None
    if max(pair.n for pair in verdict.comparisons) <= EXACT_TO:
        return "exact sign-flip permutation test"
    draws = sign_draws(verdict.pairs, verdict.alpha)
    return f"sign-flip permutation test with {draws:,} random draws"


def emphasis(
    verdict: Verdict, *, best: bool, tied: bool, what: str = "configuration"
) -> str | None:
    """The rule behind bold and underlined values; None where no value is emphasised.

    Args:
        verdict: Whose rows are emphasised.
        best: Whether a value is bold.
        tied: Whether one is underlined; only where all pairs were compared may it be.
        what: What a row is.
    """
    if not best:
        return None
    text = "Bold: best mean."
    if verdict.contrast == BASELINE:
        text += " Each was compared with the baseline, and no two others with one another."
    elif verdict.contrast != ALL:
        _, _, many = counted(2, what).partition(" ")
        text += f" Levels of {verdict.contrast} were compared, and no single {many}."
    if tied:
        text += (
            " Underlined: not separated from it (to separate two takes a Holm-corrected p below"
            f" {verdict.alpha:g} and a probability of improvement of at least"
            f" {verdict.gamma:g})."
        )
    return text


def left_out(verdict: Verdict) -> list[str]:
    """A sentence for each strategy that was asked about and could not be confirmed, with why."""
    return [
        f"{name} is not comparable and was not confirmed: {reason}."
        for name, reason in verdict.absent.items()
    ]


def unconfirmed(strategies: Sequence[StrategyResult], confirmed: Collection[str]) -> str | None:
    """What sums over a study hold besides its arms: the trials of strategies that are none.

    Args:
        strategies: Those of the search.
        confirmed: Names of those whose chosen configuration is an arm.
    """
    others = [item.name for item in strategies if item.started and item.name not in confirmed]
    if not others:
        return None
    return (
        f"The sums also count the search and the selection of what was not confirmed:"
        f" {listed(others)}."
    )


def rows(verdict: Verdict) -> Iterator[Row]:
    """The sides of a verdict as rows: which is the ``best``, and which are ``tied`` with it."""
    leader, beaten = verdict.leader, verdict.beaten
    for side in verdict.sides:
        best = side.name == leader
        tied = leader is not None and not best and side.name not in beaten
        yield replace(row(side), best=best, tied=tied and verdict.contrast == ALL)


def row(side: Side) -> Row:
    """A side of a verdict as an arm of a confirmation is written."""
    mean = side.mean
    return Row(
        name=side.name,
        n=side.n,
        mean=mean.estimate if mean else None,
        sd=side.sd,
        low=known(mean.low) if mean else None,
        high=known(mean.high) if mean else None,
        failed=len(side.imputed),
        baseline=side.baseline,
    )


def known(value: float) -> float | None:
    """None for nan: the ends of an interval over a single value."""
    return value if math.isfinite(value) else None


def caution(verdict: Verdict) -> str | None:
    """What must stand beside every test value that no claim may rest on; None where one may.

    Test values of a confirmation that did not keep to its protocol are shown, and look like those
    of one that did.
    """
    if verdict.word not in (Word.EXPLORATORY, Word.NOT_COMPARABLE):
        return None
    why = verdict.reasons[0]
    # A full stop that a sentence follows; one within a number or a file's name ends none.
    found = why.found or re.split(r"(?<=\.)\s+(?=[A-Z])", why.text, maxsplit=1)[0]
    found = found.rstrip(".")
    said = str(verdict.word).capitalize()
    if verdict.word == Word.EXPLORATORY:
        said += ", because the protocol was changed or not kept"
    return f"{said}: {found}. The numbers are descriptive only."


def why(verdict: Verdict) -> Why:
    """The reasons of a verdict, in the order in which a reader wants them."""
    reasons = verdict.reasons
    decided = verdict.word in _AHEAD
    beaten = [
        reason
        for reason in reasons
        if reason.rival in verdict.beaten and not (decided and reason.rival == verdict.closest)
    ]
    return Why(first=tuple(r for r in reasons if r not in beaten), beaten=tuple(beaten))
