"""Rows of one table file, or of the files of several parts.

Knows no file format (see ``formats``) and nothing of what the columns are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch

from workbench.datasets.rows import formats
from workbench.datasets.rows.formats import SUFFIXES
from workbench.datasets.rows.rows import PARTS, Rows
from workbench.datasets.samples import TEST, TRAIN, VALIDATION

_SHOWN = 10


def read(
    path: str | Path,
    *,
    validation_path: str | None = None,
    test_path: str | None = None,
    delimiter: str | None = None,
) -> Rows:
    """The rows of a file; of a folder with ``train.csv``, ``test.csv`` and the like; or of several.

    Args:
        path: The training file, the only file, or a folder.
        validation_path: File of the validation part.
        test_path: File of the test part.
        delimiter: Between the columns of a CSV; a comma, and a tab in a TSV.

    Raises:
        ValueError: A file is missing, empty, of no known kind, or not what its name says.
    """
    files = {TRAIN: Path(path)}
    if Path(path).is_dir():
        files = _parts_in(Path(path))
    for part, option, other in (
        (VALIDATION, "validation_path", validation_path),
        (TEST, "test_path", test_path),
    ):
        if other is not None:
            if part in files:
                raise ValueError(f"{path} holds {files[part].name}; leave dataset.{option} out.")
            files[part] = Path(other)
    found = {part: formats.read(file, delimiter) for part, file in files.items()}
    if len(found) == 1:
        return found[TRAIN]
    _same_columns(found)
    together = pd.concat([rows.frame for rows in found.values()], ignore_index=True)
    return Rows(
        path=str(path),
        frame=together,
        names=tuple(name for rows in found.values() for name in rows.names),
        given=torch.cat([torch.full((len(rows),), part) for part, rows in found.items()]),
        broken=tuple(reason for rows in found.values() for reason in rows.broken),
    )


def _parts_in(folder: Path) -> dict[int, Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    found: dict[int, Path] = {}
    for file in files:
        part = PARTS.get(file.stem.lower())
        if part is not None and part in found:
            raise ValueError(f"{folder} holds both {found[part].name} and {file.name}.")
        if part is not None:
            found[part] = file
    if TRAIN not in found:
        held = ", ".join(file.name for file in files[:_SHOWN]) or "no table"
        raise ValueError(
            f"{folder} holds {held}; a folder of tables has train.csv, and validation.csv and "
            f"test.csv if they are given ({', '.join(SUFFIXES)}). Or name one file."
        )
    return dict(sorted(found.items()))


def _same_columns(found: Mapping[int, Rows]) -> None:
    first = found[TRAIN]
    for rows in found.values():
        lacking = [name for name in first.frame.columns if name not in rows.frame.columns]
        if lacking:
            raise ValueError(
                f"{rows.path} has no column {lacking[0]}, which {first.path} has; the columns of "
                "all parts must be the same."
            )
