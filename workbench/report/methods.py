"""Which methods a study's trials train with, beyond what every trial does: words and sources.

Read from the plans in a study's description and from what was tuned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.tracker.stored_study import Data, StoredStudy
from workbench.verdict.wording.numbers import listed


@dataclass(frozen=True, kw_only=True)
class Method:
    """One method that a plan may use.

    Attributes:
        knob: Its field in a plan or in each phase of one; a dot leads into a block.
        words: How it is said; ``{}`` stands for the values.
        source: Where it comes from; empty for what needs no source.
        unused: The value with which a plan does not use it.
        only: The one value of the knob that means this method; None takes any but ``unused``.
    """

    knob: str
    words: str
    source: str = ""
    unused: Any = None
    only: str | None = None


@dataclass(frozen=True, kw_only=True)
class Trained:
    """How all trials train, as texts say it.

    Attributes:
        own: Where the study's own training code is; None for Workbench's loop.
        scratch: Whether no strategy has weights to start from.
        redrawn: What a seed of the confirmation redraws, the object of a sentence.
    """

    own: str | None
    scratch: bool
    redrawn: str

    @property
    def source(self) -> str:
        """What varies between the runs of an arm, as captions say it."""
        return f"A seed redraws {self.redrawn}; the test split is the same for all."


METHODS = (
    Method(
        knob="layer_decay",
        words="layer-wise learning rate decay (factor {} from a stage to the one before it)",
        source="Clark et al. 2020, arXiv:2003.10555",
        unused=1.0,
    ),
    Method(knob="head_learning_rate", words="a learning rate of its own for the head ({})"),
    Method(
        knob="unfreeze_every",
        words="gradual unfreezing from the head downwards (one stage every {} epochs)",
        source="Howard and Ruder 2018, arXiv:1801.06146",
        unused=0,
    ),
    Method(
        knob="trainable",
        words="training of the bias terms and the head alone (BitFit)",
        source="Ben Zaken et al. 2022, arXiv:2106.10199",
        only="bias",
    ),
    Method(
        knob="trainable",
        words="training of the normalisation layers' affine parameters and the head alone",
        source="Frankle et al. 2021, arXiv:2003.00152",
        only="norm",
    ),
    Method(
        knob="l2_sp",
        words="a penalty on the squared distance from the first weights (L2-SP, strength {})",
        source="Li et al. 2018, arXiv:1802.01483",
        unused=0.0,
    ),
    Method(
        knob="lora.rank",
        words="low-rank adapters (LoRA, rank {})",
        source="Hu et al. 2022, arXiv:2106.09685",
    ),
    Method(
        knob="mixup",
        words="mixup (alpha {})",
        source="Zhang et al. 2018, arXiv:1710.09412",
        unused=0.0,
    ),
    Method(
        knob="cutmix",
        words="CutMix (alpha {})",
        source="Yun et al. 2019, arXiv:1905.04899",
        unused=0.0,
    ),
    Method(
        knob="task.label_smoothing",
        words="label smoothing ({})",
        source="Szegedy et al. 2016, arXiv:1512.00567",
        unused=0.0,
    ),
    Method(knob="task.class_weights", words="a loss weighted by class ({})"),
    Method(
        knob="ema",
        words="a moving average of the weights, which is what was validated (decay {})",
        source="Polyak and Juditsky 1992",
    ),
    Method(
        knob="clip_norm",
        words="gradients clipped to a norm of {}",
        source="Pascanu et al. 2013, arXiv:1211.5063",
    ),
    Method(
        knob="precision",
        words="automatic mixed precision (bfloat16)",
        source="Micikevicius et al. 2018, arXiv:1710.03740",
        only="bfloat16",
    ),
    Method(
        knob="early_stopping.patience",
        words="early stopping (after {} reports without an improvement)",
        source="Prechelt 1998",
    ),
    Method(knob="report_every", words="validation every {} of an epoch", unused=1.0),
    Method(knob="trial", words="training by code of the study's own instead of Workbench's loop"),
)


def used(study: StoredStudy) -> list[dict[str, Any]]:
    """The methods that any strategy uses or that are tuned, in the order of ``METHODS``.

    Returns:
        Of each ``words``, ``source`` and ``strategies``: the names of those that use it, empty
        where all do.
    """
    plans = study.plans
    tuned = {entry.knob for entry in study.tune}
    found = []
    for method in METHODS:
        values = {name: list(_values(plan, method)) for name, plan in plans.items()}
        users = [name for name, given in values.items() if given]
        is_tuned = any(_names(knob, method) for knob in tuned) and method.only is None
        if not users and not is_tuned:
            continue
        shown = sorted({str(value) for given in values.values() for value in given}, key=_order)
        said = "tuned" if is_tuned else " or ".join(shown)
        found.append(
            {
                "words": method.words.replace("{}", said),
                "source": method.source,
                "strategies": [] if is_tuned or len(users) == len(plans) else users,
            }
        )
    return found


def _values(plan: Mapping[str, Any], method: Method) -> Iterator[str]:
    """What a plan and its phases give a method's knob, in words; nothing where it is not used."""
    for block in (plan, *(plan.get("phases") or ())):
        value: Any = block
        for name in method.knob.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is None or value == method.unused:
            continue
        if method.only is None or value == method.only:
            yield f"{value:.3g}" if isinstance(value, float) else str(value)


