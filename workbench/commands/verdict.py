"""Anyone's results: the statistics, words and tables of a confirmation for numbers from elsewhere.

The claim is capped by what the results can prove: they hold no protocol, so its level is never
above *this configuration*, or *across data sets* from six data sets on. Knows no study and no
trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.commands import experiment as experiments
from workbench.verdict import Level, Refused, Verdict, as_json, results
from workbench.verdict import question as comparing
from workbench.verdict.across import deciding, ranks
from workbench.verdict.guards import data_sets
from workbench.verdict.plain import plain
from workbench.verdict.question import Question
from workbench.verdict.results import Results, Unreadable

__all__ = ["Judged", "Unreadable", "judge"]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What may be said of some results.

    Attributes:
        content: Plain JSON values. ``verdict``: of the one data set, or over all. ``datasets``: a
            row with ``name`` and ``verdict`` for each. Of several: ``outcomes``, the wins, ties and
            losses of each pair, and ``across``, None of fewer than six. ``notes``.
        notes: What was left aside while reading.
        page: Where the page was written; None without a folder.
    """

    content: Mapping[str, Any]
    notes: tuple[str, ...]
    page: Path | None

    @property
    def usable(self) -> bool:
        """Whether anything can be said: over all data sets, or of any one."""
        verdicts = [self.content["verdict"], *(it["verdict"] for it in self.content["datasets"])]
        return any(verdict["level"] != Level.NONE for verdict in verdicts)


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
    """Read results, compare the strategies, and write it down if a folder is named.

    Args:
        path: A CSV file with the columns strategy, seed, value and, if several, dataset.
        experiment: Instead: name or id of an MLflow experiment.
        uri: MLflow's tracking URI; the home's own store by default.
        home: Folder that holds ``mlruns``.
        metric: Its name; needed for an experiment.
        direction: ``maximize`` or ``minimize``.
        smallest_effect: Smallest difference that matters, in units of the metric; without one
            neither a winner nor a tie is named.
        baseline: Compare with this strategy only.
        out: Folder for page, tables, numbers and data.

    Raises:
        Unreadable: The results cannot be read or compared as asked for; the message says why.
    """
    found = _read(path, experiment, uri, home, metric)
    question = Question(
        metric=found.metric,
        direction=direction,
        smallest_effect=smallest_effect,
        baseline=baseline,
    )
    names = comparing.check(found.rows, question)
    datasets = list(dict.fromkeys(row.dataset for row in found.rows))
    if len(datasets) > 1:
        try:
            data_sets(datasets, seeds={row.seed for row in found.rows})
            ranks.different(found.rows)
        except Refused as error:
            raise Unreadable(str(error)) from None
    verdicts = _verdicts(found, names, question)
    overall = (
        next(iter(verdicts.values()))
        if len(verdicts) == 1
        else deciding.verdict(names, verdicts, question)
    )
    content = _content(found, names, verdicts, overall, question)
    page = None
    if out is not None:
        from workbench.report import standalone

        page = standalone.write(found, content, verdicts, overall, out)
    return Judged(content=content, notes=found.notes, page=page)


def _read(
    path: Path | None, experiment: str | None, uri: str | None, home: Path, metric: str | None
) -> Results:
    if (path is None) == (experiment is None):
        raise Unreadable("Name either a CSV file or, with --mlflow, an experiment.")
    if path is not None:
        return results.read_csv(path, metric)
    return experiments.read(str(experiment), uri=uri, home=home, metric=metric)


def _verdicts(found: Results, names: tuple[str, ...], question: Question) -> dict[str, Verdict]:
    verdicts = {}
    for dataset in dict.fromkeys(row.dataset for row in found.rows):
        rows = [row for row in found.rows if row.dataset == dataset]
        present = {row.strategy for row in rows}
        here = [name for name in names if name in present]
        verdicts[dataset] = comparing.judge(rows, here, question)
    return verdicts


def _content(
    found: Results,
    names: tuple[str, ...],
    verdicts: Mapping[str, Verdict],
    overall: Verdict,
    question: Question,
) -> dict[str, Any]:
    each = [{"name": name, "verdict": as_json(verdict)} for name, verdict in verdicts.items()]
    several = len(verdicts) > 1
    content = {
        "schema": 1,
        "source": found.source,
        "verdict": as_json(overall),
        "datasets": each,
        "outcomes": ranks.outcomes(names, verdicts) if several else [],
        "across": ranks.across(names, verdicts, question) if several else None,
        "notes": list(found.notes),
    }
    return dict(plain(content))
