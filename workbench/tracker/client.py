"""Reads complete runs through MLflow's client, and writes only differences. Used by ``Tracker``."""

from __future__ import annotations

import gc
import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench import record
from workbench.record.files import sha256_of
from workbench.tracker.artifacts import Artifacts
from workbench.tracker.entry import KEY, PARENT, DatasetUse, Point, chunks
from workbench.tracker.stored_run import Run, Runs

_PAGE = 1000
# MLflow takes 1000 metrics, params and tags in one batch, of which 100 params and 100 tags.
_METRICS_A_BATCH = 800
_LONGEST_DATASET, _LONGEST_DIGEST = 500, 36
_ENDED = ("FINISHED", "FAILED", "KILLED")
_COLLECTOR = threading.Lock()

_TAGS = {
    # Without this tag the web interface asks for the kind of the experiment.
    "mlflow.experimentKind": "custom_model_development",
}


class RunClient:
    """Reads complete runs, and then writes only values that they do not have yet."""

    def __init__(self, mlflow: Any, client: Any, artifacts: Artifacts) -> None:
        self.artifacts = artifacts
        self._mlflow = mlflow
        self._client = client

    def experiments(self) -> dict[str, str]:
        """Ids by name, without deleted experiments and MLflow's default experiment."""
        found = pages(self._client.search_experiments)
        return {item.name: item.experiment_id for item in found if item.experiment_id != "0"}

    def open_experiment(self, name: str, artifacts: str | None) -> tuple[str, bool]:
        """The id of an experiment, created or restored if necessary, and whether it was restored.

        The runs of one that is restored stay in MLflow's bin until they are opened.

        Raises:
            LookupError: MLflow refuses to create or restore it.
        """
        refusal, restored = None, False
        # Another process may create or restore it after we looked, so look again on an error.
        for _ in range(3):
            experiment = self._client.get_experiment_by_name(name)
            if experiment is not None and experiment.lifecycle_stage == "active":
                return str(experiment.experiment_id), restored
            try:
                if experiment is not None:
                    self._client.restore_experiment(experiment.experiment_id)
                    restored = True
                    for run in pages(self._client.search_runs, [experiment.experiment_id]):
                        self._client.delete_run(run.info.run_id)
                else:
                    self._client.create_experiment(name, artifact_location=artifacts, tags=_TAGS)
            except self._mlflow.MlflowException as error:
                refusal = error
        raise LookupError(f"MLflow cannot create the experiment {name!r}: {refusal}")

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set the tags of an experiment that have another value."""
        present = self._client.get_experiment(experiment_id).tags
        for name, value in tags.items():
            if present.get(name) != value:
                self._client.set_experiment_tag(experiment_id, name, value)

    def read(self, experiment_id: str, study: str) -> list[Run]:
        """Every run of a study in its experiment, also deleted ones, the oldest first.

        Runs that started in the same millisecond are in the order of their ids. Values written
        meanwhile may be missing. Takes 0.7 ms of processor time per run.
        """
        everywhere = self._mlflow.entities.ViewType.ALL
        # An experiment of several studies is not read as a whole for each of them; there a run
        # without the tag belongs to none.
        own = f"tags.`workbench.study` = '{study}'" if record.is_cell(study) else ""
        found = pages(self._client.search_runs, [experiment_id], own, run_view_type=everywhere)
        with _no_garbage_collection():
            runs = sorted(map(run_of, found), key=lambda run: (run.started or math.inf, run.run_id))
        return [run for run in runs if run.tags.get("workbench.study", study) == study]

    def one_of_each(self, found: Sequence[Run]) -> Runs:
        """Of several runs of an identity, the oldest that is not in MLflow's bin.

        The others are put there: a server made them for a request that was repeated.

        Args:
            found: What ``read`` returns.
        """
        found = [run for run in reversed(found) if KEY in run.tags]
        found.sort(key=lambda run: not run.deleted)
        runs = Runs(found)
        needed = {run.run_id for run in runs} | {run.tags.get(PARENT) for run in found}
        for run in found:
            if not run.deleted and run.run_id not in needed:
                self.delete(run)
        return runs

    def cells(self, experiment_id: str) -> list[str]:
        """The studies of an experiment that belong to a file with ``across``, the oldest first."""
        searches = "tags.`workbench.key` LIKE '%@%/search'"
        found = pages(self._client.search_runs, [experiment_id], searches)
        runs = sorted(map(run_of, found), key=lambda run: run.started or math.inf)
        return list(dict.fromkeys(run.tags["workbench.study"] for run in runs))

    def get(self, run_id: str) -> Run:
        """One run by its id."""
        return run_of(self._client.get_run(run_id))

    def create(self, experiment_id: str, name: str, started: int, tags: Mapping[str, str]) -> Run:
        """A new run, which MLflow marks as running."""
        made = self._client.create_run(
            experiment_id, start_time=started, tags=dict(tags), run_name=name
        )
        return run_of(made)

    def restore(self, run: Run) -> None:
        """Restore a deleted run, because MLflow refuses to write to it."""
        if run.deleted:
            self._client.restore_run(run.run_id)
            run.deleted = False

    def delete(self, run: Run) -> None:
        """Put a run in MLflow's bin."""
        self._client.delete_run(run.run_id)
        run.deleted = True

    def write(
        self,
        run: Run,
        *,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        points: Iterable[Point] = (),
    ) -> bool:
        """Write what a run does not have yet; return whether there was anything.

        MLflow refuses to change a param, so a changed one is stored as a tag
        ``workbench.changed.NAME``.
        """
        given = params or {}
        changed = {
            f"workbench.changed.{name}": value
            for name, value in given.items()
            if run.params.get(name, value) != value
        }
        fresh = {name: value for name, value in given.items() if name not in run.params}
        wanted = {**(tags or {}), **changed}
        changed = {name: value for name, value in wanted.items() if run.tags.get(name) != value}
        points = list(points)
        *before, last = chunks(points, _METRICS_A_BATCH)
        if not (fresh or changed or last):
            return False
        entities = self._mlflow.entities
        for batch in before:
            self._client.log_batch(run.run_id, metrics=[self._metric(point) for point in batch])
        # MLflow stores a batch's params, then its metrics, then its tags. After a crash, the tag
        # that counts epochs is therefore never ahead of their metrics.
        self._client.log_batch(
            run.run_id,
            metrics=[self._metric(point) for point in last],
            params=[entities.Param(name, value) for name, value in fresh.items()],
            tags=[entities.RunTag(name, value) for name, value in changed.items()],
        )
        run.params |= fresh
        run.tags |= changed
        run.metrics |= {point.name: point.value for point in points}
        return True

    def _metric(self, point: Point) -> Any:
        return self._mlflow.entities.Metric(
            point.name, point.value, timestamp=point.timestamp, step=point.step
        )

    def remove_tags(self, run: Run, names: Iterable[str]) -> None:
        """Remove those of the tags that a run has."""
        for name in names:
            if name in run.tags:
                self._client.delete_tag(run.run_id, name)
                del run.tags[name]

    def write_datasets(self, run: Run, datasets: Sequence[DatasetUse]) -> None:
        """Record which data sets a run uses."""
        entities = self._mlflow.entities
        keys = [(use.name[:_LONGEST_DATASET], use.digest[:_LONGEST_DIGEST]) for use in datasets]
        fresh = {k: use for k, use in zip(keys, datasets, strict=True) if k not in run.datasets}
        if not fresh:
            return
        inputs = [
            entities.DatasetInput(
                entities.Dataset(name, digest, "workbench", json.dumps(record.plain(use.source))),
                [entities.InputTag("mlflow.data.context", use.context)],
            )
            for (name, digest), use in fresh.items()
        ]
        self._client.log_inputs(run.run_id, inputs)
        run.datasets |= fresh.keys()

    def set_status(self, run: Run, status: str, ended: int | None) -> bool:
        """Write a run's status; return whether it had another one."""
        if run.status == status:
            return False
        if status in _ENDED:
            self._client.set_terminated(run.run_id, status, ended)
        else:
            self._client.update_run(run.run_id, status=status)
        run.status = status
        return True

    def send_files(self, run: Run, files: Mapping[str, Path | str], tag: str) -> dict[str, str]:
        """Store files, or text, by their path in the run's artifacts.

        A file that was deleted from the artifacts is sent again.

        Returns:
            The tag to write next, with a digest that shows a later process that nothing has
            changed; empty if nothing has changed now.
        """
        if not files:
            return {}
        digests = {name: _digest(content) for name, content in files.items()}
        total = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:16]
        missing = self.artifacts.missing(run, files)
        if run.tags.get(tag) == total and not missing:
            return {}
        # The caller writes the tag after the files: a crash in between only sends them again.
        sent = run.files.setdefault(tag, {})
        for name, content in files.items():
            if name in missing or sent.get(name) != digests[name]:
                text = content if isinstance(content, Path) else _encoded(content)
                self.artifacts.put(run, name, text)
                sent[name] = digests[name]
        return {tag: total}

    def restore_files(self, run: Run, files: Mapping[str, Path]) -> None:
        """Store existing files that a run's artifacts lack; never replaces a file."""
        there = [name for name, path in files.items() if path.is_file()]
        for name in self.artifacts.missing(run, there):
            self.artifacts.put(run, name, files[name])

    def history(self, run_id: str, metric: str) -> dict[int, float]:
        """Values by step, without NaN; of several at a step, the latest."""
        points = self._client.get_metric_history(run_id, metric)
        in_time = sorted(points, key=lambda point: point.timestamp)
        return {point.step: point.value for point in in_time if not math.isnan(point.value)}


