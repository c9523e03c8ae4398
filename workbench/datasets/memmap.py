"""Arrays in files that are mapped into memory: read when they are accessed, shared by processes.

Used by ``arrays``, the cache of decoded images and ``preprocessing``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.record import files


@dataclass(frozen=True, kw_only=True)
class MappedArray:
    """An array in a file.

    Attributes:
        shape: Of the array, samples first.
        sha256: Of its content.
        dtype: Name of NumPy's dtype.
        offset: Bytes before it in the file.
    """

    path: Path
    shape: tuple[int, ...]
    sha256: str
    dtype: str = "uint8"
    offset: int = 0

    def open(self) -> Tensor:
        """The array as a read-only memory map: writing to it crashes the process."""
        array = np.memmap(self.path, self.dtype, mode="r", offset=self.offset, shape=self.shape)
        return tensor_of(array)


def tensor_of(array: NDArray[Any]) -> Tensor:
    """A tensor that shares the memory of a read-only array.

    A writable private map would count as allocated memory and fail for files larger than that.
    """
    # torch warns that writing is undefined behaviour; nothing here writes.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def sha256_of(path: Path) -> str:
    """Hash of a file's content, computed once per process (at 1 GB/s or more).

    It is not stored on disk, so that a file that was damaged later is noticed.

    Raises:
        OSError: It cannot be read.
    """
    state = path.stat()
    return _sha256(path.resolve(), state.st_size, state.st_mtime_ns, state.st_ctime_ns)


# Size and times are part of the key: a file that has changed is read again.
@lru_cache(maxsize=64)
def _sha256(path: Path, *_: int) -> str:
    return files.sha256_of(path)
