"""What makes the results of a study comparable, as plain data.

Two definitions that differ belong to different studies. Knows no storage: what is done about a
difference is for ``study``.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from workbench import plans, space
from workbench.config.knobs import Categorical, Interval, Level
from workbench.config.study_config import StudyConfig
from workbench.record import plain
from workbench.strategy import Phase, Plan, Strategy


def define(
    config: StudyConfig, strategy: Strategy, premises: plans.Premises, data_digest: str
) -> dict[str, Any]:
    """What makes results of one group comparable: two that differ here do not belong together.

    Neither the number of trials nor a time limit nor the workers are part of it.
    """
    start = space.default(config, strategy)
    search = config.search
    return {
        "plan": _plan(plans.plan_of(config, start, premises)),
        "space": plain(_ranges(config, strategy, premises)),
        "objective": asdict(config.objective),
        "sampler": search.sampler.model_dump(),
        "pruner": search.pruner.model_dump(),
        "seed": search.seed,
        "data": data_digest,
    }


def _plan(plan: Plan) -> dict[str, Any]:
    """A plan without what stands at its default, and without where files lie.

    So a knob that a later version knows, and a folder that was moved, make no other study.
    """
    content = _said(plan)
    content["phases"] = [_said(phase) for phase in plan.phases]
    for block in ("dataset", "backbone", "task"):
        content[block] = {key: _anywhere(value) for key, value in content[block].items()}
    content["augmentation"] = [
        {_anywhere(name): options for name, options in step.items()} for step in plan.augmentation
    ]
    if plan.trial is not None:
        content["trial"] = _anywhere(plan.trial)
    if plan.weights is not None and plan.weights.sha256 is not None:
        content["weights"] = plan.weights.sha256
    if plan.code:
        content["code"] = {Path(path).name: digest for path, digest in plan.code.items()}
    return dict(plain(content))


def _said(block: Plan | Phase) -> dict[str, Any]:
    content = asdict(block)
    return {
        field.name: content[field.name]
        for field in fields(block)
        if field.default is MISSING or getattr(block, field.name) != field.default
    }


def _anywhere(value: Any) -> Any:
    """An absolute path by its last part: what it holds is hashed elsewhere."""
    if isinstance(value, str) and value.startswith("/"):
        return Path(value).name
    return value


def _ranges(
    config: StudyConfig, strategy: Strategy, premises: plans.Premises
) -> list[dict[str, Any]]:
    """The ranges that may apply to a group, and what the levels of its choices set."""
    given, chosen = space.labels_given(config, strategy), space.chosen_in(config)
    ranges = []
    for tuned in config.tune:
        for entry in tuned.entries:
            known = {name: labels for name, labels in entry.when.items() if name not in chosen}
            if any(given.get(name) not in labels for name, labels in known.items()):
                continue
            ranges.append({"knob": tuned.knob, **describe_entry(entry)})
            if isinstance(entry, Categorical):
                ranges[-1]["sets"] = [_content(level, premises) for level in entry.levels]
            if known == entry.when:
                break
    return ranges


def _content(level: Level, premises: plans.Premises) -> dict[str, Any]:
    """What a level sets; weights by their hash, because a file's content may change."""
    content = dict(level.knobs)
    source = content.get("backbone.weights")
    if source is not None:
        backbone = {"name": content.get("backbone.name")}
        content["backbone.weights"] = premises.weights(source, backbone).sha256 or source
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
