"""A cut in a model: what is kept there, what is not run again, and whether that is enough.

Knows neither stages nor why a model is cut where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from workbench.backbones.stages.recording import Call, Form, evaluating
from workbench.backbones.stages.replaying import Cut, Stub, prefix, replay
from workbench.backbones.stages.staged import Staged
from workbench.backbones.stages.torch_internals import TreeSpec

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch


def cut_before(start: Call, *, calls: Sequence[Call], again: Sequence[Call]) -> Cut:
    """The cut before a call, not tried yet: see ``cut``.

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


def cut(staged: Staged, depth: int, example: Batch) -> Cut | None:
    """How the model is cut after its first stages; None where its outputs would not be the same.

    Tried on the example: from the cut on the model must need nothing but what is kept there, to
    the last bit.

    Args:
        staged: Made by ``discover``.
        depth: How many stages are frozen, at least 1.
        example: What the model takes.
    """
    candidate = staged.candidates[depth - 1] if 1 <= depth <= len(staged.candidates) else None
    if candidate is None or not candidate.kept:
        return None
    with evaluating(staged.module), torch.random.fork_rng(devices=[]), torch.no_grad():
        outputs = staged.module(example)
        kept = prefix(staged.module, candidate, example)
        for tried in (candidate, replace(candidate, dense=True)):
            try:
                replayed = replay(staged.module, tried, example, kept)
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


def _varies(call: Call, again: Call) -> bool:
    """Whether all that a call returns are tensors that depend on the samples.

    What is the same for every sample (rotary tables, position biases) must be computed for the
    batch at hand.
    """
    pairs = zip(call.leaves, call.results, again.results, strict=True)
    varies = [one != two for leaf, one, two in pairs if isinstance(leaf, Form)]
    plain = all(isinstance(x, Form | bool | int | float | str | None) for x in call.leaves)
    return bool(varies) and all(varies) and plain
