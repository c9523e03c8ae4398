"""Images of a data set of the Hugging Face hub, decoded like files (see ``images.loading``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from workbench.datasets.images.loading import Unwritten, decode
from workbench.datasets.rows import columns
from workbench.datasets.rows.columns import RowOptions
from workbench.datasets.rows.rows import Rows
from workbench.datasets.samples import Samples


def of_rows(
    rows: Rows, options: RowOptions, parts: Mapping[str, Any], *, image: str, **decoding: Any
) -> Samples:
    """Images with the targets of their rows.

    Args:
        rows: Rows whose column ``image`` has the images' numbers, counted over all parts.
        options: For the other columns.
        parts: The library's data sets, in the order of the rows.
        image: The column of the images.
        decoding: See ``images.loading.decode``.

    Raises:
        ValueError: Rows cannot be used, or images cannot be decoded.
    """
    columns.mark_bad_rows(rows, options)
    kept, skipped = rows.kept(options.on_bad_input)
    images = decode(
        _unwritten(parts, image, kept.frame[image].tolist()),
        kept.names,
        where=rows.path,
        on_bad_input=options.on_bad_input,
        **decoding,
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


def _unwritten(parts: Mapping[str, Any], image: str, numbers: Sequence[int]) -> Unwritten:
    """Images by their numbers, to be written from the library's files."""
    # The library's fingerprint covers its own changes; size and times cover changes to the files.
    prints = [f"{split}:{part._fingerprint}:{len(part)}" for split, part in parts.items()]
    for part in parts.values():
        for file in part.cache_files:
            state = Path(file["filename"]).stat()
            prints.append(f"{state.st_size}:{state.st_mtime_ns}:{state.st_ctime_ns}")
    return Unwritten(
        content="\n".join([image, *prints]),
        write=partial(_write, parts, image, numbers),
    )


def _write(
    parts: Mapping[str, Any], image: str, numbers: Sequence[int], folder: Path
) -> list[Path]:
    from datasets import Image

    number, wanted = 0, set(numbers)
    for part in parts.values():
        column = part.with_format(None).select_columns([image])
        # decode=False gives the stored bytes, which our own decoder checks and resizes.
        for row in column.cast_column(image, Image(decode=False)):
            value = row[image] or {}
            content = value.get("bytes")
            if content is None and value.get("path"):
                content = Path(value["path"]).read_bytes()
            if number in wanted:
                # A missing image becomes an empty file, which is refused with its name.
                (folder / f"{number:08d}").write_bytes(content or b"")
            number += 1
    return [folder / f"{number:08d}" for number in numbers]
