"""Predictions of kept models for new data, from real studies on scikit-learn's wines and digits."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_wine
from typer.testing import CliRunner

from tests.support.commands import call, works
from tests.support.mlflow_home import home_in, runs_of
from tests.support.tiny import TINY, Unseen
from workbench import record, tasks
from workbench.cli.app import app
from workbench.commands import browse
from workbench.commands.confirm import confirm_study
from workbench.commands.home_studies import UnknownNameError
from workbench.commands.predict import find, load_model, predict
from workbench.commands.predictions import Predictions, table
from workbench.commands.run import run_study
from workbench.commands.saved_model import ModelError
from workbench.driver.workers import InlineWorkers
from workbench.record import TrialDirectory

SMALL = TINY.replace("  freeze_depth: [0, all]\n", "").replace(
    "trials_per_strategy: 5", "trials_per_strategy: 2"
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished study; never changed by a test."""
    folder = tmp_path_factory.mktemp("predict")
    file = folder / "tiny.yaml"
    file.write_text(SMALL)
    home = home_in(folder / "home")
    run_study(file, [], home, InlineWorkers(), Unseen())
    return home


@pytest.fixture
def own_home(searched: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    home = tmp_path / "home"
    shutil.copytree(searched, home)
    return home


@pytest.fixture
def wines(tmp_path: Path) -> Path:
    """Every wine's measurements, without its grower."""
    path = tmp_path / "new.npz"
    np.savez(path, x=load_wine().data.astype(np.float32))
    return path


def kept(home: Path, group: str = "sgd") -> tuple[str, TrialDirectory]:
    """The trial of a strategy that has weights."""
    for directory, spec in record.scan(record.study_directory(home, "tiny")):
        if spec.group == group and directory.weights.exists():
            return f"tiny/{spec.name}", directory
    raise AssertionError(f"no trial of {group} has weights")


def test_predictions_are_those_of_the_validated_model(searched: Path, wines: Path) -> None:
    name, directory = kept(searched)
    found = predict(searched, name, wines)
    assert repr(found).endswith(f"178 predictions of {name}")
    assert found.columns == ("name", "predicted", "confidence", "class_0", "class_1", "class_2")
    assert len(found.rows) == 178
    assert [row[2] for row in found.rows] == pytest.approx([max(row[3:]) for row in found.rows])
    assert [sum(row[3:]) for row in found.rows] == pytest.approx([1.0] * 178)
    model = load_model(searched, name)
    outputs = model(model.read(wines)[0]).softmax(dim=1)
    assert torch.allclose(outputs, torch.tensor([row[3:] for row in found.rows]), atol=1e-6)
    # What it measured in validation, it must measure here on the same samples.
    result, spec = directory.result(), directory.spec()
    assert result is not None and spec is not None
    from workbench.trial import artifacts

    data = artifacts.data_of(spec)
    numbers, targets = data.validation.index.tolist(), data.validation.targets.tolist()
    right = [found.rows[n][1] == data.classes[t] for n, t in zip(numbers, targets, strict=True)]
    assert sum(right) / len(right) == pytest.approx(result.metrics["validation/accuracy"])


def test_a_strategy_stands_for_its_best_trial(searched: Path, wines: Path) -> None:
    name, _ = kept(searched)
    study, strategy, _ = name.split("/")
    assert f"{study}/{find(searched, f'{study}/{strategy}').summary.trial}" == name


def test_a_strategy_stands_for_its_confirmed_model_once_the_confirmation_is_complete(
    own_home: Path, wines: Path
) -> None:
    confirm = {"smallest_effect": 0.02, "seeds": 2, "select.configs": 1, "select.seeds": 2}
    settings = [f"confirm.{key}={value}" for key, value in confirm.items()]
    confirm_study("tiny", settings, own_home, InlineWorkers(), Unseen(), agree=lambda _: True)
    words = ["predict", "tiny/sgd", str(wines), "--home", str(own_home)]
    done = CliRunner().invoke(app, words)
    own, other = (
        browse.trial(own_home, "tiny", f"confirmation/sgd/00{number}").summary.test["test/accuracy"]
        for number in (0, 1)
    )
    told = (
        f"tiny/confirmation/sgd/000 has test/accuracy {own:.4f}; "
        f"the mean over 2 completed seeds is {(own + other) / 2:.4f}.\n"
    )
    assert own != other
    assert (done.exit_code, done.stderr) == (
        0,
        f"178 predictions of tiny/confirmation/sgd/000\n{told}",
    )
    assert works("export", "tiny/sgd", own_home / "model", "--home", own_home).endswith(told)
    verdict = browse.study(own_home, "tiny").summary.verdict
    assert verdict is not None and verdict.leader is not None
    assert predict(own_home, "tiny", wines).model == f"tiny/confirmation/{verdict.leader}/000"
    assert predict(own_home, kept(own_home)[0], wines).model == kept(own_home)[0]
    for at, spec in record.scan(record.study_directory(own_home, "tiny")):
        if (spec.role, spec.number) == (record.Role.CONFIRMATION, 1):
            (at.path / "result.json").unlink()
    assert find(own_home, "tiny/sgd").spec.role == "search", "before it is complete"


def test_an_mlflow_run_is_found_by_its_id(searched: Path, wines: Path) -> None:
    name, _ = kept(searched)
    study, _, trial = name.partition("/")
    (run,) = [
        run for run in runs_of(searched, study) if run.data.tags["mlflow.runName"].startswith(trial)
    ]
    assert find(searched, run.info.run_id) == find(searched, name)
    assert predict(searched, run.info.run_id, wines) == predict(searched, name, wines)


def test_a_trial_without_weights_is_told_which_ones_have_them(searched: Path, wines: Path) -> None:
    (name, _), (other, _) = kept(searched), kept(searched, "adamw")
    lacking = name[:-1] + ("1" if name.endswith("0") else "0")
    with pytest.raises(ModelError, match=f"{lacking} has no weights: .* {other}, {name}"):
        predict(searched, lacking, wines)


def test_a_strategy_without_weights_is_told_how_to_get_them_again(
    own_home: Path, wines: Path
) -> None:
    _, directory = kept(own_home)
    directory.drop_weights()
    for command in (
        ("predict", "tiny/sgd", wines),
        ("export", "tiny/sgd", own_home / "model"),
        ("register", "tiny", "--strategy", "sgd"),
    ):
        code, _, errors = call(*command, "--home", own_home)
        assert code == 2 and "No trial of tiny/sgd has weights: only the best one" in errors
    shutil.rmtree(directory.path)
    run_study(Path("tiny"), [], own_home, InlineWorkers(), Unseen())
    assert find(own_home, "tiny/sgd").directory == directory.path, "as the message says"


def test_damaged_weights_are_refused(own_home: Path, wines: Path) -> None:
    name, directory = kept(own_home)
    content = bytearray(directory.weights.read_bytes())
    content[-1] ^= 1
    directory.weights.write_bytes(content)
    with pytest.raises(
        ModelError, match=r"best.safetensors is damaged: its SHA-256 is .* says"
    ) as no:
        predict(own_home, name, wines)
    assert not re.search("[0-9a-f]{13}", str(no.value).partition("SHA-256")[2])
    # The way out that the message names.
    shutil.rmtree(directory.path)
    run_study(Path("tiny"), [], own_home, InlineWorkers(), Unseen())
    assert predict(own_home, name, wines).rows


def test_weights_that_do_not_fit_the_plan_are_refused(own_home: Path, wines: Path) -> None:
    from dataclasses import replace

    name, directory = kept(own_home)
    spec = directory.spec()
    assert spec is not None
    plan = replace(spec.plan, backbone={"name": "mlp", "hidden": [8, 9]})
    directory.write_spec(replace(spec, plan=plan))
    with pytest.raises(ModelError, match=f"The weights of {name} do not fit the backbone"):
        predict(own_home, name, wines)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("tiny/sgd/009", "There is no trial sgd/009"),
        ("tiny/sgb", r"There is no strategy sgb; did you mean sgd\?"),
        ("tony/sgd/000", "There is no study tony; did you mean tiny?"),
        ("0" * 32, "MLflow has no run 0{32}"),
    ],
)
def test_a_trial_that_there_is_not_is_told(
    searched: Path, wines: Path, run: str, message: str
) -> None:
    with pytest.raises(UnknownNameError, match=message):
        predict(searched, run, wines)


