"""Training methods that a study uses (such as LoRA or mixup), with their words and sources.

Read from the plans in a study's description and from what was tuned. Used by the methods texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from workbench.messages import joined
from workbench.tracker.stored_study import Data, StoredStudy


class Method(NamedTuple):
    """One method that a plan may use.

    Attributes:
        knob: Its field in a plan or in each phase; a dot separates a block from its field.
        words: Its name in a text; ``{}`` is replaced by the values.
        source: Publication; may be empty.
        unused: The value with which a plan does not use it; None and 0 do not use it either.
        only: The one value that means this method; None: every value that uses it.
    """

    knob: str
    words: str
    source: str = ""
    unused: float = 0.0
    only: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingSummary:
    """How all trials train, for texts.

    Attributes:
        own: File and name of the study's own training code; None for Workbench's loop.
        scratch: Whether every strategy trains from scratch.
        redrawn: What a seed of the confirmation redraws, as the object of a sentence.
    """

    own: str | None
    scratch: bool
    redrawn: str

    @property
    def source(self) -> str:
        """What varies between the runs of an arm, a sentence for captions."""
        return f"A seed redraws {self.redrawn}; the test split is the same for all."


METHODS = (
    Method(
        "layer_decay",
        "layer-wise learning rate decay (factor {} from a stage to the one before it)",
        "Clark et al. 2020, arXiv:2003.10555",
        unused=1.0,
    ),
    Method("head_learning_rate", "a separate learning rate for the head ({})"),
    Method(
        "unfreeze_every",
        "gradual unfreezing from the head downwards (one stage every {} epochs)",
        "Howard and Ruder 2018, arXiv:1801.06146",
    ),
    Method(
        "trainable",
        "training of the bias terms and the head only (BitFit)",
        "Ben Zaken et al. 2022, arXiv:2106.10199",
        only="bias",
    ),
    Method(
        "trainable",
        "training of the normalisation layers' affine parameters and the head only",
        "Frankle et al. 2021, arXiv:2003.00152",
        only="norm",
    ),
    Method(
        "l2_sp",
        "a penalty on the squared distance from the initial weights (L2-SP, strength {})",
        "Li et al. 2018, arXiv:1802.01483",
    ),
    Method("lora.rank", "low-rank adapters (LoRA, rank {})", "Hu et al. 2022, arXiv:2106.09685"),
    Method("mixup", "mixup (alpha {})", "Zhang et al. 2018, arXiv:1710.09412"),
    Method("cutmix", "CutMix (alpha {})", "Yun et al. 2019, arXiv:1905.04899"),
    Method("task.label_smoothing", "label smoothing ({})", "Szegedy et al. 2016, arXiv:1512.00567"),
    Method("task.class_weights", "a class-weighted loss ({})"),
    Method(
        "ema",
        "validation of a moving average of the weights (EMA, decay {})",
        "Polyak and Juditsky 1992",
    ),
    Method(
        "clip_norm", "gradients clipped to a norm of {}", "Pascanu et al. 2013, arXiv:1211.5063"
    ),
    Method(
        "precision",
        "automatic mixed precision (bfloat16)",
        "Micikevicius et al. 2018, arXiv:1710.03740",
        only="bfloat16",
    ),
    Method(
        "early_stopping.patience",
        "early stopping (after {} validations without improvement)",
        "Prechelt 1998",
    ),
    Method("report_every", "validation every {} of an epoch", unused=1.0),
    Method("trial", "the study's own training code instead of Workbench's loop"),
)


@dataclass(frozen=True, kw_only=True)
class UsedMethod:
    """A method of a study; ``strategies`` names those that use it and is empty where all do."""

    words: str
    source: str
    strategies: tuple[str, ...]


def used(study: StoredStudy) -> tuple[UsedMethod, ...]:
    """The methods that any strategy uses or that are tuned, in the order of ``METHODS``."""
    plans = study.plans
    tuned = {entry.knob for entry in study.tune}
    methods = []
    for method in METHODS:
        values = {name: list(_values(plan, method)) for name, plan in plans.items()}
        users = [name for name, given in values.items() if given]
        is_tuned = any(_names(knob, method) for knob in tuned) and method.only is None
        if not users and not is_tuned:
            continue
        # Strategies may use a method with different values; all of them are named.
        shown = sorted({str(value) for given in values.values() for value in given}, key=_order)
        setting = "tuned" if is_tuned else " or ".join(shown)
        methods.append(
            UsedMethod(
                words=method.words.replace("{}", setting),
                source=method.source,
                strategies=() if is_tuned or len(users) == len(plans) else tuple(users),
            )
        )
    return tuple(methods)


def _values(plan: Mapping[str, Any], method: Method) -> Iterator[str]:
    """Values of a method's knob in a plan and its phases, as text; none where it is not used."""
    for block in (plan, *(plan.get("phases") or ())):
        value: Any = block
        for name in method.knob.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value in (None, 0, method.unused):
            continue
        if method.only in (None, value):
            yield f"{value:.3g}" if isinstance(value, float) else str(value)


