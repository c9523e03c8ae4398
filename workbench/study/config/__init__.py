"""Reads a study file into a ``StudyConfig``.

All problems of a file are raised at once, each with its line. ``study.checks`` checks what needs
the model or the data.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench import tasks
from workbench.driver.resources import Resources
from workbench.messages import nearest
from workbench.record import FILE_NAME, Addition, Cell, Objective
from workbench.record.strategy import Knobs
from workbench.study.config import across, consistency, recipes, schema
from workbench.study.config.blocks import FactorBlocks
from workbench.study.config.changes import StudyChangedError
from workbench.study.config.document import Document, Location, Unquoted
from workbench.study.config.fields import Block
from workbench.study.config.knobs import (
    Factor,
    TunedKnob,
    flatten_parts,
    label,
    levels_of,
    merged,
    named_in_full,
    parts_of,
    path_of,
    phases_below,
)
from workbench.study.config.problems import Flaw, M, choice, read, sound_part, unknown_key
from workbench.study.config.schema import Confirm, ObjectiveKnobs, Report, ResourceKnobs, Search
from workbench.study.config.study_config import StudyConfig
from workbench.study.paths import located

__all__ = ["BLOCKS", "StudyChangedError", "load", "load_added", "load_all"]

BLOCKS = (
    *("name", "recipe", "compare", "tune", "search", "objective", "confirm", "report"),
    "resources",
    across.BLOCK,
)
# What an editor reads to find the JSON Schema.
_MODELINE = "# yaml-language-server:"


def load(path: Path, overrides: Sequence[str] = (), cell: Cell | None = None) -> StudyConfig:
    """Read a study file.

    Args:
        path: The file.
        overrides: ``key.path=value`` each, from the root of the file, in YAML's notation.
        cell: Which study, of a file with ``across``.

    Raises:
        StudyFileError: Everything that is wrong with it.
    """
    document = Document(path, overrides)
    cells = across.cells_of(document)
    if cell is not None and cell in cells:
        across.choose(document, cell)
    elif cells:
        document.add((across.BLOCK,), Unquoted(f"{len(cells)} studies"), "a file with one study")
        document.finish()
    return _Reader(document, cell).read()


def load_all(path: Path, overrides: Sequence[str] = ()) -> tuple[StudyConfig, ...]:
    """Read every study that a file stands for: one, or with ``across`` several; see ``load``."""
    cells = across.cells_of(Document(path, overrides))
    return tuple(load(path, overrides, cell) for cell in cells or (None,))


def load_added(path: Path, overrides: Sequence[str], added: Addition, value: object) -> StudyConfig:
    """Read the file of a confirmed study as that of a level that is added to it.

    Args:
        path: The file of the confirmed study.
        overrides: Those of the confirmed study.
        added: The level, and what it is added to.
        value: Of the level: a value, or ``{LABEL: VALUE}``.

    Raises:
        StudyFileError: The study cannot have such a level.
    """
    document = Document(path, overrides)
    content: Any = document.content
    levels = content["compare"][added.factor]
    if not isinstance(levels, dict):
        levels = {label(level): level for level in levels}
    content["compare"][added.factor] = {**levels, added.label: value}
    place = ("compare", added.factor, added.label)
    document.lines[place] = f"--add {added.factor}={added.written}"
    # All of its strategies are tested, on the seeds of the study.
    confirm = {k: v for k, v in (content.get("confirm") or {}).items() if k != "finalists"}
    content |= {"name": added.name, "confirm": {**confirm, "seeds": added.seeds}}
    return _Reader(document, None, added).read()


class _Reader:
    """Reads the blocks of one study in turn, and collects their problems."""

    def __init__(
        self, document: Document, cell: Cell | None, added: Addition | None = None
    ) -> None:
        self._document = document
        self._cell = cell
        self._added = added
        self._phases = phases_below(document.content)

    def read(self) -> StudyConfig:
        content = self._document.content
        self._blocks(content)
        recipe = self._recipe(self._mapping("recipe"))
        reader = FactorBlocks(self._document, self._phases)
        compare = reader.factors(self._mapping("compare"))
        tune = reader.tune(self._mapping("tune"), recipe, compare)
        self._one_block_each(recipe, compare, tune)
        search = self._search(self._mapping("search"), "compare" in content)
        objective = self._objective(self._mapping("objective"), recipe)
        confirm = self._model(Confirm, "confirm", self._mapping("confirm"))
        report = self._model(Report, "report", self._mapping("report"))
        resources = self._resources(self._mapping("resources"), recipe)
        broken = {problem.key.partition(".")[0] for problem in self._document.problems}
        config = StudyConfig(
            document=self._document,
            cell=self._cell,
            added=self._added,
            name=str(content.get("name")),
            question=_question(self._document.text),
            recipe=named_in_full(recipe),
            compare=compare,
            tune=tune,
            search=search,
            objective=objective,
            confirm=confirm,
            report=report,
            resources=resources,
        )
        # An unknown key may be a misspelt block, without which the others seem to contradict.
        if broken.issubset(BLOCKS):
            consistency.check(config, without=broken)
        # What a misspelt block seems to lack is in it.
        meant = {nearest(key, BLOCKS) for key in content if key not in BLOCKS} - content.keys()
        self._document.discard(meant)
        self._document.finish()
        return config

    def _blocks(self, content: Knobs) -> None:
        knobs = list(schema.Recipe.model_fields)
        for key in content:
            if key not in BLOCKS:
                if key in knobs:
                    self._document.add_message(
                        (key,), f"this key belongs in recipe: write recipe.{key}"
                    )
                else:
                    self._document.add_flaw((key,), unknown_key((key,), BLOCKS))
        name = content.get("name")
        if self._cell is not None:
            name = self._cell.across
        if not isinstance(name, str) or not FILE_NAME.fullmatch(name):
            self._document.add(
                ("name",),
                name,
                "a name of at most 200 letters, digits, dots, dashes and underscores",
            )
        if "recipe" not in content:
            self._document.add(("recipe",), None, "the block recipe, with a dataset and a backbone")
        if "compare" in content and content["compare"] in (None, {}):
            self._document.add(
                ("compare",), None, "a factor; leave compare out for one search over everything"
            )

    def _mapping(self, key: str) -> Knobs:
        value = self._document.content.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._document.add((key,), value, "a mapping")
            return {}
        return value

    def _model(self, model: type[M], key: str, value: Knobs) -> M:
        found = read(model, value)[1]
        self._document.add_flaws((key,), found)
        return _valid_part(model, value, found)

    def _recipe(self, written: Knobs) -> Knobs:
        """The recipe without dotted paths: each as the nested keys that it stands for."""
        knobs = schema.Recipe.model_fields
        paths = {
            key: parts
            for key in written
            if len(parts := parts_of(key, self._phases)) > 1 and parts[0] in knobs
        }
        recipe: Knobs = {key: value for key, value in written.items() if key not in paths}
        for key, parts in paths.items():
            place = ("recipe", *parts)
            if place in self._document.lines:
                first = self._document.place(place)
                expected = f"each knob once; recipe already sets it ({first})"
                self._document.add(("recipe", key), key, expected)
            self._document.alias(place, ("recipe", key))
            recipe = merged(recipe, {key: written[key]})
        for flaw in recipes.recipe_flaws(recipe):
            self._document.add_flaw(("recipe", *flaw.loc), _in_its_block(flaw))
        for phase, at in self._phases.items():
            if phase in knobs or "." in phase:
                self._document.add(at, phase, "a phase name that is not a knob and has no dot")
        return recipe

    def _search(self, search: Knobs, balanced: bool) -> Search:
        found = recipes.search_flaws(search)
        wanted, other, because = "trials", "trials_per_strategy", "without a compare block"
        if balanced:
            wanted, other, because = other, wanted, "because there is a compare block"
        # Of the two names the nearest may be that of the other kind of study.
        meant = [flaw.nearest in (wanted, other) for flaw in found]
        self._document.add_flaws(
            ("search",),
            (replace(f, nearest=wanted) if m else f for f, m in zip(found, meant, strict=True)),
        )
        if other in search:
            self._document.add(("search", other), other, f"{wanted}, {because}", wanted)
        elif search.get(wanted) is None and not any((*meant, *(f.loc == (wanted,) for f in found))):
            self._document.add(("search",), None, f"{wanted}: a number of trials, {because}")
        return _valid_part(Search, search, found)

    def _objective(self, written: Knobs, recipe: Knobs) -> Objective:
        block = self._model(ObjectiveKnobs, "objective", written)
        usual, metrics = self._measured(recipe.get("task"))
        valid = [f"{split}/{metric}" for split in ("validation", "train") for metric in metrics]
        metric = written.get("metric", f"validation/{usual}")
        if metrics and isinstance(metric, str) and metric not in valid:
            alone = next((name for name in valid if name.endswith(f"/{metric}")), None)
            expected, near = ("", alone) if alone else choice(metric, valid)
            self._document.add(("objective", "metric"), metric, expected, near)
        metric = str(metric)
        direction = block.direction or metrics.get(metric.rpartition("/")[2], "maximize")
        return Objective(metric=metric, direction=direction, epoch=block.epoch)

    def _resources(self, written: Knobs, recipe: Knobs) -> Resources:
        block = self._model(ResourceKnobs, "resources", written)
        # What is flawed has been noted, and what is compared counts as one thread.
        threads, device = recipe.get("threads", 1), recipe.get("device", "auto")
        return Resources(
            cpus=block.cpus or (threads if isinstance(threads, int) else 1),
            gpus=block.gpus,
            memory=block.memory or 0,
            stall_timeout=block.stall_timeout,
            device=str(device),
        )

    def _measured(self, written: object) -> tuple[str, dict[str, str]]:
        """The metric that a task is usually optimised for, and the direction of each of its own."""
        task = {"name": written} if isinstance(written, str) else written or {}
        # What is wrong with the block itself is noted with the recipe.
        if not isinstance(task, dict) or recipes.recipe_flaws({"task": task}):
            return "accuracy", {}
        named = {"name": "classification", **task}
        try:
            block = located("task", named, self._document.path.parent)
            entry = tasks.entry_of(block["name"])
            return (entry.objective if entry else "accuracy"), tasks.metrics_of(block)
        except ValueError as error:
            problem = self._document.problem(("recipe", "task"), named["name"], "a task")
            self._document.problems.append(replace(problem, reason=str(error).rstrip(".")))
            return "accuracy", {}

    def _one_block_each(
        self,
        recipe: Knobs,
        compare: tuple[Factor, ...],
        tune: tuple[TunedKnob, ...],
    ) -> None:
        """A knob stands in exactly one block: its place is its role.

        One exception loses nothing: a recipe's value may serve the strategies and trials that a
        bundle or a conditional range leaves without one.
        """
        # By knob: where it stands, and whether every strategy and trial gets a value from there.
        stands: dict[str, list[tuple[Location, bool]]] = {}
        for parts, _ in flatten_parts((), recipe):
            stands.setdefault(path_of(parts), []).append((("recipe", *parts), True))
        for factor in compare:
            for path in dict.fromkeys(p for level in factor.levels for p in level.knobs):
                whole = all(path in level.knobs for level in factor.levels)
                stands.setdefault(path, []).append((("compare", factor.name), whole))
        for tuned in tune:
            whole = any(not entry.when for entry in tuned.entries)
            levels = levels_of(tuned).values()
            paths = dict.fromkeys(path for level in levels for path in level.knobs)
            for path in paths or (path_of(parts_of(tuned.knob, self._phases)),):
                covered = whole and all(path in level.knobs for level in levels)
                stands.setdefault(path, []).append((("tune", tuned.knob), covered))
        for path, places in stands.items():
            (first, _), (last, covered) = places[0], places[-1]
            if len(places) == 1 or (len(places) == 2 and first[0] == "recipe" and not covered):
                continue
            self._document.add_message(
                last,
                f"set a knob in one block only; {path} is already set in {first[0]} "
                f"({self._document.place(first)})",
            )


def _in_its_block(flaw: Flaw) -> Flaw:
    """The flaw of a key in the recipe, with the block in which the key or its values belong.

    The recipe's keys are too many to be read through.
    """
    if isinstance(flaw.found, list) and len(flaw.loc) == 1:
        return replace(flaw, expected=f"{flaw.expected}; several values belong in compare or tune")
    blocks: dict[str, type[Block]] = {
        "search": Search,
        "objective": ObjectiveKnobs,
        "confirm": Confirm,
        "resources": ResourceKnobs,
    }
    if not flaw.unknown or flaw.nearest or len(flaw.loc) != 1:
        return flaw
    for block, model in blocks.items():
        if flaw.found in model.model_fields:
            return replace(flaw, expected="", nearest=f"{block}.{flaw.found}")
    return flaw


def _valid_part(model: type[M], value: Knobs, found: Sequence[Flaw]) -> M:
    """The sound part of a block whose keys all have defaults."""
    block = sound_part(model, value, found)
    return model() if block is None else block


def _question(text: str) -> str:
    """The comment that heads the file.

    Its indented lines are commands, and ``yaml-language-server`` in the first is for editors.
    """
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    words = [line[1:].strip() for line in lines if not line.startswith(("#  ", _MODELINE))]
    return " ".join(word for word in words if word)