def pages(search: Callable[..., Any], *where: Any, **options: Any) -> Iterator[Any]:
    """Everything that a search of MLflow's client finds; MLflow answers in pages."""
    token = None
    while True:
        page = search(*where, max_results=_PAGE, page_token=token, **options)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """MLflow makes some hundred objects of a run, and none of them is part of a cycle.

    Of 10,000 runs the collector would take three quarters of the reading time.
    """
    # Else the second of two threads would take the collector for one that was off before.
    with _COLLECTOR:
        enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if enabled:
                gc.enable()


def run_of(run: Any) -> Run:
    """A ``Run`` from a run of MLflow's client."""
    return Run(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        artifacts=run.info.artifact_uri,
        status=run.info.status,
        deleted=run.info.lifecycle_stage == "deleted",
        started=run.info.start_time,
        params=dict(run.data.params),
        tags=dict(run.data.tags),
        metrics=dict(run.data.metrics),
        datasets={(used.dataset.name, used.dataset.digest) for used in run.inputs.dataset_inputs},
    )


def _digest(content: Path | str) -> str:
    if isinstance(content, Path):
        return sha256_of(content)
    return hashlib.sha256(_encoded(content)).hexdigest()


def _encoded(text: str) -> bytes:
    # A text may contain half of a surrogate pair, which UTF-8 cannot encode.
    return text.encode("utf-8", "replace")
