"""Caches what was read from files, for the next command: reading them again may take minutes.

The cache is in ``downloads.folder()/files`` and may be deleted at any time; files that were
not used for 30 days are deleted. A file is valid as long as nothing differs: what was asked,
Workbench's own files, the installed packages, and the path, size, inode and times of every file
that was read.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import workbench
from workbench import downloads
from workbench.record.contents import plain
from workbench.record.files import write_atomically

# A file that was written twice within one tick of the file system's clock keeps its time.
_TICK_NS = 2 * 10**9
_UNUSED_SECONDS = 30 * 24 * 3600
# Hash of the states of the files at a path, and the youngest time among them, in ns.
FileState = tuple[str, int]
# As this process first saw each path: what it has read since may be of then, and not of now.
_FIRST: dict[Path, str] = {}


class FileCache:
    """What one look found, as JSON.

    Args:
        key: What is looked at and how, in values of JSON.
        paths: The files that are read; of a folder, all that is in it. They need not exist.
        states: Of paths that a command has seen; those of ``paths`` are added. A folder may hold a
            million files, and one command may look at it often.
    """

    def __init__(
        self, key: object, paths: Sequence[Path], *, states: dict[Path, FileState] | None = None
    ) -> None:
        states = {} if states is None else states
        text = json.dumps(plain(key), sort_keys=True)
        name = hashlib.sha256(text.encode()).hexdigest()[:32]
        self._path = downloads.folder() / "files" / f"{name}.json"
        # Before the look: what changes while it is taken must not pass for what it saw.
        states |= {path: state_of(path) for path in paths if path not in states}
        self._state = {str(path): states[path][0] for path in paths}
        unchanged = [_FIRST.setdefault(path, states[path][0]) == states[path][0] for path in paths]
        youngest = max((states[path][1] for path in paths), default=0)
        self._settled = all(unchanged) and youngest < time.time_ns() - _TICK_NS

    def get(self) -> Any:
        """What was found, or None where something differs or nothing was kept."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._path.read_bytes())
            if kept["state"] == [_program(), self._state]:
                with suppress(OSError):  # The cache may be read-only.
                    os.utime(self._path)
                return kept["found"]
        return None

    def put(self, found: object) -> None:
        """Keep what the look found: a value of JSON, not None."""
        if self._settled:
            content = json.dumps({"state": [_program(), self._state], "found": found})
            # Nothing is lost where the cache cannot be written to.
            with suppress(OSError):
                write_atomically(self._path, content.encode())
                _drop_unused(self._path.parent)


@cache
def _drop_unused(folder: Path) -> None:
    """Delete the files that were not used for long; once per process."""
    for file in folder.iterdir():
        if file.stat().st_mtime < time.time() - _UNUSED_SECONDS:
            file.unlink()


@cache
def _program() -> str:
    """Hash of what looks: Workbench's files, and the folders of packages, which pip changes."""
    packages = [Path(at) for at in sys.path if at.endswith("-packages")]
    times = [at.stat().st_mtime_ns for at in packages if at.is_dir()]
    code, _ = state_of(Path(workbench.__file__).parent, ending=".py")
    return hashlib.sha256(json.dumps([sys.version, times, code]).encode()).hexdigest()


def state_of(path: Path, ending: str = "") -> FileState:
    """The state of a file, or of all files in a folder; it changes with any of them.

    Args:
        path: Need not exist.
        ending: Only of files whose names end so.
    """
    digest, youngest = hashlib.sha256(), 0
    for name, state in _found_at(path, set()):
        if not name.endswith(ending):
            continue
        numbers = [state.st_dev, state.st_ino]
        # The times of a folder tell of temporary files; what it holds is listed itself.
        if not stat.S_ISDIR(state.st_mode):
            numbers += [state.st_size, state.st_mtime_ns, state.st_ctime_ns]
            youngest = max(youngest, *numbers[3:])
        digest.update(f"{name}\0{numbers}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest(), youngest


def _found_at(
    path: Path | os.DirEntry[str], seen: set[tuple[int, int]]
) -> Iterator[tuple[str, os.stat_result]]:
    """A path and, of a folder, all that is in it, each with its state; links are followed."""
    try:
        state = path.stat()
    except OSError:
        return  # There is none, or it is a link to nothing.
    yield os.fspath(path), state
    at = (state.st_dev, state.st_ino)
    # A link may lead back to a folder above it.
    if stat.S_ISDIR(state.st_mode) and at not in seen:
        seen.add(at)
        with suppress(PermissionError), os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                yield from _found_at(entry, seen)
