"""Finds samples that are in two parts of a split, so that a model is tested on its training data.

Used by ``loading.sizes``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch

from workbench.datasets.splits import copies
from workbench.datasets.splits.splits import Pool, Split

_EXAMPLES = 5


def across(pool: Pool, split: Split) -> list[dict[str, Any]]:
    """Samples whose inputs also occur in an earlier part, for each pair of parts with copies.

    Returns:
        ``parts``: their names, the earlier first; ``count``: samples of the second part with a
        copy in the first; ``conflicting``: those whose copy has another target; ``examples``: up
        to five, each ``NAME = NAME``.
    """
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    positions = torch.cat(list(parts.values()))
    groups = copies.groups(pool.samples, pool.index, positions.tolist())
    owner = {
        int(position): (number, name)
        for number, (name, part) in enumerate(parts.items())
        for position in part.tolist()
    }
    found: dict[tuple[str, str], dict[str, Any]] = {
        pair: {"parts": list(pair), "count": 0, "conflicting": 0, "examples": []}
        for pair in combinations(parts, 2)
    }
    for group in groups:
        within: dict[str, list[int]] = defaultdict(list)
        for position in sorted(group, key=lambda position: (owner[position][0], position)):
            within[owner[position][1]].append(position)
        # Compare sets of targets, not pairs of samples: a group may be most of a data set.
        targets = _targets(pool, group) if len(within) > 1 else {}
        for first, second in combinations(within, 2):
            row = found[first, second]
            row["count"] += len(within[second])
            known = {targets[twin] for twin in within[first]}
            row["conflicting"] += sum(
                len(known) > 1 or targets[position] not in known for position in within[second]
            )
            for position in within[second][: _EXAMPLES - len(row["examples"])]:
                pair = (within[first][0], position)
                row["examples"].append(" = ".join(_name(pool, number) for number in pair))
    return [row for row in found.values() if row["count"]]


def _targets(pool: Pool, positions: Sequence[int]) -> dict[int, tuple[float, ...]]:
    chosen = pool.targets[torch.tensor(positions)].reshape(len(positions), -1)
    return dict(zip(positions, map(tuple, chosen.tolist()), strict=True))


def _name(pool: Pool, position: int) -> str:
    number = int(pool.index[position])
    names = pool.samples.names
    return f"sample {number}" if names is None else names[number]
