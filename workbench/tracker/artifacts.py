"""The files of runs and of logged models: in the home's own store as paths, elsewhere by MLflow."""

from __future__ import annotations

import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from workbench.tracker.store import Store, StoreError
from workbench.tracker.stored_run import Run

Content = Path | bytes
# Store a file or a folder, by its path, in a folder of a run.
Log = Callable[[str, str | None], object]


class _Files(ABC):
    """Where the files of runs are. Names are paths with ``/``."""

    @abstractmethod
    def _log(self, run: Run) -> tuple[Log, Log]:
        """What stores a file, and what stores a folder."""

    @abstractmethod
    def _clear(self, run: Run, folder: str) -> None:
        """Delete a folder of a run, if that can be done."""

    def put(self, run: Run, name: str, content: Content) -> None:
        """Store a file, in place of one of the same name."""
        folder, _, base = name.rpartition("/")
        log, _ = self._log(run)
        # MLflow takes the artifact's name from the file, so another name needs a temporary file.
        if isinstance(content, Path) and content.name == base:
            log(str(content), folder or None)
            return
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary, base)
            path.write_bytes(content.read_bytes() if isinstance(content, Path) else content)
            log(str(path), folder or None)

    def put_folder(self, run: Run, name: str, folder: Path, only: Collection[str] | None) -> None:
        """Store a folder, or some of its entries, in place of the one before."""
        self._clear(run, name)
        log, log_folder = self._log(run)
        for path in sorted(folder.iterdir()):
            if only is not None and path.name not in only:
                continue
            if path.is_dir():
                log_folder(str(path), f"{name}/{path.name}")
            else:
                log(str(path), name)


class LocalArtifacts(_Files):
    """In the home's own store: paths, which are faster than MLflow's client."""

    def __init__(self, mlflow: Any, store: Store) -> None:
        self._registry = mlflow.store.artifact.artifact_repository_registry
        self._store = store

    def read(self, run: Run, names: Iterable[str]) -> dict[str, bytes]:
        """The contents of those files that a run has, by name."""
        contents = {name: _content(self._path(run, name)) for name in names}
        return {name: content for name, content in contents.items() if content is not None}

    def missing(self, run: Run, names: Iterable[str]) -> set[str]:
        """Those of the names that are no file of a run."""
        return {name for name in names if not self._path(run, name).exists()}

    def place(self, run: Run, name: str) -> str:
        """Where a file is, for messages."""
        return str(self._path(run, name))

    def put_model(self, model: Any, files: Mapping[str, Content]) -> None:
        """Store the files of one of MLflow's logged models."""
        _fill(self._store.folder_of(model.artifact_location), files)

    def has_model(self, run: Run, model_id: str) -> bool:
        """Whether the files of a run's model can be there, without asking MLflow."""
        study = self._store.folder_of(run.artifacts).parents[1]
        return (study / "models" / model_id / "artifacts" / "MLmodel").is_file()

    def remove_model(self, model: Any) -> None:
        """Delete the files of a model, unless only MLflow can."""
        folder = self._store.folder_of(model.artifact_location)
        shutil.rmtree(folder.parent, ignore_errors=True)

    def _path(self, run: Run, name: str) -> Path:
        return self._store.folder_of(run.artifacts) / name

    def _repository(self, run: Run) -> Any:
        # Not through the client, which first reads the whole run (14 ms each time).
        return self._registry.get_artifact_repository(self._path(run, "").as_uri())

    def _log(self, run: Run) -> tuple[Log, Log]:
        repository = self._repository(run)
        return repository.log_artifact, repository.log_artifacts

    def _clear(self, run: Run, folder: str) -> None:
        self._repository(run).delete_artifacts(folder)


class SharedArtifacts(_Files):
    """Wherever a server or a database keeps them, through MLflow's public functions."""

    def __init__(self, mlflow: Any, client: Any, uri: str) -> None:
        self._functions = mlflow.artifacts
        self._client = client
        self._uri = uri

    def read(self, run: Run, names: Iterable[str]) -> dict[str, bytes]:
        """See ``LocalArtifacts``."""
        wanted = set(names)
        contents = {}
        for name in sorted(wanted - self.missing(run, wanted)):
            with tempfile.TemporaryDirectory() as temporary:
                path = self._functions.download_artifacts(
                    f"{run.artifacts}/{name}", dst_path=temporary, tracking_uri=self._uri
                )
                contents[name] = Path(path).read_bytes()
        return contents

    def missing(self, run: Run, names: Iterable[str]) -> set[str]:
        """See ``LocalArtifacts``."""
        wanted = set(names)
        for folder in {name.rpartition("/")[0] for name in wanted}:
            place = f"{run.artifacts}/{folder}".rstrip("/")
            listed = self._functions.list_artifacts(place, tracking_uri=self._uri)
            # Of a folder, MLflow gives paths that begin with it or, of some stores, do not.
            found = {PurePosixPath(folder, PurePosixPath(each.path).name) for each in listed}
            wanted -= {str(path) for path in found}
        return wanted

    def place(self, run: Run, name: str) -> str:
        """See ``LocalArtifacts``."""
        return f"{name} of the run {run.run_id}"

    def put_model(self, model: Any, files: Mapping[str, Content]) -> None:
        """See ``LocalArtifacts``."""
        with tempfile.TemporaryDirectory() as temporary:
            _fill(Path(temporary), files)
            self._client.log_model_artifacts(model.model_id, temporary)

    def has_model(self, run: Run, model_id: str) -> bool:
        """See ``LocalArtifacts``."""
        return bool(model_id)

    def remove_model(self, model: Any) -> None:
        """See ``LocalArtifacts``: ``mlflow gc`` deletes them."""

    def _log(self, run: Run) -> tuple[Log, Log]:
        client = self._client
        return partial(client.log_artifact, run.run_id), partial(client.log_artifacts, run.run_id)

    def _clear(self, run: Run, folder: str) -> None:
        """The client deletes no artifacts; those of the same name are replaced."""


Artifacts = LocalArtifacts | SharedArtifacts


def _fill(folder: Path, files: Mapping[str, Content]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if isinstance(content, Path):
            _link(content, folder / name)
        else:
            (folder / name).write_bytes(content)


def _link(source: Path, target: Path) -> None:
    """The same file under another name, without its bytes a second time if possible.

    The file of a trial is never changed in place: a new one replaces it.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
