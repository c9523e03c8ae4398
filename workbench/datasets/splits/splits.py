"""Decides which samples are kept, and which part of the split each belongs to.

A part that comes with the data set is used whole; the others are drawn. A draw keeps the classes'
proportions (see ``strata`` for other targets) and the groups together (see ``grouped``). Inputs are
not read. Used by ``loading``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from workbench.datasets.samples import TEST, TRAIN, VALIDATION, Samples
from workbench.datasets.splits import copies, grouped, strata
from workbench.messages import did_you_mean, listed
from workbench.record.seeds import derive
from workbench.record.strategy import Knobs

DEFAULTS: dict[str, float] = {"validation": 0.2, "test": 0.2}


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """The samples of the classes kept, from which a split is drawn.

    Attributes:
        samples: The whole data set.
        index: The kept samples' numbers in the whole data set, ``int64 [N]``.
        targets: Of the kept samples, relabelled; see ``Samples``.
        classes: Names of the classes, labels or columns kept.
        options: Of the data set, with defaults.
        digest: SHA-256 of the whole data set's content and the options; ``content_digest``: of its
            inputs and targets alone.
        target: What the targets are; see ``samples.TARGETS``.
    """

    samples: Samples
    index: Tensor
    targets: Tensor
    classes: tuple[str, ...]
    options: Knobs
    digest: str
    content_digest: str = ""
    target: str = "class"


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Positions in a pool; the parts are ascending and disjoint.

    Attributes:
        divided: How many samples a training seed divides or chooses from.
        train_at_most: Most training samples that any seed gives, where ``duplicates: drop`` makes
            their number depend on the seed; None where it does not.
        dropped: How many samples ``duplicates: drop`` has left out, by part.
    """

    train: Tensor
    validation: Tensor
    test: Tensor
    divided: int = 0
    train_at_most: int | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)


def pool(
    samples: Samples,
    options: Knobs,
    *,
    digest: str,
    content_digest: str = "",
    target: str = "class",
) -> Pool:
    """Keep the classes in ``dataset.classes``; for labels and numbers, the columns.

    Raises:
        ValueError: A class is not in the data, or too few are kept.
    """
    names = samples.classes
    chosen = [str(label) for label in options.get("classes", names)]
    for label in chosen:
        if label not in names:
            # Of numbers the nearest is hardly what was meant.
            near = did_you_mean(label, () if label.isdigit() else names)
            hint = near or f"; its classes are {listed(names, 20)}."
            raise ValueError(f"dataset.classes has {label}, which the data set does not have{hint}")
    least, words = (
        (2, "at least two different classes") if target == "class" else (1, "some, each once,")
    )
    if len(set(chosen)) < max(least, len(chosen)):
        raise ValueError(
            f"dataset.classes is {', '.join(chosen) or 'empty'}; it must name {words} "
            f"of {', '.join(names)}."
        )
    kept = [names.index(label) for label in chosen]
    if target == "class":
        relabelled = torch.full((len(names),), -1)
        relabelled[kept] = torch.arange(len(chosen))
        targets = relabelled[samples.targets]
        index = torch.nonzero(targets >= 0).squeeze(1)
        targets = targets[index]
    else:
        targets = samples.targets[:, kept]
        index = torch.arange(len(targets))
    found = Pool(
        samples=samples,
        index=index,
        targets=targets,
        classes=tuple(chosen),
        options=options,
        digest=digest,
        content_digest=content_digest,
        target=target,
    )
    return found if options.get("part") is None else _kth_part(found, str(options["part"]))


def _kth_part(pool: Pool, written: str) -> Pool:
    """One of several disjoint parts of equal size (up to rounding).

    The part of a sample depends on the data only: a study on ``2/2`` may start from the weights of
    a study on ``1/2``, whatever their seeds. A given test part stays whole.
    """
    match = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", written)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError(
            f"dataset.part is {written}; it must be K/N, the K-th of N parts, such as 1/2."
        )
    if pool.samples.groups is not None:
        raise ValueError("dataset.part would split groups; remove it or dataset.split.group.")
    which, parts = int(match[1]), int(match[2])
    given = _given(pool)
    keep = given == TEST
    # A constant seed: disjoint parts must not depend on the study.
    every = strata.positions(pool.targets, pool.target, len(pool.classes))
    for members in strata.shuffled(every, derive(0, "part")):
        # Interleaved: every part gets the same share of each class.
        free = members[given[members] != TEST]
        keep[free[which - 1 :: parts]] = True
    return replace(pool, index=pool.index[keep], targets=pool.targets[keep])


