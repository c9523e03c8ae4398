"""Studies and trials on disk, for ``list`` and ``show``.

Reads records only, so that it works while a driver runs and without any store.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from workbench import record
from workbench.commands.confirmation_progress import ConfirmationProgress, confirmation_progress
from workbench.commands.summaries import (
    StudyDetails,
    StudySummary,
    TrialDetails,
    TrialSummary,
    VerdictSummary,
)
from workbench.driver.leases import holder_of
from workbench.messages import listed, unknown
from workbench.record import Addition, Objective, Result, Role, State, TrialDirectory, TrialSpec
from workbench.study.config import load
from workbench.study.weights import STUDY_SUFFIXES


class Unknown(LookupError):
    """No study or trial has this name; the message suggests the nearest one."""


@dataclass(frozen=True, kw_only=True)
class _Budget:
    targets: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the commands read of study.json, which a study's driver writes.

    Attributes:
        file: The study file, relative to the home where it lies in it.
        overrides: Those of the search.
        added: What it adds to another study, if that is what it does.
    """

    name: str
    question: str
    file: str
    objective: Objective
    budget: _Budget
    overrides: list[str] = field(default_factory=list)
    added: Addition | None = None


_DESCRIPTION = TypeAdapter(Description)
_VERDICT = TypeAdapter(VerdictSummary)
_VERDICT_FILE = "verdict.json"


