"""``workbench confirm``: protocol, selection, consent, test."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from workbench import record
from workbench.commands import browse, parent_run, session
from workbench.commands.confirmation_progress import other_tests_of_same_samples
from workbench.commands.outcomes import Outcome, outcome_of
from workbench.commands.parent_run import ParentRun
from workbench.commands.session import Session, Watcher, readable
from workbench.driver import GroupProgress, Workers
from workbench.driver.leases import lease
from workbench.record import Role
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.config.changes import Changed, Unready
from workbench.study.config.document import StudyFileError
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import planning, preregistration, replicates
from workbench.study.confirm.candidates import look
from workbench.study.confirm.offer import Offer, offer_of
from workbench.study.confirm.protocol import Protocol
from workbench.study.confirm.replicates import Replicates
from workbench.study.confirm.selection import choose, write_selection
from workbench.study.study import Study
from workbench.study.weights import STUDY_SUFFIXES
from workbench.tracker import Tracker
from workbench.tracker.entry import PROTOCOL
from workbench.verdict.refusals import NEW_NAME

Agree = Callable[[Offer], bool]


def confirm_study(
    study: Path | str,
    overrides: Sequence[str],
    home: Path,
    workers: Workers,
    watcher: Watcher,
    *,
    wait: bool = False,
    agree: Agree,
    at_once: int = 1,
) -> Outcome:
    """Test the best configuration of each strategy on fresh seeds and the test split, once.

    Args:
        study: A study file, or the name of a study that was searched in this home: then its file
            is read, with the overrides that the search had.
        overrides: ``key.path=value`` each.
        home: Where the search was run.
        workers: Where runs are made.
        watcher: Shows progress.
        wait: Wait for another driver of the study to end.
        agree: Asked after the selection, before the test split is used. Declining keeps the
            selection, and the same command asks again.
        at_once: How many runs the workers make at a time, to estimate the remaining time.

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
    # Before the session, which needs a home that can be written to.
    file, before = _file_of(str(study), home)
    config = load(file, [*before, *overrides])
    with session.opened(home, workers, watcher) as at:
        return confirm(at, config, wait=wait, agree=agree, at_once=at_once)


def _file_of(study: str, home: Path) -> tuple[Path, list[str]]:
    """The file of a study and, where it is known by its name, the overrides of its search."""
    if study.endswith(STUDY_SUFFIXES):
        return Path(study), []
    browse.study(home, study)
    # A search may have had overrides; without them the confirmation would be another one.
    described = browse.description(record.study_directory(home, study))
    file = browse.file_of(described, home)
    if file is None:
        raise browse.Unknown(
            f"The study {study} was run from {described.file}, which is not there. Name its file: "
            "workbench confirm FILE"
        )
    return file, described.overrides


def confirm(
    session: Session, config: StudyConfig, *, wait: bool, agree: Agree, at_once: int
) -> Outcome:
    """Confirm a searched study; see ``confirm_study``."""
    session.watcher.prepare(config.name)
    study = Study(config, session.home)
    if not study.directory.is_dir():
        # Before the check, which may miss the weights of another study that was not searched
        # either, and before the lease, which would make the folder, so that the study is listed.
        look(study).must_be_complete()
    check(study)
    with lease(study.directory, wait=wait):
        # First: without it ``confirm`` would ask for more search trials, which would be refused.
        preregistration.refuse_more_trials(study)
        plan = planning.plan_of_confirmation(study)
        _refuse_another_search(study)
        logged = Tracker(study.home).parent_tag(study.name, Role.CONFIRMATION, PROTOCOL)
        if record.protocol_path(study.directory).exists():
            preregistration.settle(plan, study, logged=logged)
        # Before a second one is written; and where one was put in the place of the first.
        refuse_a_second(plan, logged)
        preregistration.settle(plan, study, logged=logged)
        try:
            return _Confirming(session, study, plan).through(agree, at_once)
        finally:
            session.watcher.end()


def refusals(study: Study) -> list[str]:
    """What ``run`` or ``confirm`` would refuse, in the words of each.

    MLflow is not read and nothing is written: only ``confirm`` finds out whether the study file or
    ``protocol.json`` was edited.

    Raises:
        StoreError: Optuna's storage of the search cannot be read.
    """
    searched = (study.directory / "optuna.db").exists()
    # A storage that cannot be written to cannot be opened either.
    if searched and not os.access(study.directory, os.W_OK):
        return []
    try:
        if searched and not study.resources.absent:
            _refuse_another_search(study)
        if preregistration.begun(study.directory):
            preregistration.refuse_more_trials(study)
            if not study.resources.absent:
                plan = planning.plan_of_confirmation(study)
                preregistration.hold(plan, study)
    except (Changed, Unready, StudyFileError) as error:
        return [str(error)]
    return []


def _refuse_another_search(study: Study) -> None:
    """See ``search.refuse_another_search``; StoreError where the storage cannot be read."""
    from workbench.study.search import refuse_another_search

    with readable(study):
        refuse_another_search(study)


