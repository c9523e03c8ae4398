"""Files of a trial, sent to a node that does not share the home, and sent back.

A trial takes along its record, the study's descriptions and the files that its plan names inside
the home; what it writes comes back whenever it has changed. Everything else, such as data sets and
weights that have a name, a node finds or downloads itself.
"""

from __future__ import annotations

import os
from pathlib import Path

from workbench.record import TrialDirectory
from workbench.record.files import is_temporary, write_atomically
from workbench.record.places import home_of, inside

Files = dict[str, bytes]  # contents by the path in the home
# Time in ns and size of the files, by the path in the home.
Sent = dict[str, tuple[int, int]]

# Of a trial's record: a node's own checkpoint before the last one, and its lock, stay there.
_STAYS = ("lock", "checkpoint.1.pt", "checkpoint.1.pt.sha256")
# The driver's own: what the trial is, and with it which code is run.
_DRIVERS = "spec.json"
_ORDER = {"checkpoint.pt": 1, "result.json": 2}


def files_for(directory: TrialDirectory, sent: Sent) -> tuple[str, Files]:
    """The path of a trial's record in its home, and what a node needs for the trial.

    Args:
        directory: The record.
        sent: What the node has of earlier trials, beside their records; completed.

    Raises:
        FileNotFoundError: The directory is in no home, or has no specification.
    """
    at, spec = directory.path.absolute(), directory.stored_spec()
    home = home_of(at)
    if home is None or spec is None:
        raise FileNotFoundError(f"{at} is not the record of a trial in a home.")
    study = next(folder for folder in at.parents if folder.parent.name == "studies")
    files = [*study.glob("*.json"), *_record(at)]
    for text in inside(spec.plan):
        named = home / text
        # A model with its weights and its tokenizer, or images by class, are a folder.
        for path in named.rglob("*") if named.is_dir() else [named]:
            name = str(path.relative_to(home))
            if path.is_file() and sent.get(name) != (state := _state(path)):
                sent[name] = state
                files.append(path)
    return str(at.relative_to(home)), {str(f.relative_to(home)): f.read_bytes() for f in files}


def write_back(directory: TrialDirectory, files: Files) -> None:
    """Write what a node has changed in a trial's record.

    Raises:
        ValueError: A file is not one that a trial writes into its record.
        DiskError: The disk is full, or fails.
    """
    at = directory.path.absolute()
    home = home_of(at)
    if not files or home is None:
        return
    for name in files:
        path = Path(os.path.normpath(home / name))
        if not path.is_relative_to(at) or path.name == _DRIVERS or path.suffix == ".py":
            raise ValueError(f"A node sent {name!r}, which no trial writes into {at}.")
    write(home, files)
    result = directory.result()
    if result is not None and result.state.ended:
        directory.drop_checkpoints()


def write(home: Path, files: Files) -> None:
    """Write files into a home, in their order.

    Raises:
        DiskError: The disk is full, or fails.
    """
    for name, content in files.items():
        write_atomically(home / name, content)


class Changes:
    """Finds what has changed in a record on a node since it was last asked."""

    def __init__(self, home: Path, directory: Path) -> None:
        self._home = home
        self._directory = directory
        self._known = self._states()

    def collect(self) -> Files:
        """The changed files: a checkpoint after its digest and the history, the result last."""
        before, self._known = self._known, self._states()
        changed = [path for path, state in self._known.items() if before.get(path) != state]
        changed.sort(key=lambda path: _ORDER.get(path.name, 0))
        return {str(path.relative_to(self._home)): path.read_bytes() for path in changed}

    def _states(self) -> dict[Path, tuple[int, int]]:
        return {path: _state(path) for path in _record(self._directory) if path.name != _DRIVERS}


def _record(directory: Path) -> list[Path]:
    return [
        path
        for path in directory.rglob("*")
        if path.is_file() and path.name not in _STAYS and not is_temporary(path)
    ]


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_mtime_ns, state.st_size
