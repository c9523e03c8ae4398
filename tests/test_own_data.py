"""A user's own pictures, texts and table: the studies of docs/your_data.md work as they stand."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from workbench.cli.app import app

PAGE = Path(__file__).parent.parent / "docs" / "your_data.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S)


def study(folder: Path, name: str) -> Path:
    """The study of this name on the page, in a file of its own."""
    (block,) = (block for block in BLOCKS if f"\nname: {name}\n" in block)
    path = folder / f"{name}.yaml"
    path.write_text(block)
    return path


def called(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def write_pictures(folder: Path) -> None:
    """Two classes, bright and dark, of pictures of several sizes and modes."""
    numbers = np.random.default_rng(0)
    for name, level in (("bright", 190), ("dark", 60)):
        (folder / name).mkdir(parents=True)
        for index in range(24):
            side = 40 + index
            pixels = numbers.integers(level - 50, level + 50, (side, side + 7, 3)).astype(np.uint8)
            suffix = ("png", "jpg")[index % 2]
            Image.fromarray(pixels).save(folder / name / f"{index:02d}.{suffix}")


@pytest.fixture
def home(stored: Path) -> Path:
    return stored


def write_reviews(path: Path) -> None:
    draw = random.Random(0)
    good, bad = ("fine", "moving", "clever", "warm"), ("dull", "loud", "empty", "long")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "stars"])
        for index in range(120):
            words = good if index % 2 else bad
            text = ", ".join(draw.choices(words, k=3)) + ' film, "as they say"'
            writer.writerow([text, "five" if index % 2 else "one"])


def write_houses(path: Path) -> None:
    draw = random.Random(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["rooms", "area", "garden", "price"])
        for _ in range(150):
            rooms, area, garden = draw.randint(1, 6), draw.uniform(30, 200), draw.random() < 0.5
            price = 1000 * (20 * rooms + area + 30 * garden) + draw.gauss(0, 5000)
            writer.writerow([rooms, f"{area:.1f}", "yes" if garden else "no", f"{price:.0f}"])


def shown(home: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(called("show", name, "--home", home, "--json"))
    return found


def test_a_study_on_a_folder_of_pictures_works_as_the_page_says(tmp_path: Path, home: Path) -> None:
    write_pictures(tmp_path / "pictures")
    file = study(tmp_path, "pictures")
    checked = called("check", file, "--home", home)
    assert "2 classes" in checked
    called("run", file, "--home", home, "--inline")
    assert shown(home, "pictures")["best"] > 0.9
    assert called("report", "pictures", "--home", home).startswith("EXPLORATORY  The highest ")
    assert (home / "reports" / "pictures" / "index.html").is_file()
    new = tmp_path / "new"
    new.mkdir()
    Image.fromarray(np.full((50, 50, 3), 200, dtype=np.uint8)).save(new / "a.png")
    Image.fromarray(np.full((50, 50, 3), 50, dtype=np.uint8)).save(new / "b.png")
    out = tmp_path / "predictions.csv"
    said = called("predict", "pictures/freeze_depth-0/000", new, "--home", home, "--out", out)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == 2
    assert {row["predicted"] for row in rows} <= {"bright", "dark"}
    assert "accuracy" not in said, "these have no labels"
    said = called("predict", "pictures/freeze_depth-0/000", tmp_path / "pictures", "--home", home)
    assert "Scores on the labelled data" not in said, (
        "the test part is measured by a confirmation alone"
    )
    labelled = shutil.copytree(tmp_path / "pictures", tmp_path / "others")
    said = called("predict", "pictures/freeze_depth-0/000", labelled, "--home", home, "--out", out)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    right = sum(row["name"].startswith(row["predicted"]) for row in rows)
    assert f"Scores on the labelled data: accuracy {right / len(rows):.4f}" in said


def test_a_study_on_a_table_of_texts_works_as_the_page_says(tmp_path: Path, home: Path) -> None:
    write_reviews(tmp_path / "reviews.csv")
    file = study(tmp_path, "reviews")
    assert "2 classes" in called("check", file, "--home", home)
    (line,) = called("run", file, "--home", home, "--inline", "--quiet").splitlines()
    assert line.startswith("reviews: 8 trials in ")
    assert shown(home, "reviews")["best"] > 0.9
    page = home / "reports" / "reviews" / "index.html"
    assert called("report", "reviews", "--home", home, "--quiet") == f"report: {page}\n"
    new = tmp_path / "new.csv"
    new.write_text("review\nfine and warm\ndull and empty\n")
    out = tmp_path / "predictions.csv"
    called("predict", "reviews/adamw/000", new, "--home", home, "--out", out)
    predicted = [row["predicted"] for row in csv.DictReader(out.read_text().splitlines())]
    assert predicted == ["five", "one"]
    new.write_text("review,stars\nfine and warm,five\ndull and empty,five\n")
    said = called("predict", "reviews/adamw/000", new, "--home", home, "--out", out)
    assert "Scores on the labelled data: accuracy 0.5000" in said
    new.write_text("review,stars\nfine and warm,five\ndull and empty,six\n")
    said = called("predict", "reviews/adamw/000", new, "--home", home, "--out", out)
    assert "accuracy" not in said, "a label that the model does not know"


def test_a_study_on_a_table_of_numbers_works_as_the_page_says(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_houses(tmp_path / "houses.csv")
    file = study(tmp_path, "prices")
    called("check", file, "--home", home)
    called("run", file, "--home", home, "--inline")
    found = shown(home, "prices")
    assert found["metric"] == "validation/rmse"
    assert found["best"] < 40_000, "in the units of the table"
    out = tmp_path / "predictions.csv"
    others = shutil.copy(tmp_path / "houses.csv", tmp_path / "others.csv")
    said = called("predict", "prices", others, "--home", home, "--out", out)
    predicted, true = (
        np.array([float(row["price"]) for row in csv.DictReader(path.read_text().splitlines())])
        for path in (out, tmp_path / "houses.csv")
    )
    rmse = float(np.sqrt(np.mean((predicted - true) ** 2)))
    assert f"rmse {rmse:.0f}" in said
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    called("report", "prices", "--home", home, "--open")
    assert opened == [(home / "reports" / "prices" / "index.html").as_uri()]
    text = (home / "reports" / "prices" / "report.md").read_text()
    assert "rmse" in text and "accuracy" not in text


@pytest.mark.parametrize("name", ["pictures", "reviews", "prices"])
def test_without_the_data_the_study_is_refused_with_the_path(
    tmp_path: Path, home: Path, name: str
) -> None:
    file = study(tmp_path, name)
    result = CliRunner().invoke(app, ["check", str(file), "--home", str(home)])
    assert result.exit_code == 2
    assert f"{file}:4: recipe.dataset" in result.output.replace("\n", "")
    assert str(tmp_path / name[:4]) in result.output.replace("\n", "") or "houses" in result.output