def draw(pool: Pool, *, study_seed: int, seed: int) -> Split:
    """Use the given parts and draw the others: first the test part, then validation.

    The test part depends on the study's seed only. For one seed, the validation part does not
    depend on how many training samples are kept, and a smaller training part is a subset of a
    larger one. Fractions refer to the samples that are not in a given part.

    Raises:
        ValueError: There are too few samples, a given part has a size option, or a group is in two
            given parts.
    """
    options, classes = pool.options, pool.classes
    # Whatever is not given to validation or test counts as training, and is divided below.
    given = _given(pool)
    total = int((given == TRAIN).sum())
    members = [
        samples[given[samples] == TRAIN]
        for samples in strata.positions(pool.targets, pool.target, len(pool.classes))
    ]
    parts: dict[int, list[Tensor]] = {}
    sizes: dict[int, int] = {}
    for part, name, least in ((TEST, "test", 0), (VALIDATION, "validation", 1)):
        whole = torch.nonzero(given == part).squeeze(1)
        if len(whole):
            parts[part] = [whole]
            _refuse_size(name, options, len(whole))
        else:
            sizes[part] = _size(name, options, total, least=least)
    if sum(sizes.values()) >= total:
        raise ValueError(
            f"{sizes.get(VALIDATION, 'No')} validation and {sizes.get(TEST, 'no')} test samples "
            f"leave nothing to train on: the classes kept have {total} samples; lower "
            "dataset.validation or dataset.test."
        )
    if TEST in sizes:
        by = derive(study_seed, "test split")
        parts[TEST], members = _draw_part(pool, members, sizes[TEST], by, "test")
    drop = None
    if options.get("duplicates") == "drop":
        drop = copies.DuplicateFilter(pool.samples, pool.index)
    if drop:
        # Before validation is drawn, so that it has its size.
        members = drop.remove("train", members, parts[TEST], least=sizes.get(VALIDATION, 0))
        if VALIDATION in parts:
            parts[VALIDATION] = drop.remove("validation", parts[VALIDATION], parts[TEST])
    divided, copied = sum(map(len, members)), drop is not None and drop.has_copies(members)
    by = derive(seed, "split")
    if VALIDATION in sizes:
        parts[VALIDATION], members = _draw_part(pool, members, sizes[VALIDATION], by, "validation")
    else:
        # With a given validation part, the seed still decides which training samples are kept.
        members = strata.shuffled(members, by)
    undropped = members
    if drop:
        members = drop.remove("train", members, parts[VALIDATION])
    if VALIDATION not in sizes:
        divided = sum(map(len, members))
    _check_all_classes(
        pool,
        parts[VALIDATION] if VALIDATION in sizes else None,
        members,
        dropped=drop.counts["train"] if drop else 0,
    )
    train = _subset(pool, members, classes)
    # A seed that draws other validation samples leaves out other copies.
    varies = VALIDATION in sizes and copied and options.get("train_per_class") is None
    return Split(
        train=strata.joined(train),
        validation=strata.joined(parts[VALIDATION]),
        test=strata.joined(parts[TEST]),
        divided=divided,
        train_at_most=sum(map(len, _subset(pool, undropped, classes))) if varies else None,
        dropped=drop.counts if drop else {},
    )


def redrawn(pool: Pool, split: Split) -> dict[str, Any]:
    """What a training seed draws again: the ``parts`` of the split, ``of`` how many samples.

    ``train_at_most`` is there if the size of the training part depends on the seed; see ``Split``.
    """
    if bool((_given(pool) == VALIDATION).any()):
        parts = ["training"] if len(split.train) < split.divided else []
        return {"parts": parts, "of": split.divided}
    most = {} if split.train_at_most is None else {"train_at_most": split.train_at_most}
    return {"parts": ["training", "validation"], "of": split.divided, **most}


def describe(pool: Pool, positions: Tensor) -> dict[str, Any]:
    """Summarise the targets at some positions: ``per_class`` counts, or ``numbers`` (mean, SD)."""
    targets = pool.targets[positions]
    if pool.target == "numbers":
        std, mean = torch.std_mean(targets.double(), dim=0, correction=0)
        pairs = zip(pool.classes, mean.tolist(), std.tolist(), strict=True)
        return {"numbers": {name: {"mean": centre, "sd": spread} for name, centre, spread in pairs}}
    if pool.target == "labels":
        counts = targets.sum(dim=0).long()
    else:
        counts = torch.bincount(targets, minlength=len(pool.classes))
    return {"per_class": dict(zip(pool.classes, counts.tolist(), strict=True))}


