"""A command from beginning to end: each is a function of plain arguments.

What a study goes through is wired together in ``driving`` and ``confirming``. Knows no terminal:
progress goes to whoever watches.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from workbench import record
from workbench.commands import browse
from workbench.commands.confirm import confirm_study, refusals
from workbench.commands.outcomes import DONE, UNUSABLE, Confirmed, Outcome, Stopped, UnwritableError
from workbench.commands.run import Launch, Watcher
from workbench.commands.smoke import tiny
from workbench.driver import Stop
from workbench.driver.workers import Workers
from workbench.study import description
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.config.changes import Unready
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import Offer
from workbench.study.confirm.forecast import outlook
from workbench.study.resources import Foundation
from workbench.study.weights import STUDY_SUFFIXES
from workbench.tracker import Tracker, store

__all__ = [
    "Watcher",
    "confirm_file",
    "look_ahead",
    "name_of",
    "open_home",
    "page",
    "run_file",
    "serve",
    "smoke",
    "try_one",
]


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


@contextmanager
def _launched(
    home: Path,
    workers: Workers,
    watcher: Watcher,
    *,
    read: Callable[[Path], StudyConfig] = load,
) -> Iterator[Launch]:
    """A launch that listens to signals from its preparations to its end.

    Raises:
        Stopped: A signal came while no trial ran.
    """
    with Stop().listening() as stop:
        try:
            yield Launch(open_home(home), workers, watcher, stop, read=read)
        except KeyboardInterrupt:
            watcher.end()
            if stop.signal is None:
                raise
            name = signal.Signals(stop.signal).name
            raise Stopped(
                f"Stopped by {name} while no trial was running. Run the same command to continue."
            ) from None


def look_ahead(file: Path, overrides: Sequence[str], home: Path) -> dict[str, Any]:
    """What a study will do, without doing any of it, and how far it is.

    Returns:
        Beside the plan ``begun``, how far the confirmation is (``browse``; None before it), and
        ``refused``: what the next command would refuse, because of what has been run.

    Raises:
        StudyFileError: The file is broken, or does not fit the model, the data or the weights.
    """
    config = load(file, overrides)
    foundation = Foundation(config, home, pending=True)
    check(foundation)
    directory = record.study_directory(home, config.name)
    return {
        **description.describe(config, foundation),
        "ranges": description.ranges(config),
        "confirmation": (found := outlook(config, foundation, directory)),
        "begun": browse.confirmation(directory),
        "refused": refusals(config, foundation, directory),
        "notes": [*description.notes(config, foundation), *found["notes"]],
    }


def run_file(
    file: Path,
    overrides: Sequence[str],
    home: Path,
    workers: Workers,
    watcher: Watcher,
    *,
    wait: bool = False,
    retry_failed: bool = False,
) -> Outcome:
    """Search: what is missing of a study, after the studies that it takes weights from.

    With ``retry_failed`` also the trials that have failed, but for those that diverged.

    Raises:
        StudyFileError: The file is broken, or does not fit the model, the data or the weights.
        Changed: Trials exist that were made with other settings, or a confirmation has begun that
            rests on the failed trials.
        Busy: Another driver holds the study.
        Broken: Every trial fails in the same way before its first epoch.
        UnwritableError, StoreError: The home or a store cannot be used.
    """
    with _launched(home, workers, watcher) as launch:
        return launch.run(load(file, overrides), wait=wait, retry_failed=retry_failed)


def confirm_file(
    study: Path | str,
    overrides: Sequence[str],
    home: Path,
    workers: Workers,
    watcher: Watcher,
    *,
    wait: bool = False,
    agree: Callable[[Offer], bool],
    at_once: int = 1,
) -> Confirmed:
    """Confirm what a search has found: protocol, selection, and the test split, once.

    Args:
        study: A study file, or the name of a study that was searched in this home: then its file
            is read, with the overrides that the search had.
        overrides: ``key.path=value`` each.
        home: Where the search was run.
        workers: Where runs are made.
        watcher: Who is told how it gets on.
        wait: Wait for another driver of the study to end.
        agree: Asked after the selection, before the test split is touched; declining keeps the
            selection, and the same command goes on.
        at_once: How many runs the workers make at a time, for what the rest will take.

    Raises:
        StudyFileError: The file is broken, or allows no confirmation.
        Unready: The search is not finished, or has nothing to confirm.
        Changed: The search was made with other settings, or the confirmation has begun by another
            protocol.
        Unknown: There is no study of this name.
        Busy: Another driver holds the study.
        Broken: Every run fails in the same way before its first epoch.
        UnwritableError, StoreError: The home or a store cannot be used.
    """
    with _launched(home, workers, watcher) as launch:
        file, before = _file_of(str(study), home)
        config = load(file, [*before, *overrides])
        return confirm_study(launch, config, wait=wait, agree=agree, at_once=at_once)


def _file_of(study: str, home: Path) -> tuple[Path, list[str]]:
    """The file of a study and, where it is known by its name, the overrides of its search."""
    if study.endswith(STUDY_SUFFIXES):
        return Path(study), []
    browse.study(home, study)
    described = json.loads((record.study_directory(home, study) / "study.json").read_text())
    named = Path(described["file"])
    # From the home on, from here on, or where it lies since the home was moved.
    file = next(filter(Path.is_file, (home / named, named, record.places.found(named, home))), None)
    if file is None:
        raise browse.Unknown(
            f"The study {study} was run from {named}, which is not there. Name its file: "
            "workbench confirm FILE"
        )
    return file, list(described["overrides"])


def smoke(
    file: Path, overrides: Sequence[str], home: Path, workers: Workers, watcher: Watcher
) -> Outcome:
    """Run a tiny copy of a study through every step, in a home that the caller throws away.

    Through the confirmation too, where the study file says what one would be for, and the copy has
    anything to compare.
    """
    with _launched(home, workers, watcher, read=tiny) as launch:
        config = tiny(file, overrides)
        outcome = launch.run(config, wait=False)
        if outcome.exit_code != DONE or config.confirm.smallest_effect is None:
            return outcome
        try:
            confirmed = confirm_study(
                launch, config, wait=False, agree=lambda offer: True, at_once=1
            )
        except Unready:
            return outcome
    failing = confirmed.exit_code == UNUSABLE
    return replace(
        outcome,
        standings=(confirmed.arms or confirmed.selection) if failing else outcome.standings,
        signal=confirmed.signal,
        seconds=outcome.seconds + confirmed.seconds,
        reasons=(*outcome.reasons, *confirmed.reasons),
    )


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
    with _launched(home, workers, watcher) as launch:
        return launch.try_one(load(file), settings, wait=wait)


def name_of(study: str) -> str:
    """A study's name, from its name or its file."""
    return load(Path(study)).name if study.endswith(STUDY_SUFFIXES) else study


def page(home: Path, port: int, study: str | None) -> str:
    """Where a browser finds all studies, or the table of one study's runs.

    Raises:
        UnknownStudy: MLflow has no such study.
        StoreError: There is no store, or it cannot be used.
    """
    tracker = Tracker(home, create=False)
    return store.page(port, None if study is None else tracker.read_study(study).experiment_id)


def serve(home: Path, port: int) -> NoReturn:
    """Become MLflow's own server on a home's store: signals go to it and to nobody between."""
    command, added = store.serve(home, port)
    os.execve(command[0], command, {**os.environ, **added})
