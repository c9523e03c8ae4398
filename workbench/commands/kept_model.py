"""A fine-tuned model ready to predict, and its predictions as a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import torch
from torch import Tensor, nn

from workbench import backbones, tasks
from workbench.datasets.samples import Data, Part
from workbench.datasets.unlabelled import labels_of, read_unlabelled, written
from workbench.engine import inference
from workbench.engine.devices import choose_device
from workbench.record import Role
from workbench.tasks import Task
from workbench.tracker.models import DESCRIPTION, WEIGHTS
from workbench.trial import kept
from workbench.trial import run as trial_run
from workbench.trial.kept import Description

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from workbench.datasets.samples import Batch, Inputs

# A backbone of transformers whose configuration and tokenizer are in the folder of the model; the
# tensors of such a folder have transformers' names.
IN_FOLDER, PREFIX = "./", "model."


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
    """A fine-tuned model in evaluation mode, ready to predict.

    As a module it takes batches as ``read`` prepares them, and returns outputs ``[N, O]``.

    Attributes:
        name: ``STUDY/STRATEGY/NUMBER``, or with its role.
        description: What was kept with its weights.
        network: The fine-tuned model, on ``device``.
        task: That of the trial.
    """

    def __init__(
        self,
        name: str,
        description: Description,
        weights: Mapping[str, Tensor],
        *,
        targets: Tensor | None = None,
        device: str = "auto",
    ) -> None:
        """Build the model.

        Args:
            name: See the class.
            description: With the current paths of the files that it names.
            weights: State dict of ``network``.
            targets: Of the training part, which a user's own task may need.
            device: As in a plan.

        Raises:
            Unusable: The backbone or its code is missing or has changed, or the weights do not fit.
        """
        super().__init__()
        self.name, self.description = name, description
        prepared = description.preparation
        with explained():
            # Changed code would load the weights and compute something else with them.
            trial_run.require_planned_code(description.code)
            if targets is None:
                targets = _targets(description)
            self.task = tasks.build(description.task, description.classes, targets)
            self.network = inference.rebuild_model(
                description.backbone,
                weights,
                owner=name,
                input_shape=prepared.input_shape,
                outputs=self.task.outputs,
            ).module
        self.device = choose_device(device)
        self.to(self.device)
        self.eval()

    def forward(self, batch: Batch) -> Tensor:
        """Outputs of a batch on ``device``."""
        outputs: Tensor = self.network(batch)
        return outputs

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, the labels or the columns, in the order of the outputs."""
        return self.description.classes

    def read(self, data: Path | str | pd.DataFrame | np.ndarray) -> tuple[Inputs, tuple[str, ...]]:
        """New samples, prepared as the model takes them, and their names.

        Args:
            data: A path, see ``datasets.unlabelled.read_unlabelled``; or samples in memory, see
                ``written``, whose names are the labels of the rows.

        Raises:
            Unusable: The data are of another kind than the trial's.
        """
        prepared = self.description.preparation
        with ExitStack() as stack:
            stack.enter_context(explained())
            if isinstance(data, Path | str):
                inputs, names = read_unlabelled(prepared, Path(data))
            else:
                path = stack.enter_context(written(data, prepared.kind))
                inputs, _ = read_unlabelled(prepared, path)
                names = tuple(map(str, getattr(data, "index", range(len(data)))))
            return self._tokenized(inputs), names

    def predict(self, data: Path | str | pd.DataFrame | np.ndarray) -> Predictions:
        """Predictions for new data; see ``read``."""
        inputs, names = self.read(data)
        with explained():
            outputs = inference.outputs_of(
                self.network, inputs, device=self.device, precision=self.description.precision
            ).cpu()
            target = self.description.target
            found = table(self.task, target, self.classes, outputs, names)
            labels = None
            if isinstance(data, Path | str):
                dataset = self.description.preparation.dataset
                labels = labels_of(dataset, Path(data), names, target, self.classes)
            scores = {} if labels is None else self.task.metrics(outputs, labels)
            return replace(found, model=self.name, scores=scores)

    def _tokenized(self, taken: Inputs) -> Inputs:
        """Texts as the tokens of the backbone; everything else as it is."""
        count, prepared = len(taken), self.description.preparation
        if count == 0:
            raise Unusable("No sample to predict.")
        part = Part(inputs=taken, targets=torch.zeros(count), index=torch.arange(count))
        data = Data(
            kind=prepared.kind,
            train=part,
            validation=part,
            classes=self.classes,
            input_shape=prepared.input_shape,
            digest="",
        )
        return backbones.prepare(self.description.backbone, data).validation.inputs


def _targets(description: Description) -> Tensor | None:
    """Targets with the mean and standard deviation of the training part; None without numbers."""
    if description.targets is None:
        return None
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in description.targets)
    return torch.stack([mean - std, mean + std])


def load_folder(folder: Path) -> KeptModel:
    """The model in a folder of MLflow's or of ``workbench export``.

    Raises:
        Unusable: The folder has no model; or see ``KeptModel``.
    """
    with explained():
        if not (folder / DESCRIPTION).is_file():
            raise Unusable(
                f"{folder} has no {DESCRIPTION}: it holds no model of `workbench export`."
            )
        description = kept.read_description(folder / DESCRIPTION)
        weights = kept.read_checked(folder / WEIGHTS, folder / DESCRIPTION)
    role = "" if description.role == Role.SEARCH else f"{description.role}/"
    name = f"{description.study}/{role}{description.trial}"
    if description.backbone["name"] == IN_FOLDER:
        backbone = {**description.backbone, "name": str(folder.absolute())}
        description = replace(description, backbone=backbone)
        # Transformers' own file: its names have no prefix.
        weights = {f"{PREFIX}{tensor}": value for tensor, value in weights.items()}
    return KeptModel(name, description, weights)


@contextmanager
def explained() -> Iterator[None]:
    """Errors about a model or data as ``Unusable``."""
    try:
        yield
    except Unusable:
        raise
    except (ValueError, OSError) as error:
        raise Unusable(str(error)) from error


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
