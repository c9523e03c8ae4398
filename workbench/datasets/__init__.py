"""Data sets by name, read once and split: what a trial may see of them.

Knows no model and no task. Nothing here returns a test sample: the confirmation alone will.
Importing it loads no torch.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from workbench.datasets.samples import Data, Part, Samples
from workbench.record import plain

if TYPE_CHECKING:
    from workbench.datasets.splits import Pool

__all__ = [
    "COMMON_OPTIONS",
    "DATASETS",
    "IMAGE_OPTIONS",
    "Data",
    "Entry",
    "Part",
    "Samples",
    "load",
    "sizes",
]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A data set that a study file may name.

    Attributes:
        read: Function that returns its ``Samples``, as ``module:name``; called without arguments.
        kind: ``image`` or ``vector``.
        options: Type of each option beside the common ones.
        summary: One line on what it is.
    """

    read: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""


COMMON_OPTIONS: dict[str, Any] = {
    # Labels to keep, relabelled 0, 1, ... in this order; all by default.
    "classes": list[int | str],
    # Training samples kept of each class, or the part kept of all of them: not both.
    "train_per_class": int,
    "fraction": float,
    # A whole number of samples, or a fraction of all samples of the classes kept; 0.2 each.
    "validation": int | float,
    "test": int | float,
}
IMAGE_OPTIONS: dict[str, Any] = {
    # Side in pixels that images are resized to, and channels (grey is repeated).
    "image_size": int,
    "channels": Literal[1, 3],
}

DATASETS: dict[str, Entry] = {
    "digits": Entry(
        read="workbench.datasets.digits:read",
        kind="image",
        options=IMAGE_OPTIONS,
        summary="1,797 handwritten digits of 8 x 8 pixels, bundled with scikit-learn",
    ),
    "wine": Entry(
        read="workbench.datasets.wine:read",
        kind="vector",
        summary="178 wines of 3 growers, 13 chemical measurements each, bundled with scikit-learn",
    ),
}


def load(dataset: Mapping[str, Any], *, study_seed: int, seed: int) -> Data:
    """Training and validation data of a trial.

    Args:
        dataset: ``name`` and options.
        study_seed: Draws the test part, which is the same for every ``seed``.
        seed: Draws training and validation from the rest.

    Raises:
        ValueError: The name or an option is unknown, or the data cannot be split as asked.
    """
    return _load(_key(dataset), study_seed, seed)


def sizes(dataset: Mapping[str, Any], *, study_seed: int, seed: int) -> dict[str, Any]:
    """Number of ``train``, ``validation`` and ``test`` samples, the ``classes`` and the ``digest``.

    Raises:
        ValueError: As for ``load``.
    """
    from workbench.datasets import splits

    pool = _pool(_key(dataset))
    split = splits.draw(pool, study_seed=study_seed, seed=seed)
    return {
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "classes": list(pool.samples.classes),
        "digest": pool.digest,
    }


def _key(dataset: Mapping[str, Any]) -> str:
    return json.dumps(plain(dataset), sort_keys=True)


# A worker stays warm between trials: it decodes a data set once and splits it once per seed.
@lru_cache(maxsize=8)
def _load(key: str, study_seed: int, seed: int) -> Data:
    from workbench.datasets import splits

    pool = _pool(key)
    return splits.take(pool, splits.draw(pool, study_seed=study_seed, seed=seed))


@lru_cache(maxsize=4)
def _pool(key: str) -> Pool:
    """What a data set is split from."""
    from workbench.datasets import splits

    options = json.loads(key)
    name = options.pop("name")
    if name not in DATASETS:
        raise ValueError(f"There is no data set {name!r}; the data sets are {', '.join(DATASETS)}.")
    known = {**DATASETS[name].options, **COMMON_OPTIONS}
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"The data set {name} has no option {', '.join(unknown)}; "
            f"its options are {', '.join(known)}."
        )
    options = {**splits.DEFAULTS, **options}
    samples = _read(name)
    description = json.dumps([name, list(samples.classes), options], sort_keys=True)
    digest = hashlib.sha256(description.encode())
    for tensor in (samples.inputs, samples.targets):
        digest.update(tensor.numpy().tobytes())
    return splits.pool(samples, options, digest=digest.hexdigest())


@lru_cache(maxsize=4)
def _read(name: str) -> Samples:
    module, _, function = DATASETS[name].read.partition(":")
    samples: Samples = getattr(importlib.import_module(module), function)()
    return samples
