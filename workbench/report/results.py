"""What a report shows of a confirmation: arms with their runs and values, candidates, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from workbench.report.protocol import Protocol

# Fields of the protocol that report.json repeats under ``confirmation``.
_FROM_PROTOCOL = (
    *("metric", "validation_metric", "direction", "smallest_effect", "alpha", "bounds"),
    *("looks", "seeds_by_look"),
    *("seeds", "seeds_floor", "contrast", "pairs", "epoch", "finalists", "not_comparable"),
    *("selection_configs", "selection_seeds", "test_samples", "test_digest"),
)


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """One run of an arm.

    Attributes:
        value: On the test split; ``counted`` is the value that the verdict uses: the worst one
            where ``imputed``, because the run diverged or failed.
        validation: On validation data.
        metrics: On the test split by their full names.
    """

    seed: str
    run_id: str
    number: int
    state: str
    reason: str
    value: float | None = None
    counted: float | None = None
    imputed: bool = False
    validation: float | None = None
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Versus:
    """A row against the leader, or against the baseline of a contrast with it.

    Attributes:
        name: Of the other row.
        difference: This row minus the other, in units of the metric; ``low`` and ``high`` are the
            ends of its interval, which is of this pair alone.
        leads: By seed, how much better this row is; negative where it is worse.
        beyond: ``low`` and ``high`` of the interval over seeds and test examples; None without one.
    """

    name: str
    difference: float
    low: float | None
    high: float | None
    p_holm: float | None
    p_equivalence: float | None
    leads: Sequence[float]
    beyond: Mapping[str, float] | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a main table: an arm, or a side of a verdict.

    Attributes:
        n: Number of values.
        mean: Over seeds; ``low`` and ``high`` are the ends of its t interval, cut at the metric's
            bounds. None where unknown or not to be shown yet, as all numbers.
        failed: Runs that count with the worst value.
        may_be_best: Whether it may be the best as well: it is in the set of the best.
        p_best: See ``Side.p_best``; ``behind``: at most so far behind the best.
            None where no set of the best was computed.
        versus: None for the row that the others are compared with.
    """

    name: str
    baseline: bool
    n: int = 0
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    failed: int = 0
    best: bool = False
    may_be_best: bool = False
    p_best: float | None = None
    behind: float | None = None
    versus: Versus | None = None


@dataclass(frozen=True, kw_only=True)
class ArmResult(Row):
    """One arm.

    Attributes:
        trial: The search trial whose configuration it has; None for the default.
        validation_gap: Mean of validation minus test over the runs that have both.
        seconds_mean: Of a complete run; the other sums of seconds are over all runs.
        peak_memory: Highest of its runs, in bytes.
    """

    strategy: str
    levels: Mapping[str, str]
    trial: str | None
    hyperparameters: Mapping[str, Any]
    validation_mean: float | None = None
    validation_gap: float | None = None
    pruned: int = 0
    trainable: int | None = None
    seconds_mean: float | None = None
    search_seconds: float | None = None
    selection_seconds: float | None = None
    confirmation_seconds: float
    peak_memory: float | None = None
    runs: tuple[SeedResult, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CandidateResult:
    """A configuration that the selection trained on fresh seeds; all values are on validation."""

    strategy: str
    candidate: int
    trial: str | None
    searched: float | None
    values: tuple[float | None, ...]
    mean: float | None
    chosen: bool
    run_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ConfirmationResult:
    """A confirmation: what was planned (``protocol``) and what its runs gave.

    Attributes:
        selected: Whether the selection has ended.
        done: Planned runs that have ended, of ``planned``.
        protocol_2_sha256: Of the second look's protocol; None before it has begun.
        beyond: Number of runs that the protocol does not plan.
        levels: Of a contrast over a factor, which compares these in place of the arms.
        cost: Seconds by part: ``search_seconds``, ``selection_seconds``, ``confirmation_seconds``.
    """

    protocol: Protocol
    protocol_sha256: str | None
    protocol_2_sha256: str | None = None
    finished: bool
    selected: bool
    done: int
    planned: int
    default_is: str | None
    arms: tuple[ArmResult, ...]
    levels: tuple[Row, ...]
    imputed: int
    failed: int
    pruned: int
    selection: tuple[CandidateResult, ...]
    beyond: int
    cost: Mapping[str, float]

    @property
    def content(self) -> dict[str, Any]:
        """The fields of report.json under ``confirmation``, not yet plain JSON values."""
        # report.json has one flat block for the plan and its results.
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        protocol = own.pop("protocol")
        planned = {name: getattr(protocol, name) for name in _FROM_PROTOCOL}
        return own | planned | {"n": len(protocol.seeds)}
