"""The store of a study's runs, open: MLflow's client, a study's runs by key, and errors in words.

The base of ``Tracker``. MLflow is imported here alone, and only when it is needed: it takes
seconds.
"""

from __future__ import annotations

import getpass
import logging
import os
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.record import STUDY_NAME, experiment_of, study_directory
from workbench.tracker import location, store
from workbench.tracker.artifacts import Artifacts, LocalArtifacts, SharedArtifacts
from workbench.tracker.client import RunClient
from workbench.tracker.entry import KEY, PARENT, RECORD
from workbench.tracker.models import ModelClient
from workbench.tracker.shared_store import (
    SharedStore,
    check_reachable,
    problem_at,
    reason,
    redacted,
)
from workbench.tracker.stored_run import Run, Runs

_LOGGER = logging.getLogger(__name__)


class Connection:
    """MLflow's store of a home: the one writer of a study's runs, and any number of readers.

    Methods may be called from several threads; they wait for one another.

    Attributes:
        uri: MLflow's tracking URI of the store, without user and password.
        read_only: The home cannot be written to: reading works, writing raises.
    """

    def __init__(
        self,
        home: Path,
        study: str | None = None,
        *,
        create: bool = True,
        at: str | None = None,
    ) -> None:
        """Open a home's store, or the one that it shares; a shared one when it is first asked.

        Args:
            home: The folder that holds ``mlruns``.
            study: The one that is meant; its runs may be in another store, see ``location``.
            create: Create the home's store if there is none.
            at: Tracking URI of the store, instead of where the study's runs are now.

        Raises:
            store.StoreError: There is no store, or it cannot be used.
        """
        self._mlflow = mlflow = import_mlflow()
        self._sql_store = mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore
        self._store = location.shared_store(home, study, at) or store.prepare(
            home,
            make_tables=self._make_tables,
            revision=mlflow.store.db.utils._get_latest_schema_revision(),
            create=create,
        )
        self.uri = self._store.uri
        self.read_only = self._store.read_only
        self._previous_unreadable = False
        self._previous_uri = None if at else location.previous_store(home, study)
        self._lock = threading.RLock()
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, Runs] = {}

    def _make_tables(self, uri: str) -> None:
        self._sql_store(uri, "mlruns/artifacts").engine.dispose()

    @cached_property
    def _mlflow_client(self) -> Any:
        """MLflow's own client, made when it is first needed: it may wait for a database."""
        if isinstance(self._store, SharedStore):
            check_reachable(self._store.connection_uri)
        with self._store_errors():
            return self._mlflow.MlflowClient(self._store.connection_uri)

    @cached_property
    def _artifacts(self) -> Artifacts:
        if isinstance(self._store, store.Store):
            return LocalArtifacts(self._mlflow, self._store)
        return SharedArtifacts(self._mlflow, self._mlflow_client, self._store.connection_uri)

    @cached_property
    def _client(self) -> RunClient:
        return RunClient(self._mlflow, self._mlflow_client, self._artifacts)

    @cached_property
    def _models(self) -> ModelClient:
        return ModelClient(self._mlflow, self._mlflow_client, self._artifacts)

    def experiment(self, study: str) -> str:
        """The id of a study's experiment: found, taken out of MLflow's bin, or made.

        Raises:
            StoreError: MLflow's store cannot be used, or the name is not valid.
        """
        name = experiment_of(study)
        if not STUDY_NAME.fullmatch(name):
            raise store.StoreError(f"{name!r} is not a valid name of a study ({self.uri}).")
        # A server says itself where files go; a database holds none, so they go below the home.
        server = isinstance(self._store, SharedStore) and self._store.is_server
        folder = (self._store.home / "mlruns" / "artifacts" / name).as_uri()
        experiment_id, restored = self._client.open_experiment(name, None if server else folder)
        if restored:
            # Those of runs that are opened again are sent again.
            self._models.remove(experiment_id)
        return experiment_id

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        """A block that asks MLflow.

        Raises:
            StoreError: It refuses, for example because another process has locked its store.
            UnreachableError: It does not answer now.
        """
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (self._mlflow.MlflowException, RequestException, SQLAlchemyError) as error:
            if isinstance(self._store, SharedStore):
                raise problem_at(self._store.connection_uri, error) from None
            raise store.StoreError(
                f"MLflow's store {self._store.home / 'mlruns' / 'mlflow.db'} cannot be used: "
                f"{reason(error)}. If another program has it open, end that program; then run the "
                "command again."
            ) from error

    @contextmanager
    def _locked_runs(self, study: str) -> Iterator[Runs]:
        """A study's runs, read once and kept; forgotten when anything goes wrong."""
        if self.read_only:
            raise store.StoreError(f"{self._store.home} cannot be written to.")
        with self._lock, self._store_errors():
            try:
                if study not in self._runs:
                    self._store.relocate()
                    self._experiments[study] = self.experiment(study)
                    found = self._client.read(self._experiments[study], study)
                    self._runs[study] = self._client.one_of_each(found)
                yield self._runs[study]
            except BaseException:
                self._runs.pop(study, None)
                raise

    @contextmanager
    def _locked_run(self, run_id: str) -> Iterator[Run]:
        """One run by its id."""
        with self._lock:
            known = (run for runs in self._runs.values() for run in runs)
            run = next((run for run in known if run.run_id == run_id), None)
            with self._store_errors():
                study = (run or self._client.get(run_id)).tags.get("workbench.study", "")
            with self._locked_runs(study) as runs:
                run = next((run for run in runs if run.run_id == run_id), None)
                if run is None:
                    raise store.StoreError(
                        f"The run {run_id} in {self.uri} does not belong to a study."
                    )
                self._client.restore(run)
                yield run

    def _parents(self, study: str, role: str) -> list[Run]:
        """A study's parents of a role, also deleted ones, the oldest first; nothing is written."""
        with self._lock, self._store_errors():
            found = self._mlflow_client.get_experiment_by_name(experiment_of(study))
            runs = [] if found is None else self._client.read(found.experiment_id, study)
            return [run for run in runs if run.tags.get(KEY) == f"{study}/{role}"]

    def _parents_before(self, study: str, role: str) -> list[Run]:
        """The same in the store that the study's runs were in before, if that was another one.

        What cannot be read there is missing here, with a warning.
        """
        if self._previous_uri is None:
            return []
        try:
            before = type(self)(self._store.home, study, create=False, at=self._previous_uri)
            return before._parents(study, role)
        except store.StoreError as error:
            self._previous_unreadable = True
            _LOGGER.warning(
                "The runs of %s were written to %s before, which cannot be read: %s If its "
                "confirmation was logged there before it began, %s does not know it, and the "
                "report is EXPLORATORY. Make that store readable; then run `workbench sync %s` "
                "with this store.",
                study,
                redacted(self._previous_uri),
                str(error).rstrip(".") + ".",
                self.uri,
                study,
            )
            return []

    def _remember(self, study: str) -> None:
        """Keep where the study's runs are now, once this store has what the one before had."""
        if self._previous_uri is not None and not self._previous_unreadable:
            shared = isinstance(self._store, SharedStore)
            directory = study_directory(self._store.home, study)
            location.remember(directory, self.uri if shared else None)

    def _open(
        self,
        runs: Runs,
        study: str,
        name: str,
        started: int,
        tags: Mapping[str, str],
    ) -> Run:
        """The run of an identity; made with its tags in one step: a crash cannot part them.

        Runs of an earlier record with the same key are put in MLflow's bin, and if it is a
        parent, all parents of an earlier directory of the study, with their trials. In a shared
        store these may be of somebody else.

        Raises:
            StoreError: A shared store has a study of the same name, or keeps its files elsewhere.
        """
        run, parent = runs.get(tags), PARENT not in tags
        others = (o for o in runs if PARENT not in o.tags) if parent else runs.of_key(tags[KEY])
        for other in others:
            if other.tags.get(RECORD) == tags.get(RECORD):
                continue
            if isinstance(self._store, SharedStore) and parent:
                # Also below a parent that was deleted by itself.
                if _family(runs, other):
                    raise self._store.name_conflict(study, other)
                continue
            self._discard(runs, study, other)
        if parent and isinstance(self._store, SharedStore):
            experiment = self._mlflow_client.get_experiment(self._experiments[study])
            name = experiment_of(study)
            self._store.refuse_another_home(name, experiment.artifact_location)
        if run is None:
            source = {"mlflow.source.name": "workbench", "mlflow.source.type": "LOCAL"}
            tags = {**source, "mlflow.user": _user(), **tags}
            began = time.monotonic()
            run = self._client.create(self._experiments[study], name, started, tags)
            seconds = time.monotonic() - began
            on_server = isinstance(self._store, SharedStore) and self._store.is_server
            # The next attempt reads what there is: MLflow's client has repeated the request, and
            # the server may have made two runs.
            if on_server and seconds > location.request_seconds():
                raise store.UnreachableError(
                    f"MLflow at {self.uri} took {seconds:.0f} s to answer a request"
                )
            runs.add(run)
        self._client.restore(run)
        return run

    def _discard(self, runs: Runs, study: str, run: Run) -> None:
        """Put a run and those below it in MLflow's bin, without their models."""
        for each in _family(runs, run):
            self._models.remove(self._experiments[study], each)
            self._client.delete(each)


def _family(runs: Runs, run: Run) -> list[Run]:
    """Those of a run and the runs below it that are not in MLflow's bin."""
    trial = PARENT in run.tags
    below = () if trial else (each for each in runs if each.tags.get(PARENT) == run.run_id)
    return [each for each in (run, *below) if not each.deleted]


def import_mlflow() -> Any:
    """MLflow without telemetry and logging; failures are raised to the caller."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    with warnings.catch_warnings():
        # MLflow 3.17 on SQLAlchemy 2.1 warns once, while its tables' classes are set up.
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated")
        import mlflow
        import mlflow.store.tracking.sqlalchemy_store
    # They log every failed transaction with its traceback, and the failure is raised besides.
    for name in ("mlflow.store.db.utils", "sqlalchemy.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return mlflow


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
