"""The studies of a home by their names: where they are, what they are, and their verdicts.

Reads records only, so that it works while a driver runs and without any store.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AliasPath, Field, TypeAdapter, ValidationError

from workbench import record
from workbench.commands.confirmation_progress import ConfirmationProgress
from workbench.commands.summaries import VerdictSummary
from workbench.messages import listed, unknown
from workbench.record import Addition, Objective
from workbench.study.config.document import nearest_file
from workbench.study.weights import STUDY_SUFFIXES


class UnknownNameError(LookupError):
    """No study or trial has this name; the message suggests the nearest one."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the commands read of study.json, which a study's driver writes.

    Attributes:
        file: The study file, relative to the home where it lies in it.
        targets: Trials planned for each group.
        overrides: Those of the search.
        added: What it adds to another study, if that is what it does.
    """

    name: str
    question: str
    file: str
    objective: Objective
    targets: Annotated[Mapping[str, int], Field(validation_alias=AliasPath("budget", "targets"))]
    overrides: list[str] = field(default_factory=list)
    added: Addition | None = None


_DESCRIPTION = TypeAdapter(Description)
_VERDICT = TypeAdapter(VerdictSummary)
_VERDICT_FILE = "verdict.json"


def _is_study(directory: Path) -> bool:
    # A name that is a path would lead out of the home.
    if not record.STUDY_NAME.fullmatch(directory.name):
        return False
    # A study without its description has lost it: a driver writes it before the first trial.
    trials = directory.glob("trials/*/*/spec.json")
    return (directory / "study.json").exists() or any(trials)


def directories(home: Path) -> list[Path]:
    """Those of all studies, by name."""
    return [path for path in sorted((home / "mlruns" / "studies").glob("*")) if _is_study(path)]


def directory_of(home: Path, name: str) -> Path:
    """The directory of a study.

    Raises:
        UnknownNameError: There is none of this name.
    """
    directory = record.study_directory(home, name)
    if directory.name == name and _is_study(directory):
        return directory
    names = [path.name for path in directories(home)]
    if not names:
        raise UnknownNameError(f"No study named {name} in {home}; it has no studies yet.")
    if cells := [known for known in names if record.is_cell_of(known, name)]:
        raise UnknownNameError(f"{name} is {len(cells)} studies; name one of {listed(cells, 20)}.")
    raise UnknownNameError(unknown("study", name, names))


def studies_of(home: Path, name: str) -> list[str]:
    """The study of this name; of a file with ``across``, by the file's name, all of its studies.

    Raises:
        UnknownNameError: There is none.
    """
    cells = [path.name for path in directories(home) if record.is_cell_of(path.name, name)]
    return cells or [directory_of(home, name).name]


def description(directory: Path) -> Description:
    """What a study's driver wrote of it.

    Raises:
        UnknownNameError: The file is gone or damaged, or describes another study.
    """
    path = directory / "study.json"
    try:
        described = _DESCRIPTION.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UnknownNameError(f"{path} is gone. Run the study's file again to write it.") from None
    except ValidationError as error:
        first = error.errors()[0]
        problem = ": ".join([*map(str, first["loc"]), first["msg"]])
        raise UnknownNameError(
            f"{path} is damaged ({problem}). Run the study's file again to write it anew."
        ) from None
    if described.name != directory.name:
        raise UnknownNameError(
            f"{directory} holds the study {described.name!r}. A study's folder must have its name: "
            f"rename the folder to {described.name}."
        )
    return described


def file_of(described: Description, home: Path) -> Path | None:
    """The file of a study: relative to the home, to this directory, or where it was moved to."""
    named = Path(described.file)
    candidates = (home / named, named, record.places.find(named, home))
    return next(filter(Path.is_file, candidates), None)


def source_of(study: Path | str, home: Path) -> tuple[Path, list[str]]:
    """A study file as it is; of a study's name its file, with the overrides of its search.

    Raises:
        UnknownNameError: It is neither, or the study's file is gone; or it was added to another
            study.
    """
    written, name = Path(study), str(study)
    # What can only be a file is answered by its reader, with the nearest file.
    if written.is_file() or name.endswith(STUDY_SUFFIXES) or len(written.parts) > 1:
        return written, []
    try:
        first = studies_of(home, name)[0]
    except UnknownNameError as error:
        near = nearest_file(written)
        hint = f"; did you mean {near}?" if near else "."
        raise UnknownNameError(f"{name}: no such file{hint} {error}") from None
    # A search may have had overrides; without them the confirmation would be another one.
    described = description(record.study_directory(home, first))
    if added := described.added:
        level = shlex.quote(f"{added.factor}={added.written}")
        command = f"workbench confirm {added.study} --add {level}"
        raise UnknownNameError(f"{first} was added to {added.study}. Continue it: {command}")
    file = file_of(described, home)
    if file is None:
        raise UnknownNameError(
            f"The study {study} was run from {described.file}, which is not there. Give the "
            "path of its file instead of its name."
        )
    return file, described.overrides


def additions(home: Path, name: str) -> list[Addition]:
    """The levels that were added to a study, in their order."""
    found = []
    for directory in directories(home):
        if directory.name.startswith(record.addition_name(name, "")):
            added = description(directory).added
            found += [added] if added and added.study == name else []
    return sorted(found, key=lambda added: added.number)


def keep_verdict(directory: Path, verdict: VerdictSummary) -> None:
    """Store a verdict with the records: the command ``list`` reads no MLflow."""
    record.write_atomically(
        directory / _VERDICT_FILE, _VERDICT.dump_json(verdict, indent=1) + b"\n"
    )


def verdict_of(directory: Path, confirmation: ConfirmationProgress | None) -> VerdictSummary | None:
    """The verdict in a study's directory, while its records are as far as when it was given.

    None where a report has yet to say it, or the file is damaged or of other records. While a
    second look runs, the verdict is that of the first.
    """
    shown = confirmation.seeds_shown if confirmation else 0
    try:
        found = _VERDICT.validate_json((directory / _VERDICT_FILE).read_bytes())
        protocol = record.sha256_of(record.protocol_path(directory))
    except (OSError, ValidationError):
        return None
    return found if (found.seeds, found.protocol) == (shown, protocol) else None
