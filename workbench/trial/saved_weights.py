"""The model that a trial keeps: its weights, and all that it takes to load and use them.

The description needs neither the trial's specification nor its data set, so that MLflow and
``export`` give the model away as two files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from workbench import backbones, record, tasks, usercode
from workbench.datasets.preparation import Preparation
from workbench.record import Role, TrialDirectory, TrialSpec
from workbench.record.strategy import Knobs

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.datasets import Data
    from workbench.trial.best_epoch import BestEpoch


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is needed to use weights; stored as ``best.json``.

    Attributes:
        format: Of the weights, for people.
        trial: ``STRATEGY/NUMBER``; with ``role`` what a run is called within its study.
        epoch: The report in which the weights were validated.
        value: Of ``metric`` there.
        backbone: ``name`` and options.
        task: ``name`` and options, without a user's own metrics.
        target: What the task predicts; see ``datasets.samples.TARGETS``.
        targets: Mean and standard deviation of each column of numbers in training, which the head
            has learnt to standardise; None for classes and labels.
        precision: Of the computation, as in the plan.
        code: Digests of the files that the backbone or the task needs; see ``Plan.code``.
        classes: Names of the classes, labels or columns, in the order of the outputs.
        preparation: How new samples are prepared.
        columns: Of a table of new samples; None for an array. See ``Preparation.columns``.
        example: A made-up sample; see ``Preparation.example``.
        outputs: The columns of predictions with their types.
        sha256: Of the file with the weights.
    """

    format: str = "safetensors: the state dict of the whole model"
    study: str
    trial: str
    role: str
    strategy: str
    epoch: int
    metric: str
    value: float
    backbone: Knobs
    task: Knobs
    target: str
    targets: tuple[tuple[float, ...], tuple[float, ...]] | None
    precision: str
    code: Mapping[str, str]
    classes: tuple[str, ...]
    preparation: Preparation
    columns: Mapping[str, str] | None
    example: tuple[str | float, ...]
    outputs: Mapping[str, str]
    sha256: str

    def to_json(self) -> str:
        """JSON text."""
        return json.dumps(record.plain(asdict(self)), indent=1)


_from_json = TypeAdapter(Description).validate_json


def _describe(
    spec: TrialSpec, chosen: BestEpoch, data: Data, preparation: Preparation, sha256: str
) -> Description:
    plan, target = spec.plan, tasks.target_of(spec.plan.task)
    targets = None
    if target == "numbers":
        import torch

        std, mean = torch.std_mean(data.train.targets.double(), dim=0, correction=0)
        targets = (tuple(mean.tolist()), tuple(std.tolist()))
    entry = backbones.entry_of(plan.backbone["name"])
    shipped = entry is not None and entry.options is not None and not entry.hub
    own_task = usercode.is_reference(plan.task["name"])
    return Description(
        study=spec.study,
        trial=spec.name,
        role=str(spec.role),
        strategy=spec.strategy,
        epoch=chosen.epoch,
        metric=spec.objective.metric,
        value=chosen.value,
        backbone=plan.backbone,
        task={name: option for name, option in plan.task.items() if name != "metrics"},
        target=target,
        targets=targets,
        precision=plan.precision,
        code={} if shipped and not own_task else plan.code,
        classes=tuple(data.classes),
        preparation=preparation,
        columns=preparation.columns,
        example=tuple(preparation.example),
        outputs={
            "name": "string",
            **({} if target == "numbers" else {"predicted": "string", "confidence": "double"}),
            **dict.fromkeys(data.classes, "double"),
        },
        sha256=sha256,
    )


def read_description(path: Path) -> Description:
    """A description.

    Raises:
        OSError: It cannot be read.
        ValueError: It is damaged, or of an earlier version, which lacks most of it.
    """
    try:
        return _from_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(
            f"{path} is damaged or of an earlier version: train the trial again to use its model."
        ) from error


def write_weights(
    directory: TrialDirectory,
    spec: TrialSpec,
    chosen: BestEpoch,
    data: Data,
    preparation: Preparation,
) -> None:
    """Write ``best.safetensors``, and ``best.json`` with its description and SHA-256.

    Of a search, the best trial of each strategy so far keeps its weights. A selection and a
    confirmation have a hundred runs and more: a selection keeps none, and a confirmation the model
    of each arm's first seed (the best one could be chosen only by the test split). Any other model
    can be trained again from its specification.

    Args:
        directory: Of the trial.
        spec: Of the trial.
        chosen: Has the weights of the whole model; without any nothing is written.
        data: Of the trial.
        preparation: Of the trial's samples.
    """
    replicate = spec.role is Role.CONFIRMATION and spec.number > 0
    if chosen.weights is None or replicate or spec.role is Role.SELECTION:
        return
    from safetensors.torch import save

    content = save(dict(chosen.weights))
    sha256 = hashlib.sha256(content).hexdigest()
    description = _describe(spec, chosen, data, preparation, sha256)
    # The weights first: ``read_weights`` ignores them until their description is there too.
    record.write_atomically(directory.weights, content)
    record.write_atomically(directory.weights_description, description.to_json().encode())


def read_weights(directory: TrialDirectory) -> dict[str, Tensor] | None:
    """The weights that a trial kept; None if it has none.

    Raises:
        ValueError: The file does not match its SHA-256.
    """
    if not directory.weights.exists() or not directory.weights_description.exists():
        return None
    remedy = (
        "Without one, before a confirmation has begun: delete the folder of the trial and rerun "
        "the study, which trains it again with the same settings."
    )
    return read_checked(directory.weights, directory.weights_description, remedy=remedy)


def read_checked(weights: Path, description: Path, *, remedy: str) -> dict[str, Tensor]:
    """Weights by name, after a check of their SHA-256 against their description.

    Args:
        weights: The file.
        description: Of the weights.
        remedy: What to do without a copy of a damaged file, as a sentence.

    Raises:
        ValueError: The file does not match it.
    """
    from safetensors.torch import load

    content = weights.read_bytes()
    expected = json.loads(description.read_text())["sha256"]
    if (digest := hashlib.sha256(content).hexdigest()) != expected:
        raise ValueError(
            f"{weights} is damaged: its SHA-256 is {digest[:12]}, but {description.name} says "
            f"{expected[:12]}. Restore the file from a copy. {remedy}"
        )
    found: dict[str, Tensor] = load(content)
    return found
