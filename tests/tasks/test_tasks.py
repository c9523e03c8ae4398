"""Every task's loss, metrics and examination, checked against scikit-learn and by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer.main
from sklearn.metrics import (
    confusion_matrix,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    root_mean_squared_error,
)
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional

from workbench import tasks
from workbench.cli.app import app
from workbench.commands.check import check_file
from workbench.tasks import TASKS
from workbench.tasks.task import Task
from workbench.usercode import UserCodeError

CLASSES = ("a", "b", "c", "d")
LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2, 3])
GIVEN = torch.tensor([[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 1, 0], [1, 0, 1, 1]]).float()
NUMBERS = torch.tensor([[1.0, 100, 0, 5], [2, 300, 0, 5], [6, 200, 1, 5], [3, 400, 0, 5]])
TARGETS = {"class": LABELS, "labels": GIVEN, "numbers": NUMBERS}

WriteFile = Callable[[str], Path]


@pytest.fixture
def write_code(tmp_path: Path) -> WriteFile:
    """Writes a user's file; gives its path."""

    def write(text: str) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(text)
        return path

    return write


def build(name: str, **options: Any) -> Task:
    """A task on its usual targets."""
    target = TASKS[name].target if name in TASKS else "class"
    return tasks.build({"name": name, **options}, CLASSES, TARGETS[target])


def targets_of(name: str) -> Tensor:
    return TARGETS[TASKS[name].target]


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


@pytest.mark.parametrize("classes", [4, 40])
def test_the_metrics_and_the_confusion_equal_those_of_scikit_learn_bit_for_bit(
    classes: int,
) -> None:
    draw = torch.Generator().manual_seed(classes)
    names = [str(number) for number in range(classes)]
    task = tasks.build({"name": "classification"}, names)
    for samples in (1, 30, 333):
        outputs = torch.randn(samples, classes, generator=draw)
        targets = torch.randint(classes - 1, (samples,), generator=draw)
        predicted, labels = outputs.argmax(dim=1), range(classes)
        macro = precision_recall_fscore_support(
            targets, predicted, labels=labels, average="macro", zero_division=0.0
        )
        accuracy = (predicted == targets).numpy().mean()
        assert list(task.metrics(outputs, targets).values()) == [accuracy, *macro[:3]]
        expected = confusion_matrix(targets, predicted, labels=labels).tolist()
        assert task.confusion(outputs, targets) == expected


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
    task, targets = build(name), targets_of(name)
    got = task.metrics(torch.randn(len(targets), task.outputs), targets)
    assert {"loss", *got} == set(TASKS[name].metrics)
    assert set(TASKS[name].metrics.values()) <= {"maximize", "minimize"}
    assert TASKS[name].objective in TASKS[name].metrics
    assert tasks.metrics_of({"name": name}) == TASKS[name].metrics


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_an_output_per_class_and_takes_soft_targets_as_hard_ones(name: str) -> None:
    task, targets = build(name), targets_of(name)
    assert task.outputs == 4
    outputs = torch.randn(len(targets), 4)
    soft = task.soft(targets)
    assert soft.shape == outputs.shape and soft.dtype == torch.float32
    torch.testing.assert_close(task.loss(outputs, soft), task.loss(outputs, targets))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_works_on_half_precision_outputs(name: str) -> None:
    task, targets = build(name), targets_of(name)
    outputs = torch.randn(len(targets), 4).bfloat16()
    assert torch.isfinite(task.loss(outputs, targets))
    assert task.predictions(outputs).dtype == torch.float32
    assert task.examine(outputs, targets).scores


@pytest.mark.parametrize(
    ("name", "options", "means"),
    [
        ("classification", {}, {"loss", "accuracy"}),
        ("classification", {"label_smoothing": 0.1}, {"loss", "accuracy"}),
        # A weighted loss is no plain mean over samples.
        ("classification", {"class_weights": "balanced"}, {"accuracy"}),
        ("multilabel", {}, {"loss", "subset_accuracy"}),
        ("multilabel", {"class_weights": [1, 2, 3, 4]}, {"loss", "subset_accuracy"}),
        ("regression", {}, {"loss", "mae"}),
        ("regression", {"loss": "mae"}, {"loss", "mae"}),
        ("regression", {"loss": "huber", "delta": 0.5}, {"loss", "mae"}),
    ],
)
def test_scores_of_the_samples_make_exactly_the_metrics_that_are_means_over_them(
    name: str, options: dict[str, Any], means: set[str]
) -> None:
    task, targets = build(name, **options), targets_of(name)
    outputs = torch.randn(len(targets), 4)
    values = {"loss": float(task.loss(outputs, targets)), **task.metrics(outputs, targets)}
    found = {m: tasks.scores_of(task, m, outputs, targets) for m in TASKS[name].metrics}
    assert {metric for metric, scores in found.items() if scores is not None} == means
    for metric in means:
        scores = found[metric]
        assert scores is not None and scores.dtype == torch.float64
        assert scores.shape == (len(targets),)
        assert float(scores.mean()) == pytest.approx(values[metric], rel=1e-6)


