"""Reads the runs of an MLflow experiment that Workbench did not write: strategy, seed, value.

``workbench verdict --mlflow`` uses it. It recognises Workbench's own runs by their tags.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workbench.messages import did_you_mean, listed
from workbench.tracker.client import known
from workbench.tracker.connection import import_mlflow
from workbench.tracker.stored_run import Run

_PARENT = "mlflow.parentRunId"
_NAMES = ("strategy", "seed", "dataset")
_OWN = ("workbench.study", "workbench.role")


class UnknownExperiment(LookupError):
    """The store has no such experiment, or cannot be opened; the message says which it has."""


@dataclass(frozen=True, kw_only=True)
class ExternalRun:
    """One run; a text that it does not give is empty.

    Attributes:
        status: MLflow's: FINISHED, FAILED, KILLED, RUNNING or SCHEDULED.
        value: Of the metric asked for; None where the run has none.
    """

    run_id: str
    name: str
    status: str
    strategy: str
    seed: str
    dataset: str
    value: float | None


@dataclass(frozen=True, kw_only=True)
class ExternalRuns:
    """The runs of an experiment, and the names of all metrics that any of them has.

    Attributes:
        study: Name of the study if Workbench wrote any of the runs; else empty.
    """

    runs: tuple[ExternalRun, ...]
    metrics: tuple[str, ...]
    study: str


def read(uri: str, experiment: str, metric: str) -> ExternalRuns:
    """The runs of an experiment, the oldest first, without parents of nested runs.

    Strategy, seed and data set are params or tags of these names.

    Args:
        uri: MLflow's tracking URI.
        experiment: Name or id.
        metric: Name of the metric; its last value counts.

    Raises:
        UnknownExperiment: There is no such experiment, or no such store.
    """
    _demand_file(uri)
    # MLflow would retry for minutes if a server does not answer.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    mlflow = import_mlflow()
    try:
        client = mlflow.MlflowClient(uri)
        found = client.get_experiment_by_name(experiment)
        ids = {} if found is not None else _experiments(client)
        if found is None and experiment not in ids.values():
            raise _unknown(uri, experiment, ids)
        number = found.experiment_id if found is not None else experiment
        runs = list(_runs(client, str(number)))
    except mlflow.MlflowException as error:
        # MLflow's own message repeats the whole address.
        problem = str(error).replace(
            urlsplit(uri).netloc or uri, urlsplit(_shown(uri)).netloc or uri
        )
        if "timed out" in problem:
            seconds = os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]
            problem = (
                f"it did not answer within {seconds} s. Check that the server works; the variable "
                "MLFLOW_HTTP_REQUEST_TIMEOUT sets how many seconds to wait."
            )
        raise UnknownExperiment(f"MLflow at {_shown(uri)} cannot be read: {problem}") from None
    parents = {run.tags[_PARENT] for run in runs if _PARENT in run.tags}
    own = [run for run in runs if run.run_id not in parents]
    names = sorted({name for run in own for name in run.metrics})
    written = next((run for run in runs if any(tag in run.tags for tag in _OWN)), None)
    study = "" if written is None else written.tags.get("workbench.study", "") or experiment
    return ExternalRuns(
        runs=tuple(_read(run, metric) for run in own), metrics=tuple(names), study=study
    )


def _runs(client: Any, experiment_id: str) -> Iterator[Run]:
    """Through MLflow's client: the store may be a server."""
    token = None
    while True:
        page = client.search_runs(
            [experiment_id],
            max_results=1000,
            order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
            page_token=token,
        )
        yield from map(known, page)
        token = page.token
        if not token:
            return


def _read(run: Run, metric: str) -> ExternalRun:
    said = {name: _said(run, name) for name in _NAMES}
    return ExternalRun(
        run_id=run.run_id,
        name=run.name,
        status=run.status,
        value=_unbounded(run.metrics.get(metric)),
        **said,
    )


def _unbounded(value: float | None) -> float | None:
    # MLflow stores infinity as the largest double.
    return value if value is None or abs(value) < 1e308 else math.copysign(math.inf, value)


def _said(run: Run, name: str) -> str:
    # A tag may correct a param, which cannot be changed.
    for source in (run.tags, run.params):
        if source.get(name, "").strip():
            return source[name].strip()
    return ""


def _experiments(client: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    token = None
    while True:
        page = client.search_experiments(page_token=token)
        found |= {item.name: str(item.experiment_id) for item in page}
        token = page.token
        if not token:
            return found


def _unknown(uri: str, experiment: str, ids: Mapping[str, str]) -> UnknownExperiment:
    hint = did_you_mean(experiment, ids) or f"; it has {listed(sorted(ids), 20)}."
    return UnknownExperiment(f"MLflow at {_shown(uri)} has no experiment {experiment!r}{hint}")


def _demand_file(uri: str) -> None:
    # MLflow would make an empty store where there is none.
    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
        if not path.is_file():
            raise UnknownExperiment(f"There is no MLflow store at {path}.")


def _shown(uri: str) -> str:
    """An address without the password that it may hold."""
    parts = urlsplit(uri)
    if not parts.netloc:
        return uri
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
