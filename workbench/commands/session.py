"""What the commands that run trials share: home, workers, progress, signals and the driver.

``run``, ``confirm`` and ``try`` differ in where their trials come from; all of them go through
``Session.drive``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from workbench import report
from workbench.commands import parent_run
from workbench.commands.outcomes import RESUMABLE, Outcome, Stopped, UnwritableError
from workbench.commands.parent_run import ParentRun
from workbench.driver import Driver, Source, Workers
from workbench.driver.progress import GroupProgress, StudyProgress
from workbench.driver.signals import Stop, signal_name
from workbench.record import Role
from workbench.record.files import DiskError
from workbench.study.config import load
from workbench.study.config.study_config import StudyConfig
from workbench.study.study import Study
from workbench.tracker import Tracker
from workbench.tracker.store import StoreError, UnreachableError

# Of one study of a command: how it ended, and whether it is the last.
Shown = Callable[[Outcome, bool], None]


class Watcher:
    """Is told the progress of a study. Shows nothing itself; those that do are in ``cli``."""

    def prepare(self, title: str) -> None:
        """A study is being checked; this takes some seconds."""

    def begin(self, title: str, notes: Sequence[str]) -> None:
        """Trials begin."""

    def update(self, progress: StudyProgress) -> None:
        """There may be something new; called often."""

    def end(self) -> None:
        """The trials have ended, or were stopped."""


@dataclass(frozen=True, kw_only=True)
class DriverResult:
    """How the trials of a source ended.

    Attributes:
        signal: What stopped them; None where all of them ended.
        groups: Of the source, at the end.
        page: The parent run, which is closed.
    """

    signal: int | None
    groups: tuple[GroupProgress, ...]
    page: ParentRun


@dataclass(frozen=True, kw_only=True)
class Session:
    """One command in one home.

    Attributes:
        home: Can be written to.
        workers: Where trials run.
        watcher: Shows progress.
        stop: Listens to signals.
        read: Loads a study file; also those of studies whose weights are needed.
        advises: Whether notes on a study are shown.
    """

    home: Path
    workers: Workers
    watcher: Watcher
    stop: Stop
    read: Callable[[Path], StudyConfig]
    advises: bool = True

    def drive(
        self,
        study: Study,
        source: Source,
        role: Role,
        *,
        title: str,
        notes: Sequence[str] = (),
        trains: bool = True,
        tags: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        note: Callable[[Sequence[GroupProgress]], str] | None = None,
        finish: Callable[[ParentRun], None] = lambda page: None,
    ) -> DriverResult:
        """Run the trials of a source below the parent run of their role; the caller has the lease.

        Args:
            study: The study.
            source: Where its trials come from.
            role: Of the trials.
            title: Shown with the progress.
            notes: Shown before the first trial.
            trains: Whether a trial is left to train, see ``parent_run.open_parent``.
            tags: More tags of the parent run.
            files: More texts of the parent run, by file name.
            note: The parent run's description while trials run.
            finish: Called after the last trial, while the parent run is open.

        Raises:
            RepeatedFailureError: Every trial fails in the same way before its first epoch.
            DiskError, StoreError: A record or a store cannot be written.
        """
        shown = [*notes, *parent_run.places(study)] if self.advises else []
        self.watcher.begin(title, shown)
        missing = sum(s.target - s.ended for s in source.progress())
        self.workers.prepare(missing, study.config.resources)
        try:
            with (
                # From here on a signal parks trials instead of raising KeyboardInterrupt.
                self.stop.deferred(),
                parent_run.open_parent(study, role, trains=trains, tags=tags, files=files) as page,
            ):

                def progress(driver: Driver) -> None:
                    groups = source.progress()
                    self.watcher.update(
                        StudyProgress(
                            groups=groups, running=driver.running, stopping=driver.stopping
                        )
                    )
                    if note is not None:
                        page.mirror.describe(lambda: note(groups))

                signal = self._run(study, source, page, progress)
                groups = tuple(source.progress())
                finish(page)
                # The test follows a selection, and a search whose time is up can be continued.
                if role is Role.SELECTION or any(s.ended < s.target for s in groups):
                    page.status = "SCHEDULED"
            # A confirmation that is not complete must show no value.
            if not page.unsent and (
                role is Role.SEARCH or (role is Role.CONFIRMATION and signal is None)
            ):
                with suppress(UnreachableError):
                    describe(study, page.tracker)
        finally:
            self.watcher.end()
        return DriverResult(signal=signal, groups=groups, page=page)

    def _run(
        self, study: Study, source: Source, page: ParentRun, progress: Callable[[Driver], None]
    ) -> int | None:
        driver = Driver(
            study_directory=study.directory,
            source=source,
            workers=self.workers,
            mirror=page.mirror,
            progress=progress,
            stop=self.stop,
        )
        try:
            with readable(study):
                signal = driver.run()
        except StoreError:
            page.status = "SCHEDULED"
            raise
        except DiskError as error:
            page.status = "SCHEDULED"
            raise DiskError(
                f"{error} The study is parked: nothing is lost, and no trial failed because of "
                "this. Free some space, or repair the disk, and rerun the command."
            ) from error
        page.status = "FINISHED" if signal is None else "SCHEDULED"
        return signal


def for_each(
    configs: Sequence[StudyConfig],
    step: Callable[[StudyConfig], Outcome],
    shown: Shown,
) -> Outcome:
    """Take one step with each study of a file, until one is stopped or declined.

    Args:
        configs: The studies.
        step: Runs or confirms one.
        shown: Told of each outcome, and whether it is the last.

    Returns:
        The outcome that determines the exit code.
    """
    outcomes: list[Outcome] = []
    for config in configs:
        outcomes.append(step(config))
        stopped = outcomes[-1].exit_code == RESUMABLE
        shown(outcomes[-1], stopped or config is configs[-1])
        if stopped:
            break
    return max(outcomes, key=lambda outcome: outcome.exit_code)


@contextmanager
def open_session(
    home: Path, workers: Workers, watcher: Watcher, *, read: Callable[[Path], StudyConfig] = load
) -> Iterator[Session]:
    """A session that listens to signals, from before the home is looked at to the end.

    Raises:
        Stopped: A signal came while no trial ran.
        UnwritableError: The home cannot be written to.
    """
    with Stop().listening() as stop:
        try:
            yield Session(
                home=_writable(home), workers=workers, watcher=watcher, stop=stop, read=read
            )
        except KeyboardInterrupt:
            watcher.end()
            if stop.signal is None:
                raise
            raise Stopped(
                f"Stopped by {signal_name(stop.signal)} while no trial was running. Rerun the "
                "command to continue."
            ) from None


def _writable(home: Path) -> Path:
    for folder in (home / "mlruns" / "studies", home / "reports"):
        # Nothing is made yet: a command that is refused must leave no empty folder.
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            raise UnwritableError(
                f"{folder} cannot be written to: {error.strerror}. "
                "Choose another home with --home DIR or WORKBENCH_HOME."
            ) from error
    return home


@contextmanager
def readable(study: Study) -> Iterator[None]:
    """A block that opens Optuna's storage of a study's search.

    Raises:
        StoreError: The storage cannot be read, or is locked.
        DiskError: The disk is full, or fails.
    """
    try:
        yield
    except Exception as error:
        from sqlalchemy.exc import SQLAlchemyError

        # Optuna passes some on as they are, and wraps others.
        cause = error if isinstance(error, SQLAlchemyError) else error.__cause__
        if not isinstance(cause, SQLAlchemyError):
            raise
        # SQLAlchemy's own message adds the whole SQL statement.
        reason = getattr(cause, "orig", None) or cause
        code = getattr(reason, "sqlite_errorname", "")
        path = study.directory / "optuna.db"  # A database's own errors were explained before.
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreError(
                f"{path}, Optuna's storage of the search of {study.name}, is locked: another "
                "program has it open. End that program and rerun the command; nothing is lost."
            ) from error
        if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            free = shutil.disk_usage(study.directory).free
            raise DiskError(f"{path}: {reason} ({free:,} bytes are free).") from error
        raise StoreError(
            f"{path}, Optuna's storage of the search of {study.name}, cannot be used: {reason}. "
            "Restore an undamaged copy, or move the file away: the next `workbench run` rebuilds "
            "it from the records of the trials."
        ) from error


def describe(study: Study, tracker: Tracker) -> None:
    """Write the report's summary into the parent runs, and keep its verdict.

    Once MLflow has every trial.
    """
    # Not at the top: it loads what a report is drawn with, and often nothing is described.
    from workbench.commands import report as publish

    material = publish.material(tracker, study.name, study.directory)
    if not material.study.described:
        return  # The store was lost, and the search's page is new: the next run describes it.
    composed = report.compose(material, figures=False)
    publish.describe(tracker, composed)
    publish.keep_verdict(study.directory, composed.summary)
