"""Samples: a whole data set as it is read, a part of it, and what a trial sees.

Knows neither how they are read nor how they are split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from workbench.datasets.memmap import Mapped

    # What a model takes: images or vectors [B, ...], or a text's tensors by name, each [B, length].
    Batch = Tensor | dict[str, Tensor]

# What the targets of a task are: one class of several, any number of labels, or numbers.
TARGETS = ("class", "labels", "numbers")
TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """A whole data set as its family reads it.

    Attributes:
        kind: ``image``, ``vector`` or ``text``.
        inputs: Images ``[N, C, H, W]``, ``uint8`` (0 to 255, may be a memory map) or ``float32``
            (0 to 1); vectors ``float32 [N, F]``; or N texts.
        targets: Labels ``int64 [N]``; for several labels ``float32 [N, L]`` of 0 and 1; numbers
            ``float32 [N, T]``.
        classes: Names of the classes or labels in their order; of the columns for numbers.
        mean: Subtracted from the inputs, one number or one per channel; None is for ``ready`` to
            choose: each feature of vectors is standardised by its mean and standard deviation in
            the training part, images by ImageNet's (three channels) or by 0.5 (others).
        std: What the difference is divided by.
        given: ``int64 [N]``: the part that each sample lies in (``TRAIN``, ``VALIDATION``,
            ``TEST``); None where every part is to be drawn. A part that no sample is given to
            is drawn from the training part.
        groups: ``int64 [N]``: samples of one group stay in one part; None without groups.
        names: What a person calls each sample (a file's name, a line); None counts them.
        skipped: What could not be read and was left out, each as ``NAME: REASON``.
        mapped: Where the inputs lie on disk, if they are a memory map.
    """

    kind: str
    inputs: Tensor | tuple[str, ...]
    targets: Tensor
    classes: tuple[str, ...]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    given: Tensor | None = None
    groups: Tensor | None = None
    names: tuple[str, ...] | None = None
    skipped: tuple[str, ...] = ()
    mapped: Mapped | None = None


class Inputs(Protocol):
    """The inputs of a part, ready for a model; taken in batches, because they may not fit."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, positions: Tensor) -> Batch:
        """The samples at some positions ``int64 [B]``, normalised: memory of their own."""
        ...

    def to(self, device: torch.device) -> Inputs:
        """The same with what fits there on a device; batches come from where the inputs are."""
        ...


@dataclass(frozen=True, eq=False)
class Tensors:
    """Inputs that are in memory as a model takes them: ``float32 [N, ...]``."""

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, positions: Tensor) -> Tensor:
        return self.values[positions.to(self.values.device)]

    def to(self, device: torch.device) -> Tensors:
        """The same on a device."""
        return Tensors(self.values.to(device))


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts that a backbone's tokenizer has not seen yet: no model takes them as they are."""

    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, positions: Tensor) -> Batch:
        raise TypeError("Texts are no inputs of a model before backbones.prepare.")

    def to(self, device: torch.device) -> Texts:
        """Texts stay where they are."""
        return self


@dataclass(frozen=True, eq=False)
class Tokens:
    """Texts as tokens: every column ``int64 [N, longest]``, padded at the end.

    Attributes:
        columns: ``input_ids``, ``attention_mask`` and what else the model takes.
        lengths: ``int64 [N]``; a batch is cut after its longest text.
        truncated: Texts that were cut at their end.
    """

    columns: dict[str, Tensor]
    lengths: Tensor
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, positions: Tensor) -> dict[str, Tensor]:
        positions = positions.to(self.lengths.device)
        longest = int(self.lengths[positions].max())
        return {name: column[positions, :longest] for name, column in self.columns.items()}

    def to(self, device: torch.device) -> Tokens:
        """The same on a device."""
        columns = {name: column.to(device) for name, column in self.columns.items()}
        return Tokens(columns, self.lengths.to(device), self.truncated)


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One part of a split.

    Attributes:
        inputs: N samples, normalised when they are taken.
        targets: Labels ``int64 [N]``, or ``float32 [N, ...]``; see ``Samples``.
        index: The samples' numbers in the whole data set, ``int64 [N]``, ascending.
    """

    inputs: Inputs
    targets: Tensor
    index: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """What a trial sees of a data set. Shared between trials: never change it in place.

    Nothing of a test sample is in it, neither its inputs and targets nor its name, unless there is
    a part ``test``: the one that ``load_test`` adds for a confirmation.

    Attributes:
        kind: ``image``, ``vector`` or ``text``.
        classes: Names of the classes or labels; of the columns for numbers.
        input_shape: Of one sample as a model takes it; ``()`` for texts.
        digest: SHA-256 of the content before the split, and of the options.
        mean: What was subtracted from the inputs, one number, or one per channel or feature.
        std: What the difference was divided by.
        names: What a person calls each sample of the parts that there are, by its number in the
            whole data set; None where samples have no names.
        test: None but for what is to be tested, once.
    """

    kind: str
    train: Part
    validation: Part
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    digest: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    names: Mapping[int, str] | None = None
    test: Part | None = None

    def crop(self, inputs: Tensor) -> Tensor:
        """The middle of images that are larger than what a model takes; all others as they are.

        Training images that are stored with a margin keep it until they are augmented.

        Args:
            inputs: ``[B, ...]``, as they came or augmented.

        Raises:
            ValueError: The images are smaller than what a model takes.
        """
        if self.kind != "image" or tuple(inputs.shape[1:]) == self.input_shape:
            return inputs
        height, width = self.input_shape[-2:]
        above, beside = inputs.shape[-2] - height, inputs.shape[-1] - width
        if above < 0 or beside < 0:
            raise ValueError(
                f"The augmentation makes images of {inputs.shape[-2]} x {inputs.shape[-1]} pixels, "
                f"but the model takes {height} x {width}; set its size to {width}."
            )
        top, left = above // 2, beside // 2
        return inputs[..., top : top + height, left : left + width]
