"""Images of a data set of the Hugging Face hub, decoded like files (see ``images.loading``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.datasets.images.decoding import Source
from workbench.datasets.images.loading import ImageOptions, decode
from workbench.datasets.rows import columns
from workbench.datasets.rows.columns import RowOptions
from workbench.datasets.rows.rows import Rows
from workbench.datasets.samples import Samples

if TYPE_CHECKING:
    from datasets import Dataset


def of_rows(
    rows: Rows, options: RowOptions, parts: Mapping[str, Dataset], *, image: str, **decoding: Any
) -> Samples:
    """Images with the targets of their rows.

    Args:
        rows: Rows whose column ``image`` has the images' numbers, counted over all parts.
        options: For the other columns.
        parts: The library's data sets, in the order of the rows.
        image: The column of the images.
        decoding: See ``images.loading.ImageOptions``.

    Raises:
        ValueError: Rows cannot be used, or images cannot be decoded.
    """
    columns.mark_bad_rows(rows, options)
    kept, skipped = rows.kept(options.on_bad_input)
    every = _images_of(parts, image)
    images = decode(
        [every[number] for number in kept.frame[image].tolist()],
        kept.names,
        where=rows.path,
        content=_content(parts, image),
        form=ImageOptions(on_bad_input=options.on_bad_input, **decoding),
    )
    kept = kept.taken(images.positions)
    return columns.samples_of(
        kept,
        options,
        kind="image",
        inputs=images.images,
        skipped=(*skipped, *images.skipped),
        mapped=images.mapped,
    )


def _bytes_of(part: Dataset, column: str, number: int) -> bytes:
    """The bytes of an image; empty if it is missing, which the decoder refuses with its name."""
    value = part[number][column] or {}
    content: bytes | None = value.get("bytes")
    if content is None and value.get("path"):
        return Path(value["path"]).read_bytes()
    return content or b""


def _images_of(parts: Mapping[str, Dataset], column: str) -> list[Source]:
    """The images of all parts, each read when it is decoded."""
    from datasets import Image

    images: list[Source] = []
    for part in parts.values():
        alone = part.with_format(None).select_columns([column])
        # decode=False gives the stored bytes, which our own decoder checks and resizes.
        stored = alone.cast_column(column, Image(decode=False))
        images += [partial(_bytes_of, stored, column, number) for number in range(len(part))]
    return images


def _content(parts: Mapping[str, Dataset], column: str) -> str:
    # The library's fingerprint covers its own changes; size and times cover changes to the files.
    prints = [f"{split}:{part._fingerprint}:{len(part)}" for split, part in parts.items()]
    for part in parts.values():
        for file in part.cache_files:
            state = Path(file["filename"]).stat()
            prints.append(f"{state.st_size}:{state.st_mtime_ns}:{state.st_ctime_ns}")
    return "\n".join([column, *prints])
