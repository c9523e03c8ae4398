"""Data sets of the Hugging Face hub, through its library ``datasets`` (extra ``hub``).

What the library has fetched before, or saved in a folder, is read without a network; nothing is
looked up then. Texts, images or features become the samples that a table or a folder of the same
content would give. Knows no split beyond the parts that are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from workbench.datasets import tables, texts
from workbench.datasets.hub import images as hub_images
from workbench.datasets.hub import library
from workbench.datasets.hub.library import Found
from workbench.datasets.rows import columns
from workbench.datasets.rows.columns import Asked
from workbench.datasets.rows.rows import Rows
from workbench.datasets.samples import Samples

_IMAGE, _TEXT = ("PIL.Image.Image",), ("string", "large_string")


def read(
    *,
    target: str,
    label: columns.Columns,
    id: str | None = None,
    path: str | None = None,
    config: str | None = None,
    text: str | None = None,
    image: str | None = None,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    categories: Sequence[str] = (),
    separator: str | None = None,
    split: Mapping[str, str] | None = None,
    on_bad_input: str = "refuse",
    **decoding: Any,
) -> Samples:
    """Samples of a data set of the hub, or of one saved by ``save_to_disk``.

    Splits called train, validation and test (valid, val, dev) are given parts; a single split is
    divided; others are left out with a note, and so is a part without any label (-1 or none).
    Without ``text``, ``image`` or ``features`` the only column of images, else the only one of
    texts, is taken.

    Args:
        target: What is predicted; see ``samples.TARGETS``.
        label: The column of the classes, labels or numbers; a list for several.
        id: ``ORG/NAME``; None with a path.
        path: A folder that ``save_to_disk`` wrote.
        config: Of a data set that comes in several.
        text: The column of the texts.
        image: The column of the images.
        features: The columns of numbers and categories; see ``tables``.
        drop: See ``tables``.
        categories: See ``tables``.
        separator: See ``texts``.
        split: See ``texts``.
        on_bad_input: See ``texts``.
        decoding: How images are decoded; see ``decoded``.

    Raises:
        Absent: The library, or the data set, is not on this machine.
        ValueError: There is no such column, or rows cannot be used: up to ten are named.
    """
    if (id is None) == (path is None):
        raise ValueError("A data set of the hub needs dataset.id: ORG/NAME, or dataset.path.")
    found = library.saved(path) if path else library.fetched(str(id), config)
    if label:
        found = library.labelled(found, columns.named(label)[0])
    kind, inputs = _inputs(found, label, split or {}, text=text, image=image, features=features)
    if decoding and kind != "image":
        raise ValueError(f"dataset.{next(iter(decoding))} is for images; these are {kind}s.")
    asked = Asked(
        target=target,
        label=label,
        separator=separator,
        split=split or {},
        on_bad_input=on_bad_input,
    )
    if kind == "image":
        rows = _rows(found, asked.columns, numbered=inputs[0])
        samples = hub_images.of_rows(rows, asked, found.parts, image=inputs[0], **decoding)
    elif kind == "text":
        rows = _rows(found, [*asked.columns, *inputs])
        samples = texts.of_rows(rows, asked, text=inputs[0])
    else:
        rows = _rows(found, [*asked.columns, *inputs, *drop])
        samples, _ = tables.of_rows(
            rows,
            asked,
            features=inputs if features else None,
            drop=drop,
            categories=categories,
        )
    samples = _as_declared(samples, found, label, target)
    return replace(samples, skipped=(*found.notes, *samples.skipped))


def _inputs(
    found: Found,
    label: columns.Columns,
    split: Mapping[str, str],
    *,
    text: str | None,
    image: str | None,
    features: Sequence[str] | None,
) -> tuple[str, list[str]]:
    """The kind of the samples, and the columns of their inputs."""
    named = {"text": text, "image": image, "vector": features}
    said = [kind for kind, value in named.items() if value]
    if len(said) > 1:
        raise ValueError("dataset names more than one of text, image and features.")
    if text or image:
        column = str(text or image)
        _column(found, column, option=said[0])
        type_ = _type(found.features[column])
        if type_ not in (_IMAGE if image else _TEXT):
            raise ValueError(
                f"dataset.{said[0]} names the column {column} of {found.name}, which is {type_}."
            )
        return said[0], [column]
    if features:
        return "vector", [str(name) for name in features]
    taken = {*columns.named(label), *split.values()}
    free = {name: type_ for name, type_ in found.features.items() if name not in taken}
    images = [name for name, type_ in free.items() if _type(type_) in _IMAGE]
    words = [name for name, type_ in free.items() if _type(type_) in _TEXT]
    for kind, candidates in (("image", images), ("text", words)):
        if len(candidates) == 1:
            return kind, candidates
    if not images and not words:
        return "vector", list(free)
    raise ValueError(
        f"{found.name} has several columns that may be the input; name one in dataset.text, "
        f"dataset.image or dataset.features: "
        + ", ".join(f"{name} ({_type(type_)})" for name, type_ in free.items())
        + "."
    )


def _column(found: Found, name: str, *, option: str) -> None:
    """Refuse a column that is not there."""
    frame = pd.DataFrame(columns=list(found.features))
    Rows(path=found.name, frame=frame, names=()).column(name, option=option)


def _rows(found: Found, names: Sequence[str], *, numbered: str = "") -> Rows:
    """Some columns of all parts; classes by their names."""
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        _column(found, name, option="label" if name == names[0] else "features")
    frames, before = [], 0
    flaws: dict[int, str] = {}
    for part in found.parts.values():
        frame = part.with_format(None).select_columns(wanted).to_pandas()
        for name in wanted:
            for row, number in _strangers(frame[name], part.features[name]).items():
                reason = f"{name} holds {number}, which is none of its classes"
                flaws.setdefault(before + row, reason)
            frame[name] = _by_name(frame[name], part.features[name])
        frames.append(frame)
        before += len(frame)
    together = pd.concat(frames, ignore_index=True)
    if numbered:
        together[numbered] = np.arange(len(together))
    given = [
        torch.full((len(part),), found.given[split])
        for split, part in found.parts.items()
        if split in found.given
    ]
    return Rows(
        path=found.name,
        frame=together,
        names=tuple(
            f"{split}:{number}"
            for split, part in found.parts.items()
            for number in range(len(part))
        ),
        given=torch.cat(given) if len(given) > 1 else None,
        flaws=flaws,
    )


def _strangers(column: pd.Series[Any], feature: Any) -> dict[int, Any]:
    """The first number in each row's list of classes that is no class, by the row."""
    names = _class_names(feature)
    if names is None:
        return {}
    found = {}
    for row, value in enumerate(column.tolist()):
        if isinstance(value, np.ndarray | list):
            odd = [number for number in value if not _is_class(number, names)]
            found.update({row: odd[0]} if odd else {})
    return found


