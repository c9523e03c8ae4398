"""Decodes image files once, into one array on disk that every process maps.

Decoding makes image files slow, and a damaged file should not be found in the middle of a trial. So
all files are decoded before anything runs, and cached (see ``images.cache``). Used by every reader
of images.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from workbench.datasets.images import decoding
from workbench.datasets.images.cache import DecodedImages, cached, place_of, place_of_content, save
from workbench.datasets.images.decoding import Form, Source
from workbench.datasets.samples import Samples
from workbench.record import environment

# Default side in pixels for images of different sizes, or of larger ones.
USUAL_SIDE = 256
# Increase it when a change makes the same files decode to other pixels.
_VERSION = 1
_AT_ONCE = 256
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """The options of a study file for decoding.

    Attributes:
        store_size: Resize all images to this many pixels.
        image_size: Side of a model's input.
        on_bad_input: ``refuse``, or ``skip`` to ignore files that cannot be decoded.
    """

    store_size: int | None = None
    image_size: int | None = None
    on_bad_input: str = "refuse"


def decode(
    files: Sequence[Source],
    names: Sequence[str],
    *,
    where: str,
    form: ImageOptions,
    content: str | None = None,
    channels: int | None = None,
) -> DecodedImages:
    """Decode image files, or map them if they are in the cache.

    Images are rotated by their EXIF orientation; 16-bit grey is converted to 8 bits; transparency
    is dropped. The result is grey if all images are, and colour otherwise. Of an animation the
    first image is used. If all images have the same size and a short side of at most ``image_size``
    (default 256), they keep their size. Otherwise the largest square in the middle is resized
    (bilinear, antialiased) to ``image_size`` (default 256) pixels.

    Args:
        files: Existing files, or images that are not files.
        names: Names of the files, for messages.
        where: Name of all files together, for messages.
        form: How to decode them.
        content: Identifies the content of images that are not files: it differs whenever the
            content does.
        channels: 1 or 3; None keeps those of the images.

    Raises:
        ValueError: A file is damaged, empty, not an image, or has more than
            ``PIL.Image.MAX_IMAGE_PIXELS`` pixels, and bad input is refused; no file can be decoded;
            or there is not enough space for the decoded images.
    """
    store_size, image_size = form.store_size, form.image_size
    how = [_VERSION, store_size, image_size, channels, form.on_bad_input]
    if content is None:
        place = place_of([file for file in files if isinstance(file, Path)], names, how)
    else:
        place = place_of_content(content, names, how)
    if (found := cached(place)) is not None:
        return found
    # Pillow releases the GIL while it decodes.
    count = min(8, environment.cores())
    with warnings.catch_warnings(), ThreadPoolExecutor(count) as threads:
        # Pillow warns of damaged EXIF and of large images; both are handled here.
        warnings.simplefilter("ignore")
        headers = list(threads.map(decoding.header, files))
        bad = {n: header for n, header in enumerate(headers) if isinstance(header, str)}
        good = [header for header in headers if not isinstance(header, str)]
        if good:
            size = _form(good, store_size, image_size, channels)
            numbers = [n for n in range(len(files)) if n not in bad]
            stream = _stream(threads, files, numbers, size, bad)
            refuse = form.on_bad_input != "skip"
            found = save(place, stream, size, len(good), names, bad, refuse=refuse, where=where)
    if found is None:
        shown = [f"{names[n]} ({bad[n]})" for n in sorted(bad)[:_SHOWN]]
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        leave = ", or ignore them with dataset.on_bad_input: skip" if good else ""
        raise ValueError(
            f"{where}: {len(bad)} of {len(names)} images cannot be used: {', '.join(shown)}{more}. "
            f"Fix or remove them{leave}."
        )
    return found


def samples_of_files(
    files: Sequence[Path],
    labels: Sequence[int],
    given: Sequence[int],
    *,
    root: Path,
    classes: Sequence[str],
    where: str,
    form: ImageOptions,
) -> Samples:
    """Samples from image files with their labels and parts, named by their paths.

    Args:
        files: In the order of the samples.
        labels: Of each file.
        given: Part of each file.
        root: Names are relative to it.
        classes: Names of the classes.
        where: Name of all files together, for messages.
        form: How to decode them.

    Raises:
        ValueError: As for ``decode``.
    """
    names = [file.relative_to(root).as_posix() for file in files]
    decoded = decode(files, names, where=where, form=form)
    kept = torch.tensor(decoded.positions)
    return Samples(
        kind="image",
        inputs=decoded.images,
        targets=torch.tensor(labels)[kept],
        classes=tuple(classes),
        given=torch.tensor(given)[kept] if len(set(given)) > 1 else None,
        names=tuple(names[number] for number in decoded.positions),
        skipped=decoded.skipped,
        mapped=decoded.mapped,
    )


def store(
    files: Sequence[Path],
    stream: Callable[[], Iterator[NDArray[np.uint8]]],
    *,
    shape: tuple[int, ...],
    where: str,
) -> DecodedImages:
    """Write images from files of another format to the cache once, and map them.

    Args:
        files: The files that contain them.
        stream: Yields the images, each ``[C, H, W]``.
        shape: Of all images, ``(N, C, H, W)``.
        where: Name of all images together, for messages.

    Raises:
        ValueError: There is not enough space for them.
    """
    place = place_of(files, [file.name for file in files], [_VERSION])
    if (found := cached(place)) is not None:
        return found
    count, channels, height, width = shape
    form = Form(channels=channels, height=height, width=width, side=None)
    written = save(place, enumerate(stream()), form, count, (), {}, refuse=True, where=where)
    assert written is not None
    return written


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
    files: Sequence[Source],
    numbers: Sequence[int],
    form: Form,
    bad: dict[int, str],
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Decoded images with the files' numbers, in order; errors are added to ``bad``."""
    for start in range(0, len(numbers), _AT_ONCE):
        some = numbers[start : start + _AT_ONCE]
        every = threads.map(partial(decoding.pixels, form=form), [files[number] for number in some])
        for number, pixels in zip(some, every, strict=True):
            if isinstance(pixels, str):
                bad[number] = pixels
            else:
                yield number, pixels
