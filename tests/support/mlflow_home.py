"""A home with trial records made by hand, and a store to mirror them into."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from mlflow import MlflowClient
from mlflow.entities import Run

from workbench import record
from workbench.record import EpochResult, Objective, Result, Role, State, TrialDirectory, TrialSpec
from workbench.record.strategy import Phase, Plan, Schedule, Weights
from workbench.tracker import Tracker
from workbench.tracker.trial_run import TrialRun

STUDY = "digits"
BEGAN = 1_760_000_000_000
PROTOCOL = '{"schema": 1, "study": "digits"}'
PROTOCOL_SHA256 = hashlib.sha256(PROTOCOL.encode()).hexdigest()
# What the tracker reads of the description of weights.
DESCRIPTION = {
    "strategy": "adamw-2",
    "epoch": 3,
    "metric": "validation/accuracy",
    "value": 0.9,
    "task": {"name": "classification"},
    "preparation": {"input_shape": [2]},
    "columns": None,
    "example": [0.0, 1.0],
    "outputs": {"name": "string", "cat": "double"},
}

PROVENANCE = {
    "commit": "0123456789ab",
    "packages": "torch 2.15.0, numpy 2.4.6",
    "hardware": "a processor",
    "threads": "1",
}


def home_in(folder: Path) -> Path:
    """A folder that has an empty store."""
    close(Tracker(folder))
    return folder


def close(tracker: Tracker) -> None:
    """Leave one file, without sqlite's journal files, as the end of a process does."""
    # MLflow keeps one engine for each address: this is the one that the client uses.
    tracker._make_tables(tracker._store.connection_uri)


def empty_store(folder: Path) -> str:
    """The URI of an empty store. To make the tables of a new file takes MLflow seconds."""
    return f"sqlite:///{home_in(folder)}/mlruns/mlflow.db"


def phase(**knobs: Any) -> Phase:
    given: dict[str, Any] = {
        "name": "train",
        "epochs": 5,
        "freeze_depth": 2,
        "optimizer": "adamw",
        "learning_rate": 3.1e-4,
        "weight_decay": 1e-4,
        "options": {"beta1": 0.9},
        "schedule": Schedule(),
    }
    return Phase(**{**given, **knobs})


def plan(*phases: Phase) -> Plan:
    return Plan(
        dataset={"name": "digits", "classes": [5, 6]},
        backbone={"name": "small_cnn", "width": 8},
        weights=Weights(source="pretrained.safetensors", sha256="ab" * 32),
        keep_head=False,
        task={"name": "classification"},
        batch_size=32,
        augmentation=({"shift": {"pixels": 1}},),
        device="cpu",
        threads=1,
        phases=phases or (phase(),),
    )


def spec(number: int = 7, **given: Any) -> TrialSpec:
    fields: dict[str, Any] = {
        "study": STUDY,
        "role": Role.SEARCH,
        "group": "adamw-2",
        "strategy": "adamw-2",
        "number": number,
        "levels": {"optimizer": "adamw", "freeze_depth": "2"},
        "hyperparameters": {"learning_rate": 3.1e-4, "weight_decay": 1e-4},
        "plan": plan(),
        "objective": Objective(metric="validation/accuracy", direction="maximize"),
        "seed": 11,
        "study_seed": 0,
        "data_digest": "cd" * 32,
    }
    return TrialSpec(**{**fields, **given})


def selection(number: int = 1, candidate: int = 17, **given: Any) -> TrialSpec:
    """A candidate's run with one of the selection's seeds."""
    fields = {"group": f"adamw-2/{candidate:03d}", "seed": 500 + number}
    return spec(number, role=Role.SELECTION, **{**fields, **given})


def confirmation(number: int = 0, arm: str = "adamw-2", **given: Any) -> TrialSpec:
    """An arm's run with one of the confirmation's seeds."""
    fields = {"group": arm, "strategy": arm, "seed": 2**62 + number}
    return spec(number, role=Role.CONFIRMATION, **{**fields, "protocol": PROTOCOL_SHA256, **given})


def epoch(number: int) -> EpochResult:
    return EpochResult(
        epoch=number,
        phase="train",
        metrics={
            "validation/accuracy": 1 / 3 + number / 10,
            "train/loss": 1 / number,
            "seconds": 1.0,
        },
        timestamp=BEGAN + 1000 * number,
    )


def result(state: State, **given: Any) -> Result:
    fields: dict[str, Any] = {
        "state": state,
        "attempt": 1,
        "value": epoch(3).metrics["validation/accuracy"],
        "epoch": 3,
        "metrics": epoch(3).metrics,
        "parameters": {"total": 1000, "trainable": 200},
        "started": BEGAN,
        "ended": BEGAN + 6000,
        "seconds": 5.5,
        "device": "cpu",
    }
    return Result(**{**fields, **given})


