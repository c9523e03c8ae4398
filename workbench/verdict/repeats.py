"""Names of seeds, folds and runs, told from names of data sets. Knows nothing else of either."""

from __future__ import annotations

import re
from collections.abc import Collection

_WORD = "(?:seed|fold|epoch|split|replicate|run|repeat|cv)s?"
_GAP = r"[\s_\-.:=#/()\[\]]*"
# It begins a word or, as in "digitsFold1", a capital; "manifold1" is a name of its own.
_WORD_THEN_NUMBER = re.compile(
    rf"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))(?i:{_WORD}){_GAP}\d",
)
# The number stands alone, so that "cifar10-split" is no tenth split.
_NUMBER_THEN_WORD = re.compile(
    rf"(?<![A-Za-z0-9])\d+(?i:st|nd|rd|th)?{_GAP}(?i:{_WORD})(?![A-Za-z])",
)


def names_one(name: str) -> bool:
    """Whether it is a number, one of the words, or has a word beside a number.

    What stands around does not matter: ``3``, ``Seeds``, ``fold 1``, ``digits_cv-3``, ``1st run``.
    """
    bare = name.strip()
    return (
        bare.isdigit()
        or re.fullmatch(_WORD, bare, re.IGNORECASE) is not None
        or _WORD_THEN_NUMBER.search(name) is not None
        or _NUMBER_THEN_WORD.search(name) is not None
    )


def differ_in_a_number(names: Collection[str]) -> bool:
    """Whether all have one stem, as ``part1``, ``part2`` and ``part3`` have."""
    return len({re.sub(r"\d+", "#", name.lower()) for name in names}) == 1
