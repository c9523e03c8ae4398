"""What makes the results of a study comparable, as plain data.

Two definitions that differ belong to different studies. Knows no storage: what is done about a
difference is for ``study``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any, Protocol

from workbench import plans, space, usercode
from workbench.config.knobs import Categorical, Interval, Level
from workbench.config.study_config import StudyConfig
from workbench.record import plain
from workbench.strategy import Phase, Plan, Strategy


class Grounds(plans.Premises, Protocol):
    """What a plan rests on, and what its data hold."""

    def digest(self, plan: Plan) -> str:
        """Hash of the data set that a plan is made for."""


def define(config: StudyConfig, strategy: Strategy, grounds: Grounds) -> dict[str, Any]:
    """What makes results of one group comparable: two that differ here do not belong together.

    Neither the number of trials nor a time limit nor the workers are part of it. Each file, data
    set and weight that a tuned choice may bring in is, by its content.
    """
    plan = plans.plan_of(config, space.default(config, strategy), grounds)
    search = config.search
    return {
        "plan": _plan(plan, config.document.path.parent.resolve()),
        "space": plain(_ranges(config, strategy, grounds, plan)),
        "objective": asdict(config.objective),
        "sampler": search.sampler.model_dump(),
        "pruner": search.pruner.model_dump(),
        "seed": search.seed,
        "data": grounds.digest(plan),
    }


def _plan(plan: Plan, folder: Path) -> dict[str, Any]:
    """A plan without what stands at its default, and without where files lie.

    So a knob that a later version knows, and a folder that was moved, make no other study. Neither
    do the processes that read samples: no result depends on them.
    """
    content = _said(plan)
    content.pop("loader_workers", None)
    content["phases"] = [_said(phase) for phase in plan.phases]
    for block in ("dataset", "backbone", "task", "augmentation", "trial"):
        if block in content:
            content[block] = _anywhere(content[block], folder)
    if plan.weights is not None and plan.weights.sha256 is not None:
        content["weights"] = plan.weights.sha256
    if plan.code:
        content["code"] = _code(plan.code, folder)
    return dict(plain(content))


def _said(block: Plan | Phase) -> dict[str, Any]:
    content = asdict(block)
    return {
        field.name: content[field.name]
        for field in fields(block)
        if field.default is MISSING or getattr(block, field.name) != field.default
    }


def _code(code: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Hashes by where the files lie in the study file's folder.

    Those outside it are known by their last part, which two may share.
    """
    found: dict[str, list[str]] = {}
    for path, digest in code.items():
        found.setdefault(_place(path, folder), []).append(digest)
    return {
        place: digests[0] if len(digests) == 1 else sorted(digests)
        for place, digests in sorted(found.items())
    }


def _place(path: str, folder: Path) -> str:
    """An absolute path from the study file's folder on, or its last part; else as it is."""
    if not path.startswith("/"):
        return path
    file = Path(path)
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else file.name


def _anywhere(value: Any, folder: Path) -> Any:
    """Whatever a block says, with absolute paths by their last part: what they hold is hashed.

    Of two files of code it counts which is which, so they keep their place.
    """
    if isinstance(value, Mapping):
        return {_anywhere(key, folder): _anywhere(held, folder) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_anywhere(held, folder) for held in value]
    if usercode.is_reference(value):
        return _place(value, folder)
    if isinstance(value, str) and value.startswith("/"):
        return Path(value).name
    return value


def _ranges(
    config: StudyConfig, strategy: Strategy, grounds: Grounds, usual: Plan
) -> list[dict[str, Any]]:
    """The ranges that may apply to a group, and what the levels of its choices set."""
    given, chosen = space.labels_given(config, strategy), space.chosen_in(config)
    levels = space.choices(config, strategy)
    ranges = []
    for tuned in config.tune:
        for entry in tuned.entries:
            known = {name: labels for name, labels in entry.when.items() if name not in chosen}
            if any(given.get(name) not in labels for name, labels in known.items()):
                continue
            ranges.append({"knob": tuned.knob, **describe_entry(entry)})
            if isinstance(entry, Categorical):
                name = space.parameter_name(config, tuned, entry)
                ranges[-1]["sets"] = [
                    _content(config, level, levels.get((name, level.label)), grounds, usual)
                    for level in entry.levels
                ]
            if known == entry.when:
                break
    return ranges


def _content(
    config: StudyConfig,
    level: Level,
    proposal: space.Proposal | None,
    grounds: Grounds,
    usual: Plan,
) -> dict[str, Any]:
    """What a level sets, and the content of what it brings in beside the usual plan's.

    Args:
        config: The study.
        level: One of a tuned choice.
        proposal: A trial with this level; None where none can have it.
        grounds: Of its plan.
        usual: The plan of the group's default.
    """
    content = dict(level.knobs)
    if proposal is None:
        return content
    plan = plans.plan_of(config, proposal, grounds)
    if content.get("backbone.weights") is not None and plan.weights is not None:
        content["backbone.weights"] = plan.weights.sha256 or plan.weights.source
    code = {path: digest for path, digest in plan.code.items() if path not in usual.code}
    if code:
        content["code"] = _code(code, config.document.path.parent.resolve())
    if (data := grounds.digest(plan)) != grounds.digest(usual):
        content["data"] = data
    return content


def describe_entry(entry: Interval | Categorical) -> dict[str, Any]:
    """One range as plain data, for the record and the report."""
    when = {name: list(labels) for name, labels in entry.when.items()}
    if isinstance(entry, Categorical):
        return {"when": when, "choices": [x.label for x in entry.levels], "default": entry.default}
    return {
        "when": when,
        "low": entry.low,
        "high": entry.high,
        "log": entry.log,
        "step": entry.step,
        "default": entry.default,
    }
