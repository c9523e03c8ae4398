"""Data sets of the Hugging Face hub, through the library ``datasets``.

A data set in the library's cache or in a folder is read without a network. The samples are the same
as those of a table or a folder with the same content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from workbench.datasets import tables, texts
from workbench.datasets.catalogue import ROWS
from workbench.datasets.hub import images as hub_images
from workbench.datasets.hub import library
from workbench.datasets.hub.library import HubData
from workbench.datasets.rows import columns
from workbench.datasets.rows.columns import RowOptions
from workbench.datasets.rows.rows import Rows
from workbench.datasets.samples import Samples

# Types of the columns that can be inputs, by the kind of the samples.
_TYPES = {"image": ("PIL.Image.Image",), "text": ("string", "large_string")}


def read(
    *,
    target: str,
    id: str | None = None,
    path: str | None = None,
    config: str | None = None,
    text: str | None = None,
    image: str | None = None,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    categories: Sequence[str] = (),
    **others: Any,
) -> Samples:
    """Samples of a data set of the hub, or of a folder written by ``save_to_disk``.

    Splits called train, validation (valid, val, dev) and test are given parts; a single split is
    divided. Other splits, and parts without labels (-1 or missing), are ignored with a note.
    Without ``text``, ``image`` and ``features``, the only column of images is used, or else the
    only one of texts.

    Args:
        target: What is predicted; see ``samples.TARGETS``.
        id: ``ORG/NAME``; None with a path.
        path: A folder written by ``save_to_disk``.
        config: The configuration, if there are several.
        text: The column of the texts.
        image: The column of the images.
        features: The columns of numbers and categories; see ``tables``.
        drop: See ``tables``.
        categories: See ``tables``.
        others: Options of every reader of rows (see ``rows.columns.RowOptions``), and for images
            those of ``images.loading.ImageOptions``.

    Raises:
        NotDownloadedError: The library, or the data set, is not on this machine.
        ValueError: A column does not exist, or rows cannot be used; up to ten are listed.
    """
    if (id is None) == (path is None):
        raise ValueError("A data set of the hub needs either dataset.id: ORG/NAME or dataset.path.")
    options = RowOptions(target=target, **{key: others[key] for key in ROWS if key in others})
    decoding = {key: value for key, value in others.items() if key not in ROWS}
    data = library.saved(path) if path else library.fetched(str(id), config)
    if options.label:
        data = library.labelled(data, columns.column_names(options.label)[0])
    kind, inputs = _inputs(data, options.columns, text=text, image=image, features=features)
    if decoding and kind != "image":
        raise ValueError(f"dataset.{next(iter(decoding))} is for images; the samples are {kind}s.")
    if kind == "image":
        rows = _rows(data, options.columns, numbered=inputs[0])
        samples = hub_images.of_rows(rows, options, data.parts, image=inputs[0], **decoding)
    elif kind == "text":
        rows = _rows(data, [*options.columns, *inputs])
        samples = texts.of_rows(rows, options, text=inputs[0])
    else:
        rows = _rows(data, [*options.columns, *inputs, *drop])
        samples = tables.of_rows(
            rows,
            options,
            features=inputs if features else None,
            drop=drop,
            categories=categories,
        )
    samples = _as_declared(samples, data, options)
    return replace(samples, skipped=(*data.notes, *samples.skipped))


def _inputs(
    data: HubData,
    taken: Sequence[str],
    *,
    text: str | None,
    image: str | None,
    features: Sequence[str] | None,
) -> tuple[str, list[str]]:
    """The kind of the samples, and the columns of their inputs."""
    inputs = {"text": text, "image": image, "vector": features}
    chosen = [kind for kind, value in inputs.items() if value]
    if len(chosen) > 1:
        raise ValueError("dataset has more than one of text, image and features; use one of them.")
    if features:
        return "vector", [str(name) for name in features]
    if chosen:
        (kind,) = chosen
        column = str(inputs[kind])
        _column(data, column, option=kind)
        type_ = _type(data.features[column])
        if type_ not in _TYPES[kind]:
            raise ValueError(
                f"dataset.{kind} names the column {column} of {data.name}, which is {type_}."
            )
        return kind, [column]
    free = {name: _type(type_) for name, type_ in data.features.items() if name not in taken}
    # Images first: their data sets often have a text (a caption, a file's name) as well.
    for kind, types in _TYPES.items():
        candidates = [name for name, type_ in free.items() if type_ in types]
        if len(candidates) == 1:
            return kind, candidates
    if not any(type_ in types for types in _TYPES.values() for type_ in free.values()):
        return "vector", list(free)
    raise ValueError(
        f"{data.name} has several possible input columns; name one in dataset.text, "
        "dataset.image or dataset.features: "
        + ", ".join(f"{name} ({type_})" for name, type_ in free.items())
        + "."
    )


def _column(data: HubData, name: str, *, option: str) -> None:
    """Refuse a column that does not exist."""
    frame = pd.DataFrame(columns=list(data.features))
    Rows(path=data.name, frame=frame, names=()).column(name, option=option)


def _rows(data: HubData, names: Sequence[str], *, numbered: str = "") -> Rows:
    """Some columns of all parts, with classes by name."""
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        _column(data, name, option="label" if name == names[0] else "features")
    frames, before = [], 0
    problems: dict[int, str] = {}
    for part in data.parts.values():
        frame = part.with_format(None).select_columns(wanted).to_pandas()
        for name in wanted:
            if (classes := _class_names(part.features[name])) is None:
                continue
            frame[name], unknown = _by_name(frame[name], classes)
            for row, number in unknown.items():
                reason = f"{name} has {number}, which is not one of its classes"
                problems.setdefault(before + row, reason)
        frames.append(frame)
        before += len(frame)
    together = pd.concat(frames, ignore_index=True)
    if numbered:
        together[numbered] = np.arange(len(together))
    given = [
        torch.full((len(part),), data.given[split])
        for split, part in data.parts.items()
        if split in data.given
    ]
    return Rows(
        path=data.name,
        frame=together,
        names=tuple(
            f"{split}:{number}" for split, part in data.parts.items() for number in range(len(part))
        ),
        given=torch.cat(given) if len(given) > 1 else None,
        problems=problems,
    )


def _by_name(column: pd.Series[Any], names: Sequence[str]) -> tuple[pd.Series[Any], dict[int, Any]]:
    """The column with classes by name, and the first unknown number in each list by its row.

    Missing values, and -1 for no class, become None.
    """
    named: list[Any] = []
    unknown = {}
    for row, value in enumerate(column.tolist()):
        if not isinstance(value, np.ndarray | list):
            named.append(names[int(value)] if _is_class(value, names) else None)
            continue
        named.append([names[int(number)] for number in value if _is_class(number, names)])
        if len(named[-1]) < len(value):
            unknown[row] = next(number for number in value if not _is_class(number, names))
    return pd.Series(named, dtype=object), unknown


def _is_class(value: Any, names: Sequence[str]) -> bool:
    # NaN, pandas' missing value, is not equal to itself.
    return value is not None and value == value and 0 <= int(value) < len(names)


def _class_names(feature: Any) -> list[str] | None:
    inner = getattr(feature, "feature", feature)
    return list(inner.names) if type(inner).__name__ == "ClassLabel" else None


def _as_declared(samples: Samples, data: HubData, options: RowOptions) -> Samples:
    """Classes and labels in the declared order, including those without samples."""
    label = options.label
    names = _class_names(data.features[label]) if isinstance(label, str) else None
    if names is None or options.target == "numbers":
        return samples
    place = torch.tensor([names.index(name) for name in samples.classes])
    if options.target == "class":
        return replace(samples, targets=place[samples.targets], classes=tuple(names))
    targets = torch.zeros(len(samples.targets), len(names))
    targets[:, place] = samples.targets
    return replace(samples, targets=targets, classes=tuple(names))


def _type(feature: Any) -> str:
    return str(getattr(feature, "dtype", type(feature).__name__))
