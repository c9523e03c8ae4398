"""What lies beside a study file: paths and the user's own code, made absolute and hashed.

A worker stands elsewhere and knows no study file. Knows neither what the files hold nor what a
block is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench import datasets, usercode
from workbench.strategy import Plan


def located(block: str, written: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What a study file says of a block, with its paths and references made absolute.

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
            if isinstance(model := found.get(key), str) and is_folder(model):
                found[key] = str((folder / Path(model).expanduser()).resolve())
    if block == "task" and "metrics" in found:
        found["metrics"] = [_reference(name, folder) for name in found["metrics"]]
    entry = datasets.entry_of(found["name"]) if block == "dataset" else None
    for option in entry.paths if entry is not None else ():
        if isinstance(path := found.get(option), str):
            found[option] = str((folder / Path(path).expanduser()).resolve())
    return found


def code(plan: Plan) -> dict[str, str]:
    """Hash of every file of a user's own code that a plan names, by its path.

    Raises:
        UserCodeError: A file cannot be read.
    """
    named = [
        plan.dataset["name"],
        plan.backbone["name"],
        plan.task["name"],
        *plan.task.get("metrics", ()),
        *(name for step in plan.augmentation for name in step),
        plan.trial,
    ]
    references = sorted({name for name in named if usercode.is_reference(name)})
    return {str(usercode.file_of(one)): usercode.sha256_of(one) for one in references}


def is_folder(name: str) -> bool:
    """Whether a model's name is written as the path of a folder, not as a hub id."""
    return name.startswith(("./", "../", "~", "/"))


def _reference(value: Any, folder: Path) -> Any:
    return usercode.located(value, folder) if usercode.is_reference(value) else value
