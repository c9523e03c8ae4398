"""Loads a data set by its name and options: read once, checked, split and prepared for a model.

``load`` returns no test sample, and no object with one in its public attributes. Only ``load_test``
does, given the protocol of a confirmation. This holds for all of our code; a user's own code runs
in the same process and could still read the files. Importing this module loads no torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from workbench import downloads, usercode
from workbench.datasets.catalogue import DATASETS, common_options, entry_of
from workbench.datasets.samples import Data, Samples
from workbench.datasets.splits.seal import must_be_open, must_hold
from workbench.messages import refuse_unknown_options, unknown
from workbench.record import plain
from workbench.record.file_cache import state_of
from workbench.record.strategy import Knobs

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.datasets.splits.splits import Pool

# The shipped task that predicts each target.
_TASKS = {"class": "classification", "labels": "multilabel", "numbers": "regression"}


def load(dataset: Knobs, *, target: str = "class", study_seed: int, seed: int) -> Data:
    """Training and validation data of a trial.

    Args:
        dataset: ``name`` and options; paths and references are absolute.
        target: What the task predicts; see ``samples.TARGETS``.
        study_seed: Seed of the test part, which is the same for every ``seed``.
        seed: Seed of the training and validation parts.

    Raises:
        NotDownloadedError: The data set is not on this machine.
        ValueError: The name or an option is unknown, or the data cannot be read or split as asked.
    """
    return _load(_key(dataset), target, study_seed, seed)


def load_test(
    dataset: Knobs,
    *,
    target: str = "class",
    study_seed: int,
    seed: int,
    protocol: Path,
    sha256: str | None,
) -> Data:
    """The data of ``load`` with the test part, which is prepared like the validation part.

    Args:
        dataset: As for ``load``.
        target: As for ``load``.
        study_seed: As for ``load``.
        seed: As for ``load``; inputs are standardised by its training part.
        protocol: The study's ``protocol.json``, or ``protocol-2.json`` of a second look.
        sha256: Of that file, from the specification of the run to test.

    Raises:
        SealedError: The protocol does not exist, has changed since the run was planned, or names
            other test samples.
        NotDownloadedError: As for ``load``.
        ValueError: As for ``load``; or the split has no test samples.
    """
    must_be_open(protocol, sha256)
    data = _load_test(_key(dataset), target, study_seed, seed)
    assert data.test is not None
    must_hold(protocol, _digest_of(data.test.index))
    return data


def sizes(dataset: Knobs, *, target: str = "class", study_seed: int, seed: int) -> dict[str, Any]:
    """A summary of a data set and its split, for ``check`` and the report.

    Returns:
        Number of ``train``, ``validation`` and ``test`` samples, the ``classes``, the ``digest``
        (SHA-256 of the content, the name and the options, those of the split included),
        ``content_digest`` (SHA-256 of the samples that are divided, whatever the name and the
        division), ``test_digest`` (SHA-256 of the test samples' numbers in the whole data set,
        ascending, as little-endian int64), what a training seed draws again (``redrawn``, see
        ``splits.redrawn``), the ``skipped`` samples (see ``Samples``), ``duplicates`` across
        the parts (see ``duplicates``) and how many were ``dropped``. For the training part, the
        number of samples ``per_class`` or with each label; for ``numbers`` the mean and standard
        deviation of each column.

    Raises:
        NotDownloadedError, ValueError: As for ``load``.
    """
    from workbench.datasets.splits import duplicates, splits

    pool = pool_of(dataset, target=target)
    split = splits.draw(pool, study_seed=study_seed, seed=seed)
    return {
        "train": len(split.train),
        "validation": len(split.validation),
        "test": len(split.test),
        "classes": list(pool.classes),
        "digest": pool.digest,
        "content_digest": hashlib.sha256(
            f"{pool.content_digest} {_digest_of(pool.index)}".encode()
        ).hexdigest(),
        "test_digest": _digest_of(pool.index[split.test]),
        "redrawn": splits.redrawn(pool, split),
        "skipped": list(pool.samples.skipped),
        "duplicates": duplicates.across(pool, split),
        # Only where they are: the description of other studies stays as it was.
        **({"dropped": dict(split.dropped)} if split.dropped else {}),
        **splits.describe(pool, split.train),
    }


def require_repeatable(dataset: Knobs, *, target: str = "class") -> None:
    """Call a user's own function once more, and compare what it returns.

    Raises:
        ValueError: The samples differ; or as for ``load``.
    """
    key = _key(dataset)
    first = _pool(key, target).digest
    _read.cache_clear()
    again = _pool.__wrapped__(key, target).digest
    if first != again:
        raise ValueError(
            f"{dataset['name']} returned other samples when it was called again. It must return "
            "the same numbers in every call: give its random generator a fixed seed, as in "
            "np.random.default_rng(0)."
        )


def pool_of(dataset: Knobs, *, target: str = "class") -> Pool:
    """The samples of a data set, from which a split is drawn.

    Raises:
        NotDownloadedError, ValueError: As for ``load``.
    """
    return _pool(_key(dataset), target)


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
        NotDownloadedError, ValueError: As for ``load``.
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


def _digest_of(numbers: Tensor) -> str:
    return hashlib.sha256(numbers.sort().values.numpy().astype("<i8").tobytes()).hexdigest()


def paths_of(dataset: Knobs) -> list[Path] | None:
    """The files and folders that a data set is read from, besides installed packages.

    Args:
        dataset: As for ``load``.

    Returns:
        None where they are not known: a user's own code and the hub's library may read any.
    """
    name = dataset["name"]
    entry = DATASETS.get(name)
    if entry is None or (name == "hub" and "path" not in dataset):
        return None
    paths = [Path(dataset[option]) for option in entry.paths_in(dataset)]
    return paths or [downloads.folder() / name]


def _key(dataset: Knobs) -> str:
    """Key for the caches: the data set, where it is, and the state of its files.

    A notebook or a worker may load the data set again after its files have changed.
    """
    name = dataset["name"]
    stamp = usercode.sha256_of(name) if usercode.is_reference(name) else str(downloads.folder())
    states = [state_of(path)[0] for path in paths_of(dataset) or ()]
    return json.dumps([stamp, states, plain(dataset)], sort_keys=True)


# A worker runs many trials: it reads a data set once and splits it once per seed.
@lru_cache(maxsize=8)
def _load(key: str, target: str, study_seed: int, seed: int) -> Data:
    from workbench.datasets import preprocessing
    from workbench.datasets.splits import splits

    pool = _pool(key, target)
    return preprocessing.prepare(pool, splits.draw(pool, study_seed=study_seed, seed=seed))


# Runs of different strategies share a seed and follow one another in a worker.
@lru_cache(maxsize=2)
def _load_test(key: str, target: str, study_seed: int, seed: int) -> Data:
    from workbench.datasets import preprocessing
    from workbench.datasets.splits import splits

    pool = _pool(key, target)
    split = splits.draw(pool, study_seed=study_seed, seed=seed)
    return preprocessing.with_test(_load(key, target, study_seed, seed), pool, split)


@lru_cache(maxsize=4)
def _pool(key: str, target: str) -> Pool:
    """The samples from which a split is drawn."""
    from workbench.datasets import preprocessing
    from workbench.datasets.splits import splits

    stamp, states, options = json.loads(key)
    name = options.pop("name")
    entry = entry_of(name)
    if entry is None:
        raise ValueError(unknown("data set", name, DATASETS))
    common = common_options(entry)
    # An option of both kinds is used by both: ``image_size`` also sets the size of decoded files.
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
    # With the defaults, so that a change of a default changes the digest as well.
    options = {**splits.DEFAULTS, **options}
    if options.get("duplicates") == "keep":
        del options["duplicates"]
    samples = _read(name, json.dumps([stamp, states]), json.dumps(own, sort_keys=True), target)
    preprocessing.check(samples, options)
    # The digest depends on the content of the files, not on their location.
    paths = entry.paths_in(options)
    without_paths = {option: value for option, value in options.items() if option not in paths}
    called = stamp if usercode.is_reference(name) else name
    description = json.dumps([called, target, list(samples.classes), without_paths], sort_keys=True)
    # Stored with every study: changing how it is computed would make old data look changed.
    digest, alone = hashlib.sha256(description.encode()), hashlib.sha256()
    inputs = samples.inputs if samples.mapped is None else (samples.mapped.sha256,)
    for part in (inputs, samples.targets):
        content = json.dumps(part).encode() if isinstance(part, tuple) else part.numpy().tobytes()
        digest.update(content)
        alone.update(content)
    # The given parts and the groups are content too.
    for numbers in (samples.given, samples.groups):
        if numbers is not None:
            digest.update(numbers.numpy().tobytes())
    content_digest = alone.hexdigest()
    return splits.pool(
        samples, options, digest=digest.hexdigest(), content_digest=content_digest, target=target
    )


@lru_cache(maxsize=4)
def _read(name: str, stamp: str, own: str, target: str) -> Samples:
    entry = entry_of(name)
    assert entry is not None
    read = resolve_name(entry.read)
    from workbench.datasets.checks import checked
    from workbench.datasets.reading import readable_errors

    options = json.loads(own)
    called = {entry.renamed.get(option, option): value for option, value in options.items()}
    # A user's function may use ``path`` for anything; its own reference is clearer.
    where = name if entry.options is None else options.get("path", name)
    with readable_errors(where):
        samples: Samples = read(target=target, **entry.arguments, **called)
        return checked(samples, target=target, where=where)
