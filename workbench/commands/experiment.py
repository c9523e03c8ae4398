"""Results from an MLflow experiment, as the rows that a CSV file gives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from workbench.messages import did_you_mean, listed
from workbench.tracker import external_runs, store
from workbench.tracker.external_runs import ExternalRun, ExternalRuns
from workbench.verdict.results import ResultRow, Results, Unreadable, repeated, seed_name
from workbench.verdict.wording.numbers import counted

# MLflow's statuses as ``verdict.Run`` has them.
_STATES = {
    "FINISHED": "complete",
    "FAILED": "failed",
    "KILLED": "pruned",
    "RUNNING": "running",
    "SCHEDULED": "running",
}


def read_experiment(experiment: str, *, uri: str | None, home: Path, metric: str | None) -> Results:
    """The runs of an experiment that have strategy and seed as params or tags.

    FINISHED runs count with the metric's last value, FAILED ones as failed. KILLED runs are pruned
    and the others unfinished: they have no value, and their strategy is not compared. Parents of
    nested runs are ignored.

    Args:
        experiment: Name or id.
        uri: MLflow's tracking URI; None takes the home's own store.
        home: Folder that holds ``mlruns``.
        metric: Its name, which has no default: an experiment has several.

    Raises:
        Unreadable: No such experiment or metric, a study of Workbench, or runs that cannot be told
            apart.
    """
    address = uri or store.uri_of(home / "mlruns" / "mlflow.db")
    try:
        found = external_runs.read(address, experiment, metric or "")
    except external_runs.UnknownExperiment as error:
        raise Unreadable(str(error)) from None
    if found.study:
        # Its confirmation may be unfinished, and its protocol would be ignored.
        raise Unreadable(
            f"{found.study} is a study of Workbench: workbench report {found.study} says what may"
            " be claimed."
        )
    if metric is None or metric not in found.metrics:
        raise Unreadable(_no_metric(experiment, metric, found))
    notes: list[str] = []
    runs = _of_interest(found.runs, notes)
    rows = []
    for run in runs:
        if run.status == "FINISHED" and run.value is None:
            notes.append(f"Ignored: run {run.run_id} is FINISHED and has no {metric}.")
            continue
        state = _STATES.get(run.status, "running")
        if run.value is not None and not math.isfinite(run.value):
            state = "failed"
        if state in ("pruned", "running"):
            notes.append(f"Run {run.run_id} is {run.status}, so it has no result: {state}.")
        rows.append(
            ResultRow(
                strategy=run.strategy,
                seed=seed_name(run.seed),
                value=run.value if state == "complete" else None,
                state=state,
                dataset=run.dataset,
                where=f"run {run.run_id}",
                run_id=run.run_id,
            )
        )
    if not rows:
        raise Unreadable(
            f"No run of the experiment {experiment!r} counts: expected runs with the metric"
            f" {metric} and the params or tags strategy and seed.{_told(notes)}"
        )
    problems = list(_flaws(rows))
    if problems:
        raise Unreadable("\n".join(problems[:10]))
    return Results(
        rows=tuple(rows), metric=metric, source=f"MLflow {experiment}", notes=tuple(notes)
    )


def _of_interest(runs: Sequence[ExternalRun], notes: list[str]) -> list[ExternalRun]:
    found = []
    nameless: Counter[str] = Counter()
    for run in runs:
        if not run.strategy or not run.seed:
            lacking = [name for name in ("strategy", "seed") if not getattr(run, name)]
            nameless[" and ".join(lacking)] += 1
        else:
            found.append(run)
    for names, count in sorted(nameless.items()):
        notes.append(f"Ignored: {counted(count, 'run')} without a param or tag {names}.")
    return found


def _flaws(rows: Sequence[ResultRow]) -> Iterator[str]:
    yield from repeated(rows)
    named = [row for row in rows if row.dataset]
    if named and len(named) < len(rows):
        nameless = next(row for row in rows if not row.dataset)
        yield (
            f"{nameless.where} has no param or tag dataset, but {named[0].where} has; either every"
            " run must name its data set, or none."
        )


def _no_metric(experiment: str, metric: str | None, found: ExternalRuns) -> str:
    known = f"; it has {listed(found.metrics, 20)}."
    if metric is None:
        return f"Name the metric with --metric: of the experiment {experiment!r}{known}"
    hint = did_you_mean(metric, found.metrics) or known
    return f"The experiment {experiment!r} has no metric {metric!r}{hint}"


def _told(notes: Sequence[str]) -> str:
    return "".join(f" {note}" for note in notes[:5])
