"""Paths of the files that a plan names, so that a home may be moved or copied.

A plan has absolute paths. In a record, paths inside the home begin with ``{home}``, so that a copy
of the home uses its own files. Other paths, and those of older records, are used as they are if the
file exists; otherwise the file is searched at the same place in the home of the record.
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
    """The home of a trial's directory; None if it is not in a home."""
    # Not resolved: mlruns may be a link to another disk.
    for folder in directory.absolute().parents:
        if folder.name == "studies" and folder.parent.name == "mlruns":
            return folder.parents[1]
    return None


def portable(plan: Plan, home: Path) -> Plan:
    """A plan as it is stored: paths inside the home begin with ``{home}``."""
    inside = f"{home.resolve()}{os.sep}"

    def change(text: str) -> str:
        return f"{_HOME}{os.sep}{text.removeprefix(inside)}" if text.startswith(inside) else text

    return _changed(plan, change)


def inside(plan: Plan) -> list[str]:
    """The paths in the home that a stored plan names, relative to it."""
    found: list[str] = []

    def collect(text: str) -> str:
        if text.startswith(f"{_HOME}{os.sep}"):
            path = text.removeprefix(f"{_HOME}{os.sep}")
            found.append(str(usercode.file_of(path)) if usercode.is_reference(path) else path)
        return text

    _changed(plan, collect)
    return found


def located(plan: Plan, home: Path) -> Plan:
    """A stored plan with the current paths of its files in this home."""
    home = home.resolve()

    def change(text: str) -> str:
        if text.startswith(f"{_HOME}{os.sep}"):
            return f"{home}{text.removeprefix(_HOME)}"
        if not text.startswith(os.sep):
            return text
        file = str(usercode.file_of(text)) if usercode.is_reference(text) else text
        return f"{find(Path(file), home)}{text.removeprefix(file)}"

    return _changed(plan, change)


def find(path: Path, home: Path) -> Path:
    """The path if it exists, else an existing one with its last parts in the home or next to it."""
    if _exists(path):
        return path
    # The longest tail first, so that the best match wins.
    tails = (path.parts[start:] for start in range(path.is_absolute(), len(path.parts)))
    places = (base.joinpath(*tail) for tail in tails for base in (home, home.parent))
    return next(filter(_exists, places), path)


def _exists(path: Path) -> bool:
    # ``Path.exists`` raises an error in a folder without permission; this returns False.
    return os.access(path, os.F_OK)


def relative_to_home(path: Path, home: Path) -> str:
    """A path as text, relative to the home if it is inside."""
    whole, home = path.resolve(), home.resolve()
    return str(whole.relative_to(home)) if whole.is_relative_to(home) else str(path)


def without_folders(plan: Plan) -> Plan:
    """A plan with only the last part of every path, to compare plans of moved files."""
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
        return {_walk(key, change): _walk(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_walk(item, change) for item in value)
    return value
