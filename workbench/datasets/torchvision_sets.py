"""Reads torchvision's classification data sets with its own loaders and checksums.

The given parts are kept. Image files are decoded by ``images.loading``; ``torchvision_names``
describes each data set.
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision.datasets
from numpy.typing import NDArray
from torch import Tensor

from workbench import downloads
from workbench.datasets.images import loading
from workbench.datasets.images.loading import ImageOptions
from workbench.datasets.samples import TEST, TRAIN, VALIDATION, Samples
from workbench.datasets.torchvision_names import FILES, TORCHVISION, TorchvisionSet
from workbench.messages import first_line
from workbench.record.strategy import Knobs

_Pairs = list[tuple[Path, int]]
_ADVICE = re.compile("download|not found|No such file")


def read(
    *,
    target: str,
    name: str,
    path: str | None = None,
    **options: Any,
) -> Samples:
    """Images ``uint8 [N, C, H, W]``: the training part first, in the loader's order or by path.

    Args:
        target: Always ``class``.
        name: A key of ``torchvision_names.TORCHVISION``.
        path: torchvision's ``root``; by default the data set's folder in ``downloads.folder()``.
        options: The data set's own options: ``variant``, ``label``, ``partition``, ``size``; for
            image files also those of ``images.loading.ImageOptions``.

    Raises:
        NotDownloadedError: It is missing or damaged, or could not be downloaded.
        ValueError: An option is out of range, or images are missing or cannot be used.
    """
    source = TORCHVISION[name]
    if source.needs and importlib.util.find_spec(source.needs) is None:
        raise ValueError(
            f"{name} needs the library {source.needs}, which is not installed: "
            f"pip install {source.needs}"
        )
    root = Path(path) if path is not None else downloads.folder() / name
    form = ImageOptions(**{key: options.pop(key) for key in FILES if key in options})
    keywords = _keywords(name, options)
    # The parts are named by their position: a data set without validation has two.
    numbers = (TRAIN, VALIDATION, TEST) if len(source.parts) == 3 else (TRAIN, TEST)
    parts = dict(zip(numbers, source.parts, strict=True)) if source.parts else {TRAIN: ""}
    loaded = {
        part: _load(name, source, root, {**_part_argument(name, part, split), **keywords})
        for part, split in parts.items()
    }
    classes = _classes(name, source, loaded[TRAIN], options)
    if not source.shape:
        pairs = {
            part: _PAIRS.get(name, _pairs)(loader, {"split": parts[part], **options})
            for part, loader in loaded.items()
        }
        return _of_files(name, source, root, pairs, classes, form)
    if name == "pcam":
        return _of_pcam(source, root, parts, classes)
    inputs, targets, given = [], [], []
    for part, loader in loaded.items():
        images, labels = _array(loader)
        inputs.append(images)
        # EMNIST numbers its letters from 1; its class 0 has no samples.
        targets.append(labels - 1 if options.get("variant") == "letters" else labels)
        given.append(torch.full_like(labels, part))
    return Samples(
        kind="image",
        inputs=torch.cat(inputs),
        targets=torch.cat(targets),
        classes=classes,
        given=torch.cat(given) if len(loaded) > 1 else None,
    )


def _loader(name: str) -> Any:
    """The class of torchvision: ``FashionMNIST`` for ``fashion_mnist``."""
    classes = {known.lower(): known for known in torchvision.datasets.__all__}
    return getattr(torchvision.datasets, classes[name.replace("_", "")])


def _part_argument(name: str, part: int, split: str) -> Knobs:
    """The argument of a loader that chooses a part: a flag of the older ones, else a name."""
    if not split:
        return {}
    # EMNIST passes ``train`` on to MNIST, so that its signature does not have it.
    if name == "emnist" or "train" in inspect.signature(_loader(name)).parameters:
        return {"train": part == TRAIN}
    return {"split": split}


def _keywords(name: str, options: Knobs) -> Knobs:
    """The loader's arguments for the options of a study file."""
    if name == "emnist":
        return {"split": options.get("variant", "balanced")}
    if name == "oxford_iiit_pet":
        kind = {"breed": "category", "species": "binary-category"}
        return {"target_types": kind[options.get("label", "breed")]}
    if name == "fgvc_aircraft":
        return {"annotation_level": options.get("label", "variant")}
    return options


