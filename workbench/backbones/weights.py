"""First weights of a backbone: read from a file without running it, and checked before use.

Knows no model family. Importing it loads no torch.
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

from workbench.record.files import sha256_of
from workbench.record.strategy import Weights
from workbench.record.text import listed

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.backbones.stages import Staged

SUFFIXES = (".safetensors", ".pth", ".pt")
# Names that a message lists of one kind.
# Parts of a prefix: ``module.model.bert.`` has three.
_DEEPEST = 3


class WeightsError(ValueError):
    """Weights that cannot be read, are not the ones promised, or do not fit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pretrained:
    """Weights that a family has read itself.

    Attributes:
        tensors: By the names of the family's own model.
        lacking: Names in the body that such weights may lack: they start anew.
        notes: What was left out, a sentence each.
    """

    tensors: Mapping[str, Tensor]
    lacking: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def is_file(source: str) -> bool:
    """Whether weights are one file of tensors, by the end of its name."""
    return source.endswith(SUFFIXES)


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
    if path.suffix not in SUFFIXES:
        raise WeightsError(
            f"The weights {path} are neither a name that this backbone knows nor a file ending in "
            f"{', '.join(SUFFIXES)}."
        )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read: {error.strerror}.") from error
    _as_planned(weights, hashlib.sha256(content).hexdigest())
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


def fingerprint(folder: Path) -> str:
    """SHA-256 of the weights in a model's folder.

    The hash of the one file; of several, the hash of what ``sha256sum`` prints of them, which
    is a line ``HASH  NAME`` for each, ordered by name.

    Raises:
        WeightsError: The folder holds none, or a part of them is not there.
    """
    files = files_of(folder)
    hashes = {file.name: sha256_of(file) for file in files}
    if len(files) == 1:
        return next(iter(hashes.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
    return hashlib.sha256(lines.encode()).hexdigest()


def check_folder(weights: Weights, folder: Path) -> None:
    """Weights of a folder are those that were planned, if a hash was.

    Raises:
        WeightsError: They have changed.
    """
    if weights.sha256 is not None:
        _as_planned(Weights(source=str(folder), sha256=weights.sha256), fingerprint(folder))


def files_of(folder: Path) -> list[Path]:
    """The files of weights in a model's folder that are read, safetensors first.

    Raises:
        WeightsError: The folder holds none, or a part of them is not there.
    """
    for stem, suffix in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        whole, index = folder / f"{stem}{suffix}", folder / f"{stem}{suffix}.index.json"
        if whole.is_file():
            return [whole]
        if index.is_file():
            try:
                shards = set(json.loads(index.read_text())["weight_map"].values())
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise WeightsError(f"{index} lists no files of weights: {error!r}.") from error
            files = sorted(folder / str(shard) for shard in shards)
            lacking = [file.name for file in files if not file.is_file()]
            if lacking:
                raise WeightsError(
                    f"The weights in {folder} are not complete; lacking: {listed(lacking)}."
                )
            return files
    raise WeightsError(
        f"The folder {folder} holds no weights: neither model.safetensors nor pytorch_model.bin."
    )


def _as_planned(weights: Weights, digest: str) -> None:
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
    """Copy weights into a backbone's body, and into its head if that is kept.

    Names may differ from the model's by a prefix, as ``module.`` of DataParallel does.

    Args:
        staged: Changed in place, or not at all.
        found: Tensors by name; those of the old head are left out unless it is kept.
        keep_head: Whether the head comes from the weights too.
        source: Named in messages.
        strict: Whether every name must be found on both sides. A shape must fit in any case.

    Returns:
        What was left out or lacked, a sentence each.

    Raises:
        WeightsError: The names or shapes are not the model's.
    """
    if not isinstance(found, Pretrained):
        found = Pretrained(tensors=found)
    tensors = staged.module.state_dict(keep_vars=True)
    of_head = {id(tensor) for tensor in staged.head.state_dict(keep_vars=True).values()}
    head = {name for name, tensor in tensors.items() if id(tensor) in of_head}
    # An old head may hold tensors that the new one does not: it stands at the same places.
    places = {name.rpartition(".")[0] + "." for name in head}
    expected = dict(staged.module.state_dict())
    given, notes = _aligned(found.tensors, expected, source)
    notes = [*found.notes, *notes]
    if not keep_head:
        expected, given = _body(expected, places), _body(given, places)
    absent = [name for name in expected if name not in given]
    problems = {
        "missing": [name for name in absent if name not in found.lacking],
        "unexpected": [name for name in given if name not in expected],
        "of another shape": [
            f"{name} {tuple(given[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in expected.items()
            if name in given and given[name].shape != tensor.shape
        ],
    }
    fit = [name for name in expected if name in given]
    forgiven = not strict and bool(fit) and not problems["of another shape"]
    if any(problems.values()) and not forgiven:
        told = "; ".join(f"{what}: {listed(every)}" for what, every in problems.items() if every)
        raise WeightsError(f"The weights {source} do not fit the backbone. {told}.")
    if absent:
        notes.append(
            f"The weights {source} lack {listed(absent)}: new numbers are drawn for these."
        )
    if problems["unexpected"]:
        notes.append(f"Of the weights {source}, {listed(problems['unexpected'])} are left out.")
    staged.module.load_state_dict({name: given[name] for name in fit}, strict=False)
    return notes


def _aligned(
    found: Mapping[str, Tensor], expected: Iterable[str], source: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Weights by the model's own names, where taking away or adding a prefix finds more of them."""
    known = set(expected)
    if known <= found.keys():
        return dict(found), []

    def moved(name: str, old: str, new: str) -> str:
        return new + name.removeprefix(old) if name.startswith(old) else name

    def fitting(way: tuple[str, str]) -> int:
        return len({moved(name, *way) for name in found} & known)

    # The way that changes least comes first, and of several that find as many it is taken.
    ways = [(old, new) for old in _prefixes(found) for new in _prefixes(known)]
    best = max(ways, key=fitting)
    renamed = {moved(name, *best): value for name, value in found.items()}
    if fitting(best) == fitting(("", "")) or len(renamed) < len(found):
        return dict(found), []
    old, new = best
    said = [f"without the prefix {old[:-1]}"] if old else []
    said += [f"with the prefix {new[:-1]}"] if new else []
    return renamed, [f"The names in the weights {source} are read {' and '.join(said)}."]


def _prefixes(names: Iterable[str]) -> list[str]:
    """Beginnings up to a dot that most of the names have, the shortest first, nothing included."""
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
