"""Checks that the blocks of a study file fit together: whole strategies, enqueue, confirmation.

``load`` calls it when each block is read. ``study.checks`` checks what needs the model or the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from workbench.record.strategy import Knobs, Strategy
from workbench.study.config import recipes
from workbench.study.config.document import Location, Unquoted
from workbench.study.config.knobs import (
    Interval,
    Level,
    combinations,
    flatten,
    label,
    labels_of,
    labels_of_knobs,
    levels_of,
    merged,
    path_of,
    phases_below,
    phases_in,
)
from workbench.study.config.problems import choice, unknown_key
from workbench.tasks import TASKS

if TYPE_CHECKING:
    from workbench.study.config.study_config import StudyConfig

# What a loss depends on beside the outputs, and the values that change nothing.
_LOSS: Knobs = {
    "task.name": "classification",
    "task.label_smoothing": 0.0,
    "task.class_weights": None,
    "task.loss": "mse",
    "task.delta": 1.0,
}
# What the arm of the default configuration is called, in the file and in the record.
BASELINE = "default"
# A study file with more is a slip, and takes minutes to go through.
MOST_STRATEGIES, MOST_TRIALS = 1_000, 100_000
# Bytes of a strategy's name. A folder has it too, with a temporary ending for a while: 255 at most.
LONGEST_NAME = 200
_MIXED: Knobs = {"mixup": 0.0, "cutmix": 0.0}


def check(config: StudyConfig, *, without: Collection[str] = ()) -> None:
    """Note every contradiction in the study's document.

    Args:
        config: The study as far as it is sound.
        without: Blocks in which something is wrong already. What rests on one of them is left out:
            it might only follow from that.
    """
    of_factors = {"compare"} if "compare" in config.document.content else {"tune"}
    if _exceeds_limits(config):
        return
    every = {"recipe", "compare", "tune"}
    checks: tuple[tuple[set[str], Callable[[StudyConfig], None]], ...] = (
        (of_factors, _check_names),
        (every, _check_recipes),
        (every, _check_phases),
        (every | {"objective"}, _check_losses),
        ({"compare", "tune"}, _check_enqueue),
        (set(), _check_contrast),
        (of_factors, _check_confirm),
    )
    for needs, run in checks:
        if needs.isdisjoint(without):
            run(config)


def _exceeds_limits(config: StudyConfig) -> bool:
    """Whether there are more strategies or trials than anyone means, found without making them."""
    if config.balanced:
        strategies = math.prod(len(factor.levels) for factor in config.compare)
        found = f"{strategies:,} strategies"
    else:
        given = labels_of(config.recipe)
        strategies = len(combinations(config.tune, given, most=MOST_STRATEGIES))
        found = f"more than {MOST_STRATEGIES:,} combinations of choices"
    if strategies > MOST_STRATEGIES:
        config.document.add((config.factor_block,), Unquoted(found), f"at most {MOST_STRATEGIES:,}")
        return True
    search = config.search
    trials = (
        strategies * (search.trials_per_strategy or 0) if config.balanced else search.trials or 0
    )
    if trials > MOST_TRIALS:
        config.document.add(
            ("search",), Unquoted(f"{trials:,} trials in all"), f"at most {MOST_TRIALS:,}"
        )
    return trials > MOST_TRIALS


def _check_names(config: StudyConfig) -> None:
    """Labels must tell strategies apart, and name folders."""
    names: set[str] = set()
    for strategy in config.strategies:
        if strategy.name in names:
            expected = "labels that give every strategy a different name"
            config.document.add((config.factor_block,), strategy.name, expected)
        elif len(strategy.name.encode()) > LONGEST_NAME:
            expected = f"shorter labels: a strategy's name may have at most {LONGEST_NAME} bytes"
            config.document.add((config.factor_block,), strategy.name, expected)
            break
        names.add(strategy.name)


def _levels(config: StudyConfig, strategy: Strategy) -> list[tuple[Location, Level]]:
    """The levels that make a strategy, in the order of the factors, and where they stand."""
    return [
        ((config.factor_block, factor.name, level.label), level)
        for factor in config.factors
        for level in factor.levels
        if level.label == strategy.levels.get(factor.name)
    ]


def _check_recipes(config: StudyConfig) -> None:
    """What a strategy's levels set must fit what the recipe says, and nothing may lack."""
    tuned = {path for t in config.tune for level in levels_of(t).values() for path in level.knobs}
    tuned |= {t.knob for t in config.tune if not levels_of(t)}
    for strategy in config.strategies:
        knobs = merged(config.recipe, strategy.knobs)
        for flaw in recipes.recipe_flaws(knobs):
            path = path_of(flaw.loc)
            places = [
                place
                for place, level in _levels(config, strategy)
                if any(path == known or path.startswith(f"{known}.") for known in level.knobs)
            ]
            at = places[0] if places else ("recipe", *flaw.loc)
            config.document.add_flaw(at, flaw)
        for block in ("dataset", "backbone"):
            if not (knobs.get(block) or {}).get("name") and f"{block}.name" not in tuned:
                config.document.add(("recipe",), Unquoted(f"no {block}"), f"{block}: {{name: ...}}")
        options = [path for path in (*flatten((), knobs), *tuned) if path.startswith("trial.")]
        if options and "trial.name" not in options:
            found = f"{options[0]} without trial.name"
            config.document.add(("recipe",), Unquoted(found), "trial: {name: FILE.py:NAME}")


