"""What makes the results of a study comparable, as plain data.

Results of two definitions that differ must not be mixed. The search and the protocol compare them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

from workbench import usercode
from workbench.datasets.augmentations import REVISED
from workbench.engine.optimizers import OPTIMIZERS
from workbench.record import Objective, plain
from workbench.record.strategy import EarlyStopping, Lora, Phase, Plan, Schedule, Strategy, Weights
from workbench.study import space
from workbench.study.config.document import Location
from workbench.study.config.knobs import Categorical, Interval, Level
from workbench.study.config.study_config import StudyConfig

# What the first version wrote even at its default. Fields that a later version adds are written
# only where they differ from their default. So an upgrade changes neither the definition of a
# stored study nor the hash of it in a protocol.
_FIRST_FIELDS: dict[type, set[str]] = {
    Schedule: {"name", "warmup_epochs", "step_epochs", "gamma", "final"},
    EarlyStopping: {"patience", "least"},
    Lora: {"rank", "alpha", "dropout", "targets"},
    Weights: {"source", "sha256"},
    Objective: {"metric", "direction", "epoch"},
    Plan: {"code"},
}
_ADAM = {"beta1", "beta2", "epsilon"}
_FIRST_OPTIONS: dict[str, set[str]] = {
    "sgd": {"momentum", "nesterov"},
    "adam": _ADAM,
    "adamw": _ADAM,
    "nadam": {*_ADAM, "momentum_decay", "decoupled_weight_decay"},
    "radam": {*_ADAM, "decoupled_weight_decay"},
    "adamax": _ADAM,
    "rmsprop": {"momentum", "alpha", "epsilon", "centered"},
    "adagrad": {"epsilon", "rate_decay", "initial_accumulator"},
    "adadelta": {"epsilon", "rho"},
    "adafactor": {"beta2_decay", "update_clip"},
}


class PlannedTrial(NamedTuple):
    """A plan, and the hash of the data set that it is made for."""

    plan: Plan
    data_digest: str


def define(
    config: StudyConfig,
    strategy: Strategy,
    usual: PlannedTrial,
    choices: Mapping[tuple[str, str], PlannedTrial],
) -> dict[str, Any]:
    """What the results of one group have in common.

    The number of trials, a time limit and the workers are not part of it. Each file, data set and
    weight that a tuned choice may bring in is part of it, by its content.

    Args:
        config: The study.
        strategy: One of ``config.groups``.
        usual: With every tuned knob at its default.
        choices: By parameter and level, a trial with this level (``space.choices``).
    """
    plan, search = usual.plan, config.search
    return {
        "plan": _plan(plan, config.document.path.parent.resolve()),
        "space": plain(_ranges(config, strategy, usual, choices)),
        "objective": _written(config.objective),
        "sampler": search.sampler.model_dump(exclude_defaults=True),
        "pruner": search.pruner.model_dump(exclude_defaults=True),
        "seed": search.seed,
        "data": usual.data_digest,
    }


def _plan(plan: Plan, folder: Path) -> dict[str, Any]:
    """A plan without what is at its default, and without the places of files.

    So a knob that a later version knows, and a folder that was moved, make no other study. Neither
    do the processes that read samples and the activation store: no result depends on them.
    """
    content = _written(plan)
    for knob in ("loader_workers", "activations_gb"):
        content.pop(knob, None)
    content["phases"] = [_phase(phase) for phase in plan.phases]
    for block in ("dataset", "backbone", "task", "augmentation", "trial", "trial_options"):
        if block in content:
            content[block] = _anywhere(content[block], folder)
    if plan.weights is not None and plan.weights.sha256 is not None:
        content["weights"] = plan.weights.sha256
    if plan.code:
        content["code"] = _code(plan.code, folder)
    content |= _revision(plan)
    return dict(plain(content))


def _revision(plan: Plan) -> dict[str, int]:
    """The revision of the pixels of a plan's augmentation, where it is not the first."""
    revised = any(name in REVISED for step in plan.augmentation for name in step)
    return {"augmentation_revision": 2} if revised else {}


