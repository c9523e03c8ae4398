"""The table of a test: what stands in it for every kind of target."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from workbench import tasks
from workbench.datasets.samples import Data, Part, Tensors
from workbench.tasks.task import Task
from workbench.trial import predictions

CLASSES = ("red", "round")
OUTPUTS = torch.tensor([[0.0, 2.0], [-1.0, -3.0], [4.0, 0.5]])


def table(
    name: str,
    targets: Tensor,
    *,
    names: dict[int, str] | None = None,
    scores: Tensor | None = None,
    **options: Any,
) -> pd.DataFrame:
    task = tasks.build({"name": name, **options}, CLASSES, targets)
    return written(task, targets, tasks.target_of({"name": name}), names, scores)


def written(
    task: Task,
    targets: Tensor,
    target: str,
    names: dict[int, str] | None = None,
    scores: Tensor | None = None,
) -> pd.DataFrame:
    part = Part(inputs=Tensors(OUTPUTS), targets=targets, index=torch.tensor([3, 5, 8]))
    data = Data(
        kind="vector",
        train=part,
        validation=part,
        test=part,
        classes=CLASSES,
        input_shape=(2,),
        digest="",
        names=names,
    )
    found = predictions.table(data, task, target=target, outputs=OUTPUTS, scores=scores)
    return pd.read_parquet(io.BytesIO(predictions.content(found)))


def test_classes_are_named_and_have_a_probability_each() -> None:
    scores = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    names = {3: "a.png", 5: "b.png", 8: "c.png", 9: "another"}
    found = table("classification", torch.tensor([1, 0, 1]), names=names, scores=scores)
    assert list(found.columns) == [
        *("sample", "name", "target", "predicted"),
        *("probability/red", "probability/round", "score"),
    ]
    assert found["sample"].tolist() == [3, 5, 8]
    assert found["name"].tolist() == ["a.png", "b.png", "c.png"]
    assert found["target"].tolist() == ["round", "red", "round"]
    assert found["predicted"].tolist() == ["round", "red", "red"]
    assert found["probability/red"].to_numpy() == pytest.approx(OUTPUTS.softmax(1)[:, 0].numpy())
    assert found["score"].tolist() == [1.0, 1.0, 0.0]


def test_of_very_many_classes_the_confidence_alone_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predictions, "MAX_PROBABILITIES", 5)
    found = table("classification", torch.tensor([1, 0, 1]))
    assert list(found.columns) == ["sample", "target", "predicted", "confidence"]
    assert found["confidence"].to_numpy() == pytest.approx(OUTPUTS.softmax(1).amax(1).numpy())


def test_labels_are_true_or_false_from_the_tasks_threshold_on() -> None:
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    found = table("multilabel", targets, threshold=0.6)
    assert list(found.columns) == [
        "sample",
        *("target/red", "target/round", "predicted/red", "predicted/round"),
        *("probability/red", "probability/round"),
    ]
    assert found["target/red"].tolist() == [True, False, True]
    assert found["predicted/red"].tolist() == [False, False, True]
    assert found["predicted/round"].tolist() == [True, False, True]


def test_numbers_are_in_the_units_of_the_data() -> None:
    targets = torch.tensor([[10.0, 1.0], [30.0, 3.0], [20.0, 2.0]])
    found = table("regression", targets)
    assert list(found.columns) == [
        "sample",
        *("target/red", "target/round", "predicted/red", "predicted/round"),
    ]
    assert found["target/red"].tolist() == [10.0, 30.0, 20.0]
    spread = targets[:, 0].std(correction=0)
    assert found["predicted/red"].to_numpy() == pytest.approx((20 + OUTPUTS[:, 0] * spread).numpy())


def test_outputs_that_are_no_classes_are_kept_as_they_are() -> None:
    class Own:
        """A user's task, with more outputs than classes."""

        def predictions(self, outputs: Tensor) -> Tensor:
            return torch.cat([outputs, outputs], dim=1)

    own: Any = Own()
    found = written(own, torch.tensor([1, 0, 1]), "class")
    assert list(found.columns) == ["sample", "target", *(f"output/{i}" for i in range(4))]
    assert found["output/3"].tolist() == OUTPUTS[:, 1].tolist()
