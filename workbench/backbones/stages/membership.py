"""Assigns modules, parameters and buffers to the stages, given the calls at which these begin.

Used by ``discovery``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn

from workbench.backbones.stages.recording import Call, Recording, named_tensors

# Places of a module other than the number of a stage.
_HEAD = -1
_LIVE = -2  # Has no tensors and is called with or after the head: in no stage, never frozen.
_AROUND = -3  # Encloses parts of several stages, or of a stage and the head.


@dataclass(kw_only=True)
class Members:
    """The contents of a stage, by paths and names."""

    modules: list[str] = field(default_factory=list)
    tensors: list[str] = field(default_factory=list)
    enclosing: list[str] = field(default_factory=list)


def members(
    module: nn.Module,
    recording: Recording,
    *,
    starts: Sequence[Call],
    head_call: Call,
    head: Sequence[str],
) -> list[Members]:
    """The contents of each stage; everything outside the head belongs to exactly one stage.

    A module belongs to the stage in which it is first called, a parameter or buffer to the stage
    that first uses it. A freeze depth then fixes everything that the frozen stages use.

    Args:
        module: The model.
        recording: Of the model.
        starts: The calls that the stages after the first one begin with, in order.
        head_call: The call that the head begins with.
        head: Paths of the head's modules.
    """
    bounds = [start.number for start in starts]
    limits = [*bounds, head_call.number]
    last = len(bounds)
    paths = {id(part): path for path, part in module.named_modules()}
    stateful = {path for path, part in module.named_modules() if any(named_tensors(part))}
    calls: dict[str, list[Call]] = {}
    for call in recording.calls:
        calls.setdefault(call.path, []).append(call)

    def is_head(path: str) -> bool:
        return any(path == part or path.startswith(f"{part}.") for part in head)

    def place(path: str) -> int | None:
        """A stage's number or one of the other places; None for a module that is never called."""
        if is_head(path):
            return _HEAD
        made = calls.get(path, [])
        if any(call.number < limit < call.end for call in made for limit in limits):
            return _AROUND
        if not made:
            return None
        if made[0].number >= head_call.number:
            return last if path in stateful else _LIVE
        return bisect_right(bounds, made[0].number)

    places = {path: place(path) for path in paths.values()}
    operations = [start.start_operation for start in starts]

    def place_of_tensor(name: str) -> int:
        path = name.rpartition(".")[0]
        if is_head(path):
            return _HEAD
        if name in recording.uses:
            return bisect_right(operations, recording.uses[name])
        # Not used in evaluation mode (BatchNorm's counter of batches): goes with its module.
        while (found := places.get(path)) is None or found < 0:
            if not path:
                return 0
            path = path.rpartition(".")[0]
        return found

    found = [Members() for _ in range(last + 1)]
    names = {id(tensor): name for name, tensor in named_tensors(module)}
    tensor_places = {tensor: place_of_tensor(name) for tensor, name in names.items()}
    seen: set[int] = set()

    def collect(part: nn.Module) -> None:
        if id(part) in seen:
            return
        seen.add(id(part))
        path = paths[id(part)]
        inside = {tensor_places[id(tensor)] for _, tensor in named_tensors(part)}
        standing = (places[paths[id(inner)]] for inner in part.modules())
        inside |= {stage for stage in standing if stage is not None}
        # A module that lies in one stage as a whole is taken as a whole; others are opened.
        if len(inside) == 1 and (stage := next(iter(inside))) >= 0:
            found[stage].modules.append(path)
            seen.update(map(id, part.modules()))
            return
        own = [*part.parameters(recurse=False), *part.buffers(recurse=False)]
        for tensor in own:
            stage = tensor_places[id(tensor)]
            if stage >= 0 and id(tensor) not in seen:
                seen.add(id(tensor))
                found[stage].tensors.append(names[id(tensor)])
        # An enclosing module is put in evaluation mode once its last call is frozen.
        if places[path] == _AROUND:
            end = max(call.end for call in calls[path])
            ended = next((n for n, limit in enumerate(limits) if end <= limit), None)
            if ended is not None:
                found[ended].enclosing.append(path)
        elif (own_place := places[path]) is not None and own_place >= 0:
            found[own_place].enclosing.append(path)
        for child in part.children():
            collect(child)

    collect(module)
    return found
