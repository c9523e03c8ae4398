"""Where a model can be cut for replay: builds a cut before a call and verifies it by a replay.

``discovery`` builds the candidates; ``cut`` tries one when a freeze depth needs it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from workbench.backbones.stages.recording import Call, Form, evaluation_mode
from workbench.backbones.stages.replaying import Cut, NotTensorError, Stub, prefix, replay
from workbench.backbones.stages.staged import Staged
from workbench.backbones.stages.torch_internals import TreeSpec

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch


def cut_before(start: Call, *, calls: Sequence[Call], again: Sequence[Call]) -> Cut:
    """A candidate for the cut before a call; ``cut`` verifies it.

    Args:
        start: One of the calls.
        calls: Of a recording.
        again: The same calls, recorded with the batch reversed.
    """
    outer = list(ancestors(start))
    stubs: dict[str, list[tuple[int, TreeSpec | None, tuple[Any, ...]]]] = {}

    def walk(call: Call) -> None:
        for child in call.children:
            if child.number >= start.number:
                return
            # An outer call runs again; a frozen call inside it is stubbed if its results depend on
            # the samples. Everything else (tables, masks) is computed again.
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
    """The cut after the first stages, or None if a replay would not give the same outputs.

    Verified on the example: with nothing but the activations kept at the cut, the rest of the
    model must give bitwise the same outputs.

    Args:
        staged: Made by ``discover``.
        depth: How many stages are frozen, at least 1.
        example: A batch for the model.
    """
    candidate = staged.candidates[depth - 1] if 1 <= depth <= len(staged.candidates) else None
    if candidate is None or not candidate.kept:
        return None
    with evaluation_mode(staged.module), torch.random.fork_rng(devices=[]), torch.no_grad():
        outputs = staged.module(example)
        try:
            kept = prefix(staged.module, candidate, example)
        except NotTensorError:
            return None
        # Dense stubs cost memory, so they are only the second attempt.
        for tried in (candidate, replace(candidate, dense=True)):
            try:
                replayed = replay(staged.module, tried, example, kept)
            # The stubs return NaN, on which a model may fail in any way (a NaN as an index).
            except Exception:
                continue
            fits = isinstance(replayed, Tensor) and torch.equal(replayed, outputs)
            return tried if fits else None
    return None


def ancestors(call: Call) -> Iterator[Call]:
    """The calls that enclose a call, innermost first."""
    while call.parent is not None:
        call = call.parent
        yield call


def _varies(call: Call, again: Call) -> bool:
    """Whether everything that a call returns is a tensor that depends on the samples.

    Results that are the same for every sample (rotary tables, position biases) must be computed
    for the current batch.
    """
    pairs = zip(call.leaves, call.results, again.results, strict=True)
    varies = [one != two for leaf, one, two in pairs if isinstance(leaf, Form)]
    plain = all(isinstance(x, Form | bool | int | float | str | None) for x in call.leaves)
    return bool(varies) and all(varies) and plain
