"""Whether the blocks of a study file fit together once each of them is sound.

Looks at strategies as wholes, at enqueued settings and at what the confirmation names. Knows
neither the model nor the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.config import recipes
from workbench.config.document import Location, Words
from workbench.config.flaws import listed, nearest
from workbench.config.knobs import (
    Interval,
    Level,
    label,
    labels_of,
    labels_of_knobs,
    levels_of,
    merged,
    path_of,
    phases_below,
    phases_in,
)
from workbench.strategy import Strategy

if TYPE_CHECKING:
    from workbench.config.study_config import StudyConfig


def check(config: StudyConfig) -> None:
    """Note every contradiction in the study's document."""
    names: set[str] = set()
    for strategy in config.strategies:
        if strategy.name in names:
            expected = "labels that make each strategy's name differ"
            config.document.add((_block(config),), strategy.name, expected)
        names.add(strategy.name)
        _whole(config, strategy)
    _phases(config)
    _enqueued(config)
    _confirmed(config)


def _block(config: StudyConfig) -> str:
    """Where the factors stand."""
    return "compare" if config.balanced else "tune"


def _levels(config: StudyConfig, strategy: Strategy) -> list[tuple[Location, Level]]:
    """The levels that make a strategy, in the order of the factors, and where they stand."""
    return [
        ((_block(config), factor.name, level.label), level)
        for factor in config.factors
        for level in factor.levels
        if level.label == strategy.levels.get(factor.name)
    ]


def _whole(config: StudyConfig, strategy: Strategy) -> None:
    """What a strategy's levels set may not fit what the recipe says, and something may lack."""
    knobs = merged(config.recipe, strategy.knobs)
    for flaw in recipes.recipe_flaws(knobs):
        path = path_of(flaw.loc)
        places = [
            place
            for place, level in _levels(config, strategy)
            if any(path == known or path.startswith(f"{known}.") for known in level.knobs)
        ]
        at = places[0] if places else ("recipe", *flaw.loc)
        config.document.add(at, flaw.found, flaw.expected, flaw.nearest)
    tuned = {path for t in config.tune for level in levels_of(t).values() for path in level.knobs}
    for block in ("dataset", "backbone"):
        if not (knobs.get(block) or {}).get("name") and f"{block}.name" not in tuned:
            config.document.add(("recipe",), Words(f"no {block}"), f"{block}: {{name: ...}}")


def _phases(config: StudyConfig) -> None:
    """Refuse knobs of a phase that a strategy does not have."""
    every = phases_below(config.document.content).keys()
    recipe = config.document.content["recipe"] or {}
    lacking: dict[tuple[Location, str], list[str]] = {}
    for strategy in config.strategies:
        levels = _levels(config, strategy)
        brought = [level.phases for _, level in levels]
        brought += [factor.levels[0].phases for factor in config.across]
        lacked = every - phases_in(recipe).union(*brought)
        if not lacked:
            continue
        context = {
            **labels_of(config.recipe),
            **labels_of_knobs(strategy.knobs),
            **strategy.levels,
        }
        said: list[tuple[Location, str]] = [(("recipe", path), path) for path in recipe]
        said += [(place, path) for place, level in levels for path in level.knobs]
        said += [(("tune", t.knob), t.knob) for t in config.tune if t.applying(context)]
        for place, path in said:
            phase = path.partition(".")[0]
            if phase in lacked:
                lacking.setdefault((place, phase), []).append(strategy.name)
    for (place, phase), names in lacking.items():
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        expected = f"this knob inside the level that brings {phase}"
        if place[0] == "tune":
            expected = f"when: {{FACTOR: LABEL}}, where {phase} is"
        config.document.add(place, Words(f"no phase {phase} in {some}"), expected)


def _enqueued(config: StudyConfig) -> None:
    """Every enqueued value must be one that a trial may have."""
    factors = {factor.name: factor for factor in config.compare}
    tuned = {item.knob: item for item in config.tune}
    for index, settings in enumerate(config.search.enqueue):
        for name, value in settings.items():
            at = ("search", "enqueue", index, name)
            if name in factors:
                labels = [level.label for level in factors[name].levels]
                if label(value) not in labels:
                    config.document.add(at, value, listed(labels), nearest(value, labels))
            elif name not in tuned:
                names = [*factors, *tuned]
                config.document.add(at, name, listed(names), nearest(name, names))
            elif not any(
                entry.holds(value if isinstance(entry, Interval) else label(value))
                for entry in tuned[name].entries
            ):
                config.document.add(at, value, f"a value that tune.{name} may take")


def _confirmed(config: StudyConfig) -> None:
    """``confirm`` must speak of factors and strategies that there are."""
    contrasts = ["all", "baseline", *(factor.name for factor in config.compare)]
    baselines = ["default", *(strategy.name for strategy in config.strategies)]
    for key, value, valid in (
        ("contrast", config.confirm.contrast, contrasts),
        ("baseline", config.confirm.baseline, baselines),
    ):
        if value is not None and value not in valid:
            config.document.add(("confirm", key), value, listed(valid), nearest(value, valid))