def test_a_users_metric_is_no_mean_and_leaves_the_tasks_own_scores(write_code: WriteFile) -> None:
    path = write_code("def mine(predictions, targets):\n    return 0.5\n")
    task, outputs = build("classification", metrics=[f"{path}:mine"]), torch.randn(8, 4)
    assert tasks.scores_of(task, "mine", outputs, LABELS) is None
    assert tasks.scores_of(task, "accuracy", outputs, LABELS) is not None


@pytest.mark.parametrize("name", TASKS)
def test_an_examination_is_plain_data_with_a_row_for_each_class(name: str) -> None:
    task, targets = build(name), targets_of(name)
    found = task.examine(torch.randn(len(targets), 4), targets)
    heading = "column" if name == "regression" else "class"
    assert [row[heading] for row in found.scores] == list(CLASSES)
    assert 0 < len(found.mistakes) <= 20
    values = [v for row in (*found.scores, *found.mistakes) for v in row.values()]
    assert {type(value) for value in values} <= {str, int, float, list, dict}


# Classification


def test_the_loss_without_weights_is_that_of_torch_to_the_last_bit() -> None:
    outputs, targets = torch.randn(8, 4), LABELS
    assert torch.equal(
        build("classification").loss(outputs, targets), functional.cross_entropy(outputs, targets)
    )


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    outputs = torch.randn(8, 4)
    weights = compute_class_weight("balanced", classes=np.arange(4), y=LABELS.numpy())
    expected = functional.cross_entropy(outputs, LABELS, weight=torch.tensor(weights).float())
    task = build("classification", class_weights="balanced")
    torch.testing.assert_close(task.loss(outputs, LABELS), expected)
    listed = build("classification", class_weights=weights.tolist())
    torch.testing.assert_close(listed.loss(outputs, LABELS), expected)


def test_weights_count_for_soft_targets_as_for_hard_ones_with_smoothing() -> None:
    task = build("classification", class_weights=[1.0, 2, 3, 4], label_smoothing=0.1)
    outputs = torch.randn(8, 4)
    torch.testing.assert_close(task.loss(outputs, task.soft(LABELS)), task.loss(outputs, LABELS))
    half = (task.soft(LABELS) + task.soft(LABELS.flip(0))) / 2
    assert task.loss(outputs, half) != task.loss(outputs, LABELS)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("classification", {"class_weights": [1.0, 2.0, 3.0, 4.0], "label_smoothing": 0.2}),
        ("classification", {"label_smoothing": 0.2}),
        ("multilabel", {"class_weights": [1.0, 2.0, 3.0, 4.0]}),
        ("regression", {"loss": "huber"}),
    ],
)
def test_the_parts_of_a_batch_make_the_loss_of_the_whole(
    name: str, options: dict[str, Any], soft: bool
) -> None:
    task, targets = build(name, **options), targets_of(name)
    if soft:
        targets = task.soft(targets)
        targets = 0.7 * targets + 0.3 * targets.flip(0)
    outputs = torch.randn(len(targets), 4)
    whole = torch.as_tensor(task.total_weight(targets))
    summed = sum(
        task.loss(outputs[rows], targets[rows]) * (task.total_weight(targets[rows]) / whole)
        for rows in (slice(0, 1), slice(1, None))
    )
    torch.testing.assert_close(summed, task.loss(outputs, targets))


