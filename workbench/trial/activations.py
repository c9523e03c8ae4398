"""The activation store: outputs of frozen stages, computed once and shared by trials and studies.

It is under ``downloads.folder()/activations`` and may be deleted at any time. An entry is found by
all that its numbers depend on: the weights and the code of the frozen stages, the samples and how
they were prepared, the size of a batch, threads, processor and versions. One worker computes an
entry while others wait for it. Used by ``trial.trainers``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from workbench import downloads, record
from workbench.backbones import stages
from workbench.backbones.stages import Staged
from workbench.datasets.memmap import Mapped, sha256_of
from workbench.engine import activations
from workbench.engine.activations import Kept, Split
from workbench.record import TrialSpec, environment
from workbench.record.files import Locked, is_abandoned, writing

if TYPE_CHECKING:
    from workbench.datasets import Data, Part

_LOGGER = logging.getLogger(__name__)

_SCHEMA = 1
# How much faster reading must be than computing, and how many seconds it must save in a pass over
# the data; else the model runs its frozen stages.
_GAIN, _LEAST_SECONDS = 1.5, 0.05
_WAIT_SECONDS = 600.0
# Shares of the free memory and of the free disk that an entry may take.
_OF_MEMORY, _OF_DISK = 0.25, 0.5


class ActivationStore:
    """Keeps the outputs of a trial's frozen stages (``engine.activations.Keeper``)."""

    def __init__(self, spec: TrialSpec, data: Data, device: torch.device) -> None:
        self._spec, self._data, self._device = spec, data, device
        self._limit = int(spec.plan.activations_gb * 2**30)

    def get(
        self,
        staged: Staged,
        depth: int,
        part: Part,
        *,
        size: int,
        fill: bool,
        passes: int,
        before: Callable[[], None],
    ) -> Kept | None:
        """See ``Keeper.get``."""
        if not self._limit:
            return None
        split = activations.split(staged, depth, part.inputs, size)
        count = len(part.inputs)
        if split is None or not _pays(split, batches=count / size):
            return None

        def compute(rows: list[Tensor]) -> None:
            activations.compute(
                staged, split, part.inputs, rows, size=size, fill=fill, before=before
            )

        needed = count * split.sample_bytes
        if needed <= min(self._limit, _OF_DISK * _free_disk()):
            key = self._key(staged, depth, split, part, size=size, fill=fill)
            rows = self._stored(key, split, count, compute)
            if rows is not None:
                return Kept(split=split, rows=tuple(rows))
        if passes < 2 or needed > _OF_MEMORY * stages.free_memory():
            return None
        rows = [torch.empty((count, *shape), dtype=dtype) for shape, dtype in split.rows]
        compute(rows)
        return Kept(split=split, rows=tuple(rows))

    def _key(
        self, staged: Staged, depth: int, split: Split, part: Part, *, size: int, fill: bool
    ) -> str:
        spec, plan = self._spec, self._spec.plan
        provenance = environment.provenance(str(self._device), plan.threads)
        content = {
            "schema": _SCHEMA,
            "weights": _digest(staged, depth),
            "cut": [split.cut.path, split.cut.kept, depth],
            "backbone": record.plain(plan.backbone),
            "code": record.plain(plan.code),
            "dataset": record.plain(plan.dataset),
            "data": spec.data_digest,
            "index": hashlib.sha256(part.index.numpy().tobytes()).hexdigest(),
            "prepared": [self._data.mean, self._data.std, self._data.input_shape],
            "batch": [size, fill],
            "device": provenance,
        }
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _stored(
        self, key: str, split: Split, count: int, compute: Callable[[list[Tensor]], None]
    ) -> list[Tensor] | None:
        """The rows of an entry, computed if need be; None where it cannot be stored."""
        folder = _folder() / key
        try:
            with record.lock(_folder() / f"{key}.lock", wait_seconds=_WAIT_SECONDS):
                found = _read(folder)
                if found is None:
                    with writing(folder):
                        _write(folder, split, count, compute)
                    _evict(self._limit, keep=folder)
                    found = _read(folder)
        # An error of the inputs themselves comes again where the model reads them.
        except (OSError, Locked) as error:
            _LOGGER.warning("activations are not stored: %s", error)
            return None
        return found


def _pays(split: Split, batches: float) -> bool:
    saved = (split.seconds - split.gathering) * batches
    return split.seconds >= _GAIN * split.gathering and saved >= _LEAST_SECONDS


def _folder() -> Path:
    return downloads.folder() / "activations"


def _free_disk() -> int:
    folder = _folder()
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    return shutil.disk_usage(existing).free


def _digest(staged: Staged, depth: int) -> str:
    """Of the parameters and buffers of the frozen stages."""
    digest = hashlib.sha256()
    for name, tensors in list(staged.tensors())[:depth]:
        digest.update(name.encode())
        for tensor in tensors:
            digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
            content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(content.numpy().data)
    return digest.hexdigest()


def _write(folder: Path, split: Split, count: int, compute: Callable[[list[Tensor]], None]) -> None:
    """Write an entry whole or not at all."""
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        maps = []
        for number, (shape, dtype) in enumerate(split.rows):
            path = temporary / f"{number}.bin"
            kind = torch.empty(0, dtype=dtype).numpy().dtype
            # Reserved first: a full disk would kill a process that writes to a map.
            size = count * int(np.prod(shape)) * kind.itemsize
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(size, 1))
            maps.append(np.memmap(path, kind, mode="r+", shape=(count, *shape)))
        compute([torch.from_numpy(rows) for rows in maps])
        entries = []
        for number, rows in enumerate(maps):
            rows.flush()
            path = temporary / f"{number}.bin"
            mapped = Mapped(
                path=Path(path.name),
                shape=tuple(rows.shape),
                sha256=record.sha256_of(path),
                dtype=rows.dtype.name,
            )
            entries.append({**asdict(mapped), "path": path.name})
        record.write_atomically(temporary / "entry.json", json.dumps(entries).encode())
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read(folder: Path) -> list[Tensor] | None:
    """The rows of an entry; None where there is none, or it is damaged."""
    try:
        described: list[dict[str, Any]] = json.loads((folder / "entry.json").read_bytes())
        files = [
            Mapped(**{**entry, "path": folder / entry["path"], "shape": tuple(entry["shape"])})
            for entry in described
        ]
        if all(sha256_of(file.path) == file.sha256 for file in files):
            os.utime(folder)  # For ``_evict``: when it was last used.
            return [file.open() for file in files]
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return None


def _evict(limit: int, *, keep: Path) -> None:
    """Delete the entries that were not used for the longest time, until the others fit."""
    entries = []
    for path in _folder().iterdir():
        if path.suffix == ".tmp" and is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir() and path.suffix != ".tmp":
            size = sum(file.stat().st_size for file in path.glob("*.bin"))
            entries.append((path.stat().st_mtime, size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= limit:
            break
        # Who has it mapped keeps its content.
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)
            total -= size
