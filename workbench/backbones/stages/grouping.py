"""Proposes where the stages of an undescribed model begin, from a recorded forward pass.

The part of the model that does most of the work is opened until its blocks are found. Each block of
the main kind is a stage; in a model without such blocks, the layers of one resolution are a stage.
Used by ``discovery``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from workbench.backbones.stages.recording import Call, Form

# A block with a smaller share of the largest block's operations is a transition between stages.
_MAJOR = 0.5
# Blocks of one kind are the stages if they do at least this share of all operations.
_MOST = 0.5
# A stem does at most this share of all operations.
_STEM = 0.1


def group(calls: Sequence[Call], learnable: Collection[str], head: Call) -> dict[str, Call]:
    """The call that each stage begins with, by the path of the stage's main module.

    Everything before the first one is the stem.

    Args:
        calls: Of a recording.
        learnable: Paths of the modules that have parameters.
        head: The call that the head begins with.
    """
    units = [unit for unit in _units(calls[0], learnable, head) if unit.path in learnable]
    layers = {unit.path: unit for unit in reversed(units)}
    return _blocks(units) or _resolutions(units) or dict(reversed(layers.items()))


def short_names(paths: Sequence[str]) -> list[str]:
    """The shortest end of every path that is unique and does not begin with a number.

    ``layer1`` stays, ``bert.encoder.layer.4`` becomes ``layer.4``.
    """

    def shortest(path: str) -> str:
        parts = path.split(".")
        for first in range(len(parts) - 1, 0, -1):
            end = ".".join(parts[first:])
            shared = any(f".{other}".endswith(f".{end}") for other in paths if other != path)
            if not shared and not parts[first].isdigit():
                return end
        return path

    return [shortest(path) for path in paths]


def _units(root: Call, learnable: Collection[str], head: Call) -> list[Call]:
    """The consecutive calls before the head, opened until none of them does most of the work."""
    total = max(1, root.operations)

    def body(call: Call) -> list[Call]:
        return [child for child in call.children if child.number < head.number]

    units = body(root)
    while True:
        opened = next(
            (
                unit
                for unit in units
                if unit.children
                and (
                    unit.number < head.number < unit.end
                    or (unit.operations > total / 2 and not _is_one_of_many(unit, units, learnable))
                )
            ),
            None,
        )
        if opened is None:
            return units
        place = units.index(opened)
        units[place : place + 1] = body(opened)


def _is_one_of_many(unit: Call, units: Sequence[Call], learnable: Collection[str]) -> bool:
    """Whether a call is one block among similar ones, although it does most of the work."""
    alike = sum(
        other.kind == unit.kind and other.path in learnable and _outer(other) == _outer(unit)
        for other in units
    )
    return alike > 2 or (unit.path.rpartition(".")[2].isdigit() and "." in unit.path)


def _outer(call: Call) -> str:
    return call.path.rpartition(".")[0]


def _blocks(units: Sequence[Call]) -> dict[str, Call]:
    """The first call of every block, if blocks of one kind do most of the work; else nothing."""
    composite = [unit for unit in units if unit.children]
    work = Counter[str]()
    for unit in composite:
        work[unit.kind] += unit.operations
    if not work:
        return {}
    main, _ = work.most_common(1)[0]
    kinds = Counter(unit.kind for unit in composite)
    largest = max((u for u in composite if u.kind == main), key=lambda unit: unit.operations)
    # If the largest block contains blocks itself, smaller blocks of that kind are inner parts.
    nested = any(child.children for child in largest.children)

    def is_major(unit: Call) -> bool:
        if unit.kind == main:
            return not nested or any(child.children for child in unit.children)
        return kinds[unit.kind] > 1 and unit.operations >= _MAJOR * largest.operations

    majors = [unit for unit in composite if is_major(unit)]
    everything = sum(unit.operations for unit in units)
    # One block, or blocks that do little, are not what the model is built of.
    if sum(unit.operations for unit in majors) < _MOST * everything or len(majors) < 2:
        return {}
    # A transition that changes the resolution belongs to the stage after it.
    starts: dict[str, Call] = {}
    before = majors[0]
    waiting: Call | None = None
    for unit in units[units.index(majors[0]) :]:
        if unit in majors:
            start = waiting or unit
            if unit.path not in starts:
                starts[unit.path] = start
            before, waiting = unit, None
        elif waiting is None and _resolution(unit) != _resolution(before):
            waiting = unit
    return starts


def _resolutions(units: Sequence[Call]) -> dict[str, Call]:
    """The first call of each run of layers with the same resolution."""
    runs: list[list[Call]] = []
    for unit in units:
        if runs and _resolution(runs[-1][-1]) == _resolution(unit):
            runs[-1].append(unit)
        else:
            runs.append([unit])
    everything = sum(unit.operations for unit in units)
    done = 0
    begins = 0
    # The first runs are the stem, as long as they do little of the work.
    for number, run in enumerate(runs):
        done += sum(unit.operations for unit in run)
        if number and done > _STEM * everything:
            break
        begins = number + 1
    starts = {run[0].path: run[0] for run in runs[begins:]}
    return starts if len(starts) > 1 else {}


def _resolution(call: Call) -> tuple[int, ...]:
    """Height and width of a call's result; empty for vectors."""
    for leaf in call.leaves:
        if isinstance(leaf, Form):
            return leaf.shape[2:]
    return ()
