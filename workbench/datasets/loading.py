"""A data set by its name and options: read once, checked, split, and made ready for a model.

``load`` returns no test sample, nor an object that has one in reach of its public attributes.
``load_test`` alone does, to whoever shows the protocol of a confirmation. That holds for every path
of our code; a user's own code runs in the same process and could still read the files, or private
memory, itself. Importing it loads no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from workbench import downloads, usercode
from workbench.datasets.catalogue import DATASETS, common_options, entry_of
from workbench.datasets.samples import Data, Samples
from workbench.datasets.splits.seal import must_be_open, must_hold
from workbench.record import plain
from workbench.record.text import refuse_unknown_options, unknown

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.datasets.splits.splits import Pool

# The shipped task that predicts each target.
_TASKS = {"class": "classification", "labels": "multilabel", "numbers": "regression"}


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


def load_test(
    dataset: Mapping[str, Any],
    *,
    target: str = "class",
    study_seed: int,
    seed: int,
    protocol: Path,
    sha256: str | None,
) -> Data:
    """The data of ``load`` and the test part, made ready as the validation part is.

    Args:
        dataset: As for ``load``.
        target: The same.
        study_seed: The same.
        seed: The same: what inputs are scaled by comes from its training part.
        protocol: The study's ``protocol.json``.
        sha256: Of that file, from the specification of the run that is to be tested.

    Raises:
        Sealed: The protocol is not there, is not the one that the run was planned by, or names
            other test samples.
        Absent: As for ``load``.
        ValueError: As for ``load``; or the split has no test samples.
    """
    must_be_open(protocol, sha256)
    data = _load_test(_key(dataset), target, study_seed, seed)
    assert data.test is not None
    must_hold(protocol, _digest_of(data.test.index))
    return data


def sizes(
    dataset: Mapping[str, Any], *, target: str = "class", study_seed: int, seed: int
) -> dict[str, Any]:
    """What a study file's author should know of a data set.

    Returns:
        Number of ``train``, ``validation`` and ``test`` samples, the ``classes``, the ``digest``,
        ``test_digest`` (SHA-256 of the numbers of the test samples in the whole data set,
        ascending, each as eight bytes, the lowest first), what a seed of the training draws anew
        (``redrawn``, see ``splits.redrawn``), what was ``skipped`` (see ``Samples``),
        ``duplicates`` across the parts (see ``duplicates``); of the training part, the number of
        samples ``per_class`` or with each label, or of ``numbers`` the mean and standard deviation
        of each column.

    Raises:
        Absent, ValueError: As for ``load``.
    """
    from workbench.datasets.splits import duplicates, splits

    pool = _pool(_key(dataset), target)
    split = splits.draw(pool, study_seed=study_seed, seed=seed)
    return {
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "classes": list(pool.classes),
        "digest": pool.digest,
        "test_digest": _digest_of(pool.index[split.test]),
        "redrawn": splits.redrawn(pool, split),
        "skipped": list(pool.samples.skipped),
        "duplicates": duplicates.across(pool, split),
        **splits.described(pool, split.train),
    }


def _digest_of(numbers: Tensor) -> str:
    return hashlib.sha256(numbers.sort().values.numpy().astype("<i8").tobytes()).hexdigest()


def stored_shape(dataset: Mapping[str, Any], *, target: str = "class") -> tuple[int, ...]:
    """Of one sample as it is read, before it is resized; ``()`` for texts.

    Raises:
        Absent, ValueError: As for ``load``.
    """
    inputs = _pool(_key(dataset), target).samples.inputs
    return () if isinstance(inputs, tuple) else tuple(inputs.shape[1:])


def _key(dataset: Mapping[str, Any]) -> str:
    """A data set and what may change behind its back: where data are kept, and a user's file."""
    name = dataset["name"]
    stamp = usercode.sha256_of(name) if usercode.is_reference(name) else str(downloads.folder())
    return json.dumps([stamp, plain(dataset)], sort_keys=True)


# A worker stays warm between trials: it decodes a data set once and splits it once per seed.
@lru_cache(maxsize=8)
def _load(key: str, target: str, study_seed: int, seed: int) -> Data:
    from workbench.datasets import preprocessing
    from workbench.datasets.splits import splits

    pool = _pool(key, target)
    return preprocessing.take(pool, splits.draw(pool, study_seed=study_seed, seed=seed))


# Runs of several strategies share a seed, and follow one another on a warm worker.
@lru_cache(maxsize=2)
def _load_test(key: str, target: str, study_seed: int, seed: int) -> Data:
    from workbench.datasets import preprocessing
    from workbench.datasets.splits import splits

    pool = _pool(key, target)
    split = splits.draw(pool, study_seed=study_seed, seed=seed)
    return preprocessing.with_test(_load(key, target, study_seed, seed), pool, split)


@lru_cache(maxsize=4)
def _pool(key: str, target: str) -> Pool:
    """What a data set is split from."""
    from workbench.datasets import preprocessing
    from workbench.datasets.splits import splits

    stamp, options = json.loads(key)
    name = options.pop("name")
    entry = entry_of(name)
    if entry is None:
        raise ValueError(unknown("data set", name, DATASETS))
    common = common_options(entry)
    # An option of both kinds goes to both: ``image_size`` says how large files are decoded.
    only_common = set(common) - set(entry.options or ())
    own = {option: value for option, value in options.items() if option not in only_common}
    every = None if entry.options is None else {**entry.options, **common}
    refuse_unknown_options(f"data set {name}", own, every)
    lacking = [option for option in entry.required if option not in own]
    if lacking:
        raise ValueError(f"The data set {name} needs {', '.join(lacking)}.")
    if target not in entry.targets:
        raise ValueError(
            f"The data set {name} has no {target} to predict, only {' or '.join(entry.targets)}; "
            f"did you mean task: {_TASKS[entry.targets[0]]}?"
        )
    options = {**splits.DEFAULTS, **options}
    samples = _read(name, stamp, json.dumps(own, sort_keys=True), target)
    preprocessing.check(samples, options)
    # Where the files lie decides nothing; what they hold does.
    paths = entry.paths_in(options)
    said = {option: value for option, value in options.items() if option not in paths}
    called = stamp if usercode.is_reference(name) else name
    description = json.dumps([called, target, list(samples.classes), said], sort_keys=True)
    digest = hashlib.sha256(description.encode())
    inputs = samples.inputs if samples.mapped is None else (samples.mapped.sha256,)
    for held in (inputs, samples.targets):
        if isinstance(held, tuple):
            digest.update(json.dumps(held).encode())
        else:
            digest.update(held.numpy().tobytes())
    # Which rows are given to a part, or belong together, is content too.
    for content in (samples.given, samples.groups):
        if content is not None:
            digest.update(content.numpy().tobytes())
    return splits.pool(samples, options, digest=digest.hexdigest(), target=target)


@lru_cache(maxsize=4)
def _read(name: str, stamp: str, own: str, target: str) -> Samples:
    entry = entry_of(name)
    assert entry is not None
    read = resolve_name(entry.read)
    from workbench.datasets.checks import checked
    from workbench.datasets.reading import clear

    options = json.loads(own)
    called = {entry.renamed.get(option, option): value for option, value in options.items()}
    where = next((options[path] for path in entry.paths if path in options), name)
    with clear(where):
        samples: Samples = read(target=target, **entry.arguments, **called)
        return checked(samples, target=target, where=where)
