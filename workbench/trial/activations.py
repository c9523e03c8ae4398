"""The activation store: outputs of frozen stages, computed once and shared by trials and studies.

It is under ``downloads.folder()/activations`` and may be deleted at any time. An entry is found by
all that its numbers depend on: the weights and the code of the frozen stages, the samples and how
they were prepared, the size of a batch, threads, processor and versions. One worker computes an
entry while others wait. Used by ``trial.trainers``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from workbench import downloads, record
from workbench.backbones.stages import Staged
from workbench.datasets.memmap import Mapped, sha256_of
from workbench.engine import activations
from workbench.engine.activations import NotReplayable, Request, Split, StoredActivations
from workbench.record import TrialSpec, environment
from workbench.record.files import Locked, is_abandoned, writing

if TYPE_CHECKING:
    from workbench.datasets import Data

_LOGGER = logging.getLogger(__name__)

_SCHEMA = 1
# How much faster reading must be than computing, and how many seconds it must save in a pass over
# the data; else the model runs its frozen stages.
_GAIN, _LEAST_SECONDS = 1.5, 0.05
_WAIT_SECONDS = 0.25  # between two looks at whether the trial was asked to stop
_OF_DISK = 0.5  # share of the free disk that an entry may take


class ActivationStore:
    """The store as a trial uses it (``engine.activations.ActivationSource``)."""

    def __init__(self, spec: TrialSpec, data: Data, device: torch.device) -> None:
        self._spec, self._data, self._device = spec, data, device
        self._limit = int(spec.plan.activations_gb * 2**30)

    def get(self, request: Request) -> StoredActivations | None:
        """See ``ActivationSource``."""
        if not self._limit:
            return None
        count, split = len(request.index), activations.split(request)
        if split is None or not _is_worth_storing(split, count):
            return None
        needed = count * split.sample_bytes
        if needed > min(self._limit, _OF_DISK * _free_disk()):
            return None
        key = self._key(request, split)
        folder = _folder() / key
        try:
            with _locked(_folder() / f"{key}.lock", request.before):
                rows = _read(folder, split.first)
                if rows is None:
                    _evict(self._limit - needed)
                    with writing(folder):
                        _write(folder, request, split)
                    rows = _read(folder, split.first)
        # An error of the inputs themselves comes again where the model reads them.
        except (OSError, NotReplayable) as error:
            _LOGGER.warning("the outputs of frozen stages are not stored: %s", error)
            return None
        if rows is None:
            return None
        return StoredActivations(split=split, rows=tuple(rows), sizes=request.sizes)

    def _key(self, request: Request, split: Split) -> str:
        spec, plan = self._spec, self._spec.plan
        content = {
            "schema": _SCHEMA,
            "weights": _digest(request.staged, request.depth),
            "cut": [split.cut.path, split.cut.kept, request.depth],
            "backbone": record.plain(plan.backbone),
            "code": record.plain(plan.code),
            "dataset": record.plain(plan.dataset),
            "data": spec.data_digest,
            "index": hashlib.sha256(request.index.numpy().tobytes()).hexdigest(),
            "prepared": [self._data.mean, self._data.std, self._data.input_shape],
            "batch": [request.size, request.pad_last],
            "device": environment.provenance(str(self._device), plan.threads),
        }
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@contextmanager
def _locked(path: Path, before: Callable[[], None]) -> Iterator[None]:
    """Hold an entry's lock; a stop is heard while another worker computes the entry."""
    with ExitStack() as stack:
        while True:
            before()
            with suppress(Locked):
                stack.enter_context(record.lock(path, wait_seconds=_WAIT_SECONDS))
                break
        yield


def _is_worth_storing(split: Split, count: int) -> bool:
    saved = (split.seconds - split.reading) * count
    return split.seconds >= _GAIN * split.reading and saved >= _LEAST_SECONDS


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


def _write(folder: Path, request: Request, split: Split) -> None:
    """Write an entry whole or not at all."""
    # Of this machine: the folder may be shared with others, whose processes have other numbers.
    temporary = folder.with_name(f"{folder.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        maps = []
        for number, value in enumerate(split.first):
            path, kind = temporary / f"{number}.bin", value.numpy().dtype
            shape = (len(request.index), *value.shape[1:])
            with path.open("wb") as file:
                # Reserved first: a full disk would kill a process that writes to a map.
                _reserve(file.fileno(), max(math.prod(shape) * kind.itemsize, 1))
            maps.append(np.memmap(path, kind, mode="r+", shape=shape))
        activations.compute(request, split, [torch.from_numpy(rows) for rows in maps])
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


def _reserve(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:  # macOS
        os.ftruncate(file, size)


def _read(folder: Path, first: Sequence[Tensor]) -> list[Tensor] | None:
    """The rows of an entry; None where there is none, or it is damaged.

    Args:
        folder: Of the entry.
        first: About what the first rows must be, so that nothing that the key lacks can give wrong
            numbers.
    """
    try:
        described: list[dict[str, Any]] = json.loads((folder / "entry.json").read_bytes())
        files = [
            Mapped(**{**entry, "path": folder / entry["path"], "shape": tuple(entry["shape"])})
            for entry in described
        ]
        if all(sha256_of(file.path) == file.sha256 for file in files):
            os.utime(folder)  # For ``_evict``: when it was last used.
            rows = [file.open() for file in files]
            pairs = zip(rows, first, strict=True)
            # The size of a batch, which is another one here, may change the last bits.
            same = all(torch.allclose(row[: len(v)], v, 1e-3, 1e-5) for row, v in pairs)
            return rows if same else None
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return None


def _evict(limit: int) -> None:
    """Delete the entries that were not used for the longest time, until the others fit."""
    entries = []
    for path in _folder().iterdir():
        if path.suffix == ".tmp":
            if f".{socket.gethostname()}." in path.name and is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir():
            size = sum(file.stat().st_size for file in path.glob("*.bin"))
            entries.append((path.stat().st_mtime, size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= limit:
            break
        # A process that has it mapped keeps its content.
        shutil.rmtree(path, ignore_errors=True)
        total -= size
