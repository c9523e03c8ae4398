"""The lease of a study: one process at a time may run it.

The operating system releases the lock when the process ends. Used by every command that writes to a
study; ``list`` and ``show`` ask who holds it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.record.files import LockedError, holder, lock, sweep

# The holder has not written its note yet, or wrote it in the form of an older version.
_UNKNOWN = "another process"


class StudyBusyError(Exception):
    """Another process holds the study, or one of its runs."""


@contextmanager
def lease(study_directory: Path, *, wait: bool = False) -> Iterator[None]:
    """Be the only driver of a study for the length of a block.

    Args:
        study_directory: Directory of the study's records.
        wait: Wait until another driver has ended.

    Raises:
        StudyBusyError: Another process holds the lease; the message names it.
    """
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    note = f"process {os.getpid()} on {socket.gethostname()}, since {since}"
    wait_seconds = float("inf") if wait else 0.0
    try:
        with lock(study_directory / "lock", note=note, wait_seconds=wait_seconds):
            # Only now: no other driver can be writing these temporary files.
            sweep(study_directory)
            yield
    except LockedError as locked:
        raise StudyBusyError(
            f"Study {study_directory.name} is already running: {_in_words(str(locked))}. "
            "Use --wait to wait for it to finish."
        ) from None


def holder_of(study_directory: Path) -> str | None:
    """The process that runs a study now, in words, or None. Needs no write permission."""
    note = holder(study_directory / "lock")
    return None if note is None else _in_words(note)


def _in_words(note: str) -> str:
    """Say who holds a lease: an older version may hold it, which wrote a JSON object."""
    return _UNKNOWN if not note or note.startswith("{") else note
