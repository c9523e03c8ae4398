"""Studies and trials on disk, for ``list`` and ``show``.

Reads records only, so that it works while a driver runs and without any store.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

from workbench import record
from workbench.commands.confirmation_progress import confirmation_progress
from workbench.commands.home_studies import (
    UnknownNameError,
    description,
    directories,
    directory_of,
    verdict_of,
)
from workbench.commands.summaries import (
    StudyDetails,
    StudySummary,
    TrialDetails,
    TrialSummary,
)
from workbench.driver.leases import holder_of
from workbench.messages import listed, unknown
from workbench.record import Result, Role, State, TrialDirectory, TrialSpec
from workbench.study.config import load
from workbench.study.weights import STUDY_SUFFIXES


def studies(home: Path) -> list[StudySummary]:
    """Every study in a home; one whose files are damaged does not hide the others."""
    found = []
    for path in directories(home):
        try:
            found.append(_summary_of_study(_StudyRecords(path)))
        except (UnknownNameError, OSError) as error:
            found.append(StudySummary(name=path.name, state="damaged", problem=str(error)))
    return found


def split_name(name: str) -> tuple[str, str | None]:
    """A study and what it names within, or None, from ``STUDY``, ``STUDY/...`` or a study file."""
    if name.endswith(STUDY_SUFFIXES):
        return load(Path(name)).name, None
    study_name, _, within = name.partition("/")
    return study_name, within.rstrip("/") or None


def study(home: Path, name: str) -> StudyDetails:
    """One study with all its trials.

    Raises:
        UnknownNameError: There is none of this name.
    """
    records = _StudyRecords(directory_of(home, name))
    trials = tuple(_summary_of_trial(*pair, records) for pair in records.trials)
    return StudyDetails(summary=_summary_of_study(records), trials=trials)


def found(home: Path, name: str, within: str | None = None) -> StudyDetails | TrialDetails:
    """What ``show`` shows: a study with all its trials, those of one strategy, or one trial.

    Args:
        home: Where the study is.
        name: The study's.
        within: A trial's name; or a strategy, a role, or a strategy of a role: its trials, those of
            each role from the best to the worst.

    Raises:
        UnknownNameError: There is no such study, strategy or trial.
    """
    if within is None:
        return study(home, name)
    records = _StudyRecords(directory_of(home, name))
    pairs = [
        (directory, spec)
        for directory, spec in records.trials
        if spec.strategy == within or spec.full_name.startswith(f"{within}/")
    ]
    if not pairs:
        return trial(home, name, within)
    rows = [_summary_of_trial(*pair, records) for pair in pairs]
    direction = pairs[0][1].objective.direction
    return StudyDetails(
        summary=_summary_of_study(records),
        trials=tuple(sorted(rows, key=lambda row: row.rank(direction))),
    )


def trial(home: Path, name: str, trial_name: str) -> TrialDetails:
    """One trial with its specification, history and result.

    Args:
        home: Where the study is.
        name: The study's.
        trial_name: As ``study`` gives it: ``adamw/000`` of the search, ``confirmation/adamw/000``
            of the confirmation. A name without a role is the search's, if it has such a trial.

    Raises:
        UnknownNameError: There is no such study or trial.
    """
    records = _StudyRecords(directory_of(home, name))
    directory, spec = _find(records, trial_name)
    result = directory.result()
    withheld = result is not None and bool(result.test) and not records.shows_test(spec)
    if result is not None and withheld:
        result = replace(result, test={})
    group, tested = (spec.role, spec.group), spec.objective.tested
    shown = (at for at, s in records.trials if (s.role, s.group) == group and records.shows_test(s))
    ended = (at.result() for at in shown)
    return TrialDetails(
        summary=_summary_of_trial(directory, spec, records),
        withheld=withheld,
        seeds=tuple(each.test[tested] for each in ended if each and tested in each.test),
        spec=spec,
        history=directory.history(),
        result=result,
        directory=directory.path,
    )


def _find(records: _StudyRecords, name: str) -> tuple[TrialDirectory, TrialSpec]:
    """The one trial that a name means."""
    pairs = records.trials
    exact = [
        pair for pair in pairs if name in (pair[1].full_name, f"{pair[1].role}/{pair[1].name}")
    ]
    loose = [pair for pair in pairs if name == pair[1].name]
    for several in (exact, loose):
        if len(several) == 1:
            return several[0]
    names = [spec.full_name for _, spec in loose or pairs]
    # Part of a trial's name, such as a strategy or a role, is answered with the trials below it.
    below = [known for known in names if known.startswith(name if "/" in name else f"{name}/")]
    if below:
        verb = "are" if len(below) > 1 else "is"
        raise UnknownNameError(f"There is no trial {name}; there {verb} {listed(below)}.")
    if "/" not in name and pairs:
        raise UnknownNameError(
            unknown("strategy", name, dict.fromkeys(spec.strategy for _, spec in pairs))
        )
    raise UnknownNameError(unknown("trial", name, names))


class _StudyRecords:
    """One study's records, and who drives it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        # Before the records: a trial without a result is an orphan only if nobody drove it then.
        self.holder = holder_of(directory)
        # In the order in which they are made.
        self.trials = sorted(
            record.scan(directory), key=lambda pair: list(Role).index(pair[1].role)
        )
        self.confirmation = confirmation_progress(directory, self.trials)

    def shows_test(self, spec: TrialSpec) -> bool:
        """Whether a run's test values may be shown."""
        return self.confirmation is not None and self.confirmation.shows_test(spec)

    def state(self, result: Result | None) -> State:
        """The state of a trial; without a driver no trial is running."""
        if result is not None:
            return result.state
        return State.RUNNING if self.holder else State.PARKED


