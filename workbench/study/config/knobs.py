"""Knobs and their paths, the levels of a factor, and the entries of a tuned knob.

Plain data between the study file and the search. A knob is a path
from ``recipe``; ``probe.learning_rate`` stands for ``phases.probe.learning_rate``.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from workbench.record.strategy import Knobs, Strategy
from workbench.study.config import schema

_NAMED = ("dataset", "backbone", "task", "schedule", "trial")
_NESTED = (*_NAMED, "phases", "unfreeze", "early_stopping", "lora")


@dataclass(frozen=True, kw_only=True)
class Level:
    """One value of a factor.

    Attributes:
        knobs: What it sets, by path from ``recipe``.
        phases: The phases that it brings along; a knob of another phase needs one that does.
    """

    label: str
    knobs: Knobs
    phases: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Factor:
    """What is compared, and its levels in the order of the file."""

    name: str
    levels: tuple[Level, ...]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Numbers to search: one entry of a tuned knob."""

    when: Mapping[str, tuple[str, ...]]
    low: float | int
    high: float | int
    log: bool
    step: float | int | None
    whole: bool
    default: float | int

    def holds(self, value: object) -> bool:
        """Whether a value may be proposed."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        if not self.low <= value <= self.high:
            return False
        return self.step is None or is_multiple(value - self.low, self.step)


@dataclass(frozen=True, kw_only=True)
class Categorical:
    """Levels to search: one entry of a tuned knob."""

    when: Mapping[str, tuple[str, ...]]
    levels: tuple[Level, ...]
    default: str

    def holds(self, value: object) -> bool:
        """Whether a label may be proposed."""
        return any(level.label == value for level in self.levels)


@dataclass(frozen=True, kw_only=True)
class TunedKnob:
    """A knob that is searched afresh for every strategy: the first entry that applies counts."""

    knob: str
    entries: tuple[Interval | Categorical, ...]

    def applying(self, context: Mapping[str, str]) -> Interval | Categorical | None:
        """The first entry whose conditions hold, given the labels known so far."""
        for entry in self.entries:
            if all(context.get(name) in labels for name, labels in entry.when.items()):
                return entry
        return None


def is_multiple(width: float, step: float) -> bool:
    """Whether a width is a whole number of steps, but for rounding."""
    return abs(width / step - round(width / step)) < 1e-8


def label(value: object) -> str:
    """The label of a value: how it is called in names, conditions and tables."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # Short for names and tables; the level itself keeps every digit of the value.
        return f"{value:g}"
    if isinstance(value, Mapping):
        return str(value.get("name", ""))
    return str(value)


def strategy_of(factors: Sequence[Factor], levels: Sequence[Level]) -> Strategy:
    """The strategy that one level of each factor makes; ``joint`` where there is no factor.

    Where its labels are plain numbers its name has the factors' names too: "0 wins" says nothing.
    It depends on its own labels alone, so that a level added later renames no strategy.
    """
    bare = all(_is_bare(level.label) for level in levels)
    words = [
        f"{factor.name}-{level.label}" if bare else level.label
        for factor, level in zip(factors, levels, strict=True)
    ]
    # A folder has this name: no separators, and no dot in front, which would hide it.
    name = re.sub(r"[^\w.-]+|^[.]+", "_", "-".join(words))
    knobs = {path: value for level in levels for path, value in level.knobs.items()}
    labels = {factor.name: level.label for factor, level in zip(factors, levels, strict=True)}
    return Strategy(name=name or "joint", levels=labels, knobs=knobs)


def _is_bare(label: str) -> bool:
    """Whether a label is a number, a truth value or none."""
    number = r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?"
    return label in ("true", "false", "none") or re.fullmatch(number, label) is not None


def merged(recipe: Knobs, knobs: Knobs) -> Knobs:
    """A recipe with some knobs set, by their paths; the recipe itself is left alone."""
    # A study has one recipe and many trials; none may change what the others read.
    result = deepcopy(dict(recipe))
    for path, value in knobs.items():
        first = path.partition(".")[0]
        # Anything else is a phase: a phase cannot have the name of a knob.
        parts = parts_of(path, set() if first in schema.Recipe.model_fields else {first})
        block = result
        for part in parts[:-1]:
            inner = block.get(part)
            if not isinstance(inner, dict):
                inner = {"name": inner} if isinstance(inner, str) else {}
                block[part] = inner
            block = inner
        block[parts[-1]] = deepcopy(value)
    return result


