"""A folder of images with one folder per class, with or without folders for the parts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.datasets.images.decoding import EXTENSIONS
from workbench.datasets.images.loading import ImageOptions, samples_of_files
from workbench.datasets.rows.rows import PARTS
from workbench.datasets.samples import TRAIN, Samples


def read(*, target: str, path: str, **options: Any) -> Samples:
    """Images ``uint8 [N, C, H, W]``, ordered by part, class and path; names relative to the folder.

    If there is a folder ``train``, the folders are parts; otherwise every folder is a class. Images
    in subfolders of a class belong to it; hidden files and other types of files are ignored.

    Args:
        target: Always ``class``.
        path: Of the folder.
        options: See ``images.loading.ImageOptions``.

    Raises:
        ValueError: The folder does not exist, has no images, fewer than two classes or a class
            without images; the parts have different classes; an image cannot be used.
    """
    root, form = Path(path), ImageOptions(**options)
    if not root.is_dir():
        what = "is a file" if root.is_file() else "does not exist"
        raise ValueError(f"dataset.path must be a folder of images, but {root} {what}.")
    parts = _parts(root)
    classes = _classes(root, parts)
    files, labels, given = [], [], []
    for folder, part in sorted(parts.items(), key=lambda item: item[1]):
        for label, name in enumerate(classes):
            found = images_in(folder / name)
            if not found:
                raise ValueError(
                    f"{folder / name} has no images; images are files that end in "
                    f"{', '.join(EXTENSIONS)}."
                )
            files += found
            labels += [label] * len(found)
            given += [part] * len(found)
    samples = samples_of_files(
        files, labels, given, root=root, classes=classes, where=str(root), form=form
    )
    for label, name in enumerate(classes):
        # Bad images are skipped on request; a class may lose all of its images by that.
        if not (samples.targets == label).any():
            raise ValueError(f"No image of the class {name} in {root} can be used.")
    return samples


def images_in(folder: Path) -> list[Path]:
    """The image files in a folder and its subfolders, sorted by path; hidden ones are ignored."""
    found = []
    # Data sets are often folders of links; hidden folders are removed in place to skip them.
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in files
            if not name.startswith(".") and name.lower().endswith(EXTENSIONS)
        ]
    return sorted(found, key=lambda file: file.relative_to(folder).as_posix())


def _folders(folder: Path) -> list[Path]:
    return sorted(
        child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")
    )


def _parts(root: Path) -> dict[Path, int]:
    """The folders that contain classes, each with its part; only the root if no parts are given."""
    children = _folders(root)
    if not any(PARTS.get(child.name.lower()) == TRAIN for child in children):
        return {root: TRAIN}
    parts: dict[Path, int] = {}
    for child in children:
        part = PARTS.get(child.name.lower())
        if part is None:
            raise ValueError(
                f"{root} has a folder train, so its folders are parts, but {child.name} is not "
                "one of train, validation and test."
            )
        if part in parts.values():
            twin = next(other for other, number in parts.items() if number == part)
            raise ValueError(f"{root} has both {twin.name} and {child.name}; keep one of them.")
        parts[child] = part
    return parts


def _classes(root: Path, parts: Mapping[Path, int]) -> list[str]:
    """Names of the classes; they must be the same in all parts."""
    classes = {folder: [child.name for child in _folders(folder)] for folder in parts}
    for folder, names in classes.items():
        if names:
            continue
        loose = len(images_in(folder))
        what = f"{loose} images, but no folders" if loose else "no images"
        raise ValueError(f"{folder} must have a folder of images for each class; it has {what}.")
    train = next(folder for folder, part in parts.items() if part == TRAIN)
    for folder, names in classes.items():
        if odd := sorted(set(names) ^ set(classes[train])):
            place = folder if odd[0] in names else train
            other = train if place == folder else folder
            raise ValueError(
                f"The parts of {root} must have the same classes, but {place.name} has {odd[0]} "
                f"and {other.name} does not."
            )
    return classes[train]
