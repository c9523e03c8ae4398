"""What Optuna may propose for the blocks compare and tune, and what a proposal sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import optuna

from workbench.record.strategy import Knobs, Scalar, Strategy
from workbench.study import grid
from workbench.study.config.document import StudyFileError, Unquoted
from workbench.study.config.knobs import (
    Categorical,
    Interval,
    TunedKnob,
    label,
    labels_of,
    labels_of_knobs,
    levels_of,
    strategy_of,
)
from workbench.study.config.samplers import GRID_POINTS
from workbench.study.config.study_config import StudyConfig
from workbench.study.grid import Pick


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One point of a strategy's space.

    Attributes:
        parameters: By Optuna's names; categoricals by their labels.
        hyperparameters: By knob; categoricals by their labels.
        knobs: What they set, by path from ``recipe``.
        strategy: The strategy that it belongs to, in a joint study read back from the choices.
    """

    parameters: Mapping[str, Scalar]
    hyperparameters: Mapping[str, Scalar]
    knobs: Knobs
    strategy: Strategy


def propose(config: StudyConfig, strategy: Strategy, pick: Pick) -> Proposal:
    """Go through the tuned knobs in the order of the file and pick a value for each that applies.

    Args:
        config: The study.
        strategy: One of ``config.groups``.
        pick: Gives the value of a parameter (the label of a categorical) by its Optuna name.
    """
    context = labels_given(config, strategy)
    parameters: dict[str, Scalar] = {}
    hyperparameters: dict[str, Scalar] = {}
    knobs: dict[str, Any] = {}
    for tuned in config.tune:
        entry = tuned.applying(context)
        if entry is None:
            continue
        name = parameter_name(config, tuned, entry)
        value = pick(name, entry)
        parameters[name] = hyperparameters[tuned.knob] = value
        set_now: Knobs = {tuned.knob: value}
        if isinstance(entry, Categorical):
            set_now = next(level.knobs for level in entry.levels if level.label == value)
        knobs.update(set_now)
        # Conditions of later knobs may name this one, or a knob that its level sets.
        context |= {**labels_of_knobs(set_now), tuned.knob: label(value)}
    return Proposal(
        parameters=parameters,
        hyperparameters=hyperparameters,
        knobs=knobs,
        strategy=strategy if config.balanced else _read_back(config, hyperparameters),
    )


def labels_given(config: StudyConfig, strategy: Strategy) -> dict[str, str]:
    """The labels that conditions are compared with before anything is picked."""
    return {**labels_of(config.recipe), **labels_of_knobs(strategy.knobs), **strategy.levels}


def parameter_name(config: StudyConfig, tuned: TunedKnob, entry: Interval | Categorical) -> str:
    """The Optuna name of an entry.

    In one Optuna study a name has one range: an entry that depends on an earlier choice carries
    that choice (``learning_rate.sgd``), else the name would fall out of TPE's common space.
    """
    chosen = chosen_in(config)

    def words(one: Interval | Categorical, *, full: bool = False) -> list[str]:
        conditions = {name: "+".join(one.when[name]) for name in one.when if name in chosen}
        return [f"{k}={v}" if full else v for k, v in conditions.items()]

    same = [other for other in tuned.entries if words(other) == words(entry)]
    # The same word may be a choice of two knobs: {probe.optimizer: sgd}, {tuning.optimizer: sgd}.
    full = any(words(other, full=True) != words(entry, full=True) for other in same)
    return ".".join([tuned.knob, *words(entry, full=full)])


def chosen_in(config: StudyConfig) -> set[str]:
    """What conditions may name that is picked in a trial, not given with its group."""
    knobs = {tuned.knob for tuned in config.tune}
    levels = (level for tuned in config.tune for level in levels_of(tuned).values())
    return knobs.union(*(level.knobs for level in levels))


def knobs_by_parameter(config: StudyConfig) -> dict[str, str]:
    """The knob of each of Optuna's parameter names."""
    return {
        parameter_name(config, tuned, entry): tuned.knob
        for tuned in config.tune
        for entry in tuned.entries
    }


def suggest(
    config: StudyConfig, strategy: Strategy, trial: optuna.Trial | optuna.trial.FixedTrial
) -> Proposal:
    """Let Optuna's sampler pick; a trial that already has its values keeps them."""

    def pick(name: str, entry: Interval | Categorical) -> Any:
        if isinstance(entry, Categorical):
            return trial.suggest_categorical(name, [level.label for level in entry.levels])
        if entry.whole:
            step = int(entry.step or 1)
            return trial.suggest_int(
                name, int(entry.low), int(entry.high), log=entry.log, step=step
            )
        return trial.suggest_float(name, entry.low, entry.high, log=entry.log, step=entry.step)

    return propose(config, strategy, pick)