def test_a_sample_weighs_one_unless_a_task_says_otherwise(write_code: WriteFile) -> None:
    assert all(build(name).total_weight(targets_of(name)[:3]) == 3 for name in TASKS)
    path = write_code(OWN_TASK)
    assert tasks.build({"name": f"{path}:Focal"}, CLASSES, LABELS).total_weight(LABELS) == 8
    weighing = path.with_name("weighing.py")
    weighing.write_text(
        f"{OWN_TASK}\n    def total_weight(self, targets):\n        return 1.0 + targets.sum()\n"
        "\ndef hits(predicted, true):\n    return 0.0\n"
    )
    for more in ({}, {"metrics": [f"{weighing}:hits"]}):
        task = tasks.build({"name": f"{weighing}:Focal", **more}, CLASSES, LABELS)
        assert task.total_weight(LABELS) == 1 + LABELS.sum()


def test_the_scores_of_each_class_are_those_of_scikit_learn() -> None:
    outputs, task = torch.randn(200, 4), build("classification")
    targets = torch.randint(4, (200,))
    expected = precision_recall_fscore_support(targets, outputs.argmax(dim=1))
    rows = task.examine(outputs, targets).scores
    for row, *numbers in zip(rows, *expected, strict=True):
        assert [row[key] for key in ("precision", "recall", "f1", "support")] == pytest.approx(
            numbers
        )


def test_the_mistakes_are_the_surest_wrong_answers_first() -> None:
    targets = torch.tensor([0, 1, 2, 3])
    outputs = torch.tensor([[5.0, 0, 0, 0], [2, 0, 0, 0], [0, 9, 0, 0], [0, 0, 0, 1]])
    found = build("classification").examine(outputs, targets).mistakes
    assert [row["position"] for row in found] == [2, 1]
    assert (found[0]["true"], found[0]["predicted"]) == ("c", "b")
    assert found[0]["confidence"] == pytest.approx(outputs[2].softmax(dim=0).max().item())


def test_at_most_twenty_mistakes_are_kept() -> None:
    found = build("classification").examine(torch.eye(4)[[1] * 30], torch.zeros(30).long())
    assert [row["position"] for row in found.mistakes] == list(range(20))


# Several labels


@pytest.mark.parametrize("seed", range(5))
def test_the_averages_over_labels_are_those_of_scikit_learn(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    outputs = torch.randn(30, 4, generator=draw)
    targets = (torch.rand(30, 4, generator=draw) < 0.3).float()
    targets[:, 3] = 0
    outputs[:, 3] = -1
    found = build("multilabel").metrics(outputs, targets)
    predicted = (outputs >= 0).numpy()
    assert found["subset_accuracy"] == pytest.approx((predicted == targets.numpy()).all(1).mean())
    for average, prefix in (("macro", ""), ("micro", "micro_")):
        scores = precision_recall_fscore_support(
            targets.numpy().astype(bool), predicted, average=average, zero_division=0.0
        )
        names = ("precision", "recall", "f1")
        assert [found[prefix + name] for name in names] == pytest.approx(scores[:3])


def test_a_label_is_predicted_from_the_threshold_on() -> None:
    outputs = torch.tensor([[0.0, -1, 1, -9]])
    targets = torch.tensor([[1.0, 0, 1, 0]])
    assert build("multilabel").metrics(outputs, targets)["subset_accuracy"] == 1
    strict = build("multilabel", threshold=0.6)
    assert strict.metrics(outputs, targets)["subset_accuracy"] == 0
    assert strict.examine(outputs, targets).mistakes == [
        {"position": 0, "true": ["a", "c"], "predicted": ["c"], "confidence": 0.5}
    ]


def test_balanced_labels_weigh_as_much_given_as_not_given() -> None:
    outputs = torch.randn(4, 4)
    targets = GIVEN.clone()
    targets[0, 3] = 0
    expected = functional.binary_cross_entropy_with_logits(
        outputs, targets, pos_weight=torch.tensor([1 / 3, 3, 1 / 3, 3])
    )
    task = build("multilabel", class_weights="balanced")
    torch.testing.assert_close(task.loss(outputs, targets), expected)


# Numbers


@pytest.mark.parametrize(
    ("loss", "function"),
    [
        ("mse", functional.mse_loss),
        ("mae", functional.l1_loss),
        ("huber", lambda a, b: functional.huber_loss(a, b, delta=0.5)),
    ],
)
def test_the_loss_is_in_standard_deviations_of_the_training_targets(
    loss: str, function: Callable[[Tensor, Tensor], Tensor]
) -> None:
    outputs = torch.randn(4, 4)
    mean, std = NUMBERS.mean(dim=0), NUMBERS.std(dim=0, correction=0)
    standard = (NUMBERS - mean) / torch.where(std > 0, std, 1.0)
    task = build("regression", loss=loss, delta=0.5)
    torch.testing.assert_close(task.loss(outputs, NUMBERS), function(outputs, standard))


def test_the_errors_are_those_of_scikit_learn_in_the_units_of_the_data() -> None:
    outputs = torch.randn(4, 4)
    task = build("regression")
    predicted = task.predictions(outputs)
    found = task.metrics(outputs, NUMBERS)
    true = NUMBERS.numpy()
    assert found["mae"] == pytest.approx(mean_absolute_error(true, predicted))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(true, predicted))
    assert found["r2"] == pytest.approx(r2_score(true, predicted))
    perfect = (NUMBERS - predicted + predicted - NUMBERS.mean(dim=0)) / torch.tensor(
        [*NUMBERS[:, :3].std(dim=0, correction=0), 1.0]
    )
    assert task.metrics(perfect, NUMBERS) == pytest.approx({"mae": 0, "rmse": 0, "r2": 1}, abs=1e-4)


