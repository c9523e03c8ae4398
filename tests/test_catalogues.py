"""Every ``module:name`` of every catalogue leads to something that can be called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pkgutil import resolve_name
from typing import Any

from workbench import backbones
from workbench.backbones import BACKBONES
from workbench.datasets.catalogue import DATASETS
from workbench.engine.optimizers import OPTIMIZERS
from workbench.report.figures import FIGURES
from workbench.tasks import TASKS

TARGET = re.compile(r"[a-z_]\w*(\.\w+)+:\w+")
CATALOGUES: list[Mapping[str, Any]] = [BACKBONES, TASKS, DATASETS, OPTIMIZERS]
# What such a name stands for, which is in no catalogue.
UNLISTED = [backbones.entry_of(name) for name in ("timm:resnet18", "./bert")]


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for text in value.values() if isinstance(text, str))


def test_every_target_of_every_catalogue_can_be_called() -> None:
    entries = [entry for catalogue in CATALOGUES for entry in catalogue.values()] + UNLISTED
    found = {
        text
        for entry in entries
        for field in fields(entry)
        for text in texts(getattr(entry, field.name))
        if TARGET.fullmatch(text)
    }
    assert len(found) > 30
    assert [target for target in found if not callable(resolve_name(target))] == []


def test_every_figure_is_found_by_its_name() -> None:
    assert [name for name, target in FIGURES.items() if resolve_name(target) is None] == []
