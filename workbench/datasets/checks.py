"""Checks samples after reading: shapes, types, ranges and targets.

Used by ``loading`` for every data set. Messages name the sample, the value and what is valid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.datasets.samples import TEST, TRAIN, VALIDATION, Samples

_AT_ONCE = 4096


def checked(samples: Samples, *, target: str, where: str) -> Samples:
    """The samples, after checking them.

    Args:
        samples: From a reader.
        target: What the targets are; see ``samples.TARGETS``.
        where: The path or name of the data set, for messages.

    Raises:
        ValueError: They do not have the form of ``Samples``, the targets do not vary, or a value
            is not finite or out of range.
    """
    try:
        _check_inputs(samples)
        _check_targets(samples, target)
        _check_parts(samples)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return samples


def _check_inputs(samples: Samples) -> None:
    inputs = samples.inputs
    if len(inputs) == 0:
        raise ValueError("there are no samples.")
    if samples.names is not None and len(samples.names) != len(inputs):
        raise ValueError(f"there are {len(inputs)} inputs, but {len(samples.names)} names.")
    if samples.kind == "text":
        if not isinstance(inputs, tuple):
            raise ValueError(f"texts are a tuple of str, not {described(inputs)}.")
        for number, text in enumerate(inputs):
            if not isinstance(text, str):
                raise ValueError(f"{_name(samples, number)} is {text!r}, which is not a string.")
        return
    forms = {
        "image": ("images are uint8 or float32 [N, C, H, W]", 4, (torch.float32, torch.uint8)),
        "vector": ("vectors are float32 [N, F]", 2, (torch.float32,)),
    }
    if samples.kind not in forms:
        raise ValueError(f"the kind is {samples.kind!r}; it must be image, vector or text.")
    expected, ndim, dtypes = forms[samples.kind]
    if not isinstance(inputs, Tensor) or inputs.ndim != ndim or inputs.dtype not in dtypes:
        raise ValueError(f"{expected}, not {described(inputs)}.")
    if samples.levels is not None:
        width = sum(1 if known is None else len(known) for known in samples.levels.values())
        if width != inputs[0].numel():
            raise ValueError(
                f"the levels are those of {width} numbers, but the inputs are {described(inputs)}."
            )
    if inputs[0].numel() == 0:
        raise ValueError(f"the inputs are empty: {described(inputs)}.")
    check_values(samples)


def check_values(samples: Samples) -> None:
    """Refuse inputs that are not finite, and pixels of float images outside 0 to 1.

    Args:
        samples: Images or vectors; only inputs and names are read.

    Raises:
        ValueError: Names the first such sample.
    """
    inputs = samples.inputs
    assert isinstance(inputs, Tensor)
    if inputs.dtype == torch.uint8:
        return
    # In portions: the inputs may be a memory map that is larger than the memory.
    for start in range(0, len(inputs), _AT_ONCE):
        values = inputs[start : start + _AT_ONCE].flatten(1)
        if (wrong := _first(~values.isfinite().all(dim=1))) is not None:
            raise ValueError(f"{_name(samples, start + wrong)} has an input that is not finite.")
        outside = (values.amin(dim=1) < 0) | (values.amax(dim=1) > 1)
        if samples.kind == "image" and (wrong := _first(outside)) is not None:
            low, high = values[wrong].min().item(), values[wrong].max().item()
            raise ValueError(
                f"{_name(samples, start + wrong)} has pixels from {low:g} to {high:g}, but pixels "
                "of float images must be in 0 to 1; scale them, or use uint8 from 0 to 255."
            )


def _check_targets(samples: Samples, target: str) -> None:
    targets, classes = samples.targets, samples.classes
    forms = {
        "class": (torch.int64, 1, "classes are int64 [N]"),
        "labels": (torch.float32, 2, "labels are float32 [N, L]"),
        "numbers": (torch.float32, 2, "numbers are float32 [N, T]"),
    }
    dtype, ndim, expected = forms[target]
    if not isinstance(targets, Tensor) or (targets.dtype, targets.ndim) != (dtype, ndim):
        raise ValueError(f"{expected}, but the targets are {described(targets)}.")
    if len(targets) != len(samples.inputs):
        raise ValueError(f"there are {len(samples.inputs)} inputs, but {len(targets)} targets.")
    if len(set(classes)) < len(classes):
        twin = next(name for name in classes if classes.count(name) > 1)
        raise ValueError(f"two classes are called {twin}.")
    if target == "class":
        if (number := _first((targets < 0) | (targets >= len(classes)))) is not None:
            raise ValueError(
                f"{_name(samples, number)} has the label {int(targets[number])}; valid are 0 to "
                f"{len(classes) - 1}."
            )
        if bool((targets == targets[0]).all()):
            raise ValueError(
                f"every sample has the class {classes[int(targets[0])]}; at least two classes are "
                "needed."
            )
        return
    if targets.shape[1] != len(classes) or not classes:
        raise ValueError(
            f"the targets have {targets.shape[1]} columns, but {len(classes)} names: "
            f"{', '.join(classes) or 'none'}."
        )
    valid = targets.isfinite() if target == "numbers" else (targets == 0) | (targets == 1)
    if (number := _first(~valid.all(dim=1))) is not None:
        column = int(_first(~valid[number]) or 0)
        must = "finite" if target == "numbers" else "0 or 1"
        raise ValueError(
            f"{_name(samples, number)} has {targets[number, column].item():g} for "
            f"{classes[column]}; it must be {must}."
        )
    if target == "numbers":
        same = (targets == targets[:1]).all(dim=0)
        if (constant := _first(same)) is not None:
            raise ValueError(
                f"every sample has {targets[0, constant].item():g} for {classes[constant]}; a "
                "target must vary."
            )


def _check_parts(samples: Samples) -> None:
    for name, numbers in (("given", samples.given), ("groups", samples.groups)):
        if numbers is None:
            continue
        if numbers.dtype != torch.int64 or tuple(numbers.shape) != (len(samples.inputs),):
            raise ValueError(
                f"{name} must be int64 [{len(samples.inputs)}], not {described(numbers)}."
            )
    # Groups that are in two given parts are refused later, when classes may have been dropped.
    if samples.given is None:
        return
    valid = (TRAIN, VALIDATION, TEST)
    if (number := _first(~torch.isin(samples.given, torch.tensor(valid)))) is not None:
        raise ValueError(
            f"{_name(samples, number)} has the part {int(samples.given[number])}; valid parts are "
            f"{TRAIN} (training), {VALIDATION} (validation) and {TEST} (test)."
        )
    if not (samples.given == TRAIN).any():
        raise ValueError("the training part has no samples.")


def _first(mask: Tensor) -> int | None:
    """Position of the first true element, or None."""
    found = torch.nonzero(mask)
    return int(found[0]) if len(found) else None


def _name(samples: Samples, number: int) -> str:
    """A sample's number, counted from 0, and its name."""
    return f"sample {number}" + (f" ({samples.names[number]})" if samples.names else "")


def described(value: object) -> str:
    """Dtype and shape of a tensor: ``float32 [5, 3]``; the type of anything else: ``a list``."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return f"a {type(value).__name__}"
