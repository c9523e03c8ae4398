"""Columns of rows as targets, parts and groups of samples.

Knows no file format, and nothing of the columns that are inputs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.datasets.rows.rows import PARTS, Numbers, Rows, missing, numbers, words

Columns = str | Sequence[str]
_WHOLE = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a study file says of the columns that are no inputs.

    Attributes:
        target: What is predicted; see ``samples.TARGETS``.
        label: The column of the classes, labels or numbers; a list for several.
        separator: Between the labels that stand in one column.
        split: ``column`` names the column that gives the part of each row, ``group`` the one whose
            equal values stay in one part.
        on_bad_input: ``refuse``, or ``skip`` to leave bad rows out and count them.
        option: What a study file calls the label.
    """

    target: str
    label: Columns
    separator: str | None = None
    split: Mapping[str, str] = field(default_factory=dict)
    on_bad_input: str = "refuse"
    option: str = "label"

    @property
    def columns(self) -> list[str]:
        """The names of all of them."""
        return [*named(self.label), *self.split.values()]


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """Those columns as ``Samples`` has them."""

    targets: Tensor
    classes: tuple[str, ...]
    given: Tensor | None
    groups: Tensor | None


def named(columns: Columns) -> list[str]:
    """The names of one or several columns."""
    return [columns] if isinstance(columns, str) else [str(name) for name in columns]


def flaw(rows: Rows, asked: Asked) -> None:
    """Mark every row whose target, part or group cannot be used.

    Raises:
        ValueError: A column is unknown, or the columns are none of this target's.
    """
    _flaw_targets(rows, asked)
    _flaw_parts(rows, asked.split)


def answer(rows: Rows, asked: Asked) -> Answer:
    """The columns of rows without a flaw.

    Names of classes and labels are in alphabetical order, whole numbers in numeric order; columns
    as they are listed. A row with an empty column of labels is a sample that has none of them.

    Raises:
        ValueError: No row has a label, or both files and a column give the parts.
    """
    targets, classes = _targets(rows, asked)
    given, groups = _parts_and_groups(rows, asked.split)
    return Answer(targets=targets, classes=classes, given=given, groups=groups)


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Different names in alphabetical order; in numeric order where all are whole numbers."""
    different = set(names)
    if all(_WHOLE.fullmatch(name) for name in different):
        return tuple(sorted(different, key=lambda name: (int(name), name)))
    return tuple(sorted(different))


def flaw_numbers(rows: Rows, name: str, column: pd.Series[Any]) -> Numbers:
    """Mark every row whose value is missing, no number, or not finite in ``float32``.

    Returns:
        The column's numbers, ``float64 [N]``.
    """
    values = numbers(column)
    with np.errstate(over="ignore"):
        bad = np.nonzero(~np.isfinite(values.astype(np.float32)))[0]
    if len(bad):
        absent = missing(column)
        for position in bad.tolist():
            seen = f"{_seen(column, position)}, not a finite number"
            rows.flaw([position], f"{name} is {'missing' if absent[position] else seen}")
    return values


def _flaw_targets(rows: Rows, asked: Asked) -> None:
    columns, target, separator = asked.label, asked.target, asked.separator
    names = named(columns)
    if not names:
        raise ValueError(f"dataset.{asked.option} names no column.")
    if target == "class" and not isinstance(columns, str):
        raise ValueError(
            f"dataset.{asked.option} is a list of {len(names)} columns, but a class stands in one "
            "column; several labels are for the task multilabel, several numbers for regression."
        )
    if separator is not None and (target != "labels" or not isinstance(columns, str)):
        raise ValueError("dataset.separator parts the labels that stand in one column.")
    for name in names:
        column = rows.column(name, option=asked.option)
        if target == "class":
            rows.flaw(np.nonzero(missing(column))[0], f"{name} is missing")
        elif target == "numbers":
            flaw_numbers(rows, name, column)
        elif not isinstance(columns, str):
            values = numbers(column)
            off = np.nonzero((values != 0) & (values != 1))[0].tolist()
            for position in off:
                rows.flaw([position], f"{name} is {_seen(column, position)} and must be 0 or 1")
    if target == "labels" and isinstance(columns, str):
        column = rows.column(columns, option=asked.option)
        listed = [isinstance(value, list | tuple | np.ndarray) for value in column.tolist()]
        if separator is None and not any(listed):
            raise ValueError(
                f"dataset.{asked.option} is the column {columns}; several labels stand in a list "
                'of columns of 0 and 1, or in one column with dataset.separator: "|".'
            )


def _targets(rows: Rows, asked: Asked) -> tuple[Tensor, tuple[str, ...]]:
    columns, target, separator = asked.label, asked.target, asked.separator
    names = named(columns)
    if target == "class":
        found = [str(word) for word in words(rows.frame[names[0]])]
        classes = in_order(found)
        position = {name: number for number, name in enumerate(classes)}
        return torch.tensor([position[name] for name in found], dtype=torch.int64), classes
    if target == "labels" and isinstance(columns, str):
        sets = [_labels(value, separator) for value in rows.frame[columns].tolist()]
        classes = in_order([label for labels in sets for label in labels])
        if not classes:
            raise ValueError(f"{rows.path} has no label in the column {columns}.")
        position = {name: number for number, name in enumerate(classes)}
        targets = torch.zeros(len(sets), len(classes))
        for row, labels in enumerate(sets):
            targets[row, [position[label] for label in labels]] = 1.0
        return targets, classes
    values = np.stack([numbers(rows.frame[name]) for name in names], axis=1)
    return torch.from_numpy(values.astype(np.float32)), tuple(names)


def _flaw_parts(rows: Rows, split: Mapping[str, str]) -> None:
    for key, name in split.items():
        if key not in ("column", "group"):
            raise ValueError(f"dataset.split has {key}; it takes column and group.")
        column = rows.column(name, option=f"split.{key}")
        rows.flaw(np.nonzero(missing(column))[0], f"{name} is missing")
        if key == "column":
            for position, word in enumerate(words(column)):
                if word is not None and word.lower() not in PARTS:
                    rows.flaw([position], f"{name} is {word} and must be train, validation or test")


def _parts_and_groups(rows: Rows, split: Mapping[str, str]) -> tuple[Tensor | None, Tensor | None]:
    given, groups = rows.given, None
    if "column" in split:
        if given is not None:
            raise ValueError("dataset.split.column gives the parts, and so do the files; say one.")
        found = words(rows.frame[split["column"]])
        given = torch.tensor([PARTS[str(word).lower()] for word in found], dtype=torch.int64)
    if "group" in split:
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


def _seen(column: pd.Series[Any], position: int) -> str:
    text = str(column.iloc[position])
    return text if len(text) <= 40 else f"{text[:37]}..."
