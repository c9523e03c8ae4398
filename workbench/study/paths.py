"""Paths and references of a study file, made absolute: a worker does not know where the file is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench import datasets, usercode
from workbench.backbones import hub
from workbench.record.strategy import Knobs


def located(block: str, written: Knobs, folder: Path) -> dict[str, Any]:
    """A block of the study file with its paths and references made absolute.

    Args:
        block: ``dataset``, ``backbone``, ``task``, ``trial``, or ``augmentation`` for one step.
        written: The block's knobs.
        folder: Of the study file.
    """
    if block == "augmentation":
        return {_reference(name, folder): options for name, options in written.items()}
    found = {key: _reference(value, folder) for key, value in written.items()}
    if block == "backbone":
        for key in ("name", "tokenizer"):
            if isinstance(model := found.get(key), str) and hub.is_folder(model):
                found[key] = str((folder / Path(model).expanduser()).resolve())
    if block == "task" and isinstance(found.get("metrics"), list):
        found["metrics"] = [_reference(name, folder) for name in found["metrics"]]
    entry = datasets.entry_of(found["name"]) if block == "dataset" else None
    for option in () if entry is None else entry.paths_in(found):
        if isinstance(path := found.get(option), str):
            found[option] = str((folder / Path(path).expanduser()).resolve())
    return found


def _reference(value: Any, folder: Path) -> Any:
    return usercode.located(value, folder) if usercode.is_reference(value) else value