def refuse_a_second(plan: Protocol, known: str | None) -> None:
    """Refuse a study that MLflow knows as confirmed by another protocol.

    Files on disk can be deleted after their results were seen; MLflow keeps the hash.

    Args:
        plan: Of the study as it is now.
        known: SHA-256 of the protocol in MLflow; None if there is none.

    Raises:
        Changed: The hashes differ.
    """
    study = plan.content["study"]
    if known is not None and known != plan.sha256:
        raise Changed(
            f"MLflow has a confirmation of {study} by another protocol (SHA-256 {known[:12]}…; "
            f"this one's is {plan.sha256[:12]}…). A protocol is fixed before the first run, and "
            "deleting its runs does not make their results unseen. Restore it and its settings, "
            f"or give the study a new name. {NEW_NAME}"
        )


class _Confirming:
    """One confirmation, whose protocol is written and whose lease is held."""

    def __init__(self, session: Session, study: Study, plan: Protocol) -> None:
        self._session = session
        self._study = study
        self._plan = plan
        self._files = {record.protocol_path(study.directory).name: plan.text.decode()}
        self._began = time.monotonic()
        self._fresh = 0
        self._unsent = 0

    def through(self, agree: Agree, at_once: int) -> Outcome:
        """Select, ask, test, until a signal or a declined offer stops it."""
        study, plan = self._study, self._plan
        selecting = replicates.selection(plan, study.directory)
        if selecting.missing:
            signal = self._run(selecting, Role.SELECTION)
            if signal is not None:
                return self._ended(selecting, signal=signal)
        selected = choose(study, plan)
        if not selected.usable:
            return self._ended(selecting)
        self._files[planning.SELECTION] = write_selection(selected, study.directory, study.file)
        testing = replicates.confirmation(plan, selected.arms, study.directory)
        offer = offer_of(study.config, plan, selected, runs=testing.missing, workers=at_once)
        self._session.watcher.end()
        if testing.untouched:
            tested = other_tests_of_same_samples(study.directory)
            offer = replace(offer, seen=self._seen_before(), tested=tested)
        # What has begun was agreed to: a look at the test split cannot be taken back.
        if testing.untouched and not agree(offer):
            return self._ended(selecting, testing, offer=offer, agreed=False)
        signal = self._run(testing, Role.CONFIRMATION)
        return self._ended(selecting, testing, offer=offer, signal=signal)

    def _seen_before(self) -> int:
        """Runs with test values in MLflow whose records were deleted; the values were seen."""
        trials = Tracker(self._study.home).read_trials(self._study.name)
        return sum(trial.role == Role.CONFIRMATION and bool(trial.test) for trial in trials)

    def _run(self, source: Replicates, role: Role) -> int | None:
        """Run what a source has, below the confirmation's parent run."""
        study, before = self._study, source.missing
        if not before and parent_run.is_settled(study, role, self._files):
            return None

        def note(groups: Sequence[GroupProgress]) -> str:
            return parent_run.confirmation_note(study.config, role, groups, self._plan.sha256)

        try:
            driven = self._session.drive(
                study,
                source,
                role,
                title=f"{study.name} {role}",
                # Shown once: before the test, the offer shows them.
                notes=self._plan.notes if role is Role.SELECTION else (),
                trains=before > 0,
                tags=self._tags(source),
                files=self._files,
                note=note,
                finish=lambda page: self._keep_choice(source, role, page),
            )
        finally:
            self._fresh += before - source.missing
        self._unsent = driven.page.unsent
        return driven.signal

    def _keep_choice(self, source: Replicates, role: Role, page: ParentRun) -> None:
        """Send a finished selection's choice to MLflow, even if the test is declined later."""
        if role is Role.SELECTION and not source.missing:
            study = self._study
            selected = choose(study, self._plan)
            if selected.usable:
                text = write_selection(selected, study.directory, study.file)
                page.keep({planning.SELECTION: text})

    def _tags(self, source: Replicates) -> Mapping[str, str]:
        content = self._plan.content
        return {
            PROTOCOL: self._plan.sha256,
            "workbench.runs": str(sum(group.target for group in source.progress())),
            "workbench.seeds": str(len(content["seeds"])),
            "workbench.contrast": content["contrast"],
        }

    def _ended(
        self,
        selecting: Replicates,
        testing: Replicates | None = None,
        *,
        offer: Offer | None = None,
        agreed: bool = True,
        signal: int | None = None,
    ) -> Outcome:
        return replace(
            outcome_of(self._study, Role.SELECTION, Role.CONFIRMATION),
            selection=tuple(selecting.progress()),
            groups=tuple(testing.progress()) if testing is not None and agreed else (),
            offer=offer,
            agreed=agreed,
            fresh=self._fresh,
            signal=signal,
            seconds=time.monotonic() - self._began,
            unsent=self._unsent,
        )
