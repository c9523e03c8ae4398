"""The line of the study file that each part of the protocol comes from."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.study.config.document import Location
from workbench.study.config.study_config import StudyConfig

# By the path in the protocol; a part without an entry uses the entry of its parent.
_KEYS: dict[str, Location] = {
    "metric": ("objective", "metric"),
    "validation_metric": ("objective", "metric"),
    "direction": ("objective", "direction"),
    "epoch": ("objective", "epoch"),
    "smallest_effect": ("confirm", "smallest_effect"),
    "contrast": ("confirm", "contrast"),
    "pairs": ("confirm", "contrast"),
    "seeds": ("confirm", "seeds"),
    "selection.configs": ("confirm", "select", "configs"),
    "selection.candidates": ("confirm", "select", "configs"),
    "selection.seeds": ("confirm", "select", "seeds"),
    "strategies": ("compare",),
    "finalists": ("confirm", "finalists"),
    "baseline": ("confirm", "baseline"),
    "search": ("search",),
    "search.sampler": ("search", "sampler"),
    "search.pruner": ("search", "pruner"),
    "search.seed": ("search", "seed"),
    "search.tune": ("tune",),
    "data": ("recipe", "dataset"),
}


def places(config: StudyConfig) -> dict[str, str]:
    """``file:line`` by the path of a part of the protocol, for parts set in the study file."""
    known = config.document.lines
    return {
        path: config.document.place(location)
        for path, location in _KEYS.items()
        if any(location[:length] in known for length in range(1, len(location) + 1))
    }


def place_of(path: str, places: Mapping[str, str]) -> str | None:
    """The place of a part, or of the nearest that holds it; None where none is known."""
    parts = path.split(".")
    found = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((places[one] for one in found if one in places), None)
