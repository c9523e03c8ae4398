"""Reads a table file into rows: CSV, TSV, JSONL or Parquet.

Used by ``rows.files`` and ``texts``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.datasets.reading import must_fit, readable_errors
from workbench.datasets.rows.rows import Rows
from workbench.messages import did_you_mean

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_CHUNK = 20_000
# Bytes of a row's name in memory.
_NAME = 100


def read(path: Path, delimiter: str | None = None) -> Rows:
    """All rows of a file.

    Args:
        path: Its suffix gives the format.
        delimiter: Between the columns of a CSV; by default a comma, or a tab in a TSV.

    Raises:
        ValueError: It is missing, empty, of an unknown type, or does not match its suffix.
    """
    if not path.is_file():
        raise ValueError(f"There is no file {path}{_hint(path)}")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path} is not a supported table file; use {', '.join(SUFFIXES)}.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty.")
    with readable_errors(path, expected=f"the content of a {suffix} file"):
        if suffix == ".parquet":
            rows = _parquet(path)
        elif suffix == ".jsonl":
            rows = _json_lines(path)
        else:
            rows = _separated(path, delimiter or ("\t" if suffix == ".tsv" else ","))
    if not rows.names and not rows.broken:
        raise ValueError(f"{path} has no rows.")
    return rows


def _hint(path: Path) -> str:
    if not path.parent.is_dir():
        return f", and no folder {path.parent} either."
    return did_you_mean(path.name, [file.name for file in path.parent.iterdir()]) or "."


def text_of(path: Path) -> str:
    """A file's text, without a byte order mark.

    Raises:
        ValueError: It is not UTF-8; the message names the line.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}:{line} is not UTF-8 (byte 0x{content[error.start]:02x}); save the file in "
            "UTF-8."
        ) from None


def _separated(path: Path, delimiter: str) -> Rows:
    if len(delimiter) != 1:
        raise ValueError(f"dataset.delimiter is {delimiter!r}; it must be one character.")
    # Not pandas: it gives no line numbers and fills short records silently.
    reader = csv.reader(io.StringIO(text_of(path), newline=""), delimiter=delimiter, strict=True)
    # A process-wide setting, restored below; the default refuses fields over 128 KiB.
    limit = csv.field_size_limit(2**31 - 1)
    try:
        header = [name.strip() for name in next(reader, [])]
        _refuse_twins(path, header)
        blocks = [_block([], header)]
        names: list[str] = []
        broken: list[str] = []
        records, width = _records(reader), len(header)
        while chunk := list(islice(records, _CHUNK)):
            whole = [(line, record) for line, record in chunk if len(record) == width]
            blocks.append(_block([record for _, record in whole], header))
            names += [f"{path.name}:{line}" for line, _ in whole]
            broken += [
                f"{path.name}:{line}: {len(record)} fields, but the header has {width}"
                for line, record in chunk
                if len(record) != width
            ]
    except csv.Error as error:
        raise ValueError(f"{path}:{reader.line_num} is not CSV: {error}.") from None
    finally:
        csv.field_size_limit(limit)
    frame = pd.concat(blocks, ignore_index=True)
    return Rows(path=str(path), frame=frame, names=tuple(names), broken=tuple(broken))


def _records(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Every record that is not blank, with the number of its first line."""
    line = reader.line_num + 1
    for record in reader:
        if record:
            yield line, record
        line = reader.line_num + 1


def _block(chunk: list[list[str]], header: list[str]) -> pd.DataFrame:
    columns: Iterable[Sequence[str]] = zip(*chunk, strict=True) if chunk else [()] * len(header)
    return pd.DataFrame(
        {
            name: pd.Series(list(values), dtype="str")
            for name, values in zip(header, columns, strict=True)
        }
    )


def _refuse_twins(path: Path, header: Sequence[str]) -> None:
    twins = sorted({name for name in header if header.count(name) > 1})
    if twins:
        raise ValueError(f"{path} has two columns {twins[0]!r}; column names must be unique.")


def _json_lines(path: Path) -> Rows:
    records: list[dict[str, Any]] = []
    names: list[str] = []
    broken: list[str] = []
    for line, text in enumerate(text_of(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
            if "\\ud" in text.lower():
                # A lone surrogate: valid JSON, but not encodable as UTF-8.
                json.dumps(record, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            broken.append(f"{path.name}:{line}: not JSON: {error.msg} at character {error.colno}")
            continue
        except (ValueError, RecursionError) as error:
            broken.append(f"{path.name}:{line}: JSON that cannot be read: {error}")
            continue
        if isinstance(record, dict):
            records.append(record)
            names.append(f"{path.name}:{line}")
        else:
            shown = text.strip()[:40]
            broken.append(f"{path.name}:{line}: {shown} is not an object of names and values")
    columns = dict.fromkeys(name for record in records for name in record)
    frame = pd.DataFrame(
        # dtype=object, because pandas would convert [1, null] to floats and dates to times.
        {name: pd.Series([r.get(name) for r in records], dtype=object) for name in columns}
    )
    return Rows(path=str(path), frame=frame, names=tuple(names), broken=tuple(broken))


def _parquet(path: Path) -> Rows:
    from pyarrow import parquet

    size = parquet.read_metadata(path)
    # A lower bound: 8 bytes per value, since the sizes of strings are not in the metadata.
    must_fit(path, size.num_rows * (_NAME + 8 * size.num_columns))
    frame = pd.read_parquet(path, engine="pyarrow").reset_index(drop=True)
    frame.columns = pd.Index([str(name) for name in frame.columns])
    names = tuple(f"{path.name}:{number}" for number in range(1, len(frame) + 1))
    return Rows(path=str(path), frame=frame, names=names)