def test_a_study_stands_for_the_best_trial_of_its_search(searched: Path, wines: Path) -> None:
    best = browse.study(searched, "tiny").summary.best_trial
    assert predict(searched, "tiny", wines).model == f"tiny/{best}"


def test_data_of_another_kind_are_refused(searched: Path, tmp_path: Path) -> None:
    name, _ = kept(searched)
    path = tmp_path / "new.npz"
    np.savez(path, x=np.zeros((2, 5), dtype=np.float32))
    with pytest.raises(ModelError, match="13 numbers"):
        predict(searched, name, path)
    with pytest.raises(ModelError, match="There is no file or folder"):
        predict(searched, name, tmp_path / "nothing.csv")


def test_the_command_prints_csv_or_writes_it(searched: Path, wines: Path, tmp_path: Path) -> None:
    name, _ = kept(searched)
    words = ["predict", name, str(wines), "--home", str(searched)]
    printed = CliRunner().invoke(app, words)
    assert printed.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(printed.stdout)))
    assert len(rows) == 178 and {row["predicted"] for row in rows} <= {
        "class_0",
        "class_1",
        "class_2",
    }
    out = tmp_path / "predictions.csv"
    written = CliRunner().invoke(app, [*words, "--out", str(out)])
    assert (written.exit_code, written.stdout) == (0, "")
    assert f"178 predictions of {name}: {out}" in written.stderr
    assert out.read_text() == printed.stdout