def test_one_sample_has_a_finite_r2() -> None:
    assert build("regression").metrics(torch.zeros(1, 4), NUMBERS[:1])["r2"] == pytest.approx(0.25)


def test_the_largest_error_is_found_whatever_the_columns_units() -> None:
    task = build("regression")
    mean, std = NUMBERS.mean(dim=0), NUMBERS.std(dim=0, correction=0).clamp(min=1e-9)
    standard = torch.where(std > 1e-6, (NUMBERS - mean) / std, 0.0)
    standard[0, 1] += 0.5  # 56 units, half a standard deviation
    standard[2, 0] += 2.0  # 3.7 units, two standard deviations
    first, second = task.examine(standard, NUMBERS).mistakes[:2]
    assert (first["position"], second["position"]) == (2, 0)
    assert first["error"] == pytest.approx(2 * std[0].item(), rel=1e-4)
    assert second["true"] == {"a": 1, "b": 100, "c": 0, "d": 5}


# A user's own metrics and tasks


def test_a_users_metric_sees_probabilities_and_is_measured_beside_the_others(
    write_code: WriteFile,
) -> None:
    path = write_code(
        "import numpy as np\n"
        "def brier(probabilities, targets):\n"
        "    true = np.eye(probabilities.shape[1])[targets]\n"
        "    return ((probabilities - true) ** 2).sum(axis=1).mean()\n"
        "brier.direction = 'minimize'\n"
    )
    task = build("classification", metrics=[f"{path}:brier"])
    outputs = torch.randn(8, 4)
    true = functional.one_hot(LABELS, 4)
    expected = (outputs.softmax(dim=1) - true).square().sum(dim=1).mean()
    assert task.metrics(outputs, LABELS)["brier"] == pytest.approx(expected.item())
    assert "accuracy" in task.metrics(outputs, LABELS)
    known = tasks.metrics_of({"name": "classification", "metrics": [f"{path}:brier"]})
    assert known["brier"] == "minimize" and known["accuracy"] == "maximize"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("def m(o, t): return 1 / 0", "m", r"mine.py:1: m raised ZeroDivisionError"),
        ("def m(o, t): return 'high'", "m", r"mine.py:m returned 'high'; it must be a number"),
        ("def f1(o, t): return 1", "f1", "has the name of another metric, f1"),
        ("m = 3", "m", "m is a int; a metric must be a function"),
        ("def m(o, t): return 1\nm.direction = 'up'", "m", "'up'; .* maximize or minimize"),
    ],
)
def test_a_users_metric_that_is_none_is_refused(
    write_code: WriteFile, text: str, name: str, message: str
) -> None:
    path = write_code(text)
    with pytest.raises(ValueError, match=message):
        build("classification", metrics=[f"{path}:{name}"]).metrics(torch.randn(8, 4), LABELS)


def test_a_metric_that_is_no_reference_is_refused() -> None:
    with pytest.raises(ValueError, match=r"metrics: 'auc' .* \(FILE.py:NAME\)"):
        build("classification", metrics=["auc"])


