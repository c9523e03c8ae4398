"""Checks of a confirmation. They show no test value while runs are unfinished.

What decides a verdict is in ``evidence``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.record import State
from workbench.report.checks import Answer, Check, ask
from workbench.report.checks.bounds import Bound, at_bound, bounds_finding
from workbench.report.checks.conditions import compare
from workbench.report.material import Material
from workbench.report.protocol_checks import protocol_problems
from workbench.report.results import CandidateResult, ConfirmationResult
from workbench.report.runs import Confirmation
from workbench.report.templates import scale, signed


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What the questions are about.

    Attributes:
        material: Where the confirmation was read from.
        confirmation: Plan and runs.
        result: The report's ``confirmation``.
    """

    material: Material
    confirmation: Confirmation
    result: ConfirmationResult


def summarize(
    material: Material, confirmation: Confirmation, result: ConfirmationResult
) -> tuple[Check, ...]:
    """All checks in a fixed order; a check without an answer gives the reason."""
    return ask(QUESTIONS, Subject(material=material, confirmation=confirmation, result=result))


def protocol(subject: Subject) -> Answer:
    """Is the protocol unchanged since the confirmation began?"""
    problems = protocol_problems(subject.material, subject.confirmation)
    if problems:
        run_ids = tuple(run.run_id for problem in problems for run in problem.runs)
        return Answer("warning", " ".join(problem.text for problem in problems), runs=run_ids)
    study = subject.material.study
    logged = f"SHA-256 {study.protocol_logged}"
    if study.second_look is not None:
        logged += f" and, of the second look, {study.second_look.logged}"
    return Answer("ok", f"Yes, {logged}, in every run that ended.")


def conditions(subject: Subject) -> Answer:
    """Did all runs use the same commit, packages and kind of machine?"""
    return compare(subject.confirmation.runs, "run")


def confirmation_failures(subject: Subject) -> Answer:
    """Did every run of the confirmation complete?"""
    result = subject.result
    failed = {arm.name: arm.failed for arm in result.arms if arm.failed}
    pruned = {arm.name: arm.pruned for arm in result.arms if arm.pruned}
    if not failed and not pruned:
        if not result.finished:
            return Answer("not checked", "Runs are unfinished.")
        return Answer("ok", f"Yes, all {result.done}.")
    findings = []
    if failed:
        findings.append(
            f"Failed: {_counts(failed, result)}. Such a run counts with the worst value that the"
            " metric can have or, if it has none, the worst one seen."
        )
    if pruned:
        findings.append(
            f"Pruned: {_counts(pruned, result)}. Such a run has no value, so its configuration has"
            " no mean."
        )
    runs = tuple(
        run.run_id
        for arm in result.arms
        for run in arm.runs
        if run.state in (State.FAILED, State.PRUNED)
    )
    names = tuple(dict.fromkeys((*failed, *pruned)))
    return Answer("warning", " ".join(findings), names, runs)


def _counts(by_arm: Mapping[str, int], result: ConfirmationResult) -> str:
    n = len(result.protocol.seeds)
    return ", ".join(f"{name} ({count} of {n})" for name, count in by_arm.items())


def validation_to_test(subject: Subject) -> Answer:
    """How much do the means on validation data and on the test split differ?"""
    arms = subject.result.arms
    gaps = {arm.name: arm.validation_gap for arm in arms if arm.validation_gap is not None}
    if not gaps:
        finished = subject.result.finished
        why = "No run has both values." if finished else "Runs are unfinished."
        return Answer("not checked", why)
    # All gaps with the decimals of the means that they are gaps between.
    size = scale(arm.mean for arm in arms)
    text = ", ".join(f"{name} {signed(gap, size)}" for name, gap in gaps.items())
    return Answer(
        "note",
        f"Validation minus test, over the runs of the confirmation: {text}. The epoch was chosen on"
        " validation data, so the values on validation data are optimistic.",
    )


def confirmed_bounds(subject: Subject) -> Answer:
    """Is a setting of a confirmed configuration within 5 % of a bound of its range?"""
    study, confirmation = subject.material.study, subject.confirmation
    if confirmation.chosen is None:
        return Answer("not checked", "The selection has not ended.")
    if not any(entry.low is not None for entry in study.tune):
        return Answer("not checked", "The study searches no numeric range.")
    bounds: list[Bound] = []
    for arm in confirmation.arms:
        tuned = arm.plan.hyperparameters
        bounds += at_bound(study, arm.name, tuned, {**tuned, **arm.plan.levels})
    if not bounds:
        return Answer("ok", "No.")
    names = tuple(dict.fromkeys(bound.strategy for bound in bounds))
    # All runs of an arm have the same setting, so one of them is enough.
    first = {arm.name: run.run_id for arm in confirmation.arms for run in [*arm.runs.values()][:1]}
    runs = tuple(first[name] for name in names if name in first)
    return Answer("warning", bounds_finding(bounds), names, runs)


def selection(subject: Subject) -> Answer:
    """Was the best trial of the search also the best on fresh seeds?"""
    result = subject.result
    if not result.selected:
        return Answer("not checked", "The selection has not ended.")
    groups: dict[str, list[CandidateResult]] = {}
    for candidate in result.selection:
        groups.setdefault(candidate.strategy, []).append(candidate)
    # The best trial of the search is the first candidate.
    other = [name for name, candidates in groups.items() if not candidates[0].chosen]
    text = (
        f"In {len(groups) - len(other)} of {len(groups)} strategies it was chosen"
        f" (mean of {result.protocol.selection_seeds} fresh seeds)."
    )
    if other:
        text += f" Another configuration was chosen in {', '.join(other)}."
    return Answer("note", text, tuple(other))


QUESTIONS = (
    protocol,
    conditions,
    confirmation_failures,
    validation_to_test,
    confirmed_bounds,
    selection,
)
