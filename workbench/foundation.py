"""What a study rests on: its data, its backbones and the weights that they start from.

Looks at everything once before any store exists, and says with file and line what does not fit.
Knows neither Optuna nor MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench import backbones, beside, datasets, downloads, record, space, tasks
from workbench.config import schema
from workbench.config.document import Location, Problem, StudyFileError
from workbench.config.knobs import merged
from workbench.config.study_config import StudyConfig
from workbench.downloads import Absent
from workbench.provenance import STUDY_SUFFIXES, Provenance
from workbench.randomness import derive
from workbench.space import Proposal
from workbench.strategy import Plan, Strategy, Weights


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A backbone as ``check`` and the report show it: stages with parameter counts, head last.

    Attributes:
        stages: Empty where the backbone is not on this machine yet.
        notes: What was left out of its weights, or is not there.
    """

    name: str
    stages: tuple[tuple[str, int], ...]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The stages' names from input to output, without the head."""
        return tuple(name for name, _ in self.stages[:-1])


def training_seed(config: StudyConfig, replicate: int = 0) -> int:
    """The seed that all trials of a replicate train with: never the trial's or the attempt's."""
    return derive(config.search.seed, "training", replicate)


def studies_needed(config: StudyConfig) -> dict[str, Path]:
    """The study files whose best trial gives this study its weights, by what is written."""
    needed = {}
    for strategy in config.strategies:
        others = (proposal for _, _, proposal in space.ends(config, strategy))
        for proposal in (space.start(config, strategy), *others):
            source = _knobs(config, proposal)["backbone"].get("weights")
            if isinstance(source, str) and source.endswith(STUDY_SUFFIXES):
                needed[source] = config.document.path.parent / source
    return needed


def _knobs(config: StudyConfig, proposal: Proposal) -> dict[str, Any]:
    """The recipe as one trial sees it."""
    return merged(config.recipe, {**proposal.strategy.knobs, **proposal.knobs})