def _summary_of_study(records: _StudyRecords) -> StudySummary:
    described = description(records.directory)
    targets = described.targets
    counts: Counter[State] = Counter()
    ended: Counter[str] = Counter()
    ranked: list[tuple[tuple[float, int], float, str]] = []
    for directory, spec in records.trials:
        if spec.role is not Role.SEARCH or spec.group not in targets:
            continue  # Tries, and levels that the file no longer has.
        result = directory.result()
        if result is not None and result.retried is not None:
            continue  # Another trial took its place.
        state = records.state(result)
        counts[state] += 1
        ended[spec.group] += state.ended
        value = result.value if result and result.state is State.COMPLETE else None
        if value is not None:
            ranked.append((spec.objective.rank(value, spec.number), value, spec.name))
    if records.holder:
        study_state = "running"
    elif any(ended[group] < target for group, target in targets.items()):
        study_state = "unfinished"
    else:
        study_state = "complete" if counts[State.COMPLETE] else "complete, none usable"
    best = min(ranked, key=itemgetter(0), default=None)
    return StudySummary(
        name=described.name,
        state=study_state,
        holder=records.holder,
        trials=sum(targets.values()),
        complete=counts[State.COMPLETE],
        pruned=counts[State.PRUNED],
        failed=counts[State.FAILED],
        parked=counts[State.PARKED],
        running=counts[State.RUNNING],
        metric=described.objective.metric,
        test_metric=described.objective.tested,
        best=best[1] if best else None,
        best_trial=best[2] if best else None,
        confirmation=records.confirmation,
        verdict=verdict_of(records.directory, records.confirmation),
        added=described.added,
        file=described.file,
        question=described.question,
    )


def _summary_of_trial(
    directory: TrialDirectory, spec: TrialSpec, records: _StudyRecords
) -> TrialSummary:
    result, history = directory.result(), directory.history()
    reason = None if result is None else result.reason
    if result is not None and result.retried is not None:
        reason = f"{reason} (run again as {spec.group}/{result.retried:03d})"
    return TrialSummary(
        trial=spec.full_name,
        role=str(spec.role),
        strategy=spec.strategy,
        state=records.state(result),
        value=result.value if result else None,
        test=result.test if result and records.shows_test(spec) else {},
        epoch=result.epoch if result else None,
        epochs=history[-1].epochs_done if history else 0,
        seconds=sum(epoch.metrics.get("seconds", 0.0) for epoch in history),
        reason=reason,
        weights=str(directory.weights) if directory.weights.exists() else None,
        seed=str(spec.seed),
        hyperparameters=spec.hyperparameters,
    )
