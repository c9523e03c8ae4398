"""How a command ends: its exit code, its outcome, and why trials failed.

Runs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import record
from workbench.commands import browse, home_studies
from workbench.commands.confirmation_progress import Records, confirmation_progress
from workbench.commands.home_studies import UnknownNameError
from workbench.commands.summaries import VerdictSummary
from workbench.driver import RepeatedFailureError
from workbench.driver.leases import StudyBusyError
from workbench.driver.progress import GroupProgress
from workbench.driver.workers import ClusterError
from workbench.record import Role, State
from workbench.study.config.changes import NotReadyError, StudyChangedError, UnanswerableError
from workbench.study.config.document import StudyFileError
from workbench.tracker.reader import UnknownStudyError
from workbench.tracker.store import StoreError

if TYPE_CHECKING:
    from workbench.study.confirm.offer import Offer
    from workbench.study.study import Study

DONE, BAD_STUDY, UNUSABLE, ENVIRONMENT, RESUMABLE = 0, 2, 3, 4, 75


class UnwritableError(OSError):
    """The home cannot be written to."""


class Stopped(Exception):
    """A signal stopped the command before any trial ran."""


# The first kind that fits counts, so OSError, the parent of others, comes last.
# Errors that a user can fix, each with its exit code.
_EXIT_CODES: dict[type[Exception], int] = {
    StudyFileError: BAD_STUDY,
    UnanswerableError: UNUSABLE,
    StudyChangedError: BAD_STUDY,
    NotReadyError: BAD_STUDY,
    UnknownNameError: BAD_STUDY,
    UnknownStudyError: BAD_STUDY,
    FileExistsError: BAD_STUDY,
    StudyBusyError: ENVIRONMENT,
    RepeatedFailureError: ENVIRONMENT,
    ClusterError: ENVIRONMENT,
    StoreError: ENVIRONMENT,
    Stopped: RESUMABLE,
    OSError: ENVIRONMENT,
}
FIXABLE = tuple(_EXIT_CODES)


def exit_code(error: Exception) -> int:
    """The exit code of an error that a user can fix."""
    return next(code for kind, code in _EXIT_CODES.items() if isinstance(error, kind))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a search or a confirmation ended, or where it stopped.

    Attributes:
        groups: Progress of the search by strategy, or of the confirmation's runs by arm; empty
            where the confirmation has not come to its test.
        selection: Of a confirmation, the progress of its selection by strategy.
        offer: What was, or is to be, agreed to; None where no selection has ended.
        agreed: Whether it was.
        fresh: Trials that ended while the command ran.
        signal: What stopped it, or None.
        parked: Epochs done of each trial that was stopped and will be continued.
        unsent: Records that MLflow did not take.
        reasons: The three commonest reasons for which trials failed, with the number of trials.
        saved_seconds: Training time that stored outputs of frozen stages have saved the study.
        damaged: Checkpoints that were set aside as damaged while the command ran.
        resumed: Trials of these that had an earlier checkpoint.
        restarted: Trials of these that had none, and were trained from the first epoch on.
        confirmed: Whether the study's confirmation is finished.
        verdict: Of a finished confirmation; None where MLflow has yet to be sent its runs, and of a
            level that was added to another study, whose report judges both.
        report: The page of its report; None where none is up to date.
    """

    study: str
    groups: tuple[GroupProgress, ...] = ()
    selection: tuple[GroupProgress, ...] = ()
    offer: Offer | None = None
    agreed: bool = True
    fresh: int = 0
    signal: int | None = None
    parked: tuple[float, ...] = ()
    seconds: float = 0.0
    unsent: int = 0
    reasons: tuple[str, ...] = ()
    saved_seconds: float = 0.0
    damaged: int = 0
    resumed: int = 0
    restarted: int = 0
    confirmed: bool = False
    verdict: VerdictSummary | None = None
    report: Path | None = None

    def __repr__(self) -> str:
        groups = self.groups or self.selection
        planned = sum(group.target for group in groups)
        counts = ", ".join(
            f"{sum(getattr(group, state) for group in groups)} {state}"
            for state in ("complete", "pruned", "failed")
        )
        lines = [f"{self.study}: {planned} runs ({counts})"]
        if self.signal is not None:
            lines[0] += ", stopped"
        if self.confirmed:
            lines[0] += ", confirmed"
        lines += [
            f"  {group.name}: {group.ended} of {group.target}"
            + ("" if group.best is None else f", best {group.best:.4f}")
            for group in groups
        ]
        return "\n".join([*lines, *(f"  {reason}" for reason in self.reasons)])

    @property
    def usable(self) -> bool:
        """Whether any trial of the last step has completed."""
        return any(group.complete for group in self.groups or self.selection)

    @property
    def exit_code(self) -> int:
        """0 done, 3 finished without a usable trial, 75 stopped or declined, and resumable."""
        if self.signal is not None or not self.agreed:
            return RESUMABLE
        return DONE if self.usable else UNUSABLE

    @property
    def finished(self) -> bool:
        """Whether every group has all its trials."""
        return bool(self.groups) and all(group.ended >= group.target for group in self.groups)

    @property
    def next_commands(self) -> tuple[str, ...]:
        """What may be run next; nothing where this command is to be run again."""
        stopped = self.signal is not None or not self.agreed
        if stopped or (self.selection and not self.finished):
            return ()
        steps = ["confirm"] if not self.selection and self.usable and not self.confirmed else []
        steps += ["report"] if self.report is None else []
        # The studies of a file with ``across`` go on together.
        return tuple(f"workbench {step} {record.experiment_of(self.study)}" for step in steps)


