"""New data, prepared like the data of a trial, for predictions; their labels, if they have any.

Nothing is fitted here: mean, standard deviation, categories and image size are those of the trial's
data set, which a ``Preparation`` remembers. Used by ``predict``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TypeGuard

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from workbench.datasets import arrays, preprocessing, tables, texts
from workbench.datasets.checks import check_values
from workbench.datasets.memmap import tensor_of
from workbench.datasets.preparation import IMAGE, Preparation
from workbench.datasets.reading import readable_errors
from workbench.datasets.rows import files as tablefiles
from workbench.datasets.rows import formats, rows
from workbench.datasets.rows.rows import Rows
from workbench.datasets.samples import Inputs, Samples, Tensors, Texts
from workbench.messages import listed
from workbench.record.strategy import Knobs

New = Path | pd.DataFrame | np.ndarray
_ARRAYS = (".npy", ".npz")


def read_unlabelled(preparation: Preparation, data: New) -> tuple[Inputs, tuple[str, ...]]:
    """Read new samples, prepared like the trial's validation part, and their names.

    Args:
        preparation: That of the trial.
        data: A path. Texts: a table with the same text column, or a ``.txt`` file with one text a
            line. Vectors: a table with the same columns, or an ``.npy`` or ``.npz`` file. Images: a
            file, a folder, or an ``.npy`` or ``.npz`` file. Or a table or an array in memory; a
            table of images has a column ``image`` with the content of image files (``bytes``).

    Returns:
        The inputs (``Texts`` for ``backbones.prepare_inputs``) and N names: those of files, lines
        or the index of a table.

    Raises:
        ValueError: The path does not exist, or the data do not fit the trial.
    """
    if isinstance(data, Path) and not data.exists():
        raise ValueError(f"There is no file or folder {data}.")
    with readable_errors(_where(data)):
        if preparation.kind == "text":
            inputs, names = _texts(preparation.dataset, data)
        elif preparation.kind == "vector":
            inputs, names = _vectors(preparation, data)
        else:
            inputs, names = _images(preparation, data)
    if isinstance(data, Path):
        return inputs, names
    return inputs, tuple(
        map(str, data.index if isinstance(data, pd.DataFrame) else range(len(data)))
    )


def _where(data: New) -> str:
    """What errors call the data."""
    if isinstance(data, Path):
        return str(data)
    return "The frame" if isinstance(data, pd.DataFrame) else "The array"


def _table(dataset: Knobs, data: New) -> Rows:
    """A table, with the names of its rows for messages."""
    if isinstance(data, Path):
        return tablefiles.read(data, delimiter=dataset.get("delimiter"))
    if not isinstance(data, pd.DataFrame):
        raise ValueError("The array has no columns; give a table.")
    names = [str(name) for name in data.columns]
    if twins := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"The frame has several columns {twins[0]}.")
    return Rows(
        path=_where(data),
        frame=data.set_axis(names, axis="columns").reset_index(drop=True),
        names=tuple(f"row {label} of the frame" for label in data.index),
    )


def _texts(dataset: Knobs, data: New) -> tuple[Inputs, tuple[str, ...]]:
    if isinstance(data, Path) and data.suffix.lower() == ".txt":
        values, names = texts.lines(data)
    else:
        table = _table(dataset, data)
        values, names = texts.texts_of(table, dataset.get("text", "text")), table.names
    return Texts(values), names


def _vectors(preparation: Preparation, data: New) -> tuple[Inputs, tuple[str, ...]]:
    (width,) = preparation.input_shape
    if _is_array(data):
        if any((preparation.levels or {}).values()):
            raise ValueError(
                f"{_where(data)} has no columns, but some of the trial's are categories; give a "
                f"table with the columns {listed(list(preparation.levels or ()), 50)}."
            )
        values, names = _array(data)
    else:
        table = _table(preparation.dataset, data)
        levels = preparation.levels or dict.fromkeys(map(str, range(width)))
        columns = list(map(str, table.frame.columns))
        # Without names only positions can say which column is which: those of a table that has
        # names of its own may be in any order.
        if preparation.levels is None and columns != list(levels):
            raise ValueError(
                f"{table.path} has the columns {listed(columns, 50)}, but those of the trial have "
                f"no names; give an array, or call the columns 0 to {width - 1} in their order in "
                "training."
            )
        values, names = tables.vectors_of(table, levels), table.names
    if tuple(values.shape[1:]) != (width,):
        raise ValueError(
            f"{_where(data)} has samples of the shape {tuple(values.shape[1:])}, but one of the "
            f"trial has {width} numbers."
        )
    check_values(Samples(kind="vector", inputs=values, targets=values, classes=(), names=names))
    mean, std = torch.tensor(preparation.mean), torch.tensor(preparation.std)
    return Tensors((values.float() - mean) / std), names


def _images(preparation: Preparation, data: New) -> tuple[Inputs, tuple[str, ...]]:
    channels, height, width = preparation.stored_shape
    if _is_array(data):
        images, names = _array(data)
        if images.ndim == 3:  # grey
            images = images.unsqueeze(1)
        # NumPy images often have the channels last; the trial's channels tell which axis it is.
        if images.ndim == 4 and images.shape[1] != channels and images.shape[3] == channels:
            images = images.permute(0, 3, 1, 2).contiguous()
        if images.dtype != torch.uint8:
            images = images.float()
        check_values(Samples(kind="image", inputs=images, targets=images, classes=(), names=names))
    else:
        images, names = _decoded(preparation, data)
    if tuple(images.shape[1:]) != (channels, height, width):
        raise ValueError(
            f"{_where(data)} has images of the shape {tuple(images.shape[1:])}, but the trial was "
            f"trained on images of {(channels, height, width)} (channels, height, width)."
        )
    inputs = preprocessing.images_like(
        images, mean=preparation.mean, std=preparation.std, options=preparation.dataset
    )
    return inputs, names


def _decoded(preparation: Preparation, data: New) -> tuple[Tensor, tuple[str, ...]]:
    """Image files, or the content of image files in a table."""
    from workbench.datasets.image_folder import images_in
    from workbench.datasets.images.decoding import EXTENSIONS, Source
    from workbench.datasets.images.loading import ImageOptions, decode

    channels, height, width = preparation.stored_shape
    sources: Sequence[Source]
    content = None
    if isinstance(data, Path):
        sources = files = images_in(data) if data.is_dir() else [data]
        if not files:
            raise ValueError(f"{data} has no images; images end in {', '.join(EXTENSIONS)}.")
        base = data if data.is_dir() else data.parent
        names = tuple(file.relative_to(base).as_posix() for file in files)
    else:
        table = _table(preparation.dataset, data)
        names, column = table.names, table.column(IMAGE, option=None)
        for name, image in zip(names, column, strict=True):
            if not isinstance(image, bytes):
                raise ValueError(
                    f"{name}: the column {IMAGE} holds the content of image files (bytes), not "
                    f"{type(image).__name__}."
                )
        sources = [partial(bytes, image) for image in column]
        content = hashlib.sha256(
            b"".join(hashlib.sha256(one).digest() for one in column)
        ).hexdigest()
    images = decode(
        sources,
        names,
        where=_where(data),
        content=content,
        channels=channels,
        form=ImageOptions(
            # The trial's images are not square only if all had one size, which was kept.
            store_size=height if height == width else None,
            image_size=min(height, width),
        ),
    ).images
    return images, names


def labels_of(
    dataset: Knobs, path: Path, names: Sequence[str], target: str, classes: Sequence[str]
) -> Tensor | str | None:
    """The labels that new data have; None without labels.

    Those of images are the names of their folders, those of a table its target column, those of an
    ``.npz`` file its targets. Of images and tables only single classes and a single column of
    numbers are read.

    Args:
        dataset: That of the trial.
        path: The new data.
        names: Of the samples, as ``read_unlabelled`` gives them.
        target: What the task predicts; see ``samples.TARGETS``.
        classes: Names of the classes.

    Returns:
        Classes ``int64 [N]``, labels ``float32 [N, L]``, or numbers ``float32 [N, T]``; or a text
        that says which sample has no label, or one that the model does not know.
    """
    column = dataset.get("target", dataset.get("label"))
    if path.is_dir() and column is None:
        words: Sequence[str | None] = [name.partition("/")[0] for name in names]
    elif path.suffix.lower() in formats.SUFFIXES and isinstance(column, str):
        frame = tablefiles.read(path, delimiter=dataset.get("delimiter")).frame
        if column not in frame.columns or len(frame) != len(names):
            return None
        if target == "numbers":
            values = torch.tensor(rows.numbers(frame[column])).float().unsqueeze(1)
            return None if values.isnan().any() else values
        words = rows.words(frame[column])
    elif path.suffix.lower() == ".npz":
        try:
            found = arrays.read(target=target, path=str(path), targets=dataset.get("targets"))
        except ValueError:
            return None  # No targets, or others than the task's.
        if target != "class":
            return found.targets if found.targets.shape == (len(names), len(classes)) else None
        words = [dict(enumerate(found.classes)).get(number) for number in found.targets.tolist()]
        if len(words) != len(names):
            return None
    else:
        return None
    known = {name: number for number, name in enumerate(classes)}
    # The folders of images may be called after anything else.
    if target != "class" or (path.is_dir() and known.keys().isdisjoint(words)):
        return None
    for name, word in zip(names, words, strict=True):
        if word not in known:
            return f"{name} has {f'the label {word}, which is no class' if word else 'no label'}"
    return torch.tensor([known[str(word)] for word in words])


def own_data(dataset: Knobs, path: Path) -> str:
    """Why new data are, or may be, the study's own: a sentence; empty if they are not.

    The test part of these is measured once, by the confirmation.

    Args:
        dataset: That of the trial; of an exported model the last name of its path.
        path: The new data.
    """
    own, places = dataset.get("path"), (path.resolve(), *path.resolve().parents)
    if not isinstance(own, str):
        return ""
    if Path(own).is_absolute():
        return f"{path} holds data of the study itself" if Path(own).resolve() in places else ""
    if own not in (place.name for place in places):
        return ""
    return (
        f"{path} may be the study's own data, which are called {own} too, and this model knows "
        "only that name; give other data another name"
    )


def _is_array(data: New) -> TypeGuard[Path | np.ndarray]:
    if isinstance(data, Path):
        return data.suffix.lower() in _ARRAYS
    return isinstance(data, np.ndarray)


def _array(data: Path | np.ndarray) -> tuple[Tensor, tuple[str, ...]]:
    """An array's samples: the file's only array, or the one called x or inputs."""
    if isinstance(data, Path):
        found = arrays.load(data)
        named = [name for name in ("x", "inputs", *found) if name in found]
        if len(found) != 1 and named[:1] not in (["x"], ["inputs"]):
            names = ", ".join(found) or "none"
            raise ValueError(f"{data} must have an array x or inputs; its arrays are {names}.")
        values = found[named[0]]
    else:
        values = data
    if values.dtype.kind not in "biuf" or values.ndim < 2:
        raise ValueError(
            f"{_where(data)} has {values.dtype} {list(values.shape)}; expected numbers [N, ...]."
        )
    if values.dtype != np.uint8:
        with np.errstate(over="ignore"):  # infinite values are refused below
            values = values.astype(np.float32)
    row = f"{data.name}:{{}}" if isinstance(data, Path) else "row {} of the array"
    return tensor_of(values), tuple(row.format(number) for number in range(len(values)))
