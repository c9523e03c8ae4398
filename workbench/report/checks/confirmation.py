"""What about a confirmation would make a careful reader doubt its numbers, question by question.

Tells no test value while runs are open. What decides a verdict is in ``evidence``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.record import State
from workbench.report.checks import Answer, Check, Question, ask
from workbench.report.checks.bounds import at_bound
from workbench.report.checks.conditions import compare
from workbench.report.evidence import edited, unproven
from workbench.report.material import Material
from workbench.report.results import CandidateResult, ConfirmationResult
from workbench.report.runs import Confirmation
from workbench.report.templates import scale, signed


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What the questions are about.

    Attributes:
        material: What the confirmation was read from.
        confirmation: As it was read.
        result: The report's ``confirmation``.
    """

    material: Material
    confirmation: Confirmation
    result: ConfirmationResult


def summarize(
    material: Material, confirmation: Confirmation, result: ConfirmationResult
) -> tuple[Check, ...]:
    """All checks in a fixed order; one that cannot be answered yet says why."""
    return ask(QUESTIONS, Subject(material=material, confirmation=confirmation, result=result))


def _protocol(subject: Subject) -> Answer:
    logged, runs = subject.material.study.protocol_logged, subject.confirmation.runs
    texts = edited(subject.material)
    blank = unproven(runs)
    strange = [run for run in runs if logged and run.protocol and run.protocol != logged]
    if strange:
        texts.append(f"{len(strange)} of {len(runs)} runs ran under another one.")
    if blank:
        texts.append(f"{len(blank)} of {len(runs)} runs ended without its hash.")
    if texts:
        concerned = tuple(run.run_id for run in (*strange, *blank))
        return Answer("warning", " ".join(texts), runs=concerned)
    return Answer("ok", f"Yes, SHA-256 {logged}, in every run that ended.")


def _failures(subject: Subject) -> Answer:
    result = subject.result
    failed = {arm.name: arm.failed for arm in result.arms if arm.failed}
    pruned = {arm.name: arm.pruned for arm in result.arms if arm.pruned}
    if not failed and not pruned:
        if not result.finished:
            return Answer("not checked", "Runs are still open.")
        return Answer("ok", f"Yes, all {result.done}.")
    findings = []
    for counts, what in (
        (failed, "Not in {}. Such a run stays in, with the worst value (of the metric, or seen)."),
        (pruned, "Pruned: {}. Such a run has no value, so that its configuration has no mean."),
    ):
        said = ", ".join(f"{name} ({count} of {result.n})" for name, count in counts.items())
        findings += [what.format(said)] if said else []
    runs = tuple(
        run.run_id
        for arm in result.arms
        for run in arm.runs
        if run.state in (State.FAILED, State.PRUNED)
    )
    names = tuple(dict.fromkeys((*failed, *pruned)))
    return Answer("warning", " ".join(findings), names, runs)


def _gap(subject: Subject) -> Answer:
    arms = subject.result.arms
    gaps = {arm.name: arm.validation_gap for arm in arms if arm.validation_gap is not None}
    if not gaps:
        finished = subject.result.finished
        why = "no run has both values" if finished else "runs are still open"
        return Answer("not checked", f"Cannot be told: {why}.")
    size = scale(arm.mean for arm in arms)
    text = ", ".join(f"{name} {signed(gap, size)}" for name, gap in gaps.items())
    return Answer(
        "note",
        f"Validation minus test, over the runs of the confirmation: {text}. The validation data"
        " chose the epoch, so a gap in its favour is to be expected.",
    )


def _bounds(subject: Subject) -> Answer:
    study, confirmation = subject.material.study, subject.confirmation
    if confirmation.chosen is None:
        return Answer("not checked", "Cannot be told: the selection has not ended.")
    if not any(entry.low is not None for entry in study.tune):
        return Answer("not checked", "Cannot be told: no range was searched.")
    texts, names, runs = [], [], []
    for arm in confirmation.arms:
        tuned = arm.plan.hyperparameters
        for hit in at_bound(study, tuned, {**tuned, **arm.plan.levels}):
            texts.append(f"{arm.name}: {hit.knob} = {hit.value:.3g}, {hit.side} {hit.bound:.3g}")
            names.append(arm.name)
            runs += [run.run_id for run in arm.runs.values()][:1]
    if not texts:
        return Answer("ok", "None does.")
    finding = f"At a bound, so a wider range may change the result: {'; '.join(texts)}."
    return Answer("warning", finding, tuple(dict.fromkeys(names)), tuple(dict.fromkeys(runs)))


def _selection(subject: Subject) -> Answer:
    result = subject.result
    if not result.selected:
        return Answer("not checked", "The selection has not ended.")
    groups: dict[str, list[CandidateResult]] = {}
    for candidate in result.selection:
        groups.setdefault(candidate.strategy, []).append(candidate)
    other = [name for name, candidates in groups.items() if _changed(candidates)]
    text = (
        f"In {len(groups) - len(other)} of {len(groups)} strategies it was chosen again"
        f" (mean of {result.selection_seeds} fresh seeds)."
    )
    if other:
        text += f" Another configuration went on in {', '.join(other)}."
    return Answer("note", text, tuple(other))


def _changed(candidates: Sequence[CandidateResult]) -> bool:
    """Whether another candidate than the best of the search went on."""
    return not candidates[0].chosen


QUESTIONS: tuple[Question[Subject], ...] = (
    Question(
        "protocol",
        "Is the protocol the one that was hashed before the confirmation began?",
        _protocol,
    ),
    Question(
        "conditions",
        "Did all runs come from one commit, one set of packages, one kind of machine?",
        lambda subject: compare(subject.confirmation.runs, "run"),
    ),
    Question("confirmation failures", "Did every run of the confirmation complete?", _failures),
    Question(
        "validation to test",
        "How far is the mean on validation from the mean on the test split?",
        _gap,
    ),
    Question(
        "confirmed bounds",
        "Does a confirmed configuration lie within 5 % of a bound of a searched range?",
        _bounds,
    ),
    Question("selection", "Did the best trial of the search hold up on fresh seeds?", _selection),
)
