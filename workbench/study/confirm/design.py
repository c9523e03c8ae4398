"""How many arms, pairs, seeds and runs a confirmation has, and what so many seeds can show.

Counts alone; knows neither records nor files.
"""

from __future__ import annotations

from workbench.study.config.study_config import StudyConfig
from workbench.study.resources import Foundation
from workbench.tasks import TASKS
from workbench.verdict import ALPHA, statistics

Bounds = tuple[float | None, float | None]

# What the metrics of the shipped tasks can be at all; of a user's own nothing is known.
_SHARE: Bounds = (0.0, 1.0)
_ERROR: Bounds = (0.0, None)
_BOUNDS: dict[str, Bounds] = {
    "accuracy": _SHARE,
    "subset_accuracy": _SHARE,
    "precision": _SHARE,
    "recall": _SHARE,
    "f1": _SHARE,
    "micro_precision": _SHARE,
    "micro_recall": _SHARE,
    "micro_f1": _SHARE,
    "loss": _ERROR,
    "mae": _ERROR,
    "rmse": _ERROR,
    "r2": (None, 1.0),
}


def arms(config: StudyConfig, strategies: int) -> int:
    """Arms of so many comparable strategies: those that go on to the test, and the default."""
    return min(strategies, config.finalists or strategies) + 1


def pairs(config: StudyConfig, arms: int) -> int:
    """Comparisons among so many arms, one of them the baseline: what Holm corrects for."""
    if config.contrast == "all":
        return arms * (arms - 1) // 2
    if config.contrast == "baseline":
        return arms - 1
    levels = next(len(f.levels) for f in config.compare if f.name == config.contrast)
    return levels * (levels - 1) // 2


def floor(pairs: int) -> int:
    """Fewest seeds with which any of so many pairs can be significant."""
    return statistics.seeds_floor(pairs, alpha=ALPHA)


def seeds(config: StudyConfig, pairs: int) -> int:
    """Seeds of the confirmation: what the study file says, else the default for so many pairs."""
    return config.confirm.seeds or statistics.seeds_default(pairs, alpha=ALPHA)


def bounds(config: StudyConfig, foundation: Foundation) -> Bounds:
    """Lowest and highest value that the objective's metric can have; None where there is none."""
    metric = config.objective.metric.partition("/")[2]
    found = set()
    for strategy in config.strategies:
        task = (foundation.knobs(strategy).get("task") or {}).get("name", "classification")
        shipped = task in TASKS and metric in TASKS[task].metrics
        found.add(_BOUNDS[metric] if shipped else (None, None))
    return found.pop() if len(found) == 1 else (None, None)


def cautions(seeds: int, pairs: int) -> list[str]:
    """What so many seeds cannot do, said before anything runs."""
    least = floor(pairs)
    if seeds >= least:
        return []
    need = "1 pair needs" if pairs == 1 else f"{pairs} pairs need"
    return [
        f"confirm.seeds: with {seeds} seeds no result can be significant: {need} at least {least}; "
        "the verdict will be UNDERPOWERED BY DESIGN"
    ]
