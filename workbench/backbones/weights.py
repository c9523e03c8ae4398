"""Initial weights of a backbone: read from a file without running code, and checked before use.

Used by every family. Importing it loads no torch.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.messages import listed
from workbench.record.files import sha256_of
from workbench.record.strategy import Weights

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.backbones.stages import Staged

SUFFIXES = (".safetensors", ".pth", ".pt")
# Most parts of a prefix: ``module.model.bert.`` has three.
_DEEPEST = 3


class WeightsError(ValueError):
    """Weights that cannot be read, have changed, or do not fit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pretrained:
    """Weights that a family has loaded itself.

    Attributes:
        tensors: By their names in the family's own model.
        lacking: Names in the body that may be missing; they keep their random initialisation.
        notes: One sentence about everything that was ignored.
    """

    tensors: Mapping[str, Tensor]
    lacking: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def is_file(source: str) -> bool:
    """Whether weights are a single file of tensors, by its suffix."""
    return source.endswith(SUFFIXES)


def read(weights: Weights) -> dict[str, Tensor]:
    """Tensors by name from a file.

    Args:
        weights: Their source is a path.

    Raises:
        WeightsError: The file does not exist, has another hash than planned, or contains anything
            but tensors by name.
    """
    from torch import Tensor

    path = Path(weights.source)
    if path.suffix not in SUFFIXES:
        raise WeightsError(
            f"The weights {path} are neither a name that this backbone knows nor a file ending in "
            f"{', '.join(SUFFIXES)}."
        )
    # Read once: the bytes that are hashed are the bytes that are loaded.
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read: {error.strerror}.") from error
    _check_hash(weights, hashlib.sha256(content).hexdigest())
    found = _decode(path, content)
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    ):
        raise WeightsError(
            f"The weights {path} are not a state dict (tensors by name); save model.state_dict()."
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
            f"The weights {path} contain Python objects, and loading them could run any code; "
            f"save model.state_dict() instead of the model."
        ) from error
    except (safetensors.SafetensorError, RuntimeError, EOFError) as error:
        raise WeightsError(
            f"The weights {path} are damaged or of another format: {error}"
        ) from error


