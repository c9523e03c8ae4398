"""What comes from elsewhere: where it is kept, and who may fetch it.

Data sets and pretrained weights are fetched by one process, before a study runs; workers only use
what is there. Knows no data set and no model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_allowed = False


class Absent(ValueError):
    """Something is not on this machine. The message says what, and how to get it, in a sentence."""


@contextmanager
def allowed() -> Iterator[None]:
    """Let data sets and weights be downloaded within a block."""
    global _allowed
    before, _allowed = _allowed, True
    try:
        yield
    finally:
        _allowed = before


def may() -> bool:
    """Whether what is not here may be downloaded now."""
    return _allowed


def folder() -> Path:
    """Where data sets are kept: ``WORKBENCH_DATA``, or ``workbench`` in the user's cache."""
    if chosen := os.environ.get("WORKBENCH_DATA"):
        return Path(chosen).expanduser().resolve()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "workbench"
