"""A command from beginning to end: what it needs first, the lease, the driver, the mirror.

Wires the parts together and decides nothing else. Knows no terminal: progress goes to whoever
watches.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

from workbench import browse, preview, record, session, tryout
from workbench.config import load
from workbench.config.document import StudyFileError
from workbench.config.study_config import StudyConfig
from workbench.driver import Driver, Source, Standing, Stop, failure, lease
from workbench.ending import Outcome, Stopped, UnwritableError, reasons_of
from workbench.foundation import Foundation, studies_needed
from workbench.provenance import STUDY_SUFFIXES
from workbench.record import Role, TrialDirectory
from workbench.session import Session
from workbench.smoke import tiny
from workbench.tracker import Tracker, store
from workbench.workers import Workers


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


def open_home(home: Path) -> Path:
    """The home with its folders, able to be written to.

    Raises:
        UnwritableError: It is not; the message names the path.
    """
    for folder in (home / "mlruns" / "studies", home / "reports"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise UnwritableError(
                f"{folder} cannot be written to: {error.strerror}. "
                "Choose another home with --home DIR or WORKBENCH_HOME."
            ) from error
    return home


def look_ahead(file: Path, overrides: Sequence[str], home: Path) -> dict[str, Any]:
    """What a study will do, without doing any of it.

    Raises:
        StudyFileError: The file is broken, or does not fit the model, the data or the weights.
    """
    config = load(file, overrides)
    foundation = Foundation(config, home, pending=True)
    foundation.check()
    return {
        **preview.describe(config, foundation),
        "ranges": preview.ranges(config),
        "notes": preview.notes(config, foundation),
    }


def run_file(
    file: Path,
    overrides: Sequence[str],
    home: Path,
    workers: Workers,
    watcher: Watcher,
    *,
    wait: bool = False,
) -> Outcome:
    """Search: what is missing of a study, after the studies that it takes weights from.

    Raises:
        StudyFileError: The file is broken, or does not fit the model, the data or the weights.
        Changed: Trials exist that were made with other settings.
        Busy: Another driver holds the study.
        Broken: Every trial fails in the same way before its first epoch.
        UnwritableError, StoreError: The home or a store cannot be used.
    """
    launch = _Launch(open_home(home), workers, watcher, read=load)
    return launch.run(load(file, overrides), wait=wait)


def smoke(
    file: Path, overrides: Sequence[str], home: Path, workers: Workers, watcher: Watcher
) -> Outcome:
    """Run a tiny copy of a study through every step, in a home that the caller throws away."""
    launch = _Launch(open_home(home), workers, watcher, read=tiny)
    return launch.run(tiny(file, overrides), wait=False)


class _Launch:
    """What every study of one command shares."""

    def __init__(
        self,
        home: Path,
        workers: Workers,
        watcher: Watcher,
        *,
        read: Callable[[Path], StudyConfig],
    ) -> None:
        self._home = home
        self._workers = workers
        self._watcher = watcher
        self._read = read

    def run(self, config: StudyConfig, *, wait: bool, above: tuple[str, ...] = ()) -> Outcome:
        """Search what is missing of a study, after the studies that it takes weights from."""
        began = time.monotonic()
        self._watcher.prepare(config.name)
        # A mistake in this file is told before another study is run for it.
        Foundation(config, self._home, pending=True).check()
        stopped = self.run_needed(config, above)
        if stopped is not None:
            return stopped
        self._watcher.prepare(config.name)
        foundation = Foundation(config, self._home)
        foundation.check()
        directory = record.study_directory(self._home, config.name)
        with lease(directory, wait=wait):
            from workbench.study import Search

            search = Search(config, foundation, directory)
            before = sum(standing.ended for standing in search.standings())
            self._watcher.begin(config.name, preview.notes(config, foundation))
            try:
                with (
                    Stop().listening() as stop,
                    session.opened(config, foundation, self._home, Role.SEARCH) as page,
                ):

                    def progress(stopping: bool) -> None:
                        standings = search.standings()
                        self._watcher.update(standings, stopping=stopping)
                        page.mirror.describe(lambda: session.note(config, standings))

                    signal = self.drive(directory, search, page, stop, progress)
                    standings = tuple(search.standings())
                    if any(standing.ended < standing.target for standing in standings):
                        page.status = "SCHEDULED"
                    self._keep_best(search.best(), page)
                _describe(config.name, page)
            finally:
                self._watcher.end()
        return Outcome(
            study=config.name,
            standings=standings,
            fresh=sum(standing.ended for standing in standings) - before,
            signal=signal,
            seconds=time.monotonic() - began,
            unsent=page.unsent,
            reasons=reasons_of(directory),
        )

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
        stop: Stop,
        progress: Callable[[bool], None],
    ) -> int | None:
        """Run what a source has, and say in MLflow how it ended."""
        driver = Driver(
            study_directory=directory,
            source=source,
            workers=self._workers,
            mirror=page,
            progress=lambda: progress(driver.stopping),
            stop=stop,
        )
        try:
            signal = driver.run()
        except BaseException:
            page.status = "FAILED"
            raise
        page.status = "FINISHED" if signal is None else "SCHEDULED"
        return signal

    def _keep_best(self, best: Mapping[str, TrialDirectory], page: Session) -> None:
        """Show the best trial of each strategy with its weights and its confusion matrix."""
        from workbench import trial

        for strategy, directory in best.items():
            trial.draw_confusion(directory)
            page.mirror.best(strategy, directory)

    def try_one(
        self, config: StudyConfig, settings: Sequence[str], *, wait: bool
    ) -> dict[str, Any]:
        """Run one trial with these settings; what ``show`` says of it, with its MLflow run."""
        proposal = tryout.proposal_of(config, settings)
        stopped = self.run_needed(config)
        if stopped is not None:
            raise Stopped(f"Stopped while running {stopped.study}; the same command goes on.")
        foundation = Foundation(config, self._home)
        foundation.check()
        directory = record.study_directory(self._home, config.name)
        with lease(directory, wait=wait):
            spec = tryout.spec_of(config, foundation, proposal, directory)
            source = tryout.One(spec)
            self._watcher.begin(spec.name, [])
            at = record.directory_of(directory, spec)
            try:
                with (
                    Stop().listening() as stop,
                    session.opened(config, foundation, self._home, Role.TRY) as page,
                ):
                    signal = self.drive(directory, source, page, stop, lambda stopping: None)
                    result = at.result()
                    if result is None or not result.state.ended:
                        # Nobody goes on with a try.
                        at.write_result(failure(spec, "interrupted"))
                        page.changed(at)
            finally:
                self._watcher.end()
            run_id = page.tracker.mirror(at, page.parent)
        found = browse.trial(self._home, config.name, f"{spec.role}/{spec.name}")
        return {**found, "run_id": run_id, "stopped": signal is not None}


def try_one(
    file: Path,
    settings: Sequence[str],
    home: Path,
    workers: Workers,
    watcher: Watcher,
    *,
    wait: bool = False,
) -> dict[str, Any]:
    """One trial of a study with some knobs set (``KNOB=VALUE``), tracked but not counted.

    Raises:
        StudyFileError: As for ``run_file``, or a setting is none.
    """
    launch = _Launch(open_home(home), workers, watcher, read=load)
    return launch.try_one(load(file), settings, wait=wait)


def _describe(study: str, page: Session) -> None:
    """Put the report's own summary on the parent run's page, now that MLflow has every trial."""
    if page.unsent:
        return
    from workbench import report

    summary = report.summarize(page.tracker.read_study(study), page.tracker.read_trials(study))
    page.tracker.describe(page.parent, report.markdown_summary(summary))


def name_of(study: str) -> str:
    """A study's name, from its name or its file."""
    return load(Path(study)).name if study.endswith(STUDY_SUFFIXES) else study


def page(home: Path, port: int, study: str | None) -> str:
    """Where a browser finds all studies, or the table of one study's runs.

    Raises:
        UnknownStudy: MLflow has no such study.
    """
    if study is None:
        return store.page(port)
    return store.page(port, Tracker(home, create=False).read_study(study)["experiment_id"])


def serve(home: Path, port: int) -> NoReturn:
    """Become MLflow's own server on a home's store: signals go to it and to nobody between."""
    command, added = store.serve(home, port)
    os.execve(command[0], command, {**os.environ, **added})
