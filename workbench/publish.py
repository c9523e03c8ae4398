"""From MLflow to a report on disk, and back onto the study's page in MLflow.

Only reads, but for the report's own copy; knows nothing of what a report says.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import browse, record, report
from workbench.config import load
from workbench.driver import Busy, lease
from workbench.record import Role
from workbench.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class Written:
    """A report on disk.

    Attributes:
        usable: Whether any trial has completed.
        notes: What a reader should know that the report itself cannot say.
    """

    page: Path
    usable: bool
    notes: tuple[str, ...]


def write(name: str, home: Path, out: Path | None) -> Written:
    """Write the report of a study from MLflow, and keep it with the study's run.

    While a driver runs, or where the home cannot be written to, the report is only written.

    Args:
        name: The study's name, or its file.
        home: Where the store and the records are.
        out: The report's folder; ``reports/<name>`` of the home by default.

    Raises:
        UnknownStudy: MLflow has no such study.
        FileExistsError: The folder holds something else than a report.
        StoreError: There is no store, or it cannot be used.
    """
    if name.endswith((".yaml", ".yml")):
        name = load(Path(name)).name
    tracker = Tracker(home, create=False)
    study = tracker.read_study(name)
    directory = record.study_directory(home, name)
    folder = out or home / "reports" / name
    try:
        # Where MLflow's store alone is there, nobody can drive the study.
        with lease(directory) if directory.is_dir() else nullcontext():
            tracker.reconcile(directory, parent_status="SCHEDULED")
            written, summary = _write(tracker, study, folder, ())
            tracker.log_report(study["parent_run_id"], folder, only=report.CONTENTS)
            tracker.describe(study["parent_run_id"], report.markdown_summary(summary))
            return written
    except Busy as busy:
        notes = [f"{busy} This report shows it as it is now."]
    except OSError as error:
        if isinstance(error, FileExistsError) or not tracker.read_only:
            raise
        notes = ["the home cannot be written to: the report was not stored in MLflow"]
    behind = _behind(tracker, directory, name)
    if behind:
        notes.append(f"MLflow lags behind the records by {behind} trials")
    return _write(tracker, study, folder, tuple(notes))[0]


def sync(name: str, home: Path) -> int:
    """Send MLflow every record that it lacks; how many trials it did not show as they are.

    Raises:
        Unknown: There is no such study in this home.
        Busy: A driver runs, and sends them itself.
        StoreError: The store cannot be used.
    """
    browse.study(home, name)
    directory = record.study_directory(home, name)
    with lease(directory):
        return Tracker(home).reconcile(directory, parent_status="SCHEDULED")


def _write(
    tracker: Tracker, study: Mapping[str, Any], folder: Path, notes: tuple[str, ...]
) -> tuple[Written, dict[str, Any]]:
    trials = tracker.read_trials(study["name"])
    summary = report.summarize(study, trials)
    page = report.write(study, trials, folder)
    return Written(page=page, usable=bool(summary["usable"]), notes=notes), summary


def _behind(tracker: Tracker, directory: Path, name: str) -> int:
    """How many trials have ended on disk and not in MLflow."""
    trials = tracker.read_trials(name)
    shown = set(trials.loc[trials["state"].isin(["complete", "pruned", "failed"]), "key"])
    ended = {
        spec.key
        for found, spec in record.scan(directory)
        if spec.role is Role.SEARCH and (result := found.result()) and result.state.ended
    }
    return len(ended - shown)
