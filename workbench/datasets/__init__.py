"""Data sets by name, read once and split: what a trial may see of them.

Knows no model and no task. Nothing here returns a test sample: the confirmation alone will.
Importing it loads no torch.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from workbench import usercode
from workbench.datasets.samples import TARGETS, Data, Part, Samples
from workbench.record import plain

if TYPE_CHECKING:
    from workbench.datasets.splits import Pool

__all__ = [
    "COMMON_OPTIONS",
    "DATASETS",
    "IMAGE_OPTIONS",
    "TARGETS",
    "Data",
    "Entry",
    "Part",
    "Samples",
    "common_options",
    "entry_of",
    "load",
    "sizes",
]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A data set that a study file may name.

    Attributes:
        read: Function that returns its ``Samples``, as ``module:name``; called with ``target``
            (see ``samples.TARGETS``) and the options that are its own. What is not on this
            machine it fetches where ``downloads.may()`` says so, and else raises ``Absent``.
        kind: ``image``, ``vector``, ``text`` or ``any``.
        options: Type of each option of its own; None where the user's code alone knows them.
        arguments: Passed to ``read`` whatever a study file says.
        paths: The options that are paths, relative to the study file.
        required: The options that a study file must give.
        targets: Which targets it has (see ``samples.TARGETS``).
        summary: One line on what it is.
    """

    read: str
    kind: str
    options: Mapping[str, Any] | None = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    targets: tuple[str, ...] = ("class",)
    summary: str = ""


# What every data set takes, whoever reads it: see ``splits``.
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
# What every data set of images takes beside them, and every other one refuses: see ``ready``.
IMAGE_OPTIONS: dict[str, Any] = {
    # Side in pixels that images are resized to, and channels (grey is repeated).
    "image_size": int,
    "channels": Literal[1, 3],
}

DATASETS: dict[str, Entry] = {
    "digits": Entry(
        read="workbench.datasets.digits:read",
        kind="image",
        summary="1,797 handwritten digits of 8 x 8 pixels, bundled with scikit-learn",
    ),
    "wine": Entry(
        read="workbench.datasets.wine:read",
        kind="vector",
        summary="178 wines of 3 growers, 13 chemical measurements each, bundled with scikit-learn",
    ),
}
_USER = Entry(read="workbench.datasets.user:read", kind="any", options=None, targets=TARGETS)


def entry_of(name: str) -> Entry | None:
    """The entry of a data set's name, or of a user's own ``FILE.py:NAME``; None for others."""
    if usercode.is_reference(name):
        return replace(_USER, arguments={"reference": name})
    return DATASETS.get(name)


def common_options(entry: Entry) -> dict[str, Any]:
    """The options that a data set takes whoever reads it."""
    return {**COMMON_OPTIONS, **(IMAGE_OPTIONS if entry.kind in ("image", "any") else {})}


def load(dataset: Mapping[str, Any], *, target: str = "class", study_seed: int, seed: int) -> Data:
    """Training and validation data of a trial.

    Args:
        dataset: ``name`` and options; paths and references are absolute.
        target: What the task predicts; see ``samples.TARGETS``.
        study_seed: Draws the test part, which is the same for every ``seed``.
        seed: Draws training and validation from the rest.

    Raises:
        Absent: It is not on this machine.
        ValueError: The name or an option is unknown, or the data cannot be read or split as asked.
    """
    return _load(_key(dataset), target, study_seed, seed)


def sizes(
    dataset: Mapping[str, Any], *, target: str = "class", study_seed: int, seed: int
) -> dict[str, Any]:
    """What a study file's author should know of a data set.

    Returns:
        Number of ``train``, ``validation`` and ``test`` samples, the ``classes``, the ``digest``,
        what was ``skipped`` (see ``Samples``).

    Raises:
        Absent, ValueError: As for ``load``.
    """
    from workbench.datasets import splits

    pool = _pool(_key(dataset), target)
    split = splits.draw(pool, study_seed=study_seed, seed=seed)
    return {
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "classes": list(pool.classes),
        "digest": pool.digest,
        "skipped": list(pool.samples.skipped),
    }


def _key(dataset: Mapping[str, Any]) -> str:
    return json.dumps(plain(dataset), sort_keys=True)


# A worker stays warm between trials: it decodes a data set once and splits it once per seed.
@lru_cache(maxsize=8)
def _load(key: str, target: str, study_seed: int, seed: int) -> Data:
    from workbench.datasets import ready, splits

    pool = _pool(key, target)
    return ready.take(pool, splits.draw(pool, study_seed=study_seed, seed=seed))


@lru_cache(maxsize=4)
def _pool(key: str, target: str) -> Pool:
    """What a data set is split from."""
    from workbench.datasets import splits

    options = json.loads(key)
    name = options.pop("name")
    entry = entry_of(name)
    if entry is None:
        raise ValueError(f"There is no data set {name!r}; the data sets are {', '.join(DATASETS)}.")
    common = common_options(entry)
    own = {option: value for option, value in options.items() if option not in common}
    unknown = sorted(set(own) - set(entry.options)) if entry.options is not None else []
    if unknown:
        raise ValueError(
            f"The data set {name} has no option {', '.join(unknown)}; "
            f"its options are {', '.join([*(entry.options or {}), *common])}."
        )
    lacking = [option for option in entry.required if option not in own]
    if lacking:
        raise ValueError(f"The data set {name} needs {', '.join(lacking)}.")
    if target not in entry.targets:
        raise ValueError(
            f"The data set {name} has no {target} to predict, only {' or '.join(entry.targets)}."
        )
    options = {**splits.DEFAULTS, **options}
    samples = _read(name, json.dumps(own, sort_keys=True), target)
    # Where the files lie decides nothing; what they hold does.
    said = {option: value for option, value in options.items() if option not in entry.paths}
    called = usercode.sha256_of(name) if usercode.is_reference(name) else name
    description = json.dumps([called, target, list(samples.classes), said], sort_keys=True)
    digest = hashlib.sha256(description.encode())
    for content in (samples.inputs, samples.targets):
        if isinstance(content, tuple):
            digest.update(json.dumps(content).encode())
        else:
            digest.update(content.numpy().tobytes())
    return splits.pool(samples, options, digest=digest.hexdigest())


@lru_cache(maxsize=4)
def _read(name: str, own: str, target: str) -> Samples:
    entry = entry_of(name)
    assert entry is not None
    module, _, function = entry.read.partition(":")
    read = getattr(importlib.import_module(module), function)
    samples: Samples = read(target=target, **entry.arguments, **json.loads(own))
    return samples
