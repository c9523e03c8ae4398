"""What a study rests on: its data, its backbones and the weights that they start from.

Looks at everything once before any store exists, and says with file and line what does not fit.
Knows neither Optuna nor MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench import augmentations, backbones, datasets, record, space, tasks, usercode
from workbench.config import load, schema
from workbench.config.document import Location, Problem, StudyFileError
from workbench.config.flaws import nearest
from workbench.config.knobs import merged
from workbench.config.study_config import StudyConfig
from workbench.randomness import derive
from workbench.space import Proposal
from workbench.strategy import Plan, Strategy, Weights

STUDY_SUFFIXES = (".yaml", ".yml")
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A backbone as ``check`` and the report show it: stages with parameter counts, head last."""

    name: str
    stages: tuple[tuple[str, int], ...]

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
        pending: Weights of a study that has not run yet are no problem: only looking ahead.
    """

    def __init__(self, config: StudyConfig, home: Path, *, pending: bool = False) -> None:
        self._config = config
        self._home = home
        self._pending = pending
        self._sizes: dict[str, dict[str, Any]] = {}
        self._outlines: dict[str, Outline] = {}
        self._weights: dict[str, Weights] = {}

    def sizes(self, knobs: Mapping[str, Any]) -> dict[str, Any]:
        """Sizes of the splits, names of the classes and the digest of a recipe's data set."""
        return self._sizes_of(self.located("dataset", knobs["dataset"]), self._task(knobs))

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
        folder = self._config.document.path.parent
        if block == "augmentation":
            return {_located(name, folder): options for name, options in written.items()}
        found = {key: _located(value, folder) for key, value in written.items()}
        if block == "task" and "metrics" in found:
            found["metrics"] = [_located(name, folder) for name in found["metrics"]]
        entry = datasets.entry_of(found["name"]) if block == "dataset" else None
        for option in entry.paths if entry is not None else ():
            if isinstance(found.get(option), str):
                found[option] = str((folder / Path(found[option]).expanduser()).resolve())
        return found

    def code(self, plan: Plan) -> dict[str, str]:
        """Hash of every file of a user's own code that a plan names, by its path."""
        named = [
            plan.dataset["name"],
            plan.backbone["name"],
            plan.task["name"],
            *plan.task.get("metrics", ()),
            *(name for step in plan.augmentation for name in step),
            plan.trial,
        ]
        references = sorted(name for name in named if usercode.is_reference(name))
        return {str(usercode.file_of(r)): usercode.sha256_of(r) for r in references}

    def depth(self, value: int | str, knobs: Mapping[str, Any]) -> int:
        """The number of frozen stages of the backbone that the knobs describe."""
        from workbench.stages import resolve_depth

        return resolve_depth(value, self.outline(knobs).names)

    def outline(self, knobs: Mapping[str, Any]) -> Outline:
        """The stages of the backbone that the knobs describe."""
        key = json.dumps([knobs.get(name) for name in ("backbone", "dataset", "task")])
        if key not in self._outlines:
            self._outlines[key] = self._build(knobs)
        return self._outlines[key]

    def _build(self, knobs: Mapping[str, Any]) -> Outline:
        from workbench.stages import describe

        written = self._backbone(knobs)
        source = knobs["backbone"].get("weights")
        weights = self.weights(source, written) if source else None
        if weights is not None and weights.source.endswith(STUDY_SUFFIXES):
            weights = None
        data = self._data(knobs)
        task = tasks.build(self._task(knobs), data.classes, data.train.targets)
        staged = backbones.build(
            written,
            weights=weights,
            keep_head=bool(knobs["backbone"].get("keep_head")) and weights is not None,
            input_shape=data.input_shape,
            outputs=task.outputs,
            seed=training_seed(self._config),
        )
        return Outline(name=written["name"], stages=tuple(describe(staged)))

    def weights(self, source: str, backbone: Mapping[str, Any]) -> Weights:
        """The weights that a study file names: a family's own, a file's, or another study's best.

        Raises:
            ValueError: There are none, in words for the author of the study file.
        """
        if source not in self._weights:
            self._weights[source] = self._find_weights(source)
        return self._weights[source]

    def _find_weights(self, source: str) -> Weights:
        own = list(
            dict.fromkeys(n for entry in backbones.BACKBONES.values() for n in entry.weights)
        )
        if source in own:
            return Weights(source=source)
        folder = self._config.document.path.parent
        path = folder / source
        if not path.is_file():
            wanted = (*STUDY_SUFFIXES, *WEIGHTS_SUFFIXES)
            files = [str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix in wanted]
            guess = nearest(source, [*own, *files])
            hint = f"; did you mean {guess}?" if guess else ""
            raise ValueError(
                f"{path} is no file; weights are a file (a path relative to the study file: "
                f"{', '.join(wanted)}), or one of {', '.join(own)}{hint}"
            )
        if source.endswith(STUDY_SUFFIXES):
            best = self._best_of(load(path))
            if best is None and self._pending:
                return Weights(source=source)
            if best is None:
                raise ValueError(f"the study {path} has no completed trial to take weights from")
            path = best
        return Weights(source=str(path.resolve()), sha256=record.sha256_of(path))

    def _best_of(self, other: StudyConfig) -> Path | None:
        directory = record.study_directory(self._home, other.name)
        best: Path | None = None
        held: tuple[float, int] | None = None
        for trial, spec in record.scan(directory):
            result = trial.result()
            if spec.role is not record.Role.SEARCH or result is None or result.value is None:
                continue
            found = (result.value, spec.number)
            if trial.weights.exists() and spec.objective.outdoes(found, held):
                best, held = trial.weights, found
        return best

    def knobs(self, strategy: Strategy) -> dict[str, Any]:
        """A strategy's recipe with every tuned knob at its default."""
        return _knobs(self._config, space.start(self._config, strategy))

    def plan(self, strategy: Strategy) -> Plan:
        """A strategy's plan with every tuned knob at its default."""
        return space.plan_of(self._config, space.start(self._config, strategy), self)

    def check(self) -> None:
        """Look at the data, the backbone and the weights of every strategy.

        Raises:
            StudyFileError: Everything that does not fit.
        """
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
                at: Location = ("tune", tuned) if tuned else self._location(knob)
                shown = value if tuned else found
                problem = self._config.document.problem(at, shown, "what fits")
                return [replace(problem, reason=str(error).rstrip("."))]
            return []

        depth = knobs.get("freeze_depth", f"strategy {proposal.strategy.name}")
        return [
            *(
                refused("dataset", knobs["dataset"]["name"], lambda: self.sizes(knobs))
                or refused("backbone", knobs["backbone"]["name"], lambda: self.outline(knobs))
                or refused(
                    "freeze_depth", depth, lambda: space.plan_of(self._config, proposal, self)
                )
            ),
            *refused(
                "augmentation", knobs.get("augmentation"), lambda: self._augment(steps, knobs)
            ),
            *refused("device", knobs.get("device"), lambda: _device(knobs.get("device", "auto"))),
        ]

    def _augment(self, steps: tuple[dict[str, dict[str, Any]], ...], knobs: Any) -> None:
        """Transform two samples: whether images keep their size shows only then."""
        augment = augmentations.build(steps)
        if augment is not None:
            seed = training_seed(self._config)
            import torch

            part, two = self._data(knobs).train, torch.arange(2)
            inputs = part.inputs[two]
            if isinstance(inputs, dict):
                raise ValueError("An augmentation transforms images, but these samples are texts")
            augment(inputs, seed=seed, epoch=1, index=part.index[two])

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


def _located(value: Any, folder: Path) -> Any:
    """A reference to the user's own code with its absolute path; anything else as it is."""
    return usercode.located(value, folder) if usercode.is_reference(value) else value


def _device(name: str) -> object:
    from workbench.engine import choose_device

    return choose_device(name)
