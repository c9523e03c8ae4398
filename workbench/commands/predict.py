"""``workbench predict``: apply the weights that a trial kept to a file or a folder of new data.

The data set that the trial was trained on must still be there: scales, categories and the names of
the classes come from it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import torch
from torch import Tensor, nn

from workbench import backbones, record, tasks
from workbench.commands import browse
from workbench.commands.confirmation_progress import confirmation_progress
from workbench.commands.summaries import TrialDetails
from workbench.datasets.samples import Part
from workbench.datasets.unlabelled import labels_of, read_unlabelled
from workbench.engine import inference
from workbench.engine.devices import choose_device
from workbench.record import Role, State, TrialDirectory, TrialSpec
from workbench.tasks import Task
from workbench.trial import artifacts
from workbench.trial import run as trial_run

if TYPE_CHECKING:
    from workbench.datasets import Data
    from workbench.datasets.samples import Batch, Inputs

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
        scores: The task's metrics, where the data have labels; see ``labels_of``.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    model: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)

    def write(self, file: TextIO) -> None:
        """Write CSV."""
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)


class KeptModel(nn.Module):
    """The model that a trial kept, in evaluation mode, ready to predict.

    As a module it takes batches as ``read`` prepares them, and returns outputs ``[N, O]``.

    Attributes:
        name: ``STUDY/STRATEGY/NUMBER``, or with its role.
        spec: Of the trial.
        network: The fine-tuned model, on ``device``.
        data: Of the trial: they say how new samples are prepared.
        task: Of the trial.
    """

    def __init__(
        self,
        *,
        name: str,
        spec: TrialSpec,
        network: nn.Module,
        data: Data,
        task: Task,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.name, self.spec, self.data, self.task, self.device = name, spec, data, task, device
        self.network = network.to(device)
        self.eval()

    def forward(self, batch: Batch) -> Tensor:
        """Outputs of a batch on ``device``."""
        outputs: Tensor = self.network(batch)
        return outputs

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, the labels or the columns, in the order of the outputs."""
        return tuple(self.data.classes)

    def read(self, path: Path | str) -> tuple[Inputs, tuple[str, ...]]:
        """New samples, prepared as the model takes them, and their names.

        Args:
            path: See ``datasets.unlabelled.read_unlabelled``.

        Raises:
            Unusable: The data are of another kind than the trial's.
        """
        plan = self.spec.plan
        with _explained():
            target = tasks.target_of(plan.task)
            inputs, names = read_unlabelled(plan.dataset, Path(path), self.data, target=target)
            return _prepared(self.spec, self.data, inputs), names

    def predict(self, path: Path | str) -> Predictions:
        """Predictions for new data; see ``read``."""
        inputs, names = self.read(path)
        with _explained():
            outputs = inference.outputs_of(
                self.network, inputs, device=self.device, precision=self.spec.plan.precision
            ).cpu()
            target = tasks.target_of(self.spec.plan.task)
            found = table(self.task, target, self.classes, outputs, names)
            labels = labels_of(self.spec.plan.dataset, Path(path), names, target, self.classes)
            scores = {} if labels is None else self.task.metrics(outputs, labels)
            return replace(found, model=self.name, scores=scores)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except Unusable:
        raise
    except (ValueError, OSError) as error:
        raise Unusable(str(error)) from error


def load_model(home: Path, run: str) -> KeptModel:
    """The model that a trial kept.

    Args:
        home: Where ``mlruns`` is.
        run: ``STUDY``, ``STUDY/STRATEGY``, ``STUDY/STRATEGY/NUMBER``,
            ``STUDY/ROLE/STRATEGY/NUMBER``, or the id of an MLflow run; see ``find``.

    Raises:
        Unknown: There is no such study, trial or run.
        Unusable: The trial has no sound weights, or its data or code have changed.
    """
    trial = find(home, run)
    spec, plan = trial.spec, trial.spec.plan
    name = f"{spec.study}/{trial.summary.trial}"
    with _explained():
        weights = artifacts.read_weights(TrialDirectory(trial.directory))
        if weights is None:
            raise _no_weights(trial)
        # Changed code would load the weights and compute something else with them.
        trial_run.require_planned_code(plan.code)
        data = artifacts.data_of(spec)
        task = tasks.build(plan.task, data.classes, data.train.targets)
        network = inference.rebuild_model(
            plan, weights, owner=name, input_shape=data.input_shape, outputs=task.outputs
        ).module
    # Trained on an accelerator, used wherever there is one or none.
    device = choose_device("auto" if plan.device != "cpu" else "cpu")
    return KeptModel(name=name, spec=spec, network=network, data=data, task=task, device=device)


def predict(home: Path, run: str, path: Path) -> Predictions:
    """Predictions of a trial's kept model for new data; see ``load_model`` and ``KeptModel``."""
    return load_model(home, run).predict(path)


def find(home: Path, run: str) -> TrialDetails:
    """The trial of a name or an MLflow run.

    A strategy stands for the model that its finished confirmation kept, that of the first seed;
    without one for the best trial of its search. A study stands for the strategy that leads its
    verdict, without one for the best trial of its search.

    Raises:
        Unknown: There is none.
        Unusable: The study has no trial that has completed.
    """
    if match := _RUN_ID.fullmatch(run):
        run = _key_of(home, match["id"])
    study, _, name = run.partition("/")
    if not name:
        summary = browse.study(home, study).summary
        leader = summary.verdict.leader if summary.verdict else None
        name = leader or summary.best_trial or ""
        if not name:
            raise Unusable(f"No trial of {study} has completed.")
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