def _phase(phase: Phase) -> dict[str, Any]:
    known, first = OPTIMIZERS[phase.optimizer].options, _FIRST_OPTIONS.get(phase.optimizer, ())
    options = {
        name: value
        for name, value in phase.options.items()
        if name in first or value != known.get(name)
    }
    return {**_written(phase), "options": options}


def _written(block: Any) -> dict[str, Any]:
    """A dataclass as a dictionary, without fields of later versions that are at their default."""
    first = _FIRST_FIELDS.get(type(block), ())
    content = {}
    for field in fields(block):
        value = getattr(block, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if default is MISSING or field.name in first or value != default:
            content[field.name] = _written(value) if is_dataclass(value) else value
    return content


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
    """A block with only the last part of absolute paths: the content of the files is hashed.

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
    config: StudyConfig,
    strategy: Strategy,
    usual: PlannedTrial,
    choices: Mapping[tuple[str, str], PlannedTrial],
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
                name = space.parameter_name(config, tuned, entry)
                ranges[-1]["sets"] = [
                    _content(config, level, choices.get((name, level.label)), usual)
                    for level in entry.levels
                ]
            if known == entry.when:
                break
    return ranges


def _content(
    config: StudyConfig,
    level: Level,
    planned: PlannedTrial | None,
    usual: PlannedTrial,
) -> dict[str, Any]:
    """What a level sets, and the content of the files, data and weights that it adds.

    Args:
        config: The study.
        level: One of a tuned choice.
        planned: Of a trial with this level; None where none can have it.
        usual: Of the group's default.
    """
    # The first version knew no options of a training, whose name stood alone.
    content = {
        "trial" if path == "trial.name" else path: value for path, value in level.knobs.items()
    }
    if planned is None:
        return content
    plan = planned.plan
    if content.get("backbone.weights") is not None and plan.weights is not None:
        content["backbone.weights"] = plan.weights.sha256 or plan.weights.source
    code = {path: digest for path, digest in plan.code.items() if path not in usual.plan.code}
    if code:
        content["code"] = _code(code, config.document.path.parent.resolve())
    if _revision(plan) != _revision(usual.plan):
        content |= _revision(plan)
    if planned.data_digest != usual.data_digest:
        content["data"] = planned.data_digest
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


# Parts of a definition, and where the study file sets them. A part without an entry uses the entry
# of the part that holds it.
_SOURCES: dict[str, Location] = {
    "data": ("recipe", "dataset"),
    "space": ("tune",),
    "objective": ("objective",),
    "sampler": ("search", "sampler"),
    "pruner": ("search", "pruner"),
    "seed": ("search", "seed"),
}
# Fields of a plan and of its phases that have another name in the file.
_KNOBS = {
    "keep_head": "backbone.keep_head",
    "weights": "backbone.weights",
    "trial_options": "trial",
    "augmentation_revision": "augmentation",
    "unfreeze_every": "unfreeze",
    "name": "phases",
}


def source_of(
    path: str, definition: Mapping[str, Any], config: StudyConfig, levels: Mapping[str, str]
) -> Location:
    """Where the study file sets a part of a group's definition.

    Args:
        path: Of the part, as ``changes.differences`` gives it.
        definition: Of the group.
        config: The study.
        levels: Of the group.
    """
    block, *parts = path.split(".")
    if block == "space" and parts:
        return ("tune", definition["space"][int(parts[0])]["knob"], *parts[1:])
    if block != "plan":
        return (*_SOURCES[block], *parts)
    phase = ""
    if parts[0] == "phases" and len(parts) > 1:
        phase = definition["plan"]["phases"][int(parts[1])]["name"]
        parts = [part for part in parts[2:] if part != "options"]
    knob = ".".join([_KNOBS.get(parts[0], parts[0]), *parts[1:]])
    # A phase takes from the recipe what it does not set itself.
    found = [config.location(name, levels) for name in (f"{phase}.{knob}", knob)]
    place = next((at for at in found if at in config.document.lines), found[-1])
    # The plan is that of the default.
    return (*place, "default") if place[0] == "tune" else place