def studies(home: Path) -> list[StudySummary]:
    """Every study in a home; one whose files are damaged does not hide the others."""
    found = []
    for path in _studies(home):
        try:
            found.append(_summary_of_study(_StudyRecords(path)))
        except (Unknown, OSError) as error:
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
        Unknown: There is none of this name.
    """
    records = _records(home, name)
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
        Unknown: There is no such study, strategy or trial.
    """
    if within is None:
        return study(home, name)
    records = _records(home, name)
    pairs = [
        (directory, spec)
        for directory, spec in records.trials
        if spec.strategy == within or name_of(spec).startswith(f"{within}/")
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
        Unknown: There is no such study or trial.
    """
    records = _records(home, name)
    directory, spec = _find(records, trial_name)
    result = directory.result()
    withheld = result is not None and bool(result.test) and not records.shows_test(spec)
    if result is not None and withheld:
        result = replace(result, test={})
    return TrialDetails(
        summary=_summary_of_trial(directory, spec, records),
        withheld=withheld,
        spec=spec,
        history=directory.history(),
        result=result,
        directory=directory.path,
    )


def _find(records: _StudyRecords, name: str) -> tuple[TrialDirectory, TrialSpec]:
    """The one trial that a name means."""
    pairs = records.trials
    exact = [pair for pair in pairs if name in (name_of(pair[1]), f"{pair[1].role}/{pair[1].name}")]
    loose = [pair for pair in pairs if name == pair[1].name]
    for several in (exact, loose):
        if len(several) == 1:
            return several[0]
    names = [name_of(spec) for _, spec in loose or pairs]
    # Part of a trial's name, such as a strategy or a role, is answered with the trials below it.
    below = [known for known in names if known.startswith(name)]
    if below:
        raise Unknown(f"There is no trial {name}; there is {listed(below)}.")
    if "/" not in name and pairs:
        raise Unknown(unknown("strategy", name, dict.fromkeys(spec.strategy for _, spec in pairs)))
    raise Unknown(unknown("trial", name, names))


def name_of(spec: TrialSpec) -> str:
    """A trial's name within its study: only the search's trials go by the name alone."""
    return spec.name if spec.role is Role.SEARCH else f"{spec.role}/{spec.name}"


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


def _is_study(directory: Path) -> bool:
    # A name that is a path would lead out of the home.
    if not record.STUDY_NAME.fullmatch(directory.name):
        return False
    # A study without its description has lost it: a driver writes it before the first trial.
    trials = directory.glob("trials/*/*/spec.json")
    return (directory / "study.json").exists() or any(trials)


def _studies(home: Path) -> list[Path]:
    return [path for path in sorted((home / "mlruns" / "studies").glob("*")) if _is_study(path)]


def _records(home: Path, name: str) -> _StudyRecords:
    directory = record.study_directory(home, name)
    if directory.name == name and _is_study(directory):
        return _StudyRecords(directory)
    names = [path.name for path in _studies(home)]
    if not names:
        raise Unknown(f"No study named {name} in {home}; it has no studies yet.")
    if cells := [known for known in names if record.is_cell_of(known, name)]:
        raise Unknown(f"{name} is {len(cells)} studies; name one of {listed(cells, 20)}.")
    raise Unknown(unknown("study", name, names))


def studies_of(home: Path, name: str) -> list[str]:
    """The study of this name; of a file with ``across``, by the file's name, all of its studies.

    Raises:
        Unknown: There is none.
    """
    cells = [path.name for path in _studies(home) if record.is_cell_of(path.name, name)]
    return cells or [_records(home, name).directory.name]


def _summary_of_study(records: _StudyRecords) -> StudySummary:
    described = description(records.directory)
    targets = described.budget.targets
    counts: Counter[State] = Counter()
    ended: Counter[str] = Counter()
    best: tuple[float, int] | None = None
    best_trial = None
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
        if value is not None and spec.objective.outdoes((value, spec.number), best):
            best, best_trial = (value, spec.number), spec.name
    if records.holder:
        study_state = "running"
    elif any(ended[group] < target for group, target in targets.items()):
        study_state = "unfinished"
    else:
        study_state = "complete" if counts[State.COMPLETE] else "complete, none usable"
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
        best=best[0] if best else None,
        best_trial=best_trial,
        confirmation=records.confirmation,
        verdict=verdict_of(records.directory, records.confirmation),
        added=described.added,
        file=described.file,
        question=described.question,
    )


def additions(home: Path, name: str) -> list[Addition]:
    """The levels that were added to a study, in their order."""
    found = []
    for directory in _studies(home):
        if directory.name.startswith(record.addition_name(name, "")):
            added = description(directory).added
            found += [added] if added and added.study == name else []
    return sorted(found, key=lambda added: added.number)


def file_of(described: Description, home: Path) -> Path | None:
    """The file of a study: relative to the home, to this directory, or where it was moved to."""
    named = Path(described.file)
    candidates = (home / named, named, record.places.find(named, home))
    return next(filter(Path.is_file, candidates), None)


def source_of(study: str, home: Path) -> tuple[Path, list[str]]:
    """The file of a study and, where it is known by its name, the overrides of its search.

    Raises:
        Unknown: There is no such study, or its file is gone; or it was added to another study.
    """
    if study.endswith(STUDY_SUFFIXES):
        return Path(study), []
    first = studies_of(home, study)[0]
    # A search may have had overrides; without them the confirmation would be another one.
    described = description(record.study_directory(home, first))
    if added := described.added:
        level = shlex.quote(f"{added.factor}={added.written}")
        command = f"workbench confirm {added.study} --add {level}"
        raise Unknown(f"{first} was added to {added.study}. Continue it: {command}")
    file = file_of(described, home)
    if file is None:
        raise Unknown(
            f"The study {study} was run from {described.file}, which is not there. Give the "
            "path of its file instead of its name."
        )
    return file, described.overrides


def keep_verdict(directory: Path, verdict: VerdictSummary) -> None:
    """Store a verdict with the records: the command ``list`` reads no MLflow."""
    record.write_atomically(
        directory / _VERDICT_FILE, _VERDICT.dump_json(verdict, indent=1) + b"\n"
    )


def verdict_of(directory: Path, confirmation: ConfirmationProgress | None) -> VerdictSummary | None:
    """The verdict in a study's directory, while its records are as far as when it was given.

    None where a report has yet to say it, or the file is damaged or of other records. While a
    second look runs, the verdict is that of the first.
    """
    shown = confirmation.seeds_shown if confirmation else 0
    try:
        found = _VERDICT.validate_json((directory / _VERDICT_FILE).read_bytes())
        protocol = record.sha256_of(record.protocol_path(directory))
    except (OSError, ValidationError):
        return None
    return found if (found.seeds, found.protocol) == (shown, protocol) else None


def description(directory: Path) -> Description:
    """What a study's driver wrote of it.

    Raises:
        Unknown: The file is gone or damaged, or describes another study.
    """
    path = directory / "study.json"
    try:
        described = _DESCRIPTION.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise Unknown(f"{path} is gone. Run the study's file again to write it.") from None
    except ValidationError as error:
        first = error.errors()[0]
        problem = ": ".join([*map(str, first["loc"]), first["msg"]])
        raise Unknown(
            f"{path} is damaged ({problem}). Run the study's file again to write it anew."
        ) from None
    if described.name != directory.name:
        raise Unknown(
            f"{directory} holds the study {described.name!r}. A study's folder must have its name: "
            f"rename the folder to {described.name}."
        )
    return described


def _summary_of_trial(
    directory: TrialDirectory, spec: TrialSpec, records: _StudyRecords
) -> TrialSummary:
    result, history = directory.result(), directory.history()
    reason = None if result is None else result.reason
    if result is not None and result.retried is not None:
        reason = f"{reason} (run again as {spec.group}/{result.retried:03d})"
    return TrialSummary(
        trial=name_of(spec),
        role=str(spec.role),
        strategy=spec.strategy,
        state=records.state(result),
        value=result.value if result else None,
        test=result.test if result and records.shows_test(spec) else {},
        epoch=result.epoch if result else None,
        epochs=history[-1].epochs_done if history else 0,
        seconds=sum(epoch.metrics.get("seconds", 0.0) for epoch in history),
        reason=reason,
        seed=str(spec.seed),
        hyperparameters=spec.hyperparameters,
    )
