"""The library ``datasets``: what it has on this machine, and what it downloads.

Maps splits to parts. Used by ``hub``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import downloads
from workbench.datasets.rows.rows import PARTS
from workbench.datasets.samples import TRAIN
from workbench.messages import first_line

if TYPE_CHECKING:
    from datasets import Dataset, Features

INSTALL = "pip install datasets"


@dataclass(frozen=True, kw_only=True, eq=False)
class HubData:
    """A data set of the library.

    Attributes:
        name: Its id or path, for messages.
        parts: The library's data sets by split.
        given: The part of each split; empty if there is only one split.
        notes: A note on each ignored split.
    """

    name: str
    parts: Mapping[str, Dataset]
    given: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def features(self) -> Features:
        """The library's feature type of each column."""
        return next(iter(self.parts.values())).features


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise downloads.NotDownloadedError(
            f"Data sets of the Hugging Face hub need the library datasets: {INSTALL}."
        ) from error
    return datasets


def saved(path: str) -> HubData:
    """A data set in a folder written by ``save_to_disk``.

    Raises:
        NotDownloadedError: The library is not installed.
        ValueError: The folder does not exist or is not such a data set.
    """
    library = _library()
    if not Path(path).is_dir():
        raise ValueError(f"There is no folder {path}.")
    try:
        cached = library.load_from_disk(path)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path} is not a data set saved by save_to_disk: {first_line(error)}."
        ) from error
    return _parts(path, cached)


def fetched(id: str, config: str | None) -> HubData:
    """A data set from the library's cache, or downloaded if that is allowed.

    Raises:
        NotDownloadedError: The library is not installed, or the data set is not here and cannot be
            downloaded.
        ValueError: The id is invalid, or one of several configurations must be named.
    """
    library = _library()
    # The hub redirects a name without its owner, but the cache has the full name only.
    if id.startswith((".", "/", "~")) or id.count("/") != 1:
        raise ValueError(f"dataset.id is {id}, not ORG/NAME; name a folder in dataset.path.")
    wanted = f"the configuration {config} of {id}" if config else id
    if (cached := _cached(id, config)) is not None:
        return _parts(id, cached)
    if not downloads.may():
        raise downloads.NotDownloadedError(
            f"The data set {wanted} of the Hugging Face hub is not on this machine: workbench run "
            "downloads it, or save it on another machine with save_to_disk, copy the folder here "
            "and set dataset.path."
        )
    try:
        cached = library.load_dataset(id, config)
    except Exception as error:
        # Errors of the network, the hub and the library have no common base class.
        raise downloads.NotDownloadedError(
            f"The data set {wanted} could not be downloaded from the Hugging Face hub: "
            f"{first_line(error)}."
        ) from error
    return _parts(id, cached)


def _cached(id: str, config: str | None) -> Any:
    """The data set in the library's cache, or None."""
    with _offline() as library:
        try:
            return library.load_dataset(id, config)
        except (ValueError, OSError) as error:
            if "multiple" not in str(error):
                return None
            configs = str(error).split("cache: ")[-1].split("\n")[0]
            raise ValueError(
                f"{id} has several configurations; set dataset.config: {configs}."
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


def _parts(name: str, data: Any) -> HubData:
    data = dict(data) if isinstance(data, dict) else {"train": data}
    if len(data) == 1:
        return HubData(name=name, parts=data, given={}, notes=())
    given = {split: PARTS[split.lower()] for split in data if split.lower() in PARTS}
    # Names of splits are free text: only those of known parts can be mapped.
    if TRAIN not in given.values():
        raise ValueError(f"{name} has the splits {', '.join(data)}, but none for training.")
    if len(set(given.values())) < len(given):
        raise ValueError(f"{name} has two splits for one part: {', '.join(given)}.")
    return HubData(
        name=name,
        parts={split: data[split] for split in given},
        given=given,
        notes=tuple(
            f"{split}: {len(data[split])} samples belong to no part (train, validation, test)"
            for split in data
            if split not in given
        ),
    )


def labelled(data: HubData, name: str) -> HubData:
    """Drop the parts that have no labels, such as a hidden test split.

    Args:
        data: All parts.
        name: The column of the labels.

    Raises:
        ValueError: The training part has none.
    """
    without = {}
    for split, part in data.parts.items():
        values = part.with_format(None)[name] if name in part.features else [0]
        if all(value is None or value == -1 or _is_hidden(value) for value in values):
            without[split] = f"{split}: {len(part)} samples have no label"
    if len(without) == len(data.parts) or TRAIN in [data.given.get(split) for split in without]:
        raise ValueError(f"{data.name}: {next(iter(without.values()))} in the column {name}.")
    return replace(
        data,
        parts={split: part for split, part in data.parts.items() if split not in without},
        given={split: part for split, part in data.given.items() if split not in without},
        notes=(*data.notes, *without.values()),
    )


def _is_hidden(value: object) -> bool:
    """Whether a list of labels has only -1; an empty list means that no label applies."""
    return isinstance(value, list) and bool(value) and all(label == -1 for label in value)
