"""Finds samples with the same input, for ``splits`` and ``duplicates``.

Only exact copies (the same pixels, numbers or characters), not near copies (resized images, other
spelling).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from workbench.datasets.samples import Samples

# A piece from the middle of large samples is compared first; only equal pieces are read whole.
_PIECE = 256


class DuplicateFilter:
    """Leaves out samples of a part of which another part has a copy, and counts them by part.

    Args:
        samples: The whole data set.
        index: The kept samples' numbers in it; positions refer to these.
    """

    def __init__(self, samples: Samples, index: Tensor) -> None:
        # Copies have the same number.
        self._numbers = torch.arange(len(index))
        for group in groups(samples, index, range(len(index))):
            self._numbers[group] = group[0]
        self.counts: Counter[str] = Counter()

    def remove(
        self, name: str, members: Sequence[Tensor], other: Sequence[Tensor], *, least: int = 0
    ) -> list[Tensor]:
        """The positions in a part, by stratum, without those of copies of another part.

        Raises:
            ValueError: No more than ``least`` are left.
        """
        taken = self._numbers[torch.cat([*other])]
        kept = [positions[~torch.isin(self._numbers[positions], taken)] for positions in members]
        left = sum(map(len, kept))
        self.counts[name] += sum(map(len, members)) - left
        if left <= least:
            raise ValueError(
                f"dataset.duplicates is drop, which leaves {left} samples for {name}: all others "
                "have a copy in another part."
            )
        return kept

    def has_copies(self, members: Sequence[Tensor]) -> bool:
        """Whether some of these positions, by stratum, have the same input."""
        numbers = self._numbers[torch.cat([*members])].tolist()
        return len(set(numbers)) < len(numbers)


def groups(samples: Samples, index: Tensor, positions: Iterable[int]) -> list[list[int]]:
    """Groups of two or more positions in ``index`` with the same input."""
    inputs, numbers = samples.inputs, index.tolist()
    if isinstance(inputs, tuple):
        return _group_by(positions, lambda position: inputs[numbers[position]])
    flat = inputs.flatten(1).numpy()
    size = flat.shape[1] * flat.itemsize
    piece = max(1, min(flat.shape[1], _PIECE // flat.itemsize))
    start = (flat.shape[1] - piece) // 2

    def middle(position: int) -> bytes:
        content: bytes = flat[numbers[position], start : start + piece].tobytes()
        return content

    def whole(position: int) -> bytes:
        return hashlib.blake2b(flat[numbers[position]].data, digest_size=16).digest()

    alike = _group_by(positions, middle)
    if size <= _PIECE:
        return alike
    return [copies for group in alike for copies in _group_by(group, whole)]


def _group_by(positions: Iterable[int], key: Callable[[int], Any]) -> list[list[int]]:
    groups: dict[Any, list[int]] = defaultdict(list)
    for position in positions:
        groups[key(position)].append(position)
    return [group for group in groups.values() if len(group) > 1]
