"""Catalogue of tasks: loss, metrics and number of outputs. Importing it does not load torch.

A task describes the head; a backbone builds it.

Every sample has one row of outputs. A task with outputs for every position (token classification,
segmentation) would need: a target ``positions`` in ``datasets.samples.TARGETS`` with one label per
position and one for "ignored"; targets padded and cut with their inputs; backbones whose head keeps
the positions; outputs ``[B, O, ...]`` here, and metrics that are accumulated batch by batch, since
the outputs of a whole part would not fit into memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from workbench import usercode
from workbench.messages import refuse_unknown_options, unknown
from workbench.record.knob import AboveZero, BelowOne
from workbench.record.strategy import Knobs
from workbench.tasks.task import Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A task that a study file may name.

    Attributes:
        build: The class, as ``module:name``; called with ``classes``, ``targets`` (of the training
            part) and its own options.
        target: What it predicts; see ``datasets.samples.TARGETS``.
        options: Type of each option, including the common ones; None if only the user's code
            defines them.
        metrics: Its metrics after each epoch, without ``train/`` or ``validation/``, and the
            direction in which each is better.
        objective: The metric that a study optimises by default.
        shares: Metrics that papers print in percent.
    """

    build: str
    target: str
    options: Mapping[str, object] | None
    metrics: Mapping[str, str]
    objective: str = "loss"
    shares: tuple[str, ...] = ()


# Options of every task: metrics of the user, each a function FILE.py:NAME.
COMMON_OPTIONS: dict[str, object] = {"metrics": list[str]}
_ClassWeights = Literal["balanced"] | list[AboveZero]
_UP, _DOWN = "maximize", "minimize"
_RATES = ("precision", "recall", "f1")
_CLASS_SHARES = ("accuracy", *_RATES)
_LABEL_SHARES = ("subset_accuracy", *_RATES, *(f"micro_{metric}" for metric in _RATES))

TASKS: dict[str, Entry] = {
    "classification": Entry(
        build="workbench.tasks.classification:Classification",
        target="class",
        options={"label_smoothing": BelowOne, "class_weights": _ClassWeights, **COMMON_OPTIONS},
        metrics={"loss": _DOWN, **dict.fromkeys(_CLASS_SHARES, _UP)},
        objective="accuracy",
        shares=_CLASS_SHARES,
    ),
    "multilabel": Entry(
        build="workbench.tasks.multilabel:Multilabel",
        target="labels",
        options={
            "threshold": Annotated[float, Field(gt=0, lt=1)],
            "class_weights": _ClassWeights,
            **COMMON_OPTIONS,
        },
        metrics={"loss": _DOWN, **dict.fromkeys(_LABEL_SHARES, _UP)},
        objective="f1",
        shares=_LABEL_SHARES,
    ),
    "regression": Entry(
        build="workbench.tasks.regression:build",
        target="numbers",
        options={"loss": Literal["mse", "mae", "huber"], "delta": AboveZero, **COMMON_OPTIONS},
        metrics={"loss": _DOWN, "mae": _DOWN, "rmse": _DOWN, "r2": _UP},
        objective="rmse",
    ),
}


def entry_of(name: str) -> Entry | None:
    """The entry of a task's name, or of a user's own ``FILE.py:NAME``; None for any other name.

    A user's class declares its ``target``, its metrics (``measures``, the direction of each metric
    by name) and its default ``objective``.

    Raises:
        UserCodeError: The user's file cannot be run.
    """
    if not usercode.is_reference(name):
        return TASKS.get(name)
    user_class = usercode.load(name)
    return Entry(
        build="workbench.tasks.user:build",
        target=getattr(user_class, "target", "class"),
        options=None,
        metrics={"loss": _DOWN, **getattr(user_class, "measures", {})},
        objective=getattr(user_class, "objective", "loss"),
    )


def target_of(task: Knobs) -> str:
    """What a plan's task predicts; see ``datasets.samples.TARGETS``."""
    entry = entry_of(task["name"])
    return "class" if entry is None else entry.target


def metrics_of(task: Knobs) -> dict[str, str]:
    """The metrics of a plan's task, including the user's own, each with its direction.

    Raises:
        UserCodeError: A user's file cannot be run.
        ValueError: The task does not exist, or a user's metric is not valid.
    """
    entry = _entry(task["name"])
    own = task.get("metrics", ())
    if not own:
        return dict(entry.metrics)
    from workbench.tasks.user import directions

    return {**entry.metrics, **directions(own, entry.metrics)}


def scores_of(task: Task, metric: str, outputs: Tensor, targets: Tensor) -> Tensor | None:
    """The value of each sample in a metric that is a mean over samples.

    Args:
        task: Computed by its method ``scores``.
        metric: Its name without a prefix, such as ``accuracy``.
        outputs: ``[N, O]``.
        targets: N of them.

    Returns:
        ``float64 [N]``, whose mean is the metric's value; None if the metric is not such a mean
        (F1, RMSE) or the task has no scores.
    """
    # A user's own metric need not be a mean over samples.
    own = [reference.rpartition(":")[2] for reference in task.user_metrics]
    values = None if metric in own else task.scores(metric, outputs, targets)
    return None if values is None else values.detach().cpu().double()


def build(task: Knobs, classes: Sequence[str], targets: Tensor | None = None) -> Task:
    """The task of a plan.

    Args:
        task: ``name`` and the task's options.
        classes: Names of the data set's classes, labels or columns.
        targets: Of the training part; used for class weights, or to standardise numbers.

    Raises:
        UserCodeError: The user's own code cannot be run.
        ValueError: The name, an option or an option's value is not valid.
    """
    options = dict(task)
    name = options.pop("name")
    entry = _entry(name)
    refuse_unknown_options(f"task {name}", options, entry.options)
    own = options.pop("metrics", ())
    if usercode.is_reference(name):
        options["reference"] = name
    built: Task = resolve_name(entry.build)(classes=classes, targets=targets, **options)
    if not own:
        return built
    from workbench.tasks.user import directions

    directions(own, entry.metrics)  # Refuses what is not a metric.
    return replace(built, user_metrics={reference: usercode.load(reference) for reference in own})


def _entry(name: str) -> Entry:
    entry = entry_of(name)
    if entry is None:
        raise ValueError(unknown("task", name, TASKS))
    return entry
