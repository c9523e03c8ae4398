"""What a trial's artifacts say about its mistakes and scores, as the report shows it.

``Reading`` uses it. The files are written by ``trial.artifacts`` and ``trial.predictions``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class TrialArtifacts:
    """Artifacts about the validation of one trial; empty or None where it has none.

    Attributes:
        scores: The rows of ``per_class.csv``, its numbers as text.
        mistakes: Of ``mistakes.json``, the worst first; with ``text`` if the data are texts.
        pictures: PNG files by name: ``confusion_matrix`` and ``mistakes``.
    """

    scores: tuple[Mapping[str, str], ...] = ()
    mistakes: tuple[Mapping[str, Any], ...] = ()
    pictures: Mapping[str, bytes]


PICTURES = ("confusion_matrix", "mistakes")


def read(files: Mapping[str, bytes]) -> TrialArtifacts:
    """Read the artifacts of one trial.

    Args:
        files: Contents by name; those that the trial lacks are left out.

    Raises:
        ValueError: One of them is not what a trial writes.
    """
    mistakes = json.loads(files.get("mistakes.json", b"[]"))
    if not isinstance(mistakes, list) or not all({"true", "predicted"} <= {*m} for m in mistakes):
        raise ValueError("mistakes.json is no list of mistakes")
    scores = csv.DictReader(io.StringIO(files.get("per_class.csv", b"").decode()))
    return TrialArtifacts(
        scores=tuple(scores),
        mistakes=tuple(mistakes),
        pictures={n: files[f"{n}.png"] for n in PICTURES if f"{n}.png" in files},
    )
