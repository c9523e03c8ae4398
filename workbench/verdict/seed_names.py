"""Tells names of seeds, folds and epochs from names of data sets, and folds from seeds."""

from __future__ import annotations

import re
from collections.abc import Collection

_NOT_A_DATA_SET = "(?:seed|fold|epoch|split|replicate|run|repeat|cv)s?"
_NOT_A_SEED = "(?:fold|epoch|step|iteration|checkpoint|cv)s?"
_GAP = r"[\s_\-.:=#/()\[\]]*"


def names_one(name: str) -> bool:
    """Whether it is a number, one of the words, or contains a word next to a number.

    For example ``3``, ``Seeds``, ``fold 1``, ``digits_cv-3``, ``1st run``.
    """
    return name.strip().isdigit() or _has(_NOT_A_DATA_SET, name)


def part_of_a_run(name: str) -> bool:
    """Whether a seed is called after a fold, an epoch or a step, as ``fold 1`` and ``epoch-20``."""
    return _has(_NOT_A_SEED, name)


def _has(word: str, name: str) -> bool:
    # The word begins a word or, as in "digitsFold1", a capital; "manifold1" is a name of its own.
    # A number before it stands alone, so that "cifar10-split" is no tenth split.
    return (
        re.fullmatch(word, name.strip(), re.IGNORECASE) is not None
        or re.search(rf"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))(?i:{word}){_GAP}\d", name) is not None
        or re.search(rf"(?<![A-Za-z0-9])\d+(?i:st|nd|rd|th)?{_GAP}(?i:{word})(?![A-Za-z])", name)
        is not None
    )


def differ_in_a_number(names: Collection[str]) -> bool:
    """Whether all are equal but for numbers, as ``part1``, ``part2`` and ``part3`` are."""
    return len({re.sub(r"\d+", "#", name.lower()) for name in names}) == 1