def _load(name: str, source: TorchvisionSet, root: Path, keywords: Knobs) -> Any:
    loader = _loader(name)
    arguments = inspect.signature(loader).parameters
    keywords = dict(keywords)
    # Return the path instead of the decoded image; ``images.loading`` decodes it.
    if "loader" in arguments or name == "imagenet":
        keywords["loader"] = Path
    # First without downloading; loaders check their files and raise if something is missing.
    quiet = {"download": False} if source.downloads else {}
    try:
        return loader(root, **keywords, **quiet)
    except Exception as error:  # loaders raise anything
        reason, cause = first_line(error), error
    files = " and ".join(Path(archive).name for archive in source.archives)
    folders = sorted({str((root / archive).parent) for archive in source.archives})
    place = f"put {files} into {' or '.join(folders)}"
    lacks = f"{name} is not in {root}"
    if root.is_dir() and any(root.iterdir()):
        # The loaders advise setting download=True, which a study file cannot do.
        words = "" if _ADVICE.search(reason) else f" ({reason})"
        lacks += f", or is incomplete or damaged there{words}"
    if not source.downloads:
        raise downloads.NotDownloadedError(f"{lacks}; download it by hand: {place}.") from cause
    if not downloads.may():
        size = f" (about {source.megabytes:,} MB)" if source.megabytes else ""
        raise downloads.NotDownloadedError(
            f"{lacks}: `workbench run` downloads it{size}, or {place} to be unpacked."
        ) from cause
    try:
        return loader(root, **keywords, download=True)
    except Exception as error:
        raise downloads.NotDownloadedError(
            f"{name} could not be downloaded to {root} ({first_line(error)}): {place} yourself."
        ) from error


def _classes(name: str, source: TorchvisionSet, found: Any, options: Knobs) -> tuple[str, ...]:
    if source.classes:
        return source.classes
    if name == "oxford_iiit_pet" and options.get("label") == "species":
        return tuple(found.bin_classes)
    # Loaders without names have numbers as classes: digits, traffic signs.
    numbers = [str(number) for number in range(source.outputs)]
    names = list(getattr(found, "classes", getattr(found, "categories", numbers)))
    if name in ("mnist", "qmnist"):
        names = numbers  # torchvision's are "0 - zero"
    if name == "emnist" and names[0] == "N/A":
        names = names[1:]
    if isinstance(names[0], tuple):
        # ImageNet has two classes crane and two maillot: add the WordNet id to these.
        firsts = [synonyms[0] for synonyms in names]
        names = [
            first if firsts.count(first) == 1 else f"{first} ({wnid})"
            for first, wnid in zip(firsts, found.wnids, strict=True)
        ]
    return tuple(names)


def _array(found: Any) -> tuple[Tensor, Tensor]:
    """All images ``uint8 [N, C, H, W]`` and labels of a loader that holds them in memory."""
    # FER2013 decodes each image from its line of text and keeps no array.
    if not hasattr(found, "data"):
        every = [found[number] for number in range(len(found))]
        data = torch.from_numpy(np.stack([np.asarray(image) for image, _ in every]))
        return data.unsqueeze(1), torch.tensor([label for _, label in every])
    data = torch.as_tensor(found.data)
    labels = torch.as_tensor(found.targets if hasattr(found, "targets") else found.labels).long()
    # Grey images come as [N, H, W], colour ones of CIFAR as [N, H, W, C].
    if data.ndim == 3:
        data = data.unsqueeze(1)
    elif data.shape[-1] == 3:
        data = data.permute(0, 3, 1, 2)
    # QMNIST's targets have more columns; the label is the first.
    return data.contiguous(), labels[:, 0] if labels.ndim == 2 else labels


