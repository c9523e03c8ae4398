"""The size of a confirmation: arms, pairs, seeds, runs, and what the seeds can detect."""

from __future__ import annotations

from workbench.study.config.study_config import StudyConfig
from workbench.study.study import Study
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
    """Number of arms: the comparable strategies that are tested, and the default."""
    return min(strategies, config.finalists or strategies) + 1


def pairs(config: StudyConfig, arms: int) -> int:
    """Number of comparisons, which Holm corrects for; one of the arms is the baseline."""
    if config.contrast == "all":
        return arms * (arms - 1) // 2
    if config.contrast == "baseline":
        return arms - 1
    levels = next(len(f.levels) for f in config.compare if f.name == config.contrast)
    return levels * (levels - 1) // 2


def floor(pairs: int) -> int:
    """The smallest number of seeds with which any pair can be significant."""
    return statistics.seeds_floor(pairs, alpha=ALPHA)


def seeds(config: StudyConfig, pairs: int) -> int:
    """Number of seeds: that of the study file, or the default for this number of pairs."""
    return config.confirm.seeds or statistics.seeds_default(pairs, alpha=ALPHA)


def bounds(study: Study) -> Bounds:
    """Lowest and highest value that the objective's metric can have; None where there is none."""
    metric = study.config.objective.metric.partition("/")[2]
    found = set()
    for strategy in study.strategies:
        task = (strategy.knobs.get("task") or {}).get("name", "classification")
        shipped = task in TASKS and metric in TASKS[task].metrics
        found.add(_BOUNDS[metric] if shipped else (None, None))
    return found.pop() if len(found) == 1 else (None, None)


def cautions(seeds: int, pairs: int) -> list[str]:
    """Warnings about too few seeds, shown before anything runs."""
    needed = floor(pairs)
    if seeds >= needed:
        return []
    need = "1 pair needs" if pairs == 1 else f"{pairs} pairs need"
    return [
        f"confirm.seeds: with {seeds} seeds no result can be significant: {need} at least "
        f"{needed}; the verdict will be UNDERPOWERED BY DESIGN"
    ]