def tested(accuracy: float = 0.9, **given: Any) -> Result:
    """How a confirmation run ended that was tested."""
    test = {"test/loss": 0.25, "test/accuracy": accuracy}
    fields = {"test": test, "provenance": PROVENANCE, "peak_memory": 3_000_000}
    return result(State.COMPLETE, **{**fields, **given})


def write(
    home: Path,
    what: TrialSpec | None = None,
    *,
    epochs: int = 5,
    ended: Result | None = None,
    weights: bytes | None = None,
) -> TrialDirectory:
    """A record of a trial, with a picture and maybe weights."""
    what = what or spec()
    directory = record.directory_of(record.study_directory(home, what.study), what)
    directory.write_spec(what)
    for number in range(1, epochs + 1):
        directory.append(epoch(number))
    directory.artifacts.mkdir(exist_ok=True)
    (directory.artifacts / "mistakes.png").write_bytes(b"picture")
    if weights is not None:
        directory.weights.write_bytes(weights)
        directory.weights_description.write_text(json.dumps(DESCRIPTION))
    if ended is not None:
        directory.write_result(ended)
    return directory


def write_predictions(directory: TrialDirectory, scores: list[float] | None) -> None:
    """A table of predictions, without scores for a metric that is no mean."""
    columns: dict[str, Any] = {"sample": list(range(5))}
    if scores is not None:
        columns = {"sample": list(range(len(scores))), "score": scores}
    path = directory.artifacts / "predictions.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def again(directory: TrialDirectory, **changes: Any) -> None:
    """Change the specification of a record."""
    before = directory.spec()
    assert before is not None
    directory.write_spec(replace(before, **changes))


def parent_of(tracker: Tracker, role: str = "search", **given: Any) -> str:
    fields: dict[str, Any] = {"tags": {}, "params": {}, "files": {}}
    return tracker.open_parent(STUDY, role, **{**fields, **given})


def rows(home: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """What the store's tables hold, read past MLflow."""
    with closing(sqlite3.connect(home / "mlruns" / "mlflow.db")) as connection:
        return list(connection.execute(query, values))


def everything(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row that says something about a run."""
    tables = ("runs", "params", "tags", "metrics", "latest_metrics", "datasets", "inputs")
    return {table: sorted(rows(home, f"SELECT * FROM {table}"), key=repr) for table in tables}


def run_of(home: Path, key: str) -> tuple[str, str, int | None]:
    """Id, status and end of the one run of a key."""
    found = rows(
        home,
        "SELECT runs.run_uuid, status, end_time FROM runs JOIN tags USING (run_uuid) "
        "WHERE tags.key = 'workbench.key' AND tags.value = ?",
        key,
    )
    assert len(found) == 1, f"{len(found)} runs of {key}"
    return found[0]


def tags_of(home: Path, run_id: str) -> dict[str, str]:
    return dict(rows(home, "SELECT key, value FROM tags WHERE run_uuid = ?", run_id))


def params_of(home: Path, run_id: str) -> dict[str, str]:
    return dict(rows(home, "SELECT key, value FROM params WHERE run_uuid = ?", run_id))


def history_of(home: Path, run_id: str, metric: str) -> list[tuple[int, float, int]]:
    """Step, value and timestamp of every point of a metric."""
    return [
        (step, value, timestamp)
        for step, value, timestamp in rows(
            home,
            "SELECT step, value, timestamp FROM metrics WHERE run_uuid = ? AND key = ? "
            "ORDER BY step, timestamp",
            run_id,
            metric,
        )
    ]


def artifacts_of(home: Path, run_id: str, study: str = STUDY) -> Path:
    return home / "mlruns" / "artifacts" / study / run_id / "artifacts"


def runs_of(home: Path, study: str) -> list[Run]:
    client = MlflowClient(f"sqlite:///{home / 'mlruns' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


def contents(home: Path) -> dict[str, tuple[int, bytes]]:
    """Every file but what sqlite keeps beside its own: when it was written, and what it holds."""
    return {
        str(path.relative_to(home)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def record_of(home: Path, run: TrialRun, scores: Sequence[float] | None) -> TrialDirectory:
    """The record that the tracker would read that run from."""
    what = spec(
        run.number,
        role=Role(run.role),
        group=run.group,
        strategy=run.strategy,
        levels=run.levels,
        hyperparameters=run.hyperparameters,
        seed=int(run.seed),
        data_digest=run.data_digest,
        protocol=run.protocol or None,
    )
    ended = result(
        run.state,
        reason=run.reason or None,
        value=run.value,
        metrics=run.metrics,
        epoch=3 if run.state is State.COMPLETE else None,
        seconds=run.seconds,
        test=run.test,
        provenance=run.provenance,
    )
    directory = write(home, what, epochs=3, ended=ended)
    if scores is not None:
        write_predictions(directory, list(scores))
    return directory
