"""Files that more than one process looks at: whole or not there, and locked by one at a time.

Knows no trial and no study: only bytes, paths and the operating system's locks.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DiskError(OSError):
    """A disk is full, or fails; the message names the file, and the bytes needed and free."""


# A full disk or quota, a disk that fails, and one that was made read-only because it failed.
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def is_disk_error(error: BaseException) -> bool:
    """Whether an error is the disk's: full, or failing."""
    return isinstance(error, OSError) and (
        isinstance(error, DiskError) or error.errno in _DISK_ERRORS
    )


@contextmanager
def writing(path: Path, size: int | None = None) -> Iterator[None]:
    """A block that writes a file.

    Args:
        path: The file or its folder.
        size: Bytes that it takes, where they are known.

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
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with writing(path, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Whether a file is one that ``write_atomically`` has not finished (``NAME.PID.tmp``)."""
    return path.suffix == ".tmp" and _writer(path).isdecimal()


def is_abandoned(path: Path) -> bool:
    """Whether the process whose number stands in a temporary name (``NAME.PID.END``) is gone."""
    pid = _writer(path)
    return pid.isdecimal() and not psutil.pid_exists(int(pid))


def _writer(path: Path) -> str:
    """What stands in a temporary name in the place of a process number."""
    return path.suffixes[-2][1:] if len(path.suffixes) > 1 else ""


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed writers left anywhere below a folder."""
    for path in folder.rglob("*.tmp"):
        if is_abandoned(path):
            path.unlink(missing_ok=True)


class LockUnsupported(OSError):
    """The file system has no locks; the message names the file."""


class Locked(Exception):
    """Another process holds the lock; the message is what the holder wrote into it."""


# What flock says on Lustre without the option flock, and on some NFS and container mounts.
_UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)

# Whoever only looks whether a lock is held holds it for an instant: that must refuse nobody.
_GLANCE_SECONDS = 0.1


@contextmanager
def lock(path: Path, *, note: str = "", wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold an exclusive lock on a file for the length of a block.

    The operating system releases it the moment the process dies, so it is never stale.

    Args:
        path: The lock's file, made if need be; it stays behind.
        note: Who holds it, for whoever is refused.
        wait_seconds: How long to wait for another holder; infinity waits for ever.

    Raises:
        Locked: The holder did not let go in time.
        LockUnsupported: The file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        patience = time.monotonic() + max(wait_seconds, _GLANCE_SECONDS)
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= patience:
                    file.seek(0)
                    raise Locked(file.read().strip()) from None
                time.sleep(0.05)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                raise LockUnsupported(
                    f"{path}: this file system does not support file locks (flock: "
                    f"{error.strerror}). Choose a --home on a local disk, or mount the file "
                    "system with locks."
                ) from error
        file.truncate(0)
        file.write(note)
        file.flush()
        yield


def holder(path: Path) -> str | None:
    """What the holder of a lock wrote into it, or None where nobody holds it."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip()
            except OSError as error:
                # Nobody can hold a lock where there are none.
                if error.errno not in _UNSUPPORTED:
                    raise
    except FileNotFoundError:
        pass
    return None
