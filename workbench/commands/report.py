"""From MLflow to a report on disk, and a copy of it to the study's page in MLflow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path

from workbench import record, report
from workbench.commands import browse, home_studies
from workbench.commands.confirmation_progress import other_tests_of_same_samples, seeds_shown
from workbench.commands.home_studies import UnknownNameError
from workbench.commands.summaries import VerdictSummary
from workbench.driver.leases import StudyBusyError, lease
from workbench.messages import counted
from workbench.record import Role
from workbench.report import writing
from workbench.report.content import Summary
from workbench.report.summary import ReportContent
from workbench.report.trials import best_of_each, of_search
from workbench.study.config.document import Document, parse_value
from workbench.tracker import Tracker
from workbench.tracker.reader import UnknownStudyError
from workbench.tracker.store import StoreError
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict import Word


@dataclass(frozen=True, kw_only=True)
class WrittenReport:
    """A report on disk.

    Attributes:
        pages: Its page; of a file with ``across`` that of each study, and last the one over all.
        verdict: Word and headline; empty where a file with ``across`` has none over all yet.
        needed: How many seeds would be enough for a conclusion; empty where nothing is to be said.
        usable: Whether any trial has completed and, of a finished confirmation, whether its runs
            could answer the question: not NOT COMPARABLE and not UNDERPOWERED BY DESIGN.
        notes: What a reader should know that the report itself cannot say.
        composed: What the report of a single study was written from.
    """

    pages: tuple[Path, ...]
    verdict: str
    needed: str
    usable: bool
    notes: tuple[str, ...]
    composed: ReportContent | None = None

    def __repr__(self) -> str:
        return "\n".join(
            filter(None, [f"Report: {self.page}", self.verdict, self.needed, *self.notes])
        )

    def _repr_html_(self) -> str:
        """For a notebook: the page itself."""
        page = escape(self.page.read_text(encoding="utf-8"), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:40em;border:0"></iframe>'

    @property
    def page(self) -> Path:
        """The page to read first."""
        return self.pages[-1]


def write(
    name: str, home: Path, out: Path | None, venue: str = "neurips", *, percent: bool = False
) -> WrittenReport:
    """Write the report of a study from MLflow, and keep it with the study's parent runs.

    While a driver runs, or where the home cannot be written to, the report is only written.

    Args:
        name: The study's.
        home: Where the store and the records are.
        out: The report's folder; ``reports/<name>`` of the home by default.
        venue: Whose widths and fonts the files for a paper have.
        percent: Whether page and paper have shares in percent.

    Raises:
        UnknownStudyError: MLflow has no such study.
        FileExistsError: The folder holds something else than a report.
        StoreError: There is no store, or it cannot be used.
        ValueError: No such venue, or MLflow lacks what no report can do without.
    """
    if not record.STUDY_NAME.fullmatch(name):
        raise UnknownStudyError(f"{name!r} is not a valid study name.")
    tracker = Tracker(home, name, create=False)
    directory = record.study_directory(home, name)
    folder = out or home / "reports" / name
    kept = directory.is_dir()
    file = None
    with suppress(UnknownNameError, OSError):
        file = home_studies.file_of(home_studies.description(directory), home)
    # Before the lease, which would make the study look driven.
    statuses = _statuses(home, name) if kept else {}
    notes: list[str] = []
    to_folder = partial(
        _write, tracker, name, directory, folder, venue, file, notes, percent=percent
    )
    try:
        # Where MLflow's store alone is there, nobody can drive the study.
        with lease(directory) if kept else nullcontext():
            if kept:
                tracker.reconcile(
                    directory, parent_statuses=statuses, seeds_shown=seeds_shown(directory)
                )
            written = to_folder()
            assert written.composed is not None
            for run_id in _parents(written.composed.material.study):
                tracker.log_report(run_id, folder, only=writing.CONTENTS)
            describe(tracker, written.composed)
            if kept:
                keep_verdict(directory, written.composed.summary)
            return written
    except StudyBusyError as busy:
        notes.append(f"{busy} This report shows it as it is now.")
    except record.DamagedRecordError as damaged:
        notes.append(f"{damaged} The report shows the study as MLflow has it.")
    # The lease itself fails in a home that cannot be written to.
    except OSError as error:
        if isinstance(error, FileExistsError) or not tracker.read_only:
            raise
        notes.append("the home cannot be written to: the report was not stored in MLflow")
    with suppress(record.DamagedRecordError):
        behind = _behind(tracker, directory, name)
        if behind:
            notes.append(f"MLflow lags behind the records by {counted(behind, 'trial')}")
    return to_folder()


def sync(name: str, home: Path) -> int:
    """Send MLflow every record that it lacks; how many trials it did not show as they are.

    The parent runs get the status that the records tell.

    Raises:
        UnknownNameError: There is no such study in this home.
        DamagedRecordError: A record cannot be read.
        StudyBusyError: A driver runs, and sends them itself.
        StoreError: The store cannot be used.
    """
    browse.study(home, name)
    directory = record.study_directory(home, name)
    statuses = _statuses(home, name)
    with lease(directory):
        return Tracker(home, name).reconcile(
            directory, parent_statuses=statuses, seeds_shown=seeds_shown(directory)
        )


def _statuses(home: Path, name: str) -> dict[str, str]:
    """How a study's parent runs stand by its records, when nobody drives it."""
    done = {"search": False, "confirmation": False, "try": True}
    # Of a report whose records are not here, or damaged, MLflow alone tells.
    with suppress(UnknownNameError, OSError):
        summary = browse.study(home, name).summary
        done["search"] = summary.searched
        done["confirmation"] = bool(summary.confirmation and summary.confirmation.complete)
    return {role: "FINISHED" if ended else "SCHEDULED" for role, ended in done.items()}


