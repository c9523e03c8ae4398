"""What a study file may say: the models of its blocks and the type of every knob.

Knows the catalogues' names, but neither YAML nor how the blocks fit together (see ``config``).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from workbench import backbones, datasets, usercode
from workbench.backbones import BACKBONES
from workbench.datasets import DATASETS
from workbench.engine.optimizers import OPTIMIZERS, SCHEDULES
from workbench.study.config.problems import listed, mismatch, nearest
from workbench.tasks import TASKS

_FromZero = Annotated[int, Field(ge=0)]
_FromOne = Annotated[int, Field(ge=1)]
_FromTwo = Annotated[int, Field(ge=2)]

# Options of Optuna's samplers and pruners, with the bounds that they would fail on later.
SAMPLERS: dict[str, dict[str, Any]] = {
    "tpe": {"n_startup_trials": _FromZero, "n_ei_candidates": _FromOne, "constant_liar": bool},
    "random": {},
    "grid": {"points": _FromTwo},
}
PRUNERS: dict[str, dict[str, Any]] = {
    "none": {},
    "median": {
        "n_startup_trials": _FromZero,
        "n_warmup_steps": _FromZero,
        "interval_steps": _FromOne,
        "n_min_trials": _FromOne,
    },
    "successive_halving": {
        "min_resource": _FromOne,
        "reduction_factor": _FromTwo,
        "min_early_stopping_rate": _FromZero,
    },
    "hyperband": {
        "min_resource": _FromOne,
        "max_resource": _FromOne,
        "reduction_factor": _FromTwo,
    },
}


def _entry_of(
    catalogue: Iterable[str],
    known: Callable[[str], object] = lambda name: None,
    *,
    more: str = "",
) -> BeforeValidator:
    names = list(catalogue)
    expected = _families(catalogue) + more

    def check(value: object) -> object:
        if value not in names and not (isinstance(value, str) and known(value)):
            raise mismatch(expected, nearest(value, names))
        return value

    return BeforeValidator(check)


def _families(catalogue: Iterable[str]) -> str:
    """The names of a catalogue; of many names that one file makes, the first ones and how many."""
    makers: dict[object, list[str]] = {}
    for name in catalogue:
        entry = catalogue[name] if isinstance(catalogue, Mapping) else None
        maker = getattr(entry, "build", None) or getattr(entry, "read", None)
        makers.setdefault(maker or name, []).append(name)
    shown: list[str] = []
    for names in makers.values():
        few = len(names) <= _MANY
        shown += names if few else [*names[:_MANY], f"... ({len(names)} like these)"]
    return listed(shown)


# As many names of one family as a message lists.
_MANY = 6


def _name_alone(value: object) -> object:
    if value is not None and not isinstance(value, str | dict | BaseModel):
        raise mismatch("a name, or a mapping with a name")
    return {"name": value} if isinstance(value, str) else value


def _freeze_depth(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not whole and not (isinstance(value, str) and value):
        raise mismatch("a number of stages (0 or more), the name of a stage, or all")
    return value


def _report_every(value: object) -> object:
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not 0 < value <= 1 or abs(1 / value - round(1 / value)) > 1e-6:  # type: ignore[operator]
        raise mismatch("1 epoch, or a fraction that divides it evenly, such as 0.5 or 0.25")
    return value


def _reference(value: object) -> object:
    if not usercode.is_reference(value):
        raise mismatch("your own code, FILE.py:NAME")
    return value


def _duration(value: object) -> object:
    units = {"s": 1, "m": 60, "h": 3600}
    seconds: object = value
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?[smh]", value):
        seconds = float(value[:-1]) * units[value[-1]]
    if value is None:
        return None
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < inf:
        return float(seconds)
    raise mismatch("seconds, or a number followed by s, m or h, greater than 0")


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise mismatch("a number")
    if not abs(value) <= sys.float_info.max:
        raise mismatch("a finite number")
    return value


# Stays the whole number that it was written as, which a field of type float would not.
_Number = Annotated[float | int, BeforeValidator(_number)]


class Block(BaseModel):
    """A mapping in a study file: frozen, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Named(BaseModel):
    """A catalogue's entry with its options beside the name; a bare name is enough."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the fields that every entry of the catalogue has."""
        return dict(self.model_extra or {})


# Beside a catalogue's names a user's own code may stand.
OWN = ", or your own FILE.py:NAME"


class DatasetKnobs(Named):
    """``dataset``."""

    name: Annotated[str, _entry_of(DATASETS, datasets.entry_of, more=OWN)] | None = None


class BackboneKnobs(Named):
    """``backbone``."""

    name: Annotated[str, _entry_of(BACKBONES, backbones.entry_of, more=OWN)] | None = None
    weights: str | None = None
    keep_head: bool = False
    strict: bool = True


class TaskKnobs(Named):
    """``task``."""

    name: Annotated[str, _entry_of(TASKS, usercode.is_reference, more=OWN)] | None = None


class TrialKnobs(Named):
    """``trial``."""

    name: Annotated[str, BeforeValidator(_reference)] | None = None


class ScheduleKnobs(Block):
    """``schedule``: how the learning rate moves within a phase."""

    name: Annotated[str, _entry_of(SCHEDULES)] = "constant"
    warmup_epochs: float = Field(0.0, ge=0)
    step_epochs: float = Field(1.0, gt=0)
    gamma: float = Field(0.1, gt=0, le=1)
    final: float = Field(0.0, ge=0, le=1)


class UnfreezeKnobs(Block):
    """``unfreeze``: gradual unfreezing, from the head downwards."""

    every: Annotated[int, Field(ge=1)]


