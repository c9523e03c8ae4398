"""New data, prepared like the data of a trial, for predictions; their labels, if they have any.

Nothing is fitted here: mean, standard deviation, categories and image size are those of the trial's
data set, which a ``Preparation`` remembers. Used by ``predict``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from workbench.datasets import arrays, preprocessing, tables, texts
from workbench.datasets.memmap import tensor_of
from workbench.datasets.preparation import IMAGE, Preparation
from workbench.datasets.reading import readable_errors
from workbench.datasets.rows import files as tablefiles
from workbench.datasets.rows import formats, rows
from workbench.datasets.samples import Inputs, Tensors, Texts
from workbench.record.strategy import Knobs

if TYPE_CHECKING:
    import pandas as pd

_ARRAYS = (".npy", ".npz")


@contextmanager
def written(values: pd.DataFrame | np.ndarray, kind: str) -> Iterator[Path]:
    """New samples in memory as a file that ``read_unlabelled`` reads, until the end of the block.

    Args:
        values: An array of vectors or images; or a table, whose column ``image`` holds the content
            of image files (``bytes``) if the samples are images.
        kind: Of the samples.

    Raises:
        ValueError: A table of images has no column ``image``.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if isinstance(values, np.ndarray):
            path = folder / "array.npy"
            np.save(path, values)
        elif kind == "image":
            path = folder
            if IMAGE not in values.columns:
                raise ValueError(
                    f"A table of images needs a column {IMAGE} with the content of image files; "
                    f"its columns are {', '.join(map(str, values.columns))}."
                )
            for number, content in enumerate(values[IMAGE]):
                # Images of a folder are read in the order of their names.
                (folder / f"{number:09d}.png").write_bytes(content)
        else:
            path = folder / "table.parquet"
            values.to_parquet(path, index=False)
        yield path


def read_unlabelled(preparation: Preparation, path: Path) -> tuple[Inputs, tuple[str, ...]]:
    """Read new samples, prepared like the trial's validation part, and their names.

    Args:
        preparation: That of the trial.
        path: Texts: a table with the same text column, or a ``.txt`` file with one text a line.
            Vectors: a table with the same feature columns, or an ``.npy`` or ``.npz`` file.
            Images: a file, a folder, or an ``.npy`` or ``.npz`` file.

    Returns:
        The inputs (``Texts`` for ``backbones.prepare``) and N names.

    Raises:
        ValueError: The path does not exist, or its data do not fit the trial.
    """
    if not path.exists():
        raise ValueError(f"There is no file or folder {path}.")
    with readable_errors(path):
        if preparation.kind == "text":
            return _texts(preparation.dataset, path)
        if preparation.kind == "vector":
            return _vectors(preparation, path)
        return _images(preparation, path)


def _texts(dataset: Knobs, path: Path) -> tuple[Inputs, tuple[str, ...]]:
    column = dataset.get("text", "text")
    values, names = texts.read_unlabelled(path, text=column, delimiter=dataset.get("delimiter"))
    return Texts(values), names


def _vectors(preparation: Preparation, path: Path) -> tuple[Inputs, tuple[str, ...]]:
    (width,) = preparation.input_shape
    if path.suffix.lower() in _ARRAYS:
        values, names = _array(path)
    elif preparation.levels is not None:
        encoding = tables.Encoding(levels=preparation.levels)
        delimiter = preparation.dataset.get("delimiter")
        values, names = tables.read_unlabelled(path, encoding, delimiter=delimiter)
    else:
        columns = tablefiles.read(path).frame.columns
        if len(columns) != width:
            raise ValueError(
                f"{path} has {len(columns)} columns, but a sample of the trial has {width} numbers."
            )
        encoding = tables.Encoding(levels=dict.fromkeys(map(str, columns)))
        values, names = tables.read_unlabelled(path, encoding)
    if tuple(values.shape[1:]) != (width,):
        raise ValueError(
            f"A sample in {path} has the shape {tuple(values.shape[1:])}, but one of the trial has "
            f"{width} numbers."
        )
    _refuse_non_finite(values, names)
    mean, std = torch.tensor(preparation.mean), torch.tensor(preparation.std)
    return Tensors((values.float() - mean) / std), names


