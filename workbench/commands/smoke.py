"""A tiny copy of a study, which takes every step of the real one in a few seconds.

Only makes the study; who runs it, and in which home, is for ``launch``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.study.config import load
from workbench.study.config.study_config import StudyConfig

_TINY_CONFIRMATION = {
    "smallest_effect": 1.0,
    "seeds": 2,
    "select": {"configs": 1, "seeds": 1},
    "finalists": 1,
    "contrast": "baseline",
}


def tiny(file: Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """A study with two trials of one epoch a phase for each strategy.

    Where its file asks for a confirmation: of the best strategy and the default, on two seeds.
    """
    config = load(file, overrides)
    if config.confirm.smallest_effect is not None:
        overrides = [*overrides, f"confirm={json.dumps(_TINY_CONFIRMATION)}"]
    trials = "trials_per_strategy" if config.balanced else "trials"
    shrunk = [f"search.{trials}=2", "search.enqueue=[]"]
    content = config.document.content
    places = list(_epochs_in(content.get("recipe"), "recipe"))
    places += list(_epochs_in(content.get("compare"), "compare"))
    shrunk += [f"{place}=1" for place in places]
    if not places and not any("epochs" in str(tuned.knob) for tuned in config.tune):
        shrunk.append("recipe.epochs=1")
    return load(file, [*overrides, *shrunk])


def _epochs_in(block: Any, path: str) -> Iterator[str]:
    if isinstance(block, Mapping):
        for key, value in block.items():
            if key == "epochs" and isinstance(value, int):
                yield f"{path}.{key}"
            yield from _epochs_in(value, f"{path}.{key}")
