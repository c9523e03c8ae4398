"""Checks at which freeze depths the frozen part is a fixed function.

Used by ``discovery``, which lets a stage begin only there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from workbench.backbones.stages.recording import Call, record
from workbench.backbones.stages.staged import Staged, train_mode
from workbench.backbones.stages.torch_internals import tree_map

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

# Calls of one pass, by the path of the module and how often it was called before.
_Calls = Mapping[tuple[str, int], Call]


def unstable_depths(
    staged: Staged,
    batch: Batch,
    *,
    calls: Sequence[Call],
    ends: Sequence[Call],
    heads: Sequence[nn.Module],
) -> set[int]:
    """The freeze depths at which the frozen part gives different results in training mode.

    Args:
        staged: The model, in evaluation mode before and afterwards.
        batch: Its input.
        calls: Of a recording of this batch in evaluation mode, without those of the head.
        ends: Of the same recording, the first live call at each depth from 1 on.
        heads: The modules of the head that the model calls.
    """
    # One pass tests all depths, because parts that are live at a depth run after its end. A depth
    # that fails is tried again with its own modes of the enclosing modules.
    trained = _record(staged, batch, heads)
    found = set()
    for depth, end in enumerate(ends, start=1):
        if not _is_fixed(end, calls, trained) and not _is_fixed(
            end, calls, _record(staged, batch, heads, depth=depth)
        ):
            found.add(depth)
    staged.module.eval()
    return found


def _record(staged: Staged, batch: Batch, heads: Sequence[nn.Module], *, depth: int = 0) -> _Calls:
    """The calls of a pass in training mode with all stages frozen.

    Enclosing modules are in evaluation mode only up to the given depth. The head is in evaluation
    mode too, because its statistics must not change. Its results are changed here, as training
    would change them: a stage that takes the output of a head is not fixed.
    """
    train_mode(staged, len(staged.stages))
    for stage in staged.stages[depth:]:
        for module in stage.enclosing:
            module.training = True
    hooks = [head.eval().register_forward_hook(_change_output) for head in heads]
    try:
        return {(call.path, call.count): call for call in record(staged.module, batch).calls}
    finally:
        for hook in hooks:
            hook.remove()


def _change_output(module: nn.Module, inputs: object, output: object) -> object:
    return tree_map(lambda leaf: leaf + 1 if isinstance(leaf, Tensor) else leaf, output)


def _is_fixed(end: Call, calls: Sequence[Call], trained: _Calls) -> bool:
    """Whether a call's inputs and all results before it are the same as in evaluation mode."""
    seen = trained.get((end.path, end.count))
    if seen is None or _tensors(seen.arguments) != _tensors(end.arguments):
        return False
    return all(
        _tensors(call.results) == _tensors(trained[call.path, call.count].results)
        for call in calls
        if call.end <= end.number and (call.path, call.count) in trained
    )


def _tensors(glances: Sequence[object]) -> list[object]:
    return [glance for glance in glances if isinstance(glance, tuple)]
