"""Strata: the groups of samples from which a draw takes in proportion. Used by ``splits``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def positions(targets: Tensor, target: str, classes: int) -> list[Tensor]:
    """Positions of the samples in each stratum, ascending.

    Each class is a stratum. With several labels, a sample belongs to the stratum of its rarest
    label, and samples without labels are a stratum too: a random draw could lose rare labels, and
    joint proportions would need iterative stratification (Sechidis et al. 2011). Numbers are one
    stratum: a simple random draw.

    Args:
        targets: Of N samples; see ``Samples``.
        target: Their type; see ``samples.TARGETS``.
        classes: Number of classes or labels.
    """
    if target == "numbers":
        return [torch.arange(len(targets))]
    if target == "labels":
        # Columns by frequency: argmax then finds the first, that is the rarest, label of a sample.
        # stable: labels of equal frequency keep their order, whatever the version of torch.
        order = torch.argsort(targets.sum(dim=0), stable=True)
        labelled = targets[:, order] > 0
        none = torch.full((len(labelled),), classes)
        stratum = torch.where(labelled.any(dim=1), labelled.int().argmax(dim=1), none)
        return [torch.nonzero(stratum == number).squeeze(1) for number in range(classes + 1)]
    return [torch.nonzero(targets == label).squeeze(1) for label in range(classes)]


def shuffled(members: Sequence[Tensor], seed: int) -> list[Tensor]:
    """The samples of each stratum in random order."""
    generator = torch.Generator().manual_seed(seed)
    return [samples[torch.randperm(len(samples), generator=generator)] for samples in members]


def divided(members: Sequence[Tensor], size: int) -> tuple[list[Tensor], list[Tensor]]:
    """The first samples of each stratum, ``size`` in total, and the rest.

    Strata contribute in proportion; after rounding down, the remaining samples are taken from those
    with the largest remainders (Hamilton's method).
    """
    total = sum(len(samples) for samples in members)
    shares = [divmod(len(samples) * size, total) for samples in members]
    left_over = size - sum(whole for whole, _ in shares)
    order = sorted(range(len(members)), key=lambda label: -shares[label][1])
    counts = [whole + (label in order[:left_over]) for label, (whole, _) in enumerate(shares)]
    first = [samples[:count] for samples, count in zip(members, counts, strict=True)]
    rest = [samples[count:] for samples, count in zip(members, counts, strict=True)]
    return first, rest


def joined(members: Sequence[Tensor]) -> Tensor:
    """The samples of all strata, ascending."""
    return torch.cat(list(members)).sort().values
