"""What every study of one command shares: what it needs first, the lease, the driver, the mirror.

Wires the parts together and decides nothing else. Knows no terminal: progress goes to whoever
watches.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from workbench import record, report
from workbench.commands import browse, parent_run, tryout
from workbench.commands import report as publish
from workbench.commands.outcomes import (
    Outcome,
    Stopped,
    damaged_checkpoints,
    is_confirmed,
    reasons_of,
    report_of,
)
from workbench.commands.parent_run import Session
from workbench.driver import Driver, Source, Standing, Stop, failure, lease
from workbench.driver.workers import Workers
from workbench.record import Role, TrialDirectory
from workbench.record.files import DiskError
from workbench.study import description
from workbench.study.checks import check
from workbench.study.config.document import StudyFileError
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import preregistration
from workbench.study.resources import Foundation, studies_needed
from workbench.tracker import Tracker
from workbench.tracker.store import StoreError


class Watcher(Protocol):
    """Shows how a study gets on."""

    def prepare(self, title: str) -> None:
        """A study is looked at; this takes some seconds."""
        ...

    def begin(self, title: str, notes: Sequence[str]) -> None:
        """A study begins."""
        ...

    def update(self, standings: Sequence[Standing], *, stopping: bool = False) -> None:
        """There may be something new; called often."""
        ...

    def end(self) -> None:
        """The study has ended or stopped."""
        ...


class Launch:
    """Runs studies in one home, with the same workers, before the same eyes.

    Args:
        home: Able to be written to.
        workers: Where trials run.
        watcher: Who is told how it gets on.
        stop: Listens to signals.
        read: Makes a study of a file; also of the files that weights come from.
    """

    def __init__(
        self,
        home: Path,
        workers: Workers,
        watcher: Watcher,
        stop: Stop,
        *,
        read: Callable[[Path], StudyConfig],
    ) -> None:
        self.home = home
        self.watcher = watcher
        self.stop = stop
        self._workers = workers
        self._read = read

    def run(
        self,
        config: StudyConfig,
        *,
        wait: bool,
        retry_failed: bool = False,
        above: tuple[str, ...] = (),
    ) -> Outcome:
        """Search what is missing of a study, after the studies that it takes weights from."""
        began = time.monotonic()
        self.watcher.prepare(config.name)
        # A mistake in this file is told before another study is run for it.
        check(Foundation(config, self.home, pending=True))
        stopped = self.run_needed(config, above)
        if stopped is not None:
            return stopped
        if studies_needed(config):
            self.watcher.prepare(config.name)
        foundation = Foundation(config, self.home)
        check(foundation)
        directory = record.study_directory(self.home, config.name)
        with lease(directory, wait=wait):
            from workbench.study.search import Search

            if retry_failed:
                preregistration.refuse_retries(config, directory)
            preregistration.refuse_more_trials(config, directory)
            with readable(directory, config.name):
                search = Search(config, foundation, directory, retry_failed=retry_failed)
            begun = search.standings()
            before = sum(standing.ended for standing in begun)
            trains = any(s.ended < s.target or s.running for s in begun)
            if not trains and self.is_settled(config, foundation, Role.SEARCH):
                self.watcher.end()
                return self._outcome(config, began, begun)
            self.watcher.begin(config.name, description.notes(config, foundation))
            try:
                with (
                    self.stop.deferred(),
                    parent_run.opened(
                        config, foundation, self.home, Role.SEARCH, trains=trains
                    ) as page,
                ):

                    def progress(stopping: bool) -> None:
                        standings = search.standings()
                        self.watcher.update(standings, stopping=stopping)
                        page.mirror.describe(lambda: parent_run.note(config, standings))

                    signal = self.drive(directory, search, page, progress)
                    standings = tuple(search.standings())
                    if any(standing.ended < standing.target for standing in standings):
                        page.status = "SCHEDULED"
                    self._keep_best(search.best(), page)
                describe(config.name, directory, page)
            finally:
                self.watcher.end()
        fresh = sum(standing.ended for standing in standings) - before
        return self._outcome(
            config, began, standings, fresh=fresh, signal=signal, unsent=page.unsent
        )

    def _outcome(
        self,
        config: StudyConfig,
        began: float,
        standings: Sequence[Standing],
        *,
        fresh: int = 0,
        signal: int | None = None,
        unsent: int = 0,
    ) -> Outcome:
        directory = record.study_directory(self.home, config.name)
        records = record.scan(directory)
        return Outcome(
            study=config.name,
            standings=tuple(standings),
            fresh=fresh,
            signal=signal,
            seconds=time.monotonic() - began,
            unsent=unsent,
            reasons=reasons_of(records),
            damaged=damaged_checkpoints(directory),
            confirmed=is_confirmed(directory, records),
            report=report_of(self.home, config.name, records),
        )

    def is_settled(
        self,
        config: StudyConfig,
        foundation: Foundation,
        role: Role,
        files: Mapping[str, str] | None = None,
    ) -> bool:
        """Whether a study's page in MLflow is closed and says what ``session.opened`` would say.

        Then MLflow is sent what an earlier driver left, and nothing else changes.
        """
        tracker = Tracker(self.home)
        settled = parent_run.is_settled(config, foundation, self.home, tracker, role, files)
        if settled:
            tracker.reconcile(record.study_directory(self.home, config.name))
        return settled

    def run_needed(self, config: StudyConfig, above: tuple[str, ...] = ()) -> Outcome | None:
        """Finish the studies that a study takes its weights from; how one stopped, if it did."""
        for source, path in studies_needed(config).items():
            at = ("recipe", "backbone", "weights")
            if not path.is_file():
                continue  # The foundation says so, with the nearest file.
            other = self._read(path)
            if other.name in (*above, config.name):
                names = " needs ".join((*above, config.name, other.name))
                expected = f"weights that do not come from the study itself ({names})"
                raise StudyFileError([config.document.problem(at, source, expected)])
            outcome = self.run(other, wait=True, above=(*above, config.name))
            if outcome.signal is not None:
                return outcome
        return None

    def drive(
        self,
        directory: Path,
        source: Source,
        page: Session,
        progress: Callable[[bool], None],
    ) -> int | None:
        """Run what a source has, and say in MLflow how it ended."""
        driver = Driver(
            study_directory=directory,
            source=source,
            workers=self._workers,
            mirror=page,
            progress=lambda: progress(driver.stopping),
            stop=self.stop,
        )
        try:
            with readable(directory, page.study):
                signal = driver.run()
        except DiskError as error:
            page.status = "SCHEDULED"
            raise DiskError(
                f"{error} The study is parked: nothing is lost, and no trial failed by this. Free "
                "some space, or repair the disk, and run the same command again."
            ) from error
        except BaseException:
            page.status = "FAILED"
            raise
        page.status = "FINISHED" if signal is None else "SCHEDULED"
        return signal

    def _keep_best(self, best: Mapping[str, TrialDirectory], page: Session) -> None:
        """Show the best trial of each strategy with its weights and its confusion matrix."""
        from workbench.trial import run as trial_run

        for strategy, directory in best.items():
            trial_run.draw_confusion(directory)
            page.mirror.best(strategy, directory)

    def try_one(
        self, config: StudyConfig, settings: Sequence[str], *, wait: bool
    ) -> dict[str, Any]:
        """Run one trial with these settings; what ``show`` says of it, with its MLflow run."""
        proposal = tryout.proposal_of(config, settings)
        stopped = self.run_needed(config)
        if stopped is not None:
            raise Stopped(f"Stopped while running {stopped.study}; the same command goes on.")
        foundation = Foundation(config, self.home)
        check(foundation)
        directory = record.study_directory(self.home, config.name)
        with lease(directory, wait=wait):
            spec = tryout.spec_of(config, foundation, proposal, directory)
            source = tryout.One(spec)
            self.watcher.begin(spec.name, [])
            at = record.directory_of(directory, spec)
            try:
                with (
                    self.stop.deferred(),
                    parent_run.opened(config, foundation, self.home, Role.TRY) as page,
                ):
                    signal = self.drive(directory, source, page, lambda stopping: None)
                    result = at.result()
                    if result is None or not result.state.ended:
                        # Nobody goes on with a try.
                        at.write_result(failure(spec, "interrupted"))
                        page.changed(at)
            finally:
                self.watcher.end()
            run_id = page.tracker.mirror(at, page.parent)
        found = browse.trial(self.home, config.name, f"{spec.role}/{spec.name}")
        return {**found, "run_id": run_id, "stopped": signal is not None}


@contextmanager
def readable(directory: Path, study: str) -> Iterator[None]:
    """A block that opens Optuna's storage of a study's search.

    Raises:
        StoreError: The storage cannot be read, or is locked.
        DiskError: The disk is full, or fails.
    """
    path = directory / "optuna.db"
    try:
        yield
    except Exception as error:
        from sqlalchemy.exc import SQLAlchemyError

        # Optuna passes some on as they are, and wraps others.
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        if not isinstance(cause, SQLAlchemyError):
            raise
        # What SQLAlchemy adds is the statement that it was at.
        found = getattr(cause, "orig", None) or cause
        code = getattr(found, "sqlite_errorname", "")
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreError(
                f"{path}, Optuna's storage of the search of {study}, is locked by another program. "
                "End that program, and run the same command again: nothing is lost."
            ) from error
        if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            free = shutil.disk_usage(directory).free
            raise DiskError(f"{path}: {found} ({free:,} bytes are free).") from error
        raise StoreError(
            f"{path}, Optuna's storage of the search of {study}, cannot be "
            f"read: {found}. Put an undamaged copy of it back, or move it away: the next "
            "`workbench run` makes it again from the records of the trials."
        ) from error


def describe(study: str, directory: Path, page: Session) -> None:
    """Put the report's own summary on the parents' pages, now that MLflow has every trial."""
    if page.unsent:
        return
    material = publish.material(page.tracker, study, directory)
    if not material.study.described:
        return  # The store was lost, and the search's page is new: the next run describes it.
    summary = report.summarize(material)
    note = report.markdown_summary(summary)
    for run_id in publish.parents(material.study):
        page.tracker.describe(run_id, note)
