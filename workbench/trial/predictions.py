"""The table of a confirmation run's predictions on the test split, among its artifacts.

```
sample            number in the whole data set; rows in the order of the test split
name              if the data set has names
target            name of the true class; target/COLUMN for labels (true or false) and numbers
predicted         name of the class predicted; predicted/COLUMN for labels and numbers
probability/NAME  of each class or label; if these are too many, only ``confidence``, the
                  probability of the predicted class
output/I          of a user's own task, whose predictions have another shape
score             the sample's part of the objective's metric; its mean is the test value. Only if
                  the metric is a mean over samples
```
Equal outputs give equal bytes with the same version of pyarrow.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from workbench.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow

    from workbench.datasets import Data

FILE = "predictions.parquet"
# Most probabilities in a table; 50,000 samples of 1,000 classes would take 200 MB a run.
MAX_PROBABILITIES = 10_000_000


def table(
    data: Data, task: Task, *, target: str, outputs: Tensor, scores: Tensor | None
) -> pyarrow.Table:
    """The table of a test.

    Args:
        data: With its test part of N samples.
        task: Of the trial.
        target: What it predicts; see ``datasets.samples.TARGETS``.
        outputs: Of the model for that part, ``[N, O]``.
        scores: ``float64 [N]``; see ``tasks.scores_of``.
    """
    import pyarrow

    part = data.test
    assert part is not None
    numbers = part.index.tolist()
    columns: dict[str, Any] = {"sample": part.index.numpy()}
    if data.names is not None:
        columns["name"] = [data.names[number] for number in numbers]
    columns |= _targets(part.targets.cpu(), target, data.classes)
    columns |= _predicted(task, target, data.classes, outputs)
    if scores is not None:
        columns["score"] = scores.numpy()
    return pyarrow.table(columns)


def content(predictions: pyarrow.Table) -> bytes:
    """A table as a Parquet file."""
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(predictions, buffer, compression="zstd")
    return buffer.getvalue()


def _targets(targets: Tensor, target: str, classes: tuple[str, ...]) -> dict[str, Any]:
    if target == "class":
        return {"target": [classes[label] for label in targets.tolist()]}
    values = targets > 0.5 if target == "labels" else targets
    return {f"target/{name}": values[:, i].numpy() for i, name in enumerate(classes)}


def _predicted(
    task: Task, target: str, classes: tuple[str, ...], outputs: Tensor
) -> dict[str, Any]:
    values = task.predictions(outputs).detach().cpu().float()
    if tuple(values.shape) != (len(outputs), len(classes)):
        flat = values.reshape(len(outputs), -1)
        return {f"output/{i}": flat[:, i].numpy() for i in range(flat.shape[1])}
    if target == "numbers":
        return {f"predicted/{name}": values[:, i].numpy() for i, name in enumerate(classes)}
    each = {f"probability/{name}": values[:, i].numpy() for i, name in enumerate(classes)}
    if target == "labels":
        chosen = values >= task.threshold
        decisions = {f"predicted/{name}": chosen[:, i].numpy() for i, name in enumerate(classes)}
        return decisions | (each if values.numel() <= MAX_PROBABILITIES else {})
    confidence, label = torch.max(values, dim=1)
    predicted = {"predicted": [classes[number] for number in label.tolist()]}
    if values.numel() > MAX_PROBABILITIES:
        each = {"confidence": confidence.numpy()}
    return predicted | each
