"""Writes a protocol once, and refuses whatever would change it later."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from workbench import record
from workbench.messages import counted
from workbench.study import space
from workbench.study.config.changes import StudyChangedError, file_differences
from workbench.study.config.document import Document, Location
from workbench.study.confirm.candidates import look
from workbench.study.confirm.planning import Protocol
from workbench.study.study import Study
from workbench.verdict.refusals import NEW_NAME


def begun(directory: Path) -> bool:
    """Whether a study's confirmation has begun: its protocol is there, or runs by one are."""
    return record.protocol_path(directory).exists() or _has_runs(directory)


def _has_runs(directory: Path) -> bool:
    return any(directory.glob("selection/*/*/*/spec.json")) or any(
        directory.glob("confirmation/*/*/spec.json")
    )


def write_or_check(protocol: Protocol, study: Study, *, logged: str | None) -> None:
    """Write the protocol once, or compare it with the one that was written before.

    The caller holds the study's lease; otherwise as ``check_unchanged``.
    """
    check_unchanged(protocol, study, logged=logged)
    path = record.protocol_path(study.directory)
    if not path.exists():
        record.write_atomically(path, protocol.text)


def check_unchanged(protocol: Protocol, study: Study, *, logged: str | None = None) -> None:
    """Compare a protocol with the one that was written before, if any.

    Args:
        protocol: Of the study as it is now.
        study: The study.
        logged: SHA-256 of the protocol in MLflow; None if there is none, or it was not read.

    Raises:
        StudyChangedError: The confirmation has begun by another protocol; the message says what
            differs, at which line of the study file, and whether the study file or the protocol was
            changed.
    """
    path = record.protocol_path(study.directory)
    restore = f"(MLflow has it below study/ of the run {study.name} confirmation)"
    if not path.exists():
        if _has_runs(study.directory):
            raise StudyChangedError(
                f"{path} is missing, but runs that it planned exist. Restore it {restore}, or give "
                f"the study {study.name} a new name."
            )
        return
    lines = file_differences(path, protocol.text)
    if not lines:
        return
    if logged == protocol.sha256:
        raise StudyChangedError.in_lines(
            f"{path} was edited after the confirmation of {study.name} began. It differs from what "
            f"MLflow holds, and {study.file} does not",
            lines,
            f"Restore the file {restore}, or give the study a new name.",
        )
    own = _of_author(lines)
    raise StudyChangedError.in_lines(
        f"{study.file}: the confirmation of {study.name} has begun by another protocol ({path})",
        (_placed(line, study.config.document) for line in own),
        "A protocol is fixed before the first run, so that no result can shape it. Restore these "
        f"settings{_as_options(own, path)}, or give the study a new name. {NEW_NAME}",
    )


# Where in the study file a part of the protocol comes from. A part without an entry uses the entry
# of the part that holds it.
_SOURCES: dict[str, Location] = {
    "across": ("across",),
    "metric": ("objective", "metric"),
    "validation_metric": ("objective", "metric"),
    "direction": ("objective", "direction"),
    "epoch": ("objective", "epoch"),
    "smallest_effect": ("confirm", "smallest_effect"),
    "contrast": ("confirm", "contrast"),
    "pairs": ("confirm", "contrast"),
    "seeds": ("confirm", "seeds"),
    "looks": ("confirm", "looks"),
    "selection.configs": ("confirm", "select", "configs"),
    "selection.candidates": ("confirm", "select", "configs"),
    "selection.seeds": ("confirm", "select", "seeds"),
    "strategies": ("compare",),
    "finalists": ("confirm", "finalists"),
    "baseline": ("confirm", "baseline"),
    "search": ("search",),
    "search.sampler": ("search", "sampler"),
    "search.pruner": ("search", "pruner"),
    "search.seed": ("search", "seed"),
    "search.tune": ("tune",),
    "data": ("recipe", "dataset"),
}


# Parts that follow from others.
_DERIVED = ("pairs", "effects", "seeds_floor", "definitions")


def _of_author(lines: Sequence[str]) -> Sequence[str]:
    """The differences in what an author sets; all where there is none."""
    own = [line for line in lines if not re.match(rf"({'|'.join(_DERIVED)})\b", line)]
    return own or lines


def _source_of(line: str) -> Location:
    """Where in the study file a difference comes from; empty if from nowhere."""
    part = line.partition(":")[0]
    while part not in _SOURCES and "." in part:
        part = part.rpartition(".")[0]
    return _SOURCES.get(part, ())


def _as_options(lines: Sequence[str], path: Path) -> str:
    """How to give the settings of a stored protocol on the command line, in brackets.

    An option of the command that began the confirmation is not in the study file. Empty where a
    difference has another source.
    """
    try:
        content = json.loads(path.read_bytes())
        planned = {
            "confirm.smallest_effect": content["smallest_effect"],
            "confirm.contrast": content["contrast"],
            "confirm.seeds": len(content["seeds"]),
            "confirm.looks": content["looks"],
            "confirm.select.configs": content["selection"]["configs"],
            "confirm.select.seeds": len(content["selection"]["seeds"]),
        }
        keys = dict.fromkeys(".".join(map(str, _source_of(line))) for line in lines)
        options = " ".join(f"--set {key}={planned[key]}" for key in keys)
    except (ValueError, KeyError, TypeError):
        return ""
    return f" (if they were given as options, repeat them: {options})"


def _placed(line: str, document: Document) -> str:
    """A difference with the line of the study file that it comes from, if the file sets it."""
    location = _source_of(line)
    if location[:1] not in document.lines:
        return line
    return f"{line}  ({document.place(location)})"


def refuse_retries(study: Study) -> None:
    """Refuse ``--retry-failed`` once a confirmation has begun, because it uses the trials.

    Raises:
        StudyChangedError: It has begun.
    """
    if begun(study.directory):
        raise StudyChangedError(
            f"{study.file}: the confirmation of {study.name} has begun. Failed trials "
            "that are run again would change the search that it rests on. Give the study a new "
            "name to search again."
        )


def refuse_more_trials(study: Study) -> None:
    """Refuse a search that would add trials to those that a confirmation uses.

    Trials whose records are gone may be trained again: with the same settings they end the same.

    Raises:
        StudyChangedError: It would; the message counts them.
    """
    if not begun(study.directory):
        return
    try:
        content = json.loads(record.protocol_path(study.directory).read_bytes())
        planned = dict(content["search"]["budget"]["targets"])
    except (OSError, ValueError, KeyError, TypeError):
        planned = dict(look(study).ended)  # ``check_unchanged`` says what is wrong with it.
    targets = space.targets(study.config)
    missing = {n: t - planned.get(n, 0) for n, t in targets.items() if t > planned.get(n, 0)}
    if not missing:
        return
    names = ", ".join(f"{name}: {count}" for name, count in missing.items())
    total, more = sum(missing.values()), ""
    if not planned.keys() & missing.keys() and not study.config.cell:
        more = (
            " After the confirmation a level is added without it in the file: workbench confirm "
            f"{study.name} --add FACTOR=LEVEL"
        )
    raise StudyChangedError(
        f"{study.file}: the confirmation of {study.name} has begun, and its protocol "
        f"names the trials that it rests on. {counted(total, 'more trial')} "
        f"({names}) would change what was searched. Restore the search as it was; for a longer one "
        f"or another level give the study a new name.{more}"
    )
