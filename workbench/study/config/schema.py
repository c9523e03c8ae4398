"""The blocks of a study file: name, type, bounds, default and help of every knob.

The reader validates with these models; error messages, the JSON Schema and the tables of
``docs/studies.md`` are made from them. The options of data sets, backbones, tasks, optimizers and
augmentations are declared in their catalogues.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, create_model

from workbench import backbones, datasets, usercode
from workbench.backbones import BACKBONES
from workbench.datasets import DATASETS
from workbench.engine.optimizers import OPTIMIZERS, SCHEDULES
from workbench.record.strategy import EarlyStopping, Lora, Schedule
from workbench.study.config.fields import (
    Block,
    Bytes,
    Device,
    Duration,
    FreezeDepth,
    FromMapping,
    NamedEntry,
    Number,
    Reference,
    ReportEvery,
    WrittenReport,
    by_name,
    entry_of,
    knob,
    names_of,
    or_name,
)
from workbench.study.config.samplers import PRUNERS, SAMPLERS
from workbench.tasks import TASKS

# Of data in files, whose path a user may write where their reader's name belongs.
_DATA = (
    "the name of a reader with the path: {name: image_folder, path: FOLDER}, or {name: table, "
    "path: FILE, target: COLUMN}"
)

_OWN_OPTIMIZER = (
    "the name of an optimizer. Use one of your own in a training of your own, trial: FILE.py:NAME, "
    "or add it to workbench/engine/optimizers.py (see docs/user_code.md)"
)


class DatasetKnobs(NamedEntry):
    """``dataset``."""

    name: Annotated[str, entry_of(DATASETS, datasets.entry_of, own=True, path=_DATA)] | None = None


class BackboneKnobs(NamedEntry):
    """``backbone``."""

    name: Annotated[str, entry_of(BACKBONES, backbones.entry_of, own=True)] | None = None
    weights: str | None = knob(None, "First weights; null trains from scratch.")
    keep_head: bool = knob(False, "Take the head from the weights too.")
    strict: bool = knob(True, "Refuse weights that do not fit in every tensor.")


class TaskKnobs(NamedEntry):
    """``task``."""

    name: Annotated[str, entry_of(TASKS, usercode.is_reference, own=True)] | None = None


class TrialKnobs(NamedEntry):
    """``trial``."""

    name: Reference | None = None


@dataclass(frozen=True, kw_only=True)
class ScheduleKnobs(Schedule):
    """``schedule``: that of a plan, with the names of the engine's catalogue."""

    name: Annotated[str, entry_of(SCHEDULES), Field(description="Shape of the schedule.")] = (
        "constant"
    )


def _planned(block: ScheduleKnobs) -> Schedule:
    return Schedule(**asdict(block))


class UnfreezeKnobs(Block):
    """``unfreeze``: gradual unfreezing, from the head downwards."""

    every: int = knob(..., "Epochs after which one more stage is unfrozen.", ge=1)


B = TypeVar("B", bound=type[Block])


def _with_optimizers(block: B) -> B:
    """The block with the knobs of every optimizer in the catalogue.

    So an optimizer with a knob of its own is added in ``engine.optimizers`` alone.
    """
    # A name is one knob, whichever optimizers have it: it may be compared or tuned across them.
    options = {
        name: option for entry in OPTIMIZERS.values() for name, option in entry.knobs.items()
    }
    fields: dict[str, Any] = {
        name: (option.type | None, knob(None, option.help)) for name, option in options.items()
    }
    extended: Any = create_model(block.__name__, __base__=block, __doc__=block.__doc__, **fields)
    return extended  # type: ignore[no-any-return]


@_with_optimizers
class PhaseKnobs(Block):
    """What may be set for one phase alone; what a phase leaves open comes from the recipe."""

    epochs: int | None = knob(10, "Epochs of training.", ge=1, le=1_000_000)
    freeze_depth: FreezeDepth = knob(
        0,
        "Stages that are frozen, counted from the input: a number, the name of the last frozen "
        "stage, or `all`. With `unfreeze` the default is `all`.",
    )
    optimizer: Annotated[str, entry_of(OPTIMIZERS, path=_OWN_OPTIMIZER)] | None = knob(
        "adamw", "Optimizer; its own knobs are in the table of optimizers."
    )
    learning_rate: float | None = knob(None, "Learning rate; by default the optimizer's.", gt=0)
    weight_decay: float | None = knob(None, "Weight decay; by default the optimizer's.", ge=0)
    schedule: Annotated[
        Annotated[ScheduleKnobs, FromMapping(), AfterValidator(_planned)] | None,
        or_name(names_of(SCHEDULES) | ScheduleKnobs | None),
    ] = knob(None, "Learning rate schedule; by default `constant`.")
    unfreeze: UnfreezeKnobs | None = knob(
        None, "Gradual unfreezing, `{every: N}`: one more stage every N epochs."
    )
    trainable: Literal["all", "bias", "norm"] | None = knob(
        "all", "What is trained in the stages that are not frozen; `bias` is BitFit."
    )
    layer_decay: float | None = knob(
        1.0, "Factor of the learning rate from a stage to the one before.", gt=0, le=1
    )
    head_learning_rate: float | None = knob(
        None, "Learning rate of the head; by default `learning_rate`.", gt=0
    )
    l2_sp: float | None = knob(
        0.0, "Strength of the penalty on the distance from the first weights.", ge=0
    )


