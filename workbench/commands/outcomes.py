"""How a command ends: its exit code, its outcome, and why trials failed.

Runs nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.commands import browse
from workbench.driver import Broken, Busy, GroupProgress
from workbench.record import Role, State
from workbench.study.config.changes import Changed, Unready
from workbench.study.config.document import StudyFileError
from workbench.tracker.reader import UnknownStudy
from workbench.tracker.store import StoreError

if TYPE_CHECKING:
    from workbench.study.confirm import Offer

DONE, BAD_STUDY, UNUSABLE, ENVIRONMENT, RESUMABLE = 0, 2, 3, 4, 75


class UnwritableError(OSError):
    """The home cannot be written to."""


class Stopped(Exception):
    """A signal stopped the command before any trial ran."""


# Errors that a user can fix, each with its exit code.
_EXIT_CODES: dict[type[Exception], int] = {
    StudyFileError: BAD_STUDY,
    Changed: BAD_STUDY,
    Unready: BAD_STUDY,
    browse.Unknown: BAD_STUDY,
    UnknownStudy: BAD_STUDY,
    FileExistsError: BAD_STUDY,
    Busy: ENVIRONMENT,
    Broken: ENVIRONMENT,
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
    """How a command ended.

    Attributes:
        fresh: Trials that ended while it ran.
        signal: What stopped it, or None.
        unsent: Records that MLflow did not take.
        reasons: Why trials failed, each reason once with the number of trials.
        damaged: Checkpoints of the study that were set aside as damaged.
        confirmed: Whether the study's confirmation is finished.
        report: The page of its report; None where none is up to date.
    """

    study: str
    groups: tuple[GroupProgress, ...]
    fresh: int
    signal: int | None
    seconds: float
    unsent: int = 0
    reasons: tuple[str, ...] = ()
    damaged: int = 0
    confirmed: bool = False
    report: Path | None = None

    @property
    def exit_code(self) -> int:
        """0 done, 3 finished without a usable trial, 75 stopped and resumable."""
        if self.signal is not None:
            return RESUMABLE
        return DONE if any(group.complete for group in self.groups) else UNUSABLE

    @property
    def finished(self) -> bool:
        """Whether every group has all its trials."""
        return all(group.ended >= group.target for group in self.groups)


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """How a confirmation ended, or where it stopped.

    Attributes:
        selection: How far the selection's runs are, by strategy; ``arms`` the confirmation's.
        offer: What was, or is to be, agreed to; None where the selection has not ended.
        agreed: Whether it was.
        fresh: Runs that ended while the command ran.
        signal: What stopped it, or None.
        unsent: Records that MLflow did not take.
        reasons: Why runs failed, each reason once with the number of runs.
        damaged: Checkpoints of the study that were set aside as damaged.
        report: The page of the study's report; None where none is up to date.
    """

    study: str
    selection: tuple[GroupProgress, ...]
    arms: tuple[GroupProgress, ...] = ()
    offer: Offer | None = None
    agreed: bool = True
    fresh: int
    signal: int | None
    seconds: float
    unsent: int = 0
    reasons: tuple[str, ...] = ()
    damaged: int = 0
    report: Path | None = None

    @property
    def exit_code(self) -> int:
        """0 done, 3 without a usable run, 75 stopped or declined, and resumable."""
        if self.signal is not None or not self.agreed:
            return RESUMABLE
        last = self.arms or self.selection
        return DONE if any(group.complete for group in last) else UNUSABLE

    @property
    def finished(self) -> bool:
        """Whether every run of the confirmation has ended."""
        return bool(self.arms) and all(arm.ended >= arm.target for arm in self.arms)


def reasons_of(records: browse.Records, *roles: Role) -> tuple[str, ...]:
    """The three commonest reasons for which runs of a study failed, with their number.

    Args:
        records: The study's.
        roles: Whose runs; by default the search's.
    """
    counts: Counter[str] = Counter()
    for found, spec in records:
        result = found.result()
        if spec.role not in (roles or (Role.SEARCH,)):
            continue
        if result is not None and result.state is State.FAILED and result.retried is None:
            counts[str(result.reason)] += 1
    return tuple(f"{count} x {reason}" for reason, count in counts.most_common(3))


def damaged_checkpoints(directory: Path) -> int:
    """How many checkpoints of a study's runs were set aside as damaged."""
    return sum(1 for _ in directory.rglob("checkpoint*.corrupt"))


def is_confirmed(directory: Path, records: browse.Records) -> bool:
    """Whether the confirmation of a study is finished."""
    found = browse.confirmation(directory, records)
    return found is not None and found["stage"] == "complete"


def report_of(home: Path, study: str, records: browse.Records) -> Path | None:
    """The page of a study's report, where it was written after the last run had ended."""
    page = home / "reports" / study / "index.html"
    if not page.is_file():
        return None
    results = [found.result() for found, spec in records if spec.role is not Role.TRY]
    last = max((result.ended for result in results if result is not None), default=0)
    return page if page.stat().st_mtime_ns // 1_000_000 >= last else None
