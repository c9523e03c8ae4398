"""The folder of one trial, and where the folders of a study's trials lie.

Reads tolerate what a killed writer leaves behind. Knows the names of the files and in which order
they are written, and nothing of what the numbers in them mean.
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from workbench.files import write_atomically, writing
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


class Damaged(OSError):
    """A record cannot be read; the message names its file."""


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
        """Store what is to be done, before anybody is told to do it."""
        write_atomically(self.path / "spec.json", to_json(spec, indent=1).encode())

    def spec(self) -> TrialSpec | None:
        """What is to be done, or None before it was written."""
        path = self.path / "spec.json"
        return spec_from_json(path.read_bytes()) if path.exists() else None

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
        """All accepted epochs in order; a line torn by a kill is no epoch."""
        return [epoch_from_json(line) for line in self._whole_lines()]

    def repair_history(self) -> list[EpochResult]:
        """Drop a torn last line, so that the next one starts on a line of its own."""
        path = self.path / "history.jsonl"
        lines = self._whole_lines()
        content = b"".join(line + b"\n" for line in lines)
        if path.exists() and path.stat().st_size != len(content):
            write_atomically(path, content)
        return [epoch_from_json(line) for line in lines]

    def _whole_lines(self) -> list[bytes]:
        path = self.path / "history.jsonl"
        if not path.exists():
            return []
        return path.read_bytes().split(b"\n")[:-1]

    def write_result(self, result: Result) -> None:
        """Store how it ended."""
        write_atomically(self.path / "result.json", to_json(result, indent=1).encode())

    def result(self) -> Result | None:
        """How it ended, or None while it has not."""
        path = self.path / "result.json"
        if not path.exists():
            return None
        try:
            return result_from_json(path.read_bytes())
        except ValidationError as error:
            said = error.errors()[0]["msg"]
            raise Damaged(
                f"{path} is damaged ({said}). Restore it, or move the trial's folder away."
            ) from error

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
        digests = {_digest_path(path).read_text() for path in paths if _digest_path(path).exists()}
        damaged: list[Path] = []
        for path in paths:
            if not path.exists():
                continue
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() in digests:
                return content, damaged
            damaged.append(path.replace(path.with_name(path.name + ".corrupt")))
        return None, damaged

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


def scan(study_directory: Path) -> list[tuple[TrialDirectory, TrialSpec]]:
    """Every trial that a study has on disk, by role, group and number."""
    found = []
    # A selection's runs lie one folder deeper: below the strategy, its candidate.
    paths = [*study_directory.glob("*/*/*/spec.json"), *study_directory.glob("*/*/*/*/spec.json")]
    for path in paths:
        directory = TrialDirectory(path.parent)
        spec = directory.spec()
        if spec is not None:
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


def protocol_path(study_directory: Path) -> Path:
    """The file that says how a study is confirmed; it exists once the confirmation has begun."""
    return study_directory / "protocol.json"
