"""Flaws of a recipe or a search, the options of their catalogue entries included.

An option is written with the name of an entry (``{name: resnet18, dropout: 0.1}``); its catalogue
declares it. The readers of all blocks that hold knobs use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from workbench import backbones, datasets, usercode
from workbench.backbones import BACKBONES
from workbench.datasets import DATASETS, common_options
from workbench.datasets.augmentations import AUGMENTATIONS
from workbench.record.strategy import Knobs
from workbench.study.config.fields import OWN, NamedEntry
from workbench.study.config.problems import Flaw, choice, in_words, read, sound_part, unknown_key
from workbench.study.config.samplers import PRUNERS, SAMPLERS
from workbench.study.config.schema import Recipe, Search
from workbench.tasks import TASKS


def recipe_flaws(knobs: Knobs) -> list[Flaw]:
    """Flaws of some or all of a recipe, the options of its catalogue entries included."""
    recipe, found = read(Recipe, knobs)
    recipe = recipe or sound_part(Recipe, knobs, found)
    if recipe is None:
        return found
    blocks: tuple[tuple[str, NamedEntry | None, Knobs, Callable[[str], Any]], ...] = (
        ("dataset", recipe.dataset, DATASETS, datasets.entry_of),
        ("backbone", recipe.backbone, BACKBONES, backbones.entry_of),
        ("task", recipe.task, TASKS, TASKS.get),
    )
    for block, named, catalogue, entry_of in blocks:
        if named is None:
            continue
        name = getattr(named, "name", None)
        entries = [entry_of(name)] if name else list(catalogue.values())
        known: dict[str, Any] = {}
        for entry in filter(None, entries):
            known |= common_options(entry) if block == "dataset" else {}
            known |= entry.options or {}
        options = named.options
        if any(entry is None or entry.options is None for entry in entries):
            # The user's own code knows its other options.
            options = {key: value for key, value in options.items() if key in known}
        owner = f"{block} {name}" if name else block
        valid = [*type(named).model_fields, *known]
        found += _option_flaws((block,), options, known, valid, owner)
    for index, step in enumerate(recipe.augmentation):
        found += _augmentation_flaws(index, step)
    return found


def search_flaws(search: Knobs) -> list[Flaw]:
    """Flaws of a ``search`` block, the options of sampler and pruner included."""
    block, found = read(Search, search)
    block = block or sound_part(Search, search, found)
    if block is None:
        return found
    for key, named, catalogue in (
        ("sampler", block.sampler, SAMPLERS),
        ("pruner", block.pruner, PRUNERS),
    ):
        known = {name: knob.type for name, knob in catalogue[named.name].items()}
        found += _option_flaws((key,), named.options, known, list(known), f"{key} {named.name}")
    return found


def augmentation_steps(steps: Iterable[Any]) -> tuple[dict[str, Knobs], ...]:
    """Every step as ``{name: options}``, from a bare name or a mapping."""
    return tuple({step: {}} if isinstance(step, str) else dict(step) for step in steps)


def _augmentation_flaws(index: int, step: object) -> list[Flaw]:
    loc = ("augmentation", index)
    if isinstance(step, str):
        step = {step: {}}
    if not isinstance(step, dict) or len(step) != 1:
        return [Flaw(loc=loc, found=step, expected="a transform's name, or {name: {options}}")]
    ((name, options),) = step.items()
    own = usercode.is_reference(name)
    if name not in AUGMENTATIONS and not own:
        expected, near = choice(name, AUGMENTATIONS, OWN)
        return [Flaw(loc=loc, found=name, expected=expected, nearest=near)]
    if not isinstance(options, dict):
        return [Flaw(loc=(*loc, name), found=options, expected="a mapping of options")]
    if own:
        return []
    known = AUGMENTATIONS[name]
    return _option_flaws((*loc, name), options, known, list(known), name)


_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


def _option_flaws(
    loc: tuple[str | int, ...],
    options: Knobs,
    known: Knobs,
    valid: list[str],
    owner: str,
) -> list[Flaw]:
    flawed = []
    for key, value in options.items():
        if key not in known:
            if valid:
                flawed.append(unknown_key((*loc, key), valid, f" ({owner})"))
            else:
                expected = f"no option ({owner} has none)"
                flawed.append(Flaw(loc=(*loc, key), found=key, expected=expected))
            continue
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(known[key], config=_STRICT)
            adapter.validate_python(value)
        except ValidationError:
            flawed.append(Flaw(loc=(*loc, key), found=value, expected=in_words(known[key])))
    return flawed
