"""Runs read back: a study as its driver described it, its trials as rows of a table, their curves.

Everything that it returns comes from MLflow, so that a report needs nothing but its store. Knows
neither records nor how runs are written.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.record import STUDY_NAME, Role, State
from workbench.record.files import sha256_of
from workbench.tracker.client import Ledger
from workbench.tracker.entry import (
    DATA,
    EPOCHS,
    KEY,
    PARENT,
    PROTOCOL,
    PROVENANCE,
    RETRIED,
    SEED,
    STATE,
)
from workbench.tracker.params import valid_name
from workbench.tracker.store import Store, StoreError
from workbench.tracker.tables import Run

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("run_id", "run_name", "key", "role", "group", "strategy", "number", "state", "reason"),
    *("value", "epoch", "epochs", "epochs_done", "seconds"),
    *("optimizer", "learning_rate", "freeze_depth"),
    *("levels", "hyperparameters", "metrics", "started", "parameters", "device"),
    *("seed", "test", "protocol", "provenance", "peak_memory", "data_digest"),
    "damaged_checkpoints",
)
PREDICTIONS = "predictions.parquet"


class UnknownStudy(LookupError):
    """MLflow has no such study; the message names those that it has."""


def study(ledger: Ledger, store: Store, name: str) -> dict[str, Any]:
    """What a study was, as its driver described it.

    Returns:
        The content of ``study.json``, and the keys ``environment`` (content of
        ``environment.json``), ``git`` (``commit`` and ``dirty`` of the last start that had trials
        to train; absent outside of git), ``parents`` (run id by role), ``parent_run_id`` (the
        search's, else the confirmation's), ``experiment_id`` and ``tracking_uri``. A file that
        MLflow lacks counts as empty. Of the confirmation's parent: ``protocol`` and ``selection``
        (contents of ``protocol.json`` and ``selection.json``), ``protocol_sha256`` (of that file's
        bytes) and ``protocol_logged`` (the hash that its driver wrote down); each None where there
        is none.

    Raises:
        UnknownStudy: MLflow has no such study.
        StoreError: One of these files cannot be read, or describes another study.
    """
    experiment_id = _experiment(ledger, store, name)
    roles = {f"{name}/{role}": role for role in ("search", "confirmation", "try")}
    found = [
        run
        for run in ledger.read(experiment_id)
        if PARENT not in run.tags and run.tags.get(KEY) in roles
    ]
    parents = {roles[run.tags[KEY]]: run for run in found if not run.deleted}
    if found and not parents:
        raise UnknownStudy(
            f"The study {name} lies in the bin of MLflow at {store.uri}. `workbench sync {name}` "
            "restores it."
        )
    if not parents:
        raise _unknown(ledger, store, name)
    main = parents.get("search") or next(iter(parents.values()))
    confirmation = parents.get("confirmation")
    files = (
        {"protocol": None, "selection": None}
        if confirmation is None
        else {
            file: ledger.file(confirmation, f"study/{file}.json")
            for file in ("protocol", "selection")
        }
    )
    described = ledger.file(main, "study/study.json")
    protocol = files["protocol"]
    content = _json(described, name) or {}
    if content and content.get("name") != name:
        raise _damaged(described, name, f"it describes the study {content.get('name')!r}")
    return {
        **content,
        **_git(main),
        "environment": _json(ledger.file(main, "study/environment.json"), name) or {},
        "parents": {role: run.run_id for role, run in parents.items()},
        "parent_run_id": main.run_id,
        "experiment_id": experiment_id,
        "tracking_uri": store.uri,
        **{file: None if path is None else _json(path, name) for file, path in files.items()},
        "protocol_sha256": sha256_of(protocol) if protocol and protocol.exists() else None,
        "protocol_logged": None if confirmation is None else confirmation.tags.get(PROTOCOL),
    }


def trials(ledger: Ledger, store: Store, name: str) -> pd.DataFrame:
    """Every trial of a study, by role, group and number.

    Returns:
        A row a trial with the columns ``COLUMNS``. ``role`` is ``retried`` for a failed search
        trial that another one took the place of. ``value`` is NaN unless the trial is complete,
        ``epoch`` where no epoch counts; ``metrics`` are those of that epoch, without their prefix
        ``best/``; ``optimizer``, ``learning_rate`` and ``freeze_depth`` are the last phase's;
        ``epoch`` is the number of the report, ``epochs`` how many epochs the trial was planned
        for and ``epochs_done`` how many it ran, which may be a fraction;
        ``started`` is in milliseconds since 1970 (UTC); ``device`` is the one that a trial ran on,
        empty where it has not recorded one; ``seed`` is text, because a number of its size is not
        safe in every reader; ``test`` holds the metrics on the test split by their full names, of
        confirmation runs alone; ``protocol`` is the hash of the protocol that planned a run, empty
        for the search; ``provenance`` see ``record.Result``; ``peak_memory`` is in bytes, NaN
        where it is not known.

    Raises:
        UnknownStudy: MLflow has no such study.
        StoreError: A run says what no trial says.
    """
    import pandas as pd

    rows = [
        _row(run, name)
        for run in ledger.read(_experiment(ledger, store, name))
        if KEY in run.tags and PARENT in run.tags and not run.deleted
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"freeze_depth": "Int64"})
    return frame.sort_values(["role", "group", "number"], ignore_index=True)


def scores(ledger: Ledger, store: Store, name: str) -> dict[str, list[float]]:
    """What every test sample adds to the test value of each confirmation run, by the run's id.

    In the order of the test split, the same for all runs; the mean is the run's test value of the
    objective's metric. Runs whose metric is no mean over samples are left out, and so are those
    that are not complete.

    Raises:
        UnknownStudy: MLflow has no such study.
        StoreError: A table of predictions cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    found = {}
    for run in ledger.read(_experiment(ledger, store, name)):
        tested = run.tags.get("workbench.role") == Role.CONFIRMATION and PARENT in run.tags
        if not tested or run.deleted or run.tags.get(STATE) != State.COMPLETE:
            continue
        path = ledger.file(run, PREDICTIONS)
        content = _content(path)
        if content is None:
            continue
        try:
            file = pyarrow.parquet.ParquetFile(io.BytesIO(content))
            if "score" in file.schema_arrow.names:
                found[run.run_id] = file.read(columns=["score"])["score"].to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise _damaged(path, name, error) from error
    return found


