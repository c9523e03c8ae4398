"""Texts from a column of a table, with their labels from other columns. Used by ``hub`` as well.

Pairs of texts are refused: each model family joins them in its own way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from workbench.datasets.rows import columns, files, formats, rows
from workbench.datasets.rows.columns import RowOptions
from workbench.datasets.rows.rows import Rows
from workbench.datasets.samples import Samples


def read(*, text: str, **options: Any) -> Samples:
    """Texts, unchanged, with their targets.

    Args:
        text: The column of the texts.
        options: See ``rows.files.labelled``.

    Raises:
        ValueError: A file or a column does not exist, or rows cannot be used; up to ten are listed.
    """
    return of_rows(*files.labelled(**options), text=text)


def of_rows(table: Rows, options: RowOptions, *, text: str) -> Samples:
    """Texts of rows; see ``read``."""
    _mark_bad_texts(table, text, option="text")
    columns.mark_bad_rows(table, options)
    kept, skipped = table.kept(options.on_bad_input)
    values = tuple(map(str, kept.frame[text].tolist()))
    return columns.samples_of(kept, options, kind="text", inputs=values, skipped=skipped)


def texts_of(table: Rows, text: str) -> tuple[str, ...]:
    """The texts of new rows.

    Raises:
        ValueError: The column does not exist, or a text is missing.
    """
    _mark_bad_texts(table, text, option=None)
    kept, _ = table.kept(None)
    return tuple(map(str, kept.frame[text].tolist()))


def _mark_bad_texts(table: Rows, text: Any, *, option: str | None) -> None:
    if not isinstance(text, str):
        raise ValueError("dataset.text must name one column; pairs of texts are not supported.")
    column = table.column(text, option=option)
    table.mark_bad(np.nonzero(rows.missing(column))[0], f"{text} is missing")
    for position, value in enumerate(column.tolist()):
        if not isinstance(value, str) and position not in table.problems:
            table.mark_bad([position], f"{text} is {str(value)[:40]}, not a text")


def lines(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Texts from the lines of a file, and their names.

    Raises:
        ValueError: The file contains no text.
    """
    every = formats.text_of(path).split("\n")
    numbered = [(number, line.strip()) for number, line in enumerate(every, start=1)]
    kept = [(number, line) for number, line in numbered if line]
    if not kept:
        raise ValueError(f"{path} contains no text.")
    return tuple(line for _, line in kept), tuple(f"{path.name}:{number}" for number, _ in kept)
