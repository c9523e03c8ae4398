"""What about a confirmation would make a careful reader doubt its numbers, check by check.

The counterpart of the search's validity panel, in the same form. Tells no test value while runs
are open. Draws nothing and decides nothing: what decides a verdict is in ``evidence``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.report.checks.conditions import compare
from workbench.report.checks.search import Check, at_bound
from workbench.report.evidence import edited, unproven
from workbench.report.material import Material
from workbench.report.runs import Confirmation
from workbench.report.templates import scale, signed
from workbench.report.trials import Trial


def summarize(
    material: Material, confirmation: Confirmation, content: Mapping[str, Any]
) -> tuple[Check, ...]:
    """All checks in a fixed order; one that cannot be answered yet says why.

    Args:
        material: What the confirmation was read from.
        confirmation: As it was read.
        content: The report's ``confirmation``.
    """
    return (
        _protocol(material, confirmation),
        _conditions(confirmation),
        _failures(content),
        _gap(content),
        _bounds(material.study, confirmation),
        _selection(content),
    )


def _protocol(material: Material, confirmation: Confirmation) -> Check:
    question = "Is the protocol the one that was hashed before the confirmation began?"
    logged = material.study.get("protocol_logged")
    texts = edited(material)
    strange, blank = [], unproven(confirmation.runs)
    if logged:
        strange = [run for run in confirmation.runs if run.protocol and run.protocol != logged]
    if strange:
        texts.append(f"{len(strange)} of {len(confirmation.runs)} runs ran under another one.")
    if blank:
        texts.append(f"{len(blank)} of {len(confirmation.runs)} runs ended without its hash.")
    if texts:
        return Check(
            *("protocol", "warning", question, " ".join(texts)),
            runs=tuple(run.run_id for run in (*strange, *blank)),
        )
    return Check("protocol", "ok", question, f"Yes, SHA-256 {logged}, in every run that ended.")


def _conditions(confirmation: Confirmation) -> Check:
    question = "Did all runs come from one commit, one set of packages, one kind of machine?"
    status, finding = compare(confirmation.runs, "run")
    return Check("conditions", status, question, finding)


def _failures(content: Mapping[str, Any]) -> Check:
    question = "Did every run of the confirmation complete?"
    failed = {arm["name"]: arm["failed"] for arm in content["arms"] if arm["failed"]}
    pruned = {arm["name"]: arm["pruned"] for arm in content["arms"] if arm["pruned"]}
    if not failed and not pruned and not content["finished"]:
        return Check("confirmation failures", "not checked", question, "Runs are still open.")
    if not failed and not pruned:
        return Check("confirmation failures", "ok", question, f"Yes, all {content['done']}.")
    findings = []
    for counts, what in (
        (failed, "Not in {}. Such a run stays in, with the worst value (of the metric, or seen)."),
        (pruned, "Pruned: {}. Such a run has no value, so that its configuration has no mean."),
    ):
        said = ", ".join(f"{name} ({count} of {content['n']})" for name, count in counts.items())
        findings += [what.format(said)] if said else []
    runs = tuple(
        run["run_id"]
        for arm in content["arms"]
        for run in arm["runs"]
        if run["state"] in ("failed", "pruned")
    )
    names = tuple(dict.fromkeys((*failed, *pruned)))
    return Check("confirmation failures", "warning", question, " ".join(findings), names, runs)


def _gap(content: Mapping[str, Any]) -> Check:
    question = "How far is the mean on validation from the mean on the test split?"
    gaps = {
        arm["name"]: arm["validation_gap"]
        for arm in content["arms"]
        if arm["validation_gap"] is not None
    }
    if not gaps:
        why = "no run has both values" if content["finished"] else "runs are still open"
        return Check("validation to test", "not checked", question, f"Cannot be told: {why}.")
    size = scale(arm["mean"] for arm in content["arms"])
    text = ", ".join(f"{name} {signed(gap, size)}" for name, gap in gaps.items())
    finding = (
        f"Validation minus test, over the runs of the confirmation: {text}. The validation data"
        " chose the epoch, so a gap in its favour is to be expected."
    )
    return Check("validation to test", "note", question, finding)


def _bounds(study: Mapping[str, Any], confirmation: Confirmation) -> Check:
    question = "Does a confirmed configuration lie within 5 % of a bound of a searched range?"
    if not confirmation.chosen or not any(e.get("low") is not None for e in study["tune"]):
        why = "the selection has not ended" if not confirmation.chosen else "no range was searched"
        return Check("confirmed bounds", "not checked", question, f"Cannot be told: {why}.")
    texts, names, runs = [], [], []
    for arm in confirmation.arms:
        trial = Trial(
            run_id="",
            name=arm.name,
            group=arm.name,
            strategy=arm.strategy,
            number=0,
            state="complete",
            levels=arm.levels,
            hyperparameters=arm.hyperparameters,
            optimizer=arm.levels.get("optimizer"),
        )
        for hit in at_bound(study, trial):
            texts.append(f"{arm.name}: {hit.knob} = {hit.value:.3g}, {hit.side} {hit.bound:.3g}")
            names.append(arm.name)
            runs += [run.run_id for run in arm.runs.values()][:1]
    if not texts:
        return Check("confirmed bounds", "ok", question, "None does.")
    finding = f"At a bound, so a wider range may change the result: {'; '.join(texts)}."
    return Check(
        *("confirmed bounds", "warning", question, finding),
        strategies=tuple(dict.fromkeys(names)),
        runs=tuple(dict.fromkeys(runs)),
    )


def _selection(content: Mapping[str, Any]) -> Check:
    question = "Did the best trial of the search hold up on fresh seeds?"
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in content["selection"]:
        groups.setdefault(row["strategy"], []).append(row)
    if not content["selected"]:
        return Check("selection", "not checked", question, "The selection has not ended.")
    other = [name for name, rows in groups.items() if _changed(rows)]
    text = (
        f"In {len(groups) - len(other)} of {len(groups)} strategies it was chosen again"
        f" (mean of {content['selection_seeds']} fresh seeds)."
    )
    if other:
        text += f" Another configuration went on in {', '.join(other)}."
    return Check("selection", "note", question, text, tuple(other))


def _changed(rows: Sequence[Mapping[str, Any]]) -> bool:
    return bool(rows) and not rows[0]["chosen"]