def _names(knob: str, method: Method) -> bool:
    """Whether a path of the study file is a method's knob, in any phase."""
    # The study file has ``unfreeze: {every: 2}``, a plan's phase ``unfreeze_every``.
    written = knob.replace("unfreeze.every", "unfreeze_every")
    return written == method.knob or written.endswith(f".{method.knob}")


def _order(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text


def training(study: StoredStudy) -> TrainingSummary:
    """What a training starts from, and what its seed redraws.

    For the study's own training code, the texts state only what it receives.
    """
    plans = list(study.plans.values())
    own = next((plan["trial"] for plan in plans if plan.get("trial")), None)
    weights = [plan.get("weights") for plan in plans]
    if not plans:  # a study that an earlier version described
        weights = [study.backbone.weights if study.backbone else None]
    scratch = bool(plans or study.backbone) and not any(weights)
    parts = _data_redrawn(study.data)
    if own:
        drawn = f"{parts or 'no data'}, and is passed to the study's own training code"
        return TrainingSummary(own=_shown(own), scratch=scratch, redrawn=drawn)
    if any(plan.get("keep_head") for plan in plans) or (any(weights) and not all(weights)):
        first = "the initialisation of all layers without given weights"
    # The study's own network code may load weights, of which the plan knows nothing.
    elif any(str((plan.get("backbone") or {}).get("name")).count(".py:") for plan in plans):
        first, scratch = "what the network's own code initialises", False
    else:
        first = f"the initialisation of the {'whole network' if scratch else 'new head'}"
    redrawn = [*([parts] if parts else []), "the order of the training data", first]
    if not plans or any(plan.get("augmentation", True) for plan in plans):
        redrawn.append("the augmentation")
    return TrainingSummary(own=None, scratch=scratch, redrawn=joined(redrawn))


def _data_redrawn(data: Data) -> str:
    """The data that a seed redraws, and from how many samples; empty if all parts are fixed."""
    redrawn = data.redrawn
    if redrawn is None or data.others:
        return "training and validation data where the data set does not define the split"
    if not redrawn.parts:
        return ""
    if "validation" not in redrawn.parts:
        return f"which {data.train} of the same {redrawn.of} samples are used for training"
    if redrawn.train_at_most is None:
        parts = f"{data.train} for training, {data.validation} for validation"
    else:
        parts = (
            f"{data.validation} for validation; at most {redrawn.train_at_most} for training,"
            f" {data.train} in the search, since copies of validation samples are left out"
        )
    return f"the division of the same {redrawn.of} samples ({parts})"


def _shown(path: str) -> str:
    """``FILE.py:NAME`` without folders, which are those of one machine."""
    return path.replace("\\", "/").rpartition("/")[2]


_OUTPUTS = {"multilabel": "label", "regression": "target column"}


def kind_of_outputs(task: str) -> str:
    """The noun for a name under ``data.classes``: a class, a label, or a target column."""
    return _OUTPUTS.get(task, "class")
