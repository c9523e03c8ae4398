"""The five reference systems, run for real by their shipped study files.

Data and weights are small, but lie on disk as the true ones do and come through the same loaders;
what is overridden is how much is trained, never how.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from safetensors.torch import load_file
from torchvision.models import ResNet18_Weights, resnet18
from typer.testing import CliRunner

from tests.support import tiny_bert, torchvision_files
from workbench import record, report
from workbench.cli.app import app
from workbench.commands import report as publish
from workbench.record import State, TrialDirectory, TrialSpec
from workbench.record.strategy import Plan
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.study import Study
from workbench.tracker import Tracker

pytestmark = pytest.mark.slow

STUDIES = Path(__file__).parent.parent / "studies"


@pytest.fixture
def home(stored: Path) -> Path:
    return stored


@pytest.fixture
def places(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where data sets and weights are looked for, both empty; an empty store is kept elsewhere."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "data").mkdir()
    return tmp_path


@pytest.fixture
def planted_resnet18(places: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """A checkpoint where torchvision keeps the one that it downloads."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = resnet18().state_dict()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    name = f"resnet18-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    path = places / "torch/hub/checkpoints" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(buffer.getvalue())
    monkeypatch.setattr(ResNet18_Weights.DEFAULT._value_, "url", f"https://x.invalid/{name}")
    return state


def run(home: Path, name: str, *overrides: str) -> list[tuple[TrialDirectory, TrialSpec]]:
    """Run a shipped study in this process, and give its trials; a report has some to show."""
    arguments = ["run", str(STUDIES / f"{name}.yaml"), "--home", str(home), "--inline"]
    for override in overrides:
        arguments += ["--set", override]
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 0, ran.output
    study = record.study_directory(home, name)
    assert report.compose(publish.material(Tracker(home), name, study)).summary.content["usable"]
    trials = record.scan(study)
    for directory, spec in trials:
        result = directory.result()
        assert result is not None and result.state is State.COMPLETE, f"{spec.name}: {result}"
    return trials


def reference(name: str, home: Path) -> Plan:
    """The plan of a shipped study's default as it stands, without any override."""
    config = load(STUDIES / f"{name}.yaml")
    return Study(config, home, pending=True).strategies[0].plan


def only(plan: Plan) -> dict[str, Any]:
    """The one phase of a plan in short."""
    (phase,) = plan.phases
    return {
        "optimizer": phase.optimizer,
        "learning_rate": phase.learning_rate,
        "weight_decay": phase.weight_decay,
        "momentum": phase.options.get("momentum"),
        "epochs": phase.epochs,
        "batch_size": plan.batch_size,
    }


