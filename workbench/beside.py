"""What lies beside a study file: paths, models and the user's own code, made absolute and hashed.

A worker stands elsewhere and knows no study file. Knows neither what the files hold nor what a
block is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench import backbones, datasets, usercode
from workbench.backbones import hub
from workbench.backbones.weights import is_file
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
            if isinstance(model := found.get(key), str) and hub.is_folder(model):
                found[key] = str((folder / Path(model).expanduser()).resolve())
    if block == "task" and isinstance(found.get("metrics"), list):
        found["metrics"] = [_reference(name, folder) for name in found["metrics"]]
    entry = datasets.entry_of(found["name"]) if block == "dataset" else None
    for option in () if entry is None else entry.paths_in(found):
        if isinstance(path := found.get(option), str):
            found[option] = str((folder / Path(path).expanduser()).resolve())
    return found


def code(plan: Plan) -> dict[str, str]:
    """What a plan rests on in files that it names, beside data and weights.

    Returns:
        By path, the hash of every file of a user's own code, of those beside it that it imports,
        and of the configuration and tokenizer in every model's folder; by ``hub:ID``, the commit of
        a model of the hub.

    Raises:
        UserCodeError: A user's file cannot be read or run.
    """
    named = [
        plan.dataset["name"],
        plan.backbone["name"],
        plan.task["name"],
        *plan.task.get("metrics", ()),
        *(name for step in plan.augmentation for name in step),
        plan.trial,
        *plan.trial_options.values(),
    ]
    found: dict[str, str] = {}
    for reference in sorted({name for name in named if usercode.is_reference(name)}):
        found |= usercode.files(reference)
    for model in models(plan):
        found |= hub.identity(model)
    return found


def models(plan: Plan) -> list[str]:
    """Hub ids and folders of the models whose configuration or tokenizer a plan uses."""
    entry = backbones.entry_of(plan.backbone["name"])
    if entry is None or not entry.hub:
        return []
    source = plan.weights.source if plan.weights is not None else "hub"
    named = [plan.backbone["name"], plan.backbone.get("tokenizer"), source]
    return [model for model in named if model and hub.is_model(model) and not is_file(model)]


def is_as_planned(name: str, digest: str) -> bool:
    """Whether a file, or a model of the hub, is still what ``code`` has said of it.

    Raises:
        UserCodeError: The file cannot be read.
    """
    if hub.is_hub(name):
        return hub.commit_of(name) == digest
    return usercode.sha256_of_file(Path(name)) == digest


def _reference(value: Any, folder: Path) -> Any:
    return usercode.located(value, folder) if usercode.is_reference(value) else value
