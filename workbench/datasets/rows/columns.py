"""Columns of rows as targets, parts and groups of samples. Used by tables, texts and the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.datasets.memmap import MappedArray
from workbench.datasets.rows.rows import PARTS, Numbers, Rows, missing, numbers, words
from workbench.datasets.samples import Samples

Columns = str | Sequence[str]
_WHOLE = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """The options of a study file for the columns that are not inputs.

    Attributes:
        target: What is predicted; see ``samples.TARGETS``.
        label: The column of the classes, labels or numbers; a list for several.
        separator: Between several labels in one column.
        split: ``column`` names the column with the part of each row, ``group`` the column whose
            equal values stay in one part.
        on_bad_input: ``refuse``, or ``skip`` to ignore bad rows and count them.
        option: The name of ``label`` in the study file.
    """

    target: str
    label: Columns
    separator: str | None = None
    split: Mapping[str, str] = field(default_factory=dict)
    on_bad_input: str = "refuse"
    option: str = "label"

    @property
    def columns(self) -> list[str]:
        """The names of all these columns."""
        return [*column_names(self.label), *self.split.values()]


def column_names(columns: Columns) -> list[str]:
    """The names of one or several columns."""
    return [columns] if isinstance(columns, str) else [str(name) for name in columns]


def mark_bad_rows(rows: Rows, options: RowOptions) -> None:
    """Mark every row whose target, part or group cannot be used.

    Raises:
        ValueError: A column does not exist, or the columns do not fit the target.
    """
    _mark_bad_targets(rows, options)
    _mark_bad_parts(rows, options.split)


def samples_of(
    rows: Rows,
    options: RowOptions,
    *,
    kind: str,
    inputs: Tensor | tuple[str, ...],
    skipped: tuple[str, ...],
    mapped: MappedArray | None = None,
) -> Samples:
    """Samples of rows without a problem: the inputs, with targets, parts and groups of their rows.

    Names of classes and labels are in alphabetical order, integers in numeric order; columns in the
    given order. A row whose column of labels is empty has none of the labels.

    Args:
        rows: N of them.
        options: The columns that are not inputs.
        kind: See ``Samples``; also for ``inputs``, ``skipped`` and ``mapped``.
        inputs: Of the rows.
        skipped: The rows that were left out.
        mapped: The file of the inputs.

    Raises:
        ValueError: No row has a label, or the parts are given twice, by files and by a column.
    """
    targets, classes = _targets(rows, options)
    given, groups = _parts_and_groups(rows, options.split)
    return Samples(
        kind=kind,
        inputs=inputs,
        targets=targets,
        classes=classes,
        given=given,
        groups=groups,
        names=rows.names,
        skipped=skipped,
        mapped=mapped,
    )


def sorted_names(names: Sequence[str]) -> tuple[str, ...]:
    """Distinct names in alphabetical order, or in numeric order if all are integers."""
    # Alphabetical order would put class 10 before class 2.
    different = set(names)
    if all(_WHOLE.fullmatch(name) for name in different):
        return tuple(sorted(different, key=lambda name: (int(name), name)))
    return tuple(sorted(different))


def mark_bad_numbers(rows: Rows, name: str, column: pd.Series[Any]) -> Numbers:
    """Mark every row whose value is missing, not a number, or not finite in ``float32``.

    Returns:
        The column's numbers, ``float64 [N]``.
    """
    values = numbers(column)
    with np.errstate(over="ignore"):
        bad = np.nonzero(~np.isfinite(values.astype(np.float32)))[0]
    if len(bad):
        absent = missing(column)
        for position in bad.tolist():
            seen = f"{_cut(column, position)}, not a finite number"
            rows.mark_bad([position], f"{name} is {'missing' if absent[position] else seen}")
    return values


def _mark_bad_targets(rows: Rows, options: RowOptions) -> None:
    columns, target, separator = options.label, options.target, options.separator
    names = column_names(columns)
    if not names:
        raise ValueError(f"dataset.{options.option} names no column.")
    if target == "class" and not isinstance(columns, str):
        raise ValueError(
            f"dataset.{options.option} lists {len(names)} columns, but a class needs one column; "
            "for several labels set task: multilabel, for several numbers task: regression."
        )
    if separator is not None and (target != "labels" or not isinstance(columns, str)):
        raise ValueError("dataset.separator needs several labels in one column (task: multilabel).")
    for name in names:
        column = rows.column(name, option=options.option)
        if target == "class":
            rows.mark_bad(np.nonzero(missing(column))[0], f"{name} is missing")
        elif target == "numbers":
            mark_bad_numbers(rows, name, column)
        elif not isinstance(columns, str):
            values = numbers(column)
            off = np.nonzero((values != 0) & (values != 1))[0].tolist()
            for position in off:
                rows.mark_bad([position], f"{name} is {_cut(column, position)} and must be 0 or 1")
    if target == "labels" and isinstance(columns, str):
        column = rows.column(columns, option=options.option)
        listed = [isinstance(value, list | tuple | np.ndarray) for value in column.tolist()]
        if separator is None and not any(listed):
            raise ValueError(
                f"dataset.{options.option} is the column {columns}; for several labels, list "
                'columns of 0 and 1, or set dataset.separator, such as "|".'
            )


def _targets(rows: Rows, options: RowOptions) -> tuple[Tensor, tuple[str, ...]]:
    columns, target, separator = options.label, options.target, options.separator
    names = column_names(columns)
    if target == "class":
        found = [str(word) for word in words(rows.frame[names[0]])]
        classes = sorted_names(found)
        position = {name: number for number, name in enumerate(classes)}
        return torch.tensor([position[name] for name in found], dtype=torch.int64), classes
    if target == "labels" and isinstance(columns, str):
        sets = [_labels(value, separator) for value in rows.frame[columns].tolist()]
        classes = sorted_names([label for labels in sets for label in labels])
        if not classes:
            raise ValueError(f"{rows.path} has no label in the column {columns}.")
        position = {name: number for number, name in enumerate(classes)}
        targets = torch.zeros(len(sets), len(classes))
        for row, labels in enumerate(sets):
            targets[row, [position[label] for label in labels]] = 1.0
        return targets, classes
    values = np.stack([numbers(rows.frame[name]) for name in names], axis=1)
    return torch.from_numpy(values.astype(np.float32)), tuple(names)


def _mark_bad_parts(rows: Rows, split: Mapping[str, str]) -> None:
    for key, name in split.items():
        if key not in ("column", "group"):
            raise ValueError(f"dataset.split has {key}; it takes column and group.")
        column = rows.column(name, option=f"split.{key}")
        rows.mark_bad(np.nonzero(missing(column))[0], f"{name} is missing")
        if key == "column":
            for position, word in enumerate(words(column)):
                if word is not None and word.lower() not in PARTS:
                    rows.mark_bad([position], f"{name} is {word}, not train, validation or test")


def _parts_and_groups(rows: Rows, split: Mapping[str, str]) -> tuple[Tensor | None, Tensor | None]:
    given, groups = rows.given, None
    if "column" in split:
        if given is not None:
            raise ValueError("dataset.split.column and the files both give the parts; use one.")
        found = words(rows.frame[split["column"]])
        given = torch.tensor([PARTS[str(word).lower()] for word in found], dtype=torch.int64)
    if "group" in split:
        # Only equality matters: groups are numbered in order of appearance.
        codes, _ = pd.factorize(pd.Series(words(rows.frame[split["group"]]), dtype="str"))
        groups = torch.from_numpy(codes.astype(np.int64))
    return given, groups


def _labels(value: Any, separator: str | None) -> set[str]:
    if isinstance(value, list | tuple | np.ndarray):
        return {str(label).strip() for label in value if str(label).strip()}
    (word,) = words(pd.Series([value], dtype=object))
    if word is None:
        return set()
    parts = [word] if separator is None else word.split(separator)
    return {label.strip() for label in parts if label.strip()}


def _cut(column: pd.Series[Any], position: int) -> str:
    text = str(column.iloc[position])
    return text if len(text) <= 40 else f"{text[:37]}..."
