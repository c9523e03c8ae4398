"""Optuna's storage of a study, and whether the trials in it belong to the study as it is now."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from urllib.parse import quote

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.study import StudySummary
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from workbench import usercode
from workbench.record import DamagedRecordError
from workbench.study.config.changes import StudyChangedError, differences
from workbench.study.fingerprint import source_of
from workbench.study.optuna_storage import LABEL, StorageLocation
from workbench.study.study import Study, StudyStrategy
from workbench.tracker.shared_store import check_reachable, problem_at, redacted


class StorageError(OSError):
    """Optuna's storage is of another version, or lacks what no record can replace."""


def open_storage(location: StorageLocation) -> RDBStorage:
    """Optuna's storage, set up for one writer of each study, which may be killed at any time.

    Raises:
        StorageError: It is of another version of Optuna.
        StoreError: A database does not answer, or refuses.
    """
    try:
        return _open_sqlite(location) if location.uri is None else _open_database(location)
    except RuntimeError as error:
        raise StorageError(
            f"{location.shown} was written by another version of Optuna. {error} (STORAGE_URL is "
            f"{redacted(location.url)}; make a copy of it first.)"
        ) from error


def _open_database(location: StorageLocation) -> RDBStorage:
    check_reachable(str(location.uri), LABEL)
    # Where the machine of the server is gone, a statement would wait for many minutes.
    limits = {"tcp_user_timeout": 10_000, "keepalives_idle": 10}
    engine = sqlalchemy.create_engine(str(location.uri), poolclass=sqlalchemy.NullPool)
    try:
        with engine.begin() as connection:
            # Two homes that open a new database together would both make its tables, and one fail.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('optuna'))")
            storage = RDBStorage(location.url, {"connect_args": limits, "pool_pre_ping": True})
    except SQLAlchemyError as error:
        raise problem_at(str(location.uri), error, LABEL) from None

    @sqlalchemy.event.listens_for(storage.engine, "handle_error")
    def failed(context: sqlalchemy.engine.ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        # Optuna handles doubles; of another error it would sleep, and hide what the database said.
        if error and not context.is_pre_ping and not isinstance(error, IntegrityError):
            raise problem_at(storage.url, error, LABEL)

    return storage


def _open_sqlite(location: StorageLocation) -> RDBStorage:
    location.directory.mkdir(parents=True, exist_ok=True)
    storage = RDBStorage(location.url, {"connect_args": {"timeout": 60}})

    @sqlalchemy.event.listens_for(storage.engine, "connect")
    def connected(connection: Any, _: object) -> None:
        # The driver of sqlite would begin transactions late, as readers; see `begun`.
        connection.isolation_level = None
        # People look at the storage while the driver writes; with a log neither waits.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @sqlalchemy.event.listens_for(storage.engine, "begin")
    def begun(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    # Connections that were opened before the two listeners must not be used again.
    storage.engine.dispose()
    return storage


def close_storage(storage: RDBStorage) -> None:
    """Close all connections: the last one to close writes the log into the file."""
    storage.remove_session()
    storage.engine.dispose()


def serve_dashboard(location: StorageLocation, port: int) -> None:
    """Serve optuna-dashboard on a storage until the process is stopped; it cannot write to it.

    Raises:
        ModuleNotFoundError: optuna-dashboard is not installed.
    """
    run_server = resolve_name("optuna_dashboard:run_server")
    # Read only: what a page deletes or notes must not meet the driver, which is the only writer.
    if location.uri is None:
        url = f"sqlite:///file:{quote(str(location.file))}?mode=ro&uri=true"
    else:
        address = sqlalchemy.make_url(location.url)
        # Options of an address are used in place of those of the variable; the last one counts.
        given = address.query.get("options") or os.environ.get("PGOPTIONS", "")
        options = f"{given} -c default_transaction_read_only=on"
        address = address.update_query_dict({"options": options})
        url = address.render_as_string(hide_password=False)
    run_server(url, host="127.0.0.1", port=port)


def stored_definitions(
    location: StorageLocation, groups: Iterable[str], storage: RDBStorage
) -> dict[str, dict[str, Any] | None]:
    """The settings that the trials of each group were made with; None without trials.

    They are stored with the records, because Optuna's storage may be lost; earlier versions stored
    them only there.

    Raises:
        StorageError: There are records, but their settings were lost.
        DamagedRecordError: The file cannot be read.
    """
    directory, prefix = location.directory, location.prefix
    paths = {group: definition_path(directory, group) for group in groups}
    begun = {group: any(path.parent.glob("*/spec.json")) for group, path in paths.items()}
    summaries = {}
    # Asked only where it is needed: Optuna counts all trials.
    if not all(begun[group] and path.exists() for group, path in paths.items()):
        asked = optuna.get_all_study_summaries(storage, include_best_trial=False)
        summaries = {summary.study_name: summary for summary in asked}
    return {
        group: _stored_definition(directory, path, begun[group], summaries.get(prefix + group))
        for group, path in paths.items()
    }


def _stored_definition(
    directory: Path, path: Path, begun: bool, summary: StudySummary | None
) -> dict[str, Any] | None:
    if not begun and (summary is None or not summary.n_trials):
        return None  # A driver that ended before its first trial may have left settings.
    if path.exists():
        try:
            return dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError) as error:
            raise DamagedRecordError(
                f"{path} is damaged ({error}): it holds the settings of the trials in this "
                "directory. Restore the file, or give the study a new name."
            ) from error
    if summary is not None and "definition" in summary.user_attrs:
        return dict(json.loads(summary.user_attrs["definition"]))
    if begun:
        raise StorageError(
            f"{path} is missing, and Optuna's storage does not say with which settings the trials "
            f"in {path.parent} were made. Put the file back, or give the study a new name."
        )
    return None


def definition_path(directory: Path, group: str) -> Path:
    """The file with the settings that the trials of a group were made with."""
    return directory / "trials" / group / "definition.json"


def refuse_changes(stored: Mapping[str, Mapping[str, Any] | None], study: Study) -> None:
    """Refuse a study whose stored trials were made with other settings.

    Args:
        stored: Of each group of trials, as its trials were made; None where there are none.
        study: The study.

    Raises:
        StudyChangedError: Lists what differs by the keys of the study file, with their lines and
            the groups that it concerns.
    """
    changes: dict[str, list[str]] = {}
    coded = sampled = False
    for group in study.groups:
        before, now = stored[group.name], group.definition
        found = [] if before is None else differences(before, now)
        coded |= any("code." in change for change in found)
        own = usercode.is_reference(group.plan.dataset["name"])
        sampled |= own and any(change.startswith("data:") for change in found)
        for line in dict.fromkeys(_by_keys(found, now, group)):
            changes.setdefault(line, []).append(group.name)
    if changes:
        advice = (
            "Give the study a new name, or restore these settings. A new level of compare and a "
            "larger number of trials are allowed."
        )
        if coded:
            advice += (
                " Corrected code is accepted with --retry-failed where no trial of these has a "
                "result of the old code: results of both could not be compared."
            )
        if sampled:
            advice += (
                " A data set of your own must return the same samples in every call and in every "
                "process, so a random generator in it needs a fixed seed."
            )
        raise StudyChangedError.in_lines(
            f"{study.file}: the study {study.name} has trials that were made with other settings",
            (f"{line}  ({', '.join(names)})" for line, names in changes.items()),
            advice,
        )


def _by_keys(
    changes: Sequence[str], definition: Mapping[str, Any], group: StudyStrategy
) -> Iterator[str]:
    """What differs between two definitions of a group, by the keys of the study file."""
    config = group.study.config
    named = any(change.startswith("plan.dataset.") for change in changes)
    for change in changes:
        path, _, was = change.partition(": ")
        if path.startswith("plan.code."):
            yield f"code of {path.removeprefix('plan.code.')}: {was}"
        elif path != "data":
            location = source_of(path, definition, config, group.levels)
            place = config.document.place(location)
            yield f"{'.'.join(map(str, location))}: {was}  ({place})"
        elif not named:  # Another data set has other samples, of course.
            yield f"samples of recipe.dataset (SHA-256): {was}"
