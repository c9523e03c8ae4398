"""Studies and trials on disk, for ``list`` and ``show``.

Reads records only, so that it works while a driver runs and without any store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from workbench import record
from workbench.driver.leases import holder_of
from workbench.messages import listed, unknown
from workbench.record import EpochResult, Objective, Result, Role, State, TrialDirectory, TrialSpec
from workbench.study.config import load
from workbench.study.weights import STUDY_SUFFIXES

# States of a study whose search has all its trials and is not driven.
SEARCHED = ("complete", "complete, none usable")

# A study's records, as ``record.scan`` gives them.
Records = list[tuple[TrialDirectory, TrialSpec]]


class Unknown(LookupError):
    """No study or trial has this name; the message suggests the nearest one."""


def studies(home: Path) -> list[dict[str, Any]]:
    """Every study in a home: its state, how many trials of each state, and its best value."""
    return [_row(path) for path in _studies(home)]


def named(name: str) -> tuple[str, str | None]:
    """A study and a trial of it, or None, from ``STUDY``, ``STUDY/TRIAL`` or a study file."""
    if name.endswith(STUDY_SUFFIXES):
        return load(Path(name)).name, None
    study_name, _, trial_name = name.partition("/")
    return study_name, trial_name or None


def study(home: Path, name: str) -> dict[str, Any]:
    """One study with all its trials.

    Raises:
        Unknown: There is none of this name.
    """
    shelf = _shelf(home, name)
    rows = [_trial(directory, spec, shelf) for directory, spec in shelf.records]
    return {**_study(shelf), "rows": rows}


def trial(home: Path, name: str, trial_name: str) -> dict[str, Any]:
    """One trial with its specification, history and result.

    Args:
        home: Where the study is.
        name: The study's.
        trial_name: As ``study`` gives it: ``adamw/000`` of the search, ``confirmation/adamw/000``
            of the confirmation. A name without a role is the search's, if it has such a trial.

    Raises:
        Unknown: There is no such study or trial.
    """
    shelf = _shelf(home, name)
    directory, spec = _found(shelf, trial_name)
    result = directory.result()
    withheld = result is not None and bool(result.test) and not shelf.confirmed
    if result is not None and withheld:
        result = replace(result, test={})
    return {
        **_trial(directory, spec, shelf),
        "withheld": withheld,
        "spec": record.plain(asdict(spec)),
        "history": [record.plain(asdict(epoch)) for epoch in directory.history()],
        "result": None if result is None else record.plain(asdict(result)),
        "directory": str(directory.path),
    }


def _found(shelf: _Shelf, name: str) -> tuple[TrialDirectory, TrialSpec]:
    """The one trial that a name means."""
    exact = [pair for pair in shelf.records if name in (_called(pair[1]), _in_full(pair[1]))]
    loose = [pair for pair in shelf.records if name == pair[1].name]
    for pairs in (exact, loose):
        if len(pairs) == 1:
            return pairs[0]
    names = [_called(spec) for _, spec in loose or shelf.records]
    raise Unknown(_unknown("trial", name, sorted(names, key=_order)))


def _called(spec: TrialSpec) -> str:
    """A trial's name within its study: only the search's trials go by the name alone."""
    return spec.name if spec.role is Role.SEARCH else _in_full(spec)


def _in_full(spec: TrialSpec) -> str:
    return f"{spec.role}/{spec.name}"


def _order(name: str) -> tuple[bool, str]:
    """The search first, whose names begin with no role."""
    return name.partition("/")[0] in {str(role) for role in Role}, name


class _Shelf:
    """One study's records, and who drives it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        # Before the records: a trial without a result is an orphan only if nobody drove it then.
        self.holder = holder_of(directory)
        # In the order in which they are made.
        self.records = sorted(
            record.scan(directory), key=lambda pair: list(Role).index(pair[1].role)
        )
        self.confirmation = confirmation(directory, self.records)

    @property
    def confirmed(self) -> bool:
        """Whether every run of the confirmation has ended: before, no test value is shown."""
        return self.confirmation is not None and self.confirmation["stage"] == "complete"

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


