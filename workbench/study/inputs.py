"""The data, the backbones and the weights that a study file names, each looked up once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from workbench import backbones, datasets, record, tasks, usercode
from workbench.backbones.depth import resolve_depth
from workbench.downloads import NotDownloadedError
from workbench.record.file_cache import FileCache, FileState
from workbench.record.seeds import derive
from workbench.record.strategy import Knobs, Plan, Weights
from workbench.study import paths, weights


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


class Inputs:
    """Data, backbones and weights of one study, each looked up once.

    The methods take ``knobs``: the recipe as one trial sees it (``Study.knobs``).

    Args:
        folder: The study file's: paths in the file are relative to it.
        home: Where the trials of other studies are, whose weights may be named.
        study_seed: Divides the data into training, validation and test samples.
        pending: Weights of a study that has not run yet and files that must be downloaded are
            listed in ``absent`` instead of raising an error, and nothing is downloaded. It may be
            set to False later: from then on whatever is missing is an error.
    """

    def __init__(self, folder: Path, home: Path, *, study_seed: int, pending: bool = False) -> None:
        self.pending = pending
        # Every trial of the search trains with it, whatever its number and its attempt.
        self.seed = derive(study_seed, "training", 0)
        self._folder = folder
        self._study_seed = study_seed
        self._home = home
        self._seen: dict[str, Any] = {}
        self._states: dict[Path, FileState] = {}
        self._weights: dict[tuple[str, str], Weights] = {}
        self._absent: dict[str, None] = {}

    @property
    def absent(self) -> tuple[str, ...]:
        """What is not on this machine yet, one sentence each."""
        return tuple(self._absent)

    def sizes(self, knobs: Knobs) -> dict[str, Any]:
        """Sizes of the splits, names of the classes and the digest of a recipe's data set."""
        return self._sizes_of(self.located("dataset", knobs["dataset"]), self._task(knobs))

    def known_sizes(self, knobs: Knobs) -> dict[str, Any]:
        """As ``sizes``; empty while the data must still be downloaded."""
        try:
            return self.sizes(knobs)
        except NotDownloadedError as absent:
            self.lacks(absent)
            return {}

    def require_repeatable(self, knobs: Knobs) -> None:
        """Refuse a data set of the user's own that differs from call to call.

        Raises:
            ValueError: It does.
        """
        dataset = self.located("dataset", knobs["dataset"])
        target = tasks.target_of(self._task(knobs))
        if usercode.is_reference(dataset["name"]):
            check = partial(datasets.require_repeatable, dataset, target=target)
            self.once(check, [None], "repeatable", dataset, target)

    def digest(self, plan: Plan) -> str:
        """Hash of the data set that a plan is made for."""
        return str(self._sizes_of(plan.dataset, plan.task)["digest"])

    def _sizes_of(self, dataset: Knobs, task: Knobs) -> dict[str, Any]:
        target, seeds = tasks.target_of(task), {"study_seed": self._study_seed, "seed": self.seed}
        compute = partial(datasets.sizes, dataset, target=target, **seeds)
        paths = [datasets.paths_of(dataset)]
        found: dict[str, Any] = self.once(compute, paths, "sizes", dataset, target)
        return found

    def once(
        self, compute: Callable[[], Any], paths: Sequence[Sequence[Path] | None], *key: object
    ) -> Any:
        """A result as JSON: reading data may take minutes, and most strategies share it.

        That of an earlier command, where nothing has changed since.

        Args:
            compute: Returns it.
            paths: What is read, in parts; None stands for files that are not known.
            key: What the result depends on.
        """
        name = json.dumps(record.plain(key))
        if name in self._seen:
            return self._seen[name]
        known = [part for part in paths if part is not None]
        # A user's own code may read anything.
        if len(known) < len(paths) or _names_code(key):
            return self._seen.setdefault(name, compute())
        asked = [*key, self._study_seed, self.seed]
        before = FileCache(asked, list(chain(*known)), states=self._states)
        found = before.get()
        if found is None:
            found = json.loads(json.dumps(compute()))
            # Where a file must still be downloaded, not everything was seen.
            if not self.absent:
                before.put(found)
        return self._seen.setdefault(name, found)

    def check_once(self, name: str, knobs: Knobs, check: Callable[[], object]) -> None:
        """Run a check, unless nothing has changed since it passed.

        Args:
            name: Of the check.
            knobs: Of the recipe: all that the check depends on.
            check: Raises what it refuses.
        """
        dataset, backbone = self.located("dataset", knobs["dataset"]), self._backbone(knobs)
        paths = [datasets.paths_of(dataset), backbones.paths_of(backbone, None)]
        self.once(lambda: check() is None, paths, name, dataset, backbone, knobs)

    def _task(self, knobs: Knobs) -> Knobs:
        return self.located("task", {"name": "classification", **(knobs.get("task") or {})})

    def data(self, knobs: Knobs) -> datasets.Data:
        """Training and validation data of a recipe, as its backbone takes them."""
        data = datasets.load(
            self.located("dataset", knobs["dataset"]),
            target=tasks.target_of(self._task(knobs)),
            study_seed=self._study_seed,
            seed=self.seed,
        )
        return backbones.prepare(self._backbone(knobs), data)

    def _backbone(self, knobs: Knobs) -> Knobs:
        """The backbone of a recipe without its weights."""
        written = {k: v for k, v in knobs["backbone"].items() if k not in ("weights", "keep_head")}
        return self.located("backbone", written)

    def located(self, block: str, written: Knobs) -> dict[str, Any]:
        """A block of the study file with its paths and references made absolute."""
        return paths.located(block, written, self._folder)

    def depth(self, value: int | str, knobs: Knobs) -> int:
        """The number of frozen stages of the backbone that the knobs describe."""
        outline = self.outline(knobs)
        # Nothing is known of a backbone that must still be downloaded; a depth is checked later.
        if not outline.stages:
            return value if isinstance(value, int) else 0
        return resolve_depth(value, tuple(name for name, _ in outline.stages[:-1]))

    def outline(self, knobs: Knobs) -> Outline:
        """The stages of the backbone that the knobs describe."""
        dataset, backbone = self.located("dataset", knobs["dataset"]), self._backbone(knobs)
        source = knobs["backbone"].get("weights")
        weights = self.weights(source, backbone) if source else None
        found = self.once(
            lambda: asdict(self._build(knobs)),
            [datasets.paths_of(dataset), backbones.paths_of(backbone, weights)],
            *("outline", dataset, self._task(knobs), backbone, knobs["backbone"].get("keep_head")),
            weights and asdict(weights),
        )
        stages = tuple((name, count) for name, count in found["stages"])
        return Outline(name=found["name"], stages=stages, notes=tuple(found["notes"]))

    def _build(self, knobs: Knobs) -> Outline:
        from workbench.backbones.stages import describe

        written = self._backbone(knobs)
        try:
            data = self.data(knobs)
            task = tasks.build(self._task(knobs), data.classes, data.train.targets)
            shape, outputs = data.input_shape, task.outputs
        except NotDownloadedError as absent:
            self.lacks(absent)
            shape, outputs = self._expected(knobs)
        source = knobs["backbone"].get("weights")
        try:
            named = self.weights(source, written) if source else None
            if named is not None and named.source.endswith(weights.STUDY_SUFFIXES):
                named = None  # Its study has not run yet.
            staged, notes = self._built(knobs, named, shape, outputs)
        except NotDownloadedError as absent:
            self.lacks(absent)
            try:
                staged, notes = self._built(knobs, None, shape, outputs)
            except NotDownloadedError as still:
                self.lacks(still)
                return Outline(name=written["name"], stages=())
        return Outline(name=written["name"], stages=tuple(describe(staged)), notes=tuple(notes))

    def _built(
        self,
        knobs: Knobs,
        named: Weights | None,
        shape: tuple[int, ...],
        outputs: int,
    ) -> tuple[Any, list[str]]:
        import torch

        from workbench.engine import memory

        notes: list[str] = []
        with memory.explain_errors("building the backbone", device=torch.device("cpu")):
            staged = backbones.build(
                self._backbone(knobs),
                weights=named,
                keep_head=bool(knobs["backbone"].get("keep_head")) and named is not None,
                input_shape=shape,
                outputs=outputs,
                seed=self.seed,
                notes=notes,
            )
        return staged, notes

    def rehearse(self, plan: Plan, knobs: Knobs) -> None:
        """Put a trial together and train nothing: what a method refuses shows only then.

        Raises:
            ValueError: A method does not fit the data or the backbone.
        """
        import torch

        from workbench.engine.loop import Engine

        data = self.data(knobs)
        task = tasks.build(self._task(knobs), data.classes, data.train.targets)
        staged, _ = self._built(knobs, None, data.input_shape, task.outputs)
        Engine(
            plan=replace(plan, loader_workers=0),
            staged=staged,
            task=task,
            data=data,
            seed=self.seed,
            device=torch.device("cpu"),
            interrupted=lambda: False,
        )

    def lacks(self, absent: NotDownloadedError) -> None:
        """Note what must be downloaded first; raises it unless ``pending``."""
        if not self.pending:
            raise absent
        self._absent[str(absent)] = None

    def _expected(self, knobs: Knobs) -> tuple[tuple[int, ...], int]:
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

    def weights(self, source: str, backbone: Knobs) -> Weights:
        """The weights that a study file names: a family's own, a file's, or another study's best.

        Raises:
            NotDownloadedError: They have to be downloaded first.
            ValueError: There are none, in words for the author of the study file.
        """
        key = (source, str(backbone.get("name")))
        if key not in self._weights:
            try:
                self._weights[key] = weights.find(
                    *key, folder=self._folder, home=self._home, pending=self.pending
                )
            except NotDownloadedError as absent:
                self.lacks(absent)
                return Weights(source=source)
        return self._weights[key]


def _names_code(value: Any) -> bool:
    """Whether blocks name a user's own code anywhere."""
    if isinstance(value, Mapping):
        return any(_names_code(item) for pair in value.items() for item in pair)
    if isinstance(value, list | tuple):
        return any(map(_names_code, value))
    return usercode.is_reference(value)