def _is_class(value: Any, names: Sequence[str]) -> bool:
    return value is not None and value == value and 0 <= int(value) < len(names)


def _by_name(column: pd.Series[Any], feature: Any) -> pd.Series[Any]:
    """A column of numbers of classes as the names of the classes; -1 is no class."""
    names = _class_names(feature)
    if names is None:
        return column

    def name(value: Any) -> Any:
        if isinstance(value, np.ndarray | list):
            return [names[int(number)] for number in value if _is_class(number, names)]
        return names[int(value)] if _is_class(value, names) else None

    return pd.Series([name(value) for value in column.tolist()], dtype=object)


def _class_names(feature: Any) -> list[str] | None:
    inner = getattr(feature, "feature", feature)
    return list(inner.names) if type(inner).__name__ == "ClassLabel" else None


def _as_declared(samples: Samples, found: Found, label: columns.Columns, target: str) -> Samples:
    """Classes and labels in the order that the data set declares, those without samples too."""
    names = _class_names(found.features[label]) if isinstance(label, str) else None
    if names is None or target == "numbers":
        return samples
    place = torch.tensor([names.index(name) for name in samples.classes])
    if target == "class":
        return replace(samples, targets=place[samples.targets], classes=tuple(names))
    targets = torch.zeros(len(samples.targets), len(names))
    targets[:, place] = samples.targets
    return replace(samples, targets=targets, classes=tuple(names))


def _type(feature: Any) -> str:
    return str(getattr(feature, "dtype", type(feature).__name__))
