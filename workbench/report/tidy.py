"""The data behind a report as CSV and Parquet, one observation per row, numbers unrounded.

The same rows give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.report import table
from workbench.report.material import Material
from workbench.report.templates import trials_csv
from workbench.report.trials import of_search

# Columns that a table has even where it has no row.
_COLUMNS = {
    "trials": ("trial", "run_id", "strategy", "value"),
    "confirmation": ("arm", "strategy", "seed", "run_id", "state", "value", "counted", "imputed"),
    "selection": ("strategy", "candidate", "trial", "place", "run_id", "value", "mean", "chosen"),
    "pairs": ("first", "second", "n", "difference", "p_holm", "improvement"),
}


def frames(material: Material, summary: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The tables of a report by name.

    ``trials``: a row for each search trial. ``confirmation``: for each arm and seed. ``selection``:
    for each candidate and its fresh seeds. ``pairs``: for each comparison. Only a confirmed study
    has the last three; an unfinished confirmation has no test value.
    """
    rows = [table.flat(trial) for trial in of_search(material.study, material.trials)]
    tables = {"trials": frame(rows, _COLUMNS["trials"])}
    confirmation = summary["confirmation"]
    if confirmation is not None:
        tables["confirmation"] = frame(list(confirmed(confirmation)), _COLUMNS["confirmation"])
        tables["selection"] = frame(list(selected(confirmation)), _COLUMNS["selection"])
        tables["pairs"] = frame(list(pairs(summary["verdict"])), _COLUMNS["pairs"])
    return tables


def confirmed(confirmation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Runs of a confirmation, arm by arm."""
    for arm in confirmation["arms"]:
        shared = {
            "arm": arm["name"],
            "strategy": arm["strategy"],
            "baseline": arm["baseline"],
            "trial": arm["trial"],
        }
        levels = {f"level.{key}": label for key, label in sorted(arm["levels"].items())}
        settings = {f"hyperparameters.{k}": v for k, v in sorted(arm["hyperparameters"].items())}
        for run in arm["runs"]:
            own = {key: value for key, value in run.items() if key != "metrics"}
            metrics = {f"metrics.{key}": value for key, value in sorted(run["metrics"].items())}
            yield {**shared, **own, **levels, **settings, **metrics}


def selected(confirmation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Runs of the selection; ``place`` is the number of the seed, from 0."""
    for item in confirmation["selection"]:
        shared = {key: item[key] for key in ("strategy", "candidate", "trial")}
        for place, value in enumerate(item["values"]):
            ids = item.get("run_ids") or ()
            run_id = ids[place] if place < len(ids) else None
            row = {**shared, "place": place, "run_id": run_id, "value": value}
            yield {**row, "mean": item["mean"], "chosen": item["chosen"]}


def pairs(verdict: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Comparisons; intervals as ``NAME_low`` and ``NAME_high``."""
    for pair in verdict["comparisons"]:
        row: dict[str, Any] = {}
        for key, value in pair.items():
            if isinstance(value, Mapping) and "estimate" in value:
                row |= {key: value["estimate"], f"{key}_low": value["low"]}
                row[f"{key}_high"] = value["high"]
            elif key == "posterior":
                # Without a smallest effect there is none; its columns exist all the same.
                chances = value or dict.fromkeys(("better", "equivalent", "worse"))
                row |= {f"posterior_{name}": chance for name, chance in chances.items()}
            elif key == "beyond":
                row |= dict.fromkeys(("beyond", "beyond_low", "beyond_high"))
            elif key != "differences":  # they follow from the table ``confirmation``
                row[key] = value
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


def frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> pd.DataFrame:
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
