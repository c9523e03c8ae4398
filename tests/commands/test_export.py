"""Exported models predict what the trial's model predicts, without the home and the data set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_wine
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    ViTConfig,
    ViTForImageClassification,
)

import workbench as wb
from tests.support import tiny_bert
from tests.support.commands import call, works
from tests.support.mlflow_home import home_in
from tests.support.tiny import Unseen
from workbench.commands import program_export
from workbench.commands.program_export import Format
from workbench.commands.run import run_study
from workbench.commands.saved_model import ModelError
from workbench.driver.workers import InlineWorkers

TABLE = """\
# What does a stone weigh?
name: stones
recipe:
  dataset: {name: table, path: stones.csv, target: weight, validation: 20, test: 20}
  task: regression
  backbone: {name: mlp, hidden: [8]}
  epochs: 1
  batch_size: 16
tune:
  learning_rate: {low: 1e-3, high: 1e-1, log: true, default: 1e-2}
search: {trials: 1}
"""
TEXTS = """\
name: reviews
recipe:
  dataset: {name: text_table, path: reviews.csv, text: text, label: mood, validation: 20, test: 20}
  backbone: {name: ./bert, weights: hub, max_length: 12}
  epochs: 1
  batch_size: 16
compare:
  freeze_depth: [0, all]
tune:
  learning_rate: {low: 1e-3, high: 1e-1, log: true, default: 1e-2}
search: {trials_per_strategy: 1}
"""


def answer(home: Path, study: str) -> list[str]:
    """The columns that a model of MLflow's answers its own input example with."""
    loaded = logged(home, study)
    found = loaded.predict(loaded.input_example)
    assert len(found) == 1 and loaded.metadata.signature.inputs is not None
    return [str(column) for column in found.columns]


def logged(home: Path, study: str) -> Any:
    """A model of MLflow's."""
    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlruns' / 'mlflow.db'}")
    (model, *_) = mlflow.search_logged_models(
        experiment_ids=[mlflow.get_experiment_by_name(study).experiment_id], output_format="list"
    )
    return mlflow.pyfunc.load_model(f"models:/{model.model_id}")


def test_a_model_for_a_table_needs_neither_its_home_nor_its_data_set(tmp_path: Path) -> None:
    home = home_in(tmp_path / "home")
    rows = [(n % 9, ("red", "blue")[n % 2], 100.0 + 3 * (n % 9)) for n in range(80)]
    frame = pd.DataFrame(rows, columns=["size", "colour", "weight"])
    frame.to_csv(home / "stones.csv", index=False)
    (home / "stones.yaml").write_text(TABLE)
    run_study(home / "stones.yaml", [], home, InlineWorkers(), Unseen())
    new = tmp_path / "new.csv"
    frame.drop(columns="weight").head(5).to_csv(new, index=False)
    trained = works("predict", "stones/joint/000", new, "--home", home)
    assert answer(home, "stones") == ["name", "weight"]
    whole = logged(home, "stones").predict(pd.DataFrame({"colour": ["red"], "size": [4]}))
    assert whole["weight"].tolist() == [float(trained.splitlines()[5].split(",")[1])]
    (home / "stones.csv").unlink()
    assert works("predict", "stones/joint/000", new, "--home", home) == trained

    folder = tmp_path / "model"
    assert "stones/joint/000" in works("export", "stones/joint/000", folder, "--home", home)
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "model.safetensors",
        "workbench.json",
    }
    card = (folder / "README.md").read_text()
    assert "What does a stone weigh?" in card and "EXPLORATORY" in card
    assert says_nothing_of(tmp_path, folder)
    assert "the columns size, colour (blue, red)" in card and "the numbers weight" in card
    assert "the best trial of its strategy in the search" in card
    path = json.loads((folder / "workbench.json").read_text())["preparation"]["dataset"]["path"]
    assert path == "stones.csv"
    frame.head(5).to_csv(tmp_path / "labelled.csv", index=False)
    shutil.copy(tmp_path / "labelled.csv", tmp_path / "stones.csv")
    assert "mae" in call("predict", folder, tmp_path / "labelled.csv")[2]
    _, printed, errors = call("predict", folder, tmp_path / "stones.csv")
    assert "mae" not in errors, "the study's own data"
    assert "No scores: " in errors and "called stones.csv too" in errors and "no s" not in printed
    assert "No scores" not in call("predict", folder, new)[2], "without labels"
    assert call("export", "stones/joint/000", folder, "--home", home)[0] == 2, "never over a model"
    shutil.rmtree(home)
    assert works("predict", folder, new) == trained
    predicted = wb.load_model(folder).predict(pd.read_csv(new))
    assert [f"{row[1]:.4f}" for row in predicted.rows] == [
        f"{float(line.split(',')[1]):.4f}" for line in trained.splitlines()[1:6]
    ]


