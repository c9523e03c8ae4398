"""What was done to compare, in the words that page, tables, captions and methods share.

Reads a verdict as plain data and decides nothing. Knows neither runs nor how a text is laid out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.report.templates import words
from workbench.verdict import Word
from workbench.verdict.comparing import sign_draws
from workbench.verdict.contrast import ALL, BASELINE
from workbench.verdict.statistics.paired import EXACT_TO
from workbench.verdict.wording.numbers import counted, listed

_AHEAD = (Word.WINNER, Word.NEGLIGIBLE)
# Words under which a best mean may be pointed out at all.
COMPARED = (*_AHEAD, Word.TIE, Word.INCONCLUSIVE)


def told(verdict: Mapping[str, Any], confirmation: Mapping[str, Any] | None) -> dict[str, Any]:
    """What report.json says of how the arms were compared.

    Args:
        verdict: As plain data.
        confirmation: The report's ``confirmation``; None where none has begun.
    """
    arms = confirmation["arms"] if confirmation else ()
    shown = confirmation is not None and confirmation["finished"]
    best = any(arm["best"] for arm in arms)
    tied = any(arm["tied_with_best"] for arm in arms)
    return {
        "test": sign_flip(verdict),
        "emphasis": emphasis(verdict, best=best, tied=tied),
        "caution": caution(verdict) if shown else None,
        "why": why(verdict),
        "needed": verdict["needed"],
    }


def sign_flip(verdict: Mapping[str, Any]) -> str | None:
    """The primary test as it was made: exact, or with how many draws; None without a comparison."""
    if not verdict["comparisons"]:
        return None
    if max(pair["n"] for pair in verdict["comparisons"]) <= EXACT_TO:
        return "exact sign-flip permutation test"
    draws = sign_draws(verdict["pairs"], verdict["alpha"])
    return f"sign-flip permutation test with {draws:,} random draws"


def emphasis(
    verdict: Mapping[str, Any], *, best: bool, tied: bool, what: str = "configuration"
) -> str | None:
    """The rule behind bold and underlined values; None where no value is emphasised.

    Args:
        verdict: As plain data.
        best: Whether a value is bold.
        tied: Whether one is underlined; only where all pairs were compared may it be.
        what: What a row is.
    """
    if not best:
        return None
    text = "Bold: best mean."
    if verdict["contrast"] == BASELINE:
        text += " Each was compared with the baseline, and no two others with one another."
    elif verdict["contrast"] != ALL:
        _, _, many = counted(2, what).partition(" ")
        text += f" Levels of {verdict['contrast']} were compared, and no single {many}."
    if tied:
        text += (
            " Underlined: not separated from it (to separate two takes a Holm-corrected p below"
            f" {verdict['alpha']:g} and a probability of improvement of at least"
            f" {verdict['gamma']:g})."
        )
    return text


def left_out(verdict: Mapping[str, Any] | None) -> list[str]:
    """A sentence for each strategy that was asked about and could not be confirmed, with why."""
    return [
        f"{name} is not comparable and was not confirmed: {reason}."
        for name, reason in (verdict or {}).get("absent", {}).items()
    ]


def unconfirmed(
    strategies: Sequence[Mapping[str, Any]], arms: Sequence[Mapping[str, Any]]
) -> str | None:
    """What sums over a study hold beside its arms: the trials of strategies that are none."""
    known = {arm["strategy"] for arm in arms if arm["trial"]}
    others = [item["name"] for item in strategies if item["started"] and item["name"] not in known]
    if not others:
        return None
    return (
        f"The sums also count the search and the selection of what was not confirmed:"
        f" {listed(others)}."
    )


def source(redrawn: str) -> str:
    """What varies between the runs of an arm, as captions say it.

    Args:
        redrawn: What a seed redraws; see ``methods.training``.
    """
    return f"A seed redraws {redrawn}; the test split is the same for all."


def of_study(summary: Mapping[str, Any]) -> str:
    """``the study NAME``, or the name alone of results from elsewhere."""
    return f"{'' if summary.get('elsewhere') else 'the study '}{summary['study']}"


def metric(summary: Mapping[str, Any]) -> str:
    """The metric in words; one from elsewhere keeps its own name."""
    name = str(summary["verdict"]["metric"])
    return name if summary.get("elsewhere") else words(name)


def rows(verdict: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The sides of a verdict as rows: which is the ``best``, and which are ``tied`` with it."""
    leader, beaten = verdict["leader"], verdict["beaten"]
    for side in verdict["sides"]:
        best = side["name"] == leader
        tied = leader is not None and not best and side["name"] not in beaten
        tied = tied and verdict["contrast"] == "all"
        yield {**row(side), "best": best, "tied": tied}


def row(side: Mapping[str, Any]) -> dict[str, Any]:
    """A side of a verdict as an arm of a confirmation is written."""
    mean = side["mean"] or {}
    fields = {"mean": mean.get("estimate"), "low": mean.get("low"), "high": mean.get("high")}
    return {**side, **fields, "failed": len(side["imputed"]), "best": False, "tied": False}


def caution(verdict: Mapping[str, Any]) -> str | None:
    """What must stand beside every test value that no claim may rest on; None where one may.

    Test values of a confirmation that did not keep to its protocol are shown, and look like those
    of one that did.
    """
    if verdict["word"] not in (Word.EXPLORATORY, Word.NOT_COMPARABLE):
        return None
    why = verdict["reasons"][0]
    # A full stop that a sentence follows; one within a number or a file's name ends none.
    found = why["found"] or re.split(r"(?<=\.)\s+(?=[A-Z])", why["text"], maxsplit=1)[0]
    found = found.rstrip(".")
    said = str(verdict["word"]).capitalize()
    if verdict["word"] == Word.EXPLORATORY:
        said += ", because the protocol was changed or not kept"
    return f"{said}: {found}. The numbers are descriptive only."


def why(verdict: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The reasons of a verdict: ``first`` what decides it, then the other ``beaten`` rivals."""
    reasons = verdict["reasons"]
    decided = verdict["word"] in _AHEAD
    beaten = [
        reason
        for reason in reasons
        if reason["rival"] in verdict["beaten"]
        and not (decided and reason["rival"] == verdict["closest"])
    ]
    return {"first": [reason for reason in reasons if reason not in beaten], "beaten": beaten}
