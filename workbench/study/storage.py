"""Optuna's storage of a study, and whether the trials in it belong to the study as it is now.

Knows no sampler and no trial's record; a definition is plain data, compared field by field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage

from workbench.config.changes import Changed, differences


def open_storage(path: Path) -> RDBStorage:
    """Optuna's storage in a sqlite file, set up for one writer that may be killed at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def connected(connection: Any, _: object) -> None:
        # The driver of sqlite would begin transactions late, as readers; see `begun`.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @sqlalchemy.event.listens_for(storage.engine, "begin")
    def begun(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    storage.engine.dispose()
    return storage


def refuse_changes(
    storage: RDBStorage, definitions: Mapping[str, Mapping[str, Any]], *, study: str, file: Path
) -> None:
    """Refuse a study whose stored trials were made with other settings.

    Args:
        storage: Where the trials are.
        definitions: Of each group of trials, as it is now.
        study: The study's name.
        file: The study's file.

    Raises:
        Changed: Lists what differs, with the groups that it concerns.
    """
    summaries = optuna.get_all_study_summaries(storage, include_best_trial=False)
    known = {summary.study_name: summary for summary in summaries}
    changes: dict[str, list[str]] = {}
    for name, definition in definitions.items():
        stored = known[name].user_attrs.get("definition") if name in known else None
        if stored is not None:
            for change in differences(json.loads(stored), definition):
                changes.setdefault(change, []).append(name)
    if changes:
        lines = [f"  {change}  ({', '.join(names)})" for change, names in changes.items()]
        code = any("code." in change for change in changes)
        raise Changed(
            f"{file}: the study {study} has trials that were made with other settings:\n"
            + "\n".join(lines)
            + "\nGive the study a new name, or restore these settings; a new level of compare and "
            "a larger number of trials are no change."
            + (
                " Corrected code is accepted with --retry-failed where no trial of these has a "
                "result of the old code: results of both could not be compared."
                if code
                else ""
            )
        )
