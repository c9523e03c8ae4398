"""The evaluation of a confirmation run's kept model on the test split.

Nothing else in the package calls ``datasets.load_test``; runs of the search and of the selection
never reach this code.
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
from workbench.engine import devices, frozen_stages, inference, memory
from workbench.record import TrialDirectory, TrialSpec
from workbench.tasks.task import Task
from workbench.trial import artifacts, predictions
from workbench.trial.activations import ActivationStore
from workbench.trial.best_epoch import BestEpoch

if TYPE_CHECKING:
    import pyarrow

_LOGGER = logging.getLogger(__name__)

# Largest difference between two validations of the same model: other batches, or merged adapters,
# change the last digits.
_MODEL_TOLERANCE = 1e-3
# The mean of the scores and the metric itself are summed in different orders.
_SUM_TOLERANCE = 1e-5


class UntestableError(ValueError):
    """A confirmation run cannot be tested; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """The result of the test.

    Attributes:
        metrics: The loss and every metric of the task by full names: ``test/accuracy``.
        table: See ``predictions``.
    """

    metrics: Mapping[str, float]
    table: pyarrow.Table

    def write(self, directory: TrialDirectory) -> None:
        """Write the table to a trial's artifacts; it replaces that of an earlier attempt."""
        path = directory.artifacts / predictions.FILE
        record.write_atomically(path, predictions.content(self.table))


def must_be_open(directory: TrialDirectory, spec: TrialSpec) -> None:
    """Check that the trial may be tested at its end.

    Also called before the first epoch, so that no training is wasted on a run that cannot be
    tested.

    Raises:
        SealedError: The study's protocol is missing, or is not the one that planned this run.
    """
    datasets.must_be_open(_protocol(directory, spec), spec.protocol)


def measure(
    directory: TrialDirectory,
    spec: TrialSpec,
    *,
    chosen: BestEpoch,
    data: Data,
    task: Task,
    device: torch.device,
    before: Callable[[], None],
) -> EvaluationResult:
    """Measure the kept model of a confirmation run on the test split.

    The model is rebuilt from the weights of the chosen epoch and evaluated as in validation: on the
    same device, with the same precision and batches, in eval mode.

    Args:
        directory: Of the run, in the directory of the study that has the protocol.
        spec: Of the run.
        chosen: The epoch that the objective's rule chose, with the weights of the whole model.
        data: The data of the run, prepared for its backbone.
        task: Of the run, built for its training part.
        device: The device of the training.
        before: Called before every batch; may raise.

    Raises:
        SealedError: See ``must_be_open``.
        UntestableError: No model of the plan's backbone was kept, it is not the one that was
            validated, the task does not measure the objective's metric, or a metric is not finite.
    """
    if chosen.weights is None:
        raise UntestableError(
            f"{spec.plan.trial or 'The training'} kept no model to test. Yield a state dict of the "
            "plan's backbone with the metrics, or train trial.staged."
        )
    plan, metric = spec.plan, spec.objective.tested
    try:
        staged = inference.rebuild_model(
            plan.backbone,
            chosen.weights,
            owner=spec.name,
            input_shape=data.input_shape,
            outputs=task.outputs,
        )
    except inference.WeightsMismatchError as error:
        raise UntestableError(f"{error} The test needs a model of that backbone.") from error
    # A part whose images are read lazily, unlike those of validation, stays on the CPU: a GPU would
    # resize them with other numbers.
    kind = type(data.validation.inputs)

    def outputs_of(part: Part, frozen: int = 0) -> tuple[Tensor, Tensor]:
        """Outputs of the model for a part, and its targets, on the device."""
        stored = None
        if frozen:
            asked = frozen_stages.for_evaluation(staged, frozen, part, before_batch=before)
            stored = ActivationStore(spec, data, device).get(asked)
        every = inference.outputs_of(
            staged.module,
            part.inputs.to(device) if type(part.inputs) is kind else part.inputs,
            device=device,
            precision=plan.precision,
            stored=stored,
            before=before,
        )
        return every, part.targets.to(device)

    with memory.explain_errors("testing", device=device, passes=True):
        devices.move(staged.module, device, plan.precision)
        if plan.trial is not None:
            # Before the test split is opened: a refused run must not see it.
            again = inference.metrics_of(task, *outputs_of(data.validation))
            _require_validated(spec, chosen.value, again)
        data = _with_test(directory, spec, data)
        assert data.test is not None
        frozen = 0
        if plan.trial is None and frozen_stages.is_cacheable(plan, device, data.test):
            epoch = math.ceil(chosen.epoch / plan.reports_per_epoch)
            frozen = frozen_stages.frozen_depth(plan, epoch)
        every, targets = outputs_of(data.test, frozen)
        values = inference.metrics_of(task, every, targets)
    metrics = {f"test/{name}": value for name, value in values.items()}
    _check_metrics(metrics, metric)
    scores = tasks.scores_of(task, metric.removeprefix("test/"), every, targets)
    if scores is not None and not _mean_is(scores, metrics[metric]):
        _LOGGER.warning(
            "%s: the mean of the samples' scores is not %s; left out", spec.name, metric
        )
        scores = None
    target = tasks.target_of(plan.task)
    with torch.inference_mode():
        table = predictions.table(data, task, target=target, outputs=every, scores=scores)
    return EvaluationResult(metrics=metrics, table=table)


