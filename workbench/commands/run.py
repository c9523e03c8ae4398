"""``workbench run``: search what is missing of a study."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from workbench.commands import home_studies, parent_run, session
from workbench.commands.outcomes import Outcome, damaged_checkpoints, outcome_of
from workbench.commands.parent_run import ParentRun
from workbench.commands.refusals import refuse_another_protocol
from workbench.commands.session import Session, Shown, Watcher, readable
from workbench.driver import Workers
from workbench.driver.leases import lease
from workbench.record import Role, TrialDirectory
from workbench.study import description
from workbench.study.checks import check, check_distinct_data
from workbench.study.config import load_all
from workbench.study.config.document import StudyFileError
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import preregistration
from workbench.study.study import Study


def run_study(
    file: Path,
    overrides: Sequence[str],
    home: Path,
    workers: Workers,
    watcher: Watcher,
    *,
    wait: bool = False,
    retry_failed: bool = False,
    shown: Shown = lambda outcome, last: None,
) -> Outcome:
    """Search what is missing of a study, after the studies that it takes weights from.

    Of a file with ``across``, all of its studies, one after the other.

    Args:
        file: The study file; or the name of a study that was run in this home: then its file is
            read, with the overrides that it had.
        overrides: ``key.path=value`` each.
        home: Directory that contains ``mlruns/`` and ``reports/``.
        workers: Where trials run.
        watcher: Shows progress.
        wait: Wait for another driver of the study to end.
        retry_failed: Run failed trials again, except those that diverged.
        shown: Told how each study ended, and whether it is the last.

    Raises:
        StudyFileError: The file is broken, or does not fit the model, the data or the weights.
        StudyChangedError: Trials exist that were made with other settings, or a confirmation has
            begun with other settings or depends on the failed trials.
        StudyBusyError: Another driver holds the study.
        RepeatedFailureError: Every trial fails in the same way before its first epoch.
        UnwritableError, StoreError: The home or a store cannot be used.
    """
    with session.open_session(home, workers, watcher) as at:
        file, before = home_studies.source_of(file, at.home)
        configs = load_all(file, [*before, *overrides])
        if len(configs) > 1:
            # An error in the last study should not wait for the trials of the others.
            studies = [Study(config, at.home, pending=True) for config in configs]
            for study in studies:
                watcher.prepare(study.name)
                check(study, local=workers.local)
            check_distinct_data(studies)
        return session.for_each(
            configs,
            lambda config: search(at, config, wait=wait, retry_failed=retry_failed),
            shown,
        )


def search(
    session: Session,
    config: StudyConfig,
    *,
    wait: bool = False,
    retry_failed: bool = False,
    above: tuple[str, ...] = (),
) -> Outcome:
    """Search what is missing of a study; ``above`` are the studies that need its weights."""
    began = time.monotonic()
    session.watcher.prepare(config.name)
    # An error in this file is reported before another study runs for it, or anything is downloaded.
    study = Study(config, session.home, pending=True)
    check(study, local=session.workers.local)
    if not study.directory.is_dir():
        # Workers load their libraries while this process loads Optuna and MLflow.
        trials = config.trials_per_group * len(config.groups)
        session.workers.prepare(trials, config.resources)
    if not (study.studies_needed or study.inputs.absent):
        study.inputs.pending = False
    else:
        stopped = run_needed(session, study, above)
        if stopped is not None:
            return stopped
        session.watcher.prepare(config.name)
        study = Study(config, session.home)
        check(study, local=session.workers.local)
    # Only here: Optuna takes a second to load, and a file with an error needs none of it.
    with lease(study.directory, wait=wait), ExitStack() as stack:
        from workbench.study.search import Search

        if retry_failed:
            preregistration.refuse_retries(study)
        preregistration.refuse_more_trials(study)
        with readable(study):
            source = stack.enter_context(closing(Search(study, retry_failed=retry_failed)))
        damaged = damaged_checkpoints(study.directory)
        begun = source.progress()
        trains = any(s.ended < s.target or s.running for s in begun)
        if not (trains or above):
            refuse_another_protocol(study)
        unsent = None if trains else parent_run.sync_if_finished(study, Role.SEARCH)
        if unsent is not None:
            session.watcher.end()
            outcome = outcome_of(study, Role.SEARCH, damaged=damaged)
            return replace(outcome, groups=tuple(begun), unsent=unsent)
        driven = session.drive(
            study,
            source,
            Role.SEARCH,
            title=study.name,
            notes=description.notes(study),
            trains=trains,
            note=lambda groups: parent_run.note(config, groups),
            finish=lambda page: _keep_best(session, source.best(), page),
        )
    fresh = sum(s.ended for s in driven.groups) - sum(s.ended for s in begun)
    return replace(
        outcome_of(study, Role.SEARCH, damaged=damaged),
        groups=driven.groups,
        fresh=fresh,
        signal=driven.signal,
        seconds=time.monotonic() - began,
        unsent=driven.page.unsent,
    )


def run_needed(session: Session, study: Study, above: tuple[str, ...] = ()) -> Outcome | None:
    """Finish the studies that a study takes its weights from; how one stopped, if it did."""
    for source, path in study.studies_needed.items():
        if not path.is_file():
            continue  # ``check`` reports it, with the nearest file.
        other = session.read(path)
        if other.name in (*above, study.name):
            names = " needs ".join((*above, study.name, other.name))
            expected = f"weights that do not come from the study itself ({names})"
            at = ("recipe", "backbone", "weights")
            raise StudyFileError([study.config.document.problem(at, source, expected)])
        outcome = search(session, other, wait=True, above=(*above, study.name))
        if outcome.signal is not None:
            return outcome
    return None


def _keep_best(session: Session, best: Mapping[str, TrialDirectory], page: ParentRun) -> None:
    """Show the best trial of each strategy with its weights and its confusion matrix."""
    # A search that was stopped should end soon, and may find better trials later.
    if session.stop.signal is None:
        session.workers.draw([*best.values()])
    for strategy, directory in best.items():
        page.mirror.best(strategy, directory)
