"""First weights of a backbone: read from a file without running it, and checked before use.

Knows no model family. Importing it loads no torch.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.strategy import Weights

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.stages import Staged

_SUFFIXES = (".safetensors", ".pth", ".pt")


class WeightsError(ValueError):
    """Weights that cannot be read, are not the ones promised, or do not fit."""


def read(weights: Weights) -> dict[str, Tensor]:
    """Tensors by name from a file.

    Args:
        weights: Their source is a path. The content that is hashed is the content that is loaded.

    Raises:
        WeightsError: There is no such file, its hash is not the one promised, or it holds anything
            but tensors by name.
    """
    from torch import Tensor

    path = Path(weights.source)
    if path.suffix not in _SUFFIXES:
        raise WeightsError(
            f"The weights {path} are neither a name that this backbone knows nor a file ending in "
            f"{', '.join(_SUFFIXES)}."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read: {error.strerror}.") from error
    digest = hashlib.sha256(content).hexdigest()
    if weights.sha256 is not None and digest != weights.sha256:
        raise WeightsError(
            f"The weights {path} have changed: their SHA-256 is {digest}, "
            f"but {weights.sha256} was planned."
        )
    found = _decode(path, content)
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    ):
        raise WeightsError(
            f"The weights {path} are not tensors by name (a state dict); save model.state_dict()."
        )
    return dict(found)


def _decode(path: Path, content: bytes) -> Any:
    import safetensors.torch
    import torch

    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(content)
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"The weights {path} hold Python objects, and loading those could run any code; "
            f"save model.state_dict() instead of the model."
        ) from error
    except (safetensors.SafetensorError, RuntimeError, EOFError) as error:
        raise WeightsError(
            f"The weights {path} are damaged or of another format: {error}"
        ) from error


def load(staged: Staged, found: Mapping[str, Tensor], *, keep_head: bool, source: str) -> None:
    """Copy weights into a backbone's body, and into its head if that is kept.

    Args:
        staged: Changed in place, or not at all.
        found: Tensors by name; those of the old head are left out unless it is kept.
        keep_head: Whether the head comes from the weights too.
        source: Named in error messages.

    Raises:
        WeightsError: The names or shapes are not exactly the model's.
    """
    tensors = staged.module.state_dict(keep_vars=True)
    of_head = {id(tensor) for tensor in staged.head.state_dict(keep_vars=True).values()}
    head = {name for name, tensor in tensors.items() if id(tensor) in of_head}
    # An old head may hold tensors that the new one does not: it stands at the same places.
    places = {name.rpartition(".")[0] + "." for name in head}
    expected = dict(staged.module.state_dict())
    given = dict(found)
    if not keep_head:
        expected, given = _body(expected, places), _body(given, places)
    problems = {
        "missing": [name for name in expected if name not in given],
        "unexpected": [name for name in given if name not in expected],
        "of another shape": [
            f"{name} {tuple(given[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in given and given[name].shape != tensor.shape
        ],
    }
    if any(problems.values()):
        listed = "; ".join(
            f"{what}: {', '.join(every)}" for what, every in problems.items() if every
        )
        raise WeightsError(f"The weights {source} do not fit the backbone. {listed}.")
    staged.module.load_state_dict(given, strict=keep_head)


def _body(tensors: Mapping[str, Tensor], places: set[str]) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if not name.startswith(tuple(places))}
