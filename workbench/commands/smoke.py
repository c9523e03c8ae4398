"""``workbench run --smoke``: a tiny copy of a study takes every step of the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.commands import session
from workbench.commands.confirm import confirm
from workbench.commands.outcomes import DONE, UNUSABLE, Outcome
from workbench.commands.run import search
from workbench.commands.session import Session, Shown, Watcher
from workbench.driver import Workers
from workbench.record import Cell
from workbench.study.config import load, load_all
from workbench.study.config.changes import NotReadyError
from workbench.study.config.study_config import StudyConfig

_TINY_CONFIRMATION = {
    "smallest_effect": 0.5,
    "seeds": 2,
    "select": {"configs": 1, "seeds": 1},
    "contrast": "baseline",
}


def smoke_study(
    file: Path,
    overrides: Sequence[str],
    home: Path,
    workers: Workers,
    watcher: Watcher,
    *,
    shown: Shown = lambda outcome, last: None,
) -> Outcome:
    """Run a tiny copy of a study through every step, in a home that the caller throws away.

    Through the confirmation too, where the study file says what one would be for, and the copy has
    anything to compare.
    """
    with session.open_session(home, workers, watcher, read=tiny) as opened:
        # The notes would be on the tiny copy and its throwaway home.
        at = replace(opened, advises=False)
        configs = [tiny(file, overrides, config.cell) for config in load_all(file, overrides)]
        return session.for_each(configs, lambda config: _smoke(at, config), shown)


def _smoke(session: Session, config: StudyConfig) -> Outcome:
    # The tiny copy takes the real path, so that what fails here would fail there.
    outcome = search(session, config)
    if outcome.exit_code != DONE or config.confirm.smallest_effect is None:
        return outcome
    try:
        confirmed = confirm(session, config, wait=False, agree=lambda offer: True)
    # Such as a search whose only strategy is the default.
    except NotReadyError:
        return outcome
    failing = confirmed.exit_code == UNUSABLE
    return replace(
        outcome,
        groups=(confirmed.groups or confirmed.selection) if failing else outcome.groups,
        signal=confirmed.signal,
        seconds=outcome.seconds + confirmed.seconds,
        reasons=(*outcome.reasons, *confirmed.reasons),
    )


def tiny(file: Path, overrides: Sequence[str] = (), cell: Cell | None = None) -> StudyConfig:
    """A study with two trials of one epoch a phase for each strategy.

    Where its file asks for a confirmation: of the best strategy and the default, on two seeds.
    """
    config = load(file, overrides, cell)
    if config.confirm.smallest_effect is not None:
        # With ``across`` all strategies are tested in every study.
        fewer = {} if cell else {"finalists": 1}
        overrides = [*overrides, f"confirm={json.dumps({**_TINY_CONFIRMATION, **fewer})}"]
    trials = "trials_per_strategy" if config.balanced else "trials"
    shrunk = [f"search.{trials}=2", "search.enqueue=[]"]
    content = config.document.content
    places = list(_epochs_in(content.get("recipe"), "recipe"))
    places += list(_epochs_in(content.get("compare"), "compare"))
    shrunk += [f"{place}=1" for place in places]
    # Without any ``epochs`` in the file the default would be trained, which takes long.
    if not places and not any("epochs" in str(tuned.knob) for tuned in config.tune):
        shrunk.append("recipe.epochs=1")
    return load(file, [*overrides, *shrunk], cell)


def _epochs_in(block: Any, path: str) -> Iterator[str]:
    if isinstance(block, Mapping):
        for key, value in block.items():
            if key == "epochs" and isinstance(value, int):
                yield f"{path}.{key}"
            yield from _epochs_in(value, f"{path}.{key}")
