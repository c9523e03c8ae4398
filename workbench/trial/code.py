"""Hashes of the code and model files that a plan depends on, besides data and weights.

A study records them when it is planned; a worker compares them before it trains.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from workbench import backbones, usercode
from workbench.backbones import hub
from workbench.backbones.weights import is_file
from workbench.record.strategy import Plan


def hashes(plan: Plan) -> dict[str, str]:
    """Hashes of the files that a plan names, besides data and weights.

    Returns:
        By path, the hash of every file of a user's own code, of the files in its folder that it
        imports, and of the configuration and tokenizer in every model's folder; by ``hub:ID``, the
        commit of a model of the hub.

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
    digests: dict[str, str] = {}
    # An option of a user's own training may be a reference too.
    for reference in sorted({name for name in named if usercode.is_reference(name)}):
        digests |= usercode.files(reference)
    for model in models(plan):
        digests |= hub.identity(model)
    return digests


def models(plan: Plan) -> list[str]:
    """Hub ids and folders of the models whose configuration or tokenizer a plan uses."""
    entry = backbones.entry_of(plan.backbone["name"])
    # Other backbones have no files besides their weights, which are hashed on their own.
    if entry is None or not entry.hub:
        return []
    source = plan.weights.source if plan.weights is not None else "hub"
    named = [plan.backbone["name"], plan.backbone.get("tokenizer"), source]
    return [model for model in named if model and hub.is_model(model) and not is_file(model)]


def require_planned(planned: Mapping[str, str]) -> None:
    """Check that the user's code and the models' files are those that a trial was planned with.

    Args:
        planned: Digests by path (``Plan.code``).

    Raises:
        ValueError: A file has changed, or does not exist.
    """
    for name, digest in planned.items():
        if hub.is_hub(name):
            same = hub.commit_of(name) == digest
        else:
            same = usercode.sha256_of_file(Path(name)) == digest
        if not same:
            raise ValueError(f"{name} has changed since the study was planned.")
