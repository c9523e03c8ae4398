"""Texts from a column of a table, their labels from others.

Knows no tokenizer: a backbone brings its own. Sentence pairs are refused: every family joins them
in its own way, which a ``Samples`` of single texts cannot say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.datasets.rows import columns, files, formats, rows
from workbench.datasets.rows.columns import Asked
from workbench.datasets.rows.rows import Rows
from workbench.datasets.samples import Samples


def read(
    *,
    target: str,
    path: str,
    text: str,
    label: columns.Columns,
    separator: str | None = None,
    split: Mapping[str, str] | None = None,
    validation_path: str | None = None,
    test_path: str | None = None,
    delimiter: str | None = None,
    on_bad_input: str = "refuse",
) -> Samples:
    """Texts as they stand in the file, with their targets.

    Args:
        target: What is predicted; see ``samples.TARGETS``.
        path: A CSV, TSV, JSONL or Parquet file, or a folder with ``train.csv`` and the like.
        text: The column of the texts.
        label: The column of the classes, labels or numbers; a list for several.
        separator: Between the labels that stand in one column.
        split: ``column`` names the column that gives the part of each row, ``group`` the one whose
            equal values stay in one part.
        validation_path: File of the validation part.
        test_path: File of the test part.
        delimiter: Between the columns of a CSV.
        on_bad_input: ``skip`` leaves bad rows out and counts them.

    Raises:
        ValueError: A file or a column is not there, or rows cannot be used: up to ten are named.
    """
    found = files.read(
        path, validation_path=validation_path, test_path=test_path, delimiter=delimiter
    )
    asked = Asked(
        target=target,
        label=label,
        separator=separator,
        split=split or {},
        on_bad_input=on_bad_input,
    )
    return of_rows(found, asked, text=text)


def of_rows(found: Rows, asked: Asked, *, text: str) -> Samples:
    """Texts of rows that were read elsewhere; see ``read``."""
    _flaw_texts(found, text)
    columns.flaw(found, asked)
    kept, skipped = found.kept(asked.on_bad_input)
    answer = columns.answer(kept, asked)
    return Samples(
        kind="text",
        inputs=tuple(map(str, kept.frame[text].tolist())),
        targets=answer.targets,
        classes=answer.classes,
        given=answer.given,
        groups=answer.groups,
        names=kept.names,
        skipped=skipped,
    )


def read_unlabelled(
    path: Path, *, text: str, delimiter: str | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """New texts and what a person calls each: a table's column, or the lines of a ``.txt`` file.

    Raises:
        ValueError: The file or the column is not there, or a text is missing.
    """
    if path.suffix.lower() == ".txt":
        return _lines(path)
    found = files.read(path, delimiter=delimiter)
    _flaw_texts(found, text)
    kept, _ = found.kept(None)
    return tuple(map(str, kept.frame[text].tolist())), kept.names


def _flaw_texts(found: Rows, text: Any) -> None:
    if not isinstance(text, str):
        raise ValueError("dataset.text names one column; pairs of texts are not supported.")
    column = found.column(text, option="text")
    found.flaw(np.nonzero(rows.missing(column))[0], f"{text} is missing")
    for position, value in enumerate(column.tolist()):
        if not isinstance(value, str) and position not in found.flaws:
            found.flaw([position], f"{text} is {str(value)[:40]}, not a text")


def _lines(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lines = formats.text_of(path).split("\n")
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    kept = [(number, line) for number, line in numbered if line]
    if not kept:
        raise ValueError(f"{path} has no text.")
    return tuple(line for _, line in kept), tuple(f"{path.name}:{number}" for number, _ in kept)
