"""The file that MLflow's store lives in: made whole or not at all, checked, opened, served.

Whoever makes the tables is handed in, so that it knows neither MLflow's Python side nor what the
tables hold.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from workbench import downloads
from workbench.record import STUDY_NAME
from workbench.record.files import lock, write_atomically
from workbench.tracker.entry import VIEW

PORT = 5000  # of ``workbench ui``, unless it is told another one
# The artifacts of a study, or of one of its runs or models, in whichever home.
_LOCATION = re.compile(
    rf".*/mlruns/artifacts/(?P<place>{STUDY_NAME.pattern}(?P<run>/(models/m-)?[0-9a-f]{{32}}/artifacts)?)"
)
_LOCATED = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


class StoreError(Exception):
    """The store cannot be used."""


class UnreachableError(StoreError):
    """The store does not answer now. Trials need none: what is not sent now is sent later."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """A store that can be opened.

    Attributes:
        home: The folder that holds ``mlruns``, absolute.
        database: The sqlite file to open.
        read_only: ``database`` is a copy, because the home cannot be written to.
    """

    home: Path
    database: Path
    read_only: bool

    @property
    def uri(self) -> str:
        """MLflow's tracking URI of the store itself."""
        return uri_of(self.home / "mlruns" / "mlflow.db")

    @property
    def connection_uri(self) -> str:
        """The same of the file to open."""
        return uri_of(self.database)

    def relocate(self) -> None:
        """See ``relocate``."""
        relocate(self.database, self.home)

    def folder_of(self, uri: str) -> Path:
        """Folder of a run's artifacts in this home, by the URI that MLflow keeps of it.

        MLflow's URIs are absolute. A home may have been moved or copied since, and then they name
        another home, which must not be written to.

        Raises:
            StoreError: The URI names no artifacts of a study's run.
        """
        match = _LOCATION.fullmatch(uri)
        if match is None or match["run"] is None:
            raise StoreError(
                f"{self.uri} keeps the artifacts of a run in {uri!r}, which is not below "
                "mlruns/artifacts of a home. Nothing was read or written there."
            )
        return self.home / "mlruns" / "artifacts" / match["place"]


def uri_of(database: Path) -> str:
    """An absolute sqlite URI."""
    return f"sqlite:///{database}"


def prepare(
    home: Path, *, make_tables: Callable[[str], None], revision: str, create: bool = True
) -> Store:
    """A home's store, made if need be, by one process at a time.

    Args:
        home: The folder that holds ``mlruns``.
        make_tables: Fills the sqlite file of a URI, and lets go of it.
        revision: Of the tables, as ``make_tables`` makes them.
        create: Make the store where there is none.

    Raises:
        StoreError: There is none, it is of another version, or it cannot be opened.
    """
    home = home.resolve()
    database = home / "mlruns" / "mlflow.db"
    if "%" in str(home) or "?" in str(home):
        raise StoreError(
            f"MLflow cannot open a store in {home}: '%' and '?' have a meaning of their own in its "
            "addresses. Choose a home without them."
        )
    if database.exists() and not os.access(database.parent, os.W_OK):
        copy = _copy(database)
        _check(copy, revision, database)
        relocate(copy, home)
        return Store(home=home, database=copy, read_only=True)
    if not create and not _revision(database):
        raise StoreError(
            f"No MLflow store at {database}. Run a study first; or, if its trials are in "
            "this home, `workbench sync STUDY` makes the store again from their records."
        )
    # MLflow's own creation breaks for good when several processes start it at once, or when it is
    # killed half-way: so one at a time, in another file, moved into place when it is whole.
    with lock(database.parent / ".store.lock", wait_seconds=float("inf")):
        if not _revision(database):
            _make(database, make_tables, revision)
    _check(database, revision, database)
    return Store(home=home, database=database, read_only=False)


def _make(database: Path, make_tables: Callable[[str], None], revision: str) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    # MLflow takes seconds to make an empty store, so a copy is kept for the next home.
    empty = downloads.folder() / "mlflow" / f"{revision}.db"
    new = database.with_name(".mlflow.db.new")
    for leftover in database.parent.glob(f"{new.name}*"):
        leftover.unlink()
    try:
        if _is_empty_store(empty, revision):
            shutil.copyfile(empty, new)
        else:
            make_tables(uri_of(new))
            with suppress(OSError):
                write_atomically(empty, new.read_bytes())
        with closing(sqlite3.connect(new)) as connection:
            # Readers and the writer do not wait for one another; the file keeps the setting. Where
            # the file system cannot do it (NFS), sqlite stays with its own way.
            connection.execute("PRAGMA journal_mode = WAL")
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = getattr(error, "orig", None) or error
        free = shutil.disk_usage(database.parent).free
        raise StoreError(
            f"MLflow's store {database} cannot be made: {reason} ({free:,} bytes are free)."
        ) from error
    new.replace(database)


