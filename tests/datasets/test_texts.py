"""Texts: every character stays as it is, labels come with them, and a bad row is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from workbench import datasets
from workbench.datasets import Samples, texts
from workbench.datasets.samples import TEST, TRAIN, Texts

REVIEWS = 'text,label\nNA,neg\n"Good, ""very"" good\nfilm ",pos\n null ,neg\n'


def write(folder: Path, text: str, name: str = "reviews.csv") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def read(path: str, target: str = "class", **options: Any) -> Samples:
    return texts.read(target=target, **{"path": path, "text": "text", "label": "label", **options})


def test_texts_stand_as_they_are_even_where_they_look_like_missing_values(tmp_path: Path) -> None:
    samples = read(write(tmp_path, REVIEWS))
    assert samples.kind == "text"
    assert samples.inputs == ("NA", 'Good, "very" good\nfilm ', " null ")
    assert samples.classes == ("neg", "pos")
    assert samples.targets.tolist() == [0, 1, 0]
    assert samples.names == ("reviews.csv:2", "reviews.csv:3", "reviews.csv:5")


def test_a_text_may_be_longer_than_pythons_limit_of_a_csv_field(tmp_path: Path) -> None:
    long = "word " * 50_000
    samples = read(write(tmp_path, f"text,label\n{long},a\nb,b\n"))
    assert samples.inputs == (long, "b")


def test_json_lines_and_parquet_hold_texts_too(tmp_path: Path) -> None:
    import pandas as pd

    rows = [{"text": "für\n1", "label": 1}, {"text": "02", "label": 0}]
    first = read(write(tmp_path, "\n".join(map(json.dumps, rows)), "r.jsonl"))
    assert first.inputs == ("für\n1", "02")
    assert first.classes == ("0", "1") and first.targets.tolist() == [1, 0]
    pd.DataFrame(rows).to_parquet(tmp_path / "r.parquet")
    second = read(str(tmp_path / "r.parquet"))
    assert second.inputs == first.inputs and torch.equal(second.targets, first.targets)


def test_a_text_may_have_labels_or_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "text,tags,stars\na,x|y,1.5\nb,,4\n")
    labels = read(path, target="labels", label="tags", separator="|")
    assert labels.targets.tolist() == [[1, 1], [0, 0]] and labels.classes == ("x", "y")
    stars = read(path, target="numbers", label="stars")
    assert stars.targets.tolist() == [[1.5], [4]] and stars.classes == ("stars",)


def test_rows_without_text_or_label_are_named_or_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, "text,label\na,x\n   ,x\nb,\nc,y\n")
    with pytest.raises(ValueError, match=r"2 bad rows. reviews.csv:3: text is missing; .*csv:4: l"):
        read(path)
    samples = read(path, on_bad_input="skip")
    assert samples.inputs == ("a", "c")
    assert samples.skipped == ("reviews.csv:3: text is missing", "reviews.csv:4: label is missing")
    path = write(tmp_path, '{"text": 5, "label": "x"}\n{"text": "a", "label": "y"}\n', "r.jsonl")
    with pytest.raises(ValueError, match=r"r.jsonl:1: text is 5, not a text"):
        read(path)


def test_pairs_of_texts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must name one column; pairs of texts are not supported"):
        read(write(tmp_path, REVIEWS), text=["text", "label"])


def test_a_text_table_is_a_data_set_of_a_study_and_its_errors_name_the_file(tmp_path: Path) -> None:
    lines = [f"text number {n},{'ab'[n % 2]},{n // 4}" for n in range(40)]
    path = write(tmp_path, "text,label,writer\n" + "\n".join(lines) + "\n")
    dataset = {"name": "text_table", "path": path, "text": "text", "label": "label"}
    data = datasets.load(dataset, study_seed=0, seed=0)
    assert data.kind == "text" and data.input_shape == () and len(data.validation.index) == 8
    assert isinstance(data.train.inputs, Texts)
    assert data.names is not None
    for number, text in zip(data.train.index.tolist(), data.train.inputs.values, strict=True):
        assert text == f"text number {number}" and data.names[number] == f"reviews.csv:{number + 2}"
    write(tmp_path, "text,label\na,x\nb,x\n", "one.csv")
    with pytest.raises(ValueError, match=r"one.csv: every sample has the class x"):
        datasets.load({**dataset, "path": str(tmp_path / "one.csv")}, study_seed=0, seed=0)
    with pytest.raises(ValueError, match="text_table needs text, label"):
        datasets.load({"name": "text_table", "path": path}, study_seed=0, seed=0)


def test_moving_rows_to_the_test_file_changes_the_digest(tmp_path: Path) -> None:
    def digest(folder: str, cut: int) -> str:
        (tmp_path / folder).mkdir()
        lines = [f"t{n},{'ab'[n % 2]}\n" for n in range(20)]
        for name, part in (("train.csv", lines[:cut]), ("test.csv", lines[cut:])):
            write(tmp_path / folder, "text,label\n" + "".join(part), name)
        dataset = {"name": "text_table", "path": str(tmp_path / folder)}
        dataset |= {"text": "text", "label": "label"}
        data = datasets.load(dataset, study_seed=0, seed=0)
        sizes = datasets.sizes(dataset, study_seed=0, seed=0)
        assert sizes["test"] == 20 - cut
        return data.digest

    assert digest("first", 14) == digest("second", 14) != digest("third", 12)


def test_parts_of_a_column_are_the_parts_of_the_study(tmp_path: Path) -> None:
    lines = [f"t{n},{'ab'[n % 2]},{'test' if n >= 30 else 'train'}\n" for n in range(40)]
    path = write(tmp_path, "text,label,part\n" + "".join(lines))
    samples = read(path, split={"column": "part"})
    assert samples.given is not None
    assert samples.given.tolist() == [TRAIN] * 30 + [TEST] * 10
