"""Rows as they stand in a file, each with its line, and what is wrong with them.

What stands in a CSV is text until a column is asked for numbers, so that a class ``01`` stays
``01``, and a text that says NA stays one. Knows no file format, no target and no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from workbench.datasets.samples import TEST, TRAIN, VALIDATION
from workbench.record.text import did_you_mean, listed

# What people call the parts, in file names and in a column.
PARTS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev"), VALIDATION),
    **dict.fromkeys(("test", "testing"), TEST),
}
_SHOWN = 10
Numbers = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """All rows of one or several files.

    Attributes:
        path: What a person calls the source: the file, or the folder that holds several.
        frame: The columns, numbered from 0; text (``""`` is missing) where the file has no types.
        names: ``FILE:LINE`` of each row; of Parquet, whose rows have no line, ``FILE:ROW`` from 1.
        given: The part that each row's file stands for, ``int64 [N]``; None for a single file.
        flaws: Why a row cannot be used, by its position; the first reason counts.
        broken: What is no row at all, each as ``FILE:LINE: REASON``.
    """

    path: str
    frame: pd.DataFrame
    names: tuple[str, ...]
    given: Tensor | None = None
    flaws: dict[int, str] = field(default_factory=dict)
    broken: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def column(self, name: str, *, option: str) -> pd.Series[Any]:
        """A column by its name.

        Raises:
            ValueError: There is none; the message has the nearest name and all of them.
        """
        columns = list(map(str, self.frame.columns))
        if name in columns:
            return self.frame[name]
        hint = did_you_mean(name, columns) or f"; its columns are {listed(columns, 50)}."
        if len(columns) == 1 and ";" in columns[0]:
            hint = '; its header has semicolons: say dataset.delimiter: ";"'
        raise ValueError(
            f"dataset.{option} names the column {name}, which {self.path} does not have{hint}"
        )

    def flaw(self, positions: Iterable[int], reason: str) -> None:
        """Say of rows why they cannot be used."""
        for position in positions:
            self.flaws.setdefault(int(position), reason)

    def kept(self, on_bad_input: str | None) -> tuple[Rows, tuple[str, ...]]:
        """The rows without a flaw, and what is left out; None leaves no choice but to refuse.

        Raises:
            ValueError: Rows have flaws, and ``on_bad_input`` is not ``skip``; or none is left.
        """
        left_out = [
            *self.broken,
            *(f"{self.names[p]}: {self.flaws[p]}" for p in sorted(self.flaws)),
        ]
        if left_out and on_bad_input != "skip":
            many = len(left_out)
            shown = "" if many <= _SHOWN else f" The first {_SHOWN} of {many}:"
            way_out = ", or leave such rows out with dataset.on_bad_input: skip"
            raise ValueError(
                f"{self.path} has {many} bad row{'s' * (many > 1)}.{shown} "
                f"{'; '.join(left_out[:_SHOWN])}. Fix the file{way_out if on_bad_input else ''}."
            )
        positions = [p for p in range(len(self)) if p not in self.flaws]
        if not positions:
            raise ValueError(
                f"{self.path} has no row that can be used: {'; '.join(left_out[:_SHOWN])}."
            )
        if not left_out:
            return self, ()
        return self.taken(positions), tuple(left_out)

    def taken(self, positions: Sequence[int]) -> Rows:
        """Some of the rows, without flaws."""
        chosen = list(positions)
        return replace(
            self,
            frame=self.frame.iloc[chosen].reset_index(drop=True),
            names=tuple(self.names[position] for position in chosen),
            given=None if self.given is None else self.given[chosen],
            flaws={},
            broken=(),
        )


def numbers(column: pd.Series[Any]) -> Numbers:
    """A column's numbers, ``float64 [N]``; NaN for what is missing or no number."""
    if column.dtype == object:
        column = column.map(_number)
    values = pd.to_numeric(column, errors="coerce")
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _number(value: Any) -> Any:
    """A value that pandas can take for a number, or for none."""
    try:
        return float(value) if isinstance(value, int) else value if np.isscalar(value) else None
    except OverflowError:
        return np.inf


def words(column: pd.Series[Any]) -> list[str | None]:
    """A column's values as names: without spaces around, 3.0 as ``3``; None for what is missing."""
    return [_word(value) for value in column.tolist()]


def missing(column: pd.Series[Any]) -> Mask:
    """Where a column has no value, or an empty text: ``bool [N]``."""
    absent: Mask = column.isna().to_numpy(dtype=bool, copy=True)
    if isinstance(column.dtype, pd.StringDtype):
        absent |= column.str.strip().eq("").to_numpy(dtype=bool)
    if column.dtype == object:
        blank = [isinstance(value, str) and not value.strip() for value in column.tolist()]
        absent |= np.array(blank, dtype=bool)
    return absent


def _word(value: object) -> str | None:
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        if np.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else str(value)
    return str(value).strip() or None
