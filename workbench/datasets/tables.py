"""Tables of numbers and categories: every column a feature, or several, of a vector.

Knows nothing of splits: standardisation is for ``ready``, which knows the training part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.datasets.rows import columns, files, rows
from workbench.datasets.rows.columns import Asked
from workbench.datasets.rows.rows import Rows
from workbench.datasets.samples import Samples

# A column with more texts than this names its rows, or holds sentences; it is no category.
MOST_LEVELS = 1000


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How rows become vectors.

    Attributes:
        levels: Of each column in its order: its categories, or None for a column of numbers.
    """

    levels: Mapping[str, tuple[str, ...] | None]

    @property
    def features(self) -> tuple[str, ...]:
        """What each number of a vector is: ``age``, ``colour=red``."""
        return tuple(
            feature
            for name, levels in self.levels.items()
            for feature in ([name] if levels is None else [f"{name}={level}" for level in levels])
        )


def read(*, target: str, **options: Any) -> Samples:
    """A table's rows as vectors ``float32 [N, F]``; the options are those of ``encoded``."""
    return encoded(target=target, **options)[0]


def encoded(
    *,
    target: str,
    path: str,
    label: columns.Columns,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    categories: Sequence[str] = (),
    separator: str | None = None,
    split: Mapping[str, str] | None = None,
    validation_path: str | None = None,
    test_path: str | None = None,
    delimiter: str | None = None,
    on_bad_input: str = "refuse",
) -> tuple[Samples, Encoding]:
    """A table's rows as vectors, and how they were made.

    A column is one of numbers where most of its values are numbers: the others make their rows
    bad. Any other column is one of categories, one-hot, with the levels of the whole file: which
    levels there are says nothing of a target, and no row has one that is unknown.

    Args:
        target: What is predicted; see ``samples.TARGETS``.
        path: A CSV, TSV, JSONL or Parquet file, or a folder with ``train.csv`` and the like.
        label: The column of the classes, labels or numbers; a list for several.
        features: The columns of the inputs; by default all others.
        drop: Columns that are none of them.
        categories: Columns of numbers that are names: a postcode, a month.
        separator: Between the labels that stand in one column.
        split: ``column`` names the column that gives the part of each row, ``group`` the one whose
            equal values stay in one part; neither is a feature.
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
        option="target",
    )
    return of_rows(found, asked, features=features, drop=drop, categories=categories)


def of_rows(
    found: Rows,
    asked: Asked,
    *,
    features: Sequence[str] | None,
    drop: Sequence[str],
    categories: Sequence[str],
) -> tuple[Samples, Encoding]:
    """Vectors of rows that were read elsewhere; see ``encoded``."""
    columns.flaw(found, asked)
    chosen = _chosen(found, features, drop, asked.columns)
    for name in categories:
        found.column(name, option="categories")
    numeric = [name for name in chosen if name not in categories and _is_numeric(found, name)]
    found = _flawed(found, {name: None if name in numeric else () for name in chosen})
    kept, skipped = found.kept(asked.on_bad_input)
    encoding = Encoding(
        levels={
            name: None if name in numeric else _levels(kept, name, asked=name in categories)
            for name in chosen
        }
    )
    answer = columns.answer(kept, asked)
    samples = Samples(
        kind="vector",
        inputs=_vectors(kept, encoding),
        targets=answer.targets,
        classes=answer.classes,
        given=answer.given,
        groups=answer.groups,
        names=kept.names,
        skipped=skipped,
    )
    return samples, encoding


def read_unlabelled(
    path: Path, encoding: Encoding, *, delimiter: str | None = None
) -> tuple[Tensor, tuple[str, ...]]:
    """New rows as vectors of an encoding, and what a person calls each.

    Raises:
        ValueError: A file or a column is not there, or a row has a value that it cannot encode.
    """
    found = files.read(path, delimiter=delimiter)
    found = _flawed(found, encoding.levels)
    kept, _ = found.kept(None)
    return _vectors(kept, encoding), kept.names


def _chosen(
    found: Rows, features: Sequence[str] | None, drop: Sequence[str], taken: Sequence[str]
) -> list[str]:
    for option, names in (("features", features or ()), ("drop", drop)):
        for name in names:
            found.column(name, option=option)
    if features is None:
        every = [str(name) for name in found.frame.columns]
        chosen = [name for name in every if name not in taken and name not in drop]
    else:
        chosen = list(dict.fromkeys(features))
        both = [name for name in chosen if name in taken or name in drop]
        if both:
            raise ValueError(
                f"dataset.features has {both[0]}, which is the target, the split or dropped."
            )
    if not chosen:
        raise ValueError(f"{found.path} has no column left that is a feature.")
    return chosen


def _is_numeric(found: Rows, name: str) -> bool:
    column = found.frame[name]
    if not isinstance(column.dtype, pd.StringDtype | pd.CategoricalDtype) and (
        column.dtype != object and pd.api.types.is_numeric_dtype(column.dtype)
    ):
        return True
    parsed = int(np.isfinite(rows.numbers(column)).sum())
    if parsed > 0.5 * len(column):
        return True
    present = len(column) - int(rows.missing(column).sum())
    if len(column) and not present:
        raise ValueError(
            f"The column {name} of {found.path} is empty; leave it out with dataset.drop."
        )
    return parsed > 0.5 * present or not present


def _flawed(found: Rows, levels: Mapping[str, tuple[str, ...] | None]) -> Rows:
    """The rows with numbers parsed; marked where one is missing, no number, or of no known level.

    Args:
        found: All rows.
        levels: See ``Encoding``; ``()`` where any level will do.
    """
    parsed = {}
    for name, known in levels.items():
        column = found.column(name, option="features")
        if known is None:
            parsed[name] = columns.flaw_numbers(found, name, column)
            continue
        found.flaw(np.nonzero(rows.missing(column))[0], f"{name} is missing")
        if known:
            for position, word in enumerate(rows.words(column)):
                if word is not None and word not in known:
                    some = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
                    found.flaw([position], f"{name} is {word} and must be one of {some}")
    return replace(found, frame=found.frame.assign(**parsed))


def _levels(kept: Rows, name: str, *, asked: bool) -> tuple[str, ...]:
    levels = columns.in_order([str(word) for word in rows.words(kept.frame[name])])
    if not asked and (len(levels) > MOST_LEVELS or (len(levels) == len(kept) > 20)):
        raise ValueError(
            f"The column {name} of {kept.path} holds {len(levels)} different texts in {len(kept)} "
            f"rows, such as {levels[0][:40]}: leave it out with dataset.drop, or name it in "
            "dataset.categories if they are categories."
        )
    return levels


def _vectors(kept: Rows, encoding: Encoding) -> Tensor:
    parts: list[Tensor] = []
    for name, levels in encoding.levels.items():
        column = kept.frame[name]
        if levels is None:
            parts.append(torch.tensor(rows.numbers(column)).float().unsqueeze(1))
            continue
        position = {level: number for number, level in enumerate(levels)}
        codes = torch.tensor([position[str(word)] for word in rows.words(column)])
        parts.append(torch.nn.functional.one_hot(codes, len(levels)).float())
    return torch.cat(parts, dim=1)
