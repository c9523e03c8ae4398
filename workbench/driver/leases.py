"""Who drives a study: one process at a time, told by a lock that its end releases.

Knows neither trials nor workers.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.record.files import Locked, holder, lock, sweep


class Busy(Exception):
    """Another process holds the study, or one of its runs."""


@contextmanager
def lease(study_directory: Path, *, wait: bool = False) -> Iterator[None]:
    """Be the only driver of a study for the length of a block.

    Raises:
        Busy: Another process is; the message says which.
    """
    note = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    patience = float("inf") if wait else 0.0
    try:
        with lock(study_directory / "lock", note=json.dumps(note), wait_seconds=patience):
            sweep(study_directory)
            yield
    except Locked as locked:
        raise Busy(
            f"The study {study_directory.name} is being driven by {_holder(str(locked))}; "
            "--wait waits until that has ended."
        ) from None


def holder_of(study_directory: Path) -> str | None:
    """Who drives a study just now, in words, or None. Needs no right to write."""
    note = holder(study_directory / "lock")
    return None if note is None else _holder(note)


def _holder(note: str) -> str:
    try:
        known = json.loads(note)
        return f"process {known['pid']} on {known['host']}, since {known['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