def histories(
    ledger: Ledger,
    store: Store,
    name: str,
    metrics: Sequence[str],
    run_ids: Collection[str] | None = None,
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Curves of some runs: by run id and metric, pairs of epoch and value, in order.

    Runs and metrics without a value are left out. The epoch is how many were done, a fraction
    where a trial reports more often. Without ``run_ids``, of every trial of the study.

    Raises:
        UnknownStudy: MLflow has no such study.
    """
    experiment_id = _experiment(ledger, store, name)
    if run_ids is None:
        runs = ledger.read(experiment_id)
        run_ids = [run.run_id for run in runs if PARENT in run.tags and not run.deleted]
    asked = {metric: valid_name(metric) for metric in metrics}
    told = ledger.histories(run_ids, {*asked.values(), "epochs"})
    done = told["epochs"]
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for metric, name in asked.items():
        for run_id, points in told[name].items():
            epochs = done.get(run_id, {})
            found.setdefault(run_id, {})[metric] = [
                (float(epochs.get(step, step)), value) for step, value in sorted(points.items())
            ]
    return found


def _git(parent: Run) -> dict[str, Any]:
    commit = parent.tags.get("mlflow.source.git.commit")
    dirty = parent.tags.get("workbench.git_dirty") == "true"
    return {} if commit is None else {"git": {"commit": commit, "dirty": dirty}}


def _row(run: Run, study: str) -> dict[str, Any]:
    """A run by the names of ``COLUMNS``.

    Raises:
        StoreError: Its tags or params are none of a trial.
    """
    try:
        return _cells(run)
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"The run {run.run_id} of {study} in MLflow has tags or params that no trial has "
            f"({error}). `workbench sync {study}` writes its tags again from the record."
        ) from error


def _cells(run: Run) -> dict[str, Any]:
    tags, params, metrics = run.tags, run.params, run.metrics
    state = tags.get(STATE, str(State.RUNNING))
    last = params.get("phases", "").rpartition(",")[2]
    prefix = f"{valid_name(last)}." if last else ""
    depth = params.get(f"{prefix}freeze_depth")
    return {
        "run_id": run.run_id,
        "run_name": run.name,
        "key": tags[KEY],
        "role": "retried" if RETRIED in tags else tags.get("workbench.role", ""),
        "group": tags.get("workbench.group", ""),
        "strategy": tags.get("workbench.strategy", ""),
        "number": int(tags.get("workbench.number", 0)),
        "state": state,
        "reason": tags.get("workbench.reason"),
        "value": metrics.get("objective", math.nan) if state == State.COMPLETE else math.nan,
        "epoch": float(tags.get("workbench.epoch", math.nan)),
        "seconds": metrics.get("trial/seconds", math.nan),
        "epochs": float(params.get("epochs", math.nan)),
        "epochs_done": metrics.get("epochs", float(tags.get(EPOCHS, math.nan))),
        "optimizer": params.get(f"{prefix}optimizer"),
        "learning_rate": float(params.get(f"{prefix}learning_rate", math.nan)),
        "freeze_depth": None if depth is None else int(depth),
        "levels": _object(tags.get("workbench.levels", "{}")),
        "hyperparameters": _object(tags.get("workbench.hyperparameters", "{}")),
        "metrics": _below("best/", metrics),
        "started": run.started,
        "parameters": {name: int(n) for name, n in _below("parameters/", metrics).items()},
        "device": tags.get("workbench.device", ""),
        "seed": tags.get(SEED, params.get("seed", "")),
        "test": {name: value for name, value in metrics.items() if name.startswith("test/")},
        "protocol": tags.get(PROTOCOL, ""),
        "provenance": {
            part: tags[f"workbench.{part}"] for part in PROVENANCE if f"workbench.{part}" in tags
        },
        "peak_memory": metrics.get("trial/peak_memory", math.nan),
        "data_digest": tags.get(DATA, ""),
        "damaged_checkpoints": int(metrics.get("trial/damaged_checkpoints", 0)),
    }


def _below(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {
        name.removeprefix(prefix): value
        for name, value in sorted(metrics.items())
        if name.startswith(prefix)
    }


def _json(path: Path, study: str) -> dict[str, Any] | None:
    """What an artifact says; None where there is none."""
    content = _content(path)
    try:
        return None if content is None else _object(content)
    except ValueError as error:
        raise _damaged(path, study, error) from error


def _object(text: str | bytes) -> dict[str, Any]:
    parsed = json.loads(text)
    if not isinstance(parsed, dict):
        raise ValueError(f"expected a JSON object, found {str(parsed)[:50]}")
    return parsed


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from error


def _damaged(path: Path, study: str, reason: object) -> StoreError:
    return StoreError(
        f"{path}, an artifact in MLflow, is damaged: {reason}. Delete the file; then "
        f"`workbench sync {study}` restores it from the study's records."
    )


def _experiment(ledger: Ledger, store: Store, name: str) -> str:
    if not STUDY_NAME.fullmatch(name):
        raise UnknownStudy(f"{name!r} is no name of a study.")
    found = ledger.experiments().get(name)
    if found is None:
        raise _unknown(ledger, store, name)
    return found


def _unknown(ledger: Ledger, store: Store, name: str) -> UnknownStudy:
    others = ", ".join(sorted(other for other in ledger.experiments() if other != name))
    return UnknownStudy(f"MLflow at {store.uri} has no study {name!r}. It has: {others or 'none'}.")