def says_nothing_of(machine: Path, folder: Path) -> bool:
    texts = [path.read_bytes() for path in folder.rglob("*.*") if path.suffix != ".safetensors"]
    return not any(str(machine).encode() in text for text in texts)


def test_a_model_of_own_code_brings_its_files(tmp_path: Path) -> None:
    home = home_in(tmp_path / "home")
    (home / "parts.py").write_text(
        "from torch import nn\n\n\ndef enter(n):\n    return nn.Linear(n, 4)\n"
    )
    (home / "own.py").write_text(
        "from parts import enter, nn\nfrom torch.nn import functional\n\n\n"
        "def net(input_shape, outputs):\n"
        "    return nn.Sequential(enter(input_shape[0]), nn.ReLU(), nn.Linear(4, outputs))\n\n\n"
        "class Entropy:\n"
        "    def __init__(self, *, classes, targets):\n        pass\n\n"
        "    def loss(self, outputs, targets):\n"
        "        return functional.cross_entropy(outputs, targets)\n"
    )
    text = TABLE.replace("table, path: stones.csv, target: weight", "wine").replace("20", "40")
    text = text.replace("regression", "own.py:Entropy").replace(
        "{name: mlp, hidden: [8]}", "own.py:net"
    )
    (home / "stones.yaml").write_text(text)
    run_study(home / "stones.yaml", [], home, InlineWorkers(), Unseen())
    wines = load_wine().data
    expected = wb.open_study("stones", home=home).best_model().predict(wines).rows
    folder = tmp_path / "model"
    works("export", "stones", folder, "--home", home)
    code = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.py"))]
    assert code == [
        f"code/{block}/{name}.py" for block in ("backbone", "task") for name in ("own", "parts")
    ]
    assert says_nothing_of(tmp_path, folder)
    shutil.rmtree(home)
    folder = folder.rename(tmp_path / "moved")
    assert wb.load_model(folder).predict(wines).rows == expected
    (folder / "code" / "backbone" / "parts.py").write_text("from torch import nn\n")
    with pytest.raises(ModelError, match=r"parts\.py has changed"):
        wb.load_model(folder)


def test_mlflow_takes_a_frame_with_names_only_where_they_say_which_column_is_which(
    tmp_path: Path,
) -> None:
    home = home_in(tmp_path / "home")
    draw = np.random.default_rng(0)
    x = draw.normal(size=(80, 3)).astype(np.float32)
    np.savez(home / "stones.npz", x=x, y=x[:, :1] * 3)
    text = TABLE.replace("table, path: stones.csv, target: weight", "arrays, path: stones.npz")
    (home / "stones.yaml").write_text(text)
    run_study(home / "stones.yaml", [], home, InlineWorkers(), Unseen())
    assert answer(home, "stones") == ["name", "0"]
    model = logged(home, "stones")
    expected = model.predict(x[:4])["0"].tolist()
    assert model.predict(pd.DataFrame(x[:4]))["0"].tolist() == expected
    with pytest.raises(ModelError, match="columns b, a, c, but those of the trial have no names"):
        model.predict(pd.DataFrame(x[:4], columns=["b", "a", "c"]))


def test_an_image_processor_gives_the_pixels_of_training(tmp_path: Path) -> None:
    home = home_in(tmp_path / "home")
    sizes: Any = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = ViTConfig(**sizes, intermediate_size=16, image_size=16, patch_size=8)
    ViTForImageClassification(config).save_pretrained(home / "vit")
    draw = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (home / "pets" / name).mkdir(parents=True)
        for number in range(20):
            pixels = draw.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(home / "pets" / name / f"{number}.png")
    text = TABLE.replace("table, path: stones.csv, target: weight", "image_folder, path: pets")
    # A margin, of which training uses the middle.
    text = text.replace("validation: 20", "store_size: 20, image_size: 16, validation: 10")
    text = text.replace("test: 20", "test: 10").replace("regression", "classification")
    text = text.replace("{name: mlp, hidden: [8]}", "{name: ./vit, weights: hub}")
    (home / "stones.yaml").write_text(text)
    run_study(home / "stones.yaml", [], home, InlineWorkers(), Unseen())
    folder = tmp_path / "model"
    works("export", "stones", folder, "--home", home)
    assert "AutoImageProcessor" in (folder / "README.md").read_text()
    model = wb.load_model(folder)
    image = home / "pets" / "cats" / "3.png"
    inputs, _ = model.read(image)
    ours: Any = inputs[torch.arange(1)]
    processor: Any = AutoImageProcessor.from_pretrained(folder)  # type: ignore[no-untyped-call]
    theirs = processor(Image.open(image), return_tensors="pt")["pixel_values"]
    assert torch.allclose(theirs, ours, atol=1e-6)
    logits = AutoModelForImageClassification.from_pretrained(folder)(pixel_values=theirs).logits
    assert torch.allclose(logits, model(ours), atol=1e-5)


