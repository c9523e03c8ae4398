"""Workbench: which fine-tuning strategy wins, with evidence that a reviewer accepts.

``Study``, ``open_study``, ``load_model`` and ``judge`` are the Python interface (docs/python.md).
The other names are for a user's own code (docs/user_code.md). Each is loaded when it is first used.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.api import Study, judge, load_model, open_study
    from workbench.backbones import stages
    from workbench.backbones.stages import Stage, Staged
    from workbench.datasets.samples import Samples
    from workbench.record import EpochResult

__version__ = "0.1.0"
__all__ = [
    "EpochResult",
    "Samples",
    "Stage",
    "Staged",
    "Study",
    "judge",
    "load_model",
    "open_study",
    "stages",
]

_PLACES = {
    "EpochResult": "workbench.record:EpochResult",
    "Samples": "workbench.datasets.samples:Samples",
    "Stage": "workbench.backbones.stages:Stage",
    "Staged": "workbench.backbones.stages:Staged",
    "Study": "workbench.api:Study",
    "judge": "workbench.api:judge",
    "load_model": "workbench.api:load_model",
    "open_study": "workbench.api:open_study",
    "stages": "workbench.backbones.stages",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return resolve_name(_PLACES[name])


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