def _check_phases(config: StudyConfig) -> None:
    """Refuse knobs of a phase that a strategy does not have."""
    every = phases_below(config.document.content).keys()
    recipe = config.document.content["recipe"] or {}
    lacking: dict[tuple[Location, str], list[str]] = {}
    for strategy in config.strategies:
        levels = _levels(config, strategy)
        brought = [level.phases for _, level in levels]
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
        lacks = f"strategy {some} has" if len(names) == 1 else f"strategies {some} have"
        remedy = f"set this knob inside the level that defines {phase}"
        if place[0] == "tune":
            remedy = f"add when: {{FACTOR: LABEL}} for the levels that define {phase}"
        config.document.add_message(place, f"{lacks} no phase {phase}; {remedy}")


def _check_losses(config: StudyConfig) -> None:
    """Refuse a loss as the objective where its meaning is compared or tuned.

    Losses of different tasks, weights or smoothing are different quantities: the smallest would
    tell which of them is small by itself. Of a task of the user's own only the name is known.
    """
    split, _, metric = config.objective.metric.rpartition("/")
    if metric != "loss":
        return
    # What is mixed is only trained on.
    defaults = {**_LOSS, **(_MIXED if split == "train" else {})}
    usual = {path: flatten((), config.recipe).get(path, held) for path, held in defaults.items()}
    brought: list[tuple[Location, list[Knobs]]] = [
        (("compare", factor.name), [level.knobs for level in factor.levels])
        for factor in config.compare
    ]
    for tuned in config.tune:
        levels = [level.knobs for level in levels_of(tuned).values()]
        ends = [
            {tuned.knob: end}
            for entry in tuned.entries
            if isinstance(entry, Interval)
            for end in (entry.low, entry.high)
        ]
        conditional = all(entry.when for entry in tuned.entries)
        brought.append((("tune", tuned.knob), levels + ends + ([{}] if conditional else [])))
    for at, knobs in brought:
        for path, value in usual.items():
            found = [level.get(path, value) for level in knobs]
            if any(one != found[0] for one in found):
                config.document.add(
                    at,
                    Unquoted(
                        f"levels that differ in {path}, which changes what {split}/loss means"
                    ),
                    f"a metric that measures the same for all levels: {_comparable(config, path)}",
                )
                break


def _comparable(config: StudyConfig, differs: str) -> str:
    """What may stand in place of a loss."""
    if differs == "task.name":
        return "a metric that all these tasks measure"
    entry = TASKS.get((config.recipe.get("task") or {}).get("name", "classification"))
    if entry is None or entry.objective == "loss":
        return "objective: {metric: validation/NAME}, a metric of your own"
    return f"objective: {{metric: validation/{entry.objective}}}"


def _check_enqueue(config: StudyConfig) -> None:
    """Every enqueued value must be one that a trial may have."""
    factors = {factor.name: factor for factor in config.compare}
    tuned = {item.knob: item for item in config.tune}
    for index, settings in enumerate(config.search.enqueue):
        for name, value in settings.items():
            at = ("search", "enqueue", index, name)
            if name in factors:
                labels = [level.label for level in factors[name].levels]
                if label(value) not in labels:
                    config.document.add(at, value, *choice(value, labels))
            elif name not in tuned:
                names = [*factors, *tuned]
                config.document.add_flaw(at, unknown_key((name,), names))
            elif not any(
                entry.holds(value if isinstance(entry, Interval) else label(value))
                for entry in tuned[name].entries
            ):
                config.document.add(at, value, f"a value that tune.{name} allows")


def _check_contrast(config: StudyConfig) -> None:
    """What is compared must be a factor by its name, whatever its levels are."""
    written = config.document.content.get("compare")
    factors = list(written) if isinstance(written, dict) else []
    _check_name(config, "contrast", config.confirm.contrast, ["all", "baseline", *factors])


def _check_name(config: StudyConfig, key: str, value: str | None, valid: Sequence[str]) -> None:
    if value is not None and value not in valid:
        config.document.add(("confirm", key), value, *choice(value, valid))


def _check_confirm(config: StudyConfig) -> None:
    """``confirm`` must speak of strategies that there are, and of enough of them."""
    names = [strategy.name for strategy in config.strategies]
    _check_name(config, "baseline", config.confirm.baseline, [BASELINE, *names])
    if BASELINE in names:
        expected = f"another label: {BASELINE} is the name of the confirmation's baseline"
        config.document.add((config.factor_block,), BASELINE, expected)
    _check_finalists(config, len(names))
    factors = {factor.name: factor for factor in config.compare}
    factor = factors.get(config.confirm.contrast or "")
    if factor is not None and len(factor.levels) < 2:
        found = Unquoted(f"{factor.name}, which has one level")
        config.document.add(("confirm", "contrast"), found, "a factor with at least two levels")


def _check_finalists(config: StudyConfig, strategies: int) -> None:
    """A factor's levels are met by all strategies or by none: finalists are only some of them."""
    count, at = config.confirm.finalists, ("confirm", "finalists")
    if count is None:
        return
    if count > strategies:
        are = "is one strategy" if strategies == 1 else f"are {strategies} strategies"
        config.document.add(at, count, f"at most {strategies}: there {are}")
    elif config.confirm.contrast in {factor.name for factor in config.compare}:
        expected = (
            f"no finalists with contrast: {config.confirm.contrast}, whose levels are compared by "
            "the means of all their strategies"
        )
        config.document.add(at, count, expected)
