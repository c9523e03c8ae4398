"""Reads protocol.json and selection.json: what a confirmation planned and what was selected.

Keys that earlier versions did not write have a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.tracker.trial_run import config_of

_NEEDED = ("metric", "direction", "seeds", "contrast", "strategies", "baseline")


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A configuration that is to be confirmed.

    Attributes:
        name: Of a strategy, or ``default``.
        strategy: Whose levels it has.
    """

    name: str
    strategy: str
    levels: Mapping[str, str]
    hyperparameters: Mapping[str, Any]
    baseline: bool

    @property
    def config(self) -> str:
        """Identifies the configuration that the selection chose."""
        return config_of(self.levels, self.hyperparameters)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One of a strategy's search trials that the selection trains again; ``value`` is its own."""

    number: int
    trial: str | None
    value: float | None


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A strategy that could not be confirmed, with the reason."""

    strategy: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What was fixed before the first test value was measured.

    Attributes:
        trials: Search trials of each strategy when the protocol was written; None where unknown.
        levels: Of each strategy.
        joint: Whether one search proposed all strategies.
        finalists: How many strategies are tested; None: all.
        candidates: Of the selection, by strategy.
        bounds: Lowest and highest possible value of the metric; None for an open end.
    """

    metric: str
    direction: str
    contrast: str
    seeds: tuple[str, ...]
    baseline: Planned
    trials: Mapping[str, int | None]
    levels: Mapping[str, Mapping[str, str]]
    joint: bool = False
    validation_metric: str | None = None
    smallest_effect: float | None = None
    alpha: float = 0.05
    gamma: float = 0.75
    bounds: tuple[float | None, float | None] = (None, None)
    seeds_floor: int | None = None
    pairs: int | None = None
    epoch: str | None = None
    finalists: int | None = None
    not_comparable: tuple[Absent, ...] = ()
    candidates: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict)
    selection_configs: int | None = None
    selection_seeds: int = 0
    data_digest: str | None = None
    test_samples: int | None = None
    test_digest: str | None = None

    @property
    def maximizes(self) -> bool:
        """Whether a higher value is the better one."""
        return self.direction == "maximize"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The candidate of a strategy that the selection chose."""

    candidate: int
    trial: str | None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The result of the selection.

    Attributes:
        arms: All configurations that are confirmed.
        chosen: By strategy.
        means: Of each (strategy, candidate) on validation data.
        default_is: The strategy whose chosen configuration is the default one.
    """

    arms: tuple[Planned, ...]
    chosen: Mapping[str, Chosen]
    means: Mapping[tuple[str, int], float | None]
    default_is: str | None = None


def read_protocol(content: Mapping[str, Any]) -> Protocol:
    """The content of protocol.json.

    Raises:
        ValueError: It lacks a required key.
    """
    lacking = [name for name in _NEEDED if name not in content]
    if lacking:
        raise ValueError(
            f"The study's protocol.json lacks {', '.join(lacking)}, so no verdict can be reached."
            " `workbench confirm` writes this file."
        )
    selection, data = content.get("selection") or {}, content.get("data") or {}
    low, high = content.get("bounds") or (None, None)
    strategies = {str(item["name"]): item for item in content["strategies"]}
    return Protocol(
        metric=str(content["metric"]),
        direction=str(content["direction"]),
        contrast=str(content["contrast"]),
        seeds=tuple(map(str, content["seeds"])),
        baseline=_planned({**content["baseline"], "baseline": True}),
        trials={name: item.get("trials") for name, item in strategies.items()},
        levels={name: item.get("levels") or {} for name, item in strategies.items()},
        joint=(content.get("search") or {}).get("mode") == "joint",
        validation_metric=content.get("validation_metric"),
        smallest_effect=content.get("smallest_effect"),
        alpha=float(content.get("alpha", 0.05)),
        gamma=float(content.get("gamma", 0.75)),
        bounds=(low, high),
        seeds_floor=content.get("seeds_floor"),
        pairs=content.get("pairs"),
        epoch=content.get("epoch"),
        finalists=content.get("finalists"),
        not_comparable=tuple(
            Absent(strategy=str(item["strategy"]), reason=str(item["reason"]))
            for item in content.get("not_comparable") or ()
        ),
        candidates={
            name: tuple(
                Candidate(
                    number=int(item["number"]), trial=item.get("trial"), value=item.get("value")
                )
                for item in items
            )
            for name, items in (selection.get("candidates") or {}).items()
        },
        selection_configs=selection.get("configs"),
        selection_seeds=len(selection.get("seeds") or ()),
        data_digest=data.get("digest"),
        test_samples=data.get("test"),
        test_digest=data.get("test_digest"),
    )


def read_selection(content: Mapping[str, Any] | None) -> Selection | None:
    """The content of selection.json; None while the selection runs."""
    if not content:
        return None
    return Selection(
        arms=tuple(map(_planned, content.get("arms") or ())),
        chosen={
            name: Chosen(candidate=item["candidate"], trial=item.get("trial"))
            for name, item in (content.get("chosen") or {}).items()
        },
        means={
            (strategy, run["candidate"]): run.get("mean")
            for strategy, runs in (content.get("runs") or {}).items()
            for run in runs
        },
        default_is=content.get("default_is"),
    )


def _planned(item: Mapping[str, Any]) -> Planned:
    return Planned(
        name=str(item["name"]),
        strategy=str(item.get("strategy") or item["name"]),
        levels={str(name): str(label) for name, label in (item.get("levels") or {}).items()},
        hyperparameters=dict(item.get("hyperparameters") or {}),
        baseline=bool(item.get("baseline")),
    )