def composed(home: Path, name: str, *, figures: bool = False) -> ReportContent:
    """What the report of a study would be written from.

    Args:
        home: Where the store and the records are.
        name: The study's.
        figures: Also compute what figures show.

    Raises:
        UnknownStudyError: MLflow has no such study, or no description of it.
        StoreError: There is no store, or it cannot be used.
    """
    tracker = Tracker(home, name, create=False)
    found = material(tracker, name, record.study_directory(home, name))
    if not found.study.described:
        raise UnknownStudyError(f"MLflow has no description of the study {name}.")
    return report.compose(found, figures=figures)


def material(tracker: Tracker, name: str, directory: Path) -> report.Material:
    """All that a report is made of, from MLflow; from the records only the protocols' hashes.

    Args:
        tracker: Of the home.
        name: The study's.
        directory: Where the study's records are, if they are here.

    Raises:
        UnknownStudyError: MLflow has no such study.
    """
    with tracker.reading(name) as stored:
        study, trials = stored.study(), stored.trials()
        shown = [] if study.missing else _shown(study, trials)
        scores = stored.scores() if study.protocol else {}
        first = [t.run_id for t in trials if t.role == Role.CONFIRMATION and t.number == 0]
        predictions = stored.predictions(first) if study.protocol else {}
        histories = stored.histories([study.objective.metric, "train/loss"], shown)
        artifacts = stored.artifacts(shown)
    plan, second = (record.protocol_path(directory, look=look) for look in (1, 2))
    return report.Material(
        study=study,
        trials=trials,
        scores=scores,
        predictions=predictions,
        histories=histories,
        artifacts=artifacts,
        # A report compares both: a protocol that was edited after the runs is named.
        protocol_on_disk=record.sha256_of(plan) if study.protocol and plan.is_file() else None,
        second_on_disk=record.sha256_of(second) if second.is_file() else None,
        tested_by_others=other_tests_of_same_samples(directory) if study.protocol else (),
        added=tuple(_added(tracker, study, directory)),
    )


def _added(tracker: Tracker, study: StoredStudy, directory: Path) -> Iterator[report.Material]:
    """The levels that were added to a study."""
    for name in tracker.additions(study.name) if study.protocol else ():
        with suppress(UnknownStudyError):
            found = material(tracker, name, directory.with_name(name))
            if found.study.added and found.study.added.study == study.name:
                yield found