class Foundation:
    """Data, backbones and weights of one study, each looked up once (``space.Premises``).

    Args:
        config: The study.
        home: Where other studies' weights are.
        pending: Only looking ahead: weights of a study that has not run yet, and what has to be
            downloaded first, are no problem, and nothing is downloaded.
    """

    def __init__(self, config: StudyConfig, home: Path, *, pending: bool = False) -> None:
        self._config = config
        self._pending = pending
        folder = config.document.path.parent
        self._provenance = Provenance(folder=folder, home=home, pending=pending)
        self._sizes: dict[str, dict[str, Any]] = {}
        self._outlines: dict[str, Outline] = {}
        self._weights: dict[tuple[str, str], Weights] = {}
        self._absent: dict[str, None] = {}

    @property
    def absent(self) -> tuple[str, ...]:
        """What is not on this machine yet, one sentence each."""
        return tuple(self._absent)

    def sizes(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """Sizes of the splits, names of the classes and the digest of a recipe's data set."""
        return self._sizes_of(self.located("dataset", knobs["dataset"]), self._task(knobs))

    def known_sizes(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """The same; empty where the data are not on this machine yet."""
        try:
            return self.sizes(knobs)
        except Absent as absent:
            self._lacks(absent)
            return {}

    def digest(self, plan: Plan) -> str:
        """Hash of the data set that a plan is made for."""
        return str(self._sizes_of(plan.dataset, plan.task)["digest"])

    def _sizes_of(self, dataset: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
        key = json.dumps(record.plain([dataset, task]))
        if key not in self._sizes:
            self._sizes[key] = datasets.sizes(
                dataset,
                target=tasks.target_of(task),
                study_seed=self._config.search.seed,
                seed=training_seed(self._config),
            )
        return self._sizes[key]

    def _task(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        return self.located("task", {"name": "classification", **(knobs.get("task") or {})})

    def _data(self, knobs: Mapping[str, Any]) -> datasets.Data:
        """Training and validation data of a recipe, as its backbone takes them."""
        data = datasets.load(
            self.located("dataset", knobs["dataset"]),
            target=tasks.target_of(self._task(knobs)),
            study_seed=self._config.search.seed,
            seed=training_seed(self._config),
        )
        return backbones.prepare(self._backbone(knobs), data)

    def _backbone(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """The backbone of a recipe without its weights."""
        written = {k: v for k, v in knobs["backbone"].items() if k not in ("weights", "keep_head")}
        return self.located("backbone", written)

    def located(self, block: str, written: Mapping[str, Any]) -> dict[str, Any]:
        """What a study file says of a block, with its paths and references made absolute."""
        return beside.located(block, written, self._config.document.path.parent)

    def code(self, plan: Plan) -> dict[str, str]:
        """Hash of every file of a user's own code that a plan names, by its path."""
        return beside.code(plan)

    def depth(self, value: int | str, knobs: Mapping[str, Any]) -> int:
        """The number of frozen stages of the backbone that the knobs describe."""
        from workbench.stages import resolve_depth

        outline = self.outline(knobs)
        if not outline.stages:
            return value if isinstance(value, int) else 0
        return resolve_depth(value, outline.names)

    def outline(self, knobs: Mapping[str, Any]) -> Outline:
        """The stages of the backbone that the knobs describe."""
        key = json.dumps([knobs.get(name) for name in ("backbone", "dataset", "task")])
        if key not in self._outlines:
            self._outlines[key] = self._build(knobs)
        return self._outlines[key]

    def _build(self, knobs: Mapping[str, Any]) -> Outline:
        from workbench.stages import describe

        written = self._backbone(knobs)
        try:
            data = self._data(knobs)
            task = tasks.build(self._task(knobs), data.classes, data.train.targets)
            shape, outputs = data.input_shape, task.outputs
        except Absent as absent:
            self._lacks(absent)
            shape, outputs = self._expected(knobs)
        source = knobs["backbone"].get("weights")
        try:
            weights = self.weights(source, written) if source else None
            if weights is not None and weights.source.endswith(STUDY_SUFFIXES):
                weights = None
            staged, notes = self._built(knobs, weights, shape, outputs)
        except Absent as absent:
            self._lacks(absent)
            try:
                staged, notes = self._built(knobs, None, shape, outputs)
            except Absent as still:
                self._lacks(still)
                return Outline(name=written["name"], stages=())
        return Outline(name=written["name"], stages=tuple(describe(staged)), notes=tuple(notes))

    def _built(
        self,
        knobs: Mapping[str, Any],
        weights: Weights | None,
        shape: tuple[int, ...],
        outputs: int,
    ) -> tuple[Any, list[str]]:
        notes: list[str] = []
        staged = backbones.build(
            self._backbone(knobs),
            weights=weights,
            keep_head=bool(knobs["backbone"].get("keep_head")) and weights is not None,
            input_shape=shape,
            outputs=outputs,
            seed=training_seed(self._config),
            notes=notes,
        )
        return staged, notes

    def _lacks(self, absent: Absent) -> None:
        """Looking ahead goes on without what has to be downloaded; nothing else does."""
        if not self._pending:
            raise absent
        self._absent[str(absent)] = None

    def _expected(self, knobs: Mapping[str, Any]) -> tuple[tuple[int, ...], int]:
        """Shape of a sample and number of outputs, as far as they are known without the data."""
        written = knobs["dataset"]
        entry = datasets.entry_of(written["name"])
        assert entry is not None
        if entry.kind == "text":
            return (), entry.outputs or 2
        shape = entry.shape or (3, 224, 224)
        side = written.get("image_size", shape[-1])
        shape = (written.get("channels", shape[0]), side, side)
        return shape, len(written.get("classes", ())) or entry.outputs or 2

    def weights(self, source: str, backbone: Mapping[str, Any]) -> Weights:
        """The weights that a study file names: a family's own, a file's, or another study's best.

        Raises:
            Absent: They have to be downloaded first.
            ValueError: There are none, in words for the author of the study file.
        """
        key = (source, str(backbone.get("name")))
        if key not in self._weights:
            try:
                self._weights[key] = self._provenance.find(*key)
            except Absent as absent:
                self._lacks(absent)
                return Weights(source=source)
        return self._weights[key]

    def knobs(self, strategy: Strategy) -> dict[str, Any]:
        """A strategy's recipe with every tuned knob at its default."""
        return _knobs(self._config, space.start(self._config, strategy))

    def plan(self, strategy: Strategy) -> Plan:
        """A strategy's plan with every tuned knob at its default."""
        return space.plan_of(self._config, space.start(self._config, strategy), self)

    def check(self) -> None:
        """Look at the data, the backbone and the weights of every strategy.

        What is not on this machine is downloaded, unless this is only looking ahead.

        Raises:
            StudyFileError: Everything that does not fit.
        """
        with nullcontext() if self._pending else downloads.allowed():
            self._check()

    def _check(self) -> None:
        config = self._config
        problems: list[Problem] = []
        depths: dict[tuple[str, ...], dict[int, str]] = {}
        for strategy in config.strategies:
            found = self._misfits(space.start(config, strategy))
            if not found:
                for knob, value, proposal in space.ends(config, strategy):
                    found += self._misfits(proposal, knob, value)
                found += self._same_depth(strategy, depths)
            problems += found
        if problems:
            raise StudyFileError(problems)

    def _misfits(
        self, proposal: Proposal, tuned: str | None = None, value: object = None
    ) -> list[Problem]:
        """What the data, the backbone, the weights, the transforms or the device refuse."""
        knobs = _knobs(self._config, proposal)
        steps = schema.augmentation_steps(knobs.get("augmentation") or ())

        def refused(knob: str, found: object, look: Callable[[], object]) -> list[Problem]:
            try:
                look()
            except (ValueError, OSError) as error:
                if self._pending and isinstance(error, Absent):
                    self._lacks(error)
                    return []
                at: Location = ("tune", tuned) if tuned else self._location(knob)
                shown = value if tuned else found
                problem = self._config.document.problem(at, shown, "what fits")
                return [replace(problem, reason=str(error).rstrip("."))]
            return []

        depth = knobs.get("freeze_depth", f"strategy {proposal.strategy.name}")
        found = (
            refused("dataset", knobs["dataset"]["name"], lambda: self.sizes(knobs))
            or refused("backbone", knobs["backbone"]["name"], lambda: self.outline(knobs))
            or refused("freeze_depth", depth, lambda: space.plan_of(self._config, proposal, self))
        )
        if not found:
            found = refused(
                "augmentation", knobs.get("augmentation"), lambda: self._augment(steps, knobs)
            )
        device = knobs.get("device", "auto")
        return [*found, *refused("device", knobs.get("device"), lambda: _device(device))]

    def _augment(self, steps: tuple[dict[str, dict[str, Any]], ...], knobs: Any) -> None:
        """Transform two samples: whether images keep their size shows only then."""
        if not steps:
            return
        import torch

        from workbench.engine.batches import Reader

        located = [self.located("augmentation", step) for step in steps]
        reader = Reader(self._data(knobs), located, training_seed(self._config))
        found = reader[1, torch.arange(2)]
        if isinstance(found, ValueError):
            raise found

    def _same_depth(
        self, strategy: Strategy, depths: dict[tuple[str, ...], dict[int, str]]
    ) -> list[Problem]:
        """Two levels of freeze depth may be two words for the same depth."""
        word = strategy.levels.get("freeze_depth")
        if word is None:
            return []
        depth = self.plan(strategy).phases[-1].freeze_depth
        rest = tuple(label for name, label in strategy.levels.items() if name != "freeze_depth")
        same = depths.setdefault(rest, {}).setdefault(depth, word)
        if same == word:
            return []
        expected = f"a depth that differs from that of {same} (both freeze {depth} stages)"
        return [self._config.document.problem(self._location("freeze_depth"), word, expected)]

    def _location(self, knob: str) -> Location:
        """Where a knob stands in the file: the first block that sets it or a part of it."""
        config = self._config
        block = "compare" if config.balanced else "tune"
        for factor in config.factors:
            if f"{factor.name}.".startswith(f"{knob}."):
                return (block, factor.name)
            for level in factor.levels:
                if any(f"{path}.".startswith(f"{knob}.") for path in level.knobs):
                    return (block, factor.name, level.label, knob)
        return ("tune", knob) if any(t.knob == knob for t in config.tune) else ("recipe", knob)


def _device(name: str) -> object:
    from workbench.engine import choose_device

    return choose_device(name)
