"""A model as stages from input to output, and a head: what a freeze depth means.

The public names of this package; used by the backbones, the engine and ``check``.
"""

from __future__ import annotations

from workbench.backbones.depth import resolve_depth
from workbench.backbones.stages.cutting import cut
from workbench.backbones.stages.discovery import discover
from workbench.backbones.stages.footprint import (
    OutOfMemoryError,
    activation_bytes,
    create,
    free_memory,
    memory_limit,
    size_text,
)
from workbench.backbones.stages.replaying import (
    Activations,
    Cut,
    NotTensorError,
    Shapes,
    prefix,
    replay,
)
from workbench.backbones.stages.staged import (
    Stage,
    Staged,
    describe,
    freeze,
    parameters,
    require_unchanged,
    train_mode,
    trainable_parameters,
    unsaved,
)

__all__ = [
    "Activations",
    "Cut",
    "NotTensorError",
    "OutOfMemoryError",
    "Shapes",
    "Stage",
    "Staged",
    "activation_bytes",
    "create",
    "cut",
    "describe",
    "discover",
    "free_memory",
    "freeze",
    "memory_limit",
    "parameters",
    "prefix",
    "replay",
    "require_unchanged",
    "resolve_depth",
    "size_text",
    "train_mode",
    "trainable_parameters",
    "unsaved",
]
