"""What is compared: all arms in pairs, each arm with the baseline, or the levels of a factor.

The value of a level on a seed is the mean of its arms there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from workbench.verdict.evidence import Design, Doubt
from workbench.verdict.judgement import Word
from workbench.verdict.table import Row, Table

ALL = "all"
BASELINE = "baseline"


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The sides and the planned pairs of a design.

    Attributes:
        pairs: All planned ones, as places in ``rows``, whether or not they can be compared.
        averaged: Factors whose levels were averaged over.
    """

    rows: tuple[Row, ...]
    pairs: tuple[tuple[int, int], ...]
    doubts: tuple[Doubt, ...] = ()
    averaged: tuple[str, ...] = ()


def of(design: Design, table: Table) -> Contrast:
    """The contrast that a design asks for.

    Raises:
        ValueError: No arm is the baseline that the others are to be compared with.
        KeyError: An arm has no level of the factor.
    """
    if design.contrast == ALL:
        return _with_enough(table.rows, tuple(combinations(range(len(table.rows)), 2)))
    if design.contrast == BASELINE:
        baseline = [row.baseline for row in table.rows].index(True)
        others = (place for place in range(len(table.rows)) if place != baseline)
        return _with_enough(table.rows, tuple((place, baseline) for place in others))
    return _of_levels(design.contrast, table.rows)


def _of_levels(factor: str, rows: tuple[Row, ...]) -> Contrast:
    arms = [row for row in rows if not is_default(row, rows)]
    by_level: dict[str, list[Row]] = {}
    for row in arms:
        by_level.setdefault(row.levels[factor], []).append(row)
    sides = tuple(_mean(level, group) for level, group in by_level.items())
    pairs = tuple(combinations(range(len(sides)), 2))
    averaged = tuple(
        name
        for name in dict.fromkeys(name for row in arms for name in row.levels)
        if name != factor and len({row.levels.get(name) for row in arms}) > 1
    )
    return _with_enough(sides, pairs, _imbalance(factor, by_level), averaged)


def is_default(row: Row, rows: Sequence[Row]) -> bool:
    """Whether it is the default arm, and another arm has the same levels.

    A strategy whose chosen configuration is the default is both the baseline and a level's arm.
    """
    return row.baseline and any(
        other is not row and dict(other.levels) == dict(row.levels) for other in rows
    )


def _imbalance(factor: str, by_level: Mapping[str, Sequence[Row]]) -> tuple[Doubt, ...]:
    cells = {
        level: sorted(
            tuple(sorted((name, label) for name, label in row.levels.items() if name != factor))
            for row in group
        )
        for level, group in by_level.items()
    }
    if len(set(map(str, cells.values()))) <= 1:
        return ()
    counts = ", ".join(f"{level} {len(group)}" for level, group in by_level.items())
    text = (
        f"The levels of {factor} are not combined with the same levels of the other factors"
        f" (configurations: {counts}), so their means differ in more than {factor}."
    )
    return (Doubt(word=Word.NOT_COMPARABLE, text=text),)


def _mean(level: str, group: Sequence[Row]) -> Row:
    # A seed on which one arm has no value has none for the level: the rest is a selection.
    columns = list(zip(*(row.values for row in group), strict=True))
    known = [row.scores for row in group if row.scores is not None]
    missing = next((row.scores_missing for row in group if row.scores is None), None)
    if missing is None and len({each.shape for each in known}) > 1:
        missing = f"the arms of {level} have scores of different numbers of examples"
    return Row(
        name=level,
        values=tuple(
            None if None in column else math.fsum(v for v in column if v is not None) / len(column)
            for column in columns
        ),
        run_ids=tuple(run_id for row in group for run_id in row.run_ids),
        imputed=tuple(dict.fromkeys(seed for row in group for seed in row.imputed)),
        budget=group[0].budget,
        # One name for what all arms of the level were tested on.
        splits=tuple(
            next(filter(None, column), "")
            for column in zip(*(row.splits for row in group), strict=True)
        ),
        scores=np.mean(known, axis=0) if missing is None else None,
        scores_missing=missing,
        sound=all(row.sound and row.budget == group[0].budget for row in group),
    )


def _with_enough(
    rows: tuple[Row, ...],
    pairs: tuple[tuple[int, int], ...],
    doubts: tuple[Doubt, ...] = (),
    averaged: tuple[str, ...] = (),
) -> Contrast:
    if len(rows) < 2:
        present = f"1 side ({rows[0].name})" if rows else "no side"
        text = f"There is nothing to compare: found {present}, expected 2 or more."
        doubts = (*doubts, Doubt(word=Word.NOT_COMPARABLE, text=text))
    return Contrast(rows=rows, pairs=pairs, doubts=doubts, averaged=averaged)