def fingerprint(folder: Path) -> str:
    """SHA-256 of the weights in a model's folder.

    The hash of a single file; for several, the hash of the output of ``sha256sum``, a line
    ``HASH  NAME`` for each file, ordered by name.

    Raises:
        WeightsError: The folder has no weights, or some of the files are missing.
    """
    files = files_of(folder)
    hashes = {file.name: sha256_of(file) for file in files}
    if len(files) == 1:
        return next(iter(hashes.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    return hashlib.sha256(lines.encode()).hexdigest()


def check_folder(weights: Weights, folder: Path) -> None:
    """Compare the weights in a folder with the planned hash, if there is one.

    Raises:
        WeightsError: They have changed.
    """
    if weights.sha256 is not None:
        _check_hash(Weights(source=str(folder), sha256=weights.sha256), fingerprint(folder))


def files_of(folder: Path) -> list[Path]:
    """The weights files in a model's folder; safetensors are preferred.

    Raises:
        WeightsError: The folder has no weights, or some of the files are missing.
    """
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        whole, index = folder / f"{stem}{suffix}", folder / f"{stem}{suffix}.index.json"
        if whole.is_file():
            return [whole]
        if index.is_file():
            try:
                shards = set(json.loads(index.read_text())["weight_map"].values())
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise WeightsError(f"{index} does not list weights files: {error!r}.") from error
            files = sorted(folder / str(shard) for shard in shards)
            lacking = [file.name for file in files if not file.is_file()]
            if lacking:
                raise WeightsError(
                    f"The weights in {folder} are incomplete; missing: {listed(lacking)}."
                )
            return files
    raise WeightsError(
        f"The folder {folder} has no weights: neither model.safetensors nor pytorch_model.bin."
    )


def _check_hash(weights: Weights, digest: str) -> None:
    if weights.sha256 is not None and digest != weights.sha256:
        raise WeightsError(
            f"The weights {weights.source} have changed: their SHA-256 is {digest}, "
            f"but {weights.sha256} was planned."
        )


def load(
    staged: Staged,
    found: Mapping[str, Tensor] | Pretrained,
    *,
    keep_head: bool,
    source: str,
    strict: bool = True,
) -> list[str]:
    """Copy weights into a backbone's body, and into its head if ``keep_head`` is set.

    Names may differ from the model's by a prefix, such as DataParallel's ``module.``.

    Args:
        staged: Changed in place; unchanged if an error is raised.
        found: Tensors by name; those of the old head are ignored unless ``keep_head`` is set.
        keep_head: Whether to load the head too.
        source: What messages call the weights.
        strict: Whether both sides must have the same names. Shapes must fit in any case.

    Returns:
        One sentence about everything that was ignored or missing.

    Raises:
        WeightsError: The names or shapes do not fit the model.
    """
    if not isinstance(found, Pretrained):
        found = Pretrained(tensors=found)
    # keep_vars gives the tensors themselves, which are compared by identity.
    tensors = staged.module.state_dict(keep_vars=True)
    of_head = {id(tensor) for tensor in staged.head.state_dict(keep_vars=True).values()}
    head = {name for name, tensor in tensors.items() if id(tensor) in of_head}
    # An old head may have other tensors than the new one: recognise them by their modules' paths.
    places = {name.rpartition(".")[0] + "." for name in head}
    expected = dict(staged.module.state_dict())
    given, notes = _align_names(found.tensors, expected, source)
    notes = [*found.notes, *notes]
    if not keep_head:
        expected, given = _body(expected, places), _body(given, places)
    absent = [name for name in expected if name not in given]
    problems = {
        "missing": [name for name in absent if name not in found.lacking],
        "unexpected": [name for name in given if name not in expected],
        "different shape": [
            f"{name} {tuple(given[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in given and given[name].shape != tensor.shape
        ],
    }
    fit = [name for name in expected if name in given]
    forgiven = not strict and bool(fit) and not problems["different shape"]
    if any(problems.values()) and not forgiven:
        reasons = "; ".join(f"{what}: {listed(every)}" for what, every in problems.items() if every)
        raise WeightsError(f"The weights {source} do not fit the backbone. {reasons}.")
    if absent:
        notes.append(
            f"The weights {source} lack {listed(absent)}; these are initialised at random."
        )
    if problems["unexpected"]:
        notes.append(f"Of the weights {source}, {listed(problems['unexpected'])} are ignored.")
    staged.module.load_state_dict({name: given[name] for name in fit}, strict=False)
    return notes


def _align_names(
    found: Mapping[str, Tensor], expected: Iterable[str], source: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Weights with a prefix removed or added, if more names then fit the model's."""
    known = set(expected)
    if known <= found.keys():
        return dict(found), []

    def moved(name: str, old: str, new: str) -> str:
        return new + name.removeprefix(old) if name.startswith(old) else name

    def fitting(way: tuple[str, str]) -> int:
        return len({moved(name, *way) for name in found} & known)

    # max() takes the first of equals: the combination with the shortest prefixes.
    ways = [(old, new) for old in _prefixes(found) for new in _prefixes(known)]
    best = max(ways, key=fitting)
    renamed = {moved(name, *best): value for name, value in found.items()}
    # No gain, or two names became one: keep the names as they are.
    if fitting(best) == fitting(("", "")) or len(renamed) < len(found):
        return dict(found), []
    old, new = best
    change = [f"without the prefix {old[:-1]}"] if old else []
    change += [f"with the prefix {new[:-1]}"] if new else []
    return renamed, [f"The names in the weights {source} are read {' and '.join(change)}."]


def _prefixes(names: Iterable[str]) -> list[str]:
    """The empty prefix and those that most names share (``bert.``), shortest first."""
    names = list(names)
    parts = (name.split(".") for name in names)
    counts = Counter(
        ".".join(part[:depth]) + "."
        for part in parts
        for depth in range(1, min(len(part), _DEEPEST + 1))
    )
    return ["", *sorted((p for p, n in counts.items() if 2 * n > len(names)), key=len)]


def _body(tensors: Mapping[str, Tensor], places: set[str]) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if not name.startswith(tuple(places))}
