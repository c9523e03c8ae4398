"""The data behind a report as CSV and Parquet, one observation per row, numbers unrounded.

The same rows give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.report import table
from workbench.report.content import Summary
from workbench.report.material import Material
from workbench.report.results import ConfirmationResult
from workbench.report.templates import trials_csv
from workbench.report.trials import of_search
from workbench.verdict import Verdict

# Columns that a table has even where it has no row.
_COLUMNS = {
    "trials": ("trial", "run_id", "strategy", "value"),
    "confirmation": ("arm", "strategy", "seed", "run_id", "state", "value", "counted", "imputed"),
    "selection": ("strategy", "candidate", "trial", "place", "run_id", "value", "mean", "chosen"),
    "pairs": ("first", "second", "n", "difference", "p_holm", "improvement"),
}


def frames(material: Material, summary: Summary) -> dict[str, pd.DataFrame]:
    """The tables of a report by name.

    ``trials``: a row for each search trial. ``confirmation``: for each arm and seed. ``selection``:
    for each candidate and its fresh seeds. ``pairs``: for each comparison. Only a confirmed study
    has the last three; an unfinished confirmation has no test value.
    """
    rows = {"trials": [table.flat(trial) for trial in of_search(material.study, material.trials)]}
    if summary.confirmation is not None:
        rows["confirmation"] = list(_confirmed(summary.confirmation))
        rows["selection"] = list(_selected(summary.confirmation))
        rows["pairs"] = list(pairs(summary.verdict))
    return {name: frame(items, _COLUMNS[name]) for name, items in rows.items()}


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


def write(frames: Mapping[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Write each table as ``NAME.csv`` and ``NAME.parquet``; the same tables give the same bytes.

    In the CSV, a text that a spreadsheet would execute as a formula gets an apostrophe in front.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, frame in sorted(frames.items()):
        columns = [str(column) for column in frame.columns]
        rows = [dict(zip(columns, row, strict=True)) for row in frame.itertuples(index=False)]
        text = trials_csv(rows) if rows else ",".join(columns) + "\n"
        csv, parquet = folder / f"{name}.csv", folder / f"{name}.parquet"
        csv.write_text(text, encoding="utf-8", newline="\n")
        # Without pandas' metadata: it names the version of pandas, which would change the bytes.
        content = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        pq.write_table(content, parquet, compression="zstd")
        paths += [csv, parquet]
    return paths


def frame(rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()) -> pd.DataFrame:
    """A table with ``columns`` and all keys of the rows; each column has one type."""
    names = list(dict.fromkeys([*columns, *(key for row in rows for key in row)]))
    return pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: Sequence[Any]) -> pd.Series[Any]:
    """Numbers, booleans or texts; text where types are mixed, such as depths 2 and ``all``."""
    plain = [None if value is None or value != value else value for value in values]  # NaN != NaN
    kinds = {type(value) for value in plain if value is not None}
    if not kinds:
        return pd.Series(plain, dtype="string")
    # The types are decided here because pandas would infer float64 for integers with gaps.
    if kinds <= {bool}:
        return pd.Series(plain, dtype="boolean" if None in plain else "bool")
    if kinds <= {int}:
        return pd.Series(plain, dtype="Int64" if None in plain else "int64")
    if kinds <= {int, float}:
        return pd.Series(plain, dtype="float64")
    return pd.Series([None if value is None else str(value) for value in plain], dtype="string")
