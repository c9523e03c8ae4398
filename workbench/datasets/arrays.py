"""NumPy arrays from files, as samples. Pickled arrays are refused: loading them could run code."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.datasets.from_arrays import of_arrays
from workbench.datasets.memmap import MappedArray, sha256_of
from workbench.datasets.reading import must_fit, readable_errors
from workbench.datasets.rows.rows import PARTS
from workbench.datasets.samples import TRAIN, Samples
from workbench.messages import did_you_mean, listed

_Array = NDArray[Any]
_INPUTS, _TARGETS = ("x", "inputs", "X", "images"), ("y", "targets", "Y", "labels")
_CLASSES = ("classes", "class_names")
_EXPECTED = "a NumPy array of numbers or of fixed-length strings"
# .npy files of at least this many bytes are memory-mapped instead of read.
LARGE = 2**26


def read(
    *, target: str, path: str, inputs: str | None = None, targets: str | None = None
) -> Samples:
    """Read the arrays of an ``.npz`` file or of a folder of ``.npy`` files, by their names.

    Either one array each (``x`` and ``y``), or one for each part (``x_train`` or ``train_x``, and
    so on, with the names in ``rows.PARTS``). An array ``classes`` of strings names the classes,
    labels or columns; integer targets are then indices into it.

    Args:
        target: See ``samples.TARGETS``.
        path: Of the file or the folder.
        inputs: Name of the inputs; by default ``x``, ``inputs``, ``X`` or ``images``.
        targets: Name of the targets; by default ``y``, ``targets``, ``Y`` or ``labels``.

    Raises:
        ValueError: A file or array does not exist, an array contains Python objects, an array
            named like a part would be ignored, or the arrays are not samples (see
            ``of_arrays``).
    """
    place = Path(path)
    arrays = _arrays(place)
    inputs = _name_of("inputs", [inputs] if inputs else _INPUTS, arrays, place)
    targets = _name_of("targets", [targets] if targets else _TARGETS, arrays, place)
    names = next((arrays[name] for name in _CLASSES if name in arrays), None)
    classes = None if names is None else [str(name) for name in names.reshape(-1)]
    try:
        samples = _samples(arrays, inputs, targets, target, classes)
        return _map_images(samples, arrays.get(inputs))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _arrays(place: Path) -> dict[str, _Array]:
    if place.is_dir():
        arrays: dict[str, _Array] = {}
        for file in sorted(place.glob("*.npy")):
            arrays |= load(file)
        if not arrays:
            raise ValueError(f"{place} contains no .npy files.")
        return arrays
    if not place.is_file():
        near = [file.name for file in place.parent.glob("*.npz")]
        hint = did_you_mean(place.name, near, prefix=f"{place.parent}/")
        raise ValueError(f"there is no file or folder {place}{hint}")
    if not zipfile.is_zipfile(place):
        raise ValueError(f"{place} is not an .npz file; write one with numpy.savez.")
    return load(place)


def load(file: Path) -> dict[str, _Array]:
    """The arrays of an ``.npz`` file by name, or the array of an ``.npy`` file by the file's name.

    A large ``.npy`` file is memory-mapped.

    Raises:
        ValueError: The file is damaged, contains Python objects, or needs more memory than is free.
    """
    with readable_errors(file, expected=_EXPECTED):
        if not zipfile.is_zipfile(file):
            large = file.stat().st_size >= LARGE
            return {file.stem: np.load(file, mmap_mode="r" if large else None, allow_pickle=False)}
        # The sizes in the archive's directory, before anything is unpacked.
        with zipfile.ZipFile(file) as archive:
            must_fit(file, sum(member.file_size for member in archive.infolist()))
        with np.load(file, allow_pickle=False) as archive:
            return {name: _array(file, name, archive) for name in archive.files}


def _array(file: Path, name: str, archive: Any) -> _Array:
    with readable_errors(f"{file}: the array {name}", expected=_EXPECTED):
        found: _Array = archive[name]
        return found


def _name_of(what: str, names: Sequence[str], arrays: Mapping[str, _Array], place: Path) -> str:
    for name in names:
        if name in arrays or any(PARTS.get(_affix(key, name)) == TRAIN for key in arrays):
            return name
    if len(names) == 1:
        hint = did_you_mean(names[0], arrays) or f"; its arrays are {listed(arrays)}."
        raise ValueError(f"dataset.{what} names the array {names[0]}, which {place} lacks{hint}")
    raise ValueError(
        f"{place} has no {what}: its arrays are {', '.join(arrays) or 'none'}; name one in "
        f"dataset.{what}."
    )


def _affix(name: str, stem: str) -> str:
    """The prefix or suffix of the name of inputs or targets: ``dev`` of ``x_dev``; else empty."""
    if name.startswith(f"{stem}_"):
        return name.removeprefix(f"{stem}_")
    return name.removesuffix(f"_{stem}") if name.endswith(f"_{stem}") else ""


def _samples(
    arrays: Mapping[str, _Array],
    inputs: str,
    targets: str,
    target: str,
    classes: Sequence[str] | None,
) -> Samples:
    """Samples from one array of inputs and one of targets, or from two for each part."""
    names, names_of_targets = _by_part(arrays, inputs), _by_part(arrays, targets)
    if odd := names.keys() ^ names_of_targets.keys():
        name = {**names, **names_of_targets}[min(odd)]
        raise ValueError(
            f"{name} has no counterpart in {inputs} or {targets}; the arrays are "
            f"{', '.join(arrays)}."
        )
    if TRAIN not in names:
        raise ValueError(
            f"there is no array {inputs}, {inputs}_train or train_{inputs}; the arrays are "
            f"{', '.join(arrays)}."
        )
    parts = sorted(names)
    pairs = [(arrays[names[part]], arrays[names_of_targets[part]]) for part in parts]
    if len(pairs) == 1:
        # Not concatenated: that would copy a memory map.
        return of_arrays(*pairs[0], target=target, classes=classes)
    shape = pairs[0][0].shape[1:]
    for part, (x, y) in zip(parts, pairs, strict=True):
        if x.shape[1:] != shape:
            raise ValueError(
                f"samples of {names[TRAIN]} have the shape {list(shape)}, those of {names[part]} "
                f"{list(x.shape[1:])}."
            )
        if len(x) != len(y):
            raise ValueError(f"{names[part]} has {len(x)} samples, but {len(y)} targets.")
    samples = of_arrays(
        np.concatenate([x for x, _ in pairs]),
        np.concatenate([y for _, y in pairs]),
        target=target,
        classes=classes,
    )
    given = [torch.full((len(x),), part) for part, (x, _) in zip(parts, pairs, strict=True)]
    return replace(samples, given=torch.cat(given))


def _by_part(arrays: Mapping[str, _Array], stem: str) -> dict[int, str]:
    """The name of the array of inputs or targets for each part; one array is for training."""
    names = {TRAIN: stem} if stem in arrays else {}
    for name in arrays:
        affix = _affix(name, stem)
        if affix in PARTS and stem in arrays:
            # It would be ignored silently.
            raise ValueError(
                f"the array {stem} has all samples, but {name} is an array of a part; rename "
                f"{stem} to {stem}_train, or remove {name}."
            )
        if not affix or stem in arrays:
            continue
        if affix not in PARTS:
            raise ValueError(
                f"{name} is not a part; parts are {', '.join(PARTS)}. Rename or remove it."
            )
        if PARTS[affix] in names:
            raise ValueError(f"{names[PARTS[affix]]} and {name} are the same part; keep one.")
        names[PARTS[affix]] = name
    return names


def _map_images(samples: Samples, stored: _Array | None) -> Samples:
    """The same samples, with mapped images if the array in the file has the form of theirs."""
    images = samples.inputs
    if not isinstance(stored, np.memmap) or not isinstance(images, Tensor) or images.ndim != 4:
        return samples
    # Only an array with the right layout can be mapped; others were converted, so they are copies.
    shape, kind = tuple(images.shape), stored.dtype
    same_layout = stored.ndim == 3 or stored.shape == shape
    if not same_layout or not stored.flags.c_contiguous or kind not in (np.uint8, np.float32):
        return samples
    file = Path(str(stored.filename))
    mapped = MappedArray(
        path=file, shape=shape, sha256=sha256_of(file), dtype=kind.name, offset=int(stored.offset)
    )
    return replace(samples, inputs=mapped.open(), mapped=mapped)
