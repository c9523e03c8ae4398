"""Draws a part whose groups stay together: patients, speakers, series of images.

Used by ``splits`` instead of a draw of single samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workbench.datasets.samples import TEST, TRAIN, VALIDATION

# Few large groups depend on the order of drawing, so try several; many small ones do not.
_TRIES = 20
_VISITS = 20_000


def choose(
    members: Sequence[Tensor], size: int, *, seed: int, part: str, complete: bool = False
) -> Tensor:
    """Choose groups that have close to ``size`` samples in the strata's proportions.

    Greedy, like scikit-learn's StratifiedGroupKFold: a group is taken if that brings the strata's
    counts closer to their shares. The order of the groups is random; ordered by size, the largest
    group would be in the first part for every seed. The closest result of several orders is used.

    Args:
        members: The group of each sample, stratum by stratum.
        size: Samples wanted.
        seed: Of the random orders.
        part: Name of the part, for messages.
        complete: Add a group of each stratum that is not in the part, where it has several.

    Returns:
        The chosen groups, ``int64``.

    Raises:
        ValueError: No choice gives at least one group to the part and one to the rest.
    """
    if size == 0:
        return torch.zeros(0, dtype=torch.int64)
    labels, counts = _counts(members)
    totals = counts.sum(axis=0)
    wanted = totals * (size / totals[-1])
    # A squared deviation is divided by the stratum's size, in proportion to its variance by chance.
    # The total size counts like one stratum.
    scale = 1.0 / np.maximum(totals, 1)
    scale[-1] = scale[:-1].mean()
    generator = np.random.default_rng(seed)
    best: np.ndarray | None = None
    closest = np.inf
    for _ in range(max(1, min(_TRIES, _VISITS // len(labels)))):
        taken = _greedy(counts, wanted, scale, generator.permutation(len(labels)))
        if 0 < taken.sum() < len(labels):
            off = float((((counts[taken].sum(axis=0) - wanted) ** 2) * scale).sum())
            if off < closest:
                best, closest = taken, off
    if best is None:
        raise ValueError(
            f"{len(labels)} groups of dataset.split.group cannot give {size} {part} samples and "
            f"keep others: the largest group has {int(counts[:, -1].max())} of "
            f"{int(totals[-1])} samples."
        )
    if complete:
        for stratum in np.flatnonzero(counts[best, :-1].sum(axis=0) == 0):
            groups = np.flatnonzero(counts[:, stratum])
            if len(groups) > 1:
                best[generator.choice(groups)] = True
    return torch.from_numpy(labels[best])


def refuse_torn(groups: Tensor, given: Tensor, *, names: Sequence[str] | None) -> None:
    """Refuse given parts that share a group.

    Raises:
        ValueError: They do; the message names a sample of each part.
    """
    words = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}
    pairs = torch.unique(torch.stack([groups, given]), dim=1)
    torn = pairs[0][:-1][pairs[0][1:] == pairs[0][:-1]]
    if len(torn) == 0:
        return
    positions = torch.nonzero(groups == torn[0]).squeeze(1)
    first = int(positions[0])
    second = next(int(p) for p in positions if given[p] != given[first])

    def called(position: int) -> str:
        name = f"sample {position}" if names is None else names[position]
        return f"{name} ({words[int(given[position])]})"

    raise ValueError(
        f"{len(torch.unique(torn))} groups of dataset.split.group are in two of the given parts, "
        f"for example {called(first)} and {called(second)}; a group must be in one part."
    )


def _counts(members: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """The groups and their counts per stratum ``[G, strata + 1]``; the last column is the total."""
    labels, inverse = np.unique(torch.cat(list(members)).numpy(), return_inverse=True)
    strata = np.repeat(np.arange(len(members)), [len(samples) for samples in members])
    counts = np.zeros((len(labels), len(members) + 1))
    np.add.at(counts, (inverse, strata), 1.0)
    counts[:, -1] = counts[:, :-1].sum(axis=1)
    return labels, counts


def _greedy(
    counts: np.ndarray, wanted: np.ndarray, scale: np.ndarray, order: np.ndarray
) -> np.ndarray:
    taken = np.zeros(len(counts), dtype=bool)
    missing = wanted.copy()
    for group in order:
        # Equivalent to |missing - c|^2 < |missing|^2, weighted: taking the group comes closer.
        if (counts[group] * (2 * missing - counts[group]) * scale).sum() > 0:
            taken[group] = True
            missing -= counts[group]
    return taken
