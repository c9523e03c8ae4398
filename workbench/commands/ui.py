"""``workbench ui``: MLflow's own server and pages on the store of a home."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from workbench.tracker import Tracker, store


def page(home: Path, port: int, study: str | None) -> str:
    """The address of all studies, or of the table of one study's runs.

    Raises:
        UnknownStudy: MLflow has no such study.
        StoreError: There is no store, or it cannot be used.
    """
    tracker = Tracker(home, create=False)
    if study is None:
        return store.page(port)
    # The studies of a file with ``across`` share an experiment.
    one = next(iter(tracker.cells(study)), study)
    return store.page(port, tracker.read_study(one).experiment_id)


def serve(home: Path, port: int) -> NoReturn:
    """Replace this process by MLflow's server, so that signals reach it directly."""
    command, added = store.serve(home, port)
    os.execve(command[0], command, {**os.environ, **added})
