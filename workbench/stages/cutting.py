"""A cut in a model: what is kept there, what is not run again, and whether that is enough.

Knows neither stages nor why a model is cut where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec

from workbench.stages.recording import Call, Form
from workbench.stages.replaying import Activations, Cut, Stub, run_replay

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch


def cut_before(start: Call, *, calls: Sequence[Call], again: Sequence[Call]) -> Cut:
    """The cut before a call.

    Args:
        start: One of the calls.
        calls: Of a recording.
        again: The same calls in the recording of the batch reversed.
    """
    outer = list(around(start))
    stubs: dict[str, list[tuple[int, TreeSpec | None, tuple[Any, ...]]]] = {}

    def walk(call: Call) -> None:
        for child in call.children:
            if child.number >= start.number:
                return
            if child in outer:
                walk(child)
            elif _varies(child, again[child.number]):
                others = tuple(None if isinstance(leaf, Form) else leaf for leaf in child.leaves)
                stubs.setdefault(child.path, []).append((child.count, child.spec, others))
            else:
                stubs.setdefault(child.path, []).append((child.count, None, ()))
                walk(child)

    walk(calls[0])
    pairs = zip(start.arguments, again[start.number].arguments, strict=True)
    return Cut(
        path=start.path,
        kept=tuple(place for place, (one, other) in enumerate(pairs) if one != other),
        stubs=tuple(
            Stub(path=path, returns=tuple(returns))
            for path, returns in stubs.items()
            if any(spec is not None for _, spec, _ in returns)
        ),
    )


def working(
    module: nn.Module, cut: Cut, batch: Batch, kept: Activations, outputs: Tensor
) -> Cut | None:
    """The cut, with what it takes for a replay to give bitwise the model's outputs; None if none.

    Args:
        module: The model, in the modes that the outputs were made in.
        cut: To be tried.
        batch: What the model takes.
        kept: At the cut, of this batch.
        outputs: Of the model for this batch.
    """
    for tried in (cut, replace(cut, dense=True)):
        try:
            with torch.no_grad():
                replayed = run_replay(module, tried, batch, kept)
        # A model may do anything with a value that is not there.
        except Exception:
            continue
        fits = isinstance(replayed, Tensor) and torch.equal(replayed, outputs)
        return tried if fits else None
    return None


def around(call: Call) -> Iterator[Call]:
    """The calls that a call is made in, the innermost first."""
    while call.parent is not None:
        call = call.parent
        yield call


def same(first: Activations, second: Activations) -> bool:
    """Whether both hold something, and the same bit for bit."""
    return len(first.values) == len(second.values) > 0 and all(
        map(torch.equal, first.values, second.values)
    )


def _varies(call: Call, again: Call) -> bool:
    """Whether all that a call returns are tensors that depend on the samples.

    What is the same for every sample (rotary tables, position biases) must be computed for the
    batch at hand.
    """
    pairs = zip(call.leaves, call.results, again.results, strict=True)
    varies = [one != two for leaf, one, two in pairs if isinstance(leaf, Form)]
    plain = all(isinstance(x, Form | bool | int | float | str | None) for x in call.leaves)
    return bool(varies) and all(varies) and plain
