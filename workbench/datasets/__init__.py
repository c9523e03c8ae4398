"""Data sets by name: read, checked, split, and prepared for a trial.

A new data set is a module here and an entry in ``catalogue``. Importing it loads no torch.
"""

from __future__ import annotations

from workbench.datasets.catalogue import DATASETS, common_options, entry_of
from workbench.datasets.loading import (
    Division,
    load,
    load_test,
    overlap,
    paths_of,
    require_repeatable,
    sizes,
)
from workbench.datasets.samples import Data, Part, Samples
from workbench.datasets.splits.seal import SealedError, must_be_open

__all__ = [
    "DATASETS",
    "Data",
    "Division",
    "Part",
    "Samples",
    "SealedError",
    "common_options",
    "entry_of",
    "load",
    "load_test",
    "must_be_open",
    "overlap",
    "paths_of",
    "require_repeatable",
    "sizes",
]