OWN_TASK = """\
from torch.nn import functional

class Focal:
    target = "class"
    measures = {"hit": "maximize"}

    def __init__(self, *, classes, targets, gamma=2.0):
        self.gamma = gamma

    def loss(self, outputs, targets):
        wrong = 1 - outputs.softmax(1).gather(1, targets[:, None])[:, 0]
        losses = functional.cross_entropy(outputs, targets, reduction="none")
        return (wrong**self.gamma * losses).mean()

    def metrics(self, outputs, targets):
        return {"hit": (outputs.argmax(1) == targets).float().mean()}
"""


def test_a_users_task_needs_a_loss_and_gets_the_rest(write_code: WriteFile) -> None:
    name = f"{write_code(OWN_TASK)}:Focal"
    task = tasks.build({"name": name, "gamma": 0.0}, CLASSES, LABELS)
    outputs = torch.randn(8, 4)
    usual = build("classification")
    torch.testing.assert_close(task.loss(outputs, LABELS), usual.loss(outputs, LABELS))
    assert task.outputs == 4
    assert task.confusion(outputs, LABELS) == usual.confusion(outputs, LABELS)
    assert task.examine(outputs, LABELS) == usual.examine(outputs, LABELS)
    assert torch.equal(task.soft(LABELS), usual.soft(LABELS))
    assert task.metrics(outputs, LABELS).keys() == {"hit"}
    assert tasks.metrics_of({"name": name}) == {"loss": "minimize", "hit": "maximize"}
    assert tasks.target_of({"name": name}) == "class"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class Own:\n  def __init__(self, classes, targets): pass", "has no method loss"),
        ("class Own:\n  pass", "could not be called with classes, targets and the options none"),
        (
            OWN_TASK.replace("Focal", "Own").replace('"hit":', '"hits":', 1),
            "metrics returned hit, but measures declares hits",
        ),
        (
            OWN_TASK.replace("Focal", "Own").replace("maximize", "more"),
            r"measures\['hit'\] is 'more'; .* maximize or minimize",
        ),
    ],
)
def test_a_users_task_that_is_none_is_refused(
    write_code: WriteFile, text: str, message: str
) -> None:
    name = f"{write_code(text)}:Own"
    with pytest.raises(UserCodeError, match=message):
        task = tasks.build({"name": name}, CLASSES, LABELS)
        task.metrics(torch.randn(8, 4), LABELS)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"name": "classifcation"}, "did you mean classification"),
        (
            {"name": "classification", "smoothing": 0.1},
            "no option smoothing; its options are label",
        ),
        ({"name": "classification", "class_weights": [1.0, 2.0]}, "2 numbers, but there are 4: a"),
        ({"name": "multilabel", "class_weights": "balanced"}, "label b is given to no"),
    ],
)
def test_a_wrong_task_is_refused_with_what_is_valid(task: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.build(task, CLASSES, torch.eye(4)[[0, 2]])


def test_balanced_weights_need_a_sample_of_every_class() -> None:
    with pytest.raises(ValueError, match="class d has no training sample"):
        tasks.build(
            {"name": "classification", "class_weights": "balanced"}, CLASSES, torch.arange(3)
        )


# The page


PAGE = Path(__file__).parents[2] / "docs" / "tasks.md"


def test_the_page_names_every_task_with_its_options_and_metrics() -> None:
    text = PAGE.read_text()
    rows = {cells[0]: cells for cells in re.findall(r"^\| `(\w+)` (\|.*)$", text, re.M)}
    for name, entry in TASKS.items():
        row = rows[name][1]
        assert set(entry.metrics) - {"loss"} <= set(re.findall(r"`(\w+)`", row))
        assert f"**`{entry.objective}`**" in row
        for option in entry.options or {}:
            owners = rows[option][1]
            assert f"`{name}`" in owners or "every task" in owners, f"{option} of {name}"


def test_the_study_of_the_page_is_valid_and_compares_what_it_says(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    file = tmp_path / "study.yaml"
    file.write_text(text)
    study = check_file(file, [], tmp_path)[0].study
    assert [strategy.name for strategy in study.strategies] == ["plain", "weighted"]
    assert study.objective.metric == "validation/f1"


def test_the_commands_of_the_page_parse() -> None:
    (block,) = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    command = typer.main.get_command(app).commands["predict"]  # type: ignore[attr-defined]
    for line in block.splitlines():
        words = shlex.split(line.partition("#")[0].partition(">")[0])
        assert words[:2] == ["workbench", "predict"]
        command.make_context("predict", words[2:]).close()
