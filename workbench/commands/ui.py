"""``workbench ui``: MLflow's own server and pages on the store of a home; or Optuna's dashboard."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from workbench import record
from workbench.commands import home_studies
from workbench.commands.home_studies import UnknownNameError
from workbench.messages import listed
from workbench.study import optuna_storage
from workbench.study.optuna_storage import StorageLocation
from workbench.tracker import Tracker, location, store
from workbench.tracker.shared_store import check_reachable


def server_of(home: Path, study: str | None) -> str | None:
    """The address of the tracking server that has the runs; None if one must be started."""
    shared = location.shared_store(home, study)
    return shared.uri.rstrip("/") if shared and shared.is_server else None


def page(home: Path, port: int, study: str | None) -> str:
    """The address of all studies, or of the table of one study's runs.

    Raises:
        UnknownStudyError: MLflow has no such study.
        StoreError: There is no store, or it cannot be used.
    """
    server = server_of(home, study) or f"http://127.0.0.1:{port}"
    tracker = Tracker(home, study, create=False)
    if study is None:
        return store.page(server)
    # The studies of a file with ``across`` share an experiment.
    one = next(iter(tracker.cells(study)), study)
    return store.page(server, tracker.read_study(one).experiment_id)


def serve(home: Path, port: int, study: str | None) -> NoReturn:
    """Replace this process by MLflow's server, so that signals reach it directly."""
    shared = location.shared_store(home, study)
    command, added = store.serve(home, port, shared.connection_uri if shared else None)
    os.execve(command[0], command, {**os.environ, **added})


def storage_of(home: Path, study: str | None) -> StorageLocation:
    """Optuna's storage of a study, for its dashboard.

    Raises:
        UnknownNameError: No study is named, or there is no such one, or no storage of it.
        StoreError: optuna-dashboard is not installed, or a database does not answer.
    """
    if find_spec("optuna_dashboard") is None:
        raise store.StoreError("Optuna's dashboard is not installed: pip install optuna-dashboard")
    if study is None:
        raise UnknownNameError("Name the study whose search is shown: workbench ui STUDY --optuna")
    names = home_studies.studies_of(home, study)
    if len(names) > 1:
        raise UnknownNameError(f"{study} has several searches; name one of {listed(names)}.")
    storage = optuna_storage.locate(record.study_directory(home, names[0]))
    if storage.uri is not None:
        check_reachable(storage.uri, optuna_storage.LABEL)
    elif not storage.file.is_file():
        raise UnknownNameError(
            f"{storage.file} is gone; the next `workbench run` of the study writes it."
        )
    return storage


def serve_optuna(storage: StorageLocation, port: int) -> None:
    """Serve Optuna's dashboard until Ctrl-C."""
    from workbench.study.search.storage import serve_dashboard

    serve_dashboard(storage, port)
