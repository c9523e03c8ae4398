"""The size of a confirmation: arms, pairs, seeds, runs, and what the seeds can detect."""

from __future__ import annotations

from workbench.study.config.study_config import StudyConfig
from workbench.study.study import Study
from workbench.tasks import TASKS
from workbench.verdict import corrected, level

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
    """Number of arms: the comparable strategies that are tested, and the default.

    A level that is added is compared with all that was tested before it, the default included.
    """
    if config.added:
        return config.added.tested + strategies
    return min(strategies, config.finalists or strategies) + 1


def pairs(config: StudyConfig, arms: int) -> int:
    """Number of planned comparisons; one of the arms is the baseline."""
    if config.contrast == "all":
        return arms * (arms - 1) // 2
    if config.contrast == "baseline":
        return arms - 1
    levels = next(len(f.levels) for f in config.compare if f.name == config.contrast)
    return levels * (levels - 1) // 2


def tests(config: StudyConfig, pairs: int) -> int:
    """Number of comparisons that the p value of a winner is corrected for."""
    return corrected(config.contrast, pairs)


def alpha(config: StudyConfig) -> float:
    """The level of each test."""
    return level(config.confirm.looks)


def floor(config: StudyConfig, tests: int) -> int:
    """The smallest number of seeds with which there can be a winner."""
    # Here, because a search reads protocols too, and needs no SciPy.
    from workbench.verdict.statistics import planning

    return planning.seeds_floor(tests, alpha=alpha(config))


def usual_seeds(config: StudyConfig, tests: int) -> int:
    """Number of seeds where the study file gives none."""
    from workbench.verdict.statistics import planning

    return planning.seeds_default(tests, alpha=alpha(config))


def seeds(config: StudyConfig, tests: int) -> int:
    """Number of seeds: that of the study file, or the default for this number of tests."""
    return config.confirm.seeds or usual_seeds(config, tests)


def detectable(config: StudyConfig, seeds: int, tests: int) -> float:
    """Difference found with 80 % power, in SDs of the paired differences; inf below the floor."""
    from workbench.verdict.statistics import planning

    return planning.detectable_effect(seeds, pairs=tests, alpha=alpha(config))


def bounds(study: Study) -> Bounds:
    """Lowest and highest value that the objective's metric can have; None where there is none."""
    metric = study.config.objective.metric.partition("/")[2]
    found = set()
    for strategy in study.strategies:
        task = (strategy.knobs.get("task") or {}).get("name", "classification")
        shipped = task in TASKS and metric in TASKS[task].metrics
        found.add(_BOUNDS[metric] if shipped else (None, None))
    return found.pop() if len(found) == 1 else (None, None)


def cautions(config: StudyConfig, seeds: int, tests: int) -> list[str]:
    """Warnings about too few seeds, shown before anything runs."""
    needed = floor(config, tests)
    if seeds >= needed:
        return []
    return [
        f"confirm.seeds: with {seeds} seeds no result can be significant; at least {needed} are "
        "needed. The verdict will be UNDERPOWERED BY DESIGN"
    ]
