"""Data sets by name, read once and split: what a trial may see of them.

A new one is a file here and a line in ``catalogue``. Knows no model and no task. Importing it loads
no torch.
"""

from __future__ import annotations

from workbench.datasets.catalogue import (
    COMMON_OPTIONS,
    DATASETS,
    IMAGE_OPTIONS,
    Entry,
    common_options,
    entry_of,
)
from workbench.datasets.loading import load, load_test, sizes, stored_shape
from workbench.datasets.samples import TARGETS, Data, Part, Samples
from workbench.datasets.splits.seal import Sealed, must_be_open

__all__ = [
    "COMMON_OPTIONS",
    "DATASETS",
    "IMAGE_OPTIONS",
    "TARGETS",
    "Data",
    "Entry",
    "Part",
    "Samples",
    "Sealed",
    "common_options",
    "entry_of",
    "load",
    "load_test",
    "must_be_open",
    "sizes",
    "stored_shape",
]
