"""Strategies that were added after the first result was known, beside those that it was about.

Each addition is a study of its own, with the seeds of the first; its strategies have names that say
so. Here their arms are put together, so that one verdict is about all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from workbench.messages import joined
from workbench.report import evidence, runs
from workbench.report.checks.conditions import mixed
from workbench.report.material import Material
from workbench.report.protocol import Selection
from workbench.report.runs import Confirmation
from workbench.report.trials import of_search
from workbench.verdict import Doubt, Evidence, Level, Verdict, Word


def join(
    material: Material, first: Confirmation, first_evidence: Evidence
) -> tuple[Confirmation, Evidence, tuple[Material, ...]]:
    """The confirmation and its evidence with those of every addition that has ended, and these.

    Args:
        material: Of the study, sealed.
        first: Its finished confirmation.
        first_evidence: Of that confirmation alone.
    """
    parts, confirmations, evidences = [], [first], [first_evidence]
    doubts = [*first_evidence.doubts]
    for each in material.added:
        own = runs.read(each)
        if own is None or not own.finished:
            doubts.append(_unfinished(each))
            continue
        parts.append(each)
        confirmations.append(own)
        evidences.append(evidence.gather(each, of_search(each.study, each.trials), own))
        # The study itself has tested the same samples, which is the point.
        doubts += (d for d in evidences[-1].doubts if d.text not in each.tested_by_others)
        doubts += _other_protocol(material, each, first)
    whole = _together(confirmations)
    # Conditions may be the same within each study, and still differ between them.
    doubts += mixed(whole.runs)
    together = replace(
        first_evidence,
        arms=tuple(arm for each in evidences for arm in each.arms),
        absent={name: why for each in evidences for name, why in each.absent.items()},
        doubts=tuple(dict.fromkeys(doubts)),
        caveat=" ".join(filter(None, [first_evidence.caveat, _caveat(parts)])),
    )
    return whole, together, tuple(parts)


def _together(confirmations: Sequence[Confirmation]) -> Confirmation:
    """Several confirmations as one, with the plan of the first for all that they share."""
    first = confirmations[0]
    plans = [each.protocol for each in confirmations]
    chosen: list[Selection] = [each.chosen for each in confirmations if each.chosen]
    return replace(
        first,
        protocol=replace(
            first.protocol,
            candidates={name: own for plan in plans for name, own in plan.candidates.items()},
            not_comparable=tuple(absent for plan in plans for absent in plan.not_comparable),
        ),
        chosen=replace(
            chosen[0],
            chosen={name: own for each in chosen for name, own in each.chosen.items()},
            means={key: mean for each in chosen for key, mean in each.means.items()},
        ),
        arms=tuple(arm for each in confirmations for arm in each.arms),
        selection={name: own for each in confirmations for name, own in each.selection.items()},
    )


def _caveat(parts: Sequence[Material]) -> str:
    """Which strategies were added."""
    if not parts:
        return ""
    names = joined([each.name for part in parts for each in part.study.strategies], 50)
    return f"Added after the first result was known: {names}."


def claimed(verdict: Verdict, parts: Sequence[Material]) -> Verdict:
    """The verdict on all strategies, with what another verdict does to the error rate."""
    if not parts or verdict.level == Level.NONE:
        return verdict
    several = len(parts) + 1
    rate = (
        "The error rate of 5 %, for symmetric differences, holds for each verdict alone; at least"
        f" one of the {'two' if several == 2 else several} is wrong with a probability of up to"
        f" {5 * several} %."
    )
    # The methods have the caveat alone. The headline, worded already, names what was added.
    return replace(
        verdict, claim=f"{verdict.claim} {rate}", caveat=f"{verdict.caveat} {rate}".strip()
    )


def _unfinished(added: Material) -> Doubt:
    names = joined([each.name for each in added.study.strategies], 50)
    text = (
        f"{names} ({added.study.name}) are not tested yet. Until the last run has ended, no test"
        " value of them is shown, and the verdict is the one without them."
    )
    return Doubt(text=text)


def _other_protocol(material: Material, added: Material, first: Confirmation) -> Iterator[Doubt]:
    """A doubt where an addition was planned for another confirmation than the study has."""
    study, own = material.study, added.study.protocol or {}
    expected = study.protocol_logged or study.protocol_sha256
    if own.get("amends") != expected or tuple(own["seeds"]) != first.protocol.seeds:
        text = f"{added.study.name} was planned for another protocol.json, or for other seeds."
        yield Doubt(word=Word.EXPLORATORY, text=text)