def _protocol(directory: TrialDirectory, spec: TrialSpec) -> Path:
    """The protocol that planned the run: of the confirmation, or of its second look."""
    study = record.study_of(directory, spec)
    first, second = record.protocol_path(study), record.protocol_path(study, look=2)
    if not second.is_file() or (first.is_file() and record.sha256_of(first) == spec.protocol):
        return first
    return second


def _with_test(directory: TrialDirectory, spec: TrialSpec, data: Data) -> Data:
    """The data with the test part, prepared for the backbone."""
    plan = spec.plan
    loaded = datasets.load_test(
        plan.dataset,
        target=tasks.target_of(plan.task),
        study_seed=spec.study_seed,
        seed=spec.seed,
        protocol=_protocol(directory, spec),
        sha256=spec.protocol,
    )
    artifacts.check_data_digest(loaded, spec)
    assert loaded.test is not None
    # The other parts of ``data`` are prepared already.
    inputs = backbones.prepare_inputs(plan.backbone, loaded.kind, loaded.test.inputs)
    return replace(data, test=replace(loaded.test, inputs=inputs), names=loaded.names)


def _require_validated(spec: TrialSpec, validated: float, again: Mapping[str, float]) -> None:
    """Check that the weights that a user's training kept are the model that it validated.

    The engine guarantees it; a user's own training may have measured something else.

    Args:
        spec: Of the run.
        validated: The objective's value as the user's training reported it.
        again: The task's metrics of the kept model, measured now.
    """
    metric = spec.objective.metric
    value = again.get(metric.removeprefix("validation/"))
    if value is None or not math.isclose(
        value, validated, rel_tol=_MODEL_TOLERANCE, abs_tol=_MODEL_TOLERANCE
    ):
        measured = "has no such metric" if value is None else f"has {value:.6g}"
        raise UntestableError(
            f"{spec.plan.trial} reported {metric} {validated:.6g}, but the model that it kept "
            f"{measured} when the plan's task measures it. Keep the weights that were validated."
        )


def _check_metrics(metrics: Mapping[str, float], metric: str) -> None:
    if metric not in metrics:
        raise UntestableError(
            f"The test has no metric {metric}, which the study compares; "
            f"it has {', '.join(metrics)}."
        )
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise UntestableError(f"diverged on the test split: {name} is {value}")


def _mean_is(scores: Tensor, value: float) -> bool:
    return math.isclose(float(scores.mean()), value, rel_tol=_SUM_TOLERANCE, abs_tol=_SUM_TOLERANCE)
