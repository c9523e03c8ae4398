"""What MLflow's tables hold of runs, read by column.

MLflow's client makes an object of every tag, param and metric; these queries make none, in a tenth
of the time. The tables are those of the one release series that the project allows. Reads only;
knows neither studies nor how runs are written.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True)
class Run:
    """What one run is known to say.

    Attributes:
        artifacts: URI of its artifacts, which may name another home (``Store.folder_of``).
        deleted: It lies in MLflow's bin.
        started: Milliseconds since 1970 (UTC).
        metrics: The last value of each, as they were when the run was read.
        datasets: Name and digest of each.
        files: Digest of each file that was sent, by tag and path, since the run was read.
    """

    run_id: str
    name: str
    artifacts: str
    status: str
    deleted: bool
    started: int
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)
    datasets: set[tuple[str, str]] = field(default_factory=set)
    files: dict[str, dict[str, str]] = field(default_factory=dict)


def runs(session: Any, models: Any, experiment_id: str) -> list[Run]:
    """Every run of an experiment, those in the bin too, the oldest first.

    Runs that began in the same millisecond are in the order of their ids. What is written in the
    meantime may or may not show; metrics are read after the tags that count their epochs.

    Args:
        session: Of SQLAlchemy, on MLflow's database.
        models: MLflow's module of the classes of its tables.
        experiment_id: A number, as text.
    """
    run, dataset, used = models.SqlRun, models.SqlDataset, models.SqlInput
    here = run.experiment_id == int(experiment_id)
    columns = (run.run_uuid, run.name, run.artifact_uri, run.status, run.lifecycle_stage)
    stored = session.query(*columns, run.start_time).filter(here)
    stored = stored.order_by(run.start_time.is_(None), run.start_time, run.run_uuid)
    found = {
        run_id: Run(
            run_id=run_id,
            name=name or "",
            artifacts=artifacts,
            status=status,
            deleted=stage == "deleted",
            started=started,
            params={},
            tags={},
        )
        for run_id, name, artifacts, status, stage, started in stored
    }

    def rows(id_column: Any, *columns: Any) -> Iterator[tuple[Run, Any]]:
        """Rows of another table by the run that they are of, unless it was made since."""
        query = session.query(id_column, *columns).join(run, run.run_uuid == id_column)
        for run_id, *row in query.filter(here):
            if run_id in found:
                yield found[run_id], row

    tag, param, metric = models.SqlTag, models.SqlParam, models.SqlLatestMetric
    for known, (name, value) in rows(tag.run_uuid, tag.key, tag.value):
        known.tags[name] = value
    for known, (name, value) in rows(param.run_uuid, param.key, param.value):
        known.params[name] = value
    of_metric = (metric.run_uuid, metric.key, metric.value, metric.is_nan)
    for known, (name, value, is_nan) in rows(*of_metric):
        known.metrics[name] = math.nan if is_nan else value
    uses = (
        session.query(used.destination_id, dataset.name, dataset.digest)
        .join(dataset, dataset.dataset_uuid == used.source_id)
        .join(run, run.run_uuid == used.destination_id)
        .filter(here, used.destination_type == "RUN")
    )
    for run_id, name, digest in uses:
        if run_id in found:
            found[run_id].datasets.add((name, digest))
    return list(found.values())


def histories(
    session: Any, models: Any, run_ids: Collection[str], metrics: Collection[str]
) -> dict[str, dict[str, dict[int, float]]]:
    """Values by metric, run and step, without NaN; of several at a step, the latest.

    Args:
        session: Of SQLAlchemy, on MLflow's database.
        models: MLflow's module of the classes of its tables.
        run_ids: Of the runs that are asked for.
        metrics: Their names; each is a key of what is returned.
    """
    point = models.SqlMetric
    found: dict[str, dict[str, dict[int, float]]] = {metric: {} for metric in metrics}
    stored = (
        session.query(point.key, point.run_uuid, point.step, point.value)
        .filter(point.key.in_(list(metrics)), point.run_uuid.in_(list(run_ids)))
        .filter(point.is_nan.is_(False))
        .order_by(point.timestamp)
    )
    for metric, run_id, step, value in stored:
        found[metric].setdefault(run_id, {})[step] = value
    return found