def _of_files(
    name: str,
    source: TorchvisionSet,
    root: Path,
    loaded: Mapping[int, _Pairs],
    classes: tuple[str, ...],
    form: ImageOptions,
) -> Samples:
    files, labels, given = [], [], []
    for part, pairs in loaded.items():
        # The order of a folder differs between file systems, and the split depends on it.
        pairs = sorted(pairs)
        files += [file for file, _ in pairs]
        labels += [label for _, label in pairs]
        given += [part] * len(pairs)
    if source.count and len(files) != source.count:
        raise ValueError(
            f"{root} has {len(files):,} images of {name}, not {source.count:,}: it was not "
            "unpacked completely. Delete the unpacked files and start again; to use only some of "
            "the images, set dataset.name: image_folder."
        )
    samples = loading.samples_of_files(
        files, labels, given, root=root, classes=classes, where=f"{name} in {root}", form=form
    )
    if name == "gtsrb":
        assert samples.names is not None
        # 30 images each are frames of one sign, as ``CLASS/TRACK_FRAME.ppm``; test images stand
        # alone.
        tracks = np.unique([each.rpartition("_")[0] or each for each in samples.names], False, True)
        samples = replace(samples, groups=torch.from_numpy(tracks[1]))
    return samples


def _of_pcam(
    source: TorchvisionSet, root: Path, parts: Mapping[int, str], classes: tuple[str, ...]
) -> Samples:
    """PCam from HDF5 directly: torchvision's loader opens two files for every image."""
    hdf5 = importlib.import_module("h5py")
    images, labels, given = [], [], []
    for part, split in parts.items():
        # The archives call the validation part ``valid``.
        x, y = (root / name for name in source.archives if f"_split_{split}" in name)
        images.append(x)
        with hdf5.File(y) as file:
            labels.append(torch.from_numpy(file["y"][:].reshape(-1)).long())
        given.append(torch.full_like(labels[-1], part))

    def stream() -> Iterator[NDArray[np.uint8]]:
        for path in images:
            with hdf5.File(path) as file:
                for start in range(0, len(file["x"]), 256):
                    some = file["x"][start : start + 256].transpose(0, 3, 1, 2)
                    yield from np.ascontiguousarray(some)

    targets = torch.cat(labels)
    with hdf5.File(images[0]) as file:
        height, width, channels = file["x"].shape[1:]
    shape = (len(targets), channels, height, width)
    kept = loading.store(images, stream, shape=shape, where="pcam")
    return Samples(
        kind="image",
        inputs=kept.images,
        targets=targets,
        classes=classes,
        given=torch.cat(given),
        mapped=kept.mapped,
    )


def _pairs(found: Any, _: Knobs) -> _Pairs:
    return [found[number] for number in range(len(found))]


def _pairs_of_pets(found: Any, said: Knobs) -> _Pairs:
    """By the lists in the archive, ``NAME BREED SPECIES ...``, numbered from 1."""
    folder = Path(found.root, "oxford-iiit-pet")
    column = 2 if said.get("label") == "species" else 1
    lines = (folder / "annotations" / f"{said['split']}.txt").read_text().splitlines()
    rows = [line.split() for line in lines]
    return [(folder / "images" / f"{row[0]}.jpg", int(row[column]) - 1) for row in rows]


def _pairs_of_signs(found: Any, said: Knobs) -> _Pairs:
    """By the folders of classes, or by the list in the archive of the test images."""
    folder = Path(found.root, "gtsrb")
    if said["split"] == "train":
        place = folder / "GTSRB" / "Training"
        return [(path, int(path.parent.name)) for path in sorted(place.glob("*/*.ppm"))]
    with (folder / "GT-final_test.csv").open() as file:
        rows = list(csv.DictReader(file, delimiter=";", skipinitialspace=True))
    place = folder / "GTSRB" / "Final_Test" / "Images"
    return [(place / row["Filename"], int(row["ClassId"])) for row in rows]


def _pairs_of_caltech(folder: str, form: str) -> Callable[[Any, Knobs], _Pairs]:
    def pairs(found: Any, _: Knobs) -> _Pairs:
        place = Path(found.root, folder)
        return [
            (place / found.categories[label] / form.format(label=label + 1, number=number), label)
            for label, number in zip(found.y, found.index, strict=True)
        ]

    return pairs


# Loaders without a ``loader`` argument that returns the path of an image.
_PAIRS: dict[str, Callable[[Any, Knobs], _Pairs]] = {
    "oxford_iiit_pet": _pairs_of_pets,
    "gtsrb": _pairs_of_signs,
    "caltech101": _pairs_of_caltech("101_ObjectCategories", "image_{number:04d}.jpg"),
    "caltech256": _pairs_of_caltech("256_ObjectCategories", "{label:03d}_{number:04d}.jpg"),
}
