"""Data sets by name: read, checked, split, and prepared for a trial.

A new data set is a module here and an entry in ``catalogue``. Importing it loads no torch.
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
from workbench.datasets.divisions import Division, overlap
from workbench.datasets.loading import (
    load,
    load_test,
    paths_of,
    require_repeatable,
    sizes,
    stored_shape,
)
from workbench.datasets.samples import TARGETS, Data, Part, Samples
from workbench.datasets.splits.seal import Sealed, must_be_open

__all__ = [
    "COMMON_OPTIONS",
    "DATASETS",
    "IMAGE_OPTIONS",
    "TARGETS",
    "Data",
    "Division",
    "Entry",
    "Part",
    "Samples",
    "Sealed",
    "common_options",
    "entry_of",
    "load",
    "load_test",
    "must_be_open",
    "overlap",
    "paths_of",
    "require_repeatable",
    "sizes",
    "stored_shape",
]
