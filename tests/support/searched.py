"""A search made by hand: three optimizers by three freeze depths, twelve trials each."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any

from workbench.record import State
from workbench.report.figures import Findings
from workbench.report.trials import of_search
from workbench.tracker.stored_study import StoredStudy, read
from workbench.tracker.trial_run import TrialRun

OPTIMIZERS = ("sgd", "adam", "adamw")


DEPTHS = {"0": 0, "2": 2, "all": 4}


# What stands elsewhere in MLflow than in study.json.
ELSEWHERE = {
    *("environment", "packages", "commit", "dirty", "parents", "parent_run_id", "experiment_id"),
    *("tracking_uri", "protocol", "selection", "protocol_sha256", "protocol_logged"),
    "second_look",
}


def described() -> dict[str, Any]:
    """study.json of three optimizers by three freeze depths, twelve trials each."""
    levels = [{"optimizer": o, "freeze_depth": d} for o in OPTIMIZERS for d in DEPTHS]
    return {
        "name": "digits",
        "question": "Which optimizer and freeze depth adapt a pretrained digit CNN best?",
        "mode": "balanced",
        "objective": {
            "metric": "validation/accuracy",
            "direction": "maximize",
            "epoch": "best",
        },
        "factors": {"optimizer": [*OPTIMIZERS], "freeze_depth": [*DEPTHS]},
        "strategies": [
            {"name": f"{x['optimizer']}-{x['freeze_depth']}", "levels": x} for x in levels
        ],
        "budget": {"trials_per_strategy": 12, "total": 108},
        "search": {"sampler": "tpe", "pruner": "median", "seed": 0, "startup_trials": 3},
        "tune": [
            {
                "knob": "learning_rate",
                "when": {"optimizer": ["sgd"]},
                "low": 1e-3,
                "high": 0.3,
                "log": True,
                "default": 1e-2,
            },
            {
                "knob": "learning_rate",
                "when": None,
                "low": 1e-4,
                "high": 0.1,
                "log": True,
                "default": 1e-3,
            },
            {
                "knob": "weight_decay",
                "when": None,
                "low": 1e-6,
                "high": 1e-2,
                "log": True,
                "default": 1e-4,
            },
            {
                "knob": "momentum",
                "when": {"optimizer": "sgd"},
                "low": 0.8,
                "high": 0.99,
                "log": False,
                "default": 0.9,
            },
            {"knob": "batch_size", "when": None, "choices": [16, 32], "default": 32},
        ],
        "data": {
            "name": "digits",
            "train": 100,
            "validation": 300,
            "test": 496,
            "classes": ["5", "6", "7", "8", "9"],
            "digest": "sha256:0123456789abcdef",
        },
        "backbone": {
            "name": "small_cnn",
            "weights": "studies/digits_pretrain.yaml",
            "stages": [
                {"name": "stem", "parameters": 320},
                {"name": "block1", "parameters": 9312},
                {"name": "block2", "parameters": 18624},
                {"name": "block3", "parameters": 37056},
            ],
        },
        "epochs": 12,
        "baseline": "sgd-0",
    }


def describe(**changes: Any) -> StoredStudy:
    """The study as the tracker reads it; changes of study.json, or of ``ELSEWHERE``."""
    stored: dict[str, Any] = {
        "packages": {"torch": "2.15.0", "optuna": "5.0.0", "mlflow": "3.17.2"},
        "environment": {
            "python": "3.11.9",
            "platform": "Linux",
            "cpu": "2 cores",
            "gpu": None,
            "threads": 1,
        },
        "commit": "148fd37c0ffee",
        "parent_run_id": "f" * 32,
        "experiment_id": "1",
        "tracking_uri": "sqlite:///mlruns/mlflow.db",
    }
    content = described()
    for name, value in changes.items():
        (stored if name in ELSEWHERE else content)[name] = value
    return read(content, **stored)


def row(strategy: str, number: int, value: float | None = None, **changes: Any) -> dict[str, Any]:
    """Fields of a ``TrialRun``: of a search trial, complete if it has a value, else pruned."""
    optimizer, _, depth = strategy.partition("-")
    state = changes.get("state", "pruned" if value is None else "complete")
    rate = changes.get("learning_rate", 0.01)
    return {
        "run_id": f"{abs(hash_of(strategy, number)):032x}",
        "key": f"digits/search/{strategy}/{number:03d}",
        "role": "search",
        "group": strategy,
        "strategy": strategy,
        "number": number,
        "state": state,
        "reason": "",
        "value": value,
        "epoch": None if value is None else 5,
        "seconds": 0.25,
        "optimizer": optimizer,
        "learning_rate": rate,
        "freeze_depth": DEPTHS.get(depth, 0),
        "levels": {"optimizer": optimizer, "freeze_depth": depth},
        "hyperparameters": {"learning_rate": rate, "weight_decay": 1e-4},
        "metrics": {} if value is None else {"validation/accuracy": value},
        "started": 1_760_000_000_000 + 1000 * number,
        "trainable": 66_000,
        "device": "cpu",
    } | changes


def hash_of(*parts: object) -> int:
    return random.Random(repr(parts)).getrandbits(127)


def runs(rows: Iterable[Mapping[str, Any]]) -> tuple[TrialRun, ...]:
    """As the tracker returns them; a value counts for a complete trial alone."""
    found = []
    for item in rows:
        state = State(item["state"])
        value = item["value"] if state is State.COMPLETE else None
        found.append(TrialRun(**{**item, "state": state, "value": value}))
    return tuple(found)


def realistic(seed: int = 0) -> list[dict[str, Any]]:
    """Twelve trials of each of nine strategies: a valley in the learning rate for each."""
    draw = random.Random(seed)
    rows = []
    for optimizer in OPTIMIZERS:
        low, high, at = (1e-3, 0.3, -1.3) if optimizer == "sgd" else (1e-4, 0.1, -2.4)
        for depth in DEPTHS:
            ceiling = {"0": 0.955, "2": 0.945, "all": 0.79}[depth]
            for number in range(12):
                where = draw.uniform(math.log10(low), math.log10(high))
                if number > 4:
                    where += 0.45 * (at - where)
                where = math.log10({"sgd": 0.01}.get(optimizer, 1e-3)) if number == 0 else where
                off = where - at
                value = ceiling - 0.09 * off**2 - (0.2 * off if off > 0.7 else 0)
                value = max(0.2, round(300 * (value + draw.gauss(0, 0.01))) / 300)
                changes: dict[str, Any] = {
                    "learning_rate": 10**where,
                    "hyperparameters": {
                        "learning_rate": 10**where,
                        "weight_decay": 10 ** draw.uniform(-6, -2),
                        "batch_size": draw.choice([16, 32]),
                        **({"momentum": draw.uniform(0.8, 0.99)} if optimizer == "sgd" else {}),
                    },
                    "seconds": draw.uniform(0.2, 0.4),
                    "epoch": draw.randint(5, 12),
                }
                if off > 0.75 and draw.random() < 0.7:
                    changes |= {"state": "failed", "reason": "diverged at epoch 2"}
                    rows.append(row(f"{optimizer}-{depth}", number, None, **changes))
                elif number > 3 and value < ceiling - 0.02 and draw.random() < 0.8:
                    reason = "pruned at epoch 4"
                    rows.append(row(f"{optimizer}-{depth}", number, None, reason=reason, **changes))
                else:
                    metrics = {
                        f"validation/{name}": max(0.0, value - shift)
                        for name, shift in (("precision", 0.002), ("recall", 0.004), ("f1", 0.003))
                    }
                    metrics |= {
                        "validation/accuracy": value,
                        "validation/loss": 1 - value,
                    }
                    item = row(f"{optimizer}-{depth}", number, value, metrics=metrics, **changes)
                    rows.append(item)
    return rows


def trials(rows: Sequence[Mapping[str, Any]], **changes: Any) -> tuple[TrialRun, ...]:
    return of_search(describe(**changes), runs(rows))


def findings(study: StoredStudy, trials: Sequence[TrialRun]) -> Findings:
    """What a figure of the search is made from."""
    return Findings(study=study, trials=trials)


HOSTILE = "<script>alert(1)</script> $x_{y}$ & 'q' \\alpha #50% ~^ | `c` " + "long " * 40


def joint(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**item, "group": "joint", "number": n} for n, item in enumerate(rows)]


def respelled(value: Any, spell: Callable[[str], str]) -> Any:
    """The same data with other texts, however deep they lie; keys that are texts as well."""
    if isinstance(value, str):
        return value if isinstance(value, Enum) else spell(value)
    if isinstance(value, Mapping):
        return {respelled(key, spell): respelled(item, spell) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(respelled(item, spell) for item in value))
    if isinstance(value, list | tuple):
        return type(value)(respelled(item, spell) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        texts = {f.name: respelled(getattr(value, f.name), spell) for f in fields(value)}
        return replace(value, **texts)
    return value
