"""A study file as that of a level that ``confirm STUDY --add FACTOR=LEVEL`` adds to its study."""

from __future__ import annotations

from typing import Any

from workbench.record import Addition
from workbench.study.config.document import Document
from workbench.study.config.knobs import label


def add_level(document: Document, added: Addition, value: object) -> None:
    """Turn the content of a study's file into that of the study of a level that is added."""
    content: Any = document.content
    levels = content["compare"][added.factor]
    if not isinstance(levels, dict):
        levels = {label(level): level for level in levels}
    content["compare"][added.factor] = {**levels, added.label: value}
    place = ("compare", added.factor, added.label)
    document.lines[place] = f"--add {added.factor}={added.written}"
    # All of its strategies are tested, on the seeds of the study.
    confirm = {k: v for k, v in (content.get("confirm") or {}).items() if k != "finalists"}
    content |= {"name": added.name, "confirm": {**confirm, "seeds": added.seeds}}
