"""What the report and its figures know of a trial: plain typed rows, read from the tracker's frame.

The only place that knows the frame's columns. Missing values become None here, and a value counts
only for a completed trial, so that nobody downstream can take a pruned trial's last value for a
score. Knows no store and draws nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from workbench.record import Role, State
from workbench.report import cells
from workbench.verdict.guards import NOT_ADAPTIVE


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One search trial.

    Attributes:
        value: The objective; None unless the trial completed with a finite one.
        epoch: The report that the objective's rule chose, counted from 1; see ``chosen_epoch``.
        epochs: For how many epochs the trial was planned.
        epochs_done: How many it ran; may be a fraction.
        learning_rate: Of the trial's last phase, as are ``optimizer`` and ``freeze_depth``.
        metrics: Finite metrics of the chosen epoch, without the prefix ``best/``.
        trainable: Number of trainable parameters in the last phase.
        started: Milliseconds since 1970 (UTC).
        provenance: See ``record.Result``.
    """

    run_id: str
    name: str
    group: str
    strategy: str
    number: int
    state: str
    reason: str = ""
    value: float | None = None
    epoch: int | None = None
    epochs: int | None = None
    epochs_done: float | None = None
    seconds: float = 0.0
    optimizer: str | None = None
    learning_rate: float | None = None
    freeze_depth: int | None = None
    levels: Mapping[str, str] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    trainable: int | None = None
    started: int | None = None
    device: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def diverged(self) -> bool:
        """Whether it failed because a loss or metric was no longer finite."""
        return self.state == State.FAILED and "diverged" in self.reason

    @property
    def ended(self) -> bool:
        """Whether it is complete, pruned or failed."""
        return State(self.state).ended

    @property
    def chosen_epoch(self) -> float | None:
        """Epochs done when the objective's rule chose; a trial may report within an epoch."""
        done = self.metrics.get("epochs", self.epoch)
        return int(done) if done is not None and done == int(done) else done

    @property
    def stopped_early(self) -> bool:
        """Whether it completed before the last of its epochs."""
        if self.epochs is None or self.epochs_done is None:
            return False
        return self.state == State.COMPLETE and self.epochs_done < self.epochs

    def label(self, factor: str) -> str | None:
        """Its level of a factor; for an optimizer or freeze depth not compared, the plan's."""
        if factor in self.levels:
            return self.levels[factor]
        value = {"optimizer": self.optimizer, "freeze_depth": self.freeze_depth}.get(factor)
        return None if value is None else str(value)


def read(study: Mapping[str, Any], frame: pd.DataFrame) -> tuple[Trial, ...]:
    """The search trials of a frame, by strategy in the study's order and then by number.

    Args:
        study: The resolved description of the study.
        frame: A row for each trial run, as the tracker reads them; may be empty.

    Raises:
        ValueError: A state is none of ``record.State``.
    """
    order = {item["name"]: index for index, item in enumerate(study["strategies"])}
    trials = (
        _trial(row) for row in frame.to_dict("records") if cells.text(row["role"]) == Role.SEARCH
    )
    return tuple(
        sorted(trials, key=lambda t: (order.get(t.strategy, len(order)), t.strategy, t.number))
    )


def _trial(row: Mapping[Any, Any]) -> Trial:
    group, number, state = (
        cells.text(row["group"]),
        int(row["number"]),
        State(cells.text(row["state"])),
    )
    value = cells.number(row["value"]) if state is State.COMPLETE else None
    metrics = {
        str(key).removeprefix("best/"): finite
        for key, metric in cells.mapping(row["metrics"]).items()
        if (finite := cells.number(metric)) is not None
    }
    return Trial(
        run_id=cells.text(row["run_id"]),
        name=f"{group}/{number:03d}",  # MLflow's run name says more and may be edited by hand
        group=group,
        strategy=cells.text(row["strategy"]),
        number=number,
        state=str(state),
        reason=cells.text(row["reason"]),
        value=value,
        epoch=_integer(row["epoch"]),
        epochs=_integer(row.get("epochs")),
        epochs_done=cells.number(row.get("epochs_done")),
        seconds=cells.number(row["seconds"]) or 0.0,
        optimizer=cells.text(row["optimizer"]) or None,
        learning_rate=cells.number(row["learning_rate"]),
        freeze_depth=_integer(row["freeze_depth"]),
        levels={str(key): str(item) for key, item in cells.mapping(row["levels"]).items()},
        hyperparameters={str(k): item for k, item in cells.mapping(row["hyperparameters"]).items()},
        metrics=metrics,
        trainable=_integer(cells.mapping(row["parameters"]).get("trainable")),
        started=_integer(row["started"]),
        device=cells.text(row["device"]),
        provenance={str(k): str(v) for k, v in cells.mapping(row.get("provenance")).items()},
    )


def _integer(value: Any) -> int | None:
    number = cells.number(value)
    return None if number is None else int(number)


def by_strategy(study: Mapping[str, Any], trials: Iterable[Trial]) -> dict[str, list[Trial]]:
    """Trials of every strategy, in the study's order; strategies that it no longer names last."""
    groups: dict[str, list[Trial]] = {item["name"]: [] for item in study["strategies"]}
    for trial in trials:
        groups.setdefault(trial.strategy, []).append(trial)
    return groups


def best(study: Mapping[str, Any], trials: Iterable[Trial]) -> Trial | None:
    """The trial with the highest value (lowest if minimised); the earliest of equals."""
    sign = -1 if study["objective"]["direction"] == "maximize" else 1
    valued = [(sign * t.value, t.number, t) for t in trials if t.value is not None]
    return min(valued, key=lambda item: item[:2])[2] if valued else None


def is_adaptive(study: Mapping[str, Any]) -> bool:
    """Whether the sampler looks at earlier results when it proposes a trial."""
    return str(study["search"].get("sampler", "")).lower() not in NOT_ADAPTIVE


def varied(study: Mapping[str, Any], trials: Sequence[Trial]) -> dict[str, tuple[str, ...]]:
    """The factors in which trials differ, each with its labels, both in the study's order."""
    groups = by_strategy(study, trials).values()
    found = {}
    for name in dict.fromkeys([*study["factors"], "optimizer", "freeze_depth"]):
        declared = [str(label) for label in study["factors"].get(name, ())]
        present = {label for t in trials if (label := t.label(name)) is not None}
        within = any(len({t.label(name) for t in group}) > 1 for group in groups)
        # A level that bundles knobs (method: lpft) also moves depth: that is one factor, not two.
        if len(present) > 1 and (declared or within):
            extra = sorted(present.difference(declared), key=lambda text: (len(text), text))
            found[name] = (*(label for label in declared if label in present), *extra)
    return found


def encoding(study: Mapping[str, Any], trials: Sequence[Trial]) -> dict[str, tuple[int, int]]:
    """Colour and marker of each strategy: the index of its first and of its second factor's level.

    Further factors share the second index, so that every strategy keeps a pair of its own.
    """
    factors = varied(study, trials)
    codes = {}
    for strategy, group in by_strategy(study, trials).items():
        if not group:
            continue
        indices = [
            labels.index(label)
            for factor, labels in factors.items()
            if (label := group[0].label(factor)) in labels
        ]
        rest = 0
        for index, labels in zip(indices[1:], list(factors.values())[1:], strict=False):
            rest = rest * len(labels) + index
        codes[strategy] = (indices[0] if indices else 0, rest)
    return codes
