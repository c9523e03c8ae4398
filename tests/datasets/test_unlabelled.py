"""New data are made ready exactly as the trial's were."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_wine
from torch import Tensor

from workbench import datasets
from workbench.datasets import Data
from workbench.datasets.preparation import preparation_of
from workbench.datasets.samples import Inputs, Texts
from workbench.datasets.unlabelled import New, labels_of
from workbench.datasets.unlabelled import read_unlabelled as read_prepared

HEADER = "age,colour,grade\n"
ROWS = [f"{20 + n},{('red', 'blue', 'green')[n % 3]},{'ab'[n % 2]}" for n in range(60)]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "kept"))


def load(dataset: dict[str, Any], target: str = "class") -> Data:
    return datasets.load(dataset, target=target, study_seed=0, seed=0)


def read_unlabelled(
    dataset: dict[str, Any], new: New, data: Data, *, target: str = "class"
) -> tuple[Inputs, tuple[str, ...]]:
    return read_prepared(preparation_of(dataset, data, target=target), new)


def every(inputs: Inputs) -> Tensor:
    taken = inputs[torch.arange(len(inputs))]
    assert isinstance(taken, Tensor)
    return taken


def table(folder: Path) -> dict[str, Any]:
    path = folder / "train.csv"
    path.write_text(HEADER + "\n".join(ROWS))
    return {"name": "table", "path": str(path), "target": "grade"}


def test_rows_of_a_table_get_the_columns_and_the_scale_of_the_trial(tmp_path: Path) -> None:
    dataset = table(tmp_path)
    data = load(dataset)
    # The columns stand in another order, one category does not occur, and there is no label.
    new = tmp_path / "new.csv"
    rows = [row.split(",") for row in (ROWS[int(n)] for n in data.validation.index) if "red" in row]
    new.write_text("colour,more,age\n" + "\n".join(f"{colour},x,{age}" for age, colour, _ in rows))
    inputs, names = read_unlabelled(dataset, new, data, target="class")
    red = torch.tensor(["red" in ROWS[int(n)] for n in data.validation.index])
    assert torch.equal(every(inputs), every(data.validation.inputs)[red])
    assert names == tuple(f"new.csv:{n}" for n in range(2, 2 + len(rows)))


def test_what_a_tables_columns_cannot_hold_is_named(tmp_path: Path) -> None:
    dataset = table(tmp_path)
    data, new = load(dataset), tmp_path / "new.csv"
    new.write_text("age,colour\n30,red\n31,pink\nx,blue\n")
    with pytest.raises(
        ValueError, match=r"csv:3: colour is pink and must be one of blue, green, r"
    ):
        read_unlabelled(dataset, new, data, target="class")
    new.write_text("age,color\n30,red\n")
    with pytest.raises(ValueError, match=r"new.csv has no column colour; did you mean color\?"):
        read_unlabelled(dataset, new, data, target="class")
    with pytest.raises(ValueError, match=r"There is no file or folder .*nothing.csv"):
        read_unlabelled(dataset, tmp_path / "nothing.csv", data, target="class")


@pytest.mark.parametrize(
    ("target", "label"), [("numbers", "age"), ("labels", "tags"), ("labels", ["one", "two"])]
)
def test_the_kind_of_the_target_makes_no_difference(
    tmp_path: Path, target: str, label: str | list[str]
) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{n},{n % 7},{'x|y' if n % 2 else 'y'},{n % 2},1" for n in range(30)]
    path.write_text("age,size,tags,one,two\n" + "\n".join(rows))
    dataset = {"name": "table", "path": str(path), "target": label, "features": ["size"]}
    if label == "tags":
        dataset["separator"] = "|"
    data = load(dataset, target)
    (tmp_path / "new.csv").write_text("size\n" + "".join(f"{n % 7}\n" for n in range(30)))
    inputs, _ = read_unlabelled(dataset, tmp_path / "new.csv", data, target=target)
    assert torch.equal(every(inputs)[data.train.index], every(data.train.inputs))


def test_numbers_that_training_has_only_0_and_1_of_stay_numbers(tmp_path: Path) -> None:
    for name, numbers in (("train", "01"), ("validation", "57"), ("test", "57")):
        rows = [f"{n},{numbers[n % 2]}" for n in range(20)]
        (tmp_path / f"{name}.csv").write_text("size,dose\n" + "\n".join(rows))
    dataset = {"name": "table", "path": str(tmp_path), "target": ["dose"]}
    data = load(dataset, "numbers")
    inputs, _ = read_unlabelled(dataset, tmp_path / "test.csv", data, target="numbers")
    assert torch.equal(every(inputs), every(data.validation.inputs))


def test_vectors_of_an_array_fit_a_bundled_set(tmp_path: Path) -> None:
    data = load({"name": "wine"})
    raw = load_wine().data
    np.save(tmp_path / "new.npy", raw)
    np.savez(tmp_path / "new.npz", x=raw, y=np.zeros(3))
    for name in ("new.npy", "new.npz"):
        inputs, names = read_unlabelled({"name": "wine"}, tmp_path / name, data, target="class")
        assert torch.equal(every(inputs)[data.train.index], every(data.train.inputs)), name
        assert len(names) == 178
    np.save(tmp_path / "narrow.npy", raw[:, :5])
    with pytest.raises(ValueError, match=r"narrow.npy has samples of the shape \(5,\), but .* 13"):
        read_unlabelled({"name": "wine"}, tmp_path / "narrow.npy", data, target="class")
    raw[3, 4] = np.nan
    np.save(tmp_path / "bad.npy", raw)
    with pytest.raises(ValueError, match=r"\(bad.npy:3\) has an input that is not finite"):
        read_unlabelled({"name": "wine"}, tmp_path / "bad.npy", data, target="class")
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"objects.npy cannot be read \(Object arrays cannot be"):
        read_unlabelled({"name": "wine"}, tmp_path / "objects.npy", data, target="class")


def test_the_names_of_columns_decide_and_not_their_positions(tmp_path: Path) -> None:
    data = load({"name": "wine"})
    bunch = load_wine()
    frame = pd.DataFrame(bunch.data, columns=bunch.feature_names)
    frame = frame.drop(columns="alcohol").assign(more=0, alcohol=frame["alcohol"])
    frame.to_csv(tmp_path / "new.csv", index=False)
    for new in (frame, tmp_path / "new.csv"):
        inputs, _ = read_unlabelled({"name": "wine"}, new, data)
        assert torch.equal(every(inputs)[data.train.index], every(data.train.inputs))
    with pytest.raises(ValueError, match=r"has no column alcohol; did you mean Alcohol\?"):
        read_unlabelled({"name": "wine"}, frame.rename(columns={"alcohol": "Alcohol"}), data)
    twice = pd.concat([frame, frame[["ash"]]], axis="columns")
    with pytest.raises(ValueError, match="several columns ash"):
        read_unlabelled({"name": "wine"}, twice, data)


def test_a_table_with_names_is_refused_where_the_data_of_the_trial_have_none(
    tmp_path: Path,
) -> None:
    bunch = load_wine()
    np.savez(tmp_path / "wine.npz", x=bunch.data.astype(np.float32), y=bunch.target)
    dataset = {"name": "arrays", "path": str(tmp_path / "wine.npz")}
    data = load(dataset)
    frame = pd.DataFrame(bunch.data)
    frame.to_csv(tmp_path / "new.csv", index=False)
    for new in (frame, tmp_path / "new.csv", bunch.data):
        inputs, _ = read_unlabelled(dataset, new, data)
        assert torch.equal(every(inputs)[data.train.index], every(data.train.inputs))
    for wrong in (
        frame.set_axis(bunch.feature_names, axis="columns"),
        frame[[1, 0, *range(2, 13)]],
        frame[[*range(12)]],
    ):
        with pytest.raises(ValueError, match=r"columns .* have no names; .* columns 0 to 12"):
            read_unlabelled(dataset, wrong, data)


def test_errors_of_samples_in_memory_name_row_and_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"age": [30, 31], "colour": ["red", "pink"]}, index=["ann", "bob"])
    dataset = table(tmp_path)
    data = load(dataset)
    inputs, names = read_unlabelled(dataset, frame[:1], data)
    assert len(inputs) == 1 and names == ("ann",)
    with pytest.raises(ValueError, match=r"The frame has no rows\.$"):
        read_unlabelled(dataset, frame[:0], data)
    with pytest.raises(ValueError, match=r"The array has no columns.* age, colour"):
        read_unlabelled(dataset, np.zeros((2, 4)), data)
    with pytest.raises(ValueError, match=r"frame has 1 bad row.* row bob .*: colour is pink and"):
        read_unlabelled(dataset, frame, data)
    wines = load_wine().data
    wines[3, 4] = np.nan
    with pytest.raises(ValueError, match=r"\(row 3 of the array\) has an input that is not finite"):
        read_unlabelled({"name": "wine"}, wines, load({"name": "wine"}))
    digits = load({"name": "digits"})
    with pytest.raises(ValueError, match="The array has images of the shape"):
        read_unlabelled({"name": "digits"}, np.zeros((2, 1, 9, 9)), digits)
    for image, named in ((b"no image", "row 1 of the frame"), ("a.png", "bytes.*, not str")):
        images = pd.DataFrame({"image": [png(), image]})
        with pytest.raises(ValueError, match=named):
            read_unlabelled({"name": "digits"}, images, digits)


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_texts_come_from_the_same_column_or_from_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("review,label\n" + "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(20)))
    dataset = {"name": "text_table", "path": str(path), "text": "review", "label": "label"}
    data = load(dataset)
    (tmp_path / "new.jsonl").write_text('{"review": "one"}\n{"review": "two"}\n')
    inputs, names = read_unlabelled(dataset, tmp_path / "new.jsonl", data, target="class")
    assert isinstance(inputs, Texts) and inputs.values == ("one", "two")
    assert names == ("new.jsonl:1", "new.jsonl:2")
    (tmp_path / "new.txt").write_text("one\n\n  two \n")
    inputs, names = read_unlabelled(dataset, tmp_path / "new.txt", data, target="class")
    assert isinstance(inputs, Texts) and inputs.values == ("one", "two")
    assert names == ("new.txt:1", "new.txt:3")
    (tmp_path / "other.csv").write_text("text\none\n")
    with pytest.raises(ValueError, match=r"other.csv has no column review; its columns are tex"):
        read_unlabelled(dataset, tmp_path / "other.csv", data, target="class")


def folder_of_images(root: Path, side: int) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (root / name).mkdir(parents=True)
        for number in range(8):
            pixels = generator.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return {"name": "image_folder", "path": str(root)}


@pytest.mark.parametrize("options", [{}, {"image_size": 8}, {"store_size": 10, "image_size": 8}])
def test_images_are_resized_and_normalised_as_the_trials_were(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    dataset = {**folder_of_images(tmp_path / "images", 12), **options}
    data = load(dataset)
    assert data.names is not None
    inputs, names = read_unlabelled(dataset, tmp_path / "images", data, target="class")
    assert {number: names[number] for number in data.names} == data.names
    assert torch.equal(every(inputs)[data.validation.index], every(data.validation.inputs))
    dog = tmp_path / "images" / "dogs" / "3.png"
    one, (name,) = read_unlabelled(dataset, dog, data, target="class")
    assert name == "3.png"
    assert torch.equal(every(one)[0], every(inputs)[names.index("dogs/3.png")])


def test_images_of_an_array_fit_a_bundled_set_and_others_are_refused(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    data = load({"name": "digits"})
    images = (load_digits().images / 16).astype(np.float32)
    np.save(tmp_path / "new.npy", images[:, None])
    np.save(tmp_path / "last.npy", images[..., None])
    np.save(tmp_path / "grey.npy", images)
    for name in ("new.npy", "last.npy", "grey.npy"):
        inputs, _ = read_unlabelled({"name": "digits"}, tmp_path / name, data, target="class")
        assert torch.equal(every(inputs)[data.validation.index], every(data.validation.inputs))
    np.save(tmp_path / "bytes.npy", images[:, None] * 255)
    with pytest.raises(ValueError, match=r"bytes.npy:0\) has pixels from 0 to 239.*; scale them"):
        read_unlabelled({"name": "digits"}, tmp_path / "bytes.npy", data, target="class")
    np.save(tmp_path / "large.npy", np.zeros((2, 1, 9, 9), dtype=np.float32))
    with pytest.raises(ValueError, match=r"shape \(1, 9, 9\), but .* trained on images of \(1, 8,"):
        read_unlabelled({"name": "digits"}, tmp_path / "large.npy", data, target="class")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty has no images; images end in \.jpg"):
        read_unlabelled({"name": "digits"}, tmp_path / "empty", data, target="class")


@pytest.mark.parametrize(
    ("target", "found", "expected"),
    [
        ("class", {"y": np.array([7, 5, 7])}, [1, 0, 1]),
        ("class", {"targets": np.array(["7", "5", "7"])}, [1, 0, 1]),
        ("class", {"y": np.array([0, 1, 0]), "classes": np.array(["7", "5"])}, [1, 0, 1]),
        ("class", {"y": np.array([7, 5, 6])}, "c has the label 6, which is no class"),
        ("class", {"y": np.array([7, 5])}, None),
        ("class", {}, None),
        ("labels", {"y": np.array([[1, 0], [0, 0], [1, 1]])}, [[1, 0], [0, 0], [1, 1]]),
        ("numbers", {"y": np.array([[1, 2], [3, 4], [5, 6]])}, [[1, 2], [3, 4], [5, 6]]),
        ("numbers", {"y": np.array([1, 2, 3])}, None),
    ],
)
def test_arrays_have_labels_where_they_have_the_model_s_targets(
    tmp_path: Path, target: str, found: dict[str, Any], expected: list[Any] | str | None
) -> None:
    path = tmp_path / "new.npz"
    np.savez(path, x=np.zeros((3, 4), dtype=np.float32), **found)
    labels = labels_of({"name": "arrays"}, path, ["a", "b", "c"], target, ["5", "7"])
    assert (labels.tolist() if isinstance(labels, torch.Tensor) else labels) == expected
