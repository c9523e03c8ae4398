"""Studies and trials on disk, for ``list`` and ``show``.

Reads records only, so that it works beside a running driver and without any store.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench import record
from workbench.driver import holder_of
from workbench.flaws import nearest
from workbench.record import Role, State, TrialDirectory, TrialSpec


class Unknown(LookupError):
    """There is no such study or trial; the message names the nearest one."""


def studies(home: Path) -> list[dict[str, Any]]:
    """Every study in a home: its state, how many trials of each state, and its best value."""
    root = home / "mlruns" / "studies"
    return [_study(path) for path in sorted(root.glob("*")) if (path / "study.json").exists()]


def study(home: Path, name: str) -> dict[str, Any]:
    """One study with all its trials.

    Raises:
        Unknown: There is none of this name.
    """
    directory = record.study_directory(home, name)
    if not (directory / "study.json").exists():
        names = [found["name"] for found in studies(home)]
        raise Unknown(_unknown("study", name, names))
    rows = [_trial(*pair) for pair in record.scan(directory)]
    return {**_study(directory), "trials": rows}


def trial(home: Path, name: str, trial_name: str) -> dict[str, Any]:
    """One trial with its specification, history and result.

    Raises:
        Unknown: There is no such study or trial.
    """
    study(home, name)
    found = record.scan(record.study_directory(home, name))
    for directory, spec in found:
        if trial_name in (spec.name, f"{spec.role}/{spec.name}"):
            result = directory.result()
            return {
                **_trial(directory, spec),
                "spec": record.plain(asdict(spec)),
                "history": [record.plain(asdict(epoch)) for epoch in directory.history()],
                "result": None if result is None else record.plain(asdict(result)),
                "directory": str(directory.path),
            }
    raise Unknown(_unknown("trial", trial_name, [spec.name for _, spec in found]))


def _study(directory: Path) -> dict[str, Any]:
    described = json.loads((directory / "study.json").read_text())
    counts = dict.fromkeys(("complete", "pruned", "failed", "parked", "running"), 0)
    best: float | None = None
    best_trial = None
    for trial_directory, spec in record.scan(directory):
        if spec.role is not Role.SEARCH:
            continue
        result = trial_directory.result()
        counts[result.state if result else State.RUNNING] += 1
        if result and result.value is not None and spec.objective.better(result.value, best):
            best, best_trial = result.value, spec.name
    holder = holder_of(directory)
    total = described["budget"]["total"]
    ended = counts["complete"] + counts["pruned"] + counts["failed"]
    state = "running" if holder else "complete" if ended >= total else "unfinished"
    if counts["running"] and not holder:
        counts["parked"] += counts["running"]
        counts["running"] = 0
    return {
        "name": described["name"],
        "state": state,
        "holder": holder,
        "trials": total,
        **counts,
        "metric": described["objective"]["metric"],
        "best": best,
        "best_trial": best_trial,
        "file": described["file"],
        "question": described["question"],
    }


def _trial(directory: TrialDirectory, spec: TrialSpec) -> dict[str, Any]:
    result = directory.result()
    history = directory.history()
    return {
        "trial": spec.name,
        "role": str(spec.role),
        "strategy": spec.strategy,
        "state": str(result.state if result else State.RUNNING),
        "value": result.value if result else None,
        "epoch": result.epoch if result else None,
        "epochs": len(history),
        "seconds": sum(epoch.metrics.get("seconds", 0.0) for epoch in history),
        "reason": result.reason if result else None,
        "hyperparameters": dict(spec.hyperparameters),
    }


def _unknown(kind: str, name: str, names: list[str]) -> str:
    guess = nearest(name, names)
    known = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    hint = f" Did you mean {guess}?" if guess else ""
    return f"There is no {kind} {name}; there is {known or 'none yet'}.{hint}"
