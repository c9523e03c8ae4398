"""Samples from arrays, tensors or lists, by their shapes and dtypes.

Used by ``arrays`` and ``user``. Ranges are checked later by ``checks``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.datasets.memmap import tensor_of
from workbench.datasets.samples import Samples

_Array = NDArray[Any]


def of_arrays(
    inputs: Any, targets: Any, *, target: str, classes: Sequence[str] | None = None
) -> Samples:
    """Samples from two arrays, tensors or lists.

    Inputs with four dimensions are images, ``[N, H, W, C]`` or ``[N, C, H, W]`` with 1 or 3
    channels; with three, grey images ``[N, H, W]``; with two, vectors ``[N, F]``; N strings are
    texts. Images are ``uint8`` from 0 to 255 or floats from 0 to 1. Classes are integers or
    strings, ``[N]``; labels 0 or 1, ``[N, L]``; numbers ``[N]`` or ``[N, T]``.

    Args:
        inputs: N samples.
        targets: N targets.
        target: What they are; see ``samples.TARGETS``.
        classes: Names; by default the sorted distinct values, or the columns' numbers.

    Raises:
        ValueError: The arrays do not have such a form.
    """
    kind, found = _inputs(inputs)
    values, names = _targets(targets, target, classes)
    return Samples(kind=kind, inputs=found, targets=values, classes=names)


def _inputs(inputs: Any) -> tuple[str, Tensor | tuple[str, ...]]:
    if isinstance(inputs, Sequence) and inputs and all(isinstance(one, str) for one in inputs):
        return "text", tuple(inputs)
    array = _as_array("inputs", inputs)
    if array.dtype.kind in "US":
        if array.ndim != 1:
            raise ValueError(f"texts must be [N], not {list(array.shape)}.")
        return "text", tuple(_text(one) for one in array)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"the inputs are {array.dtype}; they must be numbers or strings.")
    if array.ndim == 2:
        return "vector", _tensor(array, np.float32)
    if array.ndim not in (3, 4):
        raise ValueError(
            f"the inputs have the shape {list(array.shape)}; images are [N, H, W], [N, H, W, C] or "
            "[N, C, H, W], vectors [N, F]."
        )
    if array.ndim == 3:
        array = array[:, None]
    else:
        first, last = array.shape[1] in (1, 3), array.shape[3] in (1, 3)
        if first == last:
            # Channels first and channels last are both possible, or neither is.
            what = "both" if first else "neither"
            raise ValueError(
                f"the inputs have the shape {list(array.shape)}; images are [N, H, W, C] or "
                f"[N, C, H, W] with 1 or 3 channels, and this shape fits {what}."
            )
        array = array.transpose(0, 3, 1, 2) if last else array
    if array.dtype.kind in "iu" and array.dtype != np.uint8:
        low, high = (array.min(), array.max()) if array.size else (0, 0)
        if low < 0 or high > 255:
            raise ValueError(f"pixels are from {low} to {high}; integers must be in 0 to 255.")
        array = array.astype(np.uint8)
    return "image", _tensor(array, np.uint8 if array.dtype == np.uint8 else np.float32)


def _targets(
    targets: Any, target: str, classes: Sequence[str] | None
) -> tuple[Tensor, tuple[str, ...]]:
    array = _as_array("targets", targets)
    if target != "class":
        if array.dtype.kind not in "fiub":
            raise ValueError(f"the targets are {array.dtype}; {target} must be numeric.")
        array = array.reshape(-1, 1) if array.ndim == 1 and target == "numbers" else array
        if array.ndim != 2:
            shape = "[N, L]" if target == "labels" else "[N] or [N, T]"
            raise ValueError(f"{target} must be {shape}, but the targets are {list(array.shape)}.")
        columns = classes or [str(number) for number in range(array.shape[1])]
        return _tensor(array, np.float32), tuple(columns)
    # A column of labels [N, 1] is what data frames and scikit-learn often give.
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1:
        raise ValueError(f"classes must be [N], but the targets are {list(array.shape)}.")
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.floor(array))
        if not whole.all():
            number = int(np.argmin(whole))
            raise ValueError(
                f"sample {number} has the target {array[number]:g}; classes are integers or "
                "strings. To predict numbers, set task: regression."
            )
        array = array.astype(np.int64, copy=False)
    if array.dtype.kind in "iu" and classes is not None:
        # ``checks`` compares them with the number of classes.
        return _tensor(array, np.int64), tuple(classes)
    if array.dtype.kind in "iub":
        values, labels = np.unique(array, return_inverse=True)
        return _tensor(labels, np.int64), tuple(str(value) for value in values)
    if array.dtype.kind not in "US":
        raise ValueError(f"the targets are {array.dtype}; classes are integers or strings.")
    texts = [_text(one) for one in array]
    names = tuple(classes or sorted(set(texts)))
    for number, text in enumerate(texts):
        if text not in names:
            raise ValueError(
                f"sample {number} has the class {text}; the classes are {', '.join(names)}."
            )
    place = {name: label for label, name in enumerate(names)}
    return torch.tensor([place[text] for text in texts]), names


def _as_array(what: str, value: Any) -> _Array:
    if isinstance(value, Tensor):
        found: _Array = value.detach().cpu().numpy()
        return found
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"the {what} are not an array: {error}") from error
    if array.dtype == object:
        raise ValueError(f"the {what} are not an array: they have different types or lengths.")
    return array


def _tensor(array: _Array, dtype: type[np.generic]) -> Tensor:
    """A tensor that shares the array's memory if its dtype and layout allow it."""
    # A value beyond float32 becomes infinite, and ``checks`` refuses it.
    with np.errstate(over="ignore"):
        found = np.require(array, dtype, ["C"])
    # Requiring "W" would copy a read-only map into memory.
    if isinstance(found, np.memmap) and not found.flags.writeable:
        return tensor_of(found)
    return torch.from_numpy(np.require(found, requirements=["W"]))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
