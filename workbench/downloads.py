"""Permission to download data sets and pretrained weights, and the folder of data sets.

One process downloads, before a study runs; workers only use local copies.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_allowed = False


class NotDownloadedError(ValueError):
    """A data set or a model is not on this machine. The message says which, and how to get it."""


@contextmanager
def allowed() -> Iterator[None]:
    """Allow downloads for the length of a block."""
    global _allowed
    # Blocks may be nested: the inner one must not forbid what the outer one allows.
    before, _allowed = _allowed, True
    try:
        yield
    finally:
        _allowed = before


def may() -> bool:
    """Whether downloads are allowed now."""
    return _allowed


def folder() -> Path:
    """Folder of data sets: ``WORKBENCH_DATA``, or ``workbench`` in the user's cache."""
    if chosen := os.environ.get("WORKBENCH_DATA"):
        return Path(chosen).expanduser().resolve()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "workbench"
