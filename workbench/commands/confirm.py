"""``workbench confirm``: protocol, selection, consent, test; and a second look."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench import record
from workbench.commands import home_studies, parent_run, session
from workbench.commands.confirmation_progress import (
    confirmation_progress,
    other_tests_of_same_samples,
)
from workbench.commands.home_studies import UnknownNameError
from workbench.commands.outcomes import Outcome, damaged_checkpoints, outcome_of
from workbench.commands.parent_run import ParentRun
from workbench.commands.refusals import (
    refuse_a_second,
    refuse_another_search,
    refuse_fresh_seeds,
)
from workbench.commands.session import Session, Shown, Watcher
from workbench.driver import Workers
from workbench.driver.leases import lease
from workbench.driver.progress import GroupProgress
from workbench.messages import did_you_mean, listed
from workbench.record import Role
from workbench.study.checks import check
from workbench.study.config import load_all
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import planning, preregistration, replicates, second_look
from workbench.study.confirm.candidates import look
from workbench.study.confirm.offer import Offer, offer_of
from workbench.study.confirm.planning import Protocol
from workbench.study.confirm.replicates import Replicates
from workbench.study.confirm.selection import choose, write_selection
from workbench.study.study import Study
from workbench.tracker import Tracker
from workbench.tracker.entry import PROTOCOL, PROTOCOL_2
from workbench.tracker.store import UnreachableError

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
    fresh: int | None = None,
    shown: Shown = lambda outcome, last: None,
) -> Outcome:
    """Test the best configuration of each strategy on fresh seeds and the test split, once.

    Or add seeds to a finished test: the second look, where the protocol plans it. Of a file with
    ``across``, in all of its studies, one after the other.

    Args:
        study: A study file, or the name of a study that was searched in this home: then its file
            is read, with the overrides that the search had.
        overrides: ``key.path=value`` each.
        home: Where the search was run.
        workers: Where runs are made.
        watcher: Shows progress.
        wait: Wait for another driver of the study to end.
        agree: Asked after the selection, before the test split is used, and before a second look.
            Declining keeps what is there, and the same command asks again.
        fresh: Seeds that a second look adds to every configuration, at least 1. One that has begun
            continues without it.
        shown: Told how each study ended, and whether it is the last.

    Raises:
        StudyFileError: The file is broken, or allows no confirmation.
        NotReadyError: The search is not finished, or has nothing to confirm; or the first look is
            not finished, and seeds are to be added.
        StudyChangedError: The search was made with other settings, the confirmation or its second
            look has begun by another protocol, or seeds are to be added that no protocol plans.
        UnknownNameError: There is no study of this name.
        StudyBusyError: Another driver holds the study.
        RepeatedFailureError: Every run fails in the same way before its first epoch.
        UnwritableError, StoreError: The home or a store cannot be used.
    """
    # Before the session, which needs a home that can be written to.
    file, before = home_studies.source_of(study, home)
    configs = load_all(file, [*before, *overrides])
    # The name of one of the studies of a file with ``across`` means that one alone.
    chosen = [config for config in configs if config.name == str(study)] or configs
    if "@" in str(study) and Path(study) != file and chosen is configs:
        names = [config.name for config in configs]
        hint = did_you_mean(str(study), names) or f"; it has {listed(names)}."
        raise UnknownNameError(f"{file} has no study {study}{hint}")
    with session.open_session(home, workers, watcher) as at:
        return session.for_each(
            chosen,
            lambda config: confirm(at, config, wait=wait, agree=agree, fresh=fresh),
            shown,
        )


def confirm(
    session: Session,
    config: StudyConfig,
    *,
    wait: bool,
    agree: Agree,
    fresh: int | None = None,
) -> Outcome:
    """Confirm a searched study; see ``confirm_study``."""
    session.watcher.prepare(config.name)
    study = Study(config, session.home)
    if not study.directory.is_dir():
        # Before the check, which may miss the weights of another study that was not searched
        # either, and before the lease, which would make the folder, so that the study is listed.
        look(study).must_be_complete()
    check(study, local=session.workers.local)
    if not record.protocol_path(study.directory).exists():
        # Workers load their libraries while this process loads MLflow.
        at_once = session.workers.count(config.resources)
        session.workers.prepare(at_once, config.resources)
    with lease(study.directory, wait=wait):
        # First: without it ``confirm`` would ask for more search trials, which would be refused.
        preregistration.refuse_more_trials(study)
        plan, second, logged = planned(study)
        if fresh is not None:
            progress = confirmation_progress(study.directory, record.scan(study.directory))
            tested = progress is not None and progress.seeds_shown > 0
            second_look.refuse(plan, study, fresh, second, tested=tested)
            if second is None:
                refuse_fresh_seeds(study)
        preregistration.write_or_check(plan, study, logged=None)  # ``planned`` has looked
        try:
            confirmation = _Confirmation(
                session=session, study=study, plan=plan, second=second, logged=logged
            )
            return confirmation.run(agree, fresh)
        finally:
            session.watcher.end()


def planned(study: Study) -> tuple[Protocol, Protocol | None, tuple[str | None, str | None]]:
    """The protocol of a study and of a second look that has begun, held against all that is known.

    Last, the hashes of both in MLflow.

    Raises:
        StudyChangedError: Search, protocol or study file differ from what they were.
    """
    plan = planning.plan_of_confirmation(study)
    refuse_another_search(study)
    logged, logged_2 = _logged(study)
    if record.protocol_path(study.directory).exists():
        preregistration.check_unchanged(plan, study, logged=logged)
    # Before a second one is written; and where one was put in the place of the first.
    refuse_a_second(plan, logged)
    return plan, second_look.begun(plan, study, logged=logged_2), (logged, logged_2)


def _logged(study: Study) -> tuple[str | None, str | None]:
    """The hashes of both protocols in MLflow.

    Raises:
        UnreachableError: It does not answer, and no file says that the confirmation has begun.
    """
    tracker = Tracker(study.home, study.name)
    try:
        first, second = (
            tracker.parent_tag(study.name, Role.CONFIRMATION, tag) for tag in (PROTOCOL, PROTOCOL_2)
        )
    except UnreachableError:
        # The runs go on; with the file they can be planned by no other protocol.
        if not record.protocol_path(study.directory).exists():
            raise
        return None, None
    return first, second


@dataclass(kw_only=True)
class _Confirmation:
    """One confirmation, whose protocol is written and whose lease is held.

    Attributes:
        second: The protocol of a second look that has begun.
        logged: The hashes of both protocols in MLflow.
        files: Texts of the parent run, by file name.
        fresh: Runs that have ended since it began.
        unsent: Records that MLflow did not take.
    """

    session: Session
    study: Study
    plan: Protocol
    second: Protocol | None
    logged: Collection[str | None]
    files: dict[str, str] = field(default_factory=dict)
    fresh: int = 0
    unsent: int = 0

    def __post_init__(self) -> None:
        self.files[record.protocol_path(self.study.directory).name] = self.plan.text.decode()
        self.began = time.monotonic()
        self.damaged = damaged_checkpoints(self.study.directory)

    def run(self, agree: Agree, fresh: int | None) -> Outcome:
        """Select, ask, test, until a signal or a declined offer stops it."""
        study, plan = self.study, self.plan
        selecting = replicates.selection(plan, study.directory)
        if selecting.missing:
            signal = self._run(selecting, Role.SELECTION)
            if signal is not None:
                return self._ended(selecting, signal=signal)
        selected = choose(study, plan)
        if not selected.usable:
            return self._ended(selecting)
        self.files[planning.SELECTION] = write_selection(selected, study.directory, study.file)
        second = self.second
        if second is None and fresh is not None:
            second = second_look.plan(plan, study, fresh)
        testing = replicates.confirmation(plan, selected.arms, study.directory, second)
        offer = offer_of(
            study.config,
            plan,
            selected,
            runs=testing.missing,
            workers=self.session.workers.count(study.config.resources),
            fresh=len(second.content["seeds"]) if second else 0,
        )
        self.session.watcher.end()
        # What has begun was agreed to: a look at the test split cannot be taken back.
        agreed_to = self.second is not None if second else not testing.untouched
        if not agreed_to:
            tested = other_tests_of_same_samples(study.directory)
            offer = replace(offer, seen=self._seen_before(second or plan), tested=tested)
            if not agree(offer):
                return self._ended(selecting, testing, offer=offer, agreed=False)
        if second:
            self._begin(second)
        signal = self._run(testing, Role.CONFIRMATION)
        return self._ended(selecting, testing, offer=offer, signal=signal)

    def _begin(self, second: Protocol) -> None:
        """Fix the second look, before anything runs for it."""
        study = self.study
        if self.second is None:
            second_look.write(second, study)
            self.second = second
        path = record.protocol_path(study.directory, look=second_look.LOOK)
        self.files[path.name] = second.text.decode()

    def _seen_before(self, plan: Protocol) -> int:
        """Runs with test values in MLflow whose records were deleted; the values were seen.

        Of the first look all runs count, whatever protocol they had; of a second one its own.
        """
        with Tracker(self.study.home, self.study.name).reading(self.study.name) as stored:
            protocols = stored.tested().values()
        return sum(plan is self.plan or protocol == plan.sha256 for protocol in protocols)

    def _run(self, source: Replicates, role: Role) -> int | None:
        """Run what a source has, below the confirmation's parent run."""
        study, before = self.study, source.missing
        unsent = None if before else parent_run.sync_if_finished(study, role, self.files)
        if unsent is not None:
            self.unsent = unsent
            return None

        def note(groups: Sequence[GroupProgress]) -> str:
            plans = [plan.sha256 for plan in (self.plan, self.second) if plan]
            return parent_run.confirmation_note(study.config, role, groups, *plans)

        try:
            driven = self.session.drive(
                study,
                source,
                role,
                title=f"{study.name} {role}",
                # Shown once: before the test, the offer shows them.
                notes=self.plan.notes if role is Role.SELECTION else (),
                trains=before > 0,
                tags=self._tags(source),
                files=self.files,
                note=note,
                finish=lambda page: self._finish(source, role, page),
            )
        finally:
            self.fresh += before - source.missing
        self.unsent = driven.page.unsent
        return driven.signal

    def _finish(self, source: Replicates, role: Role, page: ParentRun) -> None:
        """Write a finished selection's choice; MLflow gets it even if the test is declined later.

        Of a finished confirmation: the pictures of the runs whose model is kept, as a search
        draws those of its best trials.
        """
        if source.missing:
            return
        study = self.study
        if role is Role.CONFIRMATION:
            kept = [record.directory_of(study.directory, spec) for spec in source.kept]
            self.session.workers.draw(kept)
            for directory in kept:
                page.mirror.changed(directory)
        else:
            selected = choose(study, self.plan)
            if selected.usable:
                write_selection(selected, study.directory, study.file)

    def _tags(self, source: Replicates) -> Mapping[str, str]:
        content, second = self.plan.content, self.second
        seeds = [*content["seeds"], *(second.content["seeds"] if second else ())]
        # A hash that MLflow did not have before the first test is no evidence any more.
        tested = {
            spec.protocol
            for _, spec in record.scan(self.study.directory)
            if spec.role is Role.CONFIRMATION
        }
        hashes = {PROTOCOL: self.plan.sha256, **({PROTOCOL_2: second.sha256} if second else {})}
        return {
            **{n: h for n, h in hashes.items() if h in self.logged or h not in tested},
            "workbench.runs": str(sum(group.target for group in source.progress())),
            "workbench.seeds": str(len(seeds)),
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
            outcome_of(self.study, Role.SELECTION, Role.CONFIRMATION, damaged=self.damaged),
            selection=tuple(selecting.progress()),
            groups=tuple(testing.progress()) if testing is not None and agreed else (),
            offer=offer,
            agreed=agreed,
            fresh=self.fresh,
            signal=signal,
            seconds=time.monotonic() - self.began,
            unsent=self.unsent,
        )