def _shown(study: StoredStudy, trials: Sequence[TrialRun]) -> list[str]:
    """The runs whose curves a report shows: each strategy's best trial, and the confirmation's."""
    best = best_of_each(study, of_search(study, trials)).values()
    confirmed = [trial.run_id for trial in trials if trial.role == Role.CONFIRMATION]
    return [*(trial.run_id for trial in best), *confirmed]


def _edited(study: StoredStudy, file: Path | None) -> Iterator[str]:
    """A note where the study file has other settings than when its confirmation began."""
    if file is None or study.confirmed_file is None:
        return
    try:
        before, now = dict(parse_value(study.confirmed_file)), Document(file).content
    except (TypeError, ValueError):
        return  # The copy in MLflow is damaged, so nothing can be compared.
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if changed:
        yield (
            f"{file} was edited after the confirmation began ({', '.join(changed)}). The report"
            " shows the study as it was confirmed."
        )


def keep_verdict(directory: Path, summary: Summary) -> None:
    """Store the verdict of a finished confirmation with the study's records.

    Args:
        directory: The study's.
        summary: Of its report.
    """
    verdict, confirmation = summary.verdict, summary.confirmation
    if confirmation is not None and confirmation.finished:
        kept = VerdictSummary(
            word=str(verdict.word),
            heading=verdict.heading,
            leader=verdict.leader,
            # As MLflow has it; the records may have changed since.
            seeds=len(confirmation.protocol.seeds),
            protocol=confirmation.protocol_sha256 or "",
            headline=verdict.headline,
            needed=summary.needed or "",
        )
        home_studies.keep_verdict(directory, kept)


def describe(tracker: Tracker, composed: ReportContent) -> None:
    """Show summary, verdict, best value and number of trials on a study's parent runs.

    Args:
        tracker: Of the home.
        composed: What the report of the study is written from.
    """
    summary = composed.summary
    note, top = report.markdown_summary(summary.content), summary.top
    numbers = {"study/trials": float(summary.progress.done)}
    if top is not None and top.value is not None:
        numbers["study/best"] = top.value
    for run_id in _parents(composed.material.study):
        tags = {"workbench.verdict": summary.verdict.heading}
        tracker.describe(run_id, note, tags=tags, numbers=numbers)


def _parents(study: StoredStudy) -> list[str]:
    """The run of the search and that of the confirmation, as far as they exist."""
    found = [study.parent_run_id, study.parents.get("confirmation")]
    return list(dict.fromkeys(run_id for run_id in found if run_id))


def _write(
    tracker: Tracker,
    name: str,
    directory: Path,
    folder: Path,
    venue: str,
    file: Path | None,
    notes: Sequence[str],
    *,
    percent: bool,
) -> WrittenReport:
    found = material(tracker, name, directory)
    if not found.study.described:
        raise StoreError(
            f"MLflow has no description of the study {name}: study/study.json is gone from the "
            f"artifacts of the run {found.study.parent_run_id}. Run the study again with its "
            "file: no trial is repeated, and the description is written again."
        )
    composed = report.compose(found)
    summary = composed.summary
    judged, finished = summary.verdict, summary.confirmed
    unanswered = finished and judged.word in (Word.NOT_COMPARABLE, Word.UNDERPOWERED)
    return WrittenReport(
        pages=(writing.write(composed, folder, venue, percent=percent),),
        verdict=f"{judged.heading}  {judged.headline}",
        needed=(summary.needed or "") if finished else "",
        usable=summary.usable and not unanswered,
        notes=(*notes, *_edited(found.study, file)),
        composed=composed,
    )


def _behind(tracker: Tracker, directory: Path, name: str) -> int:
    """How many trials have ended on disk and not in MLflow."""
    trials = tracker.read_trials(name)
    shown = {trial.key for trial in trials if trial.ended}
    ended = {
        spec.key
        for found, spec in record.scan(directory)
        if spec.role is not Role.TRY and (result := found.result()) and result.state.ended
    }
    return len(ended - shown)
