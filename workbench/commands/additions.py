"""``workbench confirm STUDY --add LEVEL``: one more level of a compared factor.

Its strategies are a study of their own, with the search of the confirmed study and its seeds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from workbench import record
from workbench.commands import browse, confirm, run, session
from workbench.commands.confirm import Agree
from workbench.commands.confirmation_progress import confirmation_progress
from workbench.commands.outcomes import Outcome
from workbench.commands.session import Shown, Watcher
from workbench.driver import Workers
from workbench.driver.leases import lease
from workbench.messages import listed, unknown
from workbench.record import Addition
from workbench.study.checks import check
from workbench.study.config import load_added, load_all
from workbench.study.config.changes import Changed, Unready
from workbench.study.config.document import Problem, StudyFileError, parse_value
from workbench.study.config.knobs import Factor, label
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import planning, preregistration
from workbench.study.confirm.candidates import look
from workbench.study.study import Study
from workbench.tracker import Tracker


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
    at_once: int = 1,
    shown: Shown = lambda outcome, last: None,
) -> Outcome:
    """Search and test the strategies of one more level, after the first result is known.

    Args:
        study: A confirmed study: its file, or its name.
        level: A level of a compared factor, ``FACTOR=LEVEL`` where several could have it.
        overrides: As for ``confirm_study``, like all that follows.
        home: Where the study was confirmed.
        workers: Where trials run.
        watcher: Shows progress.
        wait: Wait for another driver of the study to end.
        agree: Asked before the test split is used.
        at_once: How many runs the workers make at a time.
        shown: Told how search and confirmation ended.

    Raises:
        Unready: The confirmation of the study is unfinished.
        Changed: The study cannot be amended, or is not as it was confirmed.
        Unknown, StudyFileError: It cannot have such a level.
    """
    file, before = confirm.file_of(str(study), home)
    first = load_all(file, [*before, *overrides])[0]
    _refuse_kind(first, level)
    with session.opened(home, workers, watcher) as at:
        watcher.prepare(first.name)
        base = Study(first, home)
        if not base.directory.is_dir():
            look(base).must_be_complete()
        check(base)
        # Until the end: a second look of the study would make the seeds unequal.
        with lease(base.directory, wait=wait):
            config = _config(base, level)
            outcome = run.search(at, config, wait=wait)
            if outcome.signal is None and outcome.finished:
                shown(outcome, False)
                outcome = confirm.confirm(at, config, wait=wait, agree=agree, at_once=at_once)
                if outcome.confirmed:
                    session.describe(base, Tracker(home))
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
        raise Changed(
            f"--add {level}: {config.name} has {why}, so nothing can be added to it alone. Give a "
            f"copy of {config.document.path} a new name and the level, and run and confirm that."
        )


def _config(base: Study, text: str) -> StudyConfig:
    """The study of the level that a text names; the one that has begun, where one has.

    Raises:
        Unready: The confirmation of the study is unfinished.
        Changed: It cannot be amended, or has compared this level.
        Unknown, StudyFileError: It cannot have such a level.
    """
    amends, seeds = _confirmed(base, text)
    found: list[StudyConfig] = []
    problems: list[Problem] = []
    for factor, value in _readings(base.config, text):
        word, inner = "" if isinstance(value, list) else label(value), value
        if not word and isinstance(value, dict) and len(value) == 1:
            ((word, inner),) = value.items()
        if not word:
            raise browse.Unknown(
                f"--add {text}: a level like this needs a label: {{LABEL: VALUE}}."
            )
        if any(level.label == word for level in factor.levels):
            raise Changed(
                f"--add {text}: {base.name} has compared {factor.name} {word}; its report shows "
                f"it: workbench report {base.name}"
            )
        added = Addition(
            study=base.name,
            number=_number(base, factor.name, word),
            amends=amends,
            factor=factor.name,
            level=word,
            seeds=seeds,
        )
        try:
            config = load_added(base.file, base.config.document.overrides, added, inner)
            # Which freeze depths there are only the backbone tells.
            check(Study(config, base.home))
            found.append(config)
        except StudyFileError as error:
            problems += error.problems
    if len(found) > 1:
        ways = listed(f"--add {one.added.factor}={text}" for one in found if one.added)
        raise browse.Unknown(f"--add {text}: several factors can have this level: {ways}.")
    if not found:
        # Of several factors that cannot have it, those with a similar level are meant.
        raise StudyFileError([each for each in problems if each.nearest] or problems)
    return found[0]


def _confirmed(base: Study, text: str) -> tuple[str, int]:
    """Of a finished confirmation: SHA-256 of its protocol, and its seeds in all looks."""
    preregistration.refuse_more_trials(base)
    plan, second = confirm.planned(base)
    progress = confirmation_progress(base.directory, record.scan(base.directory))
    if progress is None or not progress.complete:
        raise Unready(
            f"--add {text}: the confirmation of {base.name} is unfinished. Finish it first: "
            f"workbench confirm {base.name}"
        )
    if plan.content["schema"] != planning.SCHEMA:
        raise Changed(
            f"--add {text}: {base.name} was confirmed by the rule of an earlier version. Give a "
            f"copy of {base.file} a new name and the level, and run and confirm that."
        )
    return plan.sha256, sum(len(each.content["seeds"]) for each in (plan, second) if each)


def _readings(config: StudyConfig, text: str) -> Iterator[tuple[Factor, object]]:
    """Each factor that a text may mean, with the value of the level."""
    name, separator, written = text.partition("=")
    compared = {factor.name: factor for factor in config.compare}
    named = bool(separator) and re.fullmatch(r"[\w.]+", name) is not None
    if named and name not in compared:
        raise browse.Unknown(f"--add {text}: {unknown('factor', name, compared)}")
    try:
        value = parse_value(written if named else text)
    except ValueError as error:
        raise browse.Unknown(f"--add {text}: {error}") from None
    for factor in [compared[name]] if named else config.compare:
        yield factor, value


def _number(base: Study, factor: str, level: str) -> int:
    """The number of an addition: its own, where it was begun, else the next one."""
    for added in browse.additions(base.home, base.name):
        if (added.factor, added.level) == (factor, level):
            return added.number
    places = (base.directory.with_name(record.addition_name(base.name, n)) for n in count(1))
    return next(n for n, place in enumerate(places, 1) if not (place / "study.json").exists())
