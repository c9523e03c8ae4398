"""The frozen part of a model computed once, and the live part run on what was kept of it.

The model always runs its own forward. ``prefix`` stops it before the first live call and keeps what
that call is given; ``replay`` lets it run through, with every frozen call returning NaN at no cost
and the first live call given what was kept. Whatever else the live part took from the frozen part
would be NaN, which is what verifies a cut. Knows neither how cuts are found nor where activations
are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from workbench.backbones.stages.recording import Form, form_of
from workbench.backbones.stages.torch_internals import TreeSpec, tree_flatten, tree_unflatten

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch


@dataclass(frozen=True, kw_only=True, eq=False)
class Stub:
    """A frozen module that is not run again.

    Attributes:
        path: Of the module.
        returns: What each of its calls returns that a replay makes before the cut: which call of
            the module it is in a whole pass, how the leaves are nested, and the leaves that are no
            tensors (None for a tensor). Without such a nesting the call is run.
    """

    path: str
    returns: tuple[tuple[int, TreeSpec | None, tuple[Any, ...]], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """Where a model is cut at a freeze depth.

    Attributes:
        path: Of the module whose first call is the first live one.
        kept: Which leaves of that call's arguments depend on the samples.
        stubs: The frozen modules that are not run again.
        dense: Whether the stubs' tensors need memory of their own, because the model changes them
            in place.
    """

    path: str
    kept: tuple[int, ...]
    stubs: tuple[Stub, ...]
    dense: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Activations:
    """What the frozen stages make of a batch.

    Attributes:
        values: What the first live call is given and depends on the samples.
        shapes: Of the tensors that each stub returned (None for other leaves), call by call.
        samples: How many samples the batch has.
    """

    values: tuple[Tensor, ...]
    shapes: Mapping[str, Sequence[Sequence[Form | None]]]
    samples: int


Forward = Callable[..., Any]


class _Stop(Exception):
    """The model has reached the cut."""


def prefix(module: nn.Module, cut: Cut, batch: Batch) -> Activations:
    """Run the frozen stages alone, without gradients.

    The modes of the modules stay: put the frozen stages in evaluation mode first (``train_mode``).

    Args:
        module: The model.
        cut: Made by ``stages.cut``.
        batch: What the model takes.
    """
    shapes: dict[str, list[list[Form | None]]] = {}
    values: tuple[Tensor, ...] = ()

    def noting(path: str, forward: Forward) -> Forward:
        def note(*args: Any, **kwargs: Any) -> Any:
            output = forward(*args, **kwargs)
            forms = map(form_of, tree_flatten(output)[0])
            shapes.setdefault(path, []).append(
                [form if isinstance(form, Form) else None for form in forms]
            )
            return output

        return note

    def stopping(forward: Forward) -> Forward:
        def stop(*args: Any, **kwargs: Any) -> Any:
            nonlocal values
            leaves = tree_flatten((args, kwargs))[0]
            values = tuple(leaves[place].detach() for place in cut.kept)
            raise _Stop

        return stop

    with torch.no_grad(), ExitStack() as stack:
        for stub in cut.stubs:
            stack.enter_context(_standing_in(module, stub.path, partial(noting, stub.path)))
        stack.enter_context(_standing_in(module, cut.path, stopping))
        with suppress(_Stop):
            module(batch)
    return Activations(values=values, shapes=shapes, samples=_samples(batch))


def replay(module: nn.Module, cut: Cut, batch: Batch, activations: Activations) -> Tensor:
    """Outputs of the whole model, computed from the cut on: bitwise the same.

    Args:
        module: The model; its frozen stages unchanged since the activations were made.
        cut: Made by ``stages.cut``.
        batch: The batch again, for what the live part takes from it itself, such as a mask.
        activations: Of this batch. They are copied, so that nothing changes them.
    """
    live = False
    samples, recorded = _samples(batch), activations.samples
    device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))

    def nan(form: Form) -> Tensor:
        shape = form.shape
        if samples != recorded and shape and shape[0] % recorded == 0:
            shape = (shape[0] // recorded * samples, *shape[1:])
        value = float("nan") if form.dtype.is_floating_point else 0
        if cut.dense:
            return torch.full(shape, value, dtype=form.dtype, device=device)
        return torch.full((), value, dtype=form.dtype, device=device).expand(shape)

    def standing_in(stub: Stub, forward: Forward) -> Forward:
        calls = iter(stub.returns)

        def stand_in(*args: Any, **kwargs: Any) -> Any:
            count, spec, leaves = (0, None, ()) if live else next(calls, (0, None, ()))
            if spec is None:
                return forward(*args, **kwargs)
            pairs = zip(leaves, activations.shapes[stub.path][count], strict=True)
            return tree_unflatten(
                [leaf if form is None else nan(form) for leaf, form in pairs], spec
            )

        return stand_in

    def giving(forward: Forward) -> Forward:
        def give(*args: Any, **kwargs: Any) -> Any:
            nonlocal live
            if live:
                return forward(*args, **kwargs)
            live = True
            leaves, spec = tree_flatten((args, kwargs))
            for place, value in zip(cut.kept, activations.values, strict=True):
                # The live part may change its input in place, and what is kept is used again.
                leaves[place] = value.clone()
            args, kwargs = tree_unflatten(leaves, spec)
            return forward(*args, **kwargs)

        return give

    with ExitStack() as stack:
        for stub in cut.stubs:
            stack.enter_context(_standing_in(module, stub.path, partial(standing_in, stub)))
        stack.enter_context(_standing_in(module, cut.path, giving))
        outputs: Tensor = module(batch)
    return outputs


@contextmanager
def _standing_in(
    module: nn.Module, path: str, around: Callable[[Forward], Forward]
) -> Iterator[None]:
    """Another function around a module's own forward, within a block.

    No hook: torch's own attention computes in another way, to other last bits, where it has hooks.
    """
    part = module.get_submodule(path)
    own = part.__dict__.get("forward")
    part.__dict__["forward"] = around(part.forward)
    try:
        yield
    finally:
        if own is None:
            del part.__dict__["forward"]
        else:
            part.__dict__["forward"] = own


def _samples(batch: Batch) -> int:
    if isinstance(batch, Tensor):
        return len(batch)
    return len(next(iter(batch.values())))
