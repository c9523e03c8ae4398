"""Where the files that a plan names lie: a home may be moved or copied after the plan was made.

A plan holds absolute paths. On disk those inside the home begin with ``{home}``, so that a copy
uses its own files. Others, and those of earlier versions, are looked for where they were; if they
are gone, at the same place below the home that the record lies in now.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench import usercode
from workbench.record.strategy import Plan

_HOME = "{home}"
_BLOCKS = ("dataset", "backbone", "task", "augmentation", "trial", "trial_options", "code")


def home_of(directory: Path) -> Path | None:
    """The home that a trial's directory lies in, resolved; None where it lies in none."""
    for folder in directory.absolute().parents:
        if folder.name == "studies" and folder.parent.name == "mlruns":
            return folder.parents[1].resolve()
    return None


def portable(plan: Plan, home: Path) -> Plan:
    """A plan as it is stored: paths inside the home begin with ``{home}``."""
    inside = f"{home}{os.sep}"

    def change(text: str) -> str:
        return f"{_HOME}{os.sep}{text.removeprefix(inside)}" if text.startswith(inside) else text

    return _changed(plan, change)


def located(plan: Plan, home: Path) -> Plan:
    """A stored plan with the paths that its files have in this home."""

    def change(text: str) -> str:
        if text.startswith(f"{_HOME}{os.sep}"):
            return f"{home}{text.removeprefix(_HOME)}"
        if not text.startswith(os.sep):
            return text
        file = str(usercode.file_of(text)) if usercode.is_reference(text) else text
        return f"{found(Path(file), home)}{text.removeprefix(file)}"

    return _changed(plan, change)


def found(path: Path, home: Path) -> Path:
    """A path; if nothing is there, where its last parts exist below the home or beside it."""
    if _exists(path):
        return path
    tails = (path.parts[start:] for start in range(path.is_absolute(), len(path.parts)))
    places = (base.joinpath(*tail) for tail in tails for base in (home, home.parent))
    return next(filter(_exists, places), path)


def _exists(path: Path) -> bool:
    # A folder that may not be entered is no error here, as it is for ``Path.exists``.
    return os.access(path, os.F_OK)


def written(path: Path, home: Path) -> str:
    """A path as text: from the home on where it lies in the home, else as it is."""
    whole, home = path.resolve(), home.resolve()
    return str(whole.relative_to(home)) if whole.is_relative_to(home) else str(path)


def nameless(plan: Plan) -> Plan:
    """A plan with the last part of every path alone: equal wherever its files lie."""
    return _changed(plan, lambda text: Path(text).name if text.startswith(os.sep) else text)


def _changed(plan: Plan, change: Callable[[str], str]) -> Plan:
    blocks: dict[str, Any] = {name: _walk(getattr(plan, name), change) for name in _BLOCKS}
    weights = plan.weights
    if weights is not None:
        weights = replace(weights, source=change(weights.source))
    return replace(plan, **blocks, weights=weights)


def _walk(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_walk(key, change): _walk(held, change) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_walk(held, change) for held in value)
    return value
