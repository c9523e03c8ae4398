"""Compares how two trials divide the same data; ``study.contamination`` asks for it."""

from __future__ import annotations

from dataclasses import dataclass

from workbench import usercode
from workbench.datasets.loading import pool_of
from workbench.record.strategy import Knobs


@dataclass(frozen=True, kw_only=True)
class Division:
    """A data set as a trial divides it; the fields are the arguments of ``load``."""

    dataset: Knobs
    target: str = "class"
    study_seed: int
    seed: int


def overlap(tested: Division, trained: Division) -> tuple[int, int]:
    """How many test samples of one division another one has in training or validation.

    Data sets are the same if their content is equal, or if they are read from one place and have
    as many samples: images of another size are images of the same things.

    Returns:
        That number, and the number of all test samples.

    Raises:
        Absent, ValueError: As for ``load``.
    """
    import torch

    from workbench.datasets.splits import splits

    pools, parts = [], []
    for each in (tested, trained):
        pool = pool_of(each.dataset, target=each.target)
        split = splits.draw(pool, study_seed=each.study_seed, seed=each.seed)
        pools.append(pool)
        parts.append([pool.index[part] for part in (split.train, split.validation, split.test)])
    first, second = pools
    test, seen = parts[0][2], torch.cat(parts[1][:2])
    same = first.content_digest == second.content_digest
    # What a user's own code reads may depend on any of its options.
    if not usercode.is_reference(tested.dataset["name"]):
        sources = [_source(each.dataset) for each in (tested, trained)]
        counts = [len(pool.samples.targets) for pool in pools]
        same = same or (sources[0] == sources[1] and counts[0] == counts[1])
    return int(torch.isin(test, seen).sum()) if same else 0, len(test)


def _source(dataset: Knobs) -> list[str]:
    return [str(dataset.get(key, "")) for key in ("name", "id", "config", "path")]
