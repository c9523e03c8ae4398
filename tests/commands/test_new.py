"""``workbench new`` writes a study file that works as it stands."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.support.commands import call, works
from workbench.cli.app import app
from workbench.study.config import load


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures, texts and numbers of a user, in the current directory."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "my pictures" / name).mkdir(parents=True)
        for number in range(20):
            pixels = draw.integers(0, 255, (40, 40, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "my pictures" / name / f"{number}.png")
    words = ("fine", "moving", "dull", "loud", "warm", "long")
    mix = random.Random(0)
    texts = [" ".join(mix.choices(words, k=9)) for _ in range(60)]
    write_table(tmp_path / "reviews.csv", review=texts, stars=[n % 3 for n in range(60)])
    noise = draw.normal(size=(2, 60)).tolist()
    write_table(tmp_path / "houses.csv", area=noise[0], price=noise[1])
    return tmp_path


def write_table(path: Path, **columns: Sequence[object]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


@pytest.mark.parametrize(
    ("data", "backbone", "task"),
    [
        (["my pictures"], "small_cnn", "classification"),
        (["reviews.csv", "--target", "stars"], "small_text", "classification"),
        (["houses.csv", "--target", "price"], "mlp", "regression"),
        (["wine"], "mlp", "classification"),
        (["diabetes"], "mlp", "regression"),
    ],
)
@pytest.mark.parametrize("compare", ["optimizer", "freeze_depth", "schedule"])
def test_what_is_written_for_each_kind_of_data_passes_check(
    folder: Path, home: Path, data: list[str], backbone: str, task: str, compare: str
) -> None:
    (folder / "studies").mkdir()
    file = folder / "studies" / "mine.yaml"
    options = ["--backbone", backbone, "--compare", compare, "--trials", "3", "--name", "mine"]
    assert f"workbench check {file}" in works("new", file, "--data", *data, *options)
    works("check", file, "--home", home)
    config = load(file)
    assert config.recipe["backbone"]["name"] == backbone
    assert config.recipe.get("task", {"name": "classification"})["name"] == task
    assert [factor.name for factor in config.factors] == [compare]


def test_pretrained_weights_are_named_with_the_backbone(folder: Path) -> None:
    options = ["--compare", "freeze_depth", "--trials", "3", "--name", "x"]
    for backbone, weights in (("resnet18", "imagenet"), ("google/vit-base", "hub")):
        file = folder / f"{weights}.yaml"
        data = ("--data", "digits", "--option", "channels=3")
        works("new", file, *data, "--backbone", backbone, *options)
        assert load(file).recipe["backbone"] == {"name": backbone, "weights": weights}


@pytest.mark.parametrize("data", ["my pictures", "digits"])
def test_a_target_of_what_is_no_table_is_refused(folder: Path, data: str) -> None:
    options = ("--backbone", "small_cnn", "--compare", "schedule", "--trials", "3", "--name", "x")
    code, _, errors = call("new", "--data", data, "--target", "label", *options)
    assert (
        code == 2
        and f"--target label names a column of a table, but {data} is not a table" in errors
    )
    assert not (folder / "x.yaml").exists()


@pytest.mark.parametrize(
    ("data", "effect"), [("my pictures", 0.125), ("wine", 0.028), ("digits", 0.01)]
)
def test_the_smallest_effect_is_no_less_than_one_test_sample(
    folder: Path, data: str, effect: float
) -> None:
    backbone = "mlp" if data == "wine" else "small_cnn"
    options = ("--backbone", backbone, "--compare", "schedule", "--trials", "3", "--name", "x")
    works("new", "--data", data, *options)
    assert load(folder / "x.yaml").confirm.smallest_effect == effect


def bad_data(folder: Path, kind: str) -> list[str]:
    """Options that name data which ``check`` refuses."""
    numbers = [float(n) for n in range(60)]
    if kind == "empty folder":
        (folder / "data").mkdir()
        return ["data", "--backbone", "small_cnn"]
    if kind == "damaged image":
        (folder / "my pictures" / "cat" / "3.png").write_bytes(b"none")
        return ["my pictures", "--backbone", "small_cnn"]
    if kind == "missing number":
        write_table(folder / "data.csv", area=["NaN", *numbers[1:]], price=numbers)
    elif kind == "missing target":
        write_table(folder / "data.csv", area=numbers, price=["", *numbers[1:]])
    else:
        names = [f"o{n}" for n in range(60)]
        write_table(folder / "data.csv", area=numbers, owner=names, price=numbers)
    return ["data.csv", "--target", "price", "--backbone", "mlp"]


@pytest.mark.parametrize(
    ("kind", "message", "solution"),
    [
        ("empty folder", "it has no images", []),
        ("damaged image", "--option on_bad_input=skip", ["--option", "on_bad_input=skip"]),
        ("missing number", "--option on_bad_input=skip", ["--option", "on_bad_input=skip"]),
        ("missing target", "--option on_bad_input=skip", ["--option", "on_bad_input=skip"]),
        ("names", '--option "drop=[...]"', ["--option", "drop=[owner]"]),
    ],
)
def test_data_that_check_refuses_are_refused_with_the_option_that_solves_it(
    folder: Path, home: Path, kind: str, message: str, solution: list[str]
) -> None:
    options = ("--compare", "schedule", "--trials", "3", "--name", "x")
    given = ("new", "--data", *bad_data(folder, kind), *options)
    code, _, errors = call(*given)
    assert code == 2 and message in errors, errors
    assert not list(folder.glob("*.yaml"))
    if solution:
        works(*given, *solution)
        works("check", folder / "x.yaml", "--home", home)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("drop=3", '"drop=[3]"'),
        ("drop", "expected KEY=VALUE"),
        ("path=x", "path follows from the data"),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_its_name(
    folder: Path, option: str, said: str
) -> None:
    options = ("--compare", "schedule", "--trials", "3", "--name", "x", "--option", option)
    code, _, errors = call("new", "--data", *bad_data(folder, "names"), *options)
    assert code == 2 and f"--option {option}" in errors and said in errors


def test_a_model_that_check_refuses_is_refused_with_the_option_that_solves_it(
    folder: Path,
) -> None:
    options = ("--backbone", "resnet18", "--compare", "schedule", "--trials", "3", "--name", "x")
    code, _, errors = call("new", "mine.yaml", "--data", "digits", *options)
    assert code == 2 and "mine.yaml: recipe.backbone: " in errors
    assert "--option channels=3" in errors
    assert not list(folder.glob("*.yaml"))


@pytest.mark.parametrize("data", ["my picturez", "reviewz.csv"])
def test_a_mistyped_path_is_answered_with_the_nearest_one_beside_it(
    folder: Path, data: str
) -> None:
    code, _, errors = call("new", "--data", data)
    assert code == 2 and f"did you mean {data.replace('z', 's')}?" in errors


def test_what_no_option_says_is_asked_until_it_is_understood(folder: Path) -> None:
    answers = ["reviews.cvs", "reviews.csv", "star", "stars", "", "optimiser", "", "0", "4", ""]
    done = CliRunner().invoke(app, ["new"], input="".join(f"{line}\n" for line in answers))
    assert done.exit_code == 0, done.output
    config = load(folder / "reviews.yaml")
    assert (config.name, config.search.trials_per_strategy) == ("reviews", 4)
    assert "no column in reviews.csv called star; did you mean stars?" in done.output
    assert "no comparison optimiser; did you mean optimizer?" in done.output


def test_a_file_that_exists_is_left_as_it_is(folder: Path) -> None:
    (folder / "mine.yaml").write_text("mine")
    code, _, errors = call("new", "mine.yaml")
    assert (code, errors.strip()) == (2, "mine.yaml already exists and was not changed.")
    code, _, errors = call(
        *("new", "--data", "wine", "--backbone", "mlp", "--compare", "optimizer"),
        *("--trials", "3", "--name", "mine"),
    )
    assert code == 2 and "mine.yaml cannot be written" in errors
    assert (folder / "mine.yaml").read_text() == "mine"
