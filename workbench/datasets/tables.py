"""Tables of numbers and categories as vectors.

Used by ``hub`` as well. ``preprocessing`` standardises the vectors by the training part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.datasets.rows import columns, files, rows
from workbench.datasets.rows.columns import RowOptions
from workbench.datasets.rows.rows import Rows
from workbench.datasets.samples import Levels, Samples

# A column with more distinct texts is an identifier or free text, not a category.
MOST_LEVELS = 1000


def read(
    *,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    categories: Sequence[str] = (),
    **options: Any,
) -> Samples:
    """A table's rows as vectors ``float32 [N, F]``.

    A column is numeric if most of its values are numbers; a row with another value is bad. Every
    other column is categorical and one-hot encoded, with the levels of the whole file: levels do
    not reveal targets, and no row has an unknown level.

    Args:
        features: The columns of the inputs; by default all others.
        drop: Columns that are not inputs.
        categories: Columns of numbers that are categories: a postcode, a month.
        options: See ``rows.files.labelled``.

    Raises:
        ValueError: A file or a column does not exist, or rows cannot be used; up to ten are listed.
    """
    table, row_options = files.labelled(**options, option="target")
    return of_rows(table, row_options, features=features, drop=drop, categories=categories)


def of_rows(
    table: Rows,
    options: RowOptions,
    *,
    features: Sequence[str] | None,
    drop: Sequence[str],
    categories: Sequence[str],
) -> Samples:
    """Rows as vectors; see ``read``."""
    columns.mark_bad_rows(table, options)
    chosen = _chosen(table, features, drop, options.columns)
    for name in categories:
        table.column(name, option="categories")
    numeric = [name for name in chosen if name not in categories and _is_numeric(table, name)]
    table = _parsed(table, {name: None if name in numeric else () for name in chosen})
    kept, skipped = table.kept(options.on_bad_input)
    levels = {
        name: None if name in numeric else _levels(kept, name, is_category=name in categories)
        for name in chosen
    }
    samples = columns.samples_of(
        kept, options, kind="vector", inputs=_vectors(kept, levels), skipped=skipped
    )
    return replace(samples, levels=levels)


def vectors_of(table: Rows, levels: Levels) -> Tensor:
    """New rows as vectors ``float32 [N, F]``.

    Raises:
        ValueError: A column does not exist, or a value cannot be encoded.
    """
    kept, _ = _parsed(table, levels, option=None).kept(None)
    return _vectors(kept, levels)


def _chosen(
    table: Rows, features: Sequence[str] | None, drop: Sequence[str], taken: Sequence[str]
) -> list[str]:
    for option, names in (("features", features or ()), ("drop", drop)):
        for name in names:
            table.column(name, option=option)
    if features is None:
        every = [str(name) for name in table.frame.columns]
        chosen = [name for name in every if name not in taken and name not in drop]
    else:
        chosen = list(dict.fromkeys(features))
        both = [name for name in chosen if name in taken or name in drop]
        if both:
            raise ValueError(
                f"dataset.features has {both[0]}, which is also the target, the split or dropped."
            )
    if not chosen:
        raise ValueError(f"{table.path} has no columns left for features.")
    return chosen


def _is_numeric(table: Rows, name: str) -> bool:
    """Whether most of the values that are there are numbers."""
    column = table.frame[name]
    present = int((~rows.missing(column)).sum())
    if len(column) and not present:
        raise ValueError(
            f"The column {name} of {table.path} is empty; exclude it with dataset.drop."
        )
    # A few bad numbers must not turn a column into categories without a message.
    return int((~np.isnan(rows.numbers(column))).sum()) > 0.5 * present or not present


def _parsed(table: Rows, levels: Levels, *, option: str | None = "features") -> Rows:
    """Parse the numbers, and mark rows with a value that is missing, invalid or of unknown level.

    Args:
        table: All rows.
        levels: ``()`` allows any level.
        option: See ``Rows.column``.
    """
    parsed = {}
    for name, known in levels.items():
        column = table.column(name, option=option)
        if known is None:
            parsed[name] = columns.mark_bad_numbers(table, name, column)
            continue
        table.mark_bad(np.nonzero(rows.missing(column))[0], f"{name} is missing")
        if known:
            for position, word in enumerate(rows.words(column)):
                if word is not None and word not in known:
                    some = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
                    table.mark_bad([position], f"{name} is {word} and must be one of {some}")
    return replace(table, frame=table.frame.assign(**parsed))


def _levels(kept: Rows, name: str, *, is_category: bool) -> tuple[str, ...]:
    levels = columns.sorted_names([str(word) for word in rows.words(kept.frame[name])])
    if not is_category and (len(levels) > MOST_LEVELS or (len(levels) == len(kept) > 20)):
        raise ValueError(
            f"The column {name} of {kept.path} holds {len(levels)} different texts in {len(kept)} "
            f"rows, such as {levels[0][:40]}; exclude it with dataset.drop, or list it in "
            "dataset.categories if these are categories."
        )
    return levels


def _vectors(kept: Rows, levels: Levels) -> Tensor:
    parts: list[Tensor] = []
    for name, known in levels.items():
        column = kept.frame[name]
        if known is None:
            parts.append(torch.tensor(rows.numbers(column)).float().unsqueeze(1))
            continue
        position = {level: number for number, level in enumerate(known)}
        codes = torch.tensor([position[str(word)] for word in rows.words(column)])
        parts.append(torch.nn.functional.one_hot(codes, len(known)).float())
    return torch.cat(parts, dim=1)
