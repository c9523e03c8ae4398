"""Images that stand in a data set of the Hugging Face hub, brought to files and decoded.

The files lie under ``downloads.folder()/hub``, written once; from there on they are images like
any other (see ``decoded``). Knows no split and no label's meaning.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench import downloads
from workbench.datasets import columns, decoded
from workbench.datasets.columns import Asked
from workbench.datasets.rows import Rows
from workbench.datasets.samples import Samples


def of_rows(
    found: Rows, asked: Asked, parts: Mapping[str, Any], *, image: str, **decoding: Any
) -> Samples:
    """Images with the targets of their rows.

    Args:
        found: Rows whose column ``image`` holds their numbers, counted through all parts.
        asked: Of the other columns.
        parts: The library's data sets, in the order of the rows.
        image: The column of the images.
        decoding: See ``decoded.decode``.

    Raises:
        ValueError: Rows cannot be used, or images cannot be decoded.
    """
    columns.flaw(found, asked)
    kept, skipped = found.kept(asked.on_bad_input)
    files = _files(parts, image)
    images = decoded.decode(
        [files[number] for number in kept.frame[image].tolist()],
        kept.names,
        where=found.path,
        on_bad_input=asked.on_bad_input,
        **decoding,
    )
    kept = kept.taken(images.positions)
    answer = columns.answer(kept, asked)
    return Samples(
        kind="image",
        inputs=images.images,
        targets=answer.targets,
        classes=answer.classes,
        given=answer.given,
        groups=answer.groups,
        names=kept.names,
        skipped=(*skipped, *images.skipped),
        mapped=images.mapped,
    )


def _files(parts: Mapping[str, Any], image: str) -> list[Path]:
    """A file for every image of all parts, in their order."""
    # The library changes a fingerprint whenever the content changes.
    prints = [f"{split}:{part._fingerprint}:{len(part)}" for split, part in parts.items()]
    key = hashlib.sha256("\n".join([image, *prints]).encode()).hexdigest()[:32]
    folder = downloads.folder() / "hub" / key
    if not folder.is_dir():
        beside = folder.with_name(f".{key}.{uuid.uuid4().hex}")
        beside.mkdir(parents=True)
        try:
            _write(parts, image, beside)
            beside.replace(folder)
        except OSError:
            # Another process was faster, or there is no room.
            if not folder.is_dir():
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    count = sum(len(part) for part in parts.values())
    return [folder / f"{number:08d}" for number in range(count)]


def _write(parts: Mapping[str, Any], image: str, folder: Path) -> None:
    from datasets import Image

    number = 0
    for part in parts.values():
        column = part.with_format(None).select_columns([image])
        for row in column.cast_column(image, Image(decode=False)):
            value = row[image] or {}
            content = value.get("bytes")
            if content is None and value.get("path"):
                content = Path(value["path"]).read_bytes()
            # An image that is missing becomes an empty file, which is refused by its name.
            (folder / f"{number:08d}").write_bytes(content or b"")
            number += 1
