"""Models of trials as MLflow's logged models: in its UI, for ``mlflow.pyfunc``, in its registry.

The folder of a model holds the files of ``workbench export`` and an ``MLmodel`` that names our
loader, so that nothing is unpickled.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.record import Role, TrialDirectory
from workbench.record.files import sha256_of
from workbench.tracker.artifacts import Artifacts, Content
from workbench.tracker.client import pages
from workbench.tracker.params import valid_name
from workbench.tracker.stored_run import Run

# The files of a model outside its trial; ``commands.saved_model`` loads them.
WEIGHTS, DESCRIPTION = "model.safetensors", "workbench.json"
LOADER = "workbench.commands.pyfunc"
CHAMPION = "champion"

_EXAMPLE, _REQUEST = "input_example.json", "serving_input_example.json"
_VERSIONS = "mlflow.modelVersions"
# What MLflow refuses in the name of a model.
_REFUSED = str.maketrans(dict.fromkeys("/:.%\"'", "-"))


class ModelClient:
    """Writes, replaces and registers logged models."""

    def __init__(self, mlflow: Any, client: Any, artifacts: Artifacts) -> None:
        self._mlflow = mlflow
        self._client = client
        self._artifacts = artifacts

    def digest(self, directory: TrialDirectory) -> str | None:
        """Identifies the model that a trial kept; None without one that can be loaded alone."""
        if not (directory.weights.exists() and directory.weights_description.exists()):
            return None
        # One of an earlier version, which does not say how new samples are prepared.
        if "preparation" not in json.loads(directory.weights_description.read_text()):
            return None
        return sha256_of(directory.weights_description)[:16]

    def is_there(self, run: Run, model_id: str) -> bool:
        """Whether MLflow has a model, which nobody has deleted, and its files."""
        if not self._artifacts.has_model(run, model_id):
            return False
        try:
            self._client.get_logged_model(model_id)
        except self._mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return True

    def replace(self, run: Run, experiment: str, directory: TrialDirectory) -> str:
        """Write the model of a trial, in place of whatever a crash or an earlier one has left.

        Args:
            run: Of the trial.
            experiment: Id of the run's.
            directory: Of the trial, with weights.

        Returns:
            The id of the model.
        """
        self.remove(experiment, run)
        description = json.loads(directory.weights_description.read_text())
        # A strategy may have two: of the search's best trial, and of its confirmation.
        role, strategy = run.tags["workbench.role"], description["strategy"]
        name = strategy if role == Role.SEARCH else f"{role}-{strategy}"
        model = self._client.create_logged_model(
            experiment,
            name=name.translate(_REFUSED),
            source_run_id=run.run_id,
            params=dict(run.params),
            tags={key: run.tags[key] for key in ("workbench.key", "workbench.role")},
            model_type=str(description["task"]["name"]),
        )
        texts = self._texts(model, description, directory.weights).items()
        files: dict[str, Content] = {
            WEIGHTS: directory.weights,
            DESCRIPTION: directory.weights_description.read_bytes(),
        }
        files |= {file: json.dumps(content, indent=1).encode() for file, content in texts}
        self._artifacts.put_model(model, files)
        entities = self._mlflow.entities
        step = int(description["epoch"])
        self._client.log_outputs(run.run_id, [entities.LoggedModelOutput(model.model_id, step)])
        result = directory.result()
        ended = 0 if result is None else result.ended
        times = {epoch.epoch: epoch.timestamp for epoch in directory.history()}
        # A point that the run has already: MLflow stores it only with the model.
        # No test value: the Models tab would show it before a confirmation has ended.
        point = (valid_name(description["metric"]), description["value"], times.get(step, ended))
        metric = entities.Metric(*point, step, model_id=model.model_id, run_id=run.run_id)
        self._client.log_batch(run.run_id, metrics=[metric])
        self._client.finalize_logged_model(model.model_id, "READY")
        return str(model.model_id)

    def remove(self, experiment: str, run: Run | None = None) -> None:
        """Delete the models of an experiment or of one of its runs.

        Except registered ones, which people rely on.
        """
        own = None if run is None else f"source_run_id = '{run.run_id}'"
        # A list: each deletion would move the next page.
        for model in [*pages(self._client.search_logged_models, [experiment], own)]:
            if _VERSIONS not in model.tags:
                self._artifacts.remove_model(model)
                self._client.delete_logged_model(model.model_id)

    def register(self, run_id: str, model_id: str, name: str, card: str, *, champion: bool) -> str:
        """Register a model under a name, perhaps as its champion; returns the version.

        A model that has been registered under this name keeps its version.

        Raises:
            MlflowException: MLflow refuses.
        """
        model = self._client.get_logged_model(model_id)
        try:
            self._client.create_registered_model(name)
        except self._mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        known = self._client.search_model_versions(f"name = '{name}'")
        version = next((v.version for v in known if v.source == model.artifact_location), None)
        if version is None:
            made = self._client.create_model_version(
                name, model.artifact_location, run_id=run_id, model_id=model_id
            )
            version = made.version
            # As ``mlflow.register_model`` does; the page of the model links its versions by this.
            versions = json.loads(model.tags.get(_VERSIONS, "[]"))
            versions.append({"name": name, "version": version})
            self._client.set_logged_model_tags(model_id, {_VERSIONS: json.dumps(versions)})
        self._client.update_model_version(name, version, card)
        if champion:
            self._client.set_registered_model_alias(name, CHAMPION, version)
        return str(version)

    def _texts(
        self, model: Any, description: Mapping[str, Any], weights: Path
    ) -> Mapping[str, Any]:
        """The small files of a model, by name. YAML, as MLflow reads it, includes JSON."""
        if (columns := description["columns"]) is None:
            # No tensor: of a frame MLflow would pass on the values alone, in any order. The loader
            # sees the columns of a frame, and an array as a frame with the columns 0, 1, ...
            names: list[Any] = [*range(len(description["example"]))]
            inputs: list[dict[str, Any]] = [{"type": "any", "required": True} for _ in names]
        else:
            names, inputs = [*columns], _schema(columns)
        example = {"columns": names, "data": [description["example"]]}
        return {
            _EXAMPLE: example,
            _REQUEST: {"dataframe_split": example},
            "MLmodel": {
                "flavors": {
                    "python_function": {
                        "loader_module": LOADER,
                        "python_version": platform.python_version(),
                    }
                },
                "signature": {
                    "inputs": json.dumps(inputs),
                    "outputs": json.dumps(_schema(description["outputs"])),
                    "params": None,
                },
                "saved_input_example_info": {
                    "type": "dataframe",
                    "pandas_orient": "split",
                    "artifact_path": _EXAMPLE,
                    "serving_input_path": _REQUEST,
                },
                "model_id": model.model_id,
                "model_uuid": model.model_id,
                "run_id": model.source_run_id,
                "mlflow_version": self._mlflow.__version__,
                "utc_time_created": str(datetime.now(UTC).replace(tzinfo=None)),
                "model_size_bytes": weights.stat().st_size,
            },
        }


def _schema(columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Columns with their types, as MLflow's signatures have them."""
    return [{"type": kind, "name": name, "required": True} for name, kind in columns.items()]
