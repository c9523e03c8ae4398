"""Samples on disk that are mapped into memory: read when they are touched, shared by processes.

Knows neither what the samples are nor who wrote them.
"""

from __future__ import annotations

import hashlib
import json
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench import downloads

_CHUNK = 2**22


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """An array in a file.

    Attributes:
        shape: Of the array, samples first.
        sha256: Of its content.
        dtype: Name of NumPy's type.
        offset: Bytes before it in the file.
    """

    path: Path
    shape: tuple[int, ...]
    sha256: str
    dtype: str = "uint8"
    offset: int = 0

    def open(self) -> Tensor:
        """The array as a memory map, to be read only: writing to it ends the process."""
        array = np.memmap(self.path, self.dtype, mode="r", offset=self.offset, shape=self.shape)
        return tensor_of(array)


def tensor_of(array: NDArray[Any]) -> Tensor:
    """A tensor in the memory of an array that cannot be written to.

    A private map that could be would count as memory: it fails where the file is larger.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def sha256_of(path: Path) -> str:
    """Hash of a file's content, remembered as long as its size and time of change stay the same.

    Gigabytes are hashed once, not in every worker. A folder that cannot be written to costs time,
    nothing else.
    """
    state = path.stat()
    key = json.dumps([str(path.resolve()), state.st_size, state.st_mtime_ns])
    note = downloads.folder() / "hashes" / hashlib.sha256(key.encode()).hexdigest()
    try:
        if len(known := note.read_text()) == 64:
            return known
    except OSError:
        pass
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        beside = note.with_name(f".{uuid.uuid4().hex}")
        beside.write_text(digest.hexdigest())
        beside.replace(note)
    except OSError:
        pass
    return digest.hexdigest()