def _given(pool: Pool) -> Tensor:
    """The given part of each kept sample, ``int64 [N]``; without given parts, all are training.

    Raises:
        ValueError: A group is in two parts.
    """
    samples = pool.samples
    if samples.given is None:
        return torch.full((len(pool.index),), TRAIN)
    given = samples.given[pool.index]
    if samples.groups is not None:
        grouped.refuse_torn(samples.groups[pool.index], given, names=_names(pool))
    return given


def _names(pool: Pool) -> tuple[str, ...] | None:
    names = pool.samples.names
    return None if names is None else tuple(names[number] for number in pool.index.tolist())


def _refuse_size(name: str, options: Knobs, count: int) -> None:
    if options[name] != DEFAULTS[name]:
        raise ValueError(
            f"dataset.{name} is {options[name]}, but the data set comes with a {name} part of "
            f"{count} samples, which is used whole; remove dataset.{name}."
        )


def _size(name: str, options: Knobs, total: int, *, least: int) -> int:
    value = options[name]
    size = round(value * total) if isinstance(value, float) else int(value)
    if size < least:
        raise ValueError(f"dataset.{name} is {value}, which gives {size} of {total} samples.")
    return size


def _draw_part(
    pool: Pool, members: Sequence[Tensor], size: int, seed: int, part: str
) -> tuple[list[Tensor], list[Tensor]]:
    """Draw ``size`` samples for a part; return them and the rest, by stratum."""
    members = strata.shuffled(members, seed)
    if pool.samples.groups is None:
        return strata.divided(members, size)
    groups = pool.samples.groups[pool.index]
    chosen = grouped.choose(
        [groups[samples] for samples in members],
        size,
        seed=seed,
        part=part,
        # A small class with few groups may get none; validation without a class is refused.
        complete=pool.target == "class" and part == "validation",
    )
    within = [torch.isin(groups[samples], chosen) for samples in members]
    first = [samples[mask] for samples, mask in zip(members, within, strict=True)]
    return first, [samples[~mask] for samples, mask in zip(members, within, strict=True)]


def _check_all_classes(
    pool: Pool, validation: list[Tensor] | None, train: list[Tensor], *, dropped: int
) -> None:
    """Check that classes are in training and drawn validation parts, and labels in training.

    ``dropped`` training samples were left out because another part has copies.
    """
    cause = f" (dataset.duplicates: drop left out {dropped}; remove it)" if dropped else ""
    if pool.target == "labels":
        counts = pool.targets[strata.joined(train)].sum(dim=0).tolist()
        lost = [name for name, count in zip(pool.classes, counts, strict=True) if not count]
        if lost:
            raise ValueError(
                f"No training sample has the label {lost[0]}"
                + (f", nor any of {len(lost) - 1} others" if len(lost) > 1 else "")
                + f"{cause}; exclude it by listing the others in dataset.classes."
            )
    if pool.target != "class":
        return
    for part, content in (("validation", validation), ("training", train)):
        for name, samples in zip(pool.classes, content or [], strict=content is not None):
            if len(samples) == 0:
                raise ValueError(
                    f"Class {name} has no {part} sample left after the split{cause}; change "
                    "dataset.validation or dataset.test, or leave the class out in "
                    f"dataset.classes.{_regression_hint(pool.classes)}"
                )


def _regression_hint(classes: Sequence[str]) -> str:
    """A hint if the classes look like the values of a regression target."""
    numbers = all(re.fullmatch(r"-?\d+(\.\d+)?(e[-+]?\d+)?", name) for name in classes)
    if not numbers or len(classes) < 20:
        return ""
    return f" The target has {len(classes)} distinct numbers: did you mean task: regression?"


def _subset(pool: Pool, rest: list[Tensor], classes: Sequence[str]) -> list[Tensor]:
    """The training samples to keep, by ``train_per_class`` or ``fraction``."""
    per_class, fraction = pool.options.get("train_per_class"), pool.options.get("fraction")
    if per_class is not None and fraction is not None:
        raise ValueError("dataset has both train_per_class and fraction; use one of them.")
    if per_class is not None:
        if pool.target != "class":
            raise ValueError(
                f"dataset.train_per_class is {per_class}, but the data set has {pool.target} to "
                "predict, not classes; use dataset.fraction to keep some training samples."
            )
        for name, samples in zip(classes, rest, strict=True):
            if len(samples) < per_class:
                raise ValueError(
                    f"dataset.train_per_class is {per_class}, but class {name} has only "
                    f"{len(samples)} samples left for training after validation and test."
                )
        return [samples[:per_class] for samples in rest]
    if fraction is not None:
        return [samples[: max(1, round(fraction * len(samples)))] for samples in rest]
    return rest
