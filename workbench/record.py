"""The record of a trial on disk, and the plain data in it.

A trial directory is the truth about what happened in a trial. One process writes it, the worker
that holds its lock; the specification alone is written by the driver. Knows no torch, no Optuna
and no MLflow: anything that can read JSON can read a record.

```
spec.json       what to do (TrialSpec)
history.jsonl   one EpochResult a line, written before it is sent anywhere
checkpoint.pt   state after some epoch, with checkpoint.pt.sha256; the one before as checkpoint.1.pt
best.safetensors, best.json   weights of the epoch that the objective's rule chose
result.json     how it ended (Result); absent while it runs
artifacts/      pictures and tables of the trial
lock            held by whoever writes
```
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from workbench.strategy import Plan, Scalar


class Role(StrEnum):
    """Why a trial is run."""

    SEARCH = "search"
    SELECTION = "selection"
    CONFIRMATION = "confirmation"
    TRY = "try"


class State(StrEnum):
    """Where a trial stands. ``RUNNING`` has no result yet; ``PARKED`` will go on later."""

    RUNNING = "running"
    PARKED = "parked"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the trial."""
        return self in (State.COMPLETE, State.PRUNED, State.FAILED)


class Decision(StrEnum):
    """The driver's answer to an epoch result."""

    CONTINUE = "continue"
    PRUNE = "prune"
    PARK = "park"
    FENCED = "fenced"


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What a study optimises.

    Attributes:
        metric: A key of ``EpochResult.metrics``, for example ``validation/accuracy``.
        direction: ``maximize`` or ``minimize``.
        epoch: ``best`` or ``last``: whose value, weights and other metrics count.
    """

    metric: str
    direction: str
    epoch: str = "best"

    def better(self, value: float, other: float | None) -> bool:
        """Whether a value is strictly better than another one (anything beats None)."""
        if other is None:
            return True
        return value > other if self.direction == "maximize" else value < other

    def outdoes(self, found: tuple[float, int], held: tuple[float, int] | None) -> bool:
        """Whether a trial, as (value, number), takes the place of the best one so far.

        Of equals the earlier number counts, whichever worker came back first.
        """
        if held is None or self.better(found[0], held[0]):
            return True
        return found[0] == held[0] and found[1] < held[1]


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """What a worker is told: plain data, complete.

    Attributes:
        group: First part of the trial's name: its strategy, or ``joint`` in a joint study.
        strategy: Name of its strategy; in a joint study read back from what was suggested.
        levels: Label of each compared factor.
        hyperparameters: What was tuned, by the knob's path.
        seed: The training seed: of the replicate, never of the trial or the attempt.
        study_seed: Draws the test split, once for the whole study.
        data_digest: Hash of the data set that the study was planned on.
        attempt: 1 for the first start; a fencing token.
    """

    study: str
    role: Role
    group: str
    strategy: str
    number: int
    levels: Mapping[str, str]
    hyperparameters: Mapping[str, Scalar]
    plan: Plan
    objective: Objective
    seed: int
    study_seed: int
    data_digest: str
    attempt: int = 1

    @property
    def name(self) -> str:
        """``adamw-2/007``."""
        return f"{self.group}/{self.number:03d}"

    @property
    def key(self) -> str:
        """Identity among all trials of one store: ``digits/search/adamw-2/007``."""
        return f"{self.study}/{self.role}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """Metrics of one epoch, and of the phase it lies in.

    Attributes:
        epoch: Counted from 1 through all phases; where a plan reports several times an epoch, the
            number of the report, and ``metrics["epochs"]`` says how many epochs are done.
        metrics: Finite numbers by name: ``train/loss``, ``validation/accuracy``, ``seconds``, ...
        timestamp: Milliseconds since 1970 (UTC), fixed when the epoch ended.
    """

    epoch: int
    phase: str
    metrics: Mapping[str, float]
    timestamp: int


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a trial ended, or why it was parked.

    Attributes:
        reason: One sentence for anything but a completed trial: ``diverged at epoch 3``.
        traceback: Only of a failure that raised.
        value: The objective's value by its rule; None where no epoch counts.
        epoch: The epoch that the rule chose.
        metrics: All metrics of that epoch.
        confusion: Rows true, columns predicted, on validation at that epoch; classification only.
        classes: Names of the classes.
        parameters: Number of parameters, ``total`` and ``trainable`` in the last phase begun.
        started: Milliseconds since 1970 (UTC) of the first attempt.
        ended: The same, of the end.
        seconds: Time spent training and validating, over all attempts that the history holds.
        device: What it ran on.
    """

    state: State
    attempt: int
    reason: str | None = None
    traceback: str | None = None
    value: float | None = None
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    confusion: list[list[int]] | None = None
    classes: list[str] | None = None
    parameters: Mapping[str, int] = field(default_factory=dict)
    started: int = 0
    ended: int = 0
    seconds: float = 0.0
    device: str = ""