def _names(knob: str, method: Method) -> bool:
    """Whether a path of the study file means a method's knob, in any phase."""
    # A study file says unfreeze: {every: 2}, a plan's phase unfreeze_every.
    written = knob.replace("unfreeze.every", "unfreeze_every")
    return written == method.knob or written.endswith(f".{method.knob}")


def _order(text: str) -> tuple[float, str]:
    try:
        return float(text), ""
    except ValueError:
        return float("inf"), text


def training(study: StoredStudy) -> Trained:
    """What a training starts from, and what a seed of it draws anew, as texts say it.

    Of code of the study's own nothing is asserted but what it is given.
    """
    plans = list(study.plans.values())
    own = next((plan["trial"] for plan in plans if plan.get("trial")), None)
    weights = [plan.get("weights") for plan in plans]
    if not plans:
        weights = [study.backbone.weights if study.backbone else None]
    scratch = bool(plans or study.backbone) and not any(weights)
    parts = _data_redrawn(study.data)
    if own:
        drawn = f"{parts or 'no data'}, and is handed to the study's own training code"
        return Trained(own=_shown(own), scratch=scratch, redrawn=drawn)
    if any(plan.get("keep_head") for plan in plans) or (any(weights) and not all(weights)):
        first = "the initialisation of what no weights were given for"
    elif any(str((plan.get("backbone") or {}).get("name")).count(".py:") for plan in plans):
        first, scratch = "what the network's own code draws", False
    else:
        first = f"the initialisation of the {'whole network' if scratch else 'new head'}"
    redrawn = [*([parts] if parts else []), "the order of the training data", first]
    if not plans or any(plan.get("augmentation", True) for plan in plans):
        redrawn.append("the augmentation")
    return Trained(own=None, scratch=scratch, redrawn=listed(redrawn))


def _data_redrawn(data: Data) -> str:
    """Which data a seed draws anew, from how many samples; empty where all parts are given."""
    redrawn = data.redrawn
    if redrawn is None or data.others:
        return "training and validation data that the data set does not give as parts"
    if not redrawn.parts:
        return ""
    if "validation" not in redrawn.parts:
        return f"which {data.train} of the same {redrawn.of} samples are trained on"
    return (
        f"the division of the same {redrawn.of} samples ({data.train} for training,"
        f" {data.validation} for validation)"
    )


def _shown(path: str) -> str:
    """``FILE.py:NAME`` without the folders of the machine that it lay on."""
    return path.replace("\\", "/").rpartition("/")[2]


_OUTPUTS = {"multilabel": "label", "regression": "target column"}


def kind_of_outputs(task: str) -> str:
    """What one of the names under ``data.classes`` is: a class, a label, or a target column."""
    return _OUTPUTS.get(task, "class")
