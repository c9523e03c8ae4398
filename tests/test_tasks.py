"""Classification's loss and metrics, checked against scikit-learn and by hand."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor
from torch.nn import functional

from workbench import tasks
from workbench.tasks import TASKS

CLASSES = ("a", "b", "c", "d")


def logits_for(predictions: Tensor) -> Tensor:
    return functional.one_hot(predictions, len(CLASSES)).float() * 3.0


def test_the_metrics_are_the_macro_averages_worked_out_by_hand() -> None:
    # Two of three a right, one b right but one a taken for b, no c, the only d taken for a.
    targets, predictions = torch.tensor([0, 0, 0, 1, 3]), torch.tensor([0, 0, 1, 1, 0])
    task = tasks.build({"name": "classification"}, CLASSES)
    assert task.metrics(logits_for(predictions), targets) == pytest.approx(
        {
            "accuracy": 3 / 5,
            "precision": (2 / 3 + 1 / 2 + 0 + 0) / 4,
            "recall": (2 / 3 + 1 + 0 + 0) / 4,
            "f1": (2 / 3 + 2 / 3 + 0 + 0) / 4,
        }
    )


def test_perfect_predictions_score_one() -> None:
    targets = torch.arange(4).repeat(5)
    task = tasks.build({"name": "classification"}, CLASSES)
    assert set(task.metrics(logits_for(targets), targets).values()) == {1.0}


def test_the_confusion_has_a_row_per_true_class() -> None:
    targets, predictions = torch.tensor([0, 0, 1, 3]), torch.tensor([0, 2, 1, 1])
    task = tasks.build({"name": "classification"}, CLASSES)
    assert task.confusion(logits_for(predictions), targets) == [
        [1, 0, 1, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
    ]
    assert (
        task.confusion(logits_for(predictions), targets)
        == confusion_matrix(targets, predictions, labels=range(4)).tolist()
    )


def test_the_loss_spreads_the_smoothed_part_of_the_target_over_all_classes() -> None:
    outputs, targets = torch.randn(6, 4), torch.randint(4, (6,))
    task = tasks.build({"name": "classification", "label_smoothing": 0.2}, CLASSES)
    spread = 0.8 * functional.one_hot(targets, 4) + 0.2 / 4
    expected = -(spread * outputs.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(task.loss(outputs, targets), expected)


@pytest.mark.parametrize("name", TASKS)
def test_the_catalogue_names_exactly_the_metrics_that_a_task_gives(name: str) -> None:
    task = tasks.build({"name": name}, CLASSES)
    outputs = torch.randn(5, task.outputs)
    got = task.metrics(outputs, torch.tensor([0, 1, 2, 3, 0]))
    assert {"loss", *got} == set(TASKS[name].metrics)
    assert set(TASKS[name].metrics.values()) <= {"maximize", "minimize"}


def test_a_classification_has_an_output_per_class() -> None:
    assert tasks.build({"name": "classification"}, CLASSES).outputs == 4


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"name": "classifcation"}, "no task 'classifcation'; the tasks are classification"),
        (
            {"name": "classification", "smoothing": 0.1},
            "no option smoothing; its options are label",
        ),
        ({"name": "classification", "label_smoothing": 1.0}, "at least 0 and below 1"),
    ],
)
def test_a_wrong_task_is_refused_with_what_is_valid(task: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.build(task, CLASSES)
