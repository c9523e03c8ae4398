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
from workbench.datasets.memmap import Mapped, sha256_of
from workbench.datasets.reading import must_fit, readable_errors
from workbench.datasets.rows.rows import PARTS
from workbench.datasets.samples import TRAIN, Samples

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
    arrays, files = _arrays(place)
    inputs = inputs or _name_of("inputs", _INPUTS, arrays, place)
    targets = targets or _name_of("targets", _TARGETS, arrays, place)
    names = next((arrays[name] for name in _CLASSES if name in arrays), None)
    classes = None if names is None else [str(name) for name in names.reshape(-1)]
    try:
        if inputs in arrays:
            _refuse_mixed_parts(inputs, targets, arrays)
            samples = of_arrays(
                arrays[inputs], _named(targets, arrays), target=target, classes=classes
            )
            return _map_images(samples, files.get(inputs))
        return _of_parts(arrays, inputs, targets, target, classes)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _arrays(place: Path) -> tuple[Mapping[str, _Array], dict[str, Path]]:
    if place.is_dir():
        files = {file.stem: file for file in sorted(place.glob("*.npy"))}
        if not files:
            raise ValueError(f"{place} contains no .npy files.")
        return {name: load(file)[name] for name, file in files.items()}, files
    if not place.is_file():
        raise ValueError(f"dataset.path must be an .npz file or a folder, but {place} is neither.")
    if not zipfile.is_zipfile(place):
        raise ValueError(f"{place} is not an .npz file; write one with numpy.savez.")
    return load(place), {}


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
        training = [affix for affix, part in PARTS.items() if part == TRAIN]
        keys = [name, *(key for affix in training for key in _keys(name, affix))]
        if any(key in arrays for key in keys):
            return name
    raise ValueError(
        f"{place} has no {what}: its arrays are {', '.join(arrays) or 'none'}; name one in "
        f"dataset.{what}."
    )


def _keys(name: str, part: str) -> tuple[str, str]:
    return f"{name}_{part}", f"{part}_{name}"


def _named(name: str, arrays: Mapping[str, _Array]) -> _Array:
    if name not in arrays:
        raise ValueError(f"there is no array {name}; its arrays are {', '.join(arrays)}.")
    return arrays[name]


def _of_parts(
    arrays: Mapping[str, _Array],
    inputs: str,
    targets: str,
    target: str,
    classes: Sequence[str] | None,
) -> Samples:
    pieces: dict[int, tuple[str, _Array, _Array]] = {}
    taken: set[str] = set()
    for affix, part in PARTS.items():
        for key, of_targets in zip(_keys(inputs, affix), _keys(targets, affix), strict=True):
            if key not in arrays:
                continue
            if part in pieces:
                raise ValueError(f"{pieces[part][0]} and {key} are the same part; keep one.")
            pieces[part] = (key, arrays[key], _named(of_targets, arrays))
            taken |= {key, of_targets}
    if TRAIN not in pieces:
        raise ValueError(
            f"there is no array {inputs}, {inputs}_train or train_{inputs}; its arrays are "
            f"{', '.join(arrays)}."
        )
    _refuse_left_out(inputs, targets, [name for name in arrays if name not in taken])
    for key, x, y in pieces.values():
        if x.shape[1:] != pieces[TRAIN][1].shape[1:]:
            raise ValueError(
                f"samples of {pieces[TRAIN][0]} have the shape {list(pieces[TRAIN][1].shape[1:])}, "
                f"those of {key} {list(x.shape[1:])}."
            )
        if len(x) != len(y):
            raise ValueError(f"{key} has {len(x)} samples, but {len(y)} targets.")
    samples = of_arrays(
        np.concatenate([x for _, x, _ in pieces.values()]),
        np.concatenate([y for _, _, y in pieces.values()]),
        target=target,
        classes=classes,
    )
    given = [torch.full((len(x),), part) for part, (_, x, _) in pieces.items()]
    return replace(samples, given=torch.cat(given) if len(given) > 1 else None)


def _refuse_mixed_parts(inputs: str, targets: str, arrays: Mapping[str, _Array]) -> None:
    """Refuse arrays of a part next to arrays for all samples: they would be ignored silently."""
    for name in arrays:
        if name not in (inputs, targets) and _affix(name, (inputs, targets)) in PARTS:
            raise ValueError(
                f"the array {inputs} has all samples, but {name} is an array of a part; rename "
                f"{inputs} to {inputs}_train and {targets} to {targets}_train, or remove {name}."
            )


def _refuse_left_out(inputs: str, targets: str, left: Sequence[str]) -> None:
    for name in left:
        affix = _affix(name, (inputs, targets))
        if affix in PARTS:
            raise ValueError(f"{name} has no counterpart in {inputs} or {targets}.")
        if affix is not None:
            raise ValueError(
                f"{name} is not a part; parts are {', '.join(PARTS)}. Rename or remove it."
            )


def _affix(name: str, stems: Sequence[str]) -> str | None:
    """The prefix or suffix of the name of inputs or targets: ``dev`` of ``x_dev``."""
    for stem in stems:
        if name.startswith(f"{stem}_"):
            return name.removeprefix(f"{stem}_")
        if name.endswith(f"_{stem}"):
            return name.removesuffix(f"_{stem}")
    return None


def _map_images(samples: Samples, file: Path | None) -> Samples:
    """The same samples, with large images mapped if the file has the layout of ``Samples``."""
    images = samples.inputs
    if file is None or samples.kind != "image" or file.stat().st_size < LARGE:
        return samples
    assert isinstance(images, Tensor)
    # Only an array with the right layout can be mapped; others were converted, so they are copies.
    stored = np.load(file, mmap_mode="r", allow_pickle=False)
    same_layout = stored.ndim == 3 or stored.shape == tuple(images.shape)
    kind = stored.dtype
    if not same_layout or not stored.flags.c_contiguous or kind not in (np.uint8, np.float32):
        return samples
    shape, offset = tuple(images.shape), int(stored.offset)
    digest = sha256_of(file)
    mapped = Mapped(path=file, shape=shape, sha256=digest, dtype=kind.name, offset=offset)
    return replace(samples, inputs=mapped.open(), mapped=mapped)
