"""Small copies of torchvision's data sets in their true formats on disk.

Each writer fills a folder as the archives do, and returns what the data set then holds: labels of
each part, in the order of ``known``'s parts. Checksums of the true files are replaced by these
ones' where a loader verifies them.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import json
import pickle
import struct
import tarfile
from collections.abc import Callable
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets as tv
from PIL import Image
from scipy.io import savemat

Parts = list[list[int]]
Writer = Callable[[Path, pytest.MonkeyPatch], Parts]

_RNG = np.random.default_rng(0)


def _noise(*shape: int) -> Any:
    return _RNG.integers(0, 256, shape, dtype=np.uint8)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _picture(path: Path, width: int = 20, height: int = 16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_noise(height, width, 3)).save(path)


def cifar(root: Path, patch: pytest.MonkeyPatch, loader: Any, labels: str, classes: int) -> Parts:
    folder = root / loader.base_folder
    folder.mkdir(parents=True)
    parts: Parts = []
    for attribute in ("train_list", "test_list"):
        every, entries = [], []
        for name, _ in getattr(loader, attribute):
            numbers = [number % classes for number in range(2 * classes)]
            batch = {"data": _noise(len(numbers), 3072), labels: numbers}
            (folder / name).write_bytes(pickle.dumps(batch))
            every += numbers
            entries.append([name, _md5(folder / name)])
        patch.setattr(loader, attribute, entries)
        parts.append(every)
    key = loader.meta["key"]
    names = [f"thing {number}" for number in range(classes)]
    meta = folder / loader.meta["filename"]
    meta.write_bytes(pickle.dumps({key: names}))
    patch.setattr(loader, "meta", {**loader.meta, "md5": _md5(meta)})
    return parts


def cifar10(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    return cifar(root, patch, tv.CIFAR10, "labels", 10)


def cifar100(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    return cifar(root, patch, tv.CIFAR100, "fine_labels", 100)


def packed_cifar10(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    """The archive alone, as it is downloaded."""
    parts = cifar10(root / "unpacked", patch)
    archive = root / tv.CIFAR10.filename
    with tarfile.open(archive, "w:gz") as file:
        file.add(root / "unpacked" / tv.CIFAR10.base_folder, tv.CIFAR10.base_folder)
    patch.setattr(tv.CIFAR10, "tgz_md5", _md5(archive))
    for file_ in (root / "unpacked" / tv.CIFAR10.base_folder).iterdir():
        file_.unlink()
    return parts


def _idx(path: Path, values: Any) -> None:
    """The format of MNIST: type, dimensions, sizes, big-endian values."""
    kinds = {"uint8": 8, "int32": 12}
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(">HBB", 0, kinds[str(values.dtype)], values.ndim)
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(head + sizes + values.astype(values.dtype.newbyteorder(">")).tobytes())


def _mnist(folder: str) -> Writer:
    def write(root: Path, patch: pytest.MonkeyPatch) -> Parts:
        parts = [[number % 10 for number in range(count)] for count in (30, 20)]
        for prefix, labels in zip(("train", "t10k"), parts, strict=True):
            raw = root / folder / "raw"
            _idx(raw / f"{prefix}-images-idx3-ubyte", _noise(len(labels), 28, 28))
            _idx(raw / f"{prefix}-labels-idx1-ubyte", np.array(labels, dtype=np.uint8))
        return parts

    return write


def packed_mnist(root: Path, patch: pytest.MonkeyPatch, *, train: int, test: int) -> None:
    """The archives of MNIST as they are downloaded, with labels that the pixels tell."""
    raw = root / "MNIST" / "raw"
    resources = []
    for prefix, count in (("train", train), ("t10k", test)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = _RNG.integers(0, 50, (count, 28, 28)).astype(np.uint8)
        pixels[np.arange(count), 2 * labels + 4] = 250
        for name, values in (("images-idx3", pixels), ("labels-idx1", labels)):
            path = raw / f"{prefix}-{name}-ubyte"
            _idx(path, values)
            archive = path.with_name(f"{path.name}.gz")
            archive.write_bytes(gzip.compress(path.read_bytes(), 1))
            path.unlink()
            resources.append((archive.name, _md5(archive)))
    patch.setattr(tv.MNIST, "resources", resources)


def emnist(root: Path, patch: pytest.MonkeyPatch, variant: str = "balanced", low: int = 0) -> Parts:
    parts = [[low + number % 5 for number in range(count)] for count in (20, 10)]
    for prefix, labels in zip(("train", "test"), parts, strict=True):
        raw = root / "EMNIST" / "raw"
        _idx(raw / f"emnist-{variant}-{prefix}-images-idx3-ubyte", _noise(len(labels), 28, 28))
        labels_file = raw / f"emnist-{variant}-{prefix}-labels-idx1-ubyte"
        _idx(labels_file, np.array(labels, dtype=np.uint8))
    return parts


def qmnist(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    parts = [[number % 10 for number in range(count)] for count in (30, 20)]
    for prefix, labels in zip(("train", "test"), parts, strict=True):
        raw = root / "QMNIST" / "raw"
        _idx(raw / f"qmnist-{prefix}-images-idx3-ubyte", _noise(len(labels), 28, 28))
        full = np.zeros((len(labels), 8), dtype=np.int32)
        full[:, 0], full[:, 1] = labels, 7
        _idx(raw / f"qmnist-{prefix}-labels-idx2-int", full)
    return parts


def svhn(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    root.mkdir(parents=True)
    parts: Parts = []
    entries = dict(tv.SVHN.split_list)
    for part, count in (("train", 20), ("test", 10)):
        labels = [number % 10 for number in range(count)]
        file = root / f"{part}_32x32.mat"
        # In the file a 0 is a 10, and samples are the last dimension.
        stored = np.array([[label or 10] for label in labels], dtype=np.uint8)
        savemat(file, {"X": _noise(32, 32, 3, count), "y": stored})
        entries[part] = ["nowhere", file.name, _md5(file)]
        parts.append(labels)
    patch.setattr(tv.SVHN, "split_list", entries)
    return parts


def stl10(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    parts: Parts = []
    for part, count in (("train", 20), ("test", 10)):
        labels = [number % 10 for number in range(count)]
        _noise(count, 3, 96, 96).tofile(folder / f"{part}_X.bin")
        (np.array(labels, dtype=np.uint8) + 1).tofile(folder / f"{part}_y.bin")
        parts.append(labels)
    _noise(2, 3, 96, 96).tofile(folder / "unlabeled_X.bin")
    (folder / "class_names.txt").write_text("\n".join(f"thing{n}" for n in range(10)) + "\n")
    for attribute in ("train_list", "test_list"):
        entries = [[name, _md5(folder / name)] for name, _ in getattr(tv.STL10, attribute)]
        patch.setattr(tv.STL10, attribute, entries)
    return parts


def usps(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    root.mkdir(parents=True)
    parts: Parts = []
    for name, count in (("usps.bz2", 20), ("usps.t.bz2", 10)):
        labels = [number % 10 for number in range(count)]
        lines = [
            f"{label + 1} " + " ".join(f"{i + 1}:{v:.4f}" for i, v in enumerate(values))
            for label, values in zip(labels, _RNG.uniform(-1, 1, (count, 256)), strict=True)
        ]
        (root / name).write_bytes(bz2.compress("\n".join(lines).encode()))
        parts.append(labels)
    return parts


def semeion(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    root.mkdir(parents=True)
    labels = [number % 10 for number in range(30)]
    rows = np.hstack([_RNG.integers(0, 2, (30, 256)), np.eye(10, dtype=int)[labels]])
    np.savetxt(root / "semeion.data", rows, fmt="%d")
    patch.setattr(tv.SEMEION, "md5_checksum", _md5(root / "semeion.data"))
    return [labels]


def fer2013(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    file = root / "fer2013" / "fer2013.csv"
    file.parent.mkdir(parents=True)
    parts = [[number % 7 for number in range(14)], [number % 7 for number in range(7)]]
    with file.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["emotion", "pixels", "Usage"])
        for usage, labels in zip(("Training", "PublicTest"), parts, strict=True):
            for label in labels:
                rows.writerow([label, " ".join(map(str, _noise(48 * 48))), usage])
    patch.setattr(
        tv.FER2013, "_RESOURCES", {**tv.FER2013._RESOURCES, "fer": (file.name, _md5(file))}
    )
    return parts


def food101(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    for part, numbers in (("train", (0, 1, 2)), ("test", (3,))):
        listed = {name: [f"{name}/{n}" for n in numbers] for name in ("soup", "cake")}
        (root / "food-101" / "meta").mkdir(parents=True, exist_ok=True)
        (root / "food-101" / "meta" / f"{part}.json").write_text(json.dumps(listed))
        for image in chain(*listed.values()):
            _picture(root / "food-101" / "images" / f"{image}.jpg")
    return [[0, 0, 0, 1, 1, 1], [0, 1]]


def flowers102(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    base = root / "flowers-102"
    for number in range(1, 9):
        _picture(base / "jpg" / f"image_{number:05d}.jpg")
    savemat(base / "imagelabels.mat", {"labels": np.array([1, 2] * 4)})
    parts = {"trnid": [1, 2, 3, 4], "valid": [5, 6], "tstid": [7, 8]}
    savemat(base / "setid.mat", {key: np.array(value) for key, value in parts.items()})
    sums = dict(tv.Flowers102._file_dict)
    for key, name in (("label", "imagelabels.mat"), ("setid", "setid.mat")):
        sums[key] = (name, _md5(base / name))
    patch.setattr(tv.Flowers102, "_file_dict", sums)
    return [[0, 1, 0, 1], [0, 1], [0, 1]]


def oxford_iiit_pet(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    base = root / "oxford-iiit-pet"
    (base / "annotations").mkdir(parents=True)
    for part, numbers in (("trainval", (1, 2)), ("test", (3,))):
        lines = []
        for breed, label, species in (("Abyssinian", 1, 1), ("great_pyrenees", 2, 2)):
            for number in numbers:
                lines.append(f"{breed}_{number} {label} {species} 1")
                _picture(base / "images" / f"{breed}_{number}.jpg")
        (base / "annotations" / f"{part}.txt").write_text("\n".join(lines) + "\n")
    return [[0, 0, 1, 1], [0, 1]]


def fgvc_aircraft(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    data = root / "fgvc-aircraft-2013b" / "data"
    data.mkdir(parents=True)
    for level, file, names in (
        ("variant", "variants.txt", ("707-320", "A300B4")),
        ("manufacturer", "manufacturers.txt", ("Boeing", "Airbus")),
    ):
        (data / file).write_text("\n".join(names) + "\n")
        for part, numbers in (("train", (10, 11)), ("val", (20, 21)), ("test", (30, 31))):
            lines = [f"{n:07d} {name}" for n, name in zip(numbers, names, strict=True)]
            (data / f"images_{level}_{part}.txt").write_text("\n".join(lines) + "\n")
            for number in numbers:
                _picture(data / "images" / f"{number:07d}.jpg")
    return [[0, 1], [0, 1], [0, 1]]


def dtd(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    base = root / "dtd" / "dtd"
    (base / "labels").mkdir(parents=True)
    for part, number in (("train", 1), ("val", 2), ("test", 3)):
        lines = [f"{name}/{name}_{number}.jpg" for name in ("banded", "dotted")]
        (base / "labels" / f"{part}1.txt").write_text("\n".join(lines) + "\n")
        for line in lines:
            _picture(base / "images" / line)
    return [[0, 1], [0, 1], [0, 1]]


def eurosat(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    for name in ("Forest", "River"):
        for number in range(3):
            _picture(root / "eurosat" / "2750" / name / f"{name}_{number}.jpg", 64, 64)
    return [[0, 0, 0, 1, 1, 1]]


def gtsrb(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    base = root / "gtsrb"
    for label in range(2):
        for track, frame in product(range(4), range(3)):
            place = base / "GTSRB" / "Training" / f"{label:05d}"
            _picture(place / f"{track:05d}_{frame:05d}.ppm", 30, 29)
        _picture(base / "GTSRB" / "Final_Test" / "Images" / f"{label:05d}.ppm", 30, 29)
    (base / "GT-final_test.csv").write_text("Filename;ClassId\n00000.ppm;0\n00001.ppm;1\n")
    return [[0] * 12 + [1] * 12, [0, 1]]


def caltech101(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    for name in ("BACKGROUND_Google", "ant", "bee"):
        for number in (1, 2):
            place = root / "caltech101" / "101_ObjectCategories" / name
            _picture(place / f"image_{number:04d}.jpg")
    return [[0, 0, 1, 1]]


def caltech256(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    for label, name in enumerate(("001.ak47", "002.american-flag"), start=1):
        for number in (1, 2):
            place = root / "caltech256" / "256_ObjectCategories" / name
            _picture(place / f"{label:03d}_{number:04d}.jpg")
    return [[0, 0, 1, 1]]


def country211(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    for part in ("train", "valid", "test"):
        for name in ("AD", "ZW"):
            _picture(root / "country211" / part / name / f"{part}.jpg")
    return [[0, 1], [0, 1], [0, 1]]


def imagenet(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    import torch

    cranes = {"n02012849": ("crane",), "n03126707": ("crane",), "n01440764": ("tench", "Tinca")}
    for part in ("train", "val"):
        for wnid in cranes:
            _picture(root / part / wnid / f"{part}_{wnid}.JPEG")
    torch.save((cranes, sorted(cranes)), root / "meta.bin")
    return [[0, 1, 2], [0, 1, 2]]


def imagenette(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    for part in ("train", "val"):
        for wnid in ("n01440764", "n02102040"):
            _picture(
                root / "imagenette2" / part / wnid / f"{wnid}_{part}.jpeg".replace("jpeg", "JPEG")
            )
    return [[0, 1], [0, 1]]


def rendered_sst2(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    for part in ("train", "valid", "test"):
        for name in ("negative", "positive"):
            _picture(root / "rendered-sst2" / part / name / "0.png", 48, 48)
    return [[0, 1], [0, 1], [0, 1]]


def sun397(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    base = root / "SUN397"
    for name in ("/a/abbey", "/c/church/indoor"):
        for letter in "ab":
            _picture(base / name[1:] / f"sun_{letter}.jpg")
    (base / "ClassName.txt").write_text("/a/abbey\n/c/church/indoor\n")
    return [[0, 0, 1, 1]]


def stanford_cars(root: Path, patch: pytest.MonkeyPatch) -> Parts:
    base = root / "stanford_cars"
    (base / "devkit").mkdir(parents=True)
    kind = [("class", np.uint8), ("fname", "U9")]
    for part, file in (
        ("cars_train", base / "devkit" / "cars_train_annos.mat"),
        ("cars_test", base / "cars_test_annos_withlabels.mat"),
    ):
        rows = np.array([(1, "00001.jpg"), (2, "00002.jpg")], dtype=kind)
        savemat(file, {"annotations": rows})
        for row in rows:
            _picture(base / part / str(row["fname"]))
    names = np.array(["AM General", "Acura RL"], dtype=object)
    savemat(base / "devkit" / "cars_meta.mat", {"class_names": names})
    return [[0, 1], [0, 1]]


WRITERS: dict[str, Writer] = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "mnist": _mnist("MNIST"),
    "fashion_mnist": _mnist("FashionMNIST"),
    "kmnist": _mnist("KMNIST"),
    "emnist": emnist,
    "qmnist": qmnist,
    "svhn": svhn,
    "stl10": stl10,
    "usps": usps,
    "semeion": semeion,
    "fer2013": fer2013,
    "food101": food101,
    "flowers102": flowers102,
    "oxford_iiit_pet": oxford_iiit_pet,
    "fgvc_aircraft": fgvc_aircraft,
    "dtd": dtd,
    "eurosat": eurosat,
    "gtsrb": gtsrb,
    "caltech101": caltech101,
    "caltech256": caltech256,
    "country211": country211,
    "imagenet": imagenet,
    "imagenette": imagenette,
    "rendered_sst2": rendered_sst2,
    "sun397": sun397,
    "stanford_cars": stanford_cars,
}
