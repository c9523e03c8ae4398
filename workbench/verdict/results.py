"""External results as plain rows: a run of a strategy with a seed on a data set.

Reads a CSV file or a pandas table, and says what is wrong with each line that it cannot read.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.messages import did_you_mean, joined, nearest

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("strategy", "seed", "value")
DATASET = "dataset"
_DELIMITERS = (",", ";", "\t", "|")
_FAILED = ("failed", "diverged")  # as nan and inf do, which are numbers to Python
_MOST = 10  # problems reported at once
_Line = tuple[str, Sequence[str]]  # file and line, with the cells
_ALMOST = 0.85  # how alike a misspelt name is: one letter of eight, and no "_std" at its end


class ResultsError(ValueError):
    """The results cannot be read; the message says where and why."""


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One run.

    Attributes:
        value: Of the metric; None where the run diverged or failed.
        state: As ``verdict.Run`` has it.
        dataset: Empty where there is only one without a name.
        where: File and line, or the run.
    """

    strategy: str
    seed: str
    value: float | None
    state: str = "complete"
    dataset: str = ""
    where: str = ""
    run_id: str = ""


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was read.

    Attributes:
        metric: What the values are.
        source: Where they come from, for people.
        notes: What was left out.
    """

    rows: tuple[ResultRow, ...]
    metric: str
    source: str
    notes: tuple[str, ...] = ()


def read_csv(path: Path, metric: str | None) -> Results:
    """The rows of a CSV file with the columns strategy, seed, value and, if several, dataset.

    The values may also stand in a column named like the metric. Delimiters are comma, semicolon,
    tab and bar; text is UTF-8, or UTF-16 with a byte order mark.

    Raises:
        ResultsError: With every problem found, each with file and line.
    """
    lines = [(f"{path.name}:{number}", cells) for number, cells in _lines(path)]
    return _read(lines, metric, path.name)


def read_frame(frame: pd.DataFrame, metric: str | None) -> Results:
    """The rows of a pandas table with the same columns as a CSV file.

    Raises:
        ResultsError: With every problem found, each with the label of its row.
    """
    if not len(frame.columns):
        raise ResultsError(f"The frame is empty; expected the columns {joined(COLUMNS)}.")
    # First as text: a float32 would get digits that it does not have.
    texts = frame.astype(str).where(frame.notna(), "")
    cells = [[*map(str, frame.columns)], *texts.to_numpy().tolist()]
    places = ["the frame", *(f"row {label} of the frame" for label in frame.index)]
    return _read([*zip(places, cells, strict=True)], metric, "the frame")


def _read(lines: Sequence[_Line], metric: str | None, source: str) -> Results:
    """The rows of a table, whose first line is the header."""
    first, header = lines[0]
    named = [cell.strip() for cell in header]
    at = _columns(first, named, metric)
    problems: list[str] = []
    rows = []
    for where, cells in lines[1:]:
        try:
            rows.append(_row(where, cells, at, len(named)))
        except ResultsError as error:
            problems.append(str(error))
    problems += repeated(rows)
    if not rows and not problems:
        problems.append(f"{source}: there is no row below the header.")
    _refuse(problems)
    # A column that was meant to count may have been misspelt, so it is named.
    used = set(at.values())
    ignored = [name or f"number {n + 1}" for n, name in enumerate(named) if n not in used]
    notes = []
    if ignored:
        plural = "s" if len(ignored) > 1 else ""
        notes.append(f"Ignored in {source}: the column{plural} {', '.join(ignored)}.")
    value = named[at["value"]]
    called = metric or ("value" if value.lower() == "value" else value)
    if metric is not None and value.lower() != metric.lower():
        notes.append(f"No column is called {metric}: the values are those of the column {value}.")
    return Results(rows=tuple(rows), metric=called, source=source, notes=tuple(notes))


def repeated(rows: Sequence[ResultRow]) -> Iterator[str]:
    """An error for each row that repeats a run."""
    seen: dict[tuple[str, str, str], ResultRow] = {}
    for row in rows:
        first = seen.setdefault((row.dataset, row.strategy, row.seed), row)
        if first is not row:
            on = f" on {row.dataset}" if row.dataset else ""
            yield (
                f"{row.where}: {row.strategy} with seed {row.seed}{on} occurs twice (first"
                f" in {first.where}), expected one run for each; a strategy is one configuration."
            )


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Line numbers with cells, without empty lines; the first is the header."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror or error}.") from None
    # Spreadsheets save Unicode text as UTF-16, and UTF-8 with a byte order mark.
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ResultsError(
            f"{path.name}:{line}: not UTF-8 text; save the table as CSV in UTF-8."
        ) from None
    if "\0" in text:
        # For example UTF-16 without a byte order mark.
        raise ResultsError(f"{path.name}: not a text file; expected CSV.")
    if not text.strip():
        raise ResultsError(f"{path.name} is empty; expected a header with {joined(COLUMNS)}.")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    lines = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((reader.line_num, cells))
    except csv.Error as error:
        raise ResultsError(f"{path.name}:{reader.line_num}: {error}.") from None
    return lines


def _delimiter(text: str) -> str:
    """The one that occurs most often in the header."""
    header = next(line for line in text.splitlines() if line.strip())
    return max(_DELIMITERS, key=header.count)


def _columns(where: str, named: Sequence[str], metric: str | None) -> dict[str, int]:
    """Where the columns that are needed stand."""
    plain = [name.lower() for name in named]
    wanted = {name: [name] for name in (*COLUMNS, DATASET)}
    if metric is not None:
        # A column named like the metric says more than one named value.
        wanted["value"].insert(0, metric.lower())
    at = {}
    problems = [*_misspelt(where, named, metric)]
    for name, choices in wanted.items():
        found = next((choice for choice in choices if choice in plain), None)
        if found is not None:
            if plain.count(found) > 1:
                problems.append(f"{where}: there are two columns {found}.")
            at[name] = plain.index(found)
        elif name != DATASET:
            hint = did_you_mean(choices[0], named, cutoff=0.5) or f"; found {joined(named, 20)}."
            if name == "value" and metric is None:
                hint += " With --metric NAME, values are read from the column NAME."
            problems.append(f"{where}: there is no column {' or '.join(choices)}{hint}")
    _refuse(problems)
    return at


def _misspelt(where: str, named: Sequence[str], metric: str | None) -> Iterator[str]:
    """An error for a metric without a column, where a column has almost its name."""
    plain = {name.lower(): name for name in named}
    if metric is None or metric.lower() in plain or "value" not in plain:
        return
    others = [plain[name] for name in plain if name not in (*COLUMNS, DATASET)]
    # Otherwise the column value would silently be taken for the misspelt metric.
    near = nearest(metric, others, cutoff=_ALMOST)
    if near is not None:
        yield (
            f"{where}: there is no column {metric}; did you mean {near}? Use --metric"
            f" {near} to compare its values; to use the column {plain['value']!r} as"
            f" {metric}, remove the other column from the file."
        )


def _row(where: str, cells: Sequence[str], at: Mapping[str, int], width: int) -> ResultRow:
    if len(cells) != width:
        raise ResultsError(f"{where}: {len(cells)} cells, expected {width} as in the header.")
    given = {name: cells[place].strip() for name, place in at.items()}
    if empty := [name for name, cell in given.items() if not cell]:
        text = f"{where}: {' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty"
        if "value" in empty:
            text += "; write failed for a run that diverged or failed: it gets the worst value"
        raise ResultsError(f"{text}.")
    value = _value(where, given["value"])
    return ResultRow(
        strategy=given["strategy"],
        seed=seed_name(given["seed"]),
        value=value,
        state="failed" if value is None else "complete",
        dataset=given.get(DATASET, ""),
        where=where,
    )


def _value(where: str, written: str) -> float | None:
    """The value of a run; None where it diverged or failed."""
    if written.lower() in _FAILED:
        return None
    try:
        value = float(written)
    except ValueError:
        comma = re.fullmatch(r"[-+]?\d*,\d+", written)
        hint = "; write it with a decimal point" if comma else ", or failed"
        raise ResultsError(f"{where}: the value {written!r} is not a number{hint}.") from None
    return value if math.isfinite(value) else None


def seed_name(text: str) -> str:
    """A seed as it is compared: a table program may write 3 as 3.0."""
    return re.sub(r"^([-+]?\d+)\.0+$", r"\1", text.strip())


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        more = len(problems) - _MOST
        lines = [*problems[:_MOST], *([f"... and {more} more."] if more > 0 else [])]
        raise ResultsError("\n".join(lines))