def test_a_program_has_the_outputs_of_the_model_or_is_not_written(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip(
        "onnxruntime", reason="pip install onnx onnxscript onnxruntime"
    )
    home = home_in(tmp_path / "home")
    tiny_bert.save(home / "bert")
    texts = [("the film was great", "the play was dull but warm")[n % 2] for n in range(80)]
    frame = pd.DataFrame({"text": texts, "mood": [("happy", "sad")[n % 2] for n in range(80)]})
    frame.to_csv(home / "reviews.csv", index=False)
    (home / "reviews.yaml").write_text(TEXTS.replace("[0, all]", "[0]"))
    run_study(home / "reviews.yaml", [], home, InlineWorkers(), Unseen())
    folder = tmp_path / "model"
    works("export", "reviews", folder, "--onnx", "--pt2", "--home", home)
    card = (folder / "README.md").read_text()
    assert "`model.onnx`" in card and "`model.pt2`" in card
    model = wb.load_model(folder)
    tokens: Any = model.read(texts[:5])[0][torch.arange(5)]
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (logits,) = session.run(None, {name: values.numpy() for name, values in tokens.items()})
    assert torch.allclose(torch.from_numpy(logits), model(tokens), atol=1e-5)
    program: Any = torch.export.load(folder / "model.pt2").module()
    assert torch.allclose(program(*tokens.values()), model(tokens), atol=1e-5)

    class Random(torch.nn.Module):
        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return torch.rand_like(batch["input_ids"].float())

    model.network = Random()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(ModelError, match="has other outputs: they differ by"):
        program_export.save(model, other, [*Format])
    assert not list(other.iterdir())


def test_a_model_of_transformers_becomes_a_folder_that_transformers_loads(tmp_path: Path) -> None:
    home = home_in(tmp_path / "home")
    tiny_bert.save(home / "bert")
    texts = [("the film was great", "the play was dull but warm")[n % 2] for n in range(80)]
    moods = [("happy", "sad")[n % 2] for n in range(80)]
    frame = pd.DataFrame({"text": [f"{t} {n % 7}" for n, t in enumerate(texts)], "mood": moods})
    frame.to_csv(home / "reviews.csv", index=False)
    (home / "reviews.yaml").write_text(TEXTS)
    run_study(home / "reviews.yaml", [], home, InlineWorkers(), Unseen())
    # The weights are written before the tokenizer.
    tokenizer = home / "bert" / "tokenizer.json"
    kept = tokenizer.read_bytes()
    there, empty = tmp_path / "model", tmp_path / "empty"
    empty.mkdir()
    tokenizer.unlink()
    before = sorted(tmp_path.iterdir())
    for folder in (there, empty):
        assert call("export", "reviews/freeze_depth-0", folder, "--home", home)[0] != 0
    assert sorted(tmp_path.iterdir()) == before and not list(empty.iterdir())
    tokenizer.write_bytes(kept)
    works("export", "reviews/freeze_depth-0", empty, "--home", home)
    new = tmp_path / "new.csv"
    frame[["text"]].head(6).to_csv(new, index=False)
    expected = wb.open_study("reviews", home=home).best_model("freeze_depth-0").predict(new)

    assert answer(home, "reviews") == ["name", "predicted", "confidence", "happy", "sad"]
    folder = there
    works("export", "reviews/freeze_depth-0", folder, "--home", home)
    assert {path.name for path in folder.iterdir()} == {path.name for path in empty.iterdir()}
    shutil.rmtree(home)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model.config.id2label == {0: "happy", 1: "sad"}
    tokens = AutoTokenizer.from_pretrained(folder)(
        frame["text"].head(6).tolist(), return_tensors="pt", padding=True
    )
    with torch.inference_mode():
        shares = model.eval()(**tokens).logits.softmax(dim=1)
    ours = torch.tensor([row[3:] for row in expected.rows])
    assert torch.allclose(shares, ours, atol=1e-5)
    again = wb.load_model(folder).predict(new)
    assert [row[:2] for row in again.rows] == [row[:2] for row in expected.rows]
    assert torch.allclose(torch.tensor([row[3:] for row in again.rows]), ours, atol=1e-6)
    assert json.loads((folder / "workbench.json").read_text())["backbone"]["name"] == "./"
    assert says_nothing_of(tmp_path, folder)
