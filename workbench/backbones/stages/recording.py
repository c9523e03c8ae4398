"""What a model does in one forward pass: which modules it calls, in which order, on what.

Knows neither stages nor freezing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from workbench.backbones.stages.torch_internals import TreeSpec, tree_flatten

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

# Numbers of a tensor that are looked at to tell whether it depends on the samples.
_LOOKED_AT = 1024


class Form(NamedTuple):
    """Shape and type of a tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(kw_only=True, eq=False)
class Call:
    """One call of a module.

    Attributes:
        number: Its place in the order in which calls start; the model itself is 0.
        path: Of the module, and ``kind`` its class.
        count: How often the module had been called before.
        parent: The call that it is made in; None for the model itself.
        end: The number of the first call that starts after this one has ended.
        start_operation: Operations on tensors that had been done when it started.
        end_operation: Those that had been done when it ended.
        arguments: What every leaf of the arguments is, for a comparison.
        results: The same for what it returned.
        leaves: What it returned, tensors by their form; see ``spec``.
        spec: How the leaves are nested.
        children: The calls made directly in it.
    """

    number: int
    path: str
    kind: str
    count: int
    parent: Call | None
    start_operation: int
    end: int = 0
    end_operation: int = 0
    arguments: list[object] = field(default_factory=list)
    results: list[object] = field(default_factory=list)
    leaves: tuple[Any, ...] = ()
    spec: TreeSpec | None = None
    children: list[Call] = field(default_factory=list)

    @property
    def operations(self) -> int:
        """How many operations it is made of."""
        return self.end_operation - self.start_operation


@dataclass(kw_only=True, eq=False)
class Recording:
    """One forward pass.

    Attributes:
        calls: In the order in which they start.
        uses: The first operation that takes a parameter or buffer, by its name.
    """

    calls: list[Call]
    uses: dict[str, int]


class _Operations(TorchFunctionMode):
    """Counts operations, and notes the first that takes each parameter and buffer."""

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()
        self.count = 0
        self.uses: dict[str, int] = {}
        self._names = names

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        # What only reads a property (shape, dtype, device) computes nothing.
        if getattr(func, "__name__", "") != "__get__":
            for tensor in _tensors_in((args, kwargs)):
                name = self._names.get(id(tensor))
                if name is not None:
                    self.uses.setdefault(name, self.count)
            self.count += 1
        return func(*args, **kwargs)


def _tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors_in(item)
    elif isinstance(value, dict):
        yield from _tensors_in(list(value.values()))


def record(module: nn.Module, batch: Batch) -> Recording:
    """Record a forward pass of a model as it is, without gradients.

    Args:
        module: Called as ``module(batch)``; not changed.
        batch: What it takes.
    """
    calls: list[Call] = []
    open_calls: list[Call] = []
    counts: dict[str, int] = {}
    tensors = [*module.named_parameters(), *module.named_buffers()]
    operations = _Operations({id(tensor): name for name, tensor in tensors})

    def enter(path: str, called: nn.Module, args: Any, kwargs: Any) -> None:
        call = Call(
            number=len(calls),
            path=path,
            kind=type(called).__qualname__,
            count=counts.get(path, 0),
            parent=open_calls[-1] if open_calls else None,
            start_operation=operations.count,
            arguments=[_glance(leaf) for leaf in tree_flatten((args, kwargs))[0]],
        )
        counts[path] = call.count + 1
        if call.parent is not None:
            call.parent.children.append(call)
        calls.append(call)
        open_calls.append(call)

    def leave(output: Any) -> None:
        call = open_calls.pop()
        call.end, call.end_operation = len(calls), operations.count
        leaves, call.spec = tree_flatten(output)
        call.results = [_glance(leaf) for leaf in leaves]
        call.leaves = tuple(form_of(leaf) for leaf in leaves)

    hooks = []
    for path, part in module.named_modules():
        hooks.append(
            part.register_forward_pre_hook(
                lambda called, args, kwargs, path=path: enter(path, called, args, kwargs),
                with_kwargs=True,
                prepend=True,
            )
        )
        hooks.append(part.register_forward_hook(lambda called, args, output: leave(output)))
    try:
        with torch.no_grad(), operations:
            module(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return Recording(calls=calls, uses=operations.uses)


def form_of(leaf: Any) -> Any:
    """A tensor's form; anything else as it is."""
    return Form(tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else leaf


def _glance(leaf: Any) -> object:
    """Enough of a value to tell whether it is the same in another recording."""
    if not isinstance(leaf, Tensor):
        return leaf if isinstance(leaf, bool | int | float | str | None) else type(leaf)
    flat = leaf.detach().reshape(-1)
    some = flat[:: max(1, len(flat) // _LOOKED_AT)].contiguous()
    return (tuple(leaf.shape), leaf.dtype, some.cpu().view(torch.uint8).numpy().tobytes())


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode within a block; afterwards every part is in the mode that it was in."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