def start(config: StudyConfig, strategy: Strategy) -> Proposal:
    """The default of every knob: a group's first trial, and the baseline's setting.

    Of a strategy of a joint study with its levels, which are choices there.
    """
    group = strategy if config.balanced else config.groups[0]
    return propose(config, group, _setting(config, strategy.levels))


def ends(config: StudyConfig, strategy: Strategy) -> Iterator[tuple[str, Scalar, Proposal]]:
    """A strategy's default with one tuned knob at each of its levels, or at an end of its range.

    What no model and no data can refuse, a range of fractions, is left out.

    Yields:
        The knob, what it is set to, and the proposal.
    """
    group = strategy if config.balanced else config.groups[0]
    knob_of, usual = knobs_by_parameter(config), _setting(config, strategy.levels)

    def put(at: str, value: Scalar) -> Pick:
        return lambda name, entry: value if name == at else usual(name, entry)

    for name, entry in _applying(config, group, usual).items():
        if knob_of[name] not in strategy.levels:
            for value in _ends(entry):
                yield knob_of[name], value, propose(config, group, put(name, value))


def choices(config: StudyConfig, strategy: Strategy) -> dict[tuple[str, str], Proposal]:
    """A trial of a group for each level of each tuned choice that it can come to.

    Each is as near to the default as the conditions of its range allow.

    Returns:
        By the name of Optuna's parameter and the level's label.
    """
    knob_of = knobs_by_parameter(config)
    found: dict[tuple[str, str], Proposal] = {}
    settings: list[dict[str, Scalar]] = [{}]
    # It grows while it is gone through: a level may open ranges that others do not.
    for setting in settings:
        for name, entry in _applying(config, strategy, _setting(config, setting)).items():
            for level in entry.levels if isinstance(entry, Categorical) else ():
                if (name, level.label) not in found:
                    wanted = {**setting, knob_of[name]: level.label}
                    found[name, level.label] = propose(config, strategy, _setting(config, wanted))
                    settings.append(wanted)
    return found


def _applying(
    config: StudyConfig, strategy: Strategy, pick: Pick
) -> dict[str, Interval | Categorical]:
    """The ranges that a trial picks from, by the names of Optuna's parameters."""
    entries: dict[str, Interval | Categorical] = {}

    def noted(name: str, entry: Interval | Categorical) -> Any:
        entries[name] = entry
        return pick(name, entry)

    propose(config, strategy, noted)
    return entries


def _ends(entry: Interval | Categorical) -> list[Scalar]:
    if isinstance(entry, Categorical):
        return [level.label for level in entry.levels]
    return [entry.low, entry.high] if entry.whole else []


def fixed(config: StudyConfig, strategy: Strategy) -> list[Mapping[str, Scalar]]:
    """The parameters of the trials that no sampler proposes, in their order.

    The default, what the file enqueues for this group, and every cell of a grid; each once.

    Raises:
        StudyFileError: The grid has too many points.
    """
    points = [start(config, strategy)]
    for settings in config.search.enqueue:
        wanted = {name: value for name, value in settings.items() if name in strategy.levels}
        if all(strategy.levels[name] == label(value) for name, value in wanted.items()):
            points.append(propose(config, strategy, _setting(config, settings)))
    if config.search.sampler.name == "grid":
        count = int(config.search.sampler.options.get("points", GRID_POINTS))
        most = grid.MOST // len(config.groups)
        try:
            points += grid.cells(lambda pick: propose(config, strategy, pick), count, most=most)
        except grid.TooManyPointsError:
            found = Unquoted(f"a grid of more than {grid.MOST:,} points in all strategies together")
            expected = f"at most {grid.MOST:,}: fewer points a range, ranges or strategies"
            problem = config.document.problem(("search", "sampler"), found, expected)
            raise StudyFileError([problem]) from None
    unique = {tuple(point.parameters.items()): point.parameters for point in points}
    return list(unique.values())


def _setting(config: StudyConfig, settings: Knobs) -> Pick:
    knob_of = knobs_by_parameter(config)

    def pick(name: str, entry: Interval | Categorical) -> Any:
        value = settings.get(knob_of[name], entry.default)
        value = label(value) if isinstance(entry, Categorical) else value
        if not entry.holds(value):
            return entry.default
        return value if isinstance(entry, Categorical) or entry.whole else float(value)

    return pick


def _read_back(config: StudyConfig, hyperparameters: Mapping[str, Scalar]) -> Strategy:
    factors, levels = [], []
    for factor in config.factors:
        word = hyperparameters.get(factor.name)
        for level in factor.levels:
            if level.label == word:
                factors.append(factor)
                levels.append(level)
    return strategy_of(factors, levels)


def targets(config: StudyConfig) -> dict[str, int]:
    """The number of trials of each group in the end: a grid has no more than its cells."""
    trials = config.trials_per_group
    if config.search.sampler.name != "grid":
        return {group.name: trials for group in config.groups}
    return {group.name: min(trials, len(fixed(config, group))) for group in config.groups}
