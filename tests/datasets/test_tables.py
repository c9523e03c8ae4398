"""Tables: numbers stay numbers, categories become columns, and a bad row is named by its line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from torch import Tensor

from workbench import datasets
from workbench.datasets import Samples, tables
from workbench.datasets.samples import TEST, TRAIN, VALIDATION
from workbench.study.config import recipes

HEADER = "age,colour,income,grade\n"
ROWS = ["31,red,100.5,b", "45,blue,-2e3,a", "18,green,0,b", "60,red,7,a"]


def write(folder: Path, text: str, name: str = "people.csv") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def people(folder: Path, *rows: str) -> str:
    return write(folder, HEADER + "\n".join(rows or ROWS) + "\n")


def read(path: str, target: str = "class", label: Any = "grade", **options: Any) -> Samples:
    return tables.read(target=target, path=path, label=label, **options)


def vectors(samples: Samples) -> list[list[float]]:
    assert isinstance(samples.inputs, Tensor)
    assert samples.inputs.dtype == torch.float32
    values: list[list[float]] = samples.inputs.tolist()
    return values


def test_numbers_stand_as_they_are_and_categories_one_hot_in_alphabetical_order(
    tmp_path: Path,
) -> None:
    samples = read(people(tmp_path))
    assert samples.levels == {"age": None, "colour": ("blue", "green", "red"), "income": None}
    assert list(samples.levels) == ["age", "colour", "income"]
    assert vectors(samples) == [
        [31, 0, 0, 1, 100.5],
        [45, 1, 0, 0, -2000],
        [18, 0, 1, 0, 0],
        [60, 0, 0, 1, 7],
    ]
    assert samples.classes == ("a", "b")
    assert samples.targets.tolist() == [1, 0, 1, 0]
    assert samples.names == tuple(f"people.csv:{line}" for line in (2, 3, 4, 5))
    assert samples.kind == "vector" and samples.given is None and samples.skipped == ()


def test_every_format_gives_the_same_samples(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "age": [31, 45, 18, 60],
            "colour": ["red", "blue", "green", "red"],
            "income": [100.5, -2e3, 0.0, 7.0],
            "grade": ["b", "a", "b", "a"],
        }
    )
    frame.to_parquet(tmp_path / "p.parquet")
    frame.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    frame.to_csv(tmp_path / "s.csv", sep=";", index=False)
    frame.to_json(tmp_path / "j.jsonl", orient="records", lines=True)
    first = read(people(tmp_path))
    for name, options in (
        ("p.parquet", {}),
        ("t.tsv", {}),
        ("j.jsonl", {}),
        ("s.csv", {"delimiter": ";"}),
    ):
        samples = read(str(tmp_path / name), **options)
        assert vectors(samples) == vectors(first), name
        assert torch.equal(samples.targets, first.targets), name
        assert samples.classes == first.classes, name


def test_features_may_be_listed_or_dropped(tmp_path: Path) -> None:
    path = people(tmp_path)
    assert vectors(read(path, features=["income", "age"]))[0] == [100.5, 31]
    assert vectors(read(path, drop=["colour", "income"]))[0] == [31]
    assert vectors(read(path, drop=["colour", "age"], categories=["income"]))[0] == [0, 0, 1, 0]


def test_a_class_keeps_the_spelling_that_the_file_has(tmp_path: Path) -> None:
    path = write(tmp_path, "x,y\n1,01\n2,1\n3,10\n4,2\n")
    assert read(path, label="y").classes == ("01", "1", "2", "10")
    path = write(tmp_path, "x,y\n1,NA\n2,null\n3, b \n")
    assert read(path, label="y").classes == ("NA", "b", "null")


def test_whole_numbers_of_typed_files_are_classes_in_numeric_order(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [10, 9, -1]})
    frame.to_parquet(tmp_path / "p.parquet")
    assert read(str(tmp_path / "p.parquet"), label="y").classes == ("-1", "9", "10")


def test_several_labels_stand_in_columns_of_0_and_1(tmp_path: Path) -> None:
    path = write(tmp_path, "x,sun,rain\n1,0,1\n2,1,1\n3,0,0\n")
    samples = read(path, target="labels", label=["sun", "rain"])
    assert samples.targets.tolist() == [[0, 1], [1, 1], [0, 0]]
    assert samples.targets.dtype == torch.float32
    assert samples.classes == ("sun", "rain")
    assert vectors(samples) == [[1], [2], [3]]


def test_several_labels_stand_in_one_column_with_a_separator_or_in_lists(tmp_path: Path) -> None:
    path = write(tmp_path, "x,tags\n1,sun|rain\n2,\n3,rain | fog\n")
    samples = read(path, target="labels", label="tags", separator="|")
    assert samples.classes == ("fog", "rain", "sun")
    assert samples.targets.tolist() == [[0, 1, 1], [0, 0, 0], [1, 1, 0]]
    rows = [{"x": 1, "tags": ["sun", "rain"]}, {"x": 2, "tags": []}, {"x": 3, "tags": ["fog"]}]
    path = write(tmp_path, "\n".join(map(json.dumps, rows)), "j.jsonl")
    assert read(path, target="labels", label="tags").targets.tolist() == [
        [0, 1, 1],
        [0, 0, 0],
        [1, 0, 0],
    ]


def test_numbers_to_predict_are_one_column_or_several(tmp_path: Path) -> None:
    path = people(tmp_path)
    one = read(path, target="numbers", label="income", drop=["grade"])
    assert one.targets.tolist() == [[100.5], [-2000], [0], [7]]
    two = read(path, target="numbers", label=["income", "age"], drop=["grade"])
    assert two.targets[0].tolist() == [100.5, 31]
    assert two.classes == ("income", "age")


def test_files_of_parts_are_given_parts(tmp_path: Path) -> None:
    for name, count in (("train.csv", 3), ("val.csv", 2), ("test.csv", 1)):
        write(tmp_path, "x,y\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(count)), name)
    parts = [TRAIN] * 3 + [VALIDATION] * 2 + [TEST]
    folder = read(str(tmp_path), label="y")
    assert folder.given is not None and folder.given.tolist() == parts
    assert folder.names is not None and folder.names[3] == "val.csv:2"
    files = {"validation_path": str(tmp_path / "val.csv"), "test_path": str(tmp_path / "test.csv")}
    named = read(str(tmp_path / "train.csv"), label="y", **files)
    assert named.given is not None and named.given.tolist() == parts


def test_a_column_may_give_the_parts_and_another_the_groups(tmp_path: Path) -> None:
    path = write(tmp_path, "x,y,part,who\n1,a,train,7\n2,b,dev,8\n3,a,Train,7\n4,b,test,9\n")
    samples = read(path, label="y", split={"column": "part", "group": "who"})
    assert samples.given is not None and samples.groups is not None
    assert samples.given.tolist() == [TRAIN, VALIDATION, TRAIN, TEST]
    assert samples.groups.tolist() == [0, 1, 0, 2]
    assert vectors(samples) == [[1], [2], [3], [4]]


def test_a_record_of_several_lines_is_called_by_its_first(tmp_path: Path) -> None:
    path = write(tmp_path, 'x,c,y\n1,"two\nlines",a\n\n2,one,b\n3,one,\n')
    with pytest.raises(ValueError, match=r"1 bad row. people.csv:6: y is missing"):
        read(path, label="y")


BAD = [
    "31,red,100.5,b",
    "old,red,1,a",
    ",red,1,b",
    "2,,1,a",
    "3,red,inf,a",
    "4,red,1,",
    "5,red,1",
    "6,blue,1e300,a",
    "7,blue,1,a",
    "8,blue,2,b",
    "9,blue,2,b",
]


def test_bad_rows_are_named_by_line_and_reason(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as refused:
        read(people(tmp_path, *BAD))
    message = str(refused.value)
    for part in (
        "people.csv has 7 bad rows",
        "people.csv:3: age is old, not a finite number",
        "people.csv:4: age is missing",
        "people.csv:5: colour is missing",
        "people.csv:6: income is inf, not a finite number",
        "people.csv:7: grade is missing",
        "people.csv:8: 3 fields, but the header has 4",
        "people.csv:9: income is 1e300, not a finite number",
        "dataset.on_bad_input: skip",
    ):
        assert part in message


def test_bad_rows_may_be_skipped_and_are_counted(tmp_path: Path) -> None:
    samples = read(people(tmp_path, *BAD), on_bad_input="skip")
    assert samples.names == tuple(f"people.csv:{line}" for line in (2, 10, 11, 12))
    assert len(samples.skipped) == 7
    assert "people.csv:4: age is missing" in samples.skipped
    assert vectors(samples)[0] == [31, 0, 1, 100.5]


def test_no_more_than_ten_bad_rows_are_listed(tmp_path: Path) -> None:
    rows = [*ROWS * 10, *[",red,1,a"] * 25]
    with pytest.raises(ValueError, match=r"has 25 bad rows\. The first 10 of 25:") as refused:
        read(people(tmp_path, *rows))
    assert str(refused.value).count("age is missing") == 10


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (None, {"label": "grad"}, r"dataset.target names the column grad, .* you mean grade\?.*"),
        (None, {"features": ["agee"]}, r"dataset.features names .* mean age\?"),
        (
            None,
            {"drop": ["x"]},
            "dataset.drop names the column x, which .* does not have",
        ),
        (None, {"features": ["grade"]}, "dataset.features has grade, which is also the target"),
        (None, {"label": ["grade", "age"]}, "lists 2 columns, but a class needs one"),
        (None, {"split": {"column": "colour"}}, "2: colour is red, not train, validation"),
        (None, {"split": {"group": "who"}}, "dataset.split.group names the column who"),
        (None, {"split": {"by": "age"}}, "dataset.split has by; it takes column and group"),
        (None, {"drop": ["age", "colour", "income"]}, "no columns left for features"),
        (None, {"delimiter": ";;"}, "dataset.delimiter is ';;'; it must be one character"),
        ("a;b\n1;2\n", {"label": "b"}, "its header has semicolons: set dataset.delimiter"),
        ("", {}, "people.csv is empty"),
        ("age,grade\n", {}, "people.csv has no rows"),
        ("age,age,grade\n1,2,a\n", {}, "has two columns 'age'"),
        ('age,grade\n1,"a\n2,b\n', {}, "people.csv:3 is not CSV: unexpected end of data"),
        ("age,grade\n,a\n,b\n", {}, "The column age of .*people.csv is empty; .*dataset.drop"),
        ("age,grade\n1\n2\n", {"on_bad_input": "skip"}, "no usable rows: people.csv:2"),
    ],
)
def test_what_is_no_such_table_is_refused_with_the_reason(
    tmp_path: Path, text: str | None, options: dict[str, Any], message: str
) -> None:
    path = people(tmp_path) if text is None else write(tmp_path, text)
    with pytest.raises(ValueError, match=message):
        read(path, **options)


def test_a_column_of_names_is_no_category(tmp_path: Path) -> None:
    path = write(tmp_path, "who,x,y\n" + "".join(f"p{n},{n},{'ab'[n % 2]}\n" for n in range(30)))
    with pytest.raises(ValueError, match=r"who of .* holds 30 different texts in 30 rows, "):
        read(path, label="y")
    assert len(vectors(read(path, label="y", categories=["who"]))[0]) == 31


@pytest.mark.parametrize(
    ("target", "label", "options", "message"),
    [
        ("labels", ["age", "income"], {}, "age is 31 and must be 0 or 1"),
        ("labels", "colour", {}, "several labels, list columns of 0 and 1"),
        ("numbers", "colour", {}, "colour is red, not a finite number"),
        ("numbers", "age", {"separator": "|"}, "dataset.separator needs several labels"),
        ("labels", [], {}, "dataset.target names no column"),
    ],
)
def test_targets_of_another_kind_are_refused(
    tmp_path: Path, target: str, label: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(people(tmp_path), target=target, label=label, **options)


def test_files_that_are_not_there_or_not_in_utf8_are_named(tmp_path: Path) -> None:
    path = people(tmp_path)
    with pytest.raises(ValueError, match=r"no file .*peopel.csv; did you mean people.csv\?"):
        read(str(tmp_path / "peopel.csv"))
    with pytest.raises(ValueError, match=r"no folder .*nowhere either"):
        read(str(tmp_path / "nowhere" / "people.csv"))
    with pytest.raises(
        ValueError, match=r"people.xlsx is not a supported table file; .* .csv, .tsv, .jsonl"
    ):
        read(write(tmp_path, "x", "people.xlsx"))
    Path(path).write_bytes(HEADER.encode() + "31,grün,1,a\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"people.csv:2 is not UTF-8 \(byte 0xfc\)"):
        read(path)


def test_a_folder_without_a_training_table_and_broken_json_are_named(tmp_path: Path) -> None:
    people(tmp_path)
    with pytest.raises(ValueError, match=r"has people.csv; a folder of tables needs train.csv"):
        read(str(tmp_path))
    path = write(tmp_path, '{"x": 1, "y": "a"}\n{"x": 2,\n[1]\n', "j.jsonl")
    with pytest.raises(
        ValueError, match=r"j.jsonl:2: not JSON: .*; j.jsonl:3: \[1\] is not an object"
    ):
        read(path, label="y")
    path = write(tmp_path, '{"x": 1, "y": "a"}\n' + '{"x": ' * 99999 + "\n", "deep.jsonl")
    with pytest.raises(ValueError, match=r"1 bad row. deep.jsonl:2: JSON that cannot be read"):
        read(path, label="y")
    path = write(tmp_path, '{"x": 1, "y": "a"}\n{"x": ' + "9" * 5000 + "}\n", "long.jsonl")
    with pytest.raises(ValueError, match=r"1 bad row. long.jsonl:2: JSON that cannot be read"):
        read(path, label="y")
    path = write(tmp_path, '{"x": 1, "y": "a"}\n{"x": 2, "y": "\\ud800"}\n', "half.jsonl")
    with pytest.raises(ValueError, match=r"1 bad row. half.jsonl:2: JSON that cannot be read"):
        read(path, label="y")
    lines = "".join(f'{{"x": {n}, "y": "{n % 2}"}}\n' for n in range(8))
    path = write(tmp_path, lines + '{"x": 1' + "0" * 400 + ', "y": "1"}\n', "huge.jsonl")
    with pytest.raises(ValueError, match=r"1 bad row. huge.jsonl:9: x is 1000.*, not a finite num"):
        read(path, label="y")
    path = write(tmp_path, "x", "p.parquet")
    with pytest.raises(
        ValueError, match=r"p.parquet cannot be read \(.*; expected the content of a .parquet"
    ):
        read(path, label="y")


def test_a_table_is_a_data_set_of_a_study(tmp_path: Path) -> None:
    rows = [f"{n},{('red', 'blue')[n % 2]},{n * 0.5},{'ab'[n % 3 == 0]}" for n in range(60)]
    dataset = {"name": "table", "path": people(tmp_path, *rows), "target": "grade"}
    data = datasets.load(dataset, study_seed=0, seed=0)
    assert data.kind == "vector" and data.input_shape == (4,)
    assert data.classes == ("a", "b")
    sizes = datasets.sizes(dataset, study_seed=0, seed=0)
    assert (sizes["train"], sizes["validation"], sizes["test"]) == (36, 12, 12)
    # The folder of the file decides nothing.
    (tmp_path / "moved").mkdir()
    moved = {**dataset, "path": people(tmp_path / "moved", *rows)}
    assert datasets.load(moved, study_seed=0, seed=0).digest == data.digest


def test_the_examples_on_the_page_are_what_a_study_file_may_say() -> None:
    page = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    examples = [
        yaml.safe_load(line)
        for line in re.findall(r"^dataset: \{.*\}$", page, re.M)
        if re.search(r"name: (table|text_table|hub)\b", line)
    ]
    assert len(examples) >= 6
    for example in examples:
        assert recipes.recipe_flaws(example) == []
        entry = datasets.DATASETS[example["dataset"]["name"]]
        assert set(entry.required) <= set(example["dataset"])
    for entry in (datasets.DATASETS[name] for name in ("table", "text_table", "hub")):
        for option in entry.options or {}:
            assert f"`{option}`" in page


def test_numbers_that_are_taken_for_classes_get_a_hint(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n / 4}\n" for n in range(40))
    path = write(tmp_path, f"x,y\n{rows}", "t.csv")
    with pytest.raises(ValueError, match=r"40 distinct numbers: did you mean task: regression"):
        datasets.sizes({"name": "table", "path": str(path), "target": "y"}, study_seed=0, seed=0)
