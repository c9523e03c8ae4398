"""Files of a trial, sent to a node that does not share the home, and sent back.

A trial takes along its record, the study's descriptions and the files that its plan names inside
the home; its record comes back whenever it has changed. Everything else, such as data sets and
weights that have a name, a node finds or downloads itself.
"""

from __future__ import annotations

from pathlib import Path

from workbench.record import TrialDirectory
from workbench.record.files import is_temporary, write_atomically
from workbench.record.places import home_of, inside

Files = dict[str, bytes]  # contents by the path in the home

# Of a trial's record: what a node needs and writes alone. A node's own checkpoint before the last
# one, and its lock, stay there.
_LEFT = ("lock", "checkpoint.1.pt", "checkpoint.1.pt.sha256")


def needed(directory: TrialDirectory) -> tuple[str, Files]:
    """The path of a trial's record in its home, and what a node needs for the trial.

    Raises:
        FileNotFoundError: The directory is in no home, or has no specification.
    """
    home, spec = home_of(directory.path), directory.stored_spec()
    if home is None or spec is None:
        raise FileNotFoundError(f"{directory.path} is not the record of a trial in a home.")
    at = directory.path.resolve()
    study = next(folder for folder in at.parents if folder.parent.name == "studies")
    paths = [*study.glob("*.json"), *_record(at)]
    for text in inside(spec.plan):
        named = home / text
        # A model with its weights and its tokenizer, or images by class, are a folder.
        paths += named.rglob("*") if named.is_dir() else [named]
    files = {str(path.relative_to(home)): path.read_bytes() for path in paths if path.is_file()}
    return str(at.relative_to(home)), files


def take_back(directory: TrialDirectory, files: Files) -> None:
    """Write what a node has changed in a trial's record.

    Raises:
        ValueError: A file is not in the record.
        DiskError: The disk is full, or fails.
    """
    home, at = home_of(directory.path), directory.path.resolve()
    if not files or home is None:
        return
    for name in files:
        if not (home / name).resolve().is_relative_to(at):
            raise ValueError(f"A node sent {name!r}, which is not in {at}.")
    write(home, files)
    result = directory.result()
    if result is not None and result.state.ended:
        directory.drop_checkpoints()


def _record(directory: Path) -> list[Path]:
    return [
        path
        for path in directory.rglob("*")
        if path.is_file() and path.name not in _LEFT and not is_temporary(path)
    ]


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

    def take(self) -> Files:
        """The changed files: a state of training after its digest and its history."""
        before, self._known = self._known, self._states()
        changed = [path for path, state in self._known.items() if before.get(path) != state]
        changed.sort(key=lambda path: path.suffix == ".pt")
        return {str(path.relative_to(self._home)): path.read_bytes() for path in changed}

    def _states(self) -> dict[Path, tuple[int, int]]:
        states = {}
        for path in _record(self._directory):
            state = path.stat()
            states[path] = (state.st_mtime_ns, state.st_size)
        return states
