"""``workbench predict``: apply the weights that a trial kept to a file or a folder of new data.

The data set that the trial was trained on must still be there: scales, categories and the names of
the classes come from it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import torch
from torch import Tensor

from workbench import backbones, record, tasks
from workbench.commands import browse
from workbench.commands.confirmation_progress import confirmation_progress
from workbench.commands.summaries import TrialDetails
from workbench.datasets.samples import Part
from workbench.datasets.unlabelled import read_unlabelled
from workbench.engine import inference
from workbench.engine.devices import choose_device
from workbench.record import Role, State, TrialDirectory, TrialSpec
from workbench.tasks import Task
from workbench.trial import artifacts
from workbench.trial import run as trial_run

if TYPE_CHECKING:
    from workbench.datasets import Data
    from workbench.datasets.samples import Inputs

_RUN_ID = re.compile(r"(run:)?(?P<id>[0-9a-f]{32})")


class Unusable(ValueError):
    """The trial, its weights or the data cannot be used; the message says which, and why."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A table, a row for each sample.

    Attributes:
        columns: ``name``; for classes and labels ``predicted``, ``confidence`` and a probability
            for each class; for numbers each column in its own units.
        rows: In the order of the data.
        model: The trial that kept it: ``STUDY/STRATEGY/NUMBER``, or with its role.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    model: str = ""

    def write(self, file: TextIO) -> None:
        """Write CSV."""
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)


def predict(home: Path, run: str, path: Path) -> Predictions:
    """Predictions of a trial's kept model for new data.

    Args:
        home: Where ``mlruns`` is.
        run: ``STUDY/STRATEGY``, ``STUDY/STRATEGY/NUMBER``, ``STUDY/ROLE/STRATEGY/NUMBER``, or the
            id of an MLflow run; see ``find``.
        path: See ``datasets.unlabelled.read_unlabelled``.

    Raises:
        Unknown: There is no such study, trial or run.
        Unusable: The trial has no sound weights, its data or code have changed, or the data are
            of another kind than the trial's.
    """
    trial = find(home, run)
    spec = trial.spec
    try:
        weights = artifacts.read_weights(TrialDirectory(trial.directory))
        if weights is None:
            raise _no_weights(trial)
        # Changed code would load the weights and compute something else with them.
        trial_run.require_planned_code(spec.plan.code)
        data = artifacts.data_of(spec)
        task = tasks.build(spec.plan.task, data.classes, data.train.targets)
        target = tasks.target_of(spec.plan.task)
        inputs, names = read_unlabelled(spec.plan.dataset, path, data, target=target)
        outputs = _outputs(spec, data, task, weights, _prepared(spec, data, inputs))
    except Unusable:
        raise
    except (ValueError, OSError) as error:
        raise Unusable(str(error)) from error
    found = table(task, target, data.classes, outputs, names)
    return replace(found, model=f"{spec.study}/{trial.summary.trial}")


def find(home: Path, run: str) -> TrialDetails:
    """The trial of a name or an MLflow run.

    A strategy stands for the model that its finished confirmation kept, that of the first seed;
    without one for the best trial of its search.

    Raises:
        Unknown: There is none.
        Unusable: The name is not that of a trial.
    """
    if match := _RUN_ID.fullmatch(run):
        run = _key_of(home, match["id"])
    study, _, name = run.partition("/")
    if not name:
        raise Unusable(
            f"{run!r} names no trial; a trial is STUDY/STRATEGY (the confirmed model, or "
            "the search's best), STUDY/STRATEGY/NUMBER, such as digits/adamw-2/007, or the id of "
            f"an MLflow run. workbench show {run} lists the trials of a study."
        )
    directory = record.study_directory(home, study)
    confirmed = confirmation_progress(directory, record.scan(directory))
    roles = [Role.SEARCH]
    if confirmed is not None and confirmed.seeds_shown:
        roles.insert(0, Role.CONFIRMATION)
    # One trial of each role keeps its weights.
    kept = [spec for spec in _with_weights(directory) if spec.strategy == name]
    models = [browse.name_of(spec) for role in roles for spec in kept if spec.role is role]
    return browse.trial(home, study, models[0] if models else name)


