"""Reports and verdicts over several finished studies: ``workbench report`` and ``combine``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from workbench import record, report
from workbench.commands import report as publish
from workbench.commands.report import Written
from workbench.commands.verdict import Judged
from workbench.plotting import venues
from workbench.study.config import load_all
from workbench.study.weights import STUDY_SUFFIXES
from workbench.tracker import Tracker
from workbench.tracker.reader import UnknownStudy
from workbench.verdict import external
from workbench.verdict.across.combining import Finished


def write_report(name: str, home: Path, out: Path | None, venue: str = "neurips") -> Written:
    """Write the report of a study; of a file with ``across``, one for each study and one over all.

    Args:
        name: The study's name, or its file.
        home: Where the store and the records are.
        out: The report's folder; ``reports/<name>`` of the home by default. Those of single
            studies are beside the reports of others.
        venue: Whose widths and fonts the files for a paper have.

    Raises:
        UnknownStudy: MLflow has no such study.
        FileExistsError: A folder holds something else than a report.
        StoreError: There is no store, or it cannot be used.
        ValueError: No such venue, MLflow lacks what no report can do without, or the studies have
            no common verdict.
    """
    venues.of(venue)
    if name.endswith(STUDY_SUFFIXES):
        name = record.experiment_of(load_all(Path(name))[0].name)
    studies = Tracker(home, create=False).cells(name)
    if not studies:
        return publish.write(name, home, out, venue)
    each = [publish.write(study, home, None, venue) for study in studies]
    folder = out or home / "reports" / name
    judged = combine(studies, home, folder, name=name, venue=venue)
    assert judged.page is not None
    verdict = judged.result.verdict
    return Written(
        page=judged.page,
        verdict=f"{verdict.heading}  {verdict.headline}",
        usable=judged.result.usable,
        notes=tuple(note for written in each for note in written.notes),
    )


def combine(
    studies: Sequence[str],
    home: Path,
    out: Path | None,
    *,
    name: str | None = None,
    venue: str = "neurips",
) -> Judged:
    """The verdict over several finished studies, and a page if a folder is given.

    Args:
        studies: Names of studies, or of files with ``across``.
        home: Where the store is.
        out: Folder for page, tables, numbers and data.
        name: Shown as a title; the names of the studies by default.
        venue: Whose widths and fonts the files for a paper have.

    Raises:
        Unreadable: The studies cannot be combined; the message says why.
        UnknownStudy: MLflow has no such study.
        FileExistsError: ``out`` contains something else.
    """
    tracker = Tracker(home, create=False)
    every = dict.fromkeys(one for study in studies for one in tracker.cells(study) or [study])
    finished = [_finished(tracker, study, home) for study in every]
    result = external.combine(finished, name or ", ".join(studies))
    if out is None:
        return Judged(result=result, page=None)
    from workbench.report import standalone

    pages = {study: home / "reports" / study / "index.html" for study in every}
    links = {study: os.path.relpath(page, out) for study, page in pages.items() if page.is_file()}
    return Judged(result=result, page=standalone.write(result, out, venue=venue, links=links))


def _finished(tracker: Tracker, name: str, home: Path) -> Finished:
    material = publish.material(tracker, name, record.study_directory(home, name))
    study = material.study
    if not study.described:
        raise UnknownStudy(f"MLflow has no description of the study {name}.")
    dataset = (study.across and study.across.dataset) or study.data.source or study.data.name
    return Finished(
        study=name,
        dataset=str(dataset),
        seed=int(study.search.get("seed", 0)),
        verdict=report.compose(material).summary.verdict,
        bounds=tuple((study.protocol or {}).get("bounds") or (None, None)),
    )
