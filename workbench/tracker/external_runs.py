"""Reads the runs of an MLflow experiment that Workbench did not write, as rows of results.

``workbench verdict --mlflow`` uses it. Strategy, seed and data set are params or tags of a run.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from workbench.messages import counted, did_you_mean, listed
from workbench.tracker import location
from workbench.tracker.client import pages, run_of
from workbench.tracker.connection import import_mlflow
from workbench.tracker.entry import PARENT
from workbench.tracker.shared_store import check_reachable, redacted, without_credentials
from workbench.tracker.store import StoreError
from workbench.tracker.stored_run import Run
from workbench.verdict.results import ResultRow, Results, ResultsError, repeated, seed_name

# MLflow's statuses as ``verdict.Run`` has them.
_STATES = {
    "FINISHED": "complete",
    "FAILED": "failed",
    "KILLED": "pruned",
    "RUNNING": "running",
    "SCHEDULED": "running",
}


def read_experiment(uri: str, experiment: str, metric: str | None) -> Results:
    """The runs of an experiment that have strategy and seed as params or tags.

    FINISHED runs count with the metric's last value, FAILED ones as failed. KILLED runs are pruned
    and the others unfinished: they have no value, and their strategy is not compared. Parents of
    nested runs are ignored.

    Args:
        uri: MLflow's tracking URI.
        experiment: Name or id.
        metric: Its name, which has no default: an experiment has several.

    Raises:
        ResultsError: No such store, experiment or metric, a study of Workbench, or runs that cannot
            be told apart.
    """
    runs = _runs(uri, experiment)
    for run in runs:
        if "workbench.study" in run.tags or "workbench.role" in run.tags:
            # Its confirmation may be unfinished, and its protocol would be ignored.
            study = run.tags.get("workbench.study") or experiment
            raise ResultsError(
                f"{study} is a study of Workbench: workbench report {study} says what may be"
                " claimed."
            )
    parents = {run.tags.get(PARENT) for run in runs}
    runs = [run for run in runs if run.run_id not in parents]
    metrics = sorted({name for run in runs for name in run.metrics})
    if metric is None or metric not in metrics:
        raise ResultsError(_no_metric(experiment, metric, metrics))
    notes = list(_without_names(runs))
    rows = []
    for run in runs:
        row = _row(run, metric, notes)
        if row is not None:
            rows.append(row)
    if not rows:
        raise ResultsError(
            f"No run of the experiment {experiment!r} counts: expected runs with the metric"
            f" {metric} and the params or tags strategy and seed. {' '.join(notes[:5])}"
        )
    problems = [*repeated(rows), *_without_dataset(rows)]
    if problems:
        raise ResultsError("\n".join(problems[:10]))
    return Results(
        rows=tuple(rows), metric=metric, source=f"MLflow {experiment}", notes=tuple(notes)
    )


def _runs(uri: str, experiment: str) -> list[Run]:
    """All runs of an experiment, the oldest first."""
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    # MLflow would make an empty store where there is none.
    if uri.startswith("sqlite:///") and not path.is_file():
        raise ResultsError(f"There is no MLflow store at {path}.")
    location.limit_waiting()
    mlflow = import_mlflow()
    try:
        check_reachable(uri)
        client = mlflow.MlflowClient(uri)
        ids = {item.name: str(item.experiment_id) for item in pages(client.search_experiments)}
        number = ids.get(experiment, experiment)
        if number not in ids.values():
            hint = did_you_mean(experiment, ids) or f"; it has {listed(sorted(ids), 20)}."
            raise ResultsError(f"MLflow at {redacted(uri)} has no experiment {experiment!r}{hint}")
        order = ["attributes.start_time ASC", "attributes.run_id ASC"]
        return [run_of(run) for run in pages(client.search_runs, [number], order_by=order)]
    except StoreError as error:
        raise ResultsError(str(error)) from None
    except mlflow.MlflowException as error:
        # MLflow's own message repeats the whole address.
        problem = without_credentials(str(error), uri)
        if "timed out" in problem:
            seconds = os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]
            problem = (
                f"it did not answer within {seconds} s. Check that the server works; the variable "
                "MLFLOW_HTTP_REQUEST_TIMEOUT sets how many seconds to wait."
            )
        raise ResultsError(f"MLflow at {redacted(uri)} cannot be read: {problem}") from None


def _row(run: Run, metric: str, notes: list[str]) -> ResultRow | None:
    """A run as a row of results; None for one that does not count, with a note where none is."""
    strategy, seed = _label(run, "strategy"), _label(run, "seed")
    if not strategy or not seed:
        return None
    value = run.metrics.get(metric)
    if run.status == "FINISHED" and value is None:
        notes.append(f"Ignored: run {run.run_id} is FINISHED and has no {metric}.")
        return None
    state = _STATES.get(run.status, "running")
    # MLflow stores infinity as the largest double.
    if value is not None and not abs(value) < 1e308:
        state = "failed"
    if state in ("pruned", "running"):
        notes.append(f"Run {run.run_id} is {run.status}, so it has no result: {state}.")
    return ResultRow(
        strategy=strategy,
        seed=seed_name(seed),
        value=value if state == "complete" else None,
        state=state,
        dataset=_label(run, "dataset"),
        where=f"run {run.run_id}",
        run_id=run.run_id,
    )


def _label(run: Run, name: str) -> str:
    # A tag may correct a param, which cannot be changed.
    return run.tags.get(name, "").strip() or run.params.get(name, "").strip()


def _without_names(runs: Sequence[Run]) -> Iterator[str]:
    """How many runs name no strategy or no seed."""
    missing = Counter(
        " and ".join(name for name in ("strategy", "seed") if not _label(run, name)) for run in runs
    )
    for names, count in sorted(missing.items()):
        if names:
            yield f"Ignored: {counted(count, 'run')} without a param or tag {names}."


def _without_dataset(rows: Sequence[ResultRow]) -> Iterator[str]:
    named = [row for row in rows if row.dataset]
    if named and len(named) < len(rows):
        nameless = next(row for row in rows if not row.dataset)
        yield (
            f"{nameless.where} has no param or tag dataset, but {named[0].where} has; either every"
            " run must name its data set, or none."
        )


def _no_metric(experiment: str, metric: str | None, metrics: Sequence[str]) -> str:
    known = f"; it has {listed(metrics, 20)}."
    if metric is None:
        return f"Name the metric with --metric: of the experiment {experiment!r}{known}"
    hint = did_you_mean(metric, metrics) or known
    return f"The experiment {experiment!r} has no metric {metric!r}{hint}"