def as_json(outcome: Outcome, home: Path) -> dict[str, object]:
    """For ``run --json`` and ``confirm --json``: the study as ``list`` shows it, and the outcome.

    Args:
        outcome: Of the command.
        home: Where the study is.
    """
    return {
        **asdict(browse.study(home, outcome.study).summary),
        "groups": [asdict(group) for group in outcome.groups or outcome.selection],
        "new_trials": outcome.fresh,
        "seconds": outcome.seconds,
        "failures": outcome.reasons,
        "unsent": outcome.unsent,
        "report": str(outcome.report) if outcome.report else None,
        "next": outcome.next_commands,
    }


def damaged_checkpoints(directory: Path) -> frozenset[tuple[Path, int]]:
    """Checkpoints of a study that were set aside as damaged, each with its inode.

    A later one of the same trial replaces the file, and is told by its inode.
    """
    found = directory.rglob("checkpoint*.corrupt")
    return frozenset((path, path.stat().st_ino) for path in found)


def outcome_of(study: Study, *roles: Role, damaged: Set[tuple[Path, int]]) -> Outcome:
    """What a study's records say at the end of a command; the caller adds the rest.

    Args:
        study: The study.
        roles: Whose failures are counted.
        damaged: ``damaged_checkpoints`` when the command began.
    """
    records = record.scan(study.directory)
    progress = confirmation_progress(study.directory, records)
    results = {at: at.result() for at, _ in records}
    set_aside = damaged_checkpoints(study.directory) - damaged
    hit = {path.parent for path, _ in set_aside}
    restarted = sum(r is not None and r.restarted for at, r in results.items() if at.path in hit)
    own = [(at, results[at]) for at, spec in records if spec.role in roles]
    failed = (r for _, r in own if r is not None and r.state is State.FAILED and r.retried is None)
    reasons = Counter(str(result.reason) for result in failed).most_common(3)
    histories = [at.history() for at, r in own if r is None or not r.state.ended]
    return Outcome(
        study=study.name,
        reasons=tuple(f"{count} x {reason}" for reason, count in reasons),
        parked=tuple(history[-1].epochs_done if history else 0.0 for history in histories),
        saved_seconds=sum(r.saved_seconds for r in results.values() if r is not None),
        damaged=len(set_aside),
        resumed=len(hit) - restarted,
        restarted=restarted,
        confirmed=progress is not None and progress.complete,
        verdict=None if study.config.added else home_studies.verdict_of(study.directory, progress),
        report=report_of(study.home, study.name, records),
    )


def report_of(home: Path, study: str, records: Records) -> Path | None:
    """The page of a study's report, where it was written after the last run had ended."""
    page = home / "reports" / study / "index.html"
    if not page.is_file():
        return None
    results = [at.result() for at, spec in records if spec.role is not Role.TRY]
    last = max((result.ended for result in results if result is not None), default=0)
    return page if page.stat().st_mtime_ns // 1_000_000 >= last else None
