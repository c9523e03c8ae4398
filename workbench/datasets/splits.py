"""Which samples are kept, and which part of the split each lies in.

Knows no data set by name and looks at no input. Every draw keeps the classes' proportions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.datasets.samples import Samples
from workbench.randomness import derive

DEFAULTS: dict[str, Any] = {"validation": 0.2, "test": 0.2}


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """What a split is drawn from: the samples of the classes kept.

    Attributes:
        samples: The whole data set.
        index: The kept samples' numbers in the whole data set, ``int64 [N]``.
        targets: Of the kept samples, relabelled; see ``Samples``.
        classes: Names of the classes kept.
        options: Of the data set, defaults filled in.
        digest: SHA-256 of the whole data set's content and the options.
    """

    samples: Samples
    index: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    options: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Positions in a pool, each part ascending and without the others' samples."""

    train: Tensor
    validation: Tensor
    test: Tensor


def pool(samples: Samples, options: Mapping[str, Any], *, digest: str) -> Pool:
    """Keep the classes asked for.

    Raises:
        ValueError: A class is not in the data, or fewer than two are kept.
    """
    names = samples.classes
    chosen = [str(label) for label in options.get("classes", names)]
    for label in chosen:
        if label not in names:
            raise ValueError(
                f"dataset.classes has {label}, but the data set's classes are {', '.join(names)}."
            )
    if len(set(chosen)) < max(2, len(chosen)):
        raise ValueError(
            f"dataset.classes is {', '.join(chosen) or 'empty'}; it must name at least two "
            f"different classes of {', '.join(names)}."
        )
    relabelled = torch.full((len(names),), -1)
    relabelled[[names.index(label) for label in chosen]] = torch.arange(len(chosen))
    targets = relabelled[samples.targets]
    index = torch.nonzero(targets >= 0).squeeze(1)
    return Pool(
        samples=samples,
        index=index,
        targets=targets[index],
        classes=tuple(chosen),
        options=options,
        digest=digest,
    )


def draw(pool: Pool, *, study_seed: int, seed: int) -> Split:
    """Draw the test part, then validation from the rest, then training from what is left.

    The test part is a function of the study's seed alone. For one seed the validation part is the
    same whatever part of the training samples is kept, and a smaller training part lies within a
    larger one.

    Raises:
        ValueError: There are too few samples.
    """
    options, classes = pool.options, pool.classes
    total = len(pool.index)
    test_size = _size("test", options, total, least=0)
    validation_size = _size("validation", options, total, least=1)
    if test_size + validation_size >= total:
        raise ValueError(
            f"{validation_size} validation and {test_size} test samples leave nothing to train on: "
            f"the classes kept have {total} samples; lower dataset.validation or dataset.test."
        )
    members = [torch.nonzero(pool.targets == label).squeeze(1) for label in range(len(classes))]
    members = _shuffled(members, derive(study_seed, "test split"))
    test, rest = _divided(members, test_size)
    rest = _shuffled(rest, derive(seed, "split"))
    validation, rest = _divided(rest, validation_size)
    for part, content in (("validation", validation), ("training", rest)):
        for name, samples in zip(classes, content, strict=True):
            if len(samples) == 0:
                raise ValueError(
                    f"Class {name} has no {part} sample left: {total} samples are divided into "
                    f"{validation_size} for validation, {test_size} for the test and the rest."
                )
    train = _kept(rest, options, classes)
    return Split(train=_joined(train), validation=_joined(validation), test=_joined(test))


def _size(name: str, options: Mapping[str, Any], total: int, *, least: int) -> int:
    value = options[name]
    if isinstance(value, float) and not 0.0 <= value < 1.0:
        raise ValueError(f"dataset.{name} is {value}; a fraction must be at least 0 and below 1.")
    size = round(value * total) if isinstance(value, float) else int(value)
    if size < least:
        raise ValueError(f"dataset.{name} is {value}, which makes {size} samples of {total}.")
    return size


def _shuffled(members: Sequence[Tensor], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [samples[torch.randperm(len(samples), generator=generator)] for samples in members]


def _divided(members: Sequence[Tensor], size: int) -> tuple[list[Tensor], list[Tensor]]:
    """The first samples of every class, ``size`` in all, and the rest.

    Classes take part in proportion; samples left over by rounding down go to the classes with the
    largest remainders (Hamilton's method).
    """
    total = sum(len(samples) for samples in members)
    shares = [divmod(len(samples) * size, total) for samples in members]
    left_over = size - sum(whole for whole, _ in shares)
    order = sorted(range(len(members)), key=lambda label: -shares[label][1])
    counts = [whole + (label in order[:left_over]) for label, (whole, _) in enumerate(shares)]
    first = [samples[:count] for samples, count in zip(members, counts, strict=True)]
    rest = [samples[count:] for samples, count in zip(members, counts, strict=True)]
    return first, rest


def _kept(rest: list[Tensor], options: Mapping[str, Any], classes: Sequence[str]) -> list[Tensor]:
    """The part of the training samples that is asked for."""
    per_class, fraction = options.get("train_per_class"), options.get("fraction")
    if per_class is not None and fraction is not None:
        raise ValueError("dataset has both train_per_class and fraction; say one of them.")
    if per_class is not None:
        if per_class < 1:
            raise ValueError(f"dataset.train_per_class is {per_class}; it must be at least 1.")
        for name, samples in zip(classes, rest, strict=True):
            if len(samples) < per_class:
                raise ValueError(
                    f"dataset.train_per_class is {per_class}, but class {name} has only "
                    f"{len(samples)} samples left for training after validation and test."
                )
        return [samples[:per_class] for samples in rest]
    if fraction is not None:
        if not 0.0 < fraction <= 1.0:
            raise ValueError(f"dataset.fraction is {fraction}; it must be above 0 and at most 1.")
        return [samples[: max(1, round(fraction * len(samples)))] for samples in rest]
    return rest


def _joined(members: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(members)).sort().values
