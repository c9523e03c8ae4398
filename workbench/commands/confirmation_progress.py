"""How far the confirmation of a study is by its records, and who else used its test samples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import record
from workbench.messages import joined
from workbench.record import Role, TrialDirectory, TrialSpec

# A study's records, as ``record.scan`` gives them.
Records = list[tuple[TrialDirectory, TrialSpec]]


@dataclass(frozen=True, kw_only=True)
class ConfirmationProgress:
    """How far a confirmation is.

    Attributes:
        stage: ``selection``; ``selected``, and not agreed to yet; ``confirmation``; ``complete``;
            or ``damaged``, where its files are, or are gone.
        ended: Runs of that stage that have ended.
        planned: Runs of that stage.
        look: Which look the stage belongs to; the runs of a second look that is not complete are
            those that it adds.
        looks: How many looks are planned.
        seeds_shown: Of each configuration, how many seeds have test values that may be shown: those
            of the looks that are complete.
    """

    stage: str
    ended: int = 0
    planned: int = 0
    look: int = 1
    looks: int = 1
    seeds_shown: int = 0

    @property
    def complete(self) -> bool:
        """Whether every run has ended, those of a second look that has begun as well."""
        return self.stage == "complete"

    def shows_test(self, spec: TrialSpec) -> bool:
        """Whether a run's test values may be shown."""
        return spec.role is Role.CONFIRMATION and spec.number < self.seeds_shown


def confirmation_progress(directory: Path, records: Records) -> ConfirmationProgress | None:
    """How far the confirmation is; None where none has begun.

    Args:
        directory: The study's, which may not exist.
        records: Its records.
    """
    path = record.protocol_path(directory)
    if not path.exists():
        orphaned = any(spec.role in (Role.SELECTION, Role.CONFIRMATION) for _, spec in records)
        return ConfirmationProgress(stage="damaged") if orphaned else None
    selected, second = path.with_name("selection.json"), record.protocol_path(directory, look=2)
    try:
        protocol: Mapping[str, Any] = json.loads(path.read_text())
        # What is added to a study has the seeds of all of its looks at once.
        looks = 1 if "amends" in protocol else protocol.get("looks", 1)
        if not selected.exists():
            selection = protocol["selection"]
            planned = len(selection["seeds"]) * sum(map(len, selection["candidates"].values()))
            ended = len(_ended(records, Role.SELECTION))
            return ConfirmationProgress(
                stage="selection", ended=ended, planned=planned, looks=looks
            )
        arms = len(json.loads(selected.read_text())["arms"])
        seeds = [len(protocol["seeds"])]
        if second.exists():
            seeds.append(len(json.loads(second.read_text())["seeds"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ConfirmationProgress(stage="damaged")
    return _of_test(records, arms, seeds, looks)


def seeds_shown(directory: Path) -> int:
    """Of each configuration of a study, how many seeds have test values that may be shown."""
    if not record.protocol_path(directory).exists():
        return 0
    progress = confirmation_progress(directory, record.scan(directory))
    return progress.seeds_shown if progress else 0


def _of_test(records: Records, arms: int, seeds: Sequence[int], looks: int) -> ConfirmationProgress:
    """How far the test is.

    Args:
        records: Of the study.
        arms: Number of configurations.
        seeds: Of each look that has begun.
        looks: Planned ones.
    """
    numbers, shown = _ended(records, Role.CONFIRMATION), 0
    for look, fresh in enumerate(seeds, start=1):
        ended = sum(shown <= number < shown + fresh for number in numbers)
        if ended < arms * fresh:
            begun = look > 1 or any(spec.role is Role.CONFIRMATION for _, spec in records)
            return ConfirmationProgress(
                stage="confirmation" if begun else "selected",
                ended=ended,
                planned=arms * fresh,
                look=look,
                looks=looks,
                seeds_shown=shown,
            )
        shown += fresh
    total = arms * shown
    return ConfirmationProgress(
        stage="complete",
        ended=total,
        planned=total,
        look=len(seeds),
        looks=looks,
        seeds_shown=shown,
    )


def _ended(records: Records, role: Role) -> list[int]:
    """The numbers of a role's runs that have ended."""
    results = [(spec.number, at.result()) for at, spec in records if spec.role is role]
    return [number for number, result in results if result is not None and result.state.ended]


def other_tests_of_same_samples(directory: Path) -> tuple[str, ...]:
    """A sentence for each other study of the home that has tested the same test samples.

    Args:
        directory: A study's. Without a readable protocol nothing is known.

    Returns:
        Of a study whose records are damaged, that it cannot be told.
    """
    own = _planned_test(record.protocol_path(directory))
    sentences, tested = [], []
    for path in sorted(directory.parent.glob("*/protocol.json")):
        other, name = _planned_test(path), path.parent.name
        if own is None or other is None or path.parent == directory or own[0] != other[0]:
            continue
        # The report of a study shows what was added to it.
        if other[2] == directory.name:
            continue
        # The studies of a file with ``across`` were planned together.
        if "@" in name and record.experiment_of(name) == record.experiment_of(directory.name):
            continue
        try:
            seen = any(
                spec.role is Role.CONFIRMATION and (result := run.result()) and result.test
                for run, spec in record.scan(path.parent)
            )
        except record.DamagedRecordError as damaged:
            sentences.append(
                f"It is not known whether the study {name} has tested the same test samples: "
                f"{damaged}"
            )
            continue
        if seen:
            shared = len(own[1] & other[1])
            seeds = f" (with {shared} of the {len(own[1])} seeds of this one)" if shared else ""
            tested.append(f"{name}{seeds}")
    if tested:
        who = "The study {} has" if len(tested) == 1 else "The studies {} have"
        sentences.append(
            f"{who.format(joined(tested))} tested the same test samples. What was chosen after its "
            "results were seen is not independent of this test."
        )
    return tuple(sentences)


def _planned_test(path: Path) -> tuple[tuple[str, str], set[str], str] | None:
    """What a protocol tests on (digests of data and test split), its seeds, and what it amends."""
    try:
        protocol = json.loads(path.read_text())
        data = protocol["data"]
        added = protocol.get("added", {}).get("study", "")
        return (data["digest"], data["test_digest"]), set(protocol["seeds"]), added
    except (OSError, ValueError, KeyError, TypeError):
        return None
