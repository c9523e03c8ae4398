"""Outputs of a model as a table for people; used by ``predict``."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.messages import counted
from workbench.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """A table, a row for each sample.

    Attributes:
        columns: ``name``; for classes and labels ``predicted``, ``confidence`` and a probability
            for each class; for numbers each column in its own units.
        rows: In the order of the data.
        model: The trial that kept it: ``STUDY/STRATEGY/NUMBER``, or with its role.
        measured: What the model reached; see ``SavedModel``.
        scores: The task's metrics, where the data have labels; see ``labels_of``.
        unscored: Why data with labels have no scores; see ``own_data``.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    model: str = ""
    measured: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    unscored: str = ""

    def frame(self) -> pd.DataFrame:
        """The same as a pandas table."""
        return pd.DataFrame(self.rows, columns=list(self.columns))

    def __repr__(self) -> str:
        scores = "".join(f", {name} {value:.4f}" for name, value in self.scores.items())
        unscored = f"\nNo scores: {self.unscored}." if self.unscored else ""
        count = counted(len(self.rows), "prediction")
        return f"{self.frame()}\n{count} of {self.model}{scores}{unscored}"

    def _repr_html_(self) -> str:
        """For a notebook."""
        table: str = self.frame().to_html(max_rows=20, max_cols=12)
        return table

    def write(self, file: TextIO) -> None:
        """Write CSV."""
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)


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
        ValueError: A user's own task predicts something else than one number for each class.
    """
    values = task.predictions(outputs)
    if values.shape[1:] != (len(classes),):
        raise ValueError(
            f"The task's predictions have the shape {tuple(values.shape)}; expected one number "
            f"for each of {', '.join(classes)}."
        )
    if target == "numbers":
        rows = [(name, *row) for name, row in zip(names, _shortest(values), strict=True)]
        return Predictions(columns=("name", *classes), rows=rows)
    decisions = _classes(values, classes) if target == "class" else _labels(values, classes, task)
    rows = [
        (name, *decision, *row)
        for name, decision, row in zip(names, decisions, _shortest(values), strict=True)
    ]
    return Predictions(columns=("name", "predicted", "confidence", *classes), rows=rows)


def _shortest(values: Tensor) -> list[Any]:
    """Numbers with the fewest digits that restore each ``float32``: 0.3, not 0.30000001192."""
    if values.dtype != torch.float32:
        return values.tolist()
    found: list[Any] = values.numpy().astype(str).astype(np.float64).tolist()
    return found


def _classes(values: Tensor, classes: Sequence[str]) -> Iterator[tuple[str, float]]:
    confidence, label = values.max(dim=1)
    for number, share in zip(label.tolist(), _shortest(confidence), strict=True):
        yield classes[number], share


def _labels(values: Tensor, classes: Sequence[str], task: Task) -> Iterator[tuple[str, float]]:
    """Every label predicted, with ``;`` between them; the confidence is that of the least sure."""
    threshold = task.threshold
    sure = torch.where(values >= threshold, values, 1 - values).amin(dim=1)
    for row, share in zip((values >= threshold).tolist(), _shortest(sure), strict=True):
        yield ";".join(name for name, given in zip(classes, row, strict=True) if given), share
