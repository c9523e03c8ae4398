"""The cache of decoded images: one array on disk that every process maps.

It is under ``downloads.folder()/decoded``, keyed by the files' paths, names, sizes and modification
times and by the decoding options; it may be deleted at any time. Each process compares it with its
hash before using it, and replaces it if it is damaged. Used by ``images.loading``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from workbench import downloads
from workbench.datasets.images.decoding import Form
from workbench.datasets.memmap import MappedArray, sha256_of

_LOGGER = logging.getLogger(__name__)

_DAY = 24 * 3600


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedImages:
    """Decoded images of one size.

    Attributes:
        images: ``uint8 [N, C, H, W]``, a memory map of ``mapped``.
        positions: Positions of the files that could be decoded, among all files.
        skipped: The other files, each as ``NAME: REASON``.
    """

    images: Tensor
    positions: tuple[int, ...]
    skipped: tuple[str, ...]
    mapped: MappedArray


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of some files in the cache.

    Attributes:
        times: Hash of the files' ctimes. Unlike mtimes they cannot be set: unpacking an archive may
            give new content the old size and mtime.
    """

    folder: Path
    times: str


def place_of(files: Sequence[Path], names: Sequence[str], how: Sequence[Any]) -> Place:
    """The place of some files, decoded with the options ``how`` (JSON values)."""
    digest, times = hashlib.sha256(json.dumps(how).encode()), hashlib.sha256()
    folders: dict[Path, Path] = {}
    for file, name in zip(files, names, strict=True):
        state = file.stat()
        # The path counts: bitmaps from one archive may have the same size and time.
        at = str(_resolved(file, folders))
        digest.update(json.dumps([at, name, state.st_size, state.st_mtime_ns]).encode())
        times.update(f"{state.st_ctime_ns}\n".encode())
    folder = downloads.folder() / "decoded" / digest.hexdigest()[:32]
    return Place(folder=folder, times=times.hexdigest())


def place_of_content(content: str, names: Sequence[str], how: Sequence[Any]) -> Place:
    """The place of images that are not files; ``content`` identifies them."""
    key = json.dumps([content, list(names), list(how)])
    digest = hashlib.sha256(key.encode()).hexdigest()
    return Place(folder=downloads.folder() / "decoded" / digest[:32], times="")


def _resolved(file: Path, folders: dict[Path, Path]) -> Path:
    """A file's resolved path; its folder is resolved once, because there may be a million files."""
    if file.is_symlink():
        return file.resolve()
    if file.parent not in folders:
        folders[file.parent] = file.parent.resolve()
    return folders[file.parent] / file.name


def save(
    place: Place,
    stream: Iterator[tuple[int, NDArray[np.uint8]]],
    form: Form,
    count: int,
    names: Sequence[str],
    bad: Mapping[int, str],
    *,
    refuse: bool,
    where: str,
) -> DecodedImages | None:
    """Write decoded images to the cache and map them.

    Args:
        place: See ``place_of``.
        stream: The images with the files' numbers, in order.
        form: Of every image.
        count: Upper bound on the number of images.
        names: Names of the files, for messages.
        bad: Why files cannot be decoded, by number; entries are added while the stream runs.
        refuse: Whether a single bad file is an error.
        where: Name of all files together, for messages.

    Returns:
        None if no image is left, or if a bad file is refused.

    Raises:
        ValueError: There is not enough space for them.
    """
    size, parent = count * math.prod(form.shape), place.folder.parent
    new = parent / f".new-{uuid.uuid4().hex}"
    try:
        _remove_leftovers(parent)
        new.mkdir(parents=True)
        free = shutil.disk_usage(new).free
        if size > free:
            raise ValueError(
                f"{where}: the decoded images need {size / 1e9:.1f} GB, but {parent} has "
                f"{free / 1e9:.1f} GB left; set WORKBENCH_DATA to another folder, or reduce "
                "dataset.store_size."
            )
        positions, sha256 = _write(new / "images", stream)
        if not positions or (bad and refuse):
            return None
        description = {
            "shape": [len(positions), *form.shape],
            "sha256": sha256,
            "positions": positions,
            "skipped": [f"{names[number]}: {bad[number]}" for number in sorted(bad)],
            "times": place.times,
        }
        description["checksum"] = _checksum(description)
        (new / "images.json").write_text(json.dumps(description))
        _publish(new, place)
    except OSError as error:
        raise ValueError(
            f"{where}: the decoded images could not be written to {parent} "
            f"({error.strerror or error}); free some space, or set WORKBENCH_DATA to another "
            "folder."
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    if (found := cached(place, warn=False)) is None:
        raise ValueError(
            f"{where}: the decoded images in {place.folder} differ from what was written; "
            "check the disk, or set WORKBENCH_DATA to another folder."
        )
    return found


def _write(path: Path, stream: Iterator[tuple[int, NDArray[np.uint8]]]) -> tuple[list[int], str]:
    """Write the images to a file; return the files' numbers and the hash of the content."""
    digest, positions = hashlib.sha256(), []
    with path.open("wb") as file:
        for number, pixels in stream:
            file.write(pixels.data)
            digest.update(pixels.data)
            positions.append(number)
        # On disk before the folder gets its final name: a crash must not leave an incomplete cache.
        file.flush()
        os.fsync(file.fileno())
    return positions, digest.hexdigest()


def _publish(new: Path, place: Place) -> None:
    try:
        new.rename(place.folder)
    except OSError:
        # Another process was faster, or the existing cache is damaged or of older files.
        if cached(place, warn=False) is None:
            aside = new.with_name(f".new-{uuid.uuid4().hex}")
            with suppress(OSError):  # another process may do the same at this moment
                place.folder.rename(aside)
            with suppress(OSError):
                new.rename(place.folder)
            shutil.rmtree(aside, ignore_errors=True)


def _checksum(description: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def cached(place: Place, *, warn: bool = True) -> DecodedImages | None:
    """The cached images of these files; None if there are none or they are damaged."""
    if not place.folder.is_dir():
        return None
    file = place.folder / "images"
    try:
        description = json.loads((place.folder / "images.json").read_text())
        if description.get("times") != place.times:
            return None
        intact = description.pop("checksum") == _checksum(description)
        if intact and sha256_of(file) == description["sha256"]:
            mapped = MappedArray(
                path=file, shape=tuple(description["shape"]), sha256=description["sha256"]
            )
            return DecodedImages(
                images=mapped.open(),
                positions=tuple(description["positions"]),
                skipped=tuple(description["skipped"]),
                mapped=mapped,
            )
    except Exception:  # damaged files raise anything
        pass
    if warn:
        _LOGGER.warning("The decoded images in %s are damaged; decoding them again.", place.folder)
    return None


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary folders of killed processes."""
    for left in folder.glob(".new-*"):
        # Younger ones may belong to a process that is still writing.
        with suppress(FileNotFoundError):  # another process may remove it at this moment
            if time.time() - left.stat().st_mtime > _DAY:
                shutil.rmtree(left, ignore_errors=True)