def _shelf(home: Path, name: str) -> _Shelf:
    directory = record.study_directory(home, name)
    if directory.name != name or not _is_study(directory):
        raise Unknown(_unknown("study", name, [path.name for path in _studies(home)]))
    return _Shelf(directory)


def _row(directory: Path) -> dict[str, Any]:
    """A study's row; one whose files are damaged must not hide the others."""
    try:
        return {**_study(_Shelf(directory)), "problem": None}
    except (Unknown, OSError) as error:
        counts = dict.fromkeys(("trials", "complete", "pruned", "failed", "parked", "running"), 0)
        blank = dict.fromkeys(("holder", "best", "best_trial", "confirmation"))
        texts = {"metric": "", "test_metric": "", "file": "", "question": ""}
        row = {"name": directory.name, "state": "damaged", **counts, **blank, **texts}
        return {**row, "problem": str(error)}


def _study(shelf: _Shelf) -> dict[str, Any]:
    described = _described(shelf.directory)
    objective = Objective(**described["objective"])
    targets = described["budget"]["targets"]
    counts = dict.fromkeys(("complete", "pruned", "failed", "parked", "running"), 0)
    ended = dict.fromkeys(targets, 0)
    best: tuple[float, int] | None = None
    best_trial = None
    for directory, spec in shelf.records:
        if spec.role is not Role.SEARCH or spec.group not in targets:
            continue  # Tries, and levels that the file no longer has.
        result = directory.result()
        if result is not None and result.retried is not None:
            continue  # Another trial took its place.
        state = shelf.state(result)
        counts[state] += 1
        ended[spec.group] += state.ended
        value = result.value if result and result.state is State.COMPLETE else None
        if value is not None and spec.objective.outdoes((value, spec.number), best):
            best, best_trial = (value, spec.number), spec.name
    done = all(ended[group] >= target for group, target in targets.items())
    return {
        "name": described["name"],
        "state": _state(shelf, counts, done),
        "holder": shelf.holder,
        "trials": sum(targets.values()),
        **counts,
        "metric": objective.metric,
        "test_metric": objective.tested,
        "best": best[0] if best else None,
        "best_trial": best_trial,
        "confirmation": shelf.confirmation,
        "file": described["file"],
        "question": described["question"],
    }