class Recipe(PhaseKnobs):
    """All settings of a trial. ``compare`` and ``tune`` use the same names."""

    dataset: Annotated[DatasetKnobs | None, or_name(str | DatasetKnobs | None)] = knob(
        None, "Data set, see docs/datasets.md. Required."
    )
    backbone: Annotated[BackboneKnobs | None, or_name(str | BackboneKnobs | None)] = knob(
        None,
        "Model, see docs/backbones.md; its `weights`, see docs/weights.md. Required.",
    )
    task: Annotated[TaskKnobs | None, or_name(str | TaskKnobs | None)] = knob(
        None, "Task, see docs/tasks.md; by default `classification`."
    )
    batch_size: int = knob(32, "Samples of a step of the optimizer.", ge=1, le=2**31)
    augmentation: list[Any] = knob([], "Transforms of training images, in order.")
    device: Device = knob(
        "auto", "`auto` is `cuda`, else `mps`, else `cpu`; `cuda:1` is one GPU of several."
    )
    threads: int = knob(1, "Threads of one worker.", ge=1, le=4_096)
    phases: dict[str, PhaseKnobs] | None = knob(
        None, "Phases by name, each with its knobs; by default one, `main`."
    )
    micro_batch_size: int | None = knob(
        None, "Samples of one forward pass; by default `batch_size`.", ge=1
    )
    precision: Literal["float32", "tf32", "bfloat16"] = knob(
        "float32",
        "`bfloat16` is automatic mixed precision; `tf32` rounds the factors of products on NVIDIA "
        "GPUs.",
    )
    clip_norm: float | None = knob(
        None, "Largest norm of a gradient; by default it is not clipped.", gt=0
    )
    ema: float | None = knob(
        None, "Decay of an average of the weights, which is then validated and kept.", gt=0, lt=1
    )
    mixup: float = knob(0.0, "Alpha of mixup; 0 does not mix.", ge=0)
    cutmix: float = knob(0.0, "Alpha of CutMix; 0 does not mix.", ge=0)
    report_every: ReportEvery = knob(
        1, "Epochs between two reports, to the pruner too: 1 or a fraction like 0.25."
    )
    early_stopping: Annotated[EarlyStopping, FromMapping()] | None = knob(
        None, "When a trial ends before its last epoch; by default never."
    )
    lora: Annotated[Lora, FromMapping()] | None = knob(
        None, "Low-rank adapters instead of the weights (`pip install peft`)."
    )
    loader_workers: int = knob(
        0, "Processes that load and augment samples for a worker.", ge=0, le=4_096
    )
    activations_gb: float = knob(
        10.0,
        "Gigabytes that stored outputs of frozen stages may take in the cache; 0 computes them in "
        "every epoch, with the same results (docs/methods.md).",
        ge=0,
        le=1_000_000,
    )
    trial: Annotated[TrialKnobs | None, or_name(WrittenReport | TrialKnobs | None)] = knob(
        None,
        "Your own training instead of the engine, `FILE.py:NAME`, see docs/user_code.md.",
    )


class SamplerKnobs(NamedEntry):
    """``search.sampler``."""

    name: Annotated[str, entry_of(SAMPLERS)]


class PrunerKnobs(NamedEntry):
    """``search.pruner``."""

    name: Annotated[str, entry_of(PRUNERS)]


class Search(Block):
    """``search``: how values are proposed, and how many."""

    trials_per_strategy: int | None = knob(
        None, "Trials of each strategy. Required with `compare`.", ge=1
    )
    trials: int | None = knob(None, "Trials in all. Required without `compare`.", ge=1)
    sampler: Annotated[SamplerKnobs, or_name(names_of(SAMPLERS) | SamplerKnobs)] = knob(
        SamplerKnobs(name="tpe"), "Proposes the values of each trial."
    )
    pruner: Annotated[PrunerKnobs, or_name(names_of(PRUNERS) | PrunerKnobs)] = knob(
        PrunerKnobs(name="median"), "Ends weak trials early."
    )
    seed: int = knob(
        0,
        "Seed of the samplers (each strategy's search draws its own points), the splits and the "
        "training.",
        ge=0,
    )
    timeout: Duration = knob(
        None,
        "Seconds, or `90s`, `30m`, `2h`, of each start: no new trial begins after that, once "
        "all strategies have the same number.",
    )
    enqueue: list[dict[str, Any]] = knob(
        [], "Settings that run after the default: `{FACTOR or tuned KNOB: VALUE}` each."
    )


