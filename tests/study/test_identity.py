"""A study whose files have changed is another study: whichever file it is, and whoever names it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from torchvision import models

from tests.support import tiny_bert
from tests.support.mlflow_home import home_in
from tests.support.tiny import Unseen
from workbench import record
from workbench.commands.run import run_study
from workbench.datasets import loading
from workbench.driver.workers import InlineWorkers
from workbench.record import Decision, State
from workbench.study.config import StudyChangedError, load
from workbench.study.study import Study
from workbench.trial import code
from workbench.trial import run as trial_run

NET = """\
from torch import nn


def net(input_shape, outputs):
    (features,) = input_shape
    return nn.Sequential(nn.Linear(features, WIDTH), nn.ReLU(), nn.Linear(WIDTH, outputs))
"""
SCORE = "def score(probabilities, labels):\n    return (probabilities.argmax(1) == labels).mean()\n"
MLP = "{name: mlp, hidden: [4]}"
RECIPE = "dataset: {name: wine, validation: 40, test: 40}, epochs: 1"
ONE_NAME = f"""\
name: one
recipe: {{{RECIPE}, backbone: x/mine.py:net, task: {{metrics: [y/mine.py:score]}}}}
search: {{trials: 1}}
"""
CHOSEN_BACKBONE = f"""\
name: one
recipe: {{{RECIPE}}}
tune: {{backbone: {{a: {MLP}, b: {{name: "z.py:net"}}}}}}
search: {{trials: 1}}
"""
# Balanced, and the metric in question comes only with another choice.
CHOSEN_WITHIN = f"""\
name: one
recipe: {{{RECIPE}, backbone: {MLP}}}
compare: {{optimizer: [sgd, adam]}}
tune:
  schedule: [constant, cosine]
  task:
    when: {{schedule: cosine}}
    choices: {{plain: {{name: classification}}, own: {{metrics: ["z.py:score"]}}}}
search: {{trials_per_strategy: 1}}
"""
CHOSEN_DATA = f"""\
name: one
recipe: {{backbone: {MLP}, epochs: 1}}
tune:
  dataset:
    clean: {{name: table, path: clean.csv, target: y}}
    copied: {{name: table, path: copied.csv, target: y}}
search: {{trials: 1}}
"""
BERT = """\
name: one
recipe:
  dataset: {name: text_table, path: texts.csv, text: text, label: y}
  backbone: {name: ./bert, weights: hub, max_length: 8}
  epochs: 1
search: {trials: 1}
"""


def table(seed: int) -> str:
    draw = np.random.default_rng(seed)
    lines = [f"{draw.normal():.4f},{draw.normal():.4f},{draw.integers(2)}" for _ in range(60)]
    return "\n".join(["a,b,y", *lines])


def texts() -> str:
    draw = np.random.default_rng(0)
    lines = [f"{' '.join(draw.choice(tiny_bert.WORDS, 5))},{number % 2}" for number in range(40)]
    return "\n".join(["text,y", *lines])


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files, and forget data that were read: the next command is another process."""
    for cache in (loading._load, loading._pool, loading._read):
        cache.cache_clear()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def run(folder: Path, *overrides: str) -> None:
    file, home = folder / "study.yaml", folder / "home"
    if not home.exists():
        home_in(home)
    outcome = run_study(file, overrides, home, InlineWorkers(), Unseen())
    assert outcome.finished and not outcome.reasons


def defined(folder: Path) -> str:
    config = load(folder / "study.yaml")
    return json.dumps(Study(config, folder / "home").groups[0].definition)


def wide(width: int) -> str:
    return NET.replace("WIDTH", str(width))


@pytest.mark.parametrize(
    ("study", "files", "changed"),
    [
        (ONE_NAME, {"x/mine.py": wide(8), "y/mine.py": SCORE}, {"x/mine.py": wide(32)}),
        (CHOSEN_BACKBONE, {"z.py": wide(8)}, {"z.py": wide(32)}),
        (CHOSEN_WITHIN, {"z.py": SCORE}, {"z.py": SCORE.replace("==", "!=")}),
        (
            CHOSEN_DATA,
            {"clean.csv": table(0), "copied.csv": table(1)},
            {"copied.csv": table(2)},
        ),
        (
            CHOSEN_BACKBONE,
            {"z.py": f"from helper import WIDTH\n{NET}", "helper.py": "WIDTH = 8\n"},
            {"helper.py": "WIDTH = 9\n"},
        ),
    ],
    ids=["one of two of a name", "a choice", "a choice within", "chosen data", "a helper"],
)
def test_a_file_that_has_changed_makes_another_study(
    tmp_path: Path, study: str, files: dict[str, str], changed: dict[str, str]
) -> None:
    write(tmp_path, {"study.yaml": study, **files})
    before = defined(tmp_path)
    assert defined(tmp_path) == before
    write(tmp_path, changed)
    assert defined(tmp_path) != before


def test_a_run_with_more_trials_names_the_file_that_has_changed(tmp_path: Path) -> None:
    files = {"study.yaml": ONE_NAME, "x/mine.py": wide(8), "y/mine.py": SCORE}
    write(tmp_path, files)
    run(tmp_path)
    write(tmp_path, {"x/mine.py": wide(32)})
    with pytest.raises(StudyChangedError, match=r"code of x/mine\.py: was "):
        run(tmp_path, "search.trials=2")


