"""A confirmation as it was planned and as it ran: arms and seeds of the protocol, with their runs.

The one place that knows how protocol.json, selection.json and the rows of the tracker's frame
fit together. Judges nothing, and knows neither MLflow nor how anything is written out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from workbench.record import Role, State
from workbench.report import cells
from workbench.report.material import Material

_NEEDED = ("metric", "direction", "seeds", "contrast", "strategies", "baseline")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a selection or a confirmation.

    Attributes:
        group: Of a confirmation run its arm; of a selection run ``<strategy>/<candidate>``.
        validation: The objective's value; None unless the run completed.
        test: Metrics on the test split by their full names (``test/accuracy``).
        protocol: SHA-256 of the protocol that the run was started under.
    """

    run_id: str
    group: str
    number: int
    seed: str
    state: str
    reason: str = ""
    validation: float | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    trainable: int | None = None
    peak_memory: float | None = None
    protocol: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    data_digest: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return State(self.state).ended

    @property
    def config(self) -> str:
        """Identifies the configuration: levels and hyperparameters."""
        return identity(self.levels, self.hyperparameters)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A configuration that is confirmed, with a run for each seed that has one."""

    name: str
    strategy: str
    levels: Mapping[str, str]
    hyperparameters: Mapping[str, Any]
    baseline: bool
    runs: Mapping[str, Run]

    @property
    def config(self) -> str:
        """Identifies the configuration that the selection chose."""
        return identity(self.levels, self.hyperparameters)


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What a protocol planned and what has come of it.

    Attributes:
        protocol: Content of protocol.json.
        chosen: Content of selection.json; empty while the selection runs.
        arms: In the protocol's order; before the selection has ended without runs.
        beyond: Confirmation runs that the protocol does not plan: of another seed or arm, or a
            second one of the same.
        selection: Runs of the selection by group.
    """

    protocol: Mapping[str, Any]
    chosen: Mapping[str, Any]
    arms: tuple[Arm, ...]
    beyond: tuple[Run, ...]
    selection: Mapping[str, tuple[Run, ...]]

    @property
    def seeds(self) -> tuple[str, ...]:
        """The shared list, in the protocol's order."""
        return tuple(str(seed) for seed in self.protocol["seeds"])

    @property
    def planned(self) -> int:
        """How many runs make it whole."""
        return len(self.arms) * len(self.seeds)

    @property
    def done(self) -> int:
        """How many of those have ended."""
        return sum(run.ended for run in self.runs)

    @property
    def finished(self) -> bool:
        """Whether all have, so that test values may be looked at."""
        return bool(self.chosen) and 0 < self.planned == self.done

    @property
    def runs(self) -> tuple[Run, ...]:
        """The planned runs that exist, by arm and seed."""
        return tuple(arm.runs[s] for arm in self.arms for s in self.seeds if s in arm.runs)


def read(material: Material) -> Confirmation | None:
    """The confirmation of a study; None where none has begun.

    Raises:
        ValueError: The protocol lacks what a verdict needs.
    """
    protocol = material.study.get("protocol")
    if not protocol:
        return None
    lacking = [name for name in _NEEDED if name not in protocol]
    if lacking:
        raise ValueError(
            f"The study's protocol.json lacks {', '.join(lacking)}; without them no verdict can be"
            " reached. It is written by 'workbench confirm'."
        )
    chosen = material.study.get("selection") or {}
    seeds = [str(seed) for seed in protocol["seeds"]]
    planned = _planned(protocol, chosen)
    found: dict[str, dict[str, Run]] = {item["name"]: {} for item in planned}
    beyond = []
    for run in _runs(material.trials, Role.CONFIRMATION):
        own = found.get(run.group)
        seed = run.seed or (seeds[run.number] if run.number < len(seeds) else "")
        if own is None or seed not in seeds or seed in own:
            beyond.append(run)
        else:
            own[seed] = run
    selection: dict[str, list[Run]] = {}
    for run in _runs(material.trials, Role.SELECTION):
        selection.setdefault(run.group, []).append(run)
    return Confirmation(
        protocol=protocol,
        chosen=chosen,
        arms=tuple(_arm(item, found[item["name"]]) for item in planned),
        beyond=tuple(beyond),
        selection={group: tuple(runs) for group, runs in selection.items()},
    )


