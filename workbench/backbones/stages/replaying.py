"""Runs the frozen part of a model once, and later only the live part on the kept activations.

The model always runs its own forward. ``prefix`` stops it before the first live call and keeps that
call's arguments; ``replay`` lets it run through, with every frozen call returning NaN at no cost
and the first live call receiving the kept arguments. Anything else that the live part took from the
frozen part would be NaN; this is how ``cutting`` verifies a cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
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
        returns: For each of its calls before the cut in a replay: the call's number in a full pass,
            how the leaves of its result are nested, and the leaves that are not tensors (None for
            a tensor). If the nesting is None, the call is run.
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
        dense: Whether the stubs' tensors need their own memory because the model changes them in
            place.
    """

    path: str
    kept: tuple[int, ...]
    stubs: tuple[Stub, ...]
    dense: bool = False


# Of the tensors that each stub returned (None for other leaves), per call.
Shapes = Mapping[str, Sequence[Sequence[Form | None]]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Activations:
    """The output of the frozen stages for a batch.

    Attributes:
        values: The arguments of the first live call that depend on the samples.
        shapes: What each stub returned in a batch of ``samples``.
        samples: Number of samples in the batch.
    """

    values: tuple[Tensor, ...]
    shapes: Shapes
    samples: int

    def part(self, rows: Tensor) -> Activations:
        """Those of some of the samples."""
        values = tuple(value.index_select(0, rows) for value in self.values)
        return replace(self, values=values)


Forward = Callable[..., Any]


class NotTensorError(ValueError):
    """What the live part takes from the frozen part is not always a tensor (a mask or None)."""


class _Stop(Exception):
    """Raised when the model has reached the cut."""


def prefix(module: nn.Module, cut: Cut, batch: Batch) -> Activations:
    """Run the frozen stages alone, without gradients.

    Modes are not changed: put the frozen stages in evaluation mode first (``train_mode``).

    Args:
        module: The model.
        cut: Made by ``stages.cut``.
        batch: The model's input.

    Raises:
        NotTensorError: An argument of the first live call is not a tensor for this batch.
    """
    shapes: dict[str, list[list[Form | None]]] = {}
    values: tuple[Tensor, ...] = ()

    def noting(path: str, forward: Forward) -> Forward:
        def note_shapes(*args: Any, **kwargs: Any) -> Any:
            output = forward(*args, **kwargs)
            forms = map(form_of, tree_flatten(output)[0])
            shapes.setdefault(path, []).append(
                [form if isinstance(form, Form) else None for form in forms]
            )
            return output

        return note_shapes

    def stopped(forward: Forward) -> Forward:
        def stopping_forward(*args: Any, **kwargs: Any) -> Any:
            nonlocal values
            leaves = tree_flatten((args, kwargs))[0]
            kept = [leaves[place] for place in cut.kept]
            if not all(isinstance(value, Tensor) for value in kept):
                raise NotTensorError(f"an argument of {cut.path} is no tensor for this batch")
            values = tuple(value.detach() for value in kept)
            raise _Stop

        return stopping_forward

    with torch.no_grad(), ExitStack() as stack:
        for stub in cut.stubs:
            stack.enter_context(_replace_forward(module, stub.path, partial(noting, stub.path)))
        stack.enter_context(_replace_forward(module, cut.path, stopped))
        with suppress(_Stop):
            module(batch)
    return Activations(values=values, shapes=shapes, samples=samples_in(batch))


def replay(module: nn.Module, cut: Cut, batch: Batch, activations: Activations) -> Tensor:
    """Outputs of the whole model, computed from the cut on; bitwise equal to a full pass.

    Args:
        module: The model; its frozen stages have not changed since ``prefix``.
        cut: Made by ``stages.cut``.
        batch: The same batch, because the live part may use it directly (a mask).
        activations: Of this batch. They are copied, so the model cannot change them.
    """
    live = False
    samples, recorded = samples_in(batch), activations.samples
    device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))

    def nan(form: Form) -> Tensor:
        # Recorded with another number of samples: the first axis may be a multiple of it (windows).
        shape = form.shape
        if samples != recorded and shape and shape[0] % recorded == 0:
            shape = (shape[0] // recorded * samples, *shape[1:])
        value = float("nan") if form.dtype.is_floating_point else 0
        if cut.dense:
            return torch.full(shape, value, dtype=form.dtype, device=device)
        # An expanded scalar takes no memory, whatever its shape.
        return torch.full((), value, dtype=form.dtype, device=device).expand(shape)

    def stubbed(stub: Stub, forward: Forward) -> Forward:
        calls = iter(stub.returns)

        def stub_forward(*args: Any, **kwargs: Any) -> Any:
            count, spec, leaves = (0, None, ()) if live else next(calls, (0, None, ()))
            if spec is None:
                return forward(*args, **kwargs)
            pairs = zip(leaves, activations.shapes[stub.path][count], strict=True)
            return tree_unflatten(
                [leaf if form is None else nan(form) for leaf, form in pairs], spec
            )

        return stub_forward

    def resumed(forward: Forward) -> Forward:
        def resuming_forward(*args: Any, **kwargs: Any) -> Any:
            nonlocal live
            if live:
                return forward(*args, **kwargs)
            live = True
            leaves, spec = tree_flatten((args, kwargs))
            for place, value in zip(cut.kept, activations.values, strict=True):
                # The live part may change its input in place, and the kept values are used again.
                leaves[place] = value.clone()
            args, kwargs = tree_unflatten(leaves, spec)
            return forward(*args, **kwargs)

        return resuming_forward

    with ExitStack() as stack:
        for stub in cut.stubs:
            stack.enter_context(_replace_forward(module, stub.path, partial(stubbed, stub)))
        stack.enter_context(_replace_forward(module, cut.path, resumed))
        outputs: Tensor = module(batch)
    return outputs


@contextmanager
def _replace_forward(
    module: nn.Module, path: str, wrap: Callable[[Forward], Forward]
) -> Iterator[None]:
    """Wrap a module's own forward within a block.

    Not with a hook: torch's attention leaves its fast path for a module with hooks, and the results
    then differ in the last bits.
    """
    part = module.get_submodule(path)
    own = part.__dict__.get("forward")
    part.__dict__["forward"] = wrap(part.forward)
    try:
        yield
    finally:
        if own is None:
            del part.__dict__["forward"]
        else:
            part.__dict__["forward"] = own


def samples_in(batch: Batch) -> int:
    """Number of samples of a batch."""
    if isinstance(batch, Tensor):
        return len(batch)
    return len(next(iter(batch.values())))
