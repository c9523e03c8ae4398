"""One trial as a typed row, read from an MLflow run. Used by the report and the commands.

A value that is missing or not finite is None.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.record import State
from workbench.tracker.entry import DATA, EPOCHS, KEY, PROTOCOL, PROVENANCE, RETRIED, SEED, STATE
from workbench.tracker.params import valid_name
from workbench.tracker.stored_run import Run

_INFINITE = 1e308  # MLflow stores infinity as the largest double


@dataclass(frozen=True, kw_only=True)
class TrialRun:
    """One trial of a search, a selection, a confirmation or a ``try``.

    Attributes:
        role: One of ``record.Role``, or ``retried`` for a failed search trial that was replaced by
            another one.
        group: For a search trial its strategy, or ``joint``; for a selection run
            ``<strategy>/<candidate>``; for a confirmation run its arm.
        number: Within its group.
        value: The objective on validation data; None unless the trial completed with a finite one.
        epoch: The report that the objective's rule chose, counted from 1; see ``chosen_epoch``.
        epochs: Planned number of epochs.
        epochs_done: Number of epochs that it ran; may be a fraction.
        seconds: Of training and validation; None where unknown.
        learning_rate: Of the trial's last phase, as are ``optimizer`` and ``freeze_depth``.
        levels: Label of each compared factor.
        hyperparameters: What was tuned, by the knob's path.
        metrics: Finite metrics of the chosen epoch.
        test: Metrics on the test split by their full names (``test/accuracy``).
        trainable: Number of trainable parameters in the last phase.
        started: Milliseconds since 1970 (UTC).
        seed: Text, because a number of its size is not safe in every reader.
        protocol: SHA-256 of the protocol that the run was started under; empty for the search.
        provenance: See ``record.Result``.
        peak_memory: In bytes.
    """

    run_id: str
    key: str = ""
    role: str
    group: str
    strategy: str
    number: int
    state: State
    reason: str = ""
    value: float | None = None
    epoch: int | None = None
    epochs: int | None = None
    epochs_done: float | None = None
    seconds: float | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    freeze_depth: int | None = None
    levels: Mapping[str, str] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)
    trainable: int | None = None
    started: int | None = None
    device: str = ""
    seed: str = ""
    protocol: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    peak_memory: float | None = None
    data_digest: str = ""
    damaged_checkpoints: int = 0

    @property
    def name(self) -> str:
        """``group/number``. MLflow's name of the run is not used, because users may edit it."""
        return f"{self.group}/{self.number:03d}"

    @property
    def ended(self) -> bool:
        """Whether it is complete, pruned or failed."""
        return self.state.ended

    @property
    def diverged(self) -> bool:
        """Whether it failed because a loss or metric was no longer finite."""
        return self.state == State.FAILED and "diverged" in self.reason

    @property
    def chosen_epoch(self) -> float | None:
        """Epochs done at the chosen report; a fraction where a trial reports within an epoch."""
        done = self.metrics.get("epochs", self.epoch)
        return int(done) if done is not None and done == int(done) else done

    @property
    def stopped_early(self) -> bool:
        """Whether it completed before the last of its epochs."""
        if self.epochs is None or self.epochs_done is None:
            return False
        return self.state == State.COMPLETE and self.epochs_done < self.epochs

    @property
    def config(self) -> str:
        """Identifies the configuration: levels and hyperparameters."""
        return config_of(self.levels, self.hyperparameters)

    def label(self, factor: str) -> str | None:
        """Its level of a factor; also optimizer and freeze depth where these are not compared."""
        if factor in self.levels:
            return self.levels[factor]
        value = {"optimizer": self.optimizer, "freeze_depth": self.freeze_depth}.get(factor)
        return None if value is None else str(value)


def config_of(levels: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> str:
    """A text that is equal for equal configurations."""
    return json.dumps([dict(levels), dict(hyperparameters)], sort_keys=True, default=str)


def of(run: Run) -> TrialRun:
    """The trial that a run of MLflow mirrors.

    Raises:
        ValueError: A tag or param has an invalid value.
        TypeError: A tag contains JSON of another type.
    """
    tags, params, metrics = run.tags, run.params, run.metrics
    state = State(tags.get(STATE, str(State.RUNNING)))
    # Params of phases have the phase's name as a prefix; the last phase describes the trial.
    last = params.get("phases", "").rpartition(",")[2]
    prefix = f"{valid_name(last)}." if last else ""
    return TrialRun(
        run_id=run.run_id,
        key=tags[KEY],
        role="retried" if RETRIED in tags else tags.get("workbench.role", ""),
        group=tags.get("workbench.group", ""),
        strategy=tags.get("workbench.strategy", ""),
        number=int(tags.get("workbench.number", 0)),
        state=state,
        reason=tags.get("workbench.reason", ""),
        # A pruned trial also has a last value, which must not be used as its result.
        value=finite(metrics.get("objective")) if state is State.COMPLETE else None,
        epoch=_whole(tags.get("workbench.epoch")),
        seconds=finite(metrics.get("trial/seconds")),
        epochs=_whole(params.get("epochs")),
        epochs_done=finite(metrics.get("epochs", tags.get(EPOCHS))),
        optimizer=params.get(f"{prefix}optimizer"),
        learning_rate=finite(params.get(f"{prefix}learning_rate")),
        freeze_depth=_whole(params.get(f"{prefix}freeze_depth")),
        levels={name: str(label) for name, label in _object(tags, "workbench.levels").items()},
        hyperparameters=_object(tags, "workbench.hyperparameters"),
        metrics={name.removeprefix("best/"): x for name, x in _below("best/", metrics).items()},
        test=_below("test/", metrics),
        trainable=_whole(metrics.get("parameters/trainable")),
        started=run.started,
        device=tags.get("workbench.device", ""),
        seed=tags.get(SEED, params.get("seed", "")),
        protocol=tags.get(PROTOCOL, ""),
        provenance={
            part: tags[f"workbench.{part}"] for part in PROVENANCE if f"workbench.{part}" in tags
        },
        peak_memory=finite(metrics.get("trial/peak_memory")),
        data_digest=tags.get(DATA, ""),
        damaged_checkpoints=int(metrics.get("trial/damaged_checkpoints", 0)),
    )


def finite(value: float | str | None) -> float | None:
    """A finite number, or None.

    Raises:
        ValueError: A text that is not a number.
    """
    number = math.nan if value is None else float(value)
    return number if math.isfinite(number) and abs(number) < _INFINITE else None


def _whole(value: float | str | None) -> int | None:
    number = finite(value)
    return None if number is None else int(number)


def _below(prefix: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Finite metrics whose names begin like this, by their full names."""
    return {
        name: number
        for name, value in sorted(metrics.items())
        if name.startswith(prefix) and (number := finite(value)) is not None
    }


def _object(tags: Mapping[str, str], name: str) -> dict[str, Any]:
    parsed = json.loads(tags.get(name, "{}"))
    if not isinstance(parsed, dict):
        raise ValueError(f"{name} is {str(parsed)[:50]}, expected a JSON object")
    return parsed
