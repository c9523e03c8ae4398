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
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import workbench as wb
from tests.support import tiny_bert
from tests.support.commands import call, works
from tests.support.mlflow_home import home_in
from tests.support.tiny import Unseen
from workbench.commands.kept_model import Unusable
from workbench.commands.run import run_study
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
    assert str(home) not in card
    assert call("export", "stones/joint/000", folder, "--home", home)[0] == 2, "never over a model"
    shutil.rmtree(home)
    assert works("predict", folder, new) == trained
    predicted = wb.load_model(folder).predict(pd.read_csv(new))
    assert [f"{row[1]:.4f}" for row in predicted.rows] == [
        f"{float(line.split(',')[1]):.4f}" for line in trained.splitlines()[1:6]
    ]


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
    with pytest.raises(Unusable, match="columns b, a, c, but those of the trial have no names"):
        model.predict(pd.DataFrame(x[:4], columns=["b", "a", "c"]))


def test_a_model_of_transformers_becomes_a_folder_that_transformers_loads(tmp_path: Path) -> None:
    home = home_in(tmp_path / "home")
    tiny_bert.save(home / "bert")
    texts = [("the film was great", "the play was dull but warm")[n % 2] for n in range(80)]
    moods = [("happy", "sad")[n % 2] for n in range(80)]
    frame = pd.DataFrame({"text": [f"{t} {n % 7}" for n, t in enumerate(texts)], "mood": moods})
    frame.to_csv(home / "reviews.csv", index=False)
    (home / "reviews.yaml").write_text(TEXTS)
    run_study(home / "reviews.yaml", [], home, InlineWorkers(), Unseen())
    new = tmp_path / "new.csv"
    frame[["text"]].head(6).to_csv(new, index=False)
    expected = wb.open_study("reviews", home=home).best_model("freeze_depth-0").predict(new)

    assert answer(home, "reviews") == ["name", "predicted", "confidence", "happy", "sad"]
    folder = tmp_path / "model"
    works("export", "reviews/freeze_depth-0", folder, "--home", home)
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
