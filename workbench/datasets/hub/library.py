"""The library ``datasets`` (extra ``hub``): what it keeps on this machine, and what it fetches.

Knows which splits are parts, and nothing of what the columns are for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench import downloads
from workbench.datasets.rows.rows import PARTS
from workbench.datasets.samples import TRAIN

INSTALL = "pip install datasets"


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """A data set as its library has it.

    Attributes:
        name: What a person calls it.
        parts: The library's data sets by the name of their split.
        given: Which part each split stands for; empty where there is one split only.
        notes: What is left out.
    """

    name: str
    parts: Mapping[str, Any]
    given: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def features(self) -> Mapping[str, Any]:
        """The library's type of each column."""
        features: Mapping[str, Any] = next(iter(self.parts.values())).features
        return features


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise downloads.Absent(
            f"Data sets of the Hugging Face hub need the library datasets: {INSTALL}."
        ) from error
    return datasets


def saved(path: str) -> Found:
    """A data set in a folder that ``save_to_disk`` wrote.

    Raises:
        Absent: The library is not on this machine.
        ValueError: There is none.
    """
    library = _library()
    if not Path(path).is_dir():
        raise ValueError(f"There is no folder {path}.")
    try:
        held = library.load_from_disk(path)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path} is not a data set saved by save_to_disk: {_first_line(error)}"
        ) from error
    return _parts(path, held)


def fetched(id: str, config: str | None) -> Found:
    """A data set that the library has fetched before, or fetches now if it may.

    Raises:
        Absent: The library or the data set is not on this machine, or cannot be fetched.
        ValueError: No such name, or one of several configurations must be named.
    """
    library = _library()
    # A name without its owner is redirected by the hub, and kept here under another.
    if id.startswith((".", "/", "~")) or id.count("/") != 1:
        raise ValueError(f"dataset.id is {id}, not ORG/NAME; name a folder in dataset.path.")
    wanted = f"the configuration {config} of {id}" if config else id
    if (held := _held(id, config)) is not None:
        return _parts(id, held)
    if not downloads.may():
        raise downloads.Absent(
            f"The data set {wanted} of the Hugging Face hub is not on this machine: workbench run "
            "fetches it, or save it elsewhere with datasets' save_to_disk, copy the folder here "
            "and name it in dataset.path."
        )
    try:
        held = library.load_dataset(id, config)
    except Exception as error:
        # Whatever the network, the hub or the library says, in their words.
        raise downloads.Absent(
            f"The data set {wanted} could not be fetched from the Hugging Face hub: "
            f"{_first_line(error)}"
        ) from error
    return _parts(id, held)


def _held(id: str, config: str | None) -> Any:
    """What the library has fetched before; None where it has nothing."""
    with _offline() as library:
        try:
            return library.load_dataset(id, config)
        except (ValueError, OSError) as error:
            if "multiple" not in str(error):
                return None
            configs = str(error).split("cache: ")[-1].split("\n")[0]
            raise ValueError(
                f"{id} comes in several configurations; say dataset.config: {configs}."
            ) from error


@contextmanager
def _offline() -> Iterator[Any]:
    """The library, reading only what it has downloaded before, without a warning about it."""
    library, logger = _library(), logging.getLogger("datasets")
    before = library.config.HF_HUB_OFFLINE, logger.level
    library.config.HF_HUB_OFFLINE = True
    logger.setLevel(logging.ERROR)
    try:
        yield library
    finally:
        library.config.HF_HUB_OFFLINE = before[0]
        logger.setLevel(before[1])


def _parts(name: str, found: Any) -> Found:
    if not isinstance(found, dict):
        return Found(name=name, parts={"train": found}, given={}, notes=())
    if len(found) == 1:
        return Found(name=name, parts=dict(found), given={}, notes=())
    given = {split: PARTS[split.lower()] for split in found if split.lower() in PARTS}
    if TRAIN not in given.values():
        raise ValueError(f"{name} has the splits {', '.join(found)}, and none to train on.")
    if len(set(given.values())) < len(given):
        raise ValueError(f"{name} has two splits for one part: {', '.join(given)}.")
    return Found(
        name=name,
        parts={split: found[split] for split in given},
        given=given,
        notes=tuple(
            f"{split}: {len(found[split])} samples are of no part (train, validation, test)"
            for split in found
            if split not in given
        ),
    )


def labelled(found: Found, name: str) -> Found:
    """The parts that have labels at all: a hidden test has none.

    Args:
        found: All parts.
        name: The column of the labels.

    Raises:
        ValueError: The training part has none.
    """
    without = {}
    for split, part in found.parts.items():
        values = part.with_format(None)[name] if name in part.features else [0]
        if all(value is None or value == -1 or _hidden(value) for value in values):
            without[split] = f"{split}: {len(part)} samples have no label"
    if len(without) == len(found.parts) or TRAIN in [found.given.get(split) for split in without]:
        raise ValueError(f"{found.name}: {next(iter(without.values()))} in the column {name}.")
    return replace(
        found,
        parts={split: part for split, part in found.parts.items() if split not in without},
        given={split: part for split, part in found.given.items() if split not in without},
        notes=(*found.notes, *without.values()),
    )


def _hidden(value: object) -> bool:
    """Whether a list of labels holds nothing but -1; an empty one says that none applies."""
    return isinstance(value, list) and bool(value) and all(label == -1 for label in value)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
