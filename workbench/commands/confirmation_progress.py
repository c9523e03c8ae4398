"""How far the confirmation of a study is by its records, and who else used its test samples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import record
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
    """

    stage: str
    ended: int = 0
    planned: int = 0

    @property
    def complete(self) -> bool:
        """Whether every run of the confirmation has ended: before, no test value is shown."""
        return self.stage == "complete"


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
    selected = path.with_name("selection.json")
    role = Role.CONFIRMATION if selected.exists() else Role.SELECTION
    try:
        protocol: Mapping[str, Any] = json.loads(path.read_text())
        if role is Role.CONFIRMATION:
            planned = len(protocol["seeds"]) * len(json.loads(selected.read_text())["arms"])
        else:
            selection = protocol["selection"]
            planned = len(selection["seeds"]) * sum(map(len, selection["candidates"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ConfirmationProgress(stage="damaged")
    results = [at.result() for at, spec in records if spec.role is role]
    ended = sum(result is not None and result.state.ended for result in results)
    stage = str(role)
    if role is Role.CONFIRMATION and not results:
        stage = "selected"
    elif role is Role.CONFIRMATION and ended >= planned:
        stage = "complete"
    return ConfirmationProgress(stage=stage, ended=ended, planned=planned)


def other_tests_of_same_samples(directory: Path) -> tuple[str, ...]:
    """A sentence for each other study of the home that has tested the same test samples.

    Args:
        directory: A study's. Without a readable protocol nothing is known.

    Returns:
        Of a study whose records are damaged, that it cannot be told.
    """
    own = _planned_test(record.protocol_path(directory))
    sentences = []
    for path in sorted(directory.parent.glob("*/protocol.json")):
        other = _planned_test(path)
        if own is None or other is None or path.parent == directory or own[0] != other[0]:
            continue
        try:
            tested = any(
                spec.role is Role.CONFIRMATION and (result := run.result()) and result.test
                for run, spec in record.scan(path.parent)
            )
        except record.Damaged as damaged:
            sentences.append(
                f"It is not known whether the study {path.parent.name} has tested the same test "
                f"samples: {damaged}"
            )
            continue
        if tested:
            shared = len(own[1] & other[1])
            sentences.append(
                f"The study {path.parent.name} has tested the same test samples"
                f"{f', with {shared} of the {len(own[1])} seeds of this one' if shared else ''}."
                " What was chosen after its results were seen is not independent of this test."
            )
    return tuple(sentences)


def _planned_test(path: Path) -> tuple[tuple[str, str], set[str]] | None:
    """What a protocol tests on (digests of data and test split) and with which seeds."""
    try:
        protocol = json.loads(path.read_text())
        data = protocol["data"]
        return (data["digest"], data["test_digest"]), set(protocol["seeds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
