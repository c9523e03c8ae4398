"""A model as stages from input to output, and a head: what a freeze depth means.

Knows no model family, no optimizer and no data.
"""

from __future__ import annotations

from workbench.stages.cutting import cut
from workbench.stages.discovery import discover
from workbench.stages.footprint import Memory, memory
from workbench.stages.replaying import Activations, Cut, prefix, replay
from workbench.stages.staged import (
    ALL,
    Stage,
    Staged,
    describe,
    freeze,
    parameters,
    resolve_depth,
    train_mode,
    trainable_parameters,
)

__all__ = [
    "ALL",
    "Activations",
    "Cut",
    "Memory",
    "Stage",
    "Staged",
    "cut",
    "describe",
    "discover",
    "freeze",
    "memory",
    "parameters",
    "prefix",
    "replay",
    "resolve_depth",
    "train_mode",
    "trainable_parameters",
]
