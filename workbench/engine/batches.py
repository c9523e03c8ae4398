"""Training batches: their order, their split into passes, and the loader processes.

A batch is a function of (seed, epoch, its samples' numbers): this process and any number of loader
processes give the same batch bit for bit.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from workbench.datasets import Data, augmentations
from workbench.datasets.augmentations import Augmentation
from workbench.record.seeds import derive
from workbench.record.strategy import Plan

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

# An epoch and the positions of a batch's samples.
_Request = tuple[int, Tensor]
# In torch's message about a loader process that is gone (torch 2.x); an error raised inside one has
# another text.
_DEAD = ("exited unexpectedly", "is killed by signal")


def is_dead_loader(error: Exception) -> bool:
    """Whether the error is torch's report that a loader process died.

    torch raises it in a signal handler, so at any place in the main thread.
    """
    return isinstance(error, RuntimeError) and any(mark in str(error) for mark in _DEAD)


def order(count: int, *, seed: int, epoch: int) -> Tensor:
    """The order of an epoch's samples, ``int64 [count]``."""
    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    return torch.randperm(count, generator=generator)


def split(positions: Tensor, size: int) -> list[Tensor]:
    """Positions in batches; a last batch of one sample is added to the batch before it.

    Batch normalisation cannot train on a single sample, whose variance is 0.
    """
    batches = list(torch.split(positions, size))
    if size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def parts(count: int, size: int | None) -> list[slice]:
    """The samples of a batch's passes of at most ``size``; None takes all in one pass."""
    if size is None or size >= count:
        return [slice(0, count)]
    return [slice(int(rows[0]), int(rows[-1]) + 1) for rows in split(torch.arange(count), size)]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """A batch on a device; for a pinned batch and a GPU this process does not wait."""
    asynchronous = device.type == "cuda"
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=asynchronous)
    return {name: column.to(device, non_blocking=asynchronous) for name, column in batch.items()}


def rows(batch: Batch, positions: slice) -> Batch:
    """A slice of a batch's samples."""
    if isinstance(batch, Tensor):
        return batch[positions]
    return {name: column[positions] for name, column in batch.items()}


def input_size(batch: Batch) -> int:
    """Roughly how many numbers the model's input has for one sample."""
    if isinstance(batch, Tensor):
        return batch[0].numel()
    # Each token becomes a vector; 256 is the order of its width.
    return 2**8 * max(column[0].numel() for column in batch.values())


class Reader(Dataset[Any]):
    """Augmented batches of the training part, in this process or in a loader process.

    Attributes:
        data: Of which the training part is read.
        finishes: Whether it augments what it reads; else ``finish`` does so later, on the device.
    """

    def __init__(self, data: Data, augmentation: Sequence[Any], seed: int) -> None:
        """Nothing is read yet; transforms are built in the process that uses them."""
        # What is pickled for a loader process: without validation data and names.
        self.data = replace(data, validation=data.train, names=None)
        self.finishes = True
        self._augmentation, self._seed = augmentation, seed

    @cached_property
    def augment(self) -> Augmentation | None:
        """The transforms, or None if there are none.

        Raises:
            ValueError: They cannot be built.
        """
        return augmentations.build(self._augmentation, mean=self.data.mean, std=self.data.std)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "augment"}

    def __getitem__(self, request: _Request) -> Batch | ValueError:
        """A batch, by epoch and positions. An error is returned: torch would change its text."""
        epoch, positions = request
        try:
            inputs = self.data.train.inputs[positions]
            return self.finish(inputs, epoch, positions) if self.finishes else inputs
        except ValueError as error:
            return error

    def finish(self, inputs: Batch, epoch: int, positions: Tensor) -> Batch:
        """A batch as it was read, augmented and cropped.

        Raises:
            ValueError: The samples cannot be augmented.
        """
        if not isinstance(inputs, Tensor):
            if self.augment is not None:
                raise ValueError(
                    "augmentation transforms images, but the samples are texts; "
                    "remove augmentation from the recipe."
                )
            return inputs
        if self.augment is not None:
            index = self.data.train.index[positions]
            inputs = self.augment(inputs, seed=self._seed, epoch=epoch, index=index)
        return self.data.crop(inputs)


