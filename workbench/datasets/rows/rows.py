"""Rows of a table file with their line numbers, and the problems of each row.

Values of a CSV stay text until a column is read as numbers, so that the class ``01`` stays ``01``
and a text ``NA`` is not missing. Used by the readers of tables, texts and the hub.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from workbench.datasets.samples import TEST, TRAIN, VALIDATION
from workbench.messages import counted, did_you_mean, listed

# Names of the parts, in file names and in a column.
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
        path: The file, or the folder of several files, for messages.
        frame: The columns, with rows numbered from 0; strings if the file has no types (``""`` is
            missing).
        names: ``FILE:LINE`` of each row; for Parquet, which has no lines, ``FILE:ROW`` from 1.
        given: The part of each row by its file, ``int64 [N]``; None for a single file.
        problems: Why a row cannot be used, by its position; the first reason counts.
        broken: Lines that are not rows, each as ``FILE:LINE: REASON``.
    """

    path: str
    frame: pd.DataFrame
    names: tuple[str, ...]
    given: Tensor | None = None
    problems: dict[int, str] = field(default_factory=dict)
    broken: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def column(self, name: str, *, option: str | None) -> pd.Series[Any]:
        """A column by its name.

        Args:
            name: Of the column.
            option: Of the data set in a study file that names it; None for new data.

        Raises:
            ValueError: It does not exist; the message lists the columns.
        """
        columns = list(map(str, self.frame.columns))
        if name in columns:
            return self.frame[name]
        hint = did_you_mean(name, columns) or f"; its columns are {listed(columns, 50)}."
        if len(columns) == 1 and ";" in columns[0]:
            hint = '; its header has semicolons: set dataset.delimiter: ";"'
        lacking = f"{self.path} has no column {name}"
        if option is not None:
            lacking = f"dataset.{option} names the column {name}, which {self.path} does not have"
        raise ValueError(f"{lacking}{hint}")

    def mark_bad(self, positions: Iterable[int], reason: str) -> None:
        """Mark rows as unusable, with the reason; the first reason counts."""
        for position in positions:
            self.problems.setdefault(int(position), reason)

    def kept(self, on_bad_input: str | None) -> tuple[Rows, tuple[str, ...]]:
        """The rows without problems, and the problems of the others.

        Raises:
            ValueError: Rows have problems and ``on_bad_input`` is not ``skip``, or no row is left.
                The message offers ``skip`` unless ``on_bad_input`` is None.
        """
        left_out = [
            *self.broken,
            *(f"{self.names[p]}: {self.problems[p]}" for p in sorted(self.problems)),
        ]
        if left_out and on_bad_input != "skip":
            many = len(left_out)
            shown = "" if many <= _SHOWN else f" The first {_SHOWN} of {many}:"
            fix = "Fix them" if many > 1 else "Fix it"
            way_out = ", or ignore such rows with dataset.on_bad_input: skip"
            raise ValueError(
                f"{self.path} has {counted(many, 'bad row')}.{shown} "
                f"{'; '.join(left_out[:_SHOWN])}. {fix}{way_out if on_bad_input else ''}."
            )
        positions = [p for p in range(len(self)) if p not in self.problems]
        if not positions:
            reasons = f"usable rows: {'; '.join(left_out[:_SHOWN])}" if left_out else "rows"
            raise ValueError(f"{self.path} has no {reasons}.")
        if not left_out:
            return self, ()
        return self.taken(positions), tuple(left_out)

    def taken(self, positions: Sequence[int]) -> Rows:
        """Some of the rows; the problems are dropped."""
        chosen = list(positions)
        return replace(
            self,
            frame=self.frame.iloc[chosen].reset_index(drop=True),
            names=tuple(self.names[position] for position in chosen),
            given=None if self.given is None else self.given[chosen],
            problems={},
            broken=(),
        )


def numbers(column: pd.Series[Any]) -> Numbers:
    """A column's numbers, ``float64 [N]``; NaN for missing values and for other text."""
    if column.dtype == object:
        column = column.map(_number)
    values = pd.to_numeric(column, errors="coerce")
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _number(value: Any) -> Any:
    """A value in a form that ``pd.to_numeric`` accepts; None for lists and objects."""
    try:
        return float(value) if isinstance(value, int) else value if np.isscalar(value) else None
    except OverflowError:  # an integer beyond float64
        return np.inf


def words(column: pd.Series[Any]) -> list[str | None]:
    """A column's values as names: stripped, 3.0 as ``3``; None for missing values."""
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
