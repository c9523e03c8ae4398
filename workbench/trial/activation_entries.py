"""The files of one entry of the activation store: read, written, and computed by several workers.

The worker that writes an entry holds a lock whose note names the unfinished folder. Others find it
by that note and compute some of its chunks. Used by ``activations``.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench import record
from workbench.datasets.memmap import MappedArray, sha256_of
from workbench.engine import activations
from workbench.engine.activations import Request, Split
from workbench.record.files import LockedError, lock

WAIT_SECONDS = 0.25  # between two looks at whether the trial was asked to stop
_CHUNK = 16  # passes that one worker computes at a time; a multiple of ``VERIFIED``
_KNOWN = "known"  # the file that says which rows were copied from similar entries


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """An entry of the store.

    Attributes:
        rows: As the values of ``Split.first``, ``[N, ...]`` each, memory-mapped.
        index: The samples' numbers in the data set, ``int64 [N]``; -1 where a sample was computed
            in a smaller batch, so that its last bits may differ.
    """

    rows: list[Tensor]
    index: Tensor


def write(folder: Path, temporary: Path, request: Request, split: Split, verified: int) -> None:
    """Write an entry whole or not at all; other workers find ``temporary`` and compute a part."""
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        index = request.index.clone()
        index[request.full :] = -1
        maps = _maps(temporary, request, split, new=True)
        rows = [torch.from_numpy(values) for values in maps]
        known = _gather(folder, index[: request.full], split.first.values, rows)
        # Last of what other workers need.
        record.write_atomically(temporary / _KNOWN, known.numpy().tobytes())
        compute(temporary, request, split, verified, leads=True)
        maps.append(_reserved(temporary / "index.bin", index.shape, index.numpy().dtype))
        maps[-1][:] = index.numpy()
        entries = []
        for values in maps:
            values.flush()
            path = Path(str(values.filename))
            mapped = MappedArray(
                path=path,
                shape=tuple(values.shape),
                sha256=record.sha256_of(path),
                dtype=values.dtype.name,
            )
            entries.append({**asdict(mapped), "path": path.name})
        record.write_atomically(temporary / "entry.json", json.dumps(entries).encode())
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
        # Only now: a worker that finds a chunk undone would compute it again.
        for path in (folder / _KNOWN, *folder.glob("*.done"), *folder.glob("*.lock")):
            path.unlink()
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def compute(
    temporary: Path, request: Request, split: Split, verified: int, *, leads: bool = False
) -> None:
    """Compute the chunks of an unfinished entry that no other worker computes.

    Whoever leads waits for the others, and computes what a worker that has ended has left.
    """
    try:
        known = np.frombuffer((temporary / _KNOWN).read_bytes(), bool)
        rows = [torch.from_numpy(values) for values in _maps(temporary, request, split)]
        copied = torch.from_numpy(known.copy())
        chunks = range(0, len(activations.passes(request, copied)), _CHUNK)
        # Whoever leads first computes what is free, too.
        for wait, first in product((0.0, WAIT_SECONDS)[: 1 + leads], chunks):
            chunk, done = slice(first, first + _CHUNK), temporary / f"{first}.done"
            while not done.exists():
                request.before_batch()
                path = temporary / f"{first}.lock"
                with suppress(LockedError), lock(path, wait_seconds=wait, parents=False):
                    # In this order: what is complete is renamed, even after the lock was opened.
                    if not done.exists() and temporary.is_dir():
                        activations.compute(
                            request, split, rows, copied, numbers=chunk, verified=verified
                        )
                        done.touch()
                if not wait:
                    break
    except FileNotFoundError:
        # To the others: it does not exist yet, or is complete.
        if leads:
            raise


def _maps(
    folder: Path, request: Request, split: Split, *, new: bool = False
) -> list[np.memmap[Any, Any]]:
    """The files of an unfinished entry's rows, as arrays."""
    maps = []
    for number, value in enumerate(split.first.values):
        path, kind = folder / f"{number}.bin", value.numpy().dtype
        shape = (len(request.index), *value.shape[1:])
        maps.append(
            _reserved(path, shape, kind) if new else np.memmap(path, kind, mode="r+", shape=shape)
        )
    return maps


def _gather(folder: Path, index: Tensor, first: Sequence[Tensor], rows: Sequence[Tensor]) -> Tensor:
    """Copy the rows of samples that similar entries have; returns which were copied, ``bool``.

    Only from entries that have some of the first samples, with about the values ``first``.
    """
    known = torch.zeros(len(index), dtype=torch.bool)
    for path in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*"):
        entry = None if path.suffix == ".tmp" or known.all() else read(path)
        if entry is None:
            continue
        order = torch.argsort(entry.index)
        place = torch.searchsorted(entry.index, index, sorter=order).clamp(max=len(order) - 1)
        place = order[place]
        shared = entry.index[place] == index
        tried = torch.nonzero(shared[: len(first[0])]).flatten()
        pairs = zip(entry.rows, first, strict=True)
        if len(tried) and all(
            activations.is_close(row[place[tried]], value[tried]) for row, value in pairs
        ):
            for row, stored in zip(rows, entry.rows, strict=True):
                row[: len(index)][shared] = stored[place[shared]]
            known |= shared
    return known


def _reserved(path: Path, shape: tuple[int, ...], kind: np.dtype[Any]) -> np.memmap[Any, Any]:
    """A new file as an array. Its space is reserved: a full disk kills who writes to a map."""
    size = max(math.prod(shape) * kind.itemsize, 1)
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:  # macOS
            os.ftruncate(file.fileno(), size)
    return np.memmap(path, kind, mode="r+", shape=shape)


def read(folder: Path, first: Sequence[Tensor] = ()) -> Entry | None:
    """An entry; None where there is none, or it is damaged.

    Args:
        folder: Of the entry.
        first: About what the first rows must be, so that nothing that the key lacks can give wrong
            numbers.
    """
    try:
        described: list[dict[str, Any]] = json.loads((folder / "entry.json").read_bytes())
        files = [
            MappedArray(**{**entry, "path": folder / entry["path"], "shape": tuple(entry["shape"])})
            for entry in described
        ]
        if all(sha256_of(file.path) == file.sha256 for file in files):
            os.utime(folder)  # For ``_evict``: when it was last used.
            *rows, index = [file.open() for file in files]
            if not first or all(
                activations.is_close(row[: len(value)], value)
                for row, value in zip(rows, first, strict=True)
            ):
                return Entry(rows=rows, index=index)
    except (OSError, ValueError, TypeError, KeyError):
        pass
    return None
