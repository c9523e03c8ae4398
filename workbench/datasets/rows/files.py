"""Rows of one table file, or of several files for the parts. Used by ``tables`` and ``texts``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from workbench.datasets.rows import formats
from workbench.datasets.rows.columns import RowOptions
from workbench.datasets.rows.formats import SUFFIXES
from workbench.datasets.rows.rows import PARTS, Rows
from workbench.datasets.samples import TEST, TRAIN, VALIDATION

_SHOWN = 10
# The options of ``read``.
_FILES = ("validation_path", "test_path", "delimiter")


def labelled(*, path: str, **options: Any) -> tuple[Rows, RowOptions]:
    """Rows with targets, and the options for their columns.

    Args:
        path: As for ``read``.
        options: The others of ``read``, and those of ``RowOptions``.

    Raises:
        ValueError: As for ``read``.
    """
    files = {name: options.pop(name) for name in _FILES if name in options}
    return read(path, **files), RowOptions(**options)


def read(
    path: str | Path,
    *,
    validation_path: str | None = None,
    test_path: str | None = None,
    delimiter: str | None = None,
) -> Rows:
    """The rows of a file, of a folder with ``train.csv`` and ``test.csv``, or of several files.

    Args:
        path: The training file, the only file, or a folder; CSV, TSV, JSONL or Parquet.
        validation_path: File of the validation part.
        test_path: File of the test part.
        delimiter: Between the columns of a CSV; by default a comma, or a tab in a TSV.

    Raises:
        ValueError: A file is missing, empty, of an unknown type, or does not match its suffix.
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
                raise ValueError(f"{path} has {files[part].name} already; remove dataset.{option}.")
            files[part] = Path(other)
    parts = {part: formats.read(file, delimiter) for part, file in files.items()}
    if len(parts) == 1:
        return parts[TRAIN]
    _same_columns(parts)
    together = pd.concat([rows.frame for rows in parts.values()], ignore_index=True)
    return Rows(
        path=str(path),
        frame=together,
        names=tuple(name for rows in parts.values() for name in rows.names),
        given=torch.cat([torch.full((len(rows),), part) for part, rows in parts.items()]),
        broken=tuple(reason for rows in parts.values() for reason in rows.broken),
    )


def _parts_in(folder: Path) -> dict[int, Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    parts: dict[int, Path] = {}
    for file in files:
        part = PARTS.get(file.stem.lower())
        if part is not None and part in parts:
            raise ValueError(f"{folder} has both {parts[part].name} and {file.name}; keep one.")
        if part is not None:
            parts[part] = file
    if TRAIN not in parts:
        tables = ", ".join(file.name for file in files[:_SHOWN]) or "no table"
        raise ValueError(
            f"{folder} has {tables}; a folder of tables needs train.csv and may have "
            f"validation.csv and test.csv ({', '.join(SUFFIXES)}). Or give the path of one file."
        )
    return dict(sorted(parts.items()))


def _same_columns(parts: Mapping[int, Rows]) -> None:
    first = parts[TRAIN]
    for rows in parts.values():
        lacking = [name for name in first.frame.columns if name not in rows.frame.columns]
        if lacking:
            raise ValueError(
                f"{rows.path} has no column {lacking[0]}, unlike {first.path}; all parts must have "
                "the same columns."
            )
