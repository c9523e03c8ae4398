"""Splits any model into stages and verifies that each of them is fixed when it is frozen.

A model is recorded in two forward passes, one of them with the batch reversed. A stage begins at
some of its calls. A third pass, in training mode with all stages frozen, shows whether the inputs
of each stage and all results before it stay the same; if they do not, the stage is merged into the
one before. Cuts between stages are not verified here: see ``cutting.cut``.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from workbench.backbones.stages.cutting import ancestors, cut_before
from workbench.backbones.stages.grouping import group, short_names
from workbench.backbones.stages.membership import Members, members
from workbench.backbones.stages.recording import Call, evaluation_mode, named_tensors, record
from workbench.backbones.stages.replaying import Cut
from workbench.backbones.stages.staged import Stage, Staged
from workbench.backbones.stages.torch_internals import DROPOUTS
from workbench.backbones.stages.verification import unstable_depths
from workbench.messages import did_you_mean

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

STEM = "stem"
# A stage's name and the call that it begins with.
Start = tuple[str, Call]


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """A model's stages by names; valid for every model with the same structure.

    Attributes:
        stages: Name and members of each.
        head: Paths of the head's modules.
        candidates: See ``Staged``.
    """

    stages: tuple[tuple[str, Members], ...]
    head: tuple[str, ...]
    candidates: tuple[Cut | None, ...] = ()


# By the builder's key: a worker builds the same backbone for many trials.
_LAYOUTS: dict[Hashable, _Layout] = {}


def discover(
    module: nn.Module,
    example: Batch,
    *,
    head: nn.Module | None,
    cuts: Sequence[str] | None = None,
    key: Hashable | None = None,
) -> Staged:
    """Split a model into stages.

    The model's weights and modes and the global generator are left unchanged.

    Args:
        module: Called as ``module(example)``; returns a tensor of outputs.
        example: Samples that differ from each other, at least 2.
        head: A module of the model, or an ``nn.ModuleList`` of several (the list itself need not
            belong to the model). None takes the last layer with parameters.
        cuts: The modules that begin a stage, by path or by the last parts of it. Everything before
            the first one is the ``stem``. None finds them.
        key: Identifies the structure: models with the same key must have the same structure. The
            stages of a key are found once per process.

    Raises:
        ValueError: A module in ``cuts`` does not belong to the model, or no stage can begin there.
    """
    layout = _LAYOUTS.get(key) if key is not None else None
    if layout is None:
        # A model may draw random numbers in its forward; the trial's generator must not notice.
        with evaluation_mode(module), torch.random.fork_rng(devices=[]):
            layout = _Search(module, example, head).layout(cuts)
        if key is not None:
            _LAYOUTS[key] = layout
    return _assemble(module, layout, head)


def _assemble(module: nn.Module, layout: _Layout, head: nn.Module | None) -> Staged:
    tensors = dict(named_tensors(module))
    if head is None:
        (path,) = layout.head
        head = module.get_submodule(path)
    stages = tuple(
        Stage(
            name=name,
            modules=tuple(map(module.get_submodule, members.modules)),
            tensors=tuple(tensors[tensor] for tensor in members.tensors),
            enclosing=tuple(map(module.get_submodule, members.enclosing)),
        )
        for name, members in layout.stages
    )
    return Staged(module=module, stages=stages, head=head, candidates=layout.candidates)


class _Search:
    """Finds the stages of one model."""

    def __init__(self, module: nn.Module, example: Batch, head: nn.Module | None) -> None:
        self.module, self.batch = module, _reverse(example)
        self.recording = record(module, example)
        self.again = record(module, self.batch).calls
        self.calls = self.recording.calls
        self.paths = {id(part): path for path, part in module.named_modules()}
        self.learnable = {
            path for path, part in module.named_modules() if any(True for _ in part.parameters())
        }
        self.head = self._head(head)
        self.body = {path for path in self.learnable if not self._in_head(path)}
        self.head_call = self._head_call()

    def _head(self, head: nn.Module | None) -> tuple[str, ...]:
        """Paths of the head's modules."""
        if head is None:
            leaves = [c for c in self.calls if c.path in self.learnable and not c.children]
            if not leaves:
                raise ValueError(
                    "The model calls no layer with parameters, so there is nothing to train."
                )
            return (leaves[-1].path,)
        return tuple(self.paths[id(part)] for part in _callable_parts(head))

    def _in_head(self, path: str) -> bool:
        return any(path == part or path.startswith(f"{part}.") for part in self.head)

    def _head_call(self) -> Call:
        """The call that the head begins with; a dropout right before it belongs to the head.

        With several heads, some of them between the stages, it is the first one after all stages.
        """
        made = [call for call in self.calls if call.path in self.head]
        if not made:
            raise ValueError(
                f"The model never calls its head ({', '.join(self.head)}), so no stages can be "
                f"found before it."
            )
        layers = [c.number for c in self.calls if c.path in self.body and not c.children]
        # The first call of a head after the last layer of the body.
        first = next((c for c in made if c.number > max(layers, default=0)), made[0])
        start = first
        outer = list(ancestors(first))
        for call in reversed(self.calls[: first.number]):
            part = self.module.get_submodule(call.path)
            if call.path in self.learnable:
                if call not in outer:
                    break
            elif call.parent in outer and call.count == 0 and isinstance(part, DROPOUTS):
                start = call
        return start

    def layout(self, cuts: Sequence[str] | None) -> _Layout:
        """Find where stages begin, verify each of them, and drop those that fail."""
        starts = self._suggested_starts() if cuts is None else self._requested_starts(cuts)
        for name, call, path in self._inside_shared_layers(starts):
            if cuts is not None:
                raise ValueError(
                    f"No stage can begin at {call.path}: {path} is called before and after it."
                )
            starts = [start for start in starts if start[0] != name]
        unstable = self._unstable_depths(starts)
        failed = [start for depth, start in enumerate(starts[1:], start=1) if depth in unstable]
        if failed and cuts is not None:
            raise ValueError(
                f"No stage can begin at {failed[0][1].path}: the part before it is not fixed when "
                f"frozen. It changes from pass to pass in training mode, for example because a "
                f"module calls dropout as a function."
            )
        whole = None if len(starts) in unstable else self.head_call
        starts = [start for start in starts if start not in failed]
        candidates = tuple(
            None if call is None else cut_before(call, calls=self.calls, again=self.again)
            for call in (*(call for _, call in starts[1:]), whole)
        )
        return replace(self._layout(starts), candidates=candidates)

    def _unstable_depths(self, starts: list[Start]) -> set[int]:
        """The freeze depths at which a frozen part would still change."""
        heads = [self.module.get_submodule(path) for path in self.head]
        head = heads[0] if len(heads) == 1 else nn.ModuleList(heads)
        ends = [*(call for _, call in starts[1:]), self.head_call]
        return unstable_depths(
            _assemble(self.module, self._layout(starts), head),
            self.batch,
            calls=[call for call in self.again if not self._in_head(call.path)],
            ends=[self.again[call.number] for call in ends],
            heads=heads,
        )

    def _layout(self, starts: list[Start]) -> _Layout:
        found = members(
            self.module,
            self.recording,
            starts=[call for _, call in starts[1:]],
            head_call=self.head_call,
            head=self.head,
        )
        stages = zip(starts, found, strict=True)
        return _Layout(
            stages=tuple((name, members) for (name, _), members in stages), head=self.head
        )

    def _suggested_starts(self) -> list[Start]:
        """Names and first calls of the stages, from the model's own structure."""
        starts = group(self.calls, self.body, self.head_call)
        return self._with_stem(list(zip(short_names([*starts]), starts.values(), strict=True)))

    def _requested_starts(self, cuts: Sequence[str]) -> list[Start]:
        starts = [(path, self._call_of(path)) for path in dict.fromkeys(cuts)]
        ordered = sorted(starts, key=lambda start: start[1].number)
        if starts != ordered:
            raise ValueError(
                f"The model runs {', '.join(name for name, _ in ordered)} in this order; list the "
                f"stages in it."
            )
        return self._with_stem(starts)

    def _call_of(self, path: str) -> Call:
        """The first call of the module that a path, or its end, names."""
        found = [c for c in self.calls if c.path == path]
        found = found or [c for c in self.calls if c.path.endswith(f".{path}")]
        paths = list(dict.fromkeys(call.path for call in found))
        if len(paths) > 1:
            raise ValueError(f"{path} is ambiguous: {', '.join(paths)}. Give more of the path.")
        if not paths:
            known = [
                c.path for c in self.calls[1 : self.head_call.number] if c.path in self.learnable
            ]
            hint = did_you_mean(path, known) or "."
            raise ValueError(f"The model calls no module {path}{hint}")
        if paths[0] not in self.learnable:
            raise ValueError(f"No stage can begin at {path}, which has no parameters.")
        if found[0].number >= self.head_call.number:
            raise ValueError(f"No stage can begin at {path}, which belongs to the head.")
        if self.head_call.number < found[0].end:
            raise ValueError(f"No stage can begin at {path}, which contains the head.")
        return found[0]

    def _with_stem(self, starts: list[Start]) -> list[Start]:
        """Put a stem before the first start if anything there has parameters."""
        root = self.calls[0]
        if not starts:
            return [(STEM, root)]
        name, first = starts[0]
        learnable = any(
            call.path in self.learnable and call.end <= first.number
            for call in self.calls[: first.number]
        )
        used = any(place < first.start_operation for place in self.recording.uses.values())
        return [(STEM, root), *starts] if learnable or used else [(name, root), *starts[1:]]

    def _inside_shared_layers(self, starts: list[Start]) -> list[tuple[str, Call, str]]:
        """The starts between two calls of one layer with parameters, as in ALBERT."""
        found = {}
        spans: dict[str, list[Call]] = {}
        for call, again in zip(self.calls, self.again, strict=True):
            # Results that are the same for every sample (a table) may serve several stages.
            if call.path in self.body and call.results != again.results:
                spans.setdefault(call.path, []).append(call)
        for path, calls in spans.items():
            for name, start in starts[1:]:
                if calls[0].end <= start.number <= calls[-1].number:
                    found[name] = (name, start, path)
        return list(found.values())


def _callable_parts(head: nn.Module) -> list[nn.Module]:
    """The modules of a head that can be called, without the lists and dictionaries around them."""
    if isinstance(head, nn.ModuleList | nn.ModuleDict):
        return [part for child in head.children() for part in _callable_parts(child)]
    return [head]


def _reverse(batch: Batch) -> Batch:
    if isinstance(batch, Tensor):
        return batch.flip(0)
    return {name: column.flip(0) for name, column in batch.items()}
