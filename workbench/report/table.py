"""The table of the search: each strategy's trials, its best trial, settings and run.

Used by the page, LaTeX and CSV. Rows are in the study's order, because a search ranks nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import Any

from workbench.record import State
from workbench.report.percent import plain
from workbench.report.trials import by_strategy, ranked
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """A trial with its settings and the run that it can be checked in; see ``TrialRun``."""

    trial: str
    run_id: str
    strategy: str
    value: float | None
    epoch: float | None
    epochs: int | None
    epochs_done: float | None
    seconds: float
    optimizer: str | None
    learning_rate: float | None
    freeze_depth: int | None
    hyperparameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    trainable: int | None
    diverged: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class LearningRates:
    """Lowest and highest learning rate among the top trials, and how many those are."""

    low: float
    high: float
    of: int


@dataclass(frozen=True, kw_only=True)
class StrategyResult:
    """What one strategy's trials show.

    Attributes:
        in_study: Whether the study file still names it.
        started: Number of trials; the fields named after states count them by state.
        median: None where it would not describe the strategy (``trials.may_show_medians``).
        learning_rates: Of the trials in the top quarter by value, three at least.
    """

    name: str
    levels: Mapping[str, str]
    in_study: bool
    started: int
    running: int
    parked: int
    complete: int
    pruned: int
    failed: int
    diverged: int
    best: TrialResult | None
    median: float | None
    learning_rates: LearningRates | None
    seconds: float


def summarize(
    study: StoredStudy, trials: Sequence[TrialRun], *, medians: bool
) -> tuple[StrategyResult, ...]:
    """A row for each strategy, also for those without a trial."""
    described = {strategy.name: strategy.levels for strategy in study.strategies}
    rows = []
    for name, group in by_strategy(study, trials).items():
        valued = ranked(study, group)
        values = [trial.value for trial in valued if trial.value is not None]
        # A quarter of few trials would be one or two, which show no range.
        top = valued[: max(3, math.ceil(len(valued) / 4))]
        rates = [trial.learning_rate for trial in top if trial.learning_rate is not None]
        span = LearningRates(low=min(rates), high=max(rates), of=len(rates)) if rates else None
        counts = Counter(trial.state for trial in group)
        rows.append(
            StrategyResult(
                name=name,
                levels=described.get(name) or (group[0].levels if group else {}),
                in_study=name in described,
                started=len(group),
                **{str(state): counts[state] for state in State},
                diverged=sum(trial.diverged for trial in group),
                best=describe(valued[0]) if valued else None,
                median=median(values) if medians and values else None,
                learning_rates=span,
                seconds=math.fsum(trial.seconds or 0.0 for trial in group),
            )
        )
    return tuple(rows)


def describe(trial: TrialRun) -> TrialResult:
    """A trial as the report shows it."""
    own = ("trial", "epoch", "seconds")
    names = [field.name for field in fields(TrialResult) if field.name not in own]
    return TrialResult(
        trial=trial.name,
        epoch=trial.chosen_epoch,
        seconds=trial.seconds or 0.0,
        **{name: getattr(trial, name) for name in names},
    )


def metric_names(study: StoredStudy, strategies: Sequence[StrategyResult]) -> list[str]:
    """Validation metrics to show next to the objective, at most six."""
    present = {
        metric
        for strategy in strategies
        if strategy.best
        for metric in strategy.best.metrics
        if metric.startswith("validation/") and metric != study.objective.metric
    }
    usual = [f"validation/{name}" for name in ("accuracy", "precision", "recall", "f1", "loss")]
    order = {name: place for place, name in enumerate(usual)}
    return sorted(present, key=lambda name: (order.get(plain(name), len(order)), name))[:6]


def knob_names(study: StoredStudy, strategies: Sequence[StrategyResult]) -> list[str]:
    """Tuned knobs, without the learning rate and the factors, which have their own columns."""
    chosen = [strategy.best for strategy in strategies if strategy.best]
    names = {name for trial in chosen for name in trial.hyperparameters}
    # The last phase's rate is the trial's learning rate, which has a column.
    shown = {
        name
        for name in names
        if name.endswith(".learning_rate")
        and all(t.hyperparameters.get(name) == t.learning_rate for t in chosen)
    }
    return sorted(names - shown - {"learning_rate", *study.factors})


def divergence(rows: Sequence[TrialRun]) -> list[dict[str, Any]]:
    """Of each optimizer: how many trials diverged, and at which learning rates."""
    result = []
    for optimizer in sorted({trial.optimizer for trial in rows if trial.optimizer}):
        own = [trial for trial in rows if trial.optimizer == optimizer and trial.ended]
        rates = sorted(t.learning_rate for t in own if t.diverged and t.learning_rate is not None)
        # Between these two rates is the limit of stable training.
        fine = [t.learning_rate for t in own if not t.diverged and t.learning_rate is not None]
        result.append(
            {
                "optimizer": optimizer,
                "ended": len(own),
                "diverged": sum(trial.diverged for trial in own),
                "learning_rates": rates,
                "highest_without": max(fine, default=None),
            }
        )
    return result


def flat(trial: TrialRun) -> dict[str, Any]:
    """A trial as a row of data/trials.csv."""
    row = asdict(describe(trial))
    for name in ("number", "state", "device", "started"):
        row[name] = getattr(trial, name)
    groups = {"level": trial.levels, **{k: row.pop(k) for k in ("hyperparameters", "metrics")}}
    for prefix, items in groups.items():
        row |= {f"{prefix}.{key}": item for key, item in sorted(items.items())}
    return row
