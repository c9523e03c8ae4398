"""The plan of a second look, which adds seeds to a finished test: ``protocol-2.json``.

It is written once the author has agreed and before anything runs, and refuses whatever would change
it later.
"""

from __future__ import annotations

import json

from workbench import record
from workbench.record import Role
from workbench.study.config.changes import NotReadyError, StudyChangedError, file_differences
from workbench.study.confirm.planning import Protocol, seeds_of
from workbench.study.study import Study
from workbench.verdict.refusals import NEW_NAME

LOOK = 2


def plan(first: Protocol, study: Study, fresh: int) -> Protocol:
    """The second look that adds so many seeds to each arm: the next ones of the same derivation."""
    content = first.content
    before, schema = len(content["seeds"]), content["schema"]
    seeds = seeds_of(study.config, Role.CONFIRMATION, before + fresh, schema=schema)
    added = {"amends": first.sha256, "seeds": seeds[before:]}
    return Protocol(content={"schema": schema, "study": study.name, **added})


def begun(first: Protocol, study: Study, *, logged: str | None = None) -> Protocol | None:
    """The plan of a second look that has begun; None before it.

    Args:
        first: The protocol of the confirmation.
        study: The study.
        logged: SHA-256 of ``protocol-2.json`` in MLflow; None if there is none, or it was not read.

    Raises:
        StudyChangedError: The file is missing, or was edited since the second look began.
    """
    path = record.protocol_path(study.directory, look=LOOK)
    restore = (
        f"Restore the file (MLflow has it below study/ of the run {study.name} confirmation), or "
        "give the study a new name."
    )
    if not path.exists():
        if logged is not None or _has_runs(first, study):
            raise StudyChangedError(
                f"{path} is missing, but the second look of {study.name} has begun. {restore}"
            )
        return None
    found = plan(first, study, _fresh(path.read_bytes()))
    lines = file_differences(path, found.text)
    if not lines and logged not in (None, found.sha256):
        lines = [f"sha256: was {str(logged)[:12]}… in MLflow, is {found.sha256[:12]}…"]
    if lines:
        what = f"{path} was edited after the second look of {study.name} began"
        raise StudyChangedError.in_lines(what, lines, restore)
    return found


def _has_runs(first: Protocol, study: Study) -> bool:
    beyond = len(first.content["seeds"])
    specs = study.directory.glob("confirmation/*/*/spec.json")
    return any(path.parent.name.isdecimal() and int(path.parent.name) >= beyond for path in specs)


def _fresh(text: bytes) -> int:
    """How many seeds a stored plan adds; 1 where it does not say, which then differs from it."""
    try:
        return max(1, len(json.loads(text)["seeds"]))
    except (ValueError, KeyError, TypeError):
        return 1


def refuse(
    first: Protocol, study: Study, fresh: int, known: Protocol | None, *, tested: bool
) -> None:
    """Refuse to add so many seeds, unless it is the second look that the protocol plans.

    Args:
        first: The protocol of the confirmation, as the study file has it now.
        study: The study.
        fresh: Seeds to add.
        known: The second look that has begun, if one has.
        tested: Whether every run of the first look has ended.

    Raises:
        StudyChangedError: One look is planned, or the second one has begun with another number of
            seeds.
        NotReadyError: The first look has not ended.
    """
    command = f"workbench confirm {study.name}"
    if first.content["looks"] < LOOK:
        raise StudyChangedError(
            f"{study.file}: the confirmation of {study.name} has one look, so its seeds are "
            "fixed: seeds that are added once the result was seen raise the error rate (22 % false "
            "winners in a simulation, not 5 %). "
            + (
                f"Give the study a new name and plan confirm: {{looks: 2}} in it. {NEW_NAME}"
                if record.protocol_path(study.directory).exists()
                else "Plan confirm: {looks: 2} before the confirmation begins."
            )
        )
    if known is not None and len(known.content["seeds"]) != fresh:
        raise StudyChangedError(
            f"--fresh {fresh}: the second look of {study.name} began with "
            f"{len(known.content['seeds'])} fresh seeds, and there is no third one. Continue it: "
            f"{command}. Other seeds need a study with a new name. {NEW_NAME}"
        )
    if not tested:
        raise NotReadyError(
            f"--fresh {fresh}: the first look of {study.name} is unfinished, and a second one "
            f"follows its verdict. Finish it first: {command}"
        )


def write(second: Protocol, study: Study) -> None:
    """Write the plan; the caller holds the study's lease."""
    record.write_atomically(record.protocol_path(study.directory, look=LOOK), second.text)