def test_resnet18_fine_tunes_on_cifar10_with_imagenet_weights(
    places: Path,
    home: Path,
    planted_resnet18: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = reference("cifar10_resnet18", home)
    torchvision_files.packed_cifar10(places / "data" / "cifar10", monkeypatch)
    assert only(plan) == {
        "optimizer": "sgd",
        "learning_rate": 1e-3,
        "weight_decay": 5e-4,
        "momentum": 0.9,
        "epochs": 10,
        "batch_size": 100,
    }
    assert plan.augmentation == (
        {"random_horizontal_flip": {}},
        {"random_crop": {"size": 32, "padding": 4}},
    )
    assert (plan.dataset["mean"], plan.dataset["std"]) == (0.5, 0.5)
    trials = run(
        home,
        "cifar10_resnet18",
        "recipe.dataset.validation=20",
        "recipe.epochs=1",
        "recipe.batch_size=20",
        "search.trials_per_strategy=1",
    )
    assert [spec.strategy for _, spec in trials] == ["adam", "adamw", "sgd"]
    kept = load_file(trials[-1][0].weights)
    moved = (kept["conv1.weight"] - planted_resnet18["conv1.weight"]).abs().max().item()
    assert 0 < moved < 0.05, "fine-tuned from the planted weights, not from others"


def test_a_new_head_is_trained_on_a_frozen_resnet18(
    places: Path,
    home: Path,
    planted_resnet18: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = reference("cifar10_linear_probe", home)
    torchvision_files.cifar10(places / "data" / "cifar10", monkeypatch)
    found = only(plan)
    assert (found["optimizer"], found["learning_rate"], found["momentum"]) == ("sgd", 1e-3, 0.9)
    assert (found["epochs"], found["batch_size"], plan.phases[0].freeze_depth) == (2, 4, 5)
    trials = run(
        home,
        "cifar10_linear_probe",
        "recipe.dataset.validation=20",
        "recipe.dataset.train_per_class=3",
        "search.trials_per_strategy=1",
    )
    for directory, _ in trials:
        kept = load_file(directory.weights)
        body = [name for name in planted_resnet18 if not name.startswith("fc.")]
        assert all(torch.equal(kept[name], planted_resnet18[name]) for name in body)
        assert kept["fc.weight"].shape == (10, 512)


def test_bert_is_fine_tuned_on_texts_with_attention_masks(places: Path, home: Path) -> None:
    bert = tiny_bert.save(places / "bert", layers=12)
    texts = [f"a {word} film" for word in ("fine", "great", "bad", "dull") * 10]
    labels = [int(number % 4 < 2) for number in range(40)]
    rows = {"text": texts, "label": labels}
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    reviews = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict(train=reviews, validation=reviews, test=reviews).save_to_disk(
        str(places / "reviews")
    )
    config = load(STUDIES / "text_bert.yaml")
    assert config.recipe["backbone"]["name"] == "bert-base-uncased"
    assert config.recipe["optimizer"] == "adamw"
    assert config.tune[0].entries[0].default == 2e-5
    trials = run(
        home,
        "text_bert",
        f"recipe.backbone.name={bert}",
        "recipe.backbone.max_length=32",
        "recipe.batch_size=8",
        f"recipe.dataset={{name: hub, path: {places / 'reviews'}, text: text, label: label}}",
        "recipe.epochs=1",
        "search.trials_per_strategy=1",
    )
    assert [spec.strategy for _, spec in trials] == ["full", "layerwise", "upper"]
    for directory, spec in trials:
        assert len(directory.history()) == 4, "a report every quarter of an epoch"
        assert spec.plan.phases[0].learning_rate == 2e-5
    depths = [spec.plan.phases[0].freeze_depth for _, spec in trials]
    assert depths == [0, 0, 7]


def test_an_mlp_learns_half_of_mnist_and_goes_on_with_the_other_half(
    places: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mnist_mlp_pretrain", "mnist_mlp"):
        found = only(reference(name, home))
        assert (found["optimizer"], found["learning_rate"], found["epochs"]) == ("sgd", 1e-2, 10)
    # As many as the studies ask for: the first one runs as it is shipped.
    torchvision_files.packed_mnist(places / "data" / "mnist", monkeypatch, train=13_000, test=20)
    trials = run(home, "mnist_mlp", "search.trials_per_strategy=1")
    first = record.scan(record.study_directory(home, "mnist_mlp_pretrain"))
    assert first, "the study that the weights come from has run"
    for directory, _ in trials:
        shapes = {name: tuple(value.shape) for name, value in load_file(directory.weights).items()}
        assert shapes["hidden1.0.weight"] == (128, 784)
        assert shapes["hidden2.0.weight"] == (128, 128)
        assert shapes["head.weight"] == (10, 128)


def test_an_mlp_from_a_checkpoint_file_is_trained_by_sgd_and_then_by_adam(home: Path) -> None:
    plan = reference("mlp_two_phase", home)
    sgd, adam = plan.phases
    assert (sgd.optimizer, sgd.learning_rate, sgd.options["momentum"]) == ("sgd", 1e-2, 0.9)
    assert (adam.optimizer, adam.learning_rate) == ("adam", 1e-3)
    assert (sgd.epochs, adam.epochs) == (10, 10)
    trials = run(home, "mlp_two_phase", "search.trials_per_strategy=1")
    phases = [[line.phase for line in directory.history()] for directory, _ in trials]
    assert phases == [["sgd"] * 20, ["sgd"] * 10 + ["adam"] * 10]


@pytest.mark.parametrize("name", ["cifar10_resnet18", "text_bert", "mnist_mlp"])
def test_without_data_or_a_network_one_sentence_says_what_to_do(
    places: Path, home: Path, name: str
) -> None:
    config = load(STUDIES / f"{name}.yaml")
    study = Study(config, home, pending=True)
    check(study)
    assert study.inputs.absent
    for sentence in study.inputs.absent:
        assert "\n" not in sentence and len(sentence) < 400
