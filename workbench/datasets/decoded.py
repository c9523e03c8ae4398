"""Image files, decoded once into one array on disk that every process maps.

Decoding is what makes image files slow, and finding a damaged one in the middle of a trial is too
late: so all of them are decoded before anything runs. The array lies under
``downloads.folder()/decoded``, keyed by where the files lie, their names, sizes and times of change
and by how they are decoded; it may be deleted at any time. Knows neither classes nor splits.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from workbench import downloads
from workbench.datasets import decoding
from workbench.datasets.decoding import Form
from workbench.datasets.mapped import Mapped

# Short side, in pixels, of images that come in several sizes or are larger than this.
USUAL_SIDE = 256
# Bytes of decoded images that stay in memory where no file can be written.
MEMORY = 2**30
# To be raised whenever the same files are decoded to other pixels.
_VERSION = 1
_AT_ONCE = 256
_SHOWN = 10
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


def decode(
    files: Sequence[Path],
    names: Sequence[str],
    *,
    where: str,
    store_size: int | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    on_bad_input: str = "refuse",
) -> Decoded:
    """Decode image files, or map what was decoded before.

    Images are turned as their EXIF orientation says; 16-bit greys become 8-bit ones; transparency
    is dropped. All become grey if all are, and colour else. Of an animation the first image is
    taken. Images of one size whose short side is at most ``image_size`` (else 256) stay as they
    are. Of all others the largest square in the middle is resized (bilinear, antialiased) to
    ``image_size`` (else 256) pixels.

    Args:
        files: All of them there.
        names: What a person calls the files.
        where: What a person calls all of them together.
        store_size: Resize all images to so many pixels instead.
        image_size: Of the images as a model takes them.
        channels: 1 or 3 instead of what the images have.
        on_bad_input: ``refuse``, or ``skip`` to leave out what cannot be decoded.

    Raises:
        ValueError: A file is damaged, empty, no image, or an image bomb (more than
            ``PIL.Image.MAX_IMAGE_PIXELS`` pixels) and bad input is refused; no file can be decoded;
            or there is no room for the decoded images.
    """
    for option, value in (("store_size", store_size), ("image_size", image_size)):
        if value is not None and value < 1:
            raise ValueError(f"dataset.{option} is {value}; it must be at least 1.")
    how = [_VERSION, store_size, image_size, channels, on_bad_input]
    folder = downloads.folder() / "decoded" / _key(files, names, how)
    if (found := _opened(folder)) is not None:
        return found
    with warnings.catch_warnings(), ThreadPoolExecutor(_threads()) as threads:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        headers = list(threads.map(decoding.header, files))
        bad = {n: header for n, header in enumerate(headers) if isinstance(header, str)}
        good = [header for header in headers if not isinstance(header, str)]
        if good:
            form = _form(good, store_size, image_size, channels)
            numbers = [n for n in range(len(files)) if n not in bad]
            stream = _stream(threads, files, numbers, form, bad)
            refuse = on_bad_input != "skip"
            found = _stored(folder, stream, form, len(good), names, bad, refuse=refuse, where=where)
    if found is None:
        shown = [f"{names[n]} ({bad[n]})" for n in sorted(bad)[:_SHOWN]]
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        leave = ", or leave them out with dataset.on_bad_input: skip" if good else ""
        raise ValueError(
            f"{where}: {len(bad)} of {len(files)} images cannot be used: {', '.join(shown)}{more}. "
            f"Mend or remove them{leave}."
        )
    return found


def store(
    files: Sequence[Path],
    stream: Callable[[], Iterator[NDArray[np.uint8]]],
    *,
    shape: tuple[int, ...],
    where: str,
) -> Decoded:
    """Map images that lie in other files than images', written out once.

    Args:
        files: What they are read from.
        stream: Yields them, each ``[C, H, W]``.
        shape: Of all of them, ``(N, C, H, W)``.
        where: What a person calls all of them together.

    Raises:
        ValueError: There is no room for them.
    """
    folder = downloads.folder() / "decoded" / _key(files, [file.name for file in files], [_VERSION])
    if (found := _opened(folder)) is not None:
        return found
    count, channels, height, width = shape
    form = Form(channels=channels, height=height, width=width, side=None)
    written = _stored(folder, enumerate(stream()), form, count, (), {}, refuse=True, where=where)
    assert written is not None
    return written


def _key(files: Sequence[Path], names: Sequence[str], how: Sequence[Any]) -> str:
    digest = hashlib.sha256(json.dumps(how).encode())
    folders: dict[Path, Path] = {}
    for file, name in zip(files, names, strict=True):
        state = file.stat()
        # Bitmaps of one size that came from one archive may agree in size and time.
        place = str(_place(file, folders))
        digest.update(json.dumps([place, name, state.st_size, state.st_mtime_ns]).encode())
    return digest.hexdigest()[:32]


def _place(file: Path, folders: dict[Path, Path]) -> Path:
    """Where a file really lies; its folder is looked up once, because there may be a million."""
    if file.is_symlink():
        return file.resolve()
    if file.parent not in folders:
        folders[file.parent] = file.parent.resolve()
    return folders[file.parent] / file.name


def _threads() -> int:
    """Pillow decodes outside the interpreter's lock."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)


