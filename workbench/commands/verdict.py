"""``workbench verdict``: the statistics and words of a confirmation for anyone's results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.tracker import location, store
from workbench.tracker.external_runs import read_experiment
from workbench.verdict import Design, external
from workbench.verdict.external import ResultsVerdict
from workbench.verdict.results import ResultsError, read_csv, read_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ResultsError", "ResultsReport", "judge"]


@dataclass(frozen=True, kw_only=True)
class ResultsReport:
    """A verdict on external results, and the page that was written; None without a folder."""

    result: ResultsVerdict
    page: Path | None


def judge(
    results: Path | pd.DataFrame | None,
    *,
    experiment: str | None = None,
    home: Path = Path(),
    metric: str | None = None,
    direction: str = "maximize",
    smallest_effect: float | None = None,
    baseline: str | None = None,
    out: Path | None = None,
) -> ResultsReport:
    """Read results, compare the strategies, and write a page if a folder is given.

    Args:
        results: A CSV file or a table with the columns strategy, seed, value and, if several,
            dataset.
        experiment: Instead: name or id of an MLflow experiment.
        home: Of the experiment: folder that holds ``mlruns``.
        metric: Its name; required for an experiment.
        direction: ``maximize`` or ``minimize``.
        smallest_effect: Smallest difference that matters, in units of the metric; without it
            nothing is said of the size of a difference.
        baseline: Compare with this strategy only.
        out: Folder for page, tables, numbers and data.

    Raises:
        ResultsError: The results cannot be read or compared as asked; the message says why.
        FileExistsError: ``out`` contains something else.
    """
    if (results is None) == (experiment is None):
        raise ResultsError("Name either a CSV file or, with --mlflow, an experiment.")
    if experiment is not None:
        shared = location.shared_store(home, experiment)
        own = store.uri_of(home / "mlruns" / "mlflow.db")
        address = own if shared is None else shared.connection_uri
        rows = read_experiment(address, experiment, metric)
    elif isinstance(results, Path):
        rows = read_csv(results, metric)
    else:
        assert results is not None
        rows = read_frame(results, metric)
    # The usual design: a table of results comes with none.
    design = Design(
        metric=rows.metric,
        direction=direction,
        smallest_effect=smallest_effect,
        contrast="all" if baseline is None else "baseline",
    )
    result = external.judge(rows, design, baseline)
    page = None
    if out is not None:
        # Only now: it loads matplotlib, and most calls want no page.
        from workbench.report import standalone

        page = standalone.write(result, out)
    return ResultsReport(result=result, page=page)
