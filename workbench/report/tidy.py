"""The data behind a report as CSV and Parquet, one observation per row, numbers unrounded.

The same rows give the same bytes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.report import table
from workbench.report.content import Summary
from workbench.report.material import Material
from workbench.report.results import ConfirmationResult
from workbench.report.trials import of_search
from workbench.verdict import Verdict

Rows = Sequence[Mapping[str, object]]

# Columns of a table without a row.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "trials": ("trial", "run_id", "strategy", "value"),
    "confirmation": ("arm", "strategy", "seed", "run_id", "state", "value", "counted", "imputed"),
    "selection": ("strategy", "candidate", "trial", "place", "run_id", "value", "mean", "chosen"),
    "pairs": ("first", "second", "n", "difference", "p_holm", "improvement"),
}


def tables(material: Material, summary: Summary) -> dict[str, Rows]:
    """The rows of a report's tables by name.

    ``trials``: a row for each search trial. ``confirmation``: for each arm and seed. ``selection``:
    for each candidate and its fresh seeds. ``pairs``: for each comparison. Only a confirmed study
    has the last three; an unfinished confirmation has no test value.
    """
    trials = of_search(material.study, material.trials)
    rows: dict[str, Rows] = {"trials": [table.flat(trial) for trial in trials]}
    if summary.confirmation is not None:
        rows["confirmation"] = list(_confirmed(summary.confirmation))
        rows["selection"] = list(_selected(summary.confirmation))
        rows["pairs"] = list(pairs(summary.verdict))
    return rows


def _confirmed(confirmation: ConfirmationResult) -> Iterator[dict[str, object]]:
    """Runs of a confirmation, arm by arm."""
    for arm in confirmation.arms:
        shared: dict[str, object] = {"arm": arm.name, "strategy": arm.strategy}
        shared |= {"baseline": arm.baseline, "trial": arm.trial}
        settings = _named("level", arm.levels) | _named("hyperparameters", arm.hyperparameters)
        for run in arm.runs:
            own = asdict(run)
            metrics = own.pop("metrics")
            yield shared | own | settings | _named("metrics", metrics)


def _named(prefix: str, items: Mapping[str, object]) -> dict[str, object]:
    return {f"{prefix}.{name}": item for name, item in sorted(items.items())}


def _selected(confirmation: ConfirmationResult) -> Iterator[dict[str, object]]:
    """Runs of the selection; ``place`` is the number of the seed, from 0."""
    for item in confirmation.selection:
        for place, (run_id, value) in enumerate(zip(item.run_ids, item.values, strict=True)):
            yield {
                "strategy": item.strategy,
                "candidate": item.candidate,
                "trial": item.trial,
                "place": place,
                "run_id": run_id,
                "value": value,
                "mean": item.mean,
                "chosen": item.chosen,
            }


def pairs(verdict: Verdict) -> Iterator[dict[str, object]]:
    """Comparisons; intervals as ``NAME_low`` and ``NAME_high``."""
    for pair in verdict.comparisons:
        row: dict[str, object] = {}
        for name in (field.name for field in fields(pair)):
            value = getattr(pair, name)
            # What is unknown has empty columns, so that every report has the same ones.
            if name in ("difference", "improvement", "beyond"):
                row[name] = getattr(value, "estimate", None)
                row |= {f"{name}_{end}": getattr(value, end, None) for end in ("low", "high")}
            elif name == "posterior":
                parts = ("better", "equivalent", "worse")
                row |= {f"posterior_{part}": getattr(value, part, None) for part in parts}
            elif name != "differences":  # they follow from the table ``confirmation``
                row[name] = value
        yield row


def write(tables: Mapping[str, Rows], folder: Path) -> None:
    """Write each table as ``NAME.csv`` and ``NAME.parquet``; the same rows give the same bytes.

    In the CSV, a text that a spreadsheet would execute as a formula gets an apostrophe in front.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        columns = dict.fromkeys(key for row in rows for key in row) or _COLUMNS.get(name, ())
        typed = pa.table({key: _column([row.get(key) for row in rows]) for key in columns})
        pq.write_table(typed, folder / f"{name}.parquet", compression="zstd")
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [*columns], lineterminator="\n")
            writer.writeheader()
            for row in typed.to_pylist():
                writer.writerow({key: _inert(item) for key, item in row.items()})


def _column(values: Sequence[Any]) -> pa.Array:
    """Numbers, booleans or texts; text where types are mixed, such as depths 2 and ``all``."""
    plain = [None if value != value else value for value in values]  # NaN is unknown
    try:
        column = pa.array(plain)
    except pa.ArrowException:  # of several types
        column = pa.nulls(0)
    if pa.types.is_primitive(column.type) or pa.types.is_string(column.type):
        return column
    return pa.array([None if value is None else str(value) for value in plain], pa.string())


def _inert(value: Any) -> Any:
    # A spreadsheet would execute a text that starts like a formula.
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
