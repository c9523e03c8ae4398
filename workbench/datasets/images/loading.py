"""Image files, decoded once into one array on disk that every process maps.

Decoding is what makes image files slow, and finding a damaged one in the middle of a trial is too
late: so all of them are decoded before anything runs, and kept (see ``image_cache``). Knows neither
classes nor splits.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.datasets.images import decoding
from workbench.datasets.images.cache import Decoded, Place, keep, opened, place_of, place_of_content
from workbench.datasets.images.decoding import Form
from workbench.record import environment

# Short side, in pixels, of images that come in several sizes or are larger than this.
USUAL_SIDE = 256
# To be raised whenever the same files are decoded to other pixels.
_VERSION = 1
_AT_ONCE = 256
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Unwritten:
    """Images that are no files yet, and become such only in order to be decoded.

    Attributes:
        content: Stands for what they hold: another content, another text.
        write: Writes them into a folder, and returns the files.
    """

    content: str
    write: Callable[[Path], Sequence[Path]]


def decode(
    files: Sequence[Path] | Unwritten,
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
        files: All of them there, or how they are written.
        names: What a person calls the files.
        where: What a person calls all of them together.
        store_size: Resize all images to so many pixels instead.
        image_size: Of the images as a model takes them.
        channels: 1 or 3 instead of what the images have.
        on_bad_input: ``refuse``, or ``skip`` to leave out what cannot be decoded.

    Raises:
        ValueError: A file is damaged, empty, not an image, or has more than
            ``PIL.Image.MAX_IMAGE_PIXELS`` pixels, and bad input is refused; no file can be decoded;
            or there is no room for the decoded images.
    """
    for option, value in (("store_size", store_size), ("image_size", image_size)):
        if value is not None and value < 1:
            raise ValueError(f"dataset.{option} is {value}; it must be at least 1.")
    how = [_VERSION, store_size, image_size, channels, on_bad_input]
    place = (
        place_of_content(files.content, names, how)
        if isinstance(files, Unwritten)
        else place_of(files, names, how)
    )
    if (found := opened(place)) is not None:
        return found
    with (
        _written(files, place) as paths,
        warnings.catch_warnings(),
        ThreadPoolExecutor(_threads()) as threads,
    ):
        warnings.simplefilter("ignore")
        headers = list(threads.map(decoding.header, paths))
        bad = {n: header for n, header in enumerate(headers) if isinstance(header, str)}
        good = [header for header in headers if not isinstance(header, str)]
        if good:
            form = _form(good, store_size, image_size, channels)
            numbers = [n for n in range(len(paths)) if n not in bad]
            stream = _stream(threads, paths, numbers, form, bad)
            refuse = on_bad_input != "skip"
            found = keep(place, stream, form, len(good), names, bad, refuse=refuse, where=where)
    if found is None:
        shown = [f"{names[n]} ({bad[n]})" for n in sorted(bad)[:_SHOWN]]
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        leave = ", or leave them out with dataset.on_bad_input: skip" if good else ""
        raise ValueError(
            f"{where}: {len(bad)} of {len(names)} images cannot be used: {', '.join(shown)}{more}. "
            f"Fix or remove them{leave}."
        )
    return found


@contextmanager
def _written(files: Sequence[Path] | Unwritten, place: Place) -> Iterator[Sequence[Path]]:
    if not isinstance(files, Unwritten):
        yield files
        return
    parent: Path | None = place.folder.parent
    try:
        place.folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        parent = None
    with tempfile.TemporaryDirectory(prefix=".new-", dir=parent) as folder:
        yield files.write(Path(folder))


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
    place = place_of(files, [file.name for file in files], [_VERSION])
    if (found := opened(place)) is not None:
        return found
    count, channels, height, width = shape
    form = Form(channels=channels, height=height, width=width, side=None)
    written = keep(place, enumerate(stream()), form, count, (), {}, refuse=True, where=where)
    assert written is not None
    return written


def _threads() -> int:
    """Pillow decodes outside the interpreter's lock."""
    return min(8, environment.cores())


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
