"""A plan as MLflow's params, and any text as MLflow takes it: names, lengths, characters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import lru_cache

from workbench.record import TrialSpec, plain
from workbench.record.strategy import Phase, Plan, Schedule

# MLflow's limits, in characters (mlflow/utils/validation.py).
_LONGEST_NAME = 250
_LONGEST_PARAM = 6000
LONGEST_TAG = 8000

# Shown otherwise, or not of a plan's knobs.
_PLAN_SHOWN = ("dataset", "backbone", "weights", "task", "phases", "trial_options")
_PHASE_SHOWN = ("name", "epochs", "options", "schedule")


def params_of(spec: TrialSpec) -> dict[str, str]:
    """Plan and objective as flat text: a single phase unprefixed, several by ``PHASE.knob``.

    Settings at their usual value (no EMA, one report per epoch) are not params: a table of runs
    shows what was chosen.
    """
    plan = spec.plan
    weights = plan.weights
    flat: dict[str, object] = {
        **_named("dataset", plan.dataset),
        **_named("backbone", plan.backbone),
        "weights": None if weights is None else weights.source,
        **({} if weights is None or weights.sha256 is None else {"weights.sha256": weights.sha256}),
        "keep_head": plan.keep_head,
        **_named("task", plan.task),
        "batch_size": plan.batch_size,
        "augmentation": plan.augmentation,
        "epochs": plan.epochs,
        "device": plan.device,
        "threads": plan.threads,
        "seed": spec.seed,
        "objective.metric": spec.objective.metric,
        "objective.epoch": spec.objective.epoch,
        **_beyond_default(plan, _PLAN_SHOWN),
        **_named("trial", plan.trial_options),
        **_phases(plan),
    }
    return {valid_name(name): param_text(value) for name, value in flat.items()}


def _phases(plan: Plan) -> dict[str, object]:
    if len(plan.phases) == 1:
        return _phase(plan.phases[0])
    flat: dict[str, object] = {"phases": ",".join(phase.name for phase in plan.phases)}
    for phase in plan.phases:
        knobs = {"epochs": phase.epochs, **_phase(phase)}
        flat |= {f"{phase.name}.{knob}": value for knob, value in knobs.items()}
    return flat


def _phase(phase: Phase) -> dict[str, object]:
    return {
        "optimizer": phase.optimizer,
        "learning_rate": phase.learning_rate,
        "weight_decay": phase.weight_decay,
        **phase.options,
        "freeze_depth": phase.freeze_depth,
        "schedule": phase.schedule.name,
        **{
            f"schedule.{name}": value
            for name, value in _beyond_default(phase.schedule, ("name",)).items()
        },
        **_beyond_default(phase, _PHASE_SHOWN),
    }


def _beyond_default(knobs: Plan | Phase | Schedule, shown: Sequence[str]) -> dict[str, object]:
    """Fields that have a default and another value, by name; a block by ``name.field``, whole."""
    found: dict[str, object] = {}
    for field in fields(knobs):
        value = getattr(knobs, field.name)
        default = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        if field.name in shown or default is MISSING or value == default:
            continue
        if is_dataclass(value) and not isinstance(value, type):
            found |= {f"{field.name}.{name}": item for name, item in asdict(value).items()}
        else:
            found[field.name] = value
    return found


def _named(knob: str, options: Mapping[str, object]) -> dict[str, object]:
    """``{"name": "digits", "noise": 0}`` as ``digits`` and an option ``dataset.noise``."""
    return {knob if name == "name" else f"{knob}.{name}": value for name, value in options.items()}


@lru_cache(maxsize=4096)  # Every metric of every epoch has one.
def valid_name(name: str) -> str:
    """A name that MLflow takes for a param, metric or tag, as close to the given one as can be."""
    kept = re.sub(r"[^\w/.\- ]", "_", name)
    # MLflow takes names as paths, and refuses those that lead out of their folder.
    parts = (part for part in kept.split("/") if part not in ("", ".", ".."))
    return "/".join(parts)[:_LONGEST_NAME].rstrip("/") or "_"


def param_text(value: object) -> str:
    """A value as a param shows it: text as it is, anything else as JSON."""
    if value is None:
        text = "none"
    else:
        text = value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)
    return _cut(text, _LONGEST_PARAM)


def tag_text(text: str) -> str:
    """As much of a text as a tag holds."""
    return _cut(text, LONGEST_TAG)


def _cut(text: str, limit: int) -> str:
    """Text of at most so many characters, ended at a line break where one can be had."""
    # Neither sqlite nor PostgreSQL stores lone surrogates, and PostgreSQL no NUL.
    text = text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    if len(text) <= limit:
        return text
    head = text[: limit - 2]
    whole_lines = head.rpartition("\n")[0]
    return f"{whole_lines or head}\n…"
