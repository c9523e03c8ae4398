"""Training batches: their order, their parts, and the processes that make them.

A batch is a function of (seed, epoch, its samples' numbers), wherever it is made: this process and
any number of loader processes give the same, to the last bit. Knows no model and no task.
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
# What torch says of a process that is gone; an error inside one reads otherwise.
_DEAD = ("exited unexpectedly", "is killed by signal")


def is_dead_loader(error: Exception) -> bool:
    """Whether torch says that a loader process ended without being told to.

    It may say so anywhere in the main thread, which gets a signal at the end of a process.
    """
    return isinstance(error, RuntimeError) and any(mark in str(error) for mark in _DEAD)


def order(count: int, *, seed: int, epoch: int) -> Tensor:
    """The order of an epoch's samples, ``int64 [count]``."""
    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    return torch.randperm(count, generator=generator)


def split(positions: Tensor, size: int) -> list[Tensor]:
    """Positions in batches; a last batch of one joins the one before.

    Batch normalisation has no variance to divide by in a batch of one.
    """
    batches = list(torch.split(positions, size))
    if size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def moved(batch: Batch, device: torch.device) -> Batch:
    """A batch on a device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    return {name: column.to(device) for name, column in batch.items()}


def rows(batch: Batch, taken: slice) -> Batch:
    """Some of a batch's samples."""
    if isinstance(batch, Tensor):
        return batch[taken]
    return {name: column[taken] for name, column in batch.items()}


def numbers(batch: Batch) -> int:
    """How many numbers a model holds for one sample as it comes in, roughly."""
    if isinstance(batch, Tensor):
        return batch[0].numel()
    # Each token becomes a vector.
    return 2**8 * max(column[0].numel() for column in batch.values())


class Reader(Dataset[Any]):
    """Batches of the training part, augmented; here or in a loader process."""

    def __init__(self, data: Data, augmentation: Sequence[Any], seed: int) -> None:
        """Nothing is read yet; transforms are built where they are used."""
        # A loader process needs no more than this.
        self.data = replace(data, validation=data.train, names=None)
        self._augmentation, self._seed = augmentation, seed

    @cached_property
    def augment(self) -> Augmentation | None:
        """The transforms, or None where there are none.

        Raises:
            ValueError: They cannot be built.
        """
        return augmentations.build(self._augmentation, mean=self.data.mean, std=self.data.std)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "augment"}

    def __getitem__(self, request: _Request) -> Batch | ValueError:
        """The batch of an epoch at some positions; an error as a value, which travels whole."""
        epoch, positions = request
        try:
            inputs = self.data.train.inputs[positions]
            if not isinstance(inputs, Tensor):
                if self.augment is not None:
                    raise ValueError(
                        "An augmentation transforms images, but these samples are texts; "
                        "take augmentation out of the recipe."
                    )
                return inputs
            if self.augment is not None:
                index = self.data.train.index[positions]
                inputs = self.augment(inputs, seed=self._seed, epoch=epoch, index=index)
            return self.data.crop(inputs)
        except ValueError as error:
            return error


class Batches:
    """The training batches of a trial.

    Attributes:
        steps: Batches of an epoch.
    """

    def __init__(self, data: Data, plan: Plan, *, seed: int, device: torch.device) -> None:
        """No process is started yet.

        Args:
            data: Its training part is taken, as it is.
            plan: Says how large a batch is, and who makes it.
            seed: The trial's training seed.
            device: Where batches go.

        Raises:
            ValueError: The augmentation cannot be built.
        """
        self._seed, self._device, self._size = seed, device, plan.batch_size
        self._reader = Reader(data, plan.augmentation, seed)
        stays = self._reader.augment is not None or plan.loader_workers > 0
        self._targets = data.train.targets.to(device)
        if not stays:
            # Augmentation works on the CPU; without it the samples may as well wait on the device.
            self._reader.data = _on(self._reader.data, device)
        self._requests: list[_Request] = []
        self._loader: DataLoader[Any] | None = None
        if plan.loader_workers > 0:
            self._loader = DataLoader(
                self._reader,
                batch_size=None,
                sampler=_Asked(self._requests),
                num_workers=plan.loader_workers,
                collate_fn=_as_it_is,
                worker_init_fn=_leave_signals_to_the_trial,
                multiprocessing_context="spawn",
                persistent_workers=True,
                pin_memory=device.type == "cuda",
                # Its own: torch draws from the global one at each start otherwise.
                generator=torch.Generator().manual_seed(0),
            )
        self.steps = len(split(data.train.index, plan.batch_size))

    def __len__(self) -> int:
        """Number of training samples."""
        return len(self._targets)

    def part(self, epoch: int, first: int, last: int) -> Iterator[tuple[Batch, Tensor]]:
        """Inputs and targets of an epoch's steps from ``first`` up to, without, ``last``.

        Raises:
            ValueError: A sample cannot be augmented.
            RuntimeError: A loader process died; see ``is_dead_loader``.
        """
        every = split(order(len(self), seed=self._seed, epoch=epoch), self._size)
        asked = [(epoch, positions) for positions in every[first:last]]
        for (_, positions), batch in zip(asked, self._read(asked), strict=True):
            if isinstance(batch, ValueError):
                raise batch
            yield moved(batch, self._device), self._targets[positions.to(self._device)]

    def _read(self, asked: list[_Request]) -> Iterator[Batch | ValueError]:
        if self._loader is None:
            yield from map(self._reader.__getitem__, asked)
            return
        self._requests[:] = asked
        yield from self._loader


class _Asked:
    """What the loader is asked for: whatever the list holds when an iteration begins."""

    def __init__(self, requests: list[_Request]) -> None:
        self._requests = requests

    def __iter__(self) -> Iterator[_Request]:
        return iter(list(self._requests))

    def __len__(self) -> int:
        return len(self._requests)


def _as_it_is(batch: Any) -> Any:
    return batch


def _leave_signals_to_the_trial(number: int) -> None:
    # Ctrl-C or a closed terminal reaches all its processes; the trial parks and ends its loaders.
    for heard in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        signal.signal(heard, signal.SIG_IGN)


def _on(data: Data, device: torch.device) -> Data:
    train = replace(data.train, inputs=data.train.inputs.to(device))
    return replace(data, train=train, validation=train)
