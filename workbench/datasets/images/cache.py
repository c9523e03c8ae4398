"""The cache of decoded images: one array on disk that every process maps.

It lies under ``downloads.folder()/decoded``, keyed by where the files lie, their names, sizes and
times of change and by how they are decoded; it may be deleted at any time. Each process compares it
with its hash before it uses it, and writes anew what is damaged. Knows no decoder.
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
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench import downloads
from workbench.datasets.images.decoding import Form
from workbench.datasets.memmap import Mapped, sha256_of

_LOGGER = logging.getLogger(__name__)

# Bytes of decoded images that stay in memory where no file can be written.
MEMORY = 2**30
_DAY = 24 * 3600


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """Images of one size.

    Attributes:
        images: ``uint8 [N, C, H, W]``, a memory map where ``mapped`` says of what.
        positions: Of the files that could be decoded, among those that were given.
        skipped: The others, each as ``NAME: REASON``.
    """

    images: Tensor
    positions: tuple[int, ...]
    skipped: tuple[str, ...]
    mapped: Mapped | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the images of some files are kept.

    Attributes:
        times: Hash of when the files were last changed in any way. Unlike the time of modification
            nobody can set it: an archive may give new content its old size and time.
    """

    folder: Path
    times: str


def place_of(files: Sequence[Path], names: Sequence[str], how: Sequence[Any]) -> Place:
    """Where the images of some files, decoded in some way (plain JSON values), are kept."""
    digest, times = hashlib.sha256(json.dumps(how).encode()), hashlib.sha256()
    folders: dict[Path, Path] = {}
    for file, name in zip(files, names, strict=True):
        state = file.stat()
        # Bitmaps of one size that came from one archive may agree in size and time.
        at = str(_resolved(file, folders))
        digest.update(json.dumps([at, name, state.st_size, state.st_mtime_ns]).encode())
        times.update(f"{state.st_ctime_ns}\n".encode())
    folder = downloads.folder() / "decoded" / digest.hexdigest()[:32]
    return Place(folder=folder, times=times.hexdigest())


def place_of_content(content: str, names: Sequence[str], how: Sequence[Any]) -> Place:
    """Where images that are no files are kept; the text stands for what they hold."""
    key = json.dumps([content, list(names), list(how)])
    digest = hashlib.sha256(key.encode()).hexdigest()
    return Place(folder=downloads.folder() / "decoded" / digest[:32], times="")


def _resolved(file: Path, folders: dict[Path, Path]) -> Path:
    """Where a file really lies; its folder is looked up once, because there may be a million."""
    if file.is_symlink():
        return file.resolve()
    if file.parent not in folders:
        folders[file.parent] = file.parent.resolve()
    return folders[file.parent] / file.name


def keep(
    place: Place,
    stream: Iterator[tuple[int, NDArray[np.uint8]]],
    form: Form,
    count: int,
    names: Sequence[str],
    bad: Mapping[int, str],
    *,
    refuse: bool,
    where: str,
) -> Decoded | None:
    """Write decoded images to their place and map them.

    Args:
        place: See ``place_of``.
        stream: The images by the files' numbers, in order.
        form: Of every image.
        count: Number of images at most.
        names: What a person calls the files.
        bad: Why files cannot be decoded, by their numbers; may grow while the stream runs.
        refuse: Whether one bad file is one too many.
        where: What a person calls all of them together.

    Returns:
        None where no image is left, or a bad file is refused.

    Raises:
        ValueError: There is no room for them.
    """
    room, parent = count * math.prod(form.shape), place.folder.parent
    new = parent / f".new-{uuid.uuid4().hex}"
    try:
        _sweep(parent)
        new.mkdir(parents=True)
    except OSError as error:
        if room > MEMORY:
            raise ValueError(
                f"{where}: the decoded images need {room / 1e9:.1f} GB, but {parent} cannot "
                f"be written to ({error.strerror}); name another folder by WORKBENCH_DATA."
            ) from error
        every = list(stream)
        if not every or (bad and refuse):
            return None
        return Decoded(
            images=torch.from_numpy(np.stack([pixels for _, pixels in every])),
            positions=tuple(number for number, _ in every),
            skipped=tuple(_skipped(names, bad)),
            mapped=None,
        )
    try:
        free = shutil.disk_usage(new).free
        if room > free:
            raise ValueError(
                f"{where}: the decoded images need {room / 1e9:.1f} GB, but {parent} has "
                f"{free / 1e9:.1f} GB left; name another folder by WORKBENCH_DATA, or make "
                "dataset.store_size smaller."
            )
        positions, sha256 = _write(new / "images", stream)
        if not positions or (bad and refuse):
            return None
        description = {
            "shape": [len(positions), *form.shape],
            "sha256": sha256,
            "positions": positions,
            "skipped": _skipped(names, bad),
            "times": place.times,
        }
        description["checksum"] = _checksum(description)
        (new / "images.json").write_text(json.dumps(description))
        _put(new, place)
    except OSError as error:
        raise ValueError(
            f"{where}: the decoded images could not be written to {parent} "
            f"({error.strerror or error}); make room there, or name another folder by "
            "WORKBENCH_DATA."
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)
    if (found := opened(place, warn=False)) is None:
        raise ValueError(
            f"{where}: the decoded images in {place.folder} do not read back as they were "
            "written; check the disk, or name another folder by WORKBENCH_DATA."
        )
    return found


def _write(path: Path, stream: Iterator[tuple[int, NDArray[np.uint8]]]) -> tuple[list[int], str]:
    """The files' numbers, and the hash of what was written."""
    digest, positions = hashlib.sha256(), []
    with path.open("wb") as file:
        for number, pixels in stream:
            file.write(pixels.data)
            digest.update(pixels.data)
            positions.append(number)
        file.flush()
        os.fsync(file.fileno())
    return positions, digest.hexdigest()


def _put(new: Path, place: Place) -> None:
    try:
        new.rename(place.folder)
    except OSError:
        # Another process was faster, or what lies there is damaged or of older files.
        if opened(place, warn=False) is None:
            aside = new.with_name(f".new-{uuid.uuid4().hex}")
            with suppress(OSError):  # another process may do the same at this moment
                place.folder.rename(aside)
            with suppress(OSError):
                new.rename(place.folder)
            shutil.rmtree(aside, ignore_errors=True)


def _skipped(names: Sequence[str], bad: Mapping[int, str]) -> list[str]:
    return [f"{names[number]}: {bad[number]}" for number in sorted(bad)]


def _checksum(description: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def opened(place: Place, *, warn: bool = True) -> Decoded | None:
    """What is kept of these files, if it is as it was written."""
    if not place.folder.is_dir():
        return None
    file = place.folder / "images"
    try:
        description = json.loads((place.folder / "images.json").read_text())
        if description.get("times") != place.times:
            return None
        sound = description.pop("checksum") == _checksum(description)
        if sound and sha256_of(file) == description["sha256"]:
            mapped = Mapped(
                path=file, shape=tuple(description["shape"]), sha256=description["sha256"]
            )
            return Decoded(
                images=mapped.open(),
                positions=tuple(description["positions"]),
                skipped=tuple(description["skipped"]),
                mapped=mapped,
            )
    except Exception:  # what is damaged raises anything
        pass
    if warn:
        _LOGGER.warning("The decoded images in %s are damaged: decoding them again.", place.folder)
    return None


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed left behind."""
    for left in folder.glob(".new-*"):
        if time.time() - left.stat().st_mtime > _DAY:
            shutil.rmtree(left, ignore_errors=True)
