"""Names of studies, and the studies that one file with ``across`` stands for.

Such a file has a study for each data set and each search seed. They share an MLflow experiment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# A study's name becomes a folder's name, so names from a store are checked too. File systems allow
# 255 characters; the rest is for a temporary ending.
LONGEST_STUDY_NAME = 200
_NAME = rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_STUDY_NAME - 1}}}"
# A name in a study file, and that of any study: ``NAME`` or ``NAME@CELL``.
FILE_NAME = re.compile(_NAME)
STUDY_NAME = re.compile(rf"{_NAME}(?:@{_NAME})?")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One of the studies of a file with ``across``.

    Attributes:
        across: The file's name, which they share.
        dataset: Name of the data set in ``across``; None where it names none.
        search_seed: Seed of the search; None where ``across`` has none.
        planned: Names of all studies of the file, in its order.
    """

    across: str
    dataset: str | None = None
    search_seed: int | None = None
    planned: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the study, for example ``NAME@wine-s0``."""
        seed = [] if self.search_seed is None else [f"s{self.search_seed}"]
        return f"{self.across}@{'-'.join([*filter(None, [self.dataset]), *seed])}"


def is_cell(study: str) -> bool:
    """Whether a study is one of those of a file with ``across``, by its name."""
    return "@" in study


def is_cell_of(study: str, file: str) -> bool:
    """Whether a study is one of those of this file, by the names of both."""
    return is_cell(study) and experiment_of(study) == file


def experiment_of(study: str) -> str:
    """The MLflow experiment of a study: of its own name, or that of its file with ``across``."""
    return study.partition("@")[0]
