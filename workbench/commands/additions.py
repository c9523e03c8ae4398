"""``workbench confirm STUDY --add FACTOR=LEVEL``: one more level of a compared factor.

Its strategies are a study of their own, with the search of the confirmed study and its seeds.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

from workbench import record
from workbench.commands import confirm, home_studies, run, session
from workbench.commands.confirm import Agree
from workbench.commands.confirmation_progress import confirmation_progress
from workbench.commands.home_studies import UnknownNameError
from workbench.commands.outcomes import Outcome
from workbench.commands.session import Shown, Watcher
from workbench.driver import Workers
from workbench.driver.leases import lease
from workbench.messages import did_you_mean, listed
from workbench.record import Addition
from workbench.study.checks import check
from workbench.study.config import load_added, load_all
from workbench.study.config.changes import NotReadyError, StudyChangedError
from workbench.study.config.document import parse_value
from workbench.study.config.knobs import Factor, label
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import planning, preregistration
from workbench.study.confirm.candidates import look
from workbench.study.study import Study
from workbench.tracker import Tracker
from workbench.tracker.reader import UnknownStudyError


def add_level(
    study: Path | str,
    level: str,
    overrides: Sequence[str],
    home: Path,
    workers: Workers,
    watcher: Watcher,
    *,
    wait: bool = False,
    agree: Agree,
    shown: Shown = lambda outcome, last: None,
) -> Outcome:
    """Search and test the strategies of one more level, after the first result is known.

    Args:
        study: A confirmed study: its file, or its name.
        level: A level of a compared factor, ``FACTOR=LEVEL`` where several are compared.
        overrides: As for ``confirm_study``, like all that follows.
        home: Where the study was confirmed.
        workers: Where trials run.
        watcher: Shows progress.
        wait: Wait for another driver of the study to end.
        agree: Asked before the test split is used.
        shown: Told how search and confirmation ended.

    Raises:
        NotReadyError: The confirmation of the study is unfinished.
        StudyChangedError: The study cannot be amended, or is not as it was confirmed.
        UnknownNameError, StudyFileError: It cannot have such a level.
    """
    file, before = home_studies.source_of(study, home)
    first = load_all(file, [*before, *overrides])[0]
    _refuse_kind(first, level)
    with session.open_session(home, workers, watcher) as at:
        watcher.prepare(first.name)
        base = Study(first, home)
        if not base.directory.is_dir():
            look(base).must_be_complete()
        check(base, local=workers.local)
        # Until the end: a second look of the study would make the seeds unequal.
        with lease(base.directory, wait=wait):
            config = _config(base, level)
            outcome = run.search(at, config, wait=wait)
            if outcome.signal is None and outcome.finished:
                shown(outcome, False)
                outcome = confirm.confirm(at, config, wait=wait, agree=agree)
                if outcome.confirmed:
                    session.describe(base, Tracker(home, base.name))
                    # Its report shows both.
                    outcome = replace(outcome, study=base.name)
        shown(outcome, True)
        return outcome


def _refuse_kind(config: StudyConfig, level: str) -> None:
    """Refuse a study whose strategies have no search of their own, or share a verdict."""
    if config.cell or not config.balanced:
        why = "one search over all strategies"
        if config.cell:
            why = f"one verdict with the other studies of {config.cell.across}"
        raise StudyChangedError(
            f"--add {level}: {config.name} has {why}, so nothing can be added to it alone. Give a "
            f"copy of {config.document.path} a new name and the level, and run and confirm that."
        )


def _config(base: Study, text: str) -> StudyConfig:
    """The study of the level that a text names; the one that has begun, where one has.

    Raises:
        NotReadyError: The confirmation of the study is unfinished.
        StudyChangedError: It cannot be amended, or has compared this level.
        UnknownNameError, StudyFileError: It cannot have such a level.
    """
    amends, seeds, tested = _confirmed(base, text)
    factor, written = _split(base, text)
    if not written.strip():
        raise UnknownNameError(f"--add {text}: a level must follow: --add {factor.name}=LEVEL")
    try:
        value = parse_value(written)
    except ValueError as error:
        raise UnknownNameError(f"--add {text}: {error}") from None
    word, inner = "" if isinstance(value, list) else label(value), value
    if not word and isinstance(value, dict) and len(value) == 1:
        ((word, inner),) = value.items()
    if not word:
        raise UnknownNameError(f"--add {text}: a level like this needs a label: {{LABEL: VALUE}}.")
    if any(level.label == word for level in factor.levels):
        raise StudyChangedError(
            f"--add {text}: {base.name} has compared {factor.name} {word}; its report shows it: "
            f"workbench report {base.name}"
        )
    others = _begun(base)
    begun = next((a for a in others if (a.factor, a.level) == (factor.name, word)), None)
    added = Addition(
        study=base.name,
        number=begun.number if begun else _free_number(base, others),
        amends=amends,
        factor=factor.name,
        level=word,
        written=begun.written if begun else written,
        seeds=seeds,
        # Fixed when it begins: an earlier addition may end before this one does.
        tested=begun.tested if begun else tested + sum(_tested(base, a.name) for a in others),
    )
    config = load_added(base.file, base.config.document.overrides, added, inner)
    # Which freeze depths there are only the backbone tells. Its search looks for the device.
    check(Study(config, base.home), local=False)
    return config


def _split(base: Study, text: str) -> tuple[Factor, str]:
    """The factor that gets the level, and the level as it is written."""
    compared = {factor.name: factor for factor in base.config.compare}
    name, _, written = text.partition("=")
    if name in compared:
        return compared[name], written
    if len(compared) == 1:
        if written and (hint := did_you_mean(name, compared)):
            raise UnknownNameError(f"--add {text}: {base.name} does not compare {name}{hint}")
        return base.config.compare[0], text
    level = written if re.fullmatch(r"[\w.]+", name) and written else text
    ways = (
        f"workbench confirm {base.name} --add {shlex.quote(f'{factor}={level}')}"
        for factor in compared
    )
    raise UnknownNameError(
        f"--add {text}: {base.name} compares {listed(compared)}. Name the one that gets the level: "
        f"{' or '.join(ways)}"
    )


def _confirmed(base: Study, text: str) -> tuple[str, int, int]:
    """Of a finished confirmation: SHA-256 of its protocol, its seeds in all looks, its arms."""
    preregistration.refuse_more_trials(base)
    plan, second, _ = confirm.planned(base)
    tested = _tested(base, base.name)
    if not tested:
        raise NotReadyError(
            f"--add {text}: the confirmation of {base.name} is unfinished. Finish it first: "
            f"workbench confirm {base.name}"
        )
    if plan.content["schema"] != planning.SCHEMA:
        raise StudyChangedError(
            f"--add {text}: {base.name} was confirmed by the rule of an earlier version. Give a "
            f"copy of {base.file} a new name and the level, and run and confirm that."
        )
    seeds = sum(len(each.content["seeds"]) for each in (plan, second) if each)
    return plan.sha256, seeds, tested


def _tested(base: Study, name: str) -> int:
    """How many configurations a study of this home has tested; 0 until all runs have ended."""
    directory = record.study_directory(base.home, name)
    progress = confirmation_progress(directory, record.scan(directory))
    return progress.planned // progress.seeds_shown if progress and progress.complete else 0


def _begun(base: Study) -> list[Addition]:
    """What was added to a study, by its records, and by MLflow where records were deleted."""
    found = {added.number: added for added in home_studies.additions(base.home, base.name)}
    tracker = Tracker(base.home, base.name)
    for name in tracker.additions(base.name):
        with suppress(UnknownStudyError):
            added = tracker.read_study(name).added
            if added and added.study == base.name:
                found.setdefault(added.number, added)
    return [found[number] for number in sorted(found)]


def _free_number(base: Study, begun: Sequence[Addition]) -> int:
    """The number of the next addition."""
    taken = {added.number for added in begun}
    places = (base.directory.with_name(record.addition_name(base.name, n)) for n in count(1))
    return next(
        number
        for number, place in enumerate(places, 1)
        if number not in taken and not (place / "study.json").exists()
    )
