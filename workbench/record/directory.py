"""The folder of one trial, and where the folders of a study's trials lie.

Reads tolerate what a killed writer leaves behind. Knows the names of the files and in which order
they are written, and nothing of what the numbers in them mean.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from workbench.record import places
from workbench.record.contents import (
    EpochResult,
    Result,
    Role,
    TrialSpec,
    epoch_from_json,
    result_from_json,
    spec_from_json,
    to_json,
)
from workbench.record.files import write_atomically, writing

Read = TypeVar("Read")

# A study's name is a folder's name; one that a store gives is checked before it becomes a path.
# Folders have this name, with a temporary ending for a while: 255 characters at most.
STUDY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class Damaged(OSError):
    """A record cannot be read; the message names its file and says what to do."""


@dataclass(frozen=True)
class TrialDirectory:
    """One trial's record: reads tolerate what a killed writer leaves behind."""

    path: Path

    @property
    def artifacts(self) -> Path:
        """Folder of pictures and tables."""
        return self.path / "artifacts"

    @property
    def weights(self) -> Path:
        """Weights of the chosen epoch, as safetensors."""
        return self.path / "best.safetensors"

    @property
    def weights_description(self) -> Path:
        """What the weights are, as JSON."""
        return self.path / "best.json"

    @property
    def lock_path(self) -> Path:
        """Held by the worker that writes here."""
        return self.path / "lock"

    def write_spec(self, spec: TrialSpec) -> None:
        """Store what is to be done, before anybody is told to do it.

        What lies in the folder without a specification belongs to an unknown trial and is removed.
        """
        if not (self.path / "spec.json").exists():
            self.reopen()
            (self.path / "history.jsonl").unlink(missing_ok=True)
            self.drop_checkpoints()
        if (home := places.home_of(self.path)) is not None:
            spec = replace(spec, plan=places.portable(spec.plan, home))
        write_atomically(self.path / "spec.json", to_json(spec, indent=1).encode())

    def spec(self) -> TrialSpec | None:
        """What is to be done, with its files as they lie now; None before it was written.

        Raises:
            Damaged: The file cannot be read.
        """
        spec = self.stored_spec()
        if spec is not None and (home := places.home_of(self.path)) is not None:
            spec = replace(spec, plan=places.located(spec.plan, home))
        return spec

    def stored_spec(self) -> TrialSpec | None:
        """The same with its files as they are written down, which no move changes."""
        return _read(self.path / "spec.json", spec_from_json)

    def append(self, result: EpochResult) -> None:
        """Add one epoch to the history; where that fails, the file stays as it was.

        Raises:
            DiskError: The disk is full, or fails.
        """
        path, line = self.path / "history.jsonl", f"{to_json(result)}\n".encode()
        with writing(path, len(line)):
            self.path.mkdir(parents=True, exist_ok=True)
            with path.open("ab", buffering=0) as file:
                before = file.tell()
                try:
                    if file.write(line) < len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    file.truncate(before)
                    raise

    def sync_history(self) -> None:
        """Have the history on the disk itself before anything that builds on it."""
        path = self.path / "history.jsonl"
        if path.exists():
            with writing(path), path.open("rb") as file:
                os.fsync(file.fileno())

    def history(self) -> list[EpochResult]:
        """All accepted epochs in order; a last line torn by a kill is no epoch.

        Raises:
            Damaged: A line cannot be read, or an epoch is missing.
        """
        lines, sound = self._whole_lines(), self._sound_epochs()
        if len(sound) < len(lines):
            raise _damaged(self.path / "history.jsonl", f"line {len(sound) + 1}")
        return sound

    def repair_history(self, *, keep: int | None = None) -> list[EpochResult]:
        """Drop the last line if it is torn, and everything from the first damaged line on.

        The epochs that are dropped are trained again.

        Args:
            keep: The most epochs to keep.
        """
        path = self.path / "history.jsonl"
        sound = self._sound_epochs()[:keep]
        content = b"".join(line + b"\n" for line in self._whole_lines()[: len(sound)])
        if path.exists() and path.stat().st_size != len(content):
            write_atomically(path, content)
        return sound

    def _sound_epochs(self) -> list[EpochResult]:
        """The epochs up to the first line that is damaged or does not follow the one before."""
        found: list[EpochResult] = []
        for line in self._whole_lines():
            try:
                result = epoch_from_json(line)
            except ValidationError:
                break
            if result.epoch != len(found) + 1:
                break
            found.append(result)
        return found

    def _whole_lines(self) -> list[bytes]:
        content = _read(self.path / "history.jsonl", lambda content: content)
        return [] if content is None else content.split(b"\n")[:-1]

    def write_result(self, result: Result) -> None:
        """Store how it ended."""
        write_atomically(self.path / "result.json", to_json(result, indent=1).encode())

    def result(self) -> Result | None:
        """How it ended, or None while it has not.

        Raises:
            Damaged: The file cannot be read.
        """
        return _read(self.path / "result.json", result_from_json)

    def reopen(self) -> None:
        """Forget that the trial was parked."""
        (self.path / "result.json").unlink(missing_ok=True)

    def save_checkpoint(self, content: bytes) -> None:
        """Keep a state, and the one before it in case this one is damaged later."""
        current, previous = self.path / "checkpoint.pt", self.path / "checkpoint.1.pt"
        if current.exists():
            # A kill after the first of the two moves has left the digest where it belongs.
            if _digest_path(current).exists():
                _digest_path(current).replace(_digest_path(previous))
            current.replace(previous)
        write_atomically(_digest_path(current), hashlib.sha256(content).hexdigest().encode())
        write_atomically(current, content)

    def load_checkpoint(self) -> tuple[bytes | None, list[Path]]:
        """The newest sound state, or None; and what was set aside as damaged (``*.corrupt``)."""
        paths = [self.path / name for name in ("checkpoint.pt", "checkpoint.1.pt")]
        # A kill while the two were being moved leaves a state beside the other one's digest.
        digests = {_digest_path(path).read_bytes() for path in paths if _digest_path(path).exists()}
        damaged: list[Path] = []
        for path in paths:
            if not path.exists():
                continue
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest().encode() in digests:
                return content, damaged
            damaged.append(path.replace(path.with_name(path.name + ".corrupt")))
        return None, damaged

    def damaged_checkpoints(self) -> int:
        """How many checkpoints were set aside as damaged."""
        return sum(1 for _ in self.path.glob("checkpoint*.corrupt"))

    def drop_checkpoints(self) -> None:
        """Free the disk of what only an unfinished trial needs."""
        for path in self.path.glob("checkpoint*.pt*"):
            if not path.name.endswith(".corrupt"):
                path.unlink()

    def drop_weights(self) -> None:
        """Free the disk of weights that a better trial has outdone."""
        self.weights.unlink(missing_ok=True)
        self.weights_description.unlink(missing_ok=True)


