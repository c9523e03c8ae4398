"""A trial's entry in MLflow: its record as tags, params and metrics."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from workbench.record import EpochResult, Result, Role, State, TrialSpec, plain
from workbench.tracker.params import LONGEST_TAG, params_of, tag_text, valid_name

KEY = "workbench.key"
RECORD = "workbench.record"
WITHHELD = "workbench.withheld"
BEST = "workbench.best"
MODEL = "workbench.model"
MODEL_ID = "workbench.model_id"
FILES = "workbench.files"
EPOCHS = "workbench.epochs"
STATE = "workbench.state"
VIEW = "workbench"
RETRIED = "workbench.retried"
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
SEED = "workbench.seed"
PROTOCOL = "workbench.protocol"
PROTOCOL_2 = "workbench.protocol_2"  # of the second look, on the parent run
DATA = "workbench.data_digest"
# Below ``workbench.``: what the numbers depend on besides the plan (``Result.provenance``).
PROVENANCE = ("commit", "packages", "hardware", "threads", "micro_batch_size")

STATUS = {
    State.RUNNING: "RUNNING",
    State.PARKED: "SCHEDULED",
    State.COMPLETE: "FINISHED",
    State.PRUNED: "KILLED",
    State.FAILED: "FAILED",
}

# Tags that a state may lack, and that are removed when it does.
PASSING = (
    *(f"workbench.{name}" for name in ("reason", "epoch", "device", *PROVENANCE)),
    WITHHELD,
)


class Point(NamedTuple):
    """One number of a metric; ``timestamp`` in milliseconds since 1970 (UTC)."""

    name: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True, kw_only=True)
class DatasetUse:
    """A data set that a run reads.

    Attributes:
        digest: Identifies its content; MLflow keeps the first 36 characters.
        context: ``training``, ``validation`` or ``test``.
        source: How to get it: plain data.
    """

    name: str
    digest: str
    context: str
    source: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """All that a run is to say about a trial.

    Attributes:
        started: Milliseconds since 1970 (UTC); None where the record does not tell yet.
        ended: The same; None while the trial can continue.
        identity: Tags that never change, present from the moment the run exists.
        tags: Tags that change with the record.
        history: Metrics by epoch.
        summary: Metrics of the trial as a whole.
    """

    name: str
    status: str
    started: int | None
    ended: int | None
    identity: Mapping[str, str]
    tags: Mapping[str, str]
    params: Mapping[str, str]
    history: Sequence[tuple[int, list[Point]]]
    summary: Sequence[Point]
    datasets: Sequence[DatasetUse]


def entry_of(
    spec: TrialSpec,
    history: Sequence[EpochResult],
    result: Result | None,
    *,
    parent_run_id: str,
    orphaned: bool = False,
    shows_test: bool = True,
) -> Entry:
    """What a run must say to agree with a record.

    An orphaned trial without a result is shown as parked. Test values that must not be shown yet
    are replaced by a tag that says so.
    """
    withheld = result is not None and bool(result.test) and not shows_test
    if result is not None and withheld:
        result = replace(result, test={})
    state = State.RUNNING if result is None else result.state
    reason = None if result is None else result.reason
    if result is None and orphaned:
        state = State.PARKED
        reason = (
            "Its worker has ended; the next run of the study continues from its last checkpoint."
        )
    ended = result.ended if result is not None and result.state.ended else None
    return Entry(
        name=_run_name(spec),
        status=STATUS[state],
        started=_started(history, result),
        ended=ended,
        identity=_identity(spec, parent_run_id),
        tags=_tags(spec, history, result, state, reason)
        | ({WITHHELD: "test values, until the last run has ended"} if withheld else {}),
        params=params_of(spec),
        history=[(e.epoch, _points(e.metrics, e.timestamp, e.epoch)) for e in history],
        summary=[] if result is None or ended is None else _summary(history, result, ended),
        datasets=datasets_of(spec),
    )


def parent_role(role: Role) -> Role:
    """The role of the parent that a trial's run hangs under: selection and test share one."""
    return Role.CONFIRMATION if role is Role.SELECTION else role


def record_tags(spec: TrialSpec) -> dict[str, str]:
    """The tags that say which record a run mirrors; see ``identity_of``."""
    return {KEY: spec.key, **({RECORD: spec.record_id} if spec.record_id else {})}


def identity_of(tags: Mapping[str, str]) -> tuple[str, str]:
    """What tells a run from all others of its study, also from those of deleted records."""
    return tags[KEY], tags.get(RECORD, "")