class Across(Block):
    """``across``: data sets and search seeds; each combination is a study."""

    dataset: Annotated[
        dict[str, Annotated[DatasetKnobs, or_name(str | DatasetKnobs)]],
        BeforeValidator(by_name, json_schema_input_type=dict[str, str | DatasetKnobs] | list[str]),
    ] = knob({}, "Data sets by name, each as in `recipe.dataset`; or a list of names.")
    search_seed: list[Annotated[int, Field(ge=0)]] = knob(
        [], "Values of `search.seed`: one search of every strategy for each."
    )


class ObjectiveKnobs(Block):
    """``objective``: what is optimised, and at which epoch it counts."""

    metric: str | None = knob(
        None,
        "Metric of the task or your own, of `validation/` or `train/`; by default "
        "`validation/accuracy`, `validation/f1` or `validation/rmse`, by the task. A loss is "
        "refused where its meaning is compared or tuned.",
    )
    direction: Literal["maximize", "minimize"] | None = knob(
        None, "By default the direction in which the metric is better."
    )
    epoch: Literal["best", "last"] = knob("best", "Epoch whose value counts.")


class Select(Block):
    """``confirm.select``: configurations that are run again on validation before one is tested."""

    configs: int = knob(3, "Configurations of each finalist.", ge=1)
    seeds: int = knob(3, "Seeds of each configuration.", ge=1)


class Confirm(Block):
    """``confirm``: how the finalists are tested."""

    seeds: int | None = knob(
        None, "Fresh seeds; by default 12, or more where the number of pairs demands it.", ge=2
    )
    smallest_effect: float | None = knob(
        None, "Smallest difference that matters. Required when `workbench confirm` starts.", gt=0
    )
    select: Select = knob(
        Select(), "Configurations that are run again on validation, and their seeds."
    )
    finalists: int | None = knob(
        None, "Strategies that are tested; by default all, in a joint study 3.", ge=1
    )
    contrast: str | None = knob(
        None,
        "What is compared: `all` pairs, each with the `baseline`, or a factor's levels; by "
        "default `all`, in a joint study `baseline`.",
    )
    baseline: str | None = knob(None, "A strategy, or by default `default`.")
    looks: int = knob(
        1,
        "Planned analyses of the test results. With 2 (interim and final), `workbench confirm NAME "
        "--fresh N` may add N seeds to every configuration after the first verdict; each analysis "
        "is tested at 2.5 %.",
        ge=1,
        le=2,
    )


class ResourceKnobs(Block):
    """``resources``: what one worker needs of a machine or a cluster."""

    cpus: int | None = knob(None, "Cores; by default `recipe.threads`.", ge=1, le=4_096)
    gpus: float | None = knob(
        None,
        "Share of a GPU: with 0.5 two workers share one; by default 1 where there is one.",
        ge=0,
        le=1,
    )
    memory: Bytes = knob(None, "Memory, such as `8GB`; by default it does not count.")
    stall_timeout: Duration = knob(
        None,
        "Seconds, or `90s`, `30m`, `2h`: a worker that has not reported an epoch for so long is "
        "killed, and its trial tried again, three times in all; by default never.",
    )


class CitedValue(Block):
    """An entry of ``report.cited``: a value from the literature, shown without a verdict."""

    name: str = knob(..., "Name in the report.")
    value: Number = knob(..., "Value of the objective.")
    sd: float | None = knob(None, "Standard deviation, if known.", ge=0)
    n: int | None = knob(None, "Number of runs, if known.", ge=1)
    source: str = knob(..., "Where it was published.")


class Report(Block):
    """``report``: what the report shows beside the study's own runs."""

    cited: list[CitedValue] = knob([], "Values from the literature.")


class Range(Block):
    """An entry of ``tune``: numbers between two bounds."""

    low: Number = knob(..., "Lower end, included. A knob of whole numbers has whole ends.")
    high: Number = knob(..., "Upper end, included.")
    default: Number | None = knob(
        None, "A value of the range: the first trial, and the baseline. Required."
    )
    log: bool = knob(False, "Whether to search the logarithm.")
    step: Annotated[Number, Field(gt=0)] | None = knob(
        None, "Distance of the values, not with `log`; `high` is `low` and whole steps."
    )
    when: dict[str, Any] = knob(
        {}, "Conditions: the value, or a list of values, of a knob or factor."
    )


class Choices(Block):
    """An entry of ``tune``: one of several levels, in the grammar of ``compare``."""

    choices: Any = knob(
        ..., "Levels, in the grammar of `compare`; alone they need no key: `batch_size: [16, 32]`."
    )
    default: Any = knob(None, "A level: the first trial; by default the first.")
    when: dict[str, Any] = knob({}, "Conditions, as in a range.")
