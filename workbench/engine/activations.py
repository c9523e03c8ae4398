"""Outputs of the frozen stages, computed once and used in place of running them in every epoch.

The engine asks an ``ActivationSource`` for them, which may store them for other trials. Losses are
those of a model that runs its frozen stages, bit for bit on the CPU at the same number of threads.

Source:
    Kornblith et al. (2019), Do better ImageNet models transfer better?, train linear classifiers on
    features that are extracted once; here the features may be those of any freeze depth.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from workbench.backbones import stages
from workbench.backbones.stages import Activations, Cut, Staged
from workbench.engine import batches

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

# Samples that a split is tried on: enough for stable times, few enough to be tried in each trial.
TRIED = 32
# Every how many batches outputs are verified, which takes longer than computing them.
VERIFIED = 16
# Reads a batch of a part by the positions of its samples, as the model takes it.
Read = Callable[[Tensor], "Batch"]


class NotReplayableError(ValueError):
    """The kept values do not give the outputs of the model for some batch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Where a model's frozen stages end, for inputs of one form.

    Attributes:
        cut: Where the model continues.
        first: What is kept of the first samples.
        seconds: That the frozen stages take for a sample; ``reading``: that reading its kept values
            takes.
        blank: NaN in place of one sample's inputs, ``[1, ...]``; None where the rest of the model
            reads the inputs too.
        head_alone: Whether the rest of the model is one call of its head.
        equal: By size of a batch that was tried: whether the values kept are bitwise the same.
    """

    cut: Cut
    first: Activations
    seconds: float
    reading: float
    blank: Tensor | None = None
    head_alone: bool = False
    equal: dict[int, bool] = field(default_factory=dict)

    @property
    def sample_bytes(self) -> int:
        """Bytes of the values kept of one sample."""
        return sum(math.prod(value.shape[1:]) * value.dtype.itemsize for value in self.first.values)

    def replay(self, module: nn.Module, batch: Batch | None, kept: Activations) -> Tensor:
        """Outputs of the model from the kept values.

        Args:
            module: The model.
            batch: Its inputs; may be None where ``blank`` is not None, or the head runs alone.
            kept: Of the batch.
        """
        if self.head_alone:
            # Copied, because the head may change its input in place.
            outputs: Tensor = module.get_submodule(self.cut.path)(kept.values[0].clone())
            return outputs
        if self.blank is not None:
            batch = self.blank.expand(len(kept.values[0]), *self.blank.shape[1:])
        assert batch is not None
        return stages.replay(module, self.cut, batch, kept)


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredActivations:
    """Outputs of the frozen stages for every sample of a part.

    Attributes:
        split: Where the model continues.
        rows: The values kept, ``[N, ...]`` each.
        sizes: Of batches that they serve. Kernels may sum in another order for another size, so
            other batches go through the whole model.
    """

    split: Split
    rows: tuple[Tensor, ...]
    sizes: frozenset[int]

    @property
    def saved_seconds(self) -> float:
        """About how much faster a pass over the part is than with the frozen stages."""
        return len(self.rows[0]) * (self.split.seconds - self.split.reading)

    def forward(self, module: nn.Module, positions: Tensor, read: Read) -> Tensor:
        """Outputs of the model for a batch, by the positions of its samples in the part.

        Args:
            module: The model.
            positions: Of the batch's samples.
            read: Reads the part; called only where the model needs its inputs.
        """
        if len(positions) not in self.sizes:
            outputs: Tensor = module(read(positions))
            return outputs
        needed = self.split.blank is None and not self.split.head_alone
        batch = read(positions) if needed else None
        return self.split.replay(module, batch, self._at(positions))

    def with_sizes(
        self, sizes: Collection[int], module: nn.Module, read: Read
    ) -> StoredActivations:
        """The same for batches of more sizes, where the values kept are bitwise equal for these.

        Args:
            sizes: Tried, each on the first samples.
            module: In evaluation mode.
            read: Reads the part.
        """
        equal = self.split.equal
        for size in {*sizes} - self.sizes - equal.keys():
            positions = torch.arange(size)
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                try:
                    kept = stages.prefix(module, self.split.cut, read(positions)).values
                    equal[size] = all(map(torch.equal, kept, self._at(positions).values))
                except stages.NotTensorError:
                    equal[size] = False
        return replace(self, sizes=self.sizes | {size for size in sizes if equal.get(size)})

    def _at(self, positions: Tensor) -> Activations:
        return replace(self.split.first, values=self.rows).part(positions)


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """What the engine asks for: the outputs of the frozen stages for a part of the data.

    Attributes:
        staged: In evaluation mode, on its device.
        depth: How many stages are frozen, at least 1.
        read: Reads the part.
        index: The samples' numbers in the data set, ``int64 [N]``.
        epoch: Whose augmentation ``read`` applies; None if the samples are the same in each epoch.
        epochs: For how many epochs outputs will be asked for.
        size: Samples of a batch, at most N; the last bits may depend on it.
        pad_last: Whether a smaller last batch is filled up with samples from the start, because
            its samples will be in batches of ``size``.
        before_batch: Called before every batch; may raise.
    """

    staged: Staged
    depth: int
    read: Read
    index: Tensor
    epoch: int | None = None
    epochs: int = 1
    size: int
    pad_last: bool
    before_batch: Callable[[], None]

    @property
    def sizes(self) -> frozenset[int]:
        """Of the batches that ``compute`` passes through the frozen stages."""
        rest = len(self.index) - self.full
        return frozenset({self.size, rest} if rest else {self.size})

    @property
    def full(self) -> int:
        """How many of the first samples pass through the frozen stages in batches of ``size``."""
        count = len(self.index)
        return count if self.pad_last else count - count % self.size


class ActivationSource(Protocol):
    """Gives the outputs of frozen stages, or computes them."""

    def get(self, request: Request) -> StoredActivations | None:
        """The outputs; None where the model should run its frozen stages."""
        ...


def split(request: Request) -> Split | None:
    """Where a model's frozen stages end; None where it cannot be split there.

    Tried on the first samples. A sample must have about the same outputs in any batch: frozen
    stages may still use statistics of the batch.
    """
    staged, read = request.staged, request.read
    size = min(len(request.index), TRIED)
    if size < 2:
        return None
    batch = read(torch.arange(size))
    cut = stages.cut(staged, request.depth, batches.rows(batch, slice(2)))
    if cut is None:
        return None
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        few = slice(min(2, size - 1))
        try:
            started = time.perf_counter()
            kept = stages.prefix(staged.module, cut, batch)
            passed = time.perf_counter() - started
            alone = stages.prefix(staged.module, cut, batches.rows(batch, few))
        except stages.NotTensorError:
            return None
        if any(len(value) != size or not _in_numpy(value) for value in kept.values):
            return None
        pairs = zip(kept.values, alone.values, strict=True)
        if not all(is_close(value[few], other) for value, other in pairs):
            return None
        started = time.perf_counter()
        kept.part(torch.arange(size))
        reading = time.perf_counter() - started
    # Cloned, or a view would hold all that it is a part of.
    first = replace(kept, values=tuple(value.clone() for value in kept.values))
    found = Split(cut=cut, first=first, seconds=passed / size, reading=reading / size)
    if isinstance(batch, Tensor):
        # Reading images may take longer than the rest of the model.
        blank = torch.full((), torch.nan).to(batch).expand(1, *batch.shape[1:])
        without = replace(found, blank=blank)
        if _reads_no_inputs(request, without, batch):
            found = without
    return replace(found, head_alone=_is_head_alone(request, cut, batch))


def _reads_no_inputs(request: Request, split: Split, batch: Tensor) -> bool:
    """Whether outputs are the same without inputs."""

    def same() -> bool:
        pair = (split, replace(split, blank=None))
        return torch.equal(*(s.replay(request.staged.module, batch, split.first) for s in pair))

    return _holds_in_both_modes(request, same)


def _is_head_alone(request: Request, cut: Cut, batch: Batch) -> bool:
    """Whether the head is called once, with one tensor alone, and gives the model's outputs.

    Then nothing else of the model needs to run: what is not frozen is in the head.
    """
    staged, few = request.staged, batches.rows(batch, slice(2))
    calls: list[tuple[tuple[Any, ...], dict[str, Any], Any, Any]] = []

    def note(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        calls.append((args, named, output, copy.deepcopy(output)))

    def once() -> bool:
        calls.clear()
        outputs = staged.module(few)
        if len(calls) != 1:
            return False
        args, named, output, before = calls[0]
        given = len(args) == 1 and isinstance(args[0], Tensor) and not named
        # The model may change the head's output in place.
        return given and output is outputs and torch.equal(outputs, before)

    if staged.module.get_submodule(cut.path) is not staged.head or cut.kept != (0,):
        return False
    hook = staged.head.register_forward_hook(note, with_kwargs=True)
    try:
        if not _holds_in_both_modes(request, once):
            return False
    finally:
        hook.remove()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        kept = stages.prefix(staged.module, cut, few)
        return torch.equal(staged.head(kept.values[0].clone()), staged.module(few))


def _holds_in_both_modes(request: Request, check: Callable[[], bool]) -> bool:
    """Whether a check holds in evaluation mode and in training; the model stays as it was."""
    staged = request.staged
    buffers = {name: buffer.clone() for name, buffer in staged.module.named_buffers()}
    try:
        for training in (False, True):
            if training:
                stages.train_mode(staged, request.depth)
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                if not check():
                    return False
        return True
    # A model may fail in any way on NaN, or in training mode on these samples.
    except Exception:
        return False
    finally:
        staged.module.eval()
        # Batch normalisation has counted these samples.
        for name, buffer in staged.module.named_buffers():
            buffer.copy_(buffers[name])


def passes(request: Request, known: Tensor | None = None) -> list[Tensor]:
    """Positions of the samples that pass through the frozen stages together.

    Args:
        request: For these outputs.
        known: Which of the first ``Request.full`` rows are written already, ``bool``; None if none.
    """
    missing = torch.arange(request.full)
    if known is not None:
        missing = missing[~known]
    rest = torch.arange(request.full, len(request.index))
    return [each for each in (*torch.split(missing, request.size), rest) if len(each)]


def compute(
    request: Request,
    split: Split,
    rows: Sequence[Tensor],
    known: Tensor | None = None,
    *,
    numbers: slice = slice(None),
    verified: int = VERIFIED,
) -> None:
    """Run the frozen stages for some of the passes, and write their outputs to ``rows``.

    Some passes are verified: with nothing but the kept values, the rest of the model must give
    bitwise the same outputs.

    Args:
        request: For these outputs.
        split: Made for the request.
        rows: Tensors ``[N, ...]`` as the values of ``Split.first``.
        known: See ``passes``.
        numbers: Of the passes to compute.
        verified: Every how many passes, beside the first and the last.

    Raises:
        NotReplayableError: The outputs differ for some batch.
    """
    size, module = request.size, request.staged.module
    every = list(enumerate(passes(request, known)))
    for number, written in every[numbers]:
        request.before_batch()
        positions = written
        if written[0] < request.full and len(written) < size:
            positions = torch.cat([written, torch.arange(size - len(written))])
        batch = request.read(positions)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            try:
                kept = stages.prefix(module, split.cut, batch)
                checked = number % verified == 0 or number == len(every) - 1
                same = not checked or torch.equal(module(batch), split.replay(module, batch, kept))
            except stages.NotTensorError:
                same = False
        if not same:
            raise NotReplayableError(f"samples {int(written[0])} to {int(written[-1])}")
        for row, value in zip(rows, kept.values, strict=True):
            row[written] = value[: len(written)]


def is_close(values: Tensor, expected: Tensor) -> bool:
    """Whether outputs are equal but for the last bits, which the size of a batch may change."""
    return values.shape == expected.shape and torch.allclose(values, expected, 1e-3, 1e-5)


def _in_numpy(value: Tensor) -> bool:
    try:
        return bool(torch.empty(0, dtype=value.dtype).numpy().dtype.itemsize)
    except TypeError:
        return False