def _run_name(spec: TrialSpec) -> str:
    # Each rate once; three are enough to tell runs apart in a table.
    rates = dict.fromkeys(_short(phase.learning_rate) for phase in spec.plan.phases)
    return f"{spec.full_name} lr={','.join(list(rates)[:3])}"


def _short(number: float) -> str:
    """``3.1e-4`` rather than ``0.00031`` or ``3.1e-04``."""
    mantissa, exponent = f"{number:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def _started(history: Sequence[EpochResult], result: Result | None) -> int | None:
    if result is not None and result.started:
        return result.started
    if history:
        return history[0].timestamp - round(history[0].metrics.get("seconds", 0.0) * 1000)
    return None


def _identity(spec: TrialSpec, parent_run_id: str) -> dict[str, str]:
    return {
        PARENT: parent_run_id,
        **record_tags(spec),
        "workbench.study": spec.study,
        "workbench.role": str(spec.role),
        "workbench.group": tag_text(spec.group),
        "workbench.strategy": tag_text(spec.strategy),
        "workbench.number": str(spec.number),
        SEED: str(spec.seed),
        DATA: tag_text(spec.data_digest),
        **({} if spec.protocol is None else {PROTOCOL: tag_text(spec.protocol)}),
        "workbench.levels": _json(spec.levels),
        "workbench.hyperparameters": _json(spec.hyperparameters),
        **{
            valid_name(f"workbench.factor.{factor}"): tag_text(label)
            for factor, label in spec.levels.items()
        },
    }


def _tags(
    spec: TrialSpec,
    history: Sequence[EpochResult],
    result: Result | None,
    state: State,
    reason: str | None,
) -> dict[str, str]:
    tags = {
        STATE: str(state),
        "workbench.attempt": str(spec.attempt if result is None else result.attempt),
        EPOCHS: str(max((epoch.epoch for epoch in history), default=0)),
    }
    if reason is not None:
        tags["workbench.reason"] = tag_text(reason)
    if result is not None:
        if result.epoch is not None:
            tags["workbench.epoch"] = str(result.epoch)
        if result.device:
            tags["workbench.device"] = result.device
        if result.retried is not None:
            tags[RETRIED] = str(result.retried)
        known = result.provenance
        tags |= {f"workbench.{name}": tag_text(known[name]) for name in PROVENANCE if name in known}
    return tags


def datasets_of(spec: TrialSpec) -> list[DatasetUse]:
    """The parts of the split that a trial reads; only a confirmation run is tested."""
    name, digest = str(spec.plan.dataset.get("name", "data")), spec.data_digest
    source = {**plain(spec.plan.dataset), "digest": digest}
    tested = spec.role is Role.CONFIRMATION
    return dataset_uses(name[:400], digest or "unknown", source, tested=tested)


def dataset_uses(
    name: str, digest: str, source: Mapping[str, object], *, tested: bool
) -> list[DatasetUse]:
    """The parts of a data set that a run reads, each by its context."""
    return [
        DatasetUse(name=f"{name} {context}", digest=digest, context=context, source=source)
        for context in ("training", "validation", *(["test"] if tested else []))
    ]


def _points(values: Mapping[str, float], timestamp: int, step: int) -> list[Point]:
    return [Point(valid_name(name), float(x), timestamp, step) for name, x in values.items()]


def _summary(history: Sequence[EpochResult], result: Result, ended: int) -> list[Point]:
    chosen = result.epoch or 0
    at = next((epoch.timestamp for epoch in history if epoch.epoch == chosen), ended)
    numbers = {f"best/{name}": value for name, value in result.metrics.items()}
    if result.value is not None:
        numbers["objective"] = result.value
    whole: dict[str, float] = {f"parameters/{name}": n for name, n in result.parameters.items()}
    whole["trial/seconds"] = result.seconds
    if result.peak_memory is not None:
        whole["trial/peak_memory"] = result.peak_memory
    if result.damaged_checkpoints:
        whole["trial/damaged_checkpoints"] = result.damaged_checkpoints
    # Not at the epoch's timestamp: the test comes after the last epoch.
    tested = _points(result.test, ended, chosen)
    return [*_points(numbers, at, chosen), *tested, *_points(whole, ended, 0)]


def _json(value: Mapping[str, Any]) -> str:
    text = json.dumps(plain(value))
    if len(text) > LONGEST_TAG:
        raise ValueError(
            f"MLflow keeps at most {LONGEST_TAG} characters a tag; "
            f"these choices of a trial take {len(text)}: {text[:200]}..."
        )
    return text


def chunks(points: Iterable[Point], size: int) -> list[list[Point]]:
    """Points in batches; at least one batch, which may be empty."""
    whole = list(points)
    return [whole[start : start + size] for start in range(0, len(whole), size)] or [[]]