def _images(preparation: Preparation, path: Path) -> tuple[Inputs, tuple[str, ...]]:
    from workbench.datasets.image_folder import images_in
    from workbench.datasets.images.decoding import EXTENSIONS
    from workbench.datasets.images.loading import ImageOptions, decode

    channels, height, width = preparation.stored_shape
    if path.suffix.lower() in _ARRAYS:
        images, names = _array(path)
        # NumPy images often have the channels last; the trial's channels tell which axis it is.
        if images.ndim == 4 and images.shape[1] != channels and images.shape[3] == channels:
            images = images.permute(0, 3, 1, 2).contiguous()
        if images.dtype != torch.uint8:
            images = images.float()
            _refuse_non_finite(images, names)
    else:
        files = images_in(path) if path.is_dir() else [path]
        if not files:
            raise ValueError(f"{path} has no images; images end in {', '.join(EXTENSIONS)}.")
        base = path if path.is_dir() else path.parent
        names = tuple(file.relative_to(base).as_posix() for file in files)
        images = decode(
            files,
            names,
            where=str(path),
            channels=channels,
            form=ImageOptions(
                # The trial's images are not square only if all had one size, which was kept.
                store_size=height if height == width else None,
                image_size=min(height, width),
            ),
        ).images
    if tuple(images.shape[1:]) != (channels, height, width):
        raise ValueError(
            f"An image in {path} has the shape {tuple(images.shape[1:])}, but the trial was "
            f"trained on images of {(channels, height, width)} (channels, height, width)."
        )
    inputs = preprocessing.images_like(
        images, mean=preparation.mean, std=preparation.std, options=preparation.dataset
    )
    return inputs, names


def labels_of(
    dataset: Knobs, path: Path, names: Sequence[str], target: str, classes: Sequence[str]
) -> Tensor | None:
    """The labels that new data have; None where a sample has none.

    Those of images are the names of their folders, those of a table its target column. Only single
    classes and a single column of numbers are read.

    Args:
        dataset: That of the trial.
        path: The new data.
        names: Of the samples, as ``read_unlabelled`` gives them.
        target: What the task predicts; see ``samples.TARGETS``.
        classes: Names of the classes.

    Returns:
        Labels ``int64 [N]``, or numbers ``float32 [N, 1]``.
    """
    own = dataset.get("path")
    if isinstance(own, str) and Path(own).resolve() in (path.resolve(), *path.resolve().parents):
        # The study's own data: their test part is measured once, by the confirmation.
        return None
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
    else:
        return None
    known = {name: number for number, name in enumerate(classes)}
    if target != "class" or not all(word in known for word in words):
        return None
    return torch.tensor([known[str(word)] for word in words])


def _array(path: Path) -> tuple[Tensor, tuple[str, ...]]:
    """An array's samples: the file's only array, or the one called x or inputs."""
    found = arrays.load(path)
    named = [name for name in ("x", "inputs", *found) if name in found]
    if len(found) != 1 and named[:1] not in (["x"], ["inputs"]):
        names = ", ".join(found) or "none"
        raise ValueError(f"{path} must have an array x or inputs; its arrays are {names}.")
    values = found[named[0]]
    if values.dtype.kind not in "biuf" or values.ndim < 2:
        raise ValueError(
            f"{path} has {values.dtype} {list(values.shape)}; expected numbers [N, ...]."
        )
    if values.dtype != np.uint8:
        with np.errstate(over="ignore"):  # infinite values are refused below
            values = values.astype(np.float32)
    return tensor_of(values), tuple(f"{path.name}:{number}" for number in range(len(values)))


def _refuse_non_finite(values: Tensor, names: tuple[str, ...]) -> None:
    bad = torch.nonzero(~values.flatten(1).isfinite().all(dim=1)).flatten().tolist()
    if bad:
        raise ValueError(f"{names[bad[0]]} has a number that is not finite.")
