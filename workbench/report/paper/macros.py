r"""Writes macros.tex: a LaTeX command for every number that a paper may quote.

A command's name consists of the study, the strategy and the quantity, in letters:
``\digitsAdamwTwoMean``. Used by ``paper.files`` and ``standalone``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product
from string import ascii_uppercase
from typing import Any

from workbench.report import wording
from workbench.report.content import VerdictDetails
from workbench.report.paper import typeset, verdict_tables
from workbench.report.paper.typeset import given, number, p_value, share, text
from workbench.report.results import ArmResult, Row
from workbench.verdict import Comparison, Verdict
from workbench.verdict.contrast import BASELINE
from workbench.verdict.wording.numbers import ahead_on, ceiling

# The parts of a command's name, in letters; its value in LaTeX (None: no command); its description.
_Line = tuple[tuple[str, ...], str | None, str]

# Appended to names that are equal. TeX's own commands are lower case.
_SUFFIXES: tuple[str, ...] = (
    "",
    *ascii_uppercase,
    *map("".join, product(ascii_uppercase, repeat=2)),
)


def macros(summary: VerdictDetails, taken: set[str] | None = None) -> str:
    """The content of macros.tex, which a paper may include twice.

    If two names have the same letters, the alphabetically later one gets A, B, ... appended.

    Args:
        summary: Of a study, or of external results.
        taken: Names that are in use already; the new names are added.
    """
    start = prefix(summary)
    taken = set() if taken is None else taken
    lines = [
        typeset.comment(f"Numbers of {summary.title}; \\input this in the preamble."),
        "% Every command may be used in text and in mathematics.\n",
    ]
    for parts, value, description in _lines(summary):
        if value is None:
            continue
        command = unique(start + "".join(parts), taken)
        note = typeset.comment(description).removeprefix("% ").strip()
        # \newcommand would fail at the second \input, \renewcommand alone at the first.
        lines.append(
            rf"\providecommand{{\{command}}}{{}}\renewcommand{{\{command}}}{{{value}}}% {note}"
            + "\n"
        )
    return "".join(lines)


def prefix(summary: VerdictDetails) -> str:
    """The start of the name of every command of a study."""
    name = typeset.letters(summary.study)
    return name[0].lower() + name[1:]


def unique(name: str, taken: set[str]) -> str:
    """The name, with letters appended if it is taken; added to ``taken``."""
    free = next(name + more for more in _SUFFIXES if name + more not in taken)
    taken.add(free)
    return free


def _letters(summary: VerdictDetails) -> dict[str, str]:
    """Letters of each name, all different; they depend on the names only, not on results."""
    names = {item.name for item in summary.strategies}
    names |= {arm.name for arm in (summary.confirmation.arms if summary.confirmation else ())}
    names |= {side.name for side in summary.verdict.sides}
    taken: set[str] = set()
    return {name: unique(typeset.letters(name), taken) for name in sorted(names)}


def _lines(summary: VerdictDetails) -> Iterator[_Line]:
    verdict, confirmation = summary.verdict, summary.confirmation
    yield ("Verdict",), text(verdict.heading), "the verdict"
    yield ("Level",), text(verdict.level), "the scope of the verdict"
    if summary.first:
        first, before = summary.first, "before strategies were added"
        yield ("FirstVerdict",), text(first.heading), f"the verdict {before}"
        yield ("FirstClaim",), typeset.prose(first.claim), f"what could be claimed {before}"
    letters = _letters(summary)
    yield from _search(summary, letters)
    if not summary.shows_tests:
        return
    yield ("Claim",), typeset.prose(verdict.claim), "what may be claimed"
    yield ("Metric",), text(summary.metric), "what was measured"
    yield from _headline(verdict)
    arms = confirmation.arms if confirmation else ()
    # One scale for all, so that numbers quoted next to each other have equal decimals.
    like = verdict_tables.scale(summary)
    for side in verdict.sides:
        if side.name not in {arm.name for arm in arms}:
            yield from _row(letters[side.name], wording.row(side), like)
    for arm in arms:
        yield from _row(letters[arm.name], arm, like)
        yield from _cost(letters[arm.name], arm, like)
    for pair in verdict.comparisons:
        # In both directions: the better side may change, and the paper must still compile.
        for either in (pair, pair.flipped()):
            yield from _pair(either, letters, like, maximizes=verdict.direction == "maximize")
    if confirmation:
        for key in ("search", "selection", "confirmation"):
            seconds = confirmation.cost[f"{key}_seconds"]
            description = f"seconds of the {key}, all runs together"
            yield (f"{key.capitalize()}Seconds",), f"{seconds:.0f}", description
        if samples := confirmation.protocol.test_samples:
            yield ("TestSamples",), str(samples), "samples of the test split"


def _headline(verdict: Verdict) -> Iterator[_Line]:
    measured = partial(number, like=verdict_tables.scale_of(verdict))
    left = len(verdict.candidates) if verdict.contrast != BASELINE else 0
    plan = max(verdict.plan, key=lambda plan: plan.estimate, default=None)
    yield ("Seeds",), str(len(verdict.seeds)), f"{verdict.unit}s of each strategy"
    yield ("Pairs",), str(verdict.pairs), "comparisons that Holm corrects for"
    yield ("Alpha",), given(verdict.alpha), "level of the tests"
    yield ("PFloor",), _known(p_value, verdict.p_floor), "smallest possible p"
    effect = _known(given, verdict.smallest_effect)
    yield ("SmallestEffect",), effect, "smallest difference that matters"
    yield ("Leader",), _known(text, verdict.leader), "the strategy with the best mean"
    yield ("Closest",), _known(text, verdict.closest), "its closest rival"
    yield ("Gap",), _known(measured, verdict.gap), "mean difference of these two"
    yield ("PWin",), _known(p_value, verdict.p_win), "largest p of the leader against a rival"
    yield ("Candidates",), _known(str, left or None), "configurations that may be the best"
    if plan:
        yield ("SeedsNeededLow",), str(plan.low), "seeds for 80 % power of the test, low end"
        yield ("SeedsNeededHigh",), _known(str, plan.high), "seeds for 80 % power, high end"


def _known(written: Callable[[Any], str], value: object) -> str | None:
    return None if value is None else written(value)


def _search(summary: VerdictDetails, letters: Mapping[str, str]) -> Iterator[_Line]:
    progress = summary.progress
    if not progress:
        return
    yield ("Trials",), str(progress.started), "search trials started"
    yield ("TrialsComplete",), str(progress.complete), "search trials completed"
    for item in summary.strategies:
        start, who = letters[item.name], item.name
        yield (start, "Trials"), str(item.started), f"{who}: search trials"
        if item.best and item.best.value is not None:
            description = f"{who}: best search value of one trial, exploratory"
            yield (start, "SearchBest"), number(item.best.value), description


def _row(start: str, row: Row, like: float | None) -> Iterator[_Line]:
    who = row.name
    for name, value, what in (
        ("Mean", row.mean, "mean over seeds"),
        ("SD", row.sd, "standard deviation over seeds"),
        ("Low", row.low, "low end of the 95 % t interval of the mean"),
        ("High", row.high, "high end of the 95 % t interval of the mean"),
        ("Behind", ceiling(row.behind, like), "at most so far behind the best"),
    ):
        yield (start, name), _known(partial(number, like=like), value), f"{who}: {what}"
    p_best = _known(p_value, row.p_best)
    yield (start, "PBest"), p_best, f"{who}: p of the test that decides about it"
    yield (start, "N"), str(row.n), f"{who}: seeds"
    yield (start, "Failed"), str(row.failed), f"{who}: runs counted with the worst value"


def _cost(start: str, arm: ArmResult, like: float | None) -> Iterator[_Line]:
    who = arm.name
    validation = _known(partial(number, like=like), arm.validation_mean)
    yield (start, "ValidationMean"), validation, f"{who}: mean on validation data"
    seconds = _known("{:.1f}".format, arm.seconds_mean)
    yield (start, "Seconds"), seconds, f"{who}: mean seconds of a run"
    trainable = _known("{:.0f}".format, arm.trainable)
    yield (start, "Trainable"), trainable, f"{who}: trainable parameters"


def _pair(
    pair: Comparison, letters: Mapping[str, str], like: float | None, *, maximizes: bool
) -> Iterator[_Line]:
    start = (letters[pair.first], "Vs", letters[pair.second])
    who = f"{pair.first} against {pair.second}"
    # In a comparison, positive means that ``first`` is better; here, that its value is higher.
    difference = pair.difference if maximizes else pair.difference.negated()
    low, high = wording.finite(difference.low), wording.finite(difference.high)
    chance = pair.improvement
    numbers = [
        ("Difference", number(difference.estimate, like), "the first minus the second, mean"),
        ("DifferenceLow", number(low, like), "low end of its 95 % interval"),
        ("DifferenceHigh", number(high, like), "high end of it"),
        ("Ahead", ahead_on(pair.differences), "on how many the first is better"),
        ("P", p_value(wording.finite(pair.p_holm)), "p, Holm-corrected over all pairs"),
        ("Poi", share(chance.estimate), "P(improvement)"),
        ("PoiLow", share(chance.low), "low end of its interval"),
        ("PoiHigh", share(chance.high), "high end of it"),
        ("Dz", _known(share, pair.dz), "paired Hedges d_z"),
        ("PEquivalence", _known(p_value, pair.p_equivalence), "equivalence (TOST), Holm-corrected"),
    ]
    for name, value, what in numbers:
        yield (*start, name), value, f"{who}: {what}"