def _is_empty_store(path: Path, revision: str) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            intact = connection.execute("PRAGMA quick_check").fetchall()
            return found == [(revision,)] and intact == [("ok",)]
    except sqlite3.Error:
        return False


def _revision(database: Path) -> str | None:
    """The tables' revision; None where there is no file, or one without tables.

    Raises:
        StoreError: It is not a store of MLflow.
    """
    if not database.exists() or database.stat().st_size == 0:
        return None
    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if not tables:
                return None
            if "alembic_version" in tables:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                if row is not None:
                    return str(row[0])
    except sqlite3.Error as error:
        raise _unopened(database, error) from error
    raise StoreError(
        f"{database} is not a store of MLflow's, or one whose making was broken off. "
        "Move it away and run the command again."
    )


def _check(database: Path, revision: str, named: Path) -> None:
    found = _revision(database)
    if found != revision:
        raise StoreError(
            f"MLflow's store {named} was written by another version of MLflow (its tables are of "
            f"revision {found}, this version's of {revision}). Nothing was changed. Either install "
            f"the version that wrote it, or make a copy of the file and then run: "
            f"mlflow db upgrade {uri_of(named)}"
        )


def _copy(database: Path) -> Path:
    """A copy that can be opened: sqlite's WAL needs a folder that it can write to."""
    folder = Path(tempfile.mkdtemp(prefix="workbench-mlflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for path in (database, database.with_name(database.name + "-wal")):
        if path.exists():
            shutil.copyfile(path, folder / path.name)
    return folder / database.name


def relocate(database: Path, home: Path) -> None:
    """Rewrite the URIs of artifacts that name another home, all of them or none.

    MLflow's own pages read these URIs; ``Store.folder_of`` needs no rewriting.

    Raises:
        StoreError: The file cannot be read or written.
    """

    def here(uri: str | None) -> str | None:
        match = _LOCATION.fullmatch(uri or "")
        return uri if match is None else (home / "mlruns/artifacts" / match["place"]).as_uri()

    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
            connection.create_function("here", 1, here, deterministic=True)
            for table, uri in _LOCATED:
                elsewhere = f"WHERE {uri} != here({uri})"
                # Without the look every reader would wait for the writer.
                if connection.execute(f"SELECT 1 FROM {table} {elsewhere} LIMIT 1").fetchone():
                    connection.execute(f"UPDATE {table} SET {uri} = here({uri}) {elsewhere}")
    except sqlite3.Error as error:
        raise _unopened(database, error) from error


def _unopened(database: Path, error: sqlite3.Error) -> StoreError:
    text = f"MLflow's store {database} cannot be opened: {error}."
    if not isinstance(error, sqlite3.OperationalError):  # Such as a lock, which goes by.
        text += (
            " Put an undamaged copy of it back, or move it away: `workbench sync STUDY` makes it "
            "again from the records of each study."
        )
    return StoreError(text)


def serve(home: Path, port: int, shared: str | None = None) -> tuple[list[str], dict[str, str]]:
    """The command that starts MLflow's web interface, and what it adds to the environment.

    Only this machine reaches it, under no other host's name. It runs no jobs, and takes no files
    for a folder of its own: runs' artifacts are read from where they lie. Nobody has to log in.

    Args:
        home: The folder that holds ``mlruns``.
        port: On 127.0.0.1.
        shared: Tracking URI of a database that is shown instead of the home's own.

    Raises:
        StoreError: The store cannot be opened.
    """
    home = home.resolve()
    root = home / "mlruns"
    database = root / "mlflow.db"
    if shared is None and database.exists():
        if not os.access(root, os.W_OK):
            database = _copy(database)
        relocate(database, home)
    uri = shared or uri_of(database)
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--no-serve-artifacts", "--default-artifact-root", (root / "artifacts").as_uri()),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", f"localhost:{port},127.0.0.1:{port}"),
        *("--cors-allowed-origins", f"http://localhost:{port},http://127.0.0.1:{port}"),
        *("--uvicorn-opts", "--log-level warning"),
    ]
    environment = {
        # Not in the command, which every user of the machine can read: it may contain a password.
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_REGISTRY_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        # Those of MLflow's own code; they would hide the address.
        "PYTHONWARNINGS": "ignore",
    }
    return command, environment


def page(server: str, experiment_id: str | None = None) -> str:
    """Address of all studies on a server, or of one's table of runs with the columns that matter.

    Without the kind of workflow MLflow opens its pages for language models.
    """
    query = "workflowType=machine_learning"
    if experiment_id is None:
        return f"{server}/#/experiments?{query}"
    query += f"&viewStateShareKey={VIEW}"
    return f"{server}/#/experiments/{experiment_id}/runs?{query}"
