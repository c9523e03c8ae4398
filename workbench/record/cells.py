"""Names of studies, and the studies that are derived from one file.

A file with ``across`` has a study for each data set and each search seed; they share an MLflow
experiment. A level that is added to a confirmed study is a study as well.
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


@dataclass(frozen=True, kw_only=True)
class Addition:
    """A level that was added to a confirmed study; its strategies are a study of their own.

    Attributes:
        study: The confirmed study; the first addition to it is named ``STUDY-add-1``.
        amends: SHA-256 of its protocol.
        factor: The compared factor that gets the level.
        level: Its label.
        written: The level as the author wrote it, with its values; what continues it.
        seeds: Of each configuration of the study, in all looks.
        tested: How many configurations had been tested when it began, of the study and of additions
            before it.
    """

    study: str
    number: int
    amends: str
    factor: str
    level: str
    written: str
    seeds: int
    tested: int

    @property
    def name(self) -> str:
        """Of the study."""
        return addition_name(self.study, self.number)

    @property
    def label(self) -> str:
        """Of the level; part of the name of every strategy, so that all that shows it says it."""
        return f"{self.level}-added-later"


def addition_name(study: str, number: int | str) -> str:
    """The name of the study of a level that is added, by its number, from 1."""
    return f"{study}-add-{number}"


def is_cell(study: str) -> bool:
    """Whether a study is one of those of a file with ``across``, by its name."""
    return "@" in study


def is_cell_of(study: str, file: str) -> bool:
    """Whether a study is one of those of this file, by the names of both."""
    return is_cell(study) and experiment_of(study) == file


def experiment_of(study: str) -> str:
    """The MLflow experiment of a study: of its own name, or that of its file with ``across``."""
    return study.partition("@")[0]
