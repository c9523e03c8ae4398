"""Workbench: which fine-tuning strategy wins, with evidence that a reviewer accepts."""

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"


def __getattr__(name: str) -> ModuleType:
    """``stages``, for users' own trainings: imported on demand, because it imports torch."""
    if name == "stages":
        return import_module("workbench.backbones.stages")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