class EarlyStoppingKnobs(Block):
    """``early_stopping``."""

    patience: Annotated[int, Field(ge=1)]
    least: float = Field(0.0, ge=0)


class LoraKnobs(Block):
    """``lora``."""

    rank: Annotated[int, Field(ge=1, le=65_536)] = 8
    alpha: Annotated[float, Field(gt=0)] = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: list[str] | None = None


class PhaseKnobs(Block):
    """What a phase may say for itself; what it does not say comes from the trial."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    freeze_depth: Annotated[Any, BeforeValidator(_freeze_depth)] = None
    optimizer: Annotated[str, _entry_of(OPTIMIZERS)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    nesterov: bool | None = None
    beta1: Annotated[float, Field(ge=0, lt=1)] | None = None
    beta2: Annotated[float, Field(ge=0, lt=1)] | None = None
    epsilon: Annotated[float, Field(gt=0)] | None = None
    alpha: Annotated[float, Field(ge=0, lt=1)] | None = None
    centered: bool | None = None
    momentum_decay: Annotated[float, Field(ge=0)] | None = None
    decoupled_weight_decay: bool | None = None
    rate_decay: Annotated[float, Field(ge=0)] | None = None
    initial_accumulator: Annotated[float, Field(ge=0)] | None = None
    rho: Annotated[float, Field(ge=0, le=1)] | None = None
    beta2_decay: Annotated[float, Field(le=0)] | None = None
    update_clip: Annotated[float, Field(ge=1)] | None = None
    schedule: Annotated[ScheduleKnobs | None, BeforeValidator(_name_alone)] = None
    unfreeze: UnfreezeKnobs | None = None
    trainable: Literal["all", "bias", "norm"] | None = None
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    head_learning_rate: Annotated[float, Field(gt=0)] | None = None
    l2_sp: Annotated[float, Field(ge=0)] | None = None


class Recipe(PhaseKnobs):
    """Every knob that there is. The same names stand in ``compare`` and ``tune``."""

    dataset: Annotated[DatasetKnobs | None, BeforeValidator(_name_alone)] = None
    backbone: Annotated[BackboneKnobs | None, BeforeValidator(_name_alone)] = None
    task: Annotated[TaskKnobs | None, BeforeValidator(_name_alone)] = None
    batch_size: Annotated[int, Field(ge=1, le=2**31)] = 32
    augmentation: list[Any] = []
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Annotated[int, Field(ge=1, le=4_096)] = 1
    phases: dict[str, PhaseKnobs] | None = None
    micro_batch_size: Annotated[int, Field(ge=1)] | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    mixup: Annotated[float, Field(ge=0)] = 0.0
    cutmix: Annotated[float, Field(ge=0)] = 0.0
    report_every: Annotated[float | int, BeforeValidator(_report_every)] = 1
    early_stopping: EarlyStoppingKnobs | None = None
    lora: LoraKnobs | None = None
    loader_workers: Annotated[int, Field(ge=0, le=4_096)] = 0
    trial: Annotated[TrialKnobs | None, BeforeValidator(_name_alone)] = None


class SamplerKnobs(Named):
    """``search.sampler``."""

    name: Annotated[str, _entry_of(SAMPLERS)]


class PrunerKnobs(Named):
    """``search.pruner``."""

    name: Annotated[str, _entry_of(PRUNERS)]


class Search(Block):
    """``search``: how values are proposed, and how many."""

    sampler: Annotated[SamplerKnobs, BeforeValidator(_name_alone)] = SamplerKnobs(name="tpe")
    pruner: Annotated[PrunerKnobs, BeforeValidator(_name_alone)] = PrunerKnobs(name="median")
    trials_per_strategy: Annotated[int, Field(ge=1)] | None = None
    trials: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    timeout: Annotated[float | None, BeforeValidator(_duration)] = None
    enqueue: list[dict[str, Any]] = []


class ObjectiveKnobs(Block):
    """``objective``: what is optimised, and at which epoch it counts."""

    metric: str | None = None
    direction: Literal["maximize", "minimize"] | None = None
    epoch: Literal["best", "last"] = "best"


class Select(Block):
    """``confirm.select``: configurations re-run on validation before one goes on."""

    configs: Annotated[int, Field(ge=1)] = 3
    seeds: Annotated[int, Field(ge=1)] = 3


class Confirm(Block):
    """``confirm``: how far the confirmation goes."""

    seeds: Annotated[int, Field(ge=2)] | None = None
    smallest_effect: Annotated[float, Field(gt=0)] | None = None
    select: Select = Select()
    finalists: Annotated[int, Field(ge=1)] | None = None
    contrast: str | None = None
    baseline: str | None = None


class Cited(Block):
    """An entry of ``report.cited``: a value from the literature, shown without a verdict."""

    name: str
    value: _Number
    sd: Annotated[float | None, Field(ge=0)] = None
    n: Annotated[int | None, Field(ge=1)] = None
    source: str


class Report(Block):
    """``report``: what the report shows beside the study's own runs."""

    cited: list[Cited] = []


class Range(Block):
    """An entry of ``tune``: numbers between two bounds."""

    when: dict[str, Any] = {}
    low: _Number
    high: _Number
    log: bool = False
    step: Annotated[_Number, Field(gt=0)] | None = None
    default: _Number | None = None


class Choices(Block):
    """An entry of ``tune``: one of several levels, in the grammar of ``compare``."""

    when: dict[str, Any] = {}
    choices: Any
    default: Any = None
