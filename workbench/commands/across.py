"""Reports and verdicts over several finished studies: ``workbench report`` and ``combine``."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from workbench import record
from workbench.commands import report as publish
from workbench.commands.report import WrittenReport
from workbench.commands.verdict import ResultsReport
from workbench.messages import joined
from workbench.plotting import venues
from workbench.report.summary import ReportContent
from workbench.study.config import load_all
from workbench.study.weights import STUDY_SUFFIXES
from workbench.tracker import Tracker
from workbench.tracker.stored_study import StoredStudy
from workbench.verdict import external
from workbench.verdict.across.combining import ConfirmedStudy
from workbench.verdict.external import ResultsVerdict
from workbench.verdict.results import ResultsError

# Of a plan: the data set is compared by its digest, and how a machine runs a trial is no setting.
_NOT_COMPARED = ("dataset", "device", "threads", "loader_workers", "activations_gb")


def write_report(
    name: str, home: Path, out: Path | None, venue: str = "neurips", *, percent: bool = False
) -> WrittenReport:
    """Write the report of a study; of a file with ``across``, one for each study and one over all.

    Args:
        name: The study's name, or its file. While some studies of a file are not confirmed there is
            no verdict over all of them, and a note names those that are missing.
        home: Where the store and the records are.
        out: The report's folder; ``reports/<name>`` of the home by default. Those of single
            studies are beside the reports of others.
        venue: Whose widths and fonts the files for a paper have.
        percent: Whether page and paper of each study have shares in percent.

    Raises:
        UnknownStudyError: MLflow has no such study.
        FileExistsError: A folder holds something else than a report.
        StoreError: There is no store, or it cannot be used.
        ValueError: No such venue, or MLflow lacks what no report can do without.
    """
    venues.of(venue)
    if name.endswith(STUDY_SUFFIXES):
        name = record.experiment_of(load_all(Path(name))[0].name)
    studies = Tracker(home, name, create=False).cells(name)
    if not studies:
        return publish.write(name, home, out, venue, percent=percent)
    each = {study: publish.write(study, home, None, venue, percent=percent) for study in studies}
    pages = tuple(page for written in each.values() for page in written.pages)
    notes = tuple(note for written in each.values() for note in written.notes)
    composed = {study: written.composed for study, written in each.items() if written.composed}
    folder = out or home / "reports" / name
    try:
        _refuse_missing(name, composed)
        found = external.combine([_confirmed(one) for one in composed.values()], name)
    except ResultsError as problem:
        # The reports of the single studies are there and hold.
        notes = (*notes, str(problem))
        if (folder / "results.json").is_file():
            notes = (*notes, f"{folder} has the page of an earlier verdict over all of them.")
        return WrittenReport(pages=pages, verdict="", needed="", usable=False, notes=notes)
    page = _page(found, composed.values(), home, folder, venue)
    judged = found.verdict
    return WrittenReport(
        pages=(*pages, page),
        verdict=f"{judged.heading}  {judged.headline}",
        needed=judged.needed or "",
        usable=found.usable,
        notes=notes,
    )


def combine(studies: Sequence[str], home: Path, out: Path | None) -> ResultsReport:
    """The verdict over several finished studies, and a page if a folder is given.

    Args:
        studies: Names of studies, or of files with ``across``.
        home: Where the store is.
        out: Folder for page, tables, numbers and data.

    Raises:
        ResultsError: The studies cannot be combined, or some that their file plans are not
            confirmed; the message says why.
        UnknownStudyError: MLflow has no such study.
        FileExistsError: ``out`` contains something else.
    """
    composed: dict[str, ReportContent] = {}
    for name in studies:
        cells = Tracker(home, name, create=False).cells(name)
        found = {study: publish.composed(home, study) for study in cells or [name]}
        if cells:
            _refuse_missing(name, found)
        composed |= found
    result = external.combine([_confirmed(one) for one in composed.values()], ", ".join(studies))
    page = None if out is None else _page(result, composed.values(), home, out, "neurips")
    return ResultsReport(result=result, page=page)


def _page(
    found: ResultsVerdict, composed: Collection[ReportContent], home: Path, out: Path, venue: str
) -> Path:
    """The page of a verdict over several studies, with links to their reports."""
    from workbench.report import standalone

    pages = {one.study: home / "reports" / one.study / "index.html" for one in found.studies}
    links = {study: os.path.relpath(page, out) for study, page in pages.items() if page.is_file()}
    questions = {one.material.study.question for one in composed}
    question = questions.pop() if len(questions) == 1 else ""
    return standalone.write(found, out, venue=venue, links=links, question=question)


def _refuse_missing(name: str, known: Mapping[str, ReportContent]) -> None:
    """Refuse a verdict over some of the studies that a file plans.

    Raises:
        ResultsError: Some are not confirmed yet; the message names them.
    """
    planned = dict.fromkeys(one for each in known.values() for one in _planned(each))
    missing = [s for s in planned if s not in known or not known[s].summary.confirmed]
    if missing:
        raise ResultsError(
            f"There is no verdict over all {len(planned)} studies of {name} yet: {len(missing)} of"
            f" them {'is' if len(missing) == 1 else 'are'} not confirmed: {joined(missing, 20)}."
            f" Run the study file and confirm it: workbench confirm {name}"
        )


def _planned(composed: ReportContent) -> tuple[str, ...]:
    """Names of all studies of its file, as its confirmation fixed them; before it, its search."""
    study = composed.material.study
    fixed = (study.protocol or {}).get("across") or (study.across and study.across.planned)
    return tuple(fixed or ())


def _confirmed(composed: ReportContent) -> ConfirmedStudy:
    study = composed.material.study
    protocol = study.protocol or {}
    data = protocol.get("data") or {}
    dataset = (study.across and study.across.dataset) or study.data.source or study.data.name
    return ConfirmedStudy(
        study=study.name,
        across=study.across.across if study.across else "",
        planned=_planned(composed),
        dataset=str(dataset),
        data=str(data.get("digest") or study.data.digest or ""),
        content=study.data.content_digest or "",
        tested=str(data.get("test_digest") or ""),
        settings=settings(study),
        seed=int(study.search.get("seed", 0)),
        # Without what was added to it alone.
        verdict=composed.summary.first or composed.summary.verdict,
        bounds=tuple(protocol.get("bounds") or (None, None)),
    )


def settings(study: StoredStudy) -> dict[str, object]:
    """What two searches of one data set must share to be replicates, by key."""
    selection = (study.protocol or {}).get("selection") or {}
    search = {key: value for key, value in study.search.items() if key not in ("seed", "timeout")}
    return _flat(
        {
            "search": search,
            "search.trials": study.targets,
            "tune": [asdict(each) for each in study.tune],
            "compare": {each.name: each.levels for each in study.strategies},
            "recipe": {
                name: {key: value for key, value in plan.items() if key not in _NOT_COMPARED}
                for name, plan in study.plans.items()
            },
            "confirm.select": {
                "configs": selection.get("configs"),
                "seeds": len(selection.get("seeds") or ()),
            },
        }
    )


def _flat(value: object, key: str = "") -> dict[str, object]:
    """Nested mappings and sequences as one mapping by dotted keys."""
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return {key: value}
    found: dict[str, object] = {}
    for name, item in value.items():
        found |= _flat(item, f"{key}.{name}" if key else str(name))
    return found