def test_a_reader_who_has_seen_enough_ends_the_command_quietly(searched: Path, wines: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as ``| head`` does
    command = [sys.executable, "-m", "workbench", "predict", "tiny", str(wines)]
    done = subprocess.run(
        [*command, "--home", str(searched)], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_the_command_says_what_is_wrong_and_exits_with_2(searched: Path, wines: Path) -> None:
    for run in ("tony", "tiny/sgd/009"):
        done = CliRunner().invoke(app, ["predict", run, str(wines), "--home", str(searched)])
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.strip()


# The table of every kind of task


def rows_of(
    name: str, classes: tuple[str, ...], targets: torch.Tensor, **options: object
) -> Predictions:
    task = tasks.build({"name": name, **options}, classes, targets)
    outputs = torch.tensor([[0.0, 2.0], [-1.0, -1.0]])
    return table(task, tasks.target_of({"name": name}), classes, outputs, ("one", "two"))


def test_labels_are_joined_and_the_confidence_is_that_of_the_least_sure() -> None:
    found = rows_of("multilabel", ("red", "round"), torch.eye(2), threshold=0.4)
    half, high, low = 0.5, torch.tensor(2.0).sigmoid().item(), torch.tensor(-1.0).sigmoid().item()
    assert found.rows == [
        ("one", "red;round", pytest.approx(half), half, pytest.approx(high)),
        ("two", "", pytest.approx(1 - low), pytest.approx(low), pytest.approx(low)),
    ]


def test_numbers_are_in_the_units_of_the_data() -> None:
    targets = torch.tensor([[10.0, 1.0], [30.0, 3.0]])
    found = rows_of("regression", ("price", "size"), targets)
    assert found.columns == ("name", "price", "size")
    assert found.rows == [("one", 20.0, 4.0), ("two", 10.0, 1.0)]


def test_numbers_have_the_fewest_digits_that_restore_them() -> None:
    task = tasks.build({"name": "regression"}, ("price",), torch.tensor([[-1.0], [1.0]]))
    outputs = torch.tensor([[0.3], [1 / 3], [1e-10], [float("nan")]])
    found = table(task, "numbers", ("price",), outputs, tuple("abcd"))
    assert [row[1] for row in found.rows][:3] == [0.3, 0.33333334, 1e-10]
    assert torch.equal(torch.tensor(found.frame()["price"])[:3].float(), outputs[:3, 0])
    file = io.StringIO()
    found.write(file)
    assert file.getvalue().splitlines()[:2] == ["name,price", "a,0.3"]


def test_a_name_with_a_comma_stays_one_cell() -> None:
    file = io.StringIO()
    Predictions(columns=("name", "a"), rows=[('x, "y"', 0.5)]).write(file)
    assert list(csv.reader(io.StringIO(file.getvalue()))) == [["name", "a"], ['x, "y"', "0.5"]]
