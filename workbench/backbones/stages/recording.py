"""Records a forward pass: which modules a model calls, in which order and with which arguments.

Used by the other modules of this package.
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

# Numbers of a tensor that are compared to tell whether it depends on the samples.
_SAMPLED = 1024


class Form(NamedTuple):
    """Shape and dtype of a tensor."""

    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(kw_only=True, eq=False)
class Call:
    """One call of a module.

    Attributes:
        number: Its place in the order in which calls start; the model itself is 0.
        path: Of the module; ``kind`` is its class.
        count: How often the module was called before.
        parent: The enclosing call; None for the model itself.
        end: The number of the first call that starts after this one has ended.
        start_operation: Number of operations on tensors before it started.
        end_operation: The same before it ended.
        arguments: Fingerprint of each leaf of the arguments, to compare recordings.
        results: The same for the leaves of its return value.
        leaves: Its return value, with a ``Form`` for each tensor; see ``spec``.
        spec: How the leaves are nested.
        children: The calls directly inside it.
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
        """Number of operations in it."""
        return self.end_operation - self.start_operation


@dataclass(kw_only=True, eq=False)
class Recording:
    """One forward pass.

    Attributes:
        calls: In the order in which they start.
        uses: Number of the first operation that takes a parameter or buffer, by its name.
    """

    calls: list[Call]
    uses: dict[str, int]


class _Operations(TorchFunctionMode):
    """Counts operations and notes the first one that takes each parameter and buffer."""

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
        # Reading a property (shape, dtype, device) is not an operation.
        if getattr(func, "__name__", "") != "__get__":
            for leaf in tree_flatten((args, kwargs))[0]:
                name = self._names.get(id(leaf))
                if name is not None:
                    self.uses.setdefault(name, self.count)
            self.count += 1
        return func(*args, **kwargs)


def record(module: nn.Module, batch: Batch) -> Recording:
    """Record a forward pass of a model in its current modes, without gradients.

    Args:
        module: Called as ``module(batch)``; left unchanged.
        batch: Its input.
    """
    calls: list[Call] = []
    open_calls: list[Call] = []
    counts: dict[str, int] = {}
    operations = _Operations({id(tensor): name for name, tensor in named_tensors(module)})

    def enter(path: str, called: nn.Module, args: Any, kwargs: Any) -> None:
        call = Call(
            number=len(calls),
            path=path,
            kind=type(called).__qualname__,
            count=counts.get(path, 0),
            parent=open_calls[-1] if open_calls else None,
            start_operation=operations.count,
            arguments=[_fingerprint(leaf) for leaf in tree_flatten((args, kwargs))[0]],
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
        call.results = [_fingerprint(leaf) for leaf in leaves]
        call.leaves = tuple(form_of(leaf) for leaf in leaves)

    hooks = []
    for path, part in module.named_modules():
        # First of all hooks, so that the arguments are those of the caller.
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


def named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers, shared ones once."""
    yield from module.named_parameters()
    yield from module.named_buffers()


def form_of(leaf: Any) -> Any:
    """The form of a tensor; any other value unchanged."""
    return Form(tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else leaf


def _fingerprint(leaf: Any) -> object:
    """Enough of a value to tell whether it is equal in another recording."""
    if not isinstance(leaf, Tensor):
        return leaf if isinstance(leaf, bool | int | float | str | None) else type(leaf)
    flat = leaf.detach().reshape(-1)
    # As bytes, so that NaN equals NaN and a difference in one bit counts.
    some = flat[:: max(1, len(flat) // _SAMPLED)].contiguous()
    return (tuple(leaf.shape), leaf.dtype, some.cpu().view(torch.uint8).numpy().tobytes())


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Evaluation mode within a block; each module's mode is restored afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
