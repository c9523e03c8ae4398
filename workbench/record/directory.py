"""The directory of one trial, and the paths of a study's trial directories.

Files are written in an order, and read in a way, that tolerate a writer that was killed.
"""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TypeVar

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
from workbench.record.files import replacing, sha256_of, write_atomically, writing

Read = TypeVar("Read")


class DamagedRecordError(OSError):
    """A record cannot be read; the message names the file and says what to do."""


@dataclass(frozen=True)
class TrialDirectory:
    """One trial's record; reading it tolerates a writer that was killed."""

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
        """Store the specification, before the trial is given to a worker.

        Files in a directory without a specification belong to an unknown trial and are removed.
        """
        if not (self.path / "spec.json").exists():
            self.reopen()
            (self.path / "history.jsonl").unlink(missing_ok=True)
            self.drop_checkpoints()
            spec = replace(spec, record_id=uuid.uuid4().hex)
        else:
            # The specification may be made from that of another trial.
            with suppress(DamagedRecordError):
                stored = self.stored_spec()
                spec = replace(spec, record_id=stored.record_id if stored else "")
        if (home := places.home_of(self.path)) is not None:
            spec = replace(spec, plan=places.portable(spec.plan, home))
        write_atomically(self.path / "spec.json", to_json(spec, indent=1).encode())

    def spec(self) -> TrialSpec | None:
        """The specification with the current paths of its files; None if there is none.

        Raises:
            DamagedRecordError: The file cannot be read.
        """
        spec = self.stored_spec()
        if spec is not None and (home := places.home_of(self.path)) is not None:
            spec = replace(spec, plan=places.located(spec.plan, home))
        return spec

    def stored_spec(self) -> TrialSpec | None:
        """The specification with paths as stored, which are independent of the home's location."""
        return _read(self.path / "spec.json", spec_from_json)

    def append(self, result: EpochResult) -> None:
        """Add one epoch to the history; if that fails, the file is unchanged.

        Raises:
            DiskError: The disk is full, or fails.
        """
        path, line = self.path / "history.jsonl", f"{to_json(result)}\n".encode()
        with writing(path, len(line)):
            self.path.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a buffer would hide a full disk until the file is closed.
            with path.open("ab", buffering=0) as file:
                before = file.tell()
                try:
                    if file.write(line) < len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError:
                    file.truncate(before)
                    raise

    def sync_history(self) -> None:
        """Flush the history to the disk (fsync)."""
        path = self.path / "history.jsonl"
        if path.exists():
            with writing(path), path.open("rb") as file:
                os.fsync(file.fileno())

    def history(self) -> list[EpochResult]:
        """All recorded epochs in order, without an incomplete last line.

        Raises:
            DamagedRecordError: A line cannot be read, or an epoch is missing.
        """
        lines, sound = self._lines()
        if len(sound) < len(lines):
            raise _damaged(self.path / "history.jsonl", f"line {len(sound) + 1}")
        return sound

    def repair_history(self, *, keep: int | None = None) -> list[EpochResult]:
        """Drop an incomplete last line, and everything from the first damaged line on.

        The dropped epochs are trained again.

        Args:
            keep: The most epochs to keep.
        """
        path = self.path / "history.jsonl"
        lines, sound = self._lines()
        sound = sound[:keep]
        content = b"".join(line + b"\n" for line in lines[: len(sound)])
        if path.exists() and path.stat().st_size != len(content):
            write_atomically(path, content)
        return sound

    def _lines(self) -> tuple[list[bytes], list[EpochResult]]:
        """The whole lines, and the epochs before the first that is damaged or out of order."""
        content = _read(self.path / "history.jsonl", bytes) or b""
        lines = content.split(b"\n")[:-1]
        epochs: list[EpochResult] = []
        for line in lines:
            try:
                result = epoch_from_json(line)
            except ValidationError:
                break
            if result.epoch != len(epochs) + 1:
                break
            epochs.append(result)
        return lines, epochs

    def write_result(self, result: Result) -> None:
        """Store the result."""
        write_atomically(self.path / "result.json", to_json(result, indent=1).encode())

    def result(self) -> Result | None:
        """The result, or None while the trial runs.

        Raises:
            DamagedRecordError: The file cannot be read.
        """
        return _read(self.path / "result.json", result_from_json)

    def reopen(self) -> None:
        """Delete the result of a parked trial."""
        (self.path / "result.json").unlink(missing_ok=True)

    def save_checkpoint(self, write: Callable[[BinaryIO], object]) -> None:
        """Store a state, and keep the previous one in case this one is damaged later.

        Args:
            write: Writes the state to a file, from its beginning to its end.

        Raises:
            DiskError: The disk is full, or fails.
        """
        current, previous = self.path / "checkpoint.pt", self.path / "checkpoint.1.pt"
        if current.exists():
            # The digest is gone if a kill came between the two moves of an earlier call.
            if _digest_path(current).exists():
                _digest_path(current).replace(_digest_path(previous))
            current.replace(previous)
        with writing(current), replacing(current) as file:
            try:
                write(file)
            except RuntimeError as error:
                # What torch.save raises in place of the error of a full disk.
                cause = error.__context__
                raise cause if isinstance(cause, OSError) else error from None
            file.flush()
            # Before the state: a kill in between leaves a digest without a state, not the reverse.
            write_atomically(_digest_path(current), sha256_of(Path(file.name)).encode())

    def find_checkpoint(self) -> tuple[Path | None, list[Path]]:
        """The newest undamaged state, or None; and the files renamed as damaged (``*.corrupt``)."""
        paths = [self.path / name for name in ("checkpoint.pt", "checkpoint.1.pt")]
        # Any digest may match: a kill between the two moves leaves a state with the other's digest.
        digests = {_digest_path(path).read_bytes() for path in paths if _digest_path(path).exists()}
        damaged: list[Path] = []
        for path in paths:
            if not path.exists():
                continue
            if sha256_of(path).encode() in digests:
                return path, damaged
            damaged.append(path.replace(path.with_name(path.name + ".corrupt")))
        return None, damaged

    def damaged_checkpoints(self) -> int:
        """Number of checkpoints that were found damaged."""
        return sum(1 for _ in self.path.glob("checkpoint*.corrupt"))

    def drop_checkpoints(self) -> None:
        """Delete the checkpoints; only an unfinished trial needs them."""
        for path in self.path.glob("checkpoint*.pt*"):
            if not path.name.endswith(".corrupt"):
                path.unlink()

    def drop_weights(self) -> None:
        """Delete the weights; used when a better trial replaces this one."""
        self.weights.unlink(missing_ok=True)
        self.weights_description.unlink(missing_ok=True)


