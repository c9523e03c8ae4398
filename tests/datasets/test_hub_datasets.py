"""Data sets of the Hugging Face hub: read offline from where the library keeps them."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path
from typing import Any

import datasets as library
import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value
from PIL import Image

from workbench import datasets, downloads
from workbench.datasets import Samples, hub
from workbench.datasets.samples import TEST, TRAIN, VALIDATION

STANCE = Features(
    {"sentence": Value("string"), "label": ClassLabel(names=["pos", "neg"]), "idx": Value("int32")}
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def sentences(labels: list[int], first: int = 0) -> Any:
    rows = {
        "sentence": [f"sentence {first + n}" for n in range(len(labels))],
        "label": labels,
        "idx": list(range(len(labels))),
    }
    return Dataset.from_dict(rows, features=STANCE)


def saved(folder: Path, **parts: Any) -> str:
    path = folder / "saved"
    DatasetDict(parts).save_to_disk(str(path))
    return str(path)


def read(target: str = "class", label: Any = "label", **options: Any) -> Samples:
    return hub.read(target=target, label=label, **options)


def test_texts_of_a_saved_data_set_have_its_parts_and_its_classes_in_its_order(
    tmp_path: Path,
) -> None:
    path = saved(
        tmp_path,
        train=sentences([1, 0, 1, 0]),
        validation=sentences([0, 1], 4),
        test=sentences([1], 6),
    )
    samples = read(path=path)
    assert samples.kind == "text"
    assert samples.inputs == tuple(f"sentence {n}" for n in range(7))
    assert samples.classes == ("pos", "neg")
    assert samples.targets.tolist() == [1, 0, 1, 0, 0, 1, 1]
    assert samples.given is not None
    assert samples.given.tolist() == [TRAIN] * 4 + [VALIDATION] * 2 + [TEST]
    assert samples.names is not None and samples.names[4] == "validation:0"


def test_a_hidden_test_part_and_splits_of_no_part_are_left_out_with_a_note(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        train=sentences([1, 0, 1, 0]),
        dev=sentences([0, 1]),
        test=sentences([-1, -1, -1]),
        unsupervised=sentences([-1]),
    )
    samples = read(path=path, text="sentence")
    assert samples.given is not None
    assert samples.given.tolist() == [TRAIN] * 4 + [VALIDATION] * 2
    assert samples.skipped == (
        "unsupervised: 1 samples belong to no part (train, validation, test)",
        "test: 3 samples have no label",
    )


def test_a_single_split_is_divided_and_a_single_missing_label_is_a_bad_row(tmp_path: Path) -> None:
    path = saved(tmp_path, train=sentences([1, 0, -1, 0]))
    with pytest.raises(ValueError, match=r"1 bad row. train:2: label is missing"):
        read(path=path)
    samples = read(path=path, on_bad_input="skip")
    assert samples.given is None
    assert samples.targets.tolist() == [1, 0, 0]
    assert samples.skipped == ("train:2: label is missing",)


def test_a_split_that_is_not_the_last_may_be_the_only_one_with_labels(tmp_path: Path) -> None:
    path = saved(tmp_path, train=sentences([1, 0, 1, 0]), test=sentences([-1, -1]))
    samples = read(path=path)
    assert samples.given is None
    assert len(samples.inputs) == 4
    path = saved(tmp_path / "other", train=sentences([-1, -1]), test=sentences([0, 1]))
    with pytest.raises(ValueError, match=r"train: 2 samples have no label in the column label"):
        read(path=path)


def test_lists_of_classes_are_labels_and_columns_of_numbers_are_features(tmp_path: Path) -> None:
    features = Features(
        {
            "a": Value("float32"),
            "b": Value("int64"),
            "tags": Sequence(ClassLabel(names=["x", "y", "z"])),
            "price": Value("float64"),
        }
    )
    rows = {"a": [0.5, 1.5, 2.5], "b": [1, 2, 3], "tags": [[2], [], [2, 0]], "price": [1, 2, 4]}
    path = saved(tmp_path, train=Dataset.from_dict(rows, features=features))
    labels = read("labels", "tags", path=path, features=["b", "a"])
    assert labels.kind == "vector"
    assert torch.equal(torch.as_tensor(labels.inputs), torch.tensor([[1, 0.5], [2, 1.5], [3, 2.5]]))
    assert labels.classes == ("x", "y", "z")
    assert labels.targets.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 1]]
    numbers = read("numbers", "price", path=path, features=["a"])
    assert numbers.targets.tolist() == [[1], [2], [4]]


TAGGED = Features({"text": Value("string"), "tags": Sequence(ClassLabel(names=["x", "y", "z"]))})


def tagged(*tags: list[int]) -> Any:
    rows = {"text": [f"text {number}" for number in range(len(tags))], "tags": list(tags)}
    return Dataset.from_dict(rows, features=TAGGED)


def test_a_number_of_no_class_in_a_list_of_labels_makes_its_row_bad(tmp_path: Path) -> None:
    path = saved(tmp_path, train=tagged([2], [0, -1], [1]), test=tagged([-1], [0]))
    with pytest.raises(ValueError, match=r"2 bad rows. train:1: tags has -1, which is not one of"):
        read("labels", "tags", path=path)
    samples = read("labels", "tags", path=path, on_bad_input="skip")
    assert samples.targets.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert samples.skipped == (
        "train:1: tags has -1, which is not one of its classes",
        "test:0: tags has -1, which is not one of its classes",
    )


def test_a_part_whose_lists_hold_nothing_but_minus_one_is_hidden(tmp_path: Path) -> None:
    path = saved(tmp_path, train=tagged([2], [], [1]), test=tagged([-1], [-1, -1]))
    samples = read("labels", "tags", path=path)
    assert len(samples.inputs) == 3 and samples.skipped == ("test: 2 samples have no label",)


def test_where_nothing_is_a_text_or_an_image_all_other_columns_are_features(tmp_path: Path) -> None:
    rows = {"a": [0.5, 1.5, 2.5], "b": [1, 2, 3], "c": [7, 7, 8], "y": [0, 1, 0]}
    path = saved(tmp_path, train=Dataset.from_dict(rows))
    samples = read(label="y", path=path, drop=["b"])
    assert torch.as_tensor(samples.inputs).tolist() == [[0.5, 7], [1.5, 7], [2.5, 8]]


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), value, dtype=np.uint8)).save(buffer, format="png")
    return buffer.getvalue()


def pictures(*contents: bytes | None) -> Any:
    features = Features({"image": library.Image(), "label": ClassLabel(names=["dark", "light"])})
    rows = {
        "image": [{"bytes": content, "path": None} if content else None for content in contents],
        "label": [n % 2 for n in range(len(contents))],
    }
    return Dataset.from_dict(rows, features=features)


def test_images_are_decoded_and_keep_their_labels(tmp_path: Path) -> None:
    path = saved(
        tmp_path, train=pictures(png(10), png(200), png(30)), test=pictures(png(40), png(250))
    )
    samples = read(path=path)
    assert samples.kind == "image"
    images = torch.as_tensor(samples.inputs)
    assert images.shape == (5, 3, 8, 8) and images.dtype == torch.uint8
    assert images[:, 0, 0, 0].tolist() == [10, 200, 30, 40, 250]
    assert samples.targets.tolist() == [0, 1, 0, 0, 1]
    assert samples.classes == ("dark", "light")
    assert samples.names is not None and samples.names[3] == "test:0"


def test_images_are_kept_once_decoded_and_nowhere_else(tmp_path: Path) -> None:
    path = saved(tmp_path, train=pictures(png(10), png(200), png(30)))
    first = read(path=path, image="image", store_size=8)
    assert [place.name for place in (tmp_path / "data").iterdir()] == ["decoded"]
    (kept,) = (tmp_path / "data" / "decoded").iterdir()
    assert sorted(file.name for file in kept.iterdir()) == ["images", "images.json"]
    again = read(path=path, image="image", store_size=8)
    assert again.mapped == first.mapped and again.mapped is not None
    (kept / "images").write_bytes(bytes((kept / "images").stat().st_size))
    third = read(path=path, image="image", store_size=8)
    assert torch.as_tensor(third.inputs)[:, 0, 0, 0].tolist() == [10, 200, 30]


def test_images_that_cannot_be_decoded_are_named_or_skipped(tmp_path: Path) -> None:
    path = saved(tmp_path, train=pictures(png(10), b"no image", None, png(30)))
    with pytest.raises(ValueError, match=r"train:1 \(not an image .*train:2 \(the file is empty"):
        read(path=path)
    samples = read(path=path, on_bad_input="skip")
    assert torch.as_tensor(samples.inputs)[:, 0, 0, 0].tolist() == [10, 30]
    assert samples.targets.tolist() == [0, 1]
    assert samples.names == ("train:0", "train:3")
    assert len(samples.skipped) == 2


def fetched(id: str, config: str, part: Any) -> None:
    """What the library leaves in its cache once it has fetched a data set of the hub."""
    from datasets.packaged_modules.parquet.parquet import Parquet

    folder = Path(library.config.HF_DATASETS_CACHE).parent / "fetched" / config
    folder.mkdir(parents=True)
    part.to_parquet(str(folder / "train.parquet"))
    builder = Parquet(
        cache_dir=str(library.config.HF_DATASETS_CACHE),
        dataset_name=id.split("/")[-1],
        hash="0123456789abcdef",
        config_name=config,
        data_files={"train": [str(folder / "train.parquet")]},
    )
    # The files are not the hub's, but what is made of them is; the configurations have their plain
    # names, as those of a data set's card.
    builder.repo_id, builder.config_id = id, config
    builder._cache_dir = builder._build_cache_dir()
    builder.download_and_prepare()


def test_what_the_library_has_fetched_before_is_read_without_a_network(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fetched("org/stance", "default", sentences([0, 1, 1]))
    samples = read(id="org/stance")
    assert samples.inputs == ("sentence 0", "sentence 1", "sentence 2")
    assert samples.classes == ("pos", "neg")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert read(id="org/stance", config="default").inputs == samples.inputs


def test_of_several_configurations_one_must_be_named() -> None:
    fetched("org/stance", "en", sentences([0, 1]))
    fetched("org/stance", "de", sentences([1, 0, 1]))
    with pytest.raises(ValueError, match=r"several configurations; set dataset.config: (en|de)"):
        read(id="org/stance")
    assert len(read(id="org/stance", config="de").inputs) == 3


def test_what_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(
        downloads.NotDownloadedError, match=r"org/nothing of .* not on this machine: workbench"
    ):
        read(id="org/nothing")
    with pytest.raises(downloads.NotDownloadedError, match="configuration xx of org/nothing"):
        read(id="org/nothing", config="xx")


def test_a_fetch_that_fails_is_absent_with_the_librarys_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    with (
        downloads.allowed(),
        pytest.raises(downloads.NotDownloadedError, match=r"org/nothing could not be down"),
    ):
        read(id="org/nothing")


def test_without_the_library_the_error_has_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(downloads.NotDownloadedError, match=r"pip install datasets"):
        read(id="org/nothing")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs either dataset.id: ORG/NAME or dataset.path"),
        ({"id": "./here"}, r"dataset.id is ./here, not ORG/NAME; name a folder in dataset.path"),
        ({"path": "/nowhere"}, "There is no folder /nowhere"),
    ],
)
def test_where_it_lies_must_be_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "sentense"}, r"dataset.text names the column sentense, .*did you mean sentence"),
        ({"text": "idx"}, "dataset.text names the column idx of .*, which is int32"),
        ({"image": "sentence"}, "dataset.image names the column sentence of .*, which is string"),
        ({"label": "labels"}, r"dataset.label names the column labels, .*did you mean label"),
        ({"label": "idx", "features": ["label"], "text": "sentence"}, "more than one of text"),
        ({"store_size": 8}, "dataset.store_size is for images; the samples are texts"),
    ],
)
def test_columns_of_another_kind_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = saved(tmp_path, train=sentences([1, 0, 1]))
    with pytest.raises(ValueError, match=message):
        read(path=path, **options)


def test_several_columns_of_texts_are_listed(tmp_path: Path) -> None:
    rows = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": ["x", "y"]}
    path = saved(tmp_path, train=Dataset.from_dict(rows))
    with pytest.raises(ValueError, match=r"name one in .*premise \(string\), hypothesis \(string"):
        read(path=path)
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="other is not a data set saved by save_to_disk"):
        read(path=str(tmp_path / "other"))


def test_a_saved_data_set_is_one_of_a_study(tmp_path: Path) -> None:
    path = saved(tmp_path, train=sentences([0, 1] * 20), test=sentences([0, 1] * 5, 40))
    dataset = {"name": "hub", "path": path, "label": "label"}
    sizes = datasets.sizes(dataset, study_seed=0, seed=0)
    assert (sizes["train"], sizes["validation"], sizes["test"]) == (32, 8, 10)
    assert sizes["per_class"] == {"pos": 16, "neg": 16}