def _with_weights(study_directory: Path) -> list[TrialSpec]:
    return [spec for at, spec in record.scan(study_directory) if at.weights.exists()]


def _key_of(home: Path, run_id: str) -> str:
    from workbench.tracker import Tracker
    from workbench.tracker.store import StoreError

    try:
        with closing(Tracker(home, create=False)) as tracker:
            return tracker.key_of(run_id)
    except (LookupError, StoreError) as error:
        raise browse.Unknown(str(error)) from error


def _no_weights(trial: TrialDetails) -> Unusable:
    """Why a trial has no weights, and which trials of its study have."""
    spec, state = trial.spec, trial.summary.state
    name = f"{spec.study}/{trial.summary.trial}"
    if state is not State.COMPLETE:
        return Unusable(f"{name} has no weights: its state is {state}, not complete.")
    study = record.study_of(TrialDirectory(trial.directory), spec)
    kept = [f"{spec.study}/{browse.name_of(other)}" for other in _with_weights(study)]
    return Unusable(
        f"{name} has no weights: the best trial of each strategy keeps them, and the first run of "
        f"each arm of a confirmation. Here these have: {', '.join(kept) or 'none'}."
    )


def _prepared(spec: TrialSpec, data: Data, taken: Inputs) -> Inputs:
    """Texts as the tokens of the backbone; everything else as it is."""
    count = len(taken)
    part = Part(inputs=taken, targets=torch.zeros(count), index=torch.arange(count))
    if count == 0:
        raise Unusable("No sample to predict.")
    return backbones.prepare(
        spec.plan.backbone, replace(data, train=part, validation=part)
    ).validation.inputs


def _outputs(
    spec: TrialSpec, data: Data, task: Task, weights: dict[str, Tensor], inputs: Inputs
) -> Tensor:
    """The model's outputs for every sample, ``float32 [N, O]``, on the CPU."""
    plan = spec.plan
    module = inference.rebuild_model(
        plan,
        weights,
        owner=f"{spec.study}/{browse.name_of(spec)}",
        input_shape=data.input_shape,
        outputs=task.outputs,
    ).module
    # Trained on an accelerator, used wherever there is one or none.
    device = choose_device("auto" if plan.device != "cpu" else "cpu")
    module.to(device)
    return inference.outputs_of(module, inputs, device=device, precision=plan.precision).cpu()


def table(
    task: Task, target: str, classes: Sequence[str], outputs: Tensor, names: Sequence[str]
) -> Predictions:
    """Outputs as a table for people.

    Args:
        task: That of the trial.
        target: What it predicts; see ``datasets.samples.TARGETS``.
        classes: Names of the classes, labels or columns.
        outputs: ``[N, O]``.
        names: Of the samples.

    Raises:
        Unusable: A user's own task predicts something else than one number for each class.
    """
    values = task.predictions(outputs)
    if values.shape[1:] != (len(classes),):
        raise Unusable(
            f"The task's predictions have the shape {tuple(values.shape)}; expected one number "
            f"for each of {', '.join(classes)}."
        )
    if target == "numbers":
        rows = [(name, *row) for name, row in zip(names, values.tolist(), strict=True)]
        return Predictions(columns=("name", *classes), rows=rows)
    decisions = _classes(values, classes) if target == "class" else _labels(values, classes, task)
    rows = [
        (name, *decision, *row)
        for name, decision, row in zip(names, decisions, values.tolist(), strict=True)
    ]
    return Predictions(columns=("name", "predicted", "confidence", *classes), rows=rows)


def _classes(values: Tensor, classes: Sequence[str]) -> Iterator[tuple[str, float]]:
    confidence, label = values.max(dim=1)
    for number, share in zip(label.tolist(), confidence.tolist(), strict=True):
        yield classes[number], share


def _labels(values: Tensor, classes: Sequence[str], task: Task) -> Iterator[tuple[str, float]]:
    """Every label predicted, with ``;`` between them; the confidence is that of the least sure."""
    threshold = task.threshold
    sure = torch.where(values >= threshold, values, 1 - values).amin(dim=1)
    for row, share in zip((values >= threshold).tolist(), sure.tolist(), strict=True):
        yield ";".join(name for name, given in zip(classes, row, strict=True) if given), share
