"""Outputs of the frozen stages, computed once and used in place of running them in every epoch.

The engine asks a ``Keeper`` for them, which may store them for other trials. Losses are those of a
model that runs its frozen stages, bit for bit on the CPU at the same number of threads.

Source:
    Kornblith et al. (2019), Do better ImageNet models transfer better?, train linear classifiers on
    features that are extracted once; here the features may be those of any freeze depth.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from workbench.backbones import stages
from workbench.backbones.stages import Activations, Cut, Staged
from workbench.record.strategy import Plan

if TYPE_CHECKING:
    from workbench.datasets import Part
    from workbench.datasets.samples import Inputs


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Where a model's frozen stages end, for inputs of one form.

    Attributes:
        cut: Where the model continues.
        shapes: See ``Activations``; of a batch of ``samples``.
        stand_in: A sample that the model takes in place of every input, because nothing live
            reads it; without memory of its own.
        rows: Shape and type of the values kept of each sample.
        seconds: That the frozen stages take for a batch; ``gathering``: that reading as many kept
            values takes.
    """

    cut: Cut
    shapes: stages.Shapes
    samples: int
    stand_in: Tensor
    rows: tuple[tuple[tuple[int, ...], torch.dtype], ...]
    seconds: float
    gathering: float

    @property
    def sample_bytes(self) -> int:
        """Bytes of the values kept of one sample."""
        return sum(math.prod(shape) * dtype.itemsize for shape, dtype in self.rows)


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """Outputs of the frozen stages for every sample of a part: ``rows``, ``[N, ...]`` each."""

    split: Split
    rows: tuple[Tensor, ...]

    def at(self, positions: Tensor) -> Activations:
        """Those of a batch, by the positions of its samples in the part, on the model's device."""
        device = self.split.stand_in.device
        return Activations(
            values=tuple(rows[positions].to(device) for rows in self.rows),
            shapes=self.split.shapes,
            samples=self.split.samples,
        )

    def forward(self, module: nn.Module, activations: Activations) -> Tensor:
        """Outputs of the model for a batch."""
        return _continue(module, self.split.cut, self.split.stand_in, activations)


class Keeper(Protocol):
    """Gives the outputs of frozen stages for a part, or computes them."""

    def get(
        self,
        staged: Staged,
        depth: int,
        part: Part,
        *,
        size: int,
        fill: bool,
        passes: int,
        before: Callable[[], None],
    ) -> Kept | None:
        """The outputs of the first ``depth`` stages; None where the model should run them.

        Args:
            staged: In evaluation mode, on its device.
            depth: At least 1.
            part: Its samples.
            size: Samples of a batch, at most those of the part; the last bits may depend on it.
            fill: See ``compute``.
            passes: How often the caller will go through the part.
            before: Called before every batch; may raise.
        """
        ...


def suits(plan: Plan) -> bool:
    """Whether the inputs of a trial's frozen stages are the same in every epoch."""
    varied = plan.augmentation or plan.mixup or plan.cutmix
    # An average of frozen weights may differ from them in the last bit; adapters change outputs.
    return not (varied or plan.ema or plan.lora) and plan.precision == "float32"


def split(staged: Staged, depth: int, inputs: Inputs, size: int) -> Split | None:
    """Where a model's frozen stages end; None where it cannot be split there.

    Verified on a batch: with nothing but the kept values, the rest of the model must give bitwise
    the same outputs.

    Args:
        staged: In evaluation mode, on its device.
        depth: How many stages are frozen.
        inputs: The first ``size`` samples are tried.
        size: Samples of a batch, at most those of the inputs.
    """
    module = staged.module
    example = inputs[torch.arange(size)]
    # A batch of texts has the length of its longest one, so its activations depend on the batch.
    if not isinstance(example, Tensor):
        return None
    device = next((tensor.device for tensor in module.parameters()), example.device)
    example = example.to(device)
    cut = stages.cut(staged, depth, example[:2])
    if cut is None:
        return None
    stand_in = torch.full((), math.nan, dtype=example.dtype, device=device)
    stand_in = stand_in.expand(1, *example.shape[1:])
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        outputs = module(example)
        started = time.perf_counter()
        kept = stages.prefix(module, cut, example)
        passed = time.perf_counter()
        if any(len(value) != size for value in kept.values):
            return None
        gathered = kept.part(torch.arange(size))
        ended = time.perf_counter()
        few = kept.part(slice(0, 2))
        # A model that reads its inputs behind the cut may fail on NaN in any way.
        try:
            whole = _continue(module, cut, stand_in, gathered)
            first = _continue(module, cut, stand_in, few)
        except Exception:
            return None
        # In a smaller batch the last bits may differ; a value that was not kept would be NaN.
        if not (torch.equal(whole, outputs) and torch.allclose(first, outputs[:2], 1e-3, 1e-3)):
            return None
    return Split(
        cut=cut,
        shapes=kept.shapes,
        samples=kept.samples,
        stand_in=stand_in,
        rows=tuple((tuple(value.shape[1:]), value.dtype) for value in kept.values),
        seconds=passed - started,
        gathering=ended - passed,
    )


def compute(
    staged: Staged,
    split: Split,
    inputs: Inputs,
    rows: Sequence[Tensor],
    *,
    size: int,
    fill: bool,
    before: Callable[[], None],
) -> None:
    """Run the frozen stages for every sample, and write their outputs to ``rows``.

    Args:
        staged: In evaluation mode, on its device.
        split: Made for the model and such inputs.
        inputs: N samples.
        rows: Tensors ``[N, ...]`` on the CPU, as ``Split.rows`` has them.
        size: Samples of a batch.
        fill: Whether a smaller last batch is filled up with samples from the start, since some
            kernels sum in another order for a batch of 1 or 3 samples.
        before: Called before every batch; may raise.
    """
    count, device = len(inputs), split.stand_in.device
    for first in range(0, count, size):
        before()
        last = first + size if fill else min(first + size, count)
        batch = inputs[torch.arange(first, last) % count]
        assert isinstance(batch, Tensor)
        found = stages.prefix(staged.module, split.cut, batch.to(device))
        for row, value in zip(rows, found.values, strict=True):
            here = min(size, count - first)
            row[first : first + here] = value[:here]


def _continue(module: nn.Module, cut: Cut, stand_in: Tensor, activations: Activations) -> Tensor:
    batch = stand_in.expand(len(activations.values[0]), *stand_in.shape[1:])
    return stages.replay(module, cut, batch, activations)
