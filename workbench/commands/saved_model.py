"""A fine-tuned model ready to predict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from workbench import backbones, tasks, usercode
from workbench.backbones import hub, transformers_models
from workbench.commands.predictions import Predictions, table
from workbench.datasets.preparation import Preparation
from workbench.datasets.unlabelled import New, labels_of, own_data, read_unlabelled
from workbench.engine import batches, inference
from workbench.engine.devices import choose_device
from workbench.record import Role
from workbench.record.strategy import Knobs
from workbench.tracker.models import DESCRIPTION, WEIGHTS
from workbench.trial import code, saved_weights
from workbench.trial.saved_weights import Description

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch, Inputs

# A backbone of transformers whose configuration and tokenizer are in the folder of the model.
IN_FOLDER = "./"
NewData = New | str | Sequence[str] | pd.Series


class ModelError(ValueError):
    """The trial, its weights or the data cannot be used; the message says which, and why."""


class SavedModel(nn.Module):
    """A fine-tuned model in evaluation mode, ready to predict.

    As a module it takes what ``read`` has prepared, or a batch of it; it returns ``[N, O]``.

    Attributes:
        name: ``STUDY/STRATEGY/NUMBER``, or with its role.
        measured: Of a confirmed model: its test value, and the mean over seeds; else empty.
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
        measured: str = "",
    ) -> None:
        """Build the model.

        Args:
            name: See the class.
            description: With the current paths of the files that it names.
            weights: State dict of ``network``.
            targets: Of the training part, which a user's own task may need.
            device: As in a plan.
            measured: See the class.

        Raises:
            ModelError: The backbone or its code is missing or has changed, or the weights do not
                fit.
        """
        super().__init__()
        self.name, self.description, self.measured = name, description, measured
        prepared = description.preparation
        with explained():
            # Changed code would load the weights and compute something else with them.
            code.require_planned(description.code)
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

    def forward(self, batch: Batch | Inputs) -> Tensor:
        """Outputs ``[B, O]`` on ``device``, of a batch or of all that ``read`` has prepared."""
        if not isinstance(batch, Tensor | dict):
            batch = batch[torch.arange(len(batch))]
        outputs: Tensor = self.network(batches.to_device(batch, self.device))
        return outputs

    def extra_repr(self) -> str:
        """For ``print``."""
        return f"{self.name} on {self.device}"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, the labels or the columns, in the order of the outputs."""
        return self.description.classes

    def read(self, data: NewData) -> tuple[Inputs, tuple[str, ...]]:
        """New samples, prepared as the model takes them, and their names.

        Args:
            data: A path, a table or an array, see ``datasets.unlabelled.read_unlabelled``; for
                texts also a list or a column of them.

        Raises:
            ModelError: The data do not fit the trial's.
            TypeError: They are none of these.
        """
        prepared = self.description.preparation
        with explained():
            inputs, names = read_unlabelled(prepared, _new(data, prepared))
            if not names:
                raise ModelError("No sample to predict.")
            backbone = self.description.backbone
            return backbones.prepare_inputs(backbone, prepared.kind, inputs), names

    def predict(self, data: NewData) -> Predictions:
        """Predictions for new data; see ``read``."""
        inputs, names = self.read(data)
        with explained():
            outputs = inference.outputs_of(
                self.network, inputs, device=self.device, precision=self.description.precision
            ).cpu()
            target = self.description.target
            found = table(self.task, target, self.classes, outputs, names)
            found = replace(found, model=self.name, measured=self.measured)
            if not isinstance(data, Path | str):
                return found
            dataset = self.description.preparation.dataset
            labels = labels_of(dataset, Path(data), names, target, self.classes)
            if labels is None:
                return found
            if isinstance(labels, str):
                return replace(found, unscored=labels)
            unscored = own_data(dataset, Path(data))
            scores = {} if unscored else self.task.metrics(outputs, labels)
            return replace(found, scores=scores, unscored=unscored)


def _new(data: NewData, preparation: Preparation) -> New:
    if isinstance(data, Path | str):
        return Path(data)
    texts = preparation.kind == "text"
    if texts and isinstance(data, list | tuple | pd.Series | np.ndarray):
        return pd.DataFrame(dict.fromkeys(preparation.columns or (), pd.Series(data, dtype=object)))
    if isinstance(data, pd.DataFrame | np.ndarray):
        return data
    other = "a list of texts" if texts else "a NumPy array"
    raise TypeError(
        f"New samples are a path, a pandas table or {other}; this is a {type(data).__name__}."
    )


def _targets(description: Description) -> Tensor | None:
    """Targets with the mean and standard deviation of the training part; None without numbers."""
    if description.targets is None:
        return None
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in description.targets)
    return torch.stack([mean - std, mean + std])


def load_folder(folder: Path) -> SavedModel:
    """The model in a folder of MLflow's or of ``workbench export``.

    Raises:
        ModelError: The folder has no model; or see ``SavedModel``.
    """
    with explained():
        if not (folder / DESCRIPTION).is_file():
            raise ModelError(
                f"{folder} has no {DESCRIPTION}: it holds no model of `workbench export`."
            )
        description = saved_weights.read_description(folder / DESCRIPTION)
        weights: Mapping[str, Tensor] = saved_weights.read_checked(
            folder / WEIGHTS,
            folder / DESCRIPTION,
            remedy="Without one, export the model again.",
        )
    role = "" if description.role == Role.SEARCH else f"{description.role}/"
    name = f"{description.study}/{role}{description.trial}"
    description = _in_folder(description, folder.absolute())
    if description.backbone["name"] == IN_FOLDER:
        backbone = {**description.backbone, "name": str(folder.absolute())}
        description = replace(description, backbone=backbone)
        with explained():
            # In a file tensors may have the names of older versions, which transformers translates.
            weights = transformers_models.pretrained(source="hub", model=backbone["name"]).tensors
    return SavedModel(name, description, weights)


def _in_folder(description: Description, folder: Path) -> Description:
    """With the paths of the files that ``workbench export`` has copied into a folder."""

    def located(knobs: Knobs) -> Knobs:
        return {
            key: usercode.located(value, folder) if usercode.is_reference(value) else value
            for key, value in knobs.items()
        }

    return replace(
        description,
        backbone=located(description.backbone),
        task=located(description.task),
        code={
            name if hub.is_hub(name) else str(folder / name): digest
            for name, digest in description.code.items()
        },
    )


@contextmanager
def explained() -> Iterator[None]:
    """Errors about a model or data as ``ModelError``."""
    try:
        yield
    except ModelError:
        raise
    except (ValueError, OSError) as error:
        raise ModelError(str(error)) from error
