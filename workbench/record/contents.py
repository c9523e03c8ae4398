"""The data classes of a record: a trial's specification, its reports and its result.

Everything here survives a round trip through JSON bit for bit.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from workbench.record.strategy import Plan, Scalar


class Role(StrEnum):
    """Why a trial is run."""

    SEARCH = "search"
    SELECTION = "selection"
    CONFIRMATION = "confirmation"
    TRY = "try"


class State(StrEnum):
    """State of a trial. ``RUNNING`` has no result yet; ``PARKED`` can be resumed."""

    RUNNING = "running"
    PARKED = "parked"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self in (State.COMPLETE, State.PRUNED, State.FAILED)


class Decision(StrEnum):
    """The driver's answer to an epoch result.

    ``DROP_WEIGHTS`` is ``CONTINUE`` for the last planned report of a trial that cannot be the best
    of its strategy: if it ends now, its weights need not be written.
    """

    CONTINUE = "continue"
    DROP_WEIGHTS = "drop weights"
    PRUNE = "prune"
    PARK = "park"
    FENCED = "fenced"


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What a study optimises.

    Attributes:
        metric: A key of ``EpochResult.metrics``, for example ``validation/accuracy``.
        direction: ``maximize`` or ``minimize``.
        epoch: ``best`` or ``last``: the epoch whose value, weights and other metrics count.
    """

    metric: str
    direction: str
    epoch: str = "best"

    @property
    def tested(self) -> str:
        """Its metric on the test split: ``test/accuracy`` for ``validation/accuracy``."""
        return f"test/{self.metric.removeprefix('validation/')}"

    def better(self, value: float, other: float | None) -> bool:
        """Whether a value is strictly better than another one (anything beats None)."""
        if other is None:
            return True
        return value > other if self.direction == "maximize" else value < other

    def rank(self, value: float, number: int) -> tuple[float, int]:
        """A key that sorts trials from the best to the worst.

        Of equal values the lower number counts, so that the order in which workers finish does not.
        """
        return -value if self.direction == "maximize" else value, number


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """The complete specification of a trial for a worker.

    Attributes:
        group: First part of the trial's name: its strategy, or ``joint`` in a joint study.
        strategy: Name of its strategy; in a joint study derived from the suggested values.
        levels: Label of each compared factor.
        hyperparameters: Tuned values, by the knob's path.
        seed: The training seed: of the replicate, never of the trial or the attempt.
        study_seed: Draws the test split, once for the whole study.
        data_digest: Hash of the data set that the study was planned on.
        attempt: How often the trial was given to a worker; a fencing token.
        failures: Attempts whose worker died while its driver was alive; the death of a driver is
            not a failure of its trials.
        protocol: SHA-256 of the study's ``protocol.json``, or of ``protocol-2.json`` in a second
            look; set only in the runs that this protocol plans, and only a confirmation run may
            open the test split with it.
        record_id: Of the directory that records it, made with the directory; empty in records of
            earlier versions. A trial that is trained again in a new directory has another one.
    """

    study: str
    role: Role
    group: str
    strategy: str
    number: int
    levels: Mapping[str, str]
    hyperparameters: Mapping[str, Scalar]
    plan: Plan
    objective: Objective
    seed: int
    study_seed: int
    data_digest: str
    attempt: int = 1
    failures: int = 0
    protocol: str | None = None
    record_id: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """``adamw-2/007``."""
        return f"{self.group}/{self.number:03d}"

    @property
    def full_name(self) -> str:
        """Its name within the study: only the search's trials go by the name alone."""
        return self.name if self.role is Role.SEARCH else f"{self.role}/{self.name}"

    @property
    def key(self) -> str:
        """Identity among all trials of one store: ``digits/search/adamw-2/007``."""
        return f"{self.study}/{self.role}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """Metrics of one epoch, and the name of its phase.

    Attributes:
        epoch: Counted from 1 through all phases; if a plan reports several times an epoch, the
            number of the report, and ``metrics["epochs"]`` is the number of epochs done.
        metrics: Finite numbers by name: ``train/loss``, ``validation/accuracy``, ``seconds``, ...
        timestamp: Milliseconds since 1970 (UTC), fixed when the epoch ended.
    """

    epoch: int
    phase: str
    metrics: Mapping[str, float]
    timestamp: int

    @property
    def epochs_done(self) -> float:
        """Epochs done at this report; a fraction where an epoch has several."""
        return self.metrics.get("epochs", self.epoch)


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a trial ended, or why it was parked.

    Attributes:
        reason: One sentence (``diverged at epoch 3``); None for a completed trial, unless it
            stopped early.
        traceback: Of a failure that raised an exception.
        value: The objective's value by its rule; None if no epoch counts.
        epoch: The epoch that the rule chose.
        metrics: All metrics of that epoch.
        confusion: Rows true, columns predicted, on validation at that epoch; classification only.
        classes: Names of the classes.
        parameters: Number of parameters, ``total`` and ``trainable`` in the last phase begun.
        started: Milliseconds since 1970 (UTC) of the first attempt.
        ended: The same, of the end.
        seconds: Time of training and validation, summed over the epochs of the history.
        saved_seconds: About how much longer the last attempt would have taken without stored
            outputs of frozen stages; negative where computing them took longer.
        device: The device it ran on.
        test: Metrics of the kept model on the test split (``test/accuracy``); confirmation only.
        provenance: What the numbers depend on besides the plan: ``commit``, ``packages``,
            ``hardware``, ``threads``; ``micro_batch_size`` if it was halved for lack of memory.
        peak_memory: Peak bytes of training and validation in the last attempt: allocated on the
            accelerator if there is one, else resident in the process; None if the system does not
            report it.
        damaged_checkpoints: Number of checkpoints that did not match their hash; the trial
            continued from the one before, or started again.
        restarted: Whether the last attempt found no checkpoint but damaged ones, and trained from
            the first epoch on.
        retried: Of a failed search trial that was retried after a correction: the number of the
            trial that replaces it. The failed one no longer counts.
    """

    state: State
    attempt: int
    reason: str | None = None
    traceback: str | None = None
    value: float | None = None
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    confusion: list[list[int]] | None = None
    classes: list[str] | None = None
    parameters: Mapping[str, int] = field(default_factory=dict)
    started: int = 0
    ended: int = 0
    seconds: float = 0.0
    saved_seconds: float = 0.0
    device: str = ""
    test: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)
    peak_memory: int | None = None
    damaged_checkpoints: int = 0
    restarted: bool = False
    retried: int | None = None


# Read a text back; they raise pydantic's ``ValidationError`` for anything else.
spec_from_json = TypeAdapter(TrialSpec).validate_json
epoch_from_json = TypeAdapter(EpochResult).validate_json
result_from_json = TypeAdapter(Result).validate_json


def to_json(value: TrialSpec | EpochResult | Result, *, indent: int | None = None) -> str:
    """JSON text; a float survives the round trip bit for bit."""
    # NaN is not JSON: other programs could not read the record.
    return json.dumps(asdict(value), indent=indent, allow_nan=False)


def now() -> int:
    """Milliseconds since 1970 (UTC), for display and MLflow; not for durations."""
    return time.time_ns() // 1_000_000


def plain(value: Any) -> Any:
    """Mappings and sequences of any kind as dictionaries and lists, for JSON and digests."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