_SPEC = TypeAdapter(TrialSpec)
_EPOCH = TypeAdapter(EpochResult)
_RESULT = TypeAdapter(Result)


def spec_from_json(text: str | bytes) -> TrialSpec:
    """Read a specification back; raises pydantic's ``ValidationError`` for anything else."""
    return _SPEC.validate_json(text)


def epoch_from_json(text: str | bytes) -> EpochResult:
    """Read an epoch result back; raises pydantic's ``ValidationError`` for anything else."""
    return _EPOCH.validate_json(text)


def result_from_json(text: str | bytes) -> Result:
    """Read a result back; raises pydantic's ``ValidationError`` for anything else."""
    return _RESULT.validate_json(text)


def to_json(value: TrialSpec | EpochResult | Result, *, indent: int | None = None) -> str:
    """JSON text of plain data; a float survives the round trip to the last bit."""
    return json.dumps(asdict(value), indent=indent, allow_nan=False)


def now() -> int:
    """Milliseconds since 1970 (UTC): for people and MLflow, never for a duration."""
    return time.time_ns() // 1_000_000


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all: temporary file, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class Locked(Exception):
    """Another process holds the lock; the message is what the holder wrote into it."""


# Whoever only looks whether a lock is held holds it for an instant: that must refuse nobody.
_GLANCE_SECONDS = 0.1


@contextmanager
def lock(path: Path, *, note: str = "", wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold an exclusive lock on a file for the length of a block.

    The operating system releases it the moment the process dies, so it is never stale.

    Args:
        path: The lock's file, made if need be; it stays behind.
        note: Who holds it, for whoever is refused.
        wait_seconds: How long to wait for another holder; infinity waits for ever.

    Raises:
        Locked: The holder did not let go in time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        patience = time.monotonic() + max(wait_seconds, _GLANCE_SECONDS)
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= patience:
                    file.seek(0)
                    raise Locked(file.read().strip()) from None
                time.sleep(0.05)
        file.truncate(0)
        file.write(note)
        file.flush()
        yield


def holder(path: Path) -> str | None:
    """What the holder of a lock wrote into it, or None where nobody holds it."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip()
    except FileNotFoundError:
        pass
    return None


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
        """Add one epoch to the history."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "history.jsonl").open("a") as file:
            file.write(to_json(result) + "\n")

    def sync_history(self) -> None:
        """Have the history on the disk itself before anything that builds on it."""
        path = self.path / "history.jsonl"
        if path.exists():
            with path.open("rb") as file:
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
        return result_from_json(path.read_bytes()) if path.exists() else None

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
    for path in study_directory.glob("*/*/*/spec.json"):
        directory = TrialDirectory(path.parent)
        spec = directory.spec()
        if spec is not None:
            found.append((directory, spec))
    return sorted(found, key=lambda pair: (pair[1].role, pair[1].group, pair[1].number))


def plain(value: Any) -> Any:
    """Mappings and sequences of any kind as dictionaries and lists, for JSON and digests."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


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


def study_directory(home: Path, study: str) -> Path:
    """Where a study keeps its storage, its lease and its trials."""
    return home / "mlruns" / "studies" / study