def _digest_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _read(path: Path, parse: Callable[[bytes], Read]) -> Read | None:
    """What a file of a record holds, or None where it does not exist."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise _damaged(path, error.errors()[0]["msg"]) from error
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from error


def _damaged(path: Path, reason: str) -> Damaged:
    return Damaged(
        f"{path} is damaged ({reason}). Restore the file, or delete the folder {path.parent}: "
        "the next `workbench run` or `workbench confirm` then trains this trial again."
    )


def scan(study_directory: Path) -> list[tuple[TrialDirectory, TrialSpec]]:
    """Every trial that a study has on disk, by role, group and number.

    Raises:
        Damaged: A specification cannot be read, or lies in another trial's folder.
    """
    found = []
    # A selection's runs lie one folder deeper: below the strategy, its candidate.
    paths = [*study_directory.glob("*/*/*/spec.json"), *study_directory.glob("*/*/*/*/spec.json")]
    for path in paths:
        directory = TrialDirectory(path.parent)
        spec = directory.spec()
        if spec is None:
            continue
        if directory_of(study_directory, spec) != directory:
            raise _damaged(path, f"it belongs to {spec.role} {spec.name}")
        found.append((directory, spec))
    return sorted(found, key=lambda pair: (pair[1].role, pair[1].group, pair[1].number))


_FOLDERS = {
    Role.SEARCH: "trials",
    Role.SELECTION: "selection",
    Role.CONFIRMATION: "confirmation",
    Role.TRY: "tries",
}


def directory_of(study_directory: Path, spec: TrialSpec) -> TrialDirectory:
    """Where a trial's record lies below its study's directory."""
    path = study_directory / _FOLDERS[spec.role] / spec.group / f"{spec.number:03d}"
    return TrialDirectory(path)


def study_of(directory: TrialDirectory, spec: TrialSpec) -> Path:
    """The study's directory that a trial's record lies below: ``directory_of`` turned round."""
    return directory.path.parents[spec.group.count("/") + 2]


def study_directory(home: Path, study: str) -> Path:
    """Where a study keeps its storage, its lease and its trials."""
    return home / "mlruns" / "studies" / study


def environment_path(study_directory: Path) -> Path:
    """The file that says with which code and packages the trials of the last driver ran."""
    return study_directory / "environment.json"


def protocol_path(study_directory: Path) -> Path:
    """The file that says how a study is confirmed; it exists once the confirmation has begun."""
    return study_directory / "protocol.json"
