"""Atomic writes, file locks, and errors of a full or failing disk. Used by all that is on disk."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import psutil


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DiskError(OSError):
    """A disk is full or fails; the message names the file, and the bytes needed and free."""


_WEEK_SECONDS = 7 * 86_400

# A full disk or quota, a failing disk, and one that was remounted read-only because it failed.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def is_disk_error(error: BaseException) -> bool:
    """Whether an error means that the disk is full or fails."""
    return isinstance(error, OSError) and (
        isinstance(error, DiskError) or error.errno in _DISK_ERRORS
    )


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """A block that writes a file.

    Args:
        path: The file or its folder.
        size: Bytes that it takes, if known.

    Raises:
        DiskError: The disk is full, or fails.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, DiskError) or not is_disk_error(error):
            raise
        if size is None and isinstance(error.filename, str):
            path = Path(error.filename)
        folder = next(at for at in (path, *path.absolute().parents) if at.is_dir())
        free = f"{shutil.disk_usage(folder).free:,} bytes are free"
        needed = "" if size is None else f"{size:,} bytes are needed, "
        raise DiskError(f"{path}: {error.strerror} ({needed}{free}).") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all: temporary file, fsync, rename.

    Raises:
        DiskError: The disk is full, or fails.
    """
    with writing(path, len(content)), replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A block that writes a file in parts, which replaces the one of that name when it ends."""
    # Two processes may write the same file, so each has a temporary file of its own.
    temporary = path.with_name(f"{path.name}.{own_writer()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # After fsync: a rename may reach the disk before the content does.
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def own_writer() -> str:
    """Name of the own process in that of a temporary file (``NAME.PID@HOST.END``)."""
    return f"{os.getpid()}@{_host()}"


def is_temporary(path: Path) -> bool:
    """Whether a file is an unfinished one of ``write_atomically``."""
    return path.suffix == ".tmp" and _writer(path)[0].isdecimal()


def is_abandoned(path: Path) -> bool:
    """Whether the process of a temporary file has ended; on another host, if it is a week old."""
    pid, host = _writer(path)
    if not pid.isdecimal():
        return False
    if host in ("", _host()):
        return not psutil.pid_exists(int(pid))
    with suppress(FileNotFoundError):  # Its process may end at this moment.
        return time.time() - path.stat().st_mtime > _WEEK_SECONDS
    return False


def _host() -> str:
    # A dot would end the part of the name.
    return socket.gethostname().replace(".", "-")


def _writer(path: Path) -> tuple[str, str]:
    """Process number and host in a temporary name; earlier versions wrote no host."""
    pid, _, host = "".join(path.suffixes[-2:-1])[1:].partition("@")
    return pid, host


def sweep(folder: Path) -> None:
    """Remove the temporary files of killed writers in a folder and its subfolders."""
    for path in folder.rglob("*.tmp"):
        if is_abandoned(path):
            path.unlink(missing_ok=True)


class LockUnsupportedError(OSError):
    """The file system has no locks; the message names the file."""


class LockedError(Exception):
    """Another process holds the lock; the message is the holder's note."""


# Errors of flock on Lustre without the option flock, and on some NFS and container mounts.
_UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)

# ``holder`` takes the lock for an instant to test it; a lock must not fail because of that.
_TEST_SECONDS = 0.1


@contextmanager
def lock(
    path: Path, *, note: str = "", wait_seconds: float = 0.0, parents: bool = True
) -> Iterator[None]:
    """Hold an exclusive lock on a file for the length of a block.

    The operating system releases it when the process ends, so it is never stale.

    Args:
        path: The lock's file; created if needed, and never deleted.
        note: Describes the holder, for the message of ``LockedError``.
        wait_seconds: How long to wait for another holder; may be infinite.
        parents: Whether the file's folder is made if there is none.

    Raises:
        FileNotFoundError: There is no folder, and it is not made.
        LockedError: The holder did not release it in time.
        LockUnsupportedError: The file system has no locks.
    """
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    # Not "w+", which would delete the holder's note.
    with path.open("a+") as file:
        deadline = time.monotonic() + max(wait_seconds, _TEST_SECONDS)
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    raise LockedError(file.read().strip()) from None
                time.sleep(0.05)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                raise LockUnsupportedError(
                    f"{path}: this file system does not support file locks (flock: "
                    f"{error.strerror}). Choose a --home on a local disk, or mount the file "
                    "system with locks."
                ) from error
        file.truncate(0)
        file.write(note)
        file.flush()
        yield


def holder(path: Path) -> str | None:
    """The note of a lock's holder, or None if the lock is free."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip()
            except OSError as error:
                # A file system without locks: the lock cannot be held.
                if error.errno not in _UNSUPPORTED:
                    raise
    except FileNotFoundError:
        pass
    return None
