"""Runs read back: a study as its driver described it, and its trials as rows of a table.

Everything that it returns comes from MLflow, so that a report needs nothing but its store. Knows
neither records nor how runs are written.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.record import State
from workbench.tracker.entry import EPOCHS, KEY, PARENT, STATE
from workbench.tracker.ledger import Ledger, Run
from workbench.tracker.params import valid_name
from workbench.tracker.store import Store

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("run_id", "run_name", "key", "role", "group", "strategy", "number", "state", "reason"),
    *("value", "epoch", "epochs", "epochs_done", "seconds"),
    *("optimizer", "learning_rate", "freeze_depth"),
    *("levels", "hyperparameters", "metrics", "started", "parameters", "device"),
)


class UnknownStudy(LookupError):
    """MLflow has no such study; the message names those that it has."""


def study(ledger: Ledger, store: Store, name: str) -> dict[str, Any]:
    """What a study was, as its driver described it.

    Returns:
        The content of ``study.json``, and the keys ``environment`` (content of
        ``environment.json``), ``parents`` (run id by role), ``parent_run_id`` (the search's, else
        the confirmation's), ``experiment_id`` and ``tracking_uri``. A file that MLflow lacks counts
        as empty.

    Raises:
        UnknownStudy: MLflow has no such study.
    """
    experiment_id = _experiment(ledger, store, name)
    parents = {
        run.tags["workbench.role"]: run
        for run in ledger.read(experiment_id)
        if KEY in run.tags and PARENT not in run.tags and not run.deleted
    }
    if not parents:
        raise _unknown(ledger, store, name)
    main = parents.get("search") or next(iter(parents.values()))
    return {
        **_json(ledger, store, name, main, "study/study.json"),
        "environment": _json(ledger, store, name, main, "study/environment.json"),
        "parents": {role: run.run_id for role, run in parents.items()},
        "parent_run_id": main.run_id,
        "experiment_id": experiment_id,
        "tracking_uri": store.uri,
    }


def trials(ledger: Ledger, store: Store, name: str) -> pd.DataFrame:
    """Every trial of a study, by role, group and number.

    Returns:
        A row a trial with the columns ``COLUMNS``. ``value`` is NaN unless the trial is complete,
        ``epoch`` where no epoch counts; ``metrics`` are those of that epoch, without their prefix
        ``best/``; ``optimizer``, ``learning_rate`` and ``freeze_depth`` are the last phase's;
        ``epoch`` is the number of the report, ``epochs`` how many epochs the trial was planned
        for and ``epochs_done`` how many it ran, which may be a fraction;
        ``started`` is in milliseconds since 1970 (UTC); ``device`` is the one that a trial ran on,
        empty where it has not recorded one.

    Raises:
        UnknownStudy: MLflow has no such study.
    """
    import pandas as pd

    rows = [
        _row(run)
        for run in ledger.read(_experiment(ledger, store, name))
        if KEY in run.tags and PARENT in run.tags and not run.deleted
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"freeze_depth": "Int64"})
    return frame.sort_values(["role", "group", "number"], ignore_index=True)


def _row(run: Run) -> dict[str, Any]:
    """A run by the names of ``COLUMNS``."""
    tags, params, metrics = run.tags, run.params, run.metrics
    state = tags.get(STATE, str(State.RUNNING))
    last = params.get("phases", "").rpartition(",")[2]
    prefix = f"{valid_name(last)}." if last else ""
    depth = params.get(f"{prefix}freeze_depth")
    return {
        "run_id": run.run_id,
        "run_name": run.name,
        "key": tags[KEY],
        "role": tags.get("workbench.role", ""),
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
        "levels": json.loads(tags.get("workbench.levels", "{}")),
        "hyperparameters": json.loads(tags.get("workbench.hyperparameters", "{}")),
        "metrics": _below("best/", metrics),
        "started": run.started,
        "parameters": {name: int(n) for name, n in _below("parameters/", metrics).items()},
        "device": tags.get("workbench.device", ""),
    }


def _below(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    return {
        name.removeprefix(prefix): value
        for name, value in sorted(metrics.items())
        if name.startswith(prefix)
    }


def _json(ledger: Ledger, store: Store, study: str, run: Run, name: str) -> dict[str, Any]:
    content = ledger.read_file(run, name)
    if content is None:
        # In a home that was moved, MLflow still names the folder of before.
        path = store.artifacts(study) / run.run_id / "artifacts" / name
        content = path.read_bytes() if path.exists() else b"{}"
    parsed: dict[str, Any] = json.loads(content)
    return parsed


def _experiment(ledger: Ledger, store: Store, name: str) -> str:
    found = ledger.experiments().get(name)
    if found is None:
        raise _unknown(ledger, store, name)
    return found


def _unknown(ledger: Ledger, store: Store, name: str) -> UnknownStudy:
    others = ", ".join(sorted(other for other in ledger.experiments() if other != name))
    return UnknownStudy(f"MLflow at {store.uri} has no study {name!r}. It has: {others or 'none'}.")
