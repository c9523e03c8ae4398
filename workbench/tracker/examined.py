"""What a trial's artifacts say about its mistakes and predictions, as the report shows it.

``Reading`` uses it. The files are written by ``trial.artifacts`` and ``trial.predictions``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Examined:
    """Artifacts about the validation of one trial; empty or None where it has none.

    Attributes:
        scores: The rows of ``per_class.csv``, its numbers as text.
        mistakes: Of ``mistakes.json``, the worst first.
        texts: Of the mistakes, if the data are texts.
        pictures: PNG files by name: ``confusion_matrix`` and ``mistakes``.
    """

    scores: tuple[Mapping[str, str], ...] = ()
    mistakes: tuple[Mapping[str, Any], ...] = ()
    texts: tuple[str, ...] = ()
    pictures: Mapping[str, bytes]


PICTURES = ("confusion_matrix", "mistakes")


def read(files: Mapping[str, bytes]) -> Examined:
    """Read the artifacts of one trial.

    Args:
        files: Contents by name; those that the trial lacks are left out.

    Raises:
        ValueError: One of them is not what a trial writes.
    """
    mistakes = json.loads(files.get("mistakes.json", b"[]"))
    if not isinstance(mistakes, list) or not all({"true", "predicted"} <= {*m} for m in mistakes):
        raise ValueError("mistakes.json is no list of mistakes")
    parser = _Cells()
    parser.feed(files.get("mistakes.html", b"").decode())
    scores = csv.DictReader(io.StringIO(files.get("per_class.csv", b"").decode()))
    return Examined(
        scores=tuple(scores),
        mistakes=tuple(mistakes),
        # The columns are: sample, text, true, predicted, and how wrong it is.
        texts=tuple(row[1] for row in parser.rows if len(row) > 1),
        pictures={n: files[f"{n}.png"] for n in PICTURES if f"{n}.png" in files},
    )


class _Cells(HTMLParser):
    """The texts of a table's cells; a page would otherwise show markup of somebody else."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag == "td" and self.rows:
            self.rows[-1].append("")
        self._inside = tag == "td"

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data