class Batches:
    """The training batches of a trial.

    Attributes:
        steps: Number of batches in an epoch.
    """

    def __init__(self, data: Data, plan: Plan, *, seed: int, device: torch.device) -> None:
        """No process is started yet.

        Args:
            data: Only its training part is used.
            plan: For the batch size, the augmentation and the loader processes.
            seed: The trial's training seed.
            device: Of the batches.

        Raises:
            ValueError: The augmentation cannot be built, or an epoch has more reports than steps.
        """
        self._seed, self._device, self._size = seed, device, plan.batch_size
        self._reader = Reader(data, plan.augmentation, seed)
        self._targets = data.train.targets.to(device)
        augment = self._reader.augment
        # Single images are augmented on the CPU, and batches on the device: the same kernels with
        # any number of loader processes.
        self._reader.finishes = device.type == "cpu" or not (augment is None or augment.batched)
        if not self._reader.finishes and plan.loader_workers == 0:
            # If they fit, the samples are copied only once.
            self._reader.data = _on(self._reader.data, device)
        self._requests: list[_Request] = []
        self._loader: DataLoader[Any] | None = None
        if plan.loader_workers > 0:
            self._loader = DataLoader(
                self._reader,
                batch_size=None,
                # Read anew for each part of an epoch: torch keeps the sampler with its workers.
                sampler=self._requests,
                num_workers=plan.loader_workers,
                worker_init_fn=_ignore_signals,
                # Not fork: this process has threads, and perhaps a CUDA context.
                multiprocessing_context="spawn",
                persistent_workers=True,
                pin_memory=device.type == "cuda",
                # Without it, torch draws a base seed from the global generator at each start, and
                # the trial's numbers would depend on loader_workers.
                generator=torch.Generator().manual_seed(0),
            )
        self.steps = len(split(data.train.index, plan.batch_size))
        if plan.reports_per_epoch > self.steps:
            raise ValueError(
                f"report_every is {plan.report_every:g} ({plan.reports_per_epoch} an epoch), "
                f"but an epoch has only {self.steps} steps; set it to 1, or to at "
                f"least {1 / self.steps:.3g}."
            )

    def __len__(self) -> int:
        """Number of training samples."""
        return len(self._targets)

    def read(self, epoch: int, positions: Tensor) -> Batch:
        """The samples at some positions as in an epoch's batches, read by this process.

        Raises:
            ValueError: A sample cannot be augmented.
        """
        return self._on_device((epoch, positions), self._reader[epoch, positions])

    def sizes(self, largest: int | None) -> set[int]:
        """Samples of an epoch's batches, which pass through the model ``largest`` at a time."""
        batches = self.positions(1, 0, self.steps)
        return {len(part) for batch in batches for part in split(batch, largest or len(batch))}

    def positions(self, epoch: int, first: int, last: int) -> list[Tensor]:
        """Positions of the samples of an epoch's steps ``first`` to ``last - 1``."""
        return split(order(len(self), seed=self._seed, epoch=epoch), self._size)[first:last]

    def targets(self, positions: Tensor) -> Tensor:
        """Targets of the samples at some positions, on the device."""
        return self._targets[positions.to(self._device)]

    def inputs(self, epoch: int, first: int, last: int) -> Iterator[Batch]:
        """Inputs of an epoch's steps ``first`` to ``last - 1``.

        Raises:
            ValueError: A sample cannot be augmented.
            RuntimeError: A loader process died; see ``is_dead_loader``.
        """
        requests = [(epoch, positions) for positions in self.positions(epoch, first, last)]
        yield from map(self._on_device, requests, self._read(requests))

    def _on_device(self, request: _Request, batch: Batch | ValueError) -> Batch:
        if isinstance(batch, ValueError):
            raise batch
        inputs = to_device(batch, self._device)
        return inputs if self._reader.finishes else self._reader.finish(inputs, *request)

    def _read(self, requests: list[_Request]) -> Iterator[Batch | ValueError]:
        if self._loader is None:
            yield from map(self._reader.__getitem__, requests)
            return
        # In place, because this list is the sampler.
        self._requests[:] = requests
        yield from self._loader


def _ignore_signals(number: int) -> None:
    # Ctrl-C and a closed terminal reach all processes; the trial parks and then ends its loaders.
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)


def _on(data: Data, device: torch.device) -> Data:
    train = replace(data.train, inputs=data.train.inputs.to(device))
    return replace(data, train=train, validation=train)
