"""Whether a study fits its data, its backbones, its weights and its device, before it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from workbench import downloads, usercode
from workbench.downloads import NotDownloadedError
from workbench.record.strategy import Knobs
from workbench.study.config import recipes
from workbench.study.config.document import Location, Problem, StudyFileError
from workbench.study.config.knobs import flatten
from workbench.study.space import Proposal
from workbench.study.study import Study, StudyStrategy

# Knobs that some data or some backbones refuse; a phase may hold some of them.
_METHODS = ("mixup", "cutmix", "lora", "trainable", "l2_sp", "report_every")
# By knob: those whose checks must have passed before its own.
_NEEDS: dict[str, tuple[str, ...]] = {
    "backbone": ("dataset", "backbone.weights"),
    "freeze_depth": ("backbone", "trial.name"),
    "augmentation": ("dataset", "backbone"),
}


def _method_in(knobs: Knobs) -> str | None:
    """The first knob of a recipe or of its phases that asks for such a method."""
    phases = (knobs.get("phases") or {}).values()
    blocks = [knobs, *(phase for phase in phases if isinstance(phase, dict))]
    return next((name for name in _METHODS if any(block.get(name) for block in blocks)), None)


def check_distinct_data(studies: Sequence[Study]) -> None:
    """Check that the data sets of a file with ``across`` are different ones.

    Raises:
        StudyFileError: Two names stand for the same samples.
    """
    names: dict[str, str] = {}
    for study in studies:
        cell, knobs = study.config.cell, study.strategies[0].knobs
        content = study.inputs.known_sizes(knobs).get("content_digest")
        if cell is None or cell.dataset is None or not content:
            continue
        first = names.setdefault(content, cell.dataset)
        if first != cell.dataset:
            sentence = f"it has the same samples as {first}: one data set under two names"
            study.config.document.add_message(("across", "dataset", cell.dataset), sentence)
        study.config.document.finish()


def check(study: Study, *, local: bool = True) -> None:
    """Load the data, the backbone and the weights of every strategy once.

    Missing files are downloaded, unless the study is ``pending``.

    Args:
        study: The study.
        local: Whether trials run on this machine, so that their device must be here.

    Raises:
        StudyFileError: Everything that does not fit, each with file, line and key.
    """
    # ``workbench check`` must not download gigabytes; ``run`` and ``confirm`` may.
    with nullcontext() if study.inputs.pending else downloads.allowed():
        problems = _StudyChecks(study, local).find()
    if problems:
        raise StudyFileError(problems)


def require_device(name: str) -> bool:
    """Refuse a device that this machine does not have.

    Raises:
        ValueError: It is not here.
    """
    # Every machine has these, and torch takes seconds to load.
    if name not in ("auto", "cpu"):
        from workbench.engine.devices import choose_device

        choose_device(name)
    return True


class _StudyChecks:
    """The checks of one study."""

    def __init__(self, study: Study, local: bool) -> None:
        self._study = study
        self._local = local
        self._config = study.config
        self._inputs = study.inputs

    def find(self) -> list[Problem]:
        """Look at every strategy: at its default, and at the ends of what is tuned."""
        problems: list[Problem] = []
        depths: dict[tuple[str, ...], dict[int, str]] = {}
        for strategy in self._study.strategies:
            found = self._problems(strategy.default)
            if not found:
                for knob, value, proposal in strategy.ends:
                    found += self._problems(proposal, knob, value)
                found += self._same_depth(strategy, depths)
            problems += found
        return problems

    def _problems(
        self, proposal: Proposal, tuned: str | None = None, value: object = None
    ) -> list[Problem]:
        """What the data, the backbone, the weights, the transforms or the device refuse.

        A check that needs what another one could not load is skipped: its problem would follow
        from that of the other.
        """
        knobs = self._study.knobs(proposal)
        steps = recipes.augmentation_steps(knobs.get("augmentation") or ())
        backbone, own = knobs["backbone"], knobs.get("trial") or {}
        method = _method_in(knobs)
        checks: dict[str, Callable[[], object]] = {
            "dataset": lambda: self._data(knobs),
            "backbone.weights": lambda: self._weights(backbone),
            "backbone": lambda: self._inputs.outline(knobs),
            "trial.name": lambda: self._own_training(own),
            "freeze_depth": lambda: self._study.plan(proposal),
            "augmentation": lambda: self._augment(steps, knobs),
            "device": lambda: self._local and require_device(knobs.get("device", "auto")),
        }
        needs = dict(_NEEDS)
        if method is not None:
            needs[method] = tuple(checks)
            checks[method] = lambda: self._rehearse(proposal, knobs)
        strategy = f"strategy {proposal.strategy.name}"
        written = {"freeze_depth": strategy, **knobs, **flatten((), knobs)}
        failed: set[str] = set()
        problems = []
        for knob, check in checks.items():
            if failed.intersection(needs.get(knob, ())):
                failed.add(knob)
                continue
            error = self._refusal(check)
            if error is not None:
                failed.add(knob)
                place = (self._option(knobs, str(error)) if knob == "dataset" else None) or knob
                at: Location = ("tune", tuned) if tuned else self._config.location(place)
                shown = value if tuned else written.get(f"{place}.name", written.get(place))
                problem = self._config.document.problem(at, shown, "what fits")
                problems.append(replace(problem, reason=str(error).rstrip(".")))
        return problems

    def _option(self, knobs: Knobs, refusal: str) -> str | None:
        """The option of the data set that is refused: it is named, or its path is not there."""
        options = flatten((), {"dataset": self._inputs.located("dataset", knobs["dataset"])})
        named = re.search(r"\b(dataset\.[\w.]+) (?:is|has|names|lists) ", refusal)
        for option, value in options.items():
            path = str(value) if option.endswith("path") and not named else ""
            if (named and option == named[1]) or (path in refusal and not Path(path).exists()):
                return option
        return None

    def _refusal(self, check: Callable[[], object]) -> Exception | None:
        """What a check refuses; where it is only a download that is missing, that is noted."""
        try:
            check()
        except (ValueError, OSError, MemoryError) as error:
            if self._inputs.pending and isinstance(error, NotDownloadedError):
                self._inputs.lacks(error)
                return None
            return error
        return None

    def _data(self, knobs: Knobs) -> None:
        self._inputs.sizes(knobs)
        self._inputs.require_repeatable(knobs)

    def _weights(self, backbone: Knobs) -> None:
        if source := backbone.get("weights"):
            named = self._inputs.located("backbone", {"name": backbone["name"]})
            self._inputs.weights(source, named)

    def _rehearse(self, proposal: Proposal, knobs: Knobs) -> None:
        plan = self._study.plan(proposal)
        if plan.trial is None:
            check = partial(self._inputs.rehearse, plan, knobs)
            self._inputs.check_once("rehearsal", knobs, check)

    def _own_training(self, written: Knobs) -> None:
        """The options of a training of the user's own must be those of its function."""
        if not written:
            return
        located = self._inputs.located("trial", written)
        usercode.refuse_options(located.pop("name"), located)

    def _augment(self, steps: Sequence[Mapping[str, Knobs]], knobs: Knobs) -> None:
        """Transform two samples: whether images keep their size shows only then."""
        if not steps:
            return
        concerned = {name: knobs.get(name) for name in ("dataset", "backbone", "task")}
        check = partial(self._transform, steps, concerned)
        self._inputs.check_once("augmentation", {**concerned, "augmentation": steps}, check)

    def _transform(self, steps: Sequence[Mapping[str, Knobs]], knobs: Knobs) -> None:
        import torch

        from workbench.engine.batches import Reader

        located = [self._inputs.located("augmentation", step) for step in steps]
        reader = Reader(self._inputs.data(knobs), located, self._inputs.seed)
        found = reader[1, torch.arange(2)]
        if isinstance(found, ValueError):
            raise found

    def _same_depth(
        self, strategy: StudyStrategy, depths: dict[tuple[str, ...], dict[int, str]]
    ) -> list[Problem]:
        """Two levels of freeze depth may be two words for the same depth."""
        word = strategy.levels.get("freeze_depth")
        # Nothing is known of the depths of a backbone that must still be downloaded.
        if word is None or not self._inputs.outline(strategy.knobs).stages:
            return []
        depth = strategy.plan.phases[-1].freeze_depth
        # Strategies that differ in another factor too may well freeze the same stages.
        rest = tuple(label for name, label in strategy.levels.items() if name != "freeze_depth")
        same = depths.setdefault(rest, {}).setdefault(depth, word)
        if same == word:
            return []
        expected = f"a depth that differs from that of {same} (both freeze {depth} stages)"
        return [
            self._config.document.problem(self._config.location("freeze_depth"), word, expected)
        ]
