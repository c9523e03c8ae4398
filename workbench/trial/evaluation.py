"""The one look at the test split: a confirmation run's kept model, measured on it.

Nothing else in the package calls ``datasets.load_test``. Runs of the search and of the selection
never come here. Knows neither how the model was trained nor what is said of the result.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from workbench import backbones, datasets, record, tasks
from workbench.datasets import Data, Part
from workbench.engine import inference, memory
from workbench.record import TrialDirectory, TrialSpec
from workbench.tasks import Task
from workbench.trial import artifacts, predictions

if TYPE_CHECKING:
    import pyarrow
    from torch import nn

_LOGGER = logging.getLogger(__name__)

# Validated and tested are the same model; merging adapters or another batch shifts last digits.
_SAME = 1e-3
# The mean of the scores and the metric itself are added up in another order.
_MEAN = 1e-5


class Untestable(ValueError):
    """A confirmation run cannot be tested; the message says what the test would need."""


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What the test says.

    Attributes:
        metrics: The loss and every metric of the task by full names: ``test/accuracy``.
        table: See ``predictions``.
    """

    metrics: Mapping[str, float]
    table: pyarrow.Table

    def write(self, directory: TrialDirectory) -> None:
        """Leave the table among a trial's artifacts, in place of one from an attempt before."""
        path = directory.artifacts / predictions.FILE
        record.write_atomically(path, predictions.content(self.table))


def must_be_open(directory: TrialDirectory, spec: TrialSpec) -> None:
    """Nothing, if the trial may be tested in the end.

    Asked before the first epoch too: hours of training for a test that is refused help nobody.

    Raises:
        Sealed: The study's protocol is not there, or is not the one that planned this run.
    """
    datasets.must_be_open(_protocol(directory, spec), spec.protocol)


def measure(
    directory: TrialDirectory,
    spec: TrialSpec,
    *,
    weights: Mapping[str, Tensor] | None,
    validated: float,
    data: Data,
    task: Task,
    device: torch.device,
    before: Callable[[], None],
) -> Tested:
    """Measure the kept model of a confirmation run on the test split.

    The model is made anew from the weights of the chosen epoch and evaluated as in validation: the
    same device, precision and batches, in eval mode.

    Args:
        directory: Of the run; the study's protocol lies above it.
        spec: Of the same.
        weights: Of the whole model at the epoch that the objective's rule chose.
        validated: The objective's value there.
        data: What the run was trained on, as its backbone takes it.
        task: Of the run, made for its training part.
        device: What it was trained on.
        before: Called before every batch; what it raises goes through.

    Raises:
        Sealed: See ``must_be_open``.
        Untestable: There is no model of the plan's backbone, it is not the one that was
            validated, the task does not measure the objective's metric, or a metric is not finite.
    """
    if weights is None:
        raise Untestable(
            f"{spec.plan.trial or 'The training'} kept no model, so there is none to test; yield a "
            "state dict of the plan's backbone with the metrics, or train trial.staged."
        )
    plan, metric = spec.plan, spec.objective.tested
    try:
        module = inference.rebuilt(
            plan, weights, whose=spec.name, input_shape=data.input_shape, outputs=task.outputs
        )
    except inference.Unfit as unfit:
        raise Untestable(f"{unfit} The test needs a model of that backbone.") from unfit
    with memory.told("testing", device=device, passes=True):
        module.to(device)
        if plan.trial is not None:
            _must_be_validated(module, spec, validated, data, task, device, before)
        data = _with_test(directory, spec, data)
        part = data.test
        assert part is not None
        every, targets = _outputs(module, spec, part, data, device, before)
        found = inference.measured(task, every, targets)
    metrics = {f"test/{name}": value for name, value in found.items()}
    _must_count(metrics, metric)
    scores = tasks.scores_of(task, metric.removeprefix("test/"), every, targets)
    if scores is not None and not _adds_up(scores, metrics[metric]):
        _LOGGER.warning("%s: the scores of the samples do not make %s", spec.name, metric)
        scores = None
    target = tasks.target_of(plan.task)
    with torch.inference_mode():
        table = predictions.table(data, task, target=target, outputs=every, scores=scores)
    return Tested(metrics=metrics, table=table)


def _protocol(directory: TrialDirectory, spec: TrialSpec) -> Path:
    return record.protocol_path(record.study_of(directory, spec))


def _with_test(directory: TrialDirectory, spec: TrialSpec, data: Data) -> Data:
    """The data with the test part, as the backbone takes it."""
    plan = spec.plan
    found = artifacts.as_planned(
        datasets.load_test(
            plan.dataset,
            target=tasks.target_of(plan.task),
            study_seed=spec.study_seed,
            seed=spec.seed,
            protocol=_protocol(directory, spec),
            sha256=spec.protocol,
        ),
        spec,
    )
    assert found.test is not None
    # What is trained and validated on is made ready already.
    alone = backbones.prepare(
        plan.backbone, replace(found, train=found.test, validation=found.test)
    )
    return replace(data, test=alone.test, names=found.names)


def _outputs(
    module: nn.Module,
    spec: TrialSpec,
    part: Part,
    data: Data,
    device: torch.device,
    before: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """Outputs of the model for a part, and its targets, on the device."""
    # Images that only this part takes when they are asked for stay off the device, where they
    # would be resized in another way.
    alike = type(part.inputs) is type(data.validation.inputs)
    every = inference.of_part(
        module,
        part.inputs.to(device) if alike else part.inputs,
        device=device,
        precision=spec.plan.precision,
        before=before,
    )
    return every, part.targets.to(device)


def _must_be_validated(
    module: nn.Module,
    spec: TrialSpec,
    validated: float,
    data: Data,
    task: Task,
    device: torch.device,
    before: Callable[[], None],
) -> None:
    """Nothing, if the weights that a user's training kept are the model that it validated.

    The engine's are; see its tests. A training of the user's own may have measured something else.
    """
    metric = spec.objective.metric
    every, targets = _outputs(module, spec, data.validation, data, device, before)
    found = inference.measured(task, every, targets)
    value = found.get(metric.removeprefix("validation/"))
    if value is None or not math.isclose(value, validated, rel_tol=_SAME, abs_tol=_SAME):
        said = "does not have it" if value is None else f"has {value:.6g}"
        raise Untestable(
            f"{spec.plan.trial} reported {metric} {validated:.6g}, but the model that it kept "
            f"{said} when the plan's task measures it. What is tested must be what was validated."
        )


def _must_count(metrics: Mapping[str, float], metric: str) -> None:
    if metric not in metrics:
        raise Untestable(
            f"The test has no {metric}, which the study compares; it has {', '.join(metrics)}."
        )
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise Untestable(f"diverged on the test split: {name} is {value}")


def _adds_up(scores: Tensor, value: float) -> bool:
    return math.isclose(float(scores.mean()), value, rel_tol=_MEAN, abs_tol=_MEAN)