def sealed(material: Material) -> Material:
    """The same without a test value unless a confirmation with a protocol has finished.

    To show one would be a look that no protocol has planned.
    """
    confirmation = read(material)
    may_show = not unplanned(material) if confirmation is None else confirmation.finished
    if may_show or "test" not in material.trials:
        return material
    blank: list[Any] = [{} for _ in range(len(material.trials))]
    trials = material.trials.assign(test=blank)
    return replace(material, trials=trials, scores={})


def unplanned(material: Material) -> int:
    """How many runs of a confirmation there are whose protocol is gone."""
    if material.study.get("protocol"):
        return 0
    return int((material.trials["role"] == Role.CONFIRMATION).sum())


def identity(levels: Mapping[str, Any], hyperparameters: Mapping[str, Any]) -> str:
    """The same text for the same configuration."""
    return json.dumps([dict(levels), dict(hyperparameters)], sort_keys=True, default=str)


def _planned(protocol: Mapping[str, Any], chosen: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """The arms; before the selection has ended those that it may come to."""
    if chosen.get("arms"):
        return [dict(item) for item in chosen["arms"]]
    candidates = (protocol.get("selection") or {}).get("candidates") or {}
    levels = {item["name"]: item.get("levels") or {} for item in protocol["strategies"]}
    names = [*candidates] or [*levels]
    if protocol.get("finalists"):
        names = names[: int(protocol["finalists"])]
    blank = {"hyperparameters": {}, "baseline": False}
    arms = [{"name": n, "strategy": n, "levels": levels.get(n, {}), **blank} for n in names]
    return [*arms, {**protocol["baseline"], "baseline": True}]


def _arm(item: Mapping[str, Any], runs: Mapping[str, Run]) -> Arm:
    return Arm(
        name=str(item["name"]),
        strategy=str(item.get("strategy") or item["name"]),
        levels={str(k): str(v) for k, v in (item.get("levels") or {}).items()},
        hyperparameters=dict(item.get("hyperparameters") or {}),
        baseline=bool(item.get("baseline")),
        runs=runs,
    )


def _runs(frame: pd.DataFrame, role: Role) -> Iterator[Run]:
    """Runs of a role by group and number, whatever the order of the frame."""
    rows = [row for row in frame.to_dict("records") if row.get("role") == role]
    for row in sorted(rows, key=lambda r: (cells.text(r["group"]), int(r["number"]), r["run_id"])):
        yield _run(row)


def _run(row: Mapping[Any, Any]) -> Run:
    state = State(cells.text(row["state"]))
    test = cells.mapping(row.get("test")) if state is State.COMPLETE else {}
    trainable = cells.number(cells.mapping(row.get("parameters")).get("trainable"))
    return Run(
        run_id=cells.text(row["run_id"]),
        group=cells.text(row["group"]),
        number=int(row["number"]),
        seed=cells.text(row.get("seed")),
        state=str(state),
        reason=cells.text(row.get("reason")),
        validation=cells.number(row["value"]) if state is State.COMPLETE else None,
        test={str(k): x for k, value in test.items() if (x := cells.number(value)) is not None},
        levels={str(k): str(v) for k, v in cells.mapping(row.get("levels")).items()},
        hyperparameters={str(k): v for k, v in cells.mapping(row.get("hyperparameters")).items()},
        seconds=cells.number(row.get("seconds")),
        trainable=None if trainable is None else int(trainable),
        peak_memory=cells.number(row.get("peak_memory")),
        protocol=cells.text(row.get("protocol")),
        provenance={str(k): str(v) for k, v in cells.mapping(row.get("provenance")).items()},
        data_digest=cells.text(row.get("data_digest")),
    )