def _digest_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _read(path: Path, parse: Callable[[bytes], Read]) -> Read | None:
    """The parsed content of a file, or None if it does not exist."""
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise _damaged(path, error.errors()[0]["msg"]) from error
    except OSError as error:
        raise DamagedRecordError(f"{path} cannot be read: {error.strerror or error}.") from error


def _damaged(path: Path, reason: str) -> DamagedRecordError:
    return DamagedRecordError(
        f"{path} is damaged ({reason}). Restore the file, or delete the folder {path.parent}: "
        "the next `workbench run` or `workbench confirm` then trains this trial again."
    )


def scan(study_directory: Path) -> list[tuple[TrialDirectory, TrialSpec]]:
    """Every trial of a study on disk, sorted by role, group and number.

    Raises:
        DamagedRecordError: A specification cannot be read, or is in another trial's directory.
    """
    trials = []
    # A selection's runs are one level deeper: strategy, candidate, number.
    paths = [*study_directory.glob("*/*/*/spec.json"), *study_directory.glob("*/*/*/*/spec.json")]
    for path in paths:
        directory = TrialDirectory(path.parent)
        spec = directory.spec()
        if spec is None:
            continue
        if directory_of(study_directory, spec) != directory:
            raise _damaged(path, f"it belongs to {spec.role} {spec.name}")
        trials.append((directory, spec))
    return sorted(trials, key=lambda pair: (pair[1].role, pair[1].group, pair[1].number))


_FOLDERS = {
    Role.SEARCH: "trials",
    Role.SELECTION: "selection",
    Role.CONFIRMATION: "confirmation",
    Role.TRY: "tries",
}


def directory_of(study_directory: Path, spec: TrialSpec) -> TrialDirectory:
    """The directory of a trial's record."""
    path = study_directory / _FOLDERS[spec.role] / spec.group / f"{spec.number:03d}"
    return TrialDirectory(path)


def study_of(directory: TrialDirectory, spec: TrialSpec) -> Path:
    """The study's directory of a trial's record: the inverse of ``directory_of``."""
    return directory.path.parents[spec.group.count("/") + 2]


def study_directory(home: Path, study: str) -> Path:
    """The directory of a study's storage, lease and trials."""
    return home / "mlruns" / "studies" / study


def study_record_id(study_directory: Path) -> str | None:
    """The identity of a study's directory, from its study.json; None without one that says it."""
    with suppress(OSError, ValueError, AttributeError):
        content = json.loads((study_directory / "study.json").read_bytes())
        return None if content.get("record_id") is None else str(content["record_id"])
    return None


def environment_path(study_directory: Path) -> Path:
    """The file with the code and packages that the last driver used."""
    return study_directory / "environment.json"


def protocol_path(study_directory: Path, *, look: int = 1) -> Path:
    """The file with the plan of a study's confirmation, or of its second look.

    It exists once that has begun.
    """
    return study_directory / ("protocol.json" if look == 1 else f"protocol-{look}.json")