def _described(directory: Path) -> Mapping[str, Any]:
    """What a study's driver wrote of it.

    Raises:
        Unknown: The file is gone or damaged, or describes another study.
    """
    path = directory / "study.json"
    try:
        described = json.loads(path.read_text())
        name, targets = described["name"], described["budget"]["targets"]
        texts = (name, described["objective"]["metric"], described["file"], described["question"])
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a text is missing")
        sum(targets.values())
    except FileNotFoundError:
        raise Unknown(
            f"{path} is gone. Run the study's file again: the next run writes it."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unknown(
            f"{path} is damaged ({error}). Run the study's file again: the next run writes it anew."
        ) from None
    if name != directory.name:
        raise Unknown(
            f"{directory} holds the study {name!r}. A study's folder must have its name: rename "
            f"the folder to {name}."
        )
    found: Mapping[str, Any] = described
    return found


def _state(shelf: _Shelf, counts: Mapping[str, int], done: bool) -> str:
    if shelf.holder:
        return "running"
    if not done:
        return "unfinished"
    return SEARCHED[0 if counts[State.COMPLETE] else 1]


def confirmation(directory: Path, records: Records | None = None) -> dict[str, Any] | None:
    """How far the confirmation is; None where none has begun.

    Args:
        directory: The study's, which may not exist.
        records: Its records; read where they are not given.

    Returns:
        ``stage`` (``selection``; ``selected``, and not agreed to yet; ``confirmation``;
        ``complete``; or ``damaged``, where its files are, or are gone), and of that stage's runs
        how many have ``ended`` of how many are ``planned``.
    """
    if records is None:
        records = record.scan(directory)
    path = record.protocol_path(directory)
    if not path.exists():
        orphaned = any(spec.role in (Role.SELECTION, Role.CONFIRMATION) for _, spec in records)
        return {"stage": "damaged", "ended": 0, "planned": 0} if orphaned else None
    try:
        protocol = json.loads(path.read_text())
        selected = path.with_name("selection.json")
        role, planned = Role.SELECTION, len(protocol["selection"]["seeds"])
        planned *= sum(len(found) for found in protocol["selection"]["candidates"].values())
        if selected.exists():
            role, planned = Role.CONFIRMATION, len(protocol["seeds"])
            planned *= len(json.loads(selected.read_text())["arms"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"stage": "damaged", "ended": 0, "planned": 0}
    results = [found.result() for found, spec in records if spec.role is role]
    ended = sum(result is not None and result.state.ended for result in results)
    stage = str(role)
    if role is Role.CONFIRMATION and (not results or ended >= planned):
        stage = "complete" if results else "selected"
    return {"stage": stage, "ended": ended, "planned": planned}


def tested_by_others(directory: Path) -> tuple[str, ...]:
    """A sentence for each other study of the home that has tested the same test samples.

    Args:
        directory: A study's. Without a readable protocol nothing is known.

    Returns:
        Of a study whose records are damaged, that it cannot be told.
    """
    own = _planned_test(record.protocol_path(directory))
    found = []
    for path in sorted(directory.parent.glob("*/protocol.json")):
        other = _planned_test(path)
        if own is None or other is None or path.parent == directory or own[0] != other[0]:
            continue
        try:
            tested = any(
                spec.role is Role.CONFIRMATION and (result := run.result()) and result.test
                for run, spec in record.scan(path.parent)
            )
        except record.Damaged as damaged:
            found.append(
                f"It is not known whether the study {path.parent.name} has tested the same test "
                f"samples: {damaged}"
            )
            continue
        if tested:
            shared = len(own[1] & other[1])
            found.append(
                f"The study {path.parent.name} has tested the same test samples"
                f"{f', with {shared} of the {len(own[1])} seeds of this one' if shared else ''}."
                " What was chosen after its results were seen is not independent of this test."
            )
    return tuple(found)


def _planned_test(path: Path) -> tuple[tuple[str, str], set[str]] | None:
    """What a protocol tests on (digests of data and test split) and with which seeds."""
    try:
        protocol = json.loads(path.read_text())
        data = protocol["data"]
        return (data["digest"], data["test_digest"]), set(protocol["seeds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _trial(directory: TrialDirectory, spec: TrialSpec, shelf: _Shelf) -> dict[str, Any]:
    result = directory.result()
    history = directory.history()
    return {
        "trial": _called(spec),
        "role": str(spec.role),
        "strategy": spec.strategy,
        "state": str(shelf.state(result)),
        "value": result.value if result else None,
        "test": dict(result.test) if result and shelf.confirmed else {},
        "epoch": result.epoch if result else None,
        "epochs": _done(history),
        "seconds": sum(epoch.metrics.get("seconds", 0.0) for epoch in history),
        "reason": _reason(spec, result),
        "seed": str(spec.seed),
        "hyperparameters": dict(spec.hyperparameters),
    }


def _reason(spec: TrialSpec, result: Result | None) -> str | None:
    if result is None or result.retried is None:
        return None if result is None else result.reason
    return f"{result.reason} (run again as {spec.group}/{result.retried:03d})"


def _done(history: list[EpochResult]) -> float:
    """Epochs done: the number of the last report, unless an epoch has several."""
    return history[-1].metrics.get("epochs", history[-1].epoch) if history else 0


def _unknown(kind: str, name: str, names: list[str]) -> str:
    # Part of a trial's name, such as a strategy or a role, is answered with the trials that it has.
    within = [known for known in names if kind == "trial" and known.startswith(name)]
    if within:
        return f"There is no {kind} {name}; there is {listed(within)}."
    return unknown(kind, name, names or ["none yet"])