def test_a_run_with_more_trials_names_the_choice_whose_data_have_changed(tmp_path: Path) -> None:
    write(tmp_path, {"study.yaml": CHOSEN_DATA, "clean.csv": table(0), "copied.csv": table(1)})
    run(tmp_path)
    write(tmp_path, {"copied.csv": table(2)})
    with pytest.raises(StudyChangedError, match=r"tune\.dataset\.sets\.1\.data: was "):
        run(tmp_path, "search.trials=2")


def test_a_study_in_a_folder_that_was_moved_is_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    data = "import numpy\n\n\ndef rows(npy_path):\n    made = numpy.load(npy_path)\n"
    data += "    return made, (made[:, 0] > 0).astype(int)\n"
    study = ONE_NAME.replace(
        "{name: wine, validation: 40, test: 40}", '{name: "d.py:rows", npy_path: x.npy}'
    )
    for folder in (first, second):
        files = {"d.py": data, "x/mine.py": wide(8), "y/mine.py": SCORE}
        write(folder, {"study.yaml": study, **files})
        np.save(folder / "x.npy", np.random.default_rng(0).normal(size=(50, 3)).astype("float32"))
    assert defined(first) == defined(second)


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A folder with a study of a small BERT."""
    tiny_bert.save(tmp_path / "bert")
    write(tmp_path, {"study.yaml": BERT, "texts.csv": texts()})
    return tmp_path


def reversed_vocabulary(folder: Path) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    known = content["model"]["vocab"]
    first = len(tiny_bert.SPECIAL)
    words = sorted(known, key=known.__getitem__)
    turned = [*words[:first], *reversed(words[first:])]
    content["model"]["vocab"] = {word: number for number, word in enumerate(turned)}
    file.write_text(json.dumps(content))


def more_dropout(folder: Path) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "hidden_dropout_prob": 0.5}))


@pytest.mark.parametrize("change", [reversed_vocabulary, more_dropout])
@pytest.mark.parametrize("weights", ["hub", "null"])
def test_a_model_with_another_tokenizer_or_configuration_makes_another_study(
    bert: Path, change: Callable[[Path], None], weights: str
) -> None:
    write(bert, {"study.yaml": BERT.replace("weights: hub", f"weights: {weights}")})
    before = defined(bert)
    assert defined(bert) == before
    change(bert / "bert")
    assert defined(bert) != before


def test_a_run_with_another_tokenizer_is_refused_by_its_file(bert: Path) -> None:
    run(bert)
    reversed_vocabulary(bert / "bert")
    with pytest.raises(StudyChangedError, match=r"code of bert/tokenizer\.json: was "):
        run(bert, "search.trials=2")


def test_another_tokenizer_of_ones_choice_counts_by_its_content(bert: Path) -> None:
    tiny_bert.tokenizer().save_pretrained(bert / "words")
    write(bert, {"study.yaml": BERT.replace("max_length: 8", "max_length: 8, tokenizer: ./words")})
    before = defined(bert)
    reversed_vocabulary(bert / "words")
    assert defined(bert) != before


def go_on(_: object) -> Decision:
    return Decision.CONTINUE


def test_a_worker_refuses_a_model_whose_tokenizer_has_changed_since_the_plan(bert: Path) -> None:
    run(bert)
    ((directory, spec),) = record.scan(record.study_directory(bert / "home", "one"))
    assert {Path(path).name for path in spec.plan.code} >= {"config.json", "tokenizer.json"}
    again = record.TrialDirectory(bert / "again")
    again.write_spec(spec)
    reversed_vocabulary(bert / "bert")
    result = trial_run.run(again, report=go_on, interrupted=lambda: False)
    assert result.state is State.FAILED
    assert "tokenizer.json has changed since the study was planned" in (result.reason or "")
    assert directory.result() is not None


def test_a_hub_model_counts_by_its_commit(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = bert / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    kept = cache / "models--nobody--bert"
    (kept / "refs").mkdir(parents=True)
    (kept / "snapshots").mkdir()
    for commit in ("a" * 40, "b" * 40):
        (kept / "snapshots" / commit).symlink_to(bert / "bert")
    (kept / "refs" / "main").write_text("a" * 40)
    write(bert, {"study.yaml": BERT.replace("./bert", "nobody/bert")})
    config = load(bert / "study.yaml")
    plan = Study(config, bert / "home").strategies[0].plan
    assert plan.code == {"hub:nobody/bert": "a" * 40}
    code.require_planned(plan.code)
    before = defined(bert)
    (kept / "refs" / "main").write_text("b" * 40)
    with pytest.raises(ValueError, match="hub:nobody/bert has changed since"):
        code.require_planned(plan.code)
    assert defined(bert) != before


def test_torchvisions_best_weights_count_by_their_name(tmp_path: Path) -> None:
    write(tmp_path, {"study.yaml": CHOSEN_BACKBONE})
    config = load(tmp_path / "study.yaml")
    weights = Study(config, tmp_path, pending=True).inputs.weights("imagenet", {"name": "resnet50"})
    assert weights.source == models.ResNet50_Weights.DEFAULT.name == "IMAGENET1K_V2"
