"""The confirmation from beginning to end: protocol, selection, consent, test.

Wires the parts together. What is run is for ``confirm``, by whose plan for ``protocol``, and what
it means for ``verdict``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from workbench import record
from workbench.commands import browse, parent_run
from workbench.commands.outcomes import Confirmed, damaged_checkpoints, reasons_of, report_of
from workbench.commands.run import Launch, describe, readable
from workbench.driver import lease
from workbench.record import Role
from workbench.study import confirm
from workbench.study.checks import check
from workbench.study.config.changes import Changed, Unready
from workbench.study.config.document import StudyFileError
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import Offer, Replicates, planning, preregistration
from workbench.study.confirm.protocol import Protocol
from workbench.study.resources import Foundation
from workbench.tracker import Tracker
from workbench.tracker.entry import PROTOCOL

Agree = Callable[[Offer], bool]


def confirm_study(
    launch: Launch, config: StudyConfig, *, wait: bool, agree: Agree, at_once: int
) -> Confirmed:
    """Confirm a searched study; see ``launch.confirm_file``."""
    launch.watcher.prepare(config.name)
    foundation = Foundation(config, launch.home)
    check(foundation)
    directory = record.study_directory(launch.home, config.name)
    if not directory.is_dir():
        # A lease would make the folder, and a study that nobody has searched is none.
        planning.plan_of_confirmation(config, foundation, directory)
    with lease(directory, wait=wait):
        # Before the search is called unfinished: what it is told to run then would be refused.
        preregistration.refuse_more_trials(config, directory)
        plan = planning.plan_of_confirmation(config, foundation, directory)
        _refuse_another_search(config, foundation, directory)
        logged = Tracker(launch.home).parent_tag(config.name, Role.CONFIRMATION, PROTOCOL)
        if record.protocol_path(directory).exists():
            preregistration.settle(plan, directory, config.document.path, logged=logged)
        # Before a second one is written; and where one was put in the place of the first.
        refuse_a_second(plan, logged)
        preregistration.settle(plan, directory, config.document.path, logged=logged)
        found = _Confirming(launch, config, foundation, directory, plan)
        try:
            return found.through(agree, at_once)
        finally:
            launch.watcher.end()


def refusals(config: StudyConfig, foundation: Foundation, directory: Path) -> list[str]:
    """What ``run`` or ``confirm`` would say to the study file as it is, in the words of each.

    Of a study that nothing was run of there is nothing to say. MLflow is not asked, and nothing is
    written: whether the study file or ``protocol.json`` was edited, ``confirm`` finds out.

    Args:
        config: The study.
        foundation: Its data, which may not be here.
        directory: The study's directory, which may not exist.

    Raises:
        StoreError: Optuna's storage of the search cannot be read.
    """
    searched = (directory / "optuna.db").exists()
    # A storage that cannot be written to cannot be opened either.
    if searched and not os.access(directory, os.W_OK):
        return []
    try:
        if searched and not foundation.absent:
            _refuse_another_search(config, foundation, directory)
        if preregistration.begun(directory):
            preregistration.refuse_more_trials(config, directory)
            if not foundation.absent:
                plan = planning.plan_of_confirmation(config, foundation, directory)
                preregistration.hold(plan, directory, config.document.path)
    except (Changed, Unready, StudyFileError) as error:
        return [str(error)]
    return []


def _refuse_another_search(config: StudyConfig, foundation: Foundation, directory: Path) -> None:
    """See ``study.refuse_another_search``; StoreError where the storage cannot be read."""
    from workbench.study.search import refuse_another_search

    with readable(directory, config.name):
        refuse_another_search(config, foundation, directory)


def refuse_a_second(plan: Protocol, known: str | None) -> None:
    """Nothing, unless MLflow knows that the study was confirmed by another protocol.

    Files on disk can be deleted once their results have been seen; what was logged stays.

    Args:
        plan: As the study stands now.
        known: SHA-256 of the protocol that MLflow knows; None where it knows none.

    Raises:
        Changed: It was; the message says what to do.
    """
    study = plan.content["study"]
    if known is not None and known != plan.sha256:
        raise Changed(
            f"MLflow knows a confirmation of {study} by another protocol (SHA-256 {known[:12]}…; "
            f"this one's is {plan.sha256[:12]}…). A protocol is fixed before the first run, and "
            "deleting its runs does not make their results unseen. Restore it and its settings, "
            "or give the study a new name and another search.seed."
        )


class _Confirming:
    """One confirmation, whose protocol is written and whose lease is held."""

    def __init__(
        self,
        launch: Launch,
        config: StudyConfig,
        foundation: Foundation,
        directory: Path,
        plan: Protocol,
    ) -> None:
        self._launch = launch
        self._config = config
        self._foundation = foundation
        self._directory = directory
        self._plan = plan
        self._files = {record.protocol_path(directory).name: plan.text.decode()}
        self._began = time.monotonic()
        self._fresh = 0
        self._unsent = 0

    def through(self, agree: Agree, at_once: int) -> Confirmed:
        """Select, ask, test; or as far as it comes."""
        directory, config, plan = self._directory, self._config, self._plan
        selecting = confirm.selection(plan, directory)
        if selecting.missing:
            signal = self._run(selecting, Role.SELECTION)
            if signal is not None:
                return self._ended(selecting, signal=signal)
        selected = confirm.choose(config, self._foundation, plan, directory)
        if not selected.usable:
            return self._ended(selecting)
        text = confirm.write_selection(selected, directory, config.document.path)
        self._files[planning.SELECTION] = text
        testing = confirm.confirmation(plan, selected.arms, directory)
        offer = confirm.offer_of(config, plan, selected, runs=testing.missing, workers=at_once)
        self._launch.watcher.end()
        if testing.untouched:
            tested = browse.tested_by_others(directory)
            offer = replace(offer, seen=self._seen_before(), tested=tested)
        # What has begun was agreed to: a look at the test split cannot be taken back.
        if testing.untouched and not agree(offer):
            return self._ended(selecting, testing, offer=offer, agreed=False)
        signal = self._run(testing, Role.CONFIRMATION)
        return self._ended(selecting, testing, offer=offer, signal=signal)

    def _seen_before(self) -> int:
        """Runs with test values in MLflow whose records are gone: deleted files unsee nothing."""
        trials = Tracker(self._launch.home).read_trials(self._config.name)
        return sum(trial.role == Role.CONFIRMATION and bool(trial.test) for trial in trials)

    def _run(self, source: Replicates, role: Role) -> int | None:
        """Run what a source has, below the confirmation's parent run."""
        launch, config, sha256 = self._launch, self._config, self._plan.sha256
        before = source.missing
        if not before and launch.is_settled(
            config, self._foundation, Role.CONFIRMATION, self._files
        ):
            return None
        # Said once: before the test, the offer says it again.
        notes = self._plan.notes if role is Role.SELECTION else ()
        launch.watcher.begin(f"{config.name} {role}", notes)
        try:
            with (
                launch.stop.deferred(),
                parent_run.opened(
                    config,
                    self._foundation,
                    launch.home,
                    Role.CONFIRMATION,
                    trains=before > 0,
                    tags=self._tags(source),
                    files=self._files,
                ) as page,
            ):

                def progress(stopping: bool) -> None:
                    standings = source.standings()
                    launch.watcher.update(standings, stopping=stopping)
                    page.mirror.describe(
                        lambda: parent_run.confirmation_note(config, role, standings, sha256)
                    )

                signal = launch.drive(self._directory, source, page, progress)
                if role is Role.SELECTION and signal is None:
                    self._keep_choice(page)
                    page.status = "SCHEDULED"
            if role is Role.CONFIRMATION and signal is None:
                describe(config.name, self._directory, page)
        finally:
            launch.watcher.end()
            self._fresh += before - source.missing
        self._unsent = page.unsent
        return signal

    def _keep_choice(self, page: parent_run.Session) -> None:
        """Have what was selected in MLflow even where the author declines now."""
        selected = confirm.choose(self._config, self._foundation, self._plan, self._directory)
        if selected.usable:
            file = self._config.document.path
            text = confirm.write_selection(selected, self._directory, file)
            page.keep({planning.SELECTION: text})

    def _tags(self, source: Replicates) -> Mapping[str, str]:
        content = self._plan.content
        return {
            PROTOCOL: self._plan.sha256,
            "workbench.runs": str(sum(standing.target for standing in source.standings())),
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
    ) -> Confirmed:
        records = record.scan(self._directory)
        return Confirmed(
            study=self._config.name,
            selection=tuple(selecting.standings()),
            arms=() if testing is None else tuple(testing.standings()),
            offer=offer,
            agreed=agreed,
            fresh=self._fresh,
            signal=signal,
            seconds=time.monotonic() - self._began,
            unsent=self._unsent,
            reasons=reasons_of(records, Role.SELECTION, Role.CONFIRMATION),
            damaged=damaged_checkpoints(self._directory),
            report=report_of(self._launch.home, self._config.name, records),
        )