def labels_of(recipe: Knobs) -> dict[str, str]:
    """The label of every knob in a recipe, by its path: what conditions are held against."""
    return labels_of_knobs(flatten((), recipe))


def labels_of_knobs(knobs: Knobs) -> dict[str, str]:
    """The label of every knob that is set by its path."""
    return {path: label(value) for path, value in knobs.items()}


def levels_of(tuned: TunedKnob) -> dict[str, Level]:
    """All levels of a tuned choice over its entries, by label; none for a range."""
    return {
        level.label: level
        for entry in tuned.entries
        if isinstance(entry, Categorical)
        for level in entry.levels
    }


def combinations(
    tune: Sequence[TunedKnob], given: Mapping[str, str], *, most: int | None = None
) -> list[dict[str, Level]]:
    """Every combination of levels that a joint search may choose, by knob.

    Args:
        tune: The tuned knobs in their order.
        given: What conditions are held against before anything is chosen.
        most: Stop as soon as there are more than this.
    """
    reached: list[tuple[dict[str, Level], dict[str, str]]] = [({}, dict(given))]
    for tuned in tune:
        longer: list[tuple[dict[str, Level], dict[str, str]]] = []
        for chosen, context in reached:
            if most is not None and len(longer) > most:
                break
            entry = tuned.applying(context)
            if not isinstance(entry, Categorical):
                longer.append((chosen, context))
                continue
            for level in entry.levels:
                known = {**context, **labels_of_knobs(level.knobs), tuned.knob: level.label}
                longer.append(({**chosen, tuned.knob: level}, known))
        reached = longer
    return [chosen for chosen, _ in reached]


# -- paths of knobs: "probe.learning_rate" is ("phases", "probe", "learning_rate") in a recipe ----


def parts_of(path: str, phases: Container[str]) -> tuple[str, ...]:
    """The keys below ``recipe`` of a knob's path, given the names of the phases."""
    parts = tuple(path.split("."))
    return ("phases", *parts) if parts[0] in phases else parts


def path_of(parts: Sequence[str | int]) -> str:
    """The path of a knob from its keys below ``recipe``: ``phases`` is left out."""
    return ".".join(
        str(part) for part in (parts[1:] if parts[0] == "phases" and len(parts) > 1 else parts)
    )


def flatten_parts(parts: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The keys and the value of every single knob in what stands at some keys of a recipe."""
    if isinstance(value, Mapping) and (not parts or (value and parts[0] in _NESTED)):
        for key, inner in value.items():
            yield from flatten_parts((*parts, str(key)), inner)
    elif isinstance(value, str) and parts and parts[-1] in _NAMED:
        yield (*parts, "name"), value
    else:
        yield parts, value


def flatten(parts: tuple[str, ...], value: Any) -> Knobs:
    """Every single knob in what stands at some keys of a recipe, by its path."""
    return {path_of(leaf): item for leaf, item in flatten_parts(parts, value)}


def named_in_full(recipe: Knobs) -> Knobs:
    """A recipe in which no catalogue entry is given by its bare name."""
    return {
        key: {"name": value} if key in _NAMED and isinstance(value, str) else deepcopy(value)
        for key, value in recipe.items()
    }


def phases_in(recipe: Knobs) -> set[str]:
    """The names of a recipe's phases."""
    phases = recipe.get("phases")
    return set(phases) if isinstance(phases, dict) else set()


def phases_below(content: Any, at: tuple[str | int, ...] = ()) -> dict[str, tuple[str | int, ...]]:
    """All phases anywhere in a file, each with the location where it first stands."""
    found: dict[str, tuple[str | int, ...]] = {}
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        if not isinstance(value, dict | list):
            continue
        here = (*at, key)
        if key != "phases" or not isinstance(value, dict):
            inner = phases_below(value, here)
        elif len(at) == 1 and at != ("recipe",):
            # The factor "phases": its keys are the labels of levels, each a mapping of phases.
            levels = value.get("choices", value)
            named = levels.values() if isinstance(levels, dict) else ()
            inner = {phase: here for level in named if isinstance(level, dict) for phase in level}
        else:
            inner = {phase: (*here, phase) for phase in value}
        found = {**inner, **found}
    return found
