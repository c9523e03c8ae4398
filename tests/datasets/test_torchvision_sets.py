"""torchvision's data sets in their true formats, and what is said when one is not here."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.datasets as tv
from torch import Tensor

from tests.support import torchvision_files as files
from workbench import datasets, downloads
from workbench.datasets import Samples, torchvision_names
from workbench.datasets.catalogue import Entry
from workbench.datasets.samples import TARGETS
from workbench.datasets.torchvision_sets import read

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where data sets are kept."""
    folder = tmp_path / "data"
    monkeypatch.setenv("WORKBENCH_DATA", str(folder))
    return folder


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small copies have fewer images than the true data sets."""
    for name, source in torchvision_names.TORCHVISION.items():
        monkeypatch.setitem(torchvision_names.TORCHVISION, name, replace(source, count=0))


def fetched(name: str, **options: Any) -> Samples:
    return read(target="class", name=name, **options)


@pytest.mark.parametrize("name", files.WRITERS)
def test_a_data_set_is_read_as_it_lies_on_disk_in_its_given_parts(
    name: str, data: Path, monkeypatch: pytest.MonkeyPatch, few: None
) -> None:
    parts = files.WRITERS[name](data / name, monkeypatch)
    source = torchvision_names.TORCHVISION[name]
    samples = fetched(name)
    images = samples.inputs
    assert isinstance(images, Tensor) and images.dtype == torch.uint8
    assert len(images) == len(samples.targets) == sum(map(len, parts))
    if source.shape:
        assert tuple(images.shape[1:]) == source.shape
    assert samples.targets.tolist() == list(chain(*parts))
    if len(parts) == 1:
        assert samples.given is None
    else:
        numbers = (0, 2) if len(parts) == 2 else (0, 1, 2)
        given = [number for number, labels in zip(numbers, parts, strict=True) for _ in labels]
        assert samples.given is not None and samples.given.tolist() == given
    assert images.float().std() > 10, "noise was written"


def test_every_data_set_of_the_catalogue_is_tested_here() -> None:
    assert files.WRITERS.keys() | {"pcam"} == torchvision_names.TORCHVISION.keys()
    assert all(target in TARGETS for name in files.WRITERS for target in entry(name).targets)


def entry(name: str) -> Entry:
    found = datasets.entry_of(name)
    assert found is not None
    return found


def test_pixels_of_cifar_are_those_of_torchvision(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.cifar10(data / "cifar10", monkeypatch)
    images = fetched("cifar10").inputs
    assert isinstance(images, Tensor)
    theirs = tv.CIFAR10(data / "cifar10", train=False).data[3]
    assert torch.equal(images[100 + 3].permute(1, 2, 0), torch.from_numpy(theirs))


def test_cifar_runs_through_the_split_with_its_test_part_and_half_for_mean(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.cifar10(data / "cifar10", monkeypatch)
    got = datasets.load(
        {"name": "cifar10", "mean": 0.5, "std": 0.5, "validation": 0.2}, study_seed=0, seed=0
    )
    assert (len(got.train.targets), len(got.validation.targets)) == (80, 20)
    assert got.train.index.max() < 100, "the test part is the last 20 samples"
    values = got.train.inputs[torch.arange(80)]
    assert isinstance(values, Tensor)
    assert (values.min().item(), values.max().item()) == (-1.0, 1.0)
    assert got.classes[0] == "thing 0"
    usual = datasets.load({"name": "cifar10"}, study_seed=0, seed=0)
    assert usual.mean == pytest.approx((0.485, 0.456, 0.406))


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("mnist", ("0", "1")),
        ("svhn", ("0", "1")),
        ("imagenet", ("tench", "crane (n02012849)")),
        ("imagenette", ("tench", "English springer")),
        ("oxford_iiit_pet", ("Abyssinian", "Great Pyrenees")),
        ("sun397", ("abbey", "church/indoor")),
        ("stanford_cars", ("AM General", "Acura RL")),
        ("caltech256", ("001.ak47", "002.american-flag")),
        ("fer2013", ("angry", "disgusted")),
    ],
)
def test_classes_have_names_that_a_study_file_can_use(
    name: str, classes: tuple[str, ...], data: Path, monkeypatch: pytest.MonkeyPatch, few: None
) -> None:
    files.WRITERS[name](data / name, monkeypatch)
    assert fetched(name).classes[:2] == classes


def test_options_choose_another_labelling(
    data: Path, monkeypatch: pytest.MonkeyPatch, few: None
) -> None:
    files.oxford_iiit_pet(data / "oxford_iiit_pet", monkeypatch)
    assert fetched("oxford_iiit_pet", label="species").classes == ("Cat", "Dog")
    files.fgvc_aircraft(data / "fgvc_aircraft", monkeypatch)
    assert fetched("fgvc_aircraft", label="manufacturer").classes == ("Boeing", "Airbus")


def test_the_letters_of_emnist_are_counted_from_a(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = files.emnist(data / "emnist", monkeypatch, "letters", low=1)
    samples = fetched("emnist", variant="letters")
    assert samples.classes[:2] == ("a", "b") and len(samples.classes) == 26
    assert samples.targets.tolist() == [label - 1 for label in list(chain(*parts))]


def test_images_in_files_are_decoded_once_and_named_by_their_paths(
    data: Path, monkeypatch: pytest.MonkeyPatch, few: None
) -> None:
    files.food101(data / "food101", monkeypatch)
    samples = fetched("food101", image_size=8)
    assert samples.names is not None
    assert samples.names[0] == "food-101/images/cake/0.jpg"
    assert samples.mapped is not None and samples.mapped.path.is_relative_to(data / "decoded")
    assert samples.inputs.shape == (8, 3, 8, 8)  # type: ignore[union-attr]


def test_frames_of_one_traffic_sign_stay_in_one_part(
    data: Path, monkeypatch: pytest.MonkeyPatch, few: None
) -> None:
    files.gtsrb(data / "gtsrb", monkeypatch)
    got = datasets.load({"name": "gtsrb", "classes": [0, 1], "validation": 6}, study_seed=0, seed=0)
    assert got.names is not None
    train, validation = (
        {got.names[number].rpartition("_")[0] for number in part.index.tolist()}
        for part in (got.train, got.validation)
    )
    # Tracks are numbered afresh in each class.
    assert (len(train), len(validation)) == (6, 2) and not train & validation
    test = datasets.sizes({"name": "gtsrb", "classes": [0, 1]}, study_seed=0, seed=0)["test"]
    assert test == 2


@pytest.mark.parametrize("name", torchvision_names.TORCHVISION)
def test_what_is_absent_is_said_in_a_sentence_with_the_way_to_get_it(name: str, data: Path) -> None:
    source = torchvision_names.TORCHVISION[name]
    if source.needs and importlib.util.find_spec(source.needs) is None:
        with pytest.raises(ValueError, match=f"{source.needs}, which is not installed: pip"):
            fetched(name)
        return
    with pytest.raises(downloads.NotDownloadedError) as caught:
        fetched(name)
    message = str(caught.value)
    assert message.startswith(f"{name} is not in {data / name}")
    assert Path(source.archives[0]).name in message
    assert ("`workbench run` downloads it" in message) == source.downloads
    assert message.count(". ") == 0 and "\n" not in message


def test_the_size_of_a_download_is_said(data: Path) -> None:
    with pytest.raises(
        downloads.NotDownloadedError, match=r"downloads it \(about 170 MB\), or put cifar-10-py"
    ):
        fetched("cifar10")


def nowhere(folder: Path) -> str:
    """An address at which nothing can be fetched."""
    return (folder / "nowhere" / "cifar-10-python.tar.gz").as_uri()


def test_a_download_that_fails_says_why_and_what_to_do_instead(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tv.CIFAR10, "url", nowhere(tmp_path))
    with (
        downloads.allowed(),
        pytest.raises(downloads.NotDownloadedError, match="No such file") as caught,
    ):
        fetched("cifar10")
    assert "could not be downloaded" in str(caught.value)
    assert f"put cifar-10-python.tar.gz into {data / 'cifar10'} yourself" in str(caught.value)


def test_an_archive_that_was_put_there_is_unpacked_without_the_internet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = files.packed_cifar10(tmp_path / "mine", monkeypatch)
    monkeypatch.setattr(tv.CIFAR10, "url", nowhere(tmp_path))
    with pytest.raises(downloads.NotDownloadedError):
        fetched("cifar10", path=str(tmp_path / "mine"))
    with downloads.allowed():
        samples = fetched("cifar10", path=str(tmp_path / "mine"))
    assert samples.targets.tolist() == list(chain(*parts))


def test_a_damaged_file_is_not_read(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.cifar10(data / "cifar10", monkeypatch)
    batch = data / "cifar10" / "cifar-10-batches-py" / "data_batch_3"
    content = bytearray(batch.read_bytes())
    content[200] ^= 1
    batch.write_bytes(content)
    with pytest.raises(
        downloads.NotDownloadedError, match=r"cifar10 is not in .*, or is incomplete or damaged"
    ):
        fetched("cifar10")


def test_what_was_not_unpacked_to_the_end_is_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.eurosat(data / "eurosat", monkeypatch)
    with pytest.raises(ValueError, match="has 6 images of eurosat, not 27,000: it was not unpa"):
        fetched("eurosat")


def test_a_damaged_image_of_a_data_set_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch, few: None
) -> None:
    files.food101(data / "food101", monkeypatch)
    (data / "food101" / "food-101" / "images" / "soup" / "3.jpg").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"1 of 8 images cannot be used: food-101/images/soup/3"):
        fetched("food101")
    assert len(fetched("food101", on_bad_input="skip").targets) == 7
