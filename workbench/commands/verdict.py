"""``workbench verdict``: the statistics and words of a confirmation for anyone's results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.commands.experiment import read_experiment
from workbench.verdict import external
from workbench.verdict.external import ExternalVerdict
from workbench.verdict.question import Question
from workbench.verdict.results import Results, Unreadable, read_csv

__all__ = ["Judged", "Unreadable", "judge"]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the command reports.

    Attributes:
        found: The verdict.
        page: Where the page was written; None without a folder.
    """

    found: ExternalVerdict
    page: Path | None

    @property
    def content(self) -> Mapping[str, Any]:
        """For ``--json``: the content of results.json."""
        return self.found.as_json()

    @property
    def notes(self) -> Sequence[str]:
        """What was left out while reading."""
        return self.found.results.notes

    @property
    def usable(self) -> bool:
        """Whether a claim can be made: over all data sets, or on any one."""
        return self.found.usable


def judge(
    path: Path | None,
    *,
    experiment: str | None = None,
    uri: str | None = None,
    home: Path,
    metric: str | None = None,
    direction: str = "maximize",
    smallest_effect: float | None = None,
    baseline: str | None = None,
    out: Path | None = None,
) -> Judged:
    """Read results, compare the strategies, and write a page if a folder is given.

    Args:
        path: A CSV file with the columns strategy, seed, value and, if several, dataset.
        experiment: Instead: name or id of an MLflow experiment.
        uri: MLflow's tracking URI; the home's own store by default.
        home: Folder that holds ``mlruns``.
        metric: Its name; required for an experiment.
        direction: ``maximize`` or ``minimize``.
        smallest_effect: Smallest difference that matters, in units of the metric; without it
            neither a winner nor a tie is named.
        baseline: Compare with this strategy only.
        out: Folder for page, tables, numbers and data.

    Raises:
        Unreadable: The results cannot be read or compared as asked; the message says why.
        FileExistsError: ``out`` contains something else.
    """
    rows = _read(path, experiment, uri, home, metric)
    question = Question(
        metric=rows.metric,
        direction=direction,
        smallest_effect=smallest_effect,
        baseline=baseline,
    )
    found = external.judge(rows, question)
    page = None
    if out is not None:
        from workbench.report import standalone

        page = standalone.write(found, out)
    return Judged(found=found, page=page)


def _read(
    path: Path | None, experiment: str | None, uri: str | None, home: Path, metric: str | None
) -> Results:
    if (path is None) == (experiment is None):
        raise Unreadable("Name either a CSV file or, with --mlflow, an experiment.")
    if path is not None:
        return read_csv(path, metric)
    return read_experiment(str(experiment), uri=uri, home=home, metric=metric)