def _form(
    headers: Sequence[tuple[int, int, bool]],
    store_size: int | None,
    image_size: int | None,
    channels: int | None,
) -> Form:
    channels = channels or (1 if all(grey for _, _, grey in headers) else 3)
    height, width, _ = headers[0]
    alike = all(header[:2] == (height, width) for header in headers)
    side = store_size or image_size or USUAL_SIDE
    if store_size is None and alike and min(height, width) <= side:
        return Form(channels=channels, height=height, width=width, side=None)
    return Form(channels=channels, height=side, width=side, side=side)


def _stream(
    threads: ThreadPoolExecutor,
    files: Sequence[Path],
    numbers: Sequence[int],
    form: Form,
    bad: dict[int, str],
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Decoded images by the files' numbers, in order; what is wrong with the others goes to bad."""
    for start in range(0, len(numbers), _AT_ONCE):
        some = numbers[start : start + _AT_ONCE]
        every = threads.map(partial(decoding.pixels, form=form), [files[number] for number in some])
        for number, pixels in zip(some, every, strict=True):
            if isinstance(pixels, str):
                bad[number] = pixels
            else:
                yield number, pixels


def _stored(
    folder: Path,
    stream: Iterator[tuple[int, NDArray[np.uint8]]],
    form: Form,
    count: int,
    names: Sequence[str],
    bad: Mapping[int, str],
    *,
    refuse: bool,
    where: str,
) -> Decoded | None:
    """What was decoded, in its place; None if it cannot be used."""
    room = count * math.prod(form.shape)
    beside = folder.parent / f".new-{uuid.uuid4().hex}"
    try:
        _sweep(folder.parent)
        beside.mkdir(parents=True)
    except OSError as error:
        if room > MEMORY:
            raise ValueError(
                f"{where}: the decoded images need {room / 1e9:.1f} GB, but {folder.parent} cannot "
                f"be written to ({error.strerror}); name another folder by WORKBENCH_DATA."
            ) from error
        every = list(stream)
        if not every or (bad and refuse):
            return None
        return Decoded(
            images=torch.from_numpy(np.stack([pixels for _, pixels in every])),
            positions=tuple(number for number, _ in every),
            skipped=_skipped(names, bad),
            mapped=None,
        )
    try:
        free = shutil.disk_usage(beside).free
        if room > free:
            raise ValueError(
                f"{where}: the decoded images need {room / 1e9:.1f} GB, but {folder.parent} has "
                f"{free / 1e9:.1f} GB left; name another folder by WORKBENCH_DATA, or make "
                "dataset.store_size smaller."
            )
        digest, positions = hashlib.sha256(), []
        with (beside / "images").open("wb") as file:
            for number, pixels in stream:
                file.write(pixels.data)
                digest.update(pixels.data)
                positions.append(number)
            file.flush()
            os.fsync(file.fileno())
        if not positions or (bad and refuse):
            return None
        description = {
            "shape": [len(positions), *form.shape],
            "sha256": digest.hexdigest(),
            "positions": positions,
            "skipped": _skipped(names, bad),
        }
        (beside / "images.json").write_text(json.dumps(description))
        try:
            beside.rename(folder)
        except OSError:
            # Another process was faster, or what lies there is damaged.
            if _opened(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
                beside.rename(folder)
        return _opened(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _skipped(names: Sequence[str], bad: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(f"{names[number]}: {bad[number]}" for number in sorted(bad))


def _opened(folder: Path) -> Decoded | None:
    """What lies there, if it is whole."""
    try:
        description = json.loads((folder / "images.json").read_text())
        shape = tuple(description["shape"])
        file = folder / "images"
        if file.stat().st_size != math.prod(shape):
            return None
        mapped = Mapped(path=file, shape=shape, sha256=description["sha256"])
        return Decoded(
            images=mapped.open(),
            positions=tuple(description["positions"]),
            skipped=tuple(description["skipped"]),
            mapped=mapped,
        )
    except (OSError, ValueError, KeyError):
        return None


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed left behind."""
    for left in folder.glob(".new-*"):
        if time.time() - left.stat().st_mtime > _DAY:
            shutil.rmtree(left, ignore_errors=True)
