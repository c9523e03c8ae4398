"""Reads protocol.json, protocol-2.json and selection.json: what was planned, what was selected.

Keys that earlier versions did not write have a default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from workbench.tracker.trial_run import config_of
from workbench.verdict import level

_NEEDED = ("metric", "direction", "seeds", "contrast", "strategies", "baseline")


@dataclass(frozen=True, kw_only=True)
class PlannedArm:
    """A configuration that is to be confirmed.

    Attributes:
        name: Of a strategy, or ``default``.
        strategy: Whose levels it has.
    """

    name: str
    strategy: str
    levels: Mapping[str, str] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    baseline: bool = False

    @property
    def config(self) -> str:
        """Identifies the configuration that the selection chose."""
        return config_of(self.levels, self.hyperparameters)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One of a strategy's search trials that the selection trains again; ``value`` is its own."""

    number: int
    trial: str | None = None
    value: float | None = None


@dataclass(frozen=True, kw_only=True)
class UnconfirmedStrategy:
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
        seeds: Of the looks that count: the first one and, once it has ended, the second one.
        seeds_by_look: Number of seeds of each of these.
        alpha: Of all planned looks together.
        looks: Number of planned looks.
        schema: 1: written by an earlier version, for another rule of the verdict.
        effects: Factors whose effects were planned.
        bounds: Lowest and highest possible value of the metric; None for an open end.
    """

    metric: str
    direction: Literal["maximize", "minimize"]
    contrast: str
    seeds: tuple[str, ...]
    baseline: PlannedArm
    trials: Mapping[str, int | None]
    levels: Mapping[str, Mapping[str, str]]
    schema: int = 2
    joint: bool = False
    validation_metric: str | None = None
    smallest_effect: float | None = None
    alpha: float = 0.05
    looks: int = 1
    seeds_by_look: tuple[int, ...] = ()
    effects: tuple[str, ...] = ()
    bounds: tuple[float | None, float | None] = (None, None)
    seeds_floor: int | None = None
    pairs: int | None = None
    epoch: str | None = None
    finalists: int | None = None
    not_comparable: tuple[UnconfirmedStrategy, ...] = ()
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

    @property
    def level(self) -> float:
        """Of each test."""
        return level(self.looks, self.alpha)

    def with_second_look(self, fresh: Sequence[str]) -> Protocol:
        """With the seeds of a second look that has ended."""
        return replace(
            self,
            seeds=(*self.seeds, *fresh),
            seeds_by_look=(*self.seeds_by_look, len(fresh)),
        )


@dataclass(frozen=True, kw_only=True)
class SelectedCandidate:
    """The candidate of a strategy that the selection chose."""

    candidate: int
    trial: str | None = None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The result of the selection.

    Attributes:
        arms: All configurations that are confirmed.
        chosen: By strategy.
        means: Of each (strategy, candidate) on validation data.
        default_is: The strategy whose chosen configuration is the default one.
    """

    arms: tuple[PlannedArm, ...]
    chosen: Mapping[str, SelectedCandidate] = field(default_factory=dict)
    means: Mapping[tuple[str, int], float | None]
    default_is: str | None = None


_PROTOCOL, _SELECTION = TypeAdapter(Protocol), TypeAdapter(Selection)


def read_protocol(content: Mapping[str, Any]) -> Protocol:
    """The content of protocol.json.

    Raises:
        ValueError: It lacks a required key, or a value has the wrong type.
    """
    lacking = [name for name in _NEEDED if name not in content]
    if lacking:
        raise ValueError(
            f"The study's protocol.json lacks {', '.join(lacking)}, so no verdict can be reached."
            " `workbench confirm` writes this file."
        )
    selection, data = content.get("selection") or {}, content.get("data") or {}
    strategies = {item["name"]: item for item in content["strategies"]}
    # The file groups its values by topic; the type is flat.
    nested = {
        "baseline": _planned({**content["baseline"], "baseline": True}),
        "trials": {name: item.get("trials") for name, item in strategies.items()},
        "levels": {name: item.get("levels") or {} for name, item in strategies.items()},
        "seeds_by_look": (len(content["seeds"]),),
        "joint": (content.get("search") or {}).get("mode") == "joint",
        "candidates": selection.get("candidates"),
        "selection_configs": selection.get("configs"),
        "selection_seeds": len(selection.get("seeds") or ()),
        "data_digest": data.get("digest"),
        "test_samples": data.get("test"),
        "test_digest": data.get("test_digest"),
    }
    return _PROTOCOL.validate_python(_known({**content, **nested}))


def read_second_look(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The seeds that protocol-2.json adds.

    Raises:
        ValueError: It has none.
    """
    seeds = content.get("seeds")
    if not isinstance(seeds, list) or not seeds:
        raise ValueError(
            "The study's protocol-2.json has no seeds. `workbench confirm` writes this file."
        )
    return tuple(map(str, seeds))


def read_selection(content: Mapping[str, Any] | None) -> Selection | None:
    """The content of selection.json; None while the selection runs.

    Raises:
        ValueError: A value has the wrong type.
    """
    if not content:
        return None
    means = {
        (strategy, run["candidate"]): run.get("mean")
        for strategy, runs in (content.get("runs") or {}).items()
        for run in runs
    }
    arms = [_planned(item) for item in content.get("arms") or ()]
    return _SELECTION.validate_python(_known({**content, "arms": arms, "means": means}))


def _planned(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """An arm with the strategy that an arm of the same name does not repeat."""
    return {"strategy": item["name"], **_known(item)}


def _known(content: Mapping[str, Any]) -> dict[str, Any]:
    """Without null values, which stand for the default."""
    return {name: value for name, value in content.items() if value is not None}
