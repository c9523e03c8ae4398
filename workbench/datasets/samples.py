"""The types of data: a whole data set as read, one part of it, and what a trial gets.

Used by every reader, the splits, the tasks and the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from workbench.datasets.memmap import MappedArray

    # A model's input: images or vectors [B, ...], or tensors of texts by name, each [B, length].
    Batch = Tensor | dict[str, Tensor]

# The target of a sample: one of several classes, any number of labels, or numbers.
TARGETS = ("class", "labels", "numbers")
# For each column of a table, in order: its categories, or None for a column of numbers.
Levels = Mapping[str, tuple[str, ...] | None]
# Numbers of the parts in ``Samples.given``.
TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """A whole data set as its reader returns it.

    Attributes:
        kind: ``image``, ``vector`` or ``text``.
        inputs: Images ``[N, C, H, W]``, ``uint8`` (0 to 255, may be a memory map) or ``float32``
            (0 to 1); vectors ``float32 [N, F]``; or N texts.
        targets: Labels ``int64 [N]``; for several labels ``float32 [N, L]`` of 0 and 1; numbers
            ``float32 [N, T]``.
        classes: Names of the classes or labels in their order; of the columns for numbers.
        mean: Subtracted from the inputs, one number or one per channel. None uses the default of
            ``preprocessing``: vectors are standardised by the training part, images by ImageNet's
            statistics (three channels) or by 0.5 (others).
        std: The divisor after that.
        given: ``int64 [N]``: the part of each sample (``TRAIN``, ``VALIDATION``, ``TEST``); None if
            every part is drawn. A part without samples is drawn from the training part.
        groups: ``int64 [N]``: samples of one group stay in one part; None without groups.
        names: A name for each sample (a file's name, a line); None uses the samples' numbers.
        skipped: Samples that could not be read and were skipped, each as ``NAME: REASON``.
        mapped: The file of the inputs, if they are a memory map.
        levels: Of vectors from a table: its columns, so that new samples are read by their names.
            Each category is an element of a vector, 0 or 1. None if the elements have no names.
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
    mapped: MappedArray | None = None
    levels: Levels | None = None


class Inputs(Protocol):
    """The inputs of a part, prepared for a model; read in batches, as they may not fit memory."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, positions: Tensor) -> Batch:
        """The samples at positions ``int64 [B]``, normalised, in their own memory."""
        ...

    def to(self, device: torch.device) -> Inputs:
        """The same inputs with batches on a device; the samples are copied to it if they fit."""
        ...


@dataclass(frozen=True, eq=False)
class Tensors:
    """Inputs in memory, in the form that a model takes: ``float32 [N, ...]``."""

    values: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, positions: Tensor) -> Tensor:
        return self.values[positions.to(self.values.device)]

    def to(self, device: torch.device) -> Tensors:
        """The same inputs on a device."""
        return Tensors(self.values.to(device))


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts before tokenization; ``backbones.prepare`` converts them to ``Tokens``."""

    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, positions: Tensor) -> Batch:
        raise TypeError("Texts must be tokenized by backbones.prepare before they are read.")

    def to(self, device: torch.device) -> Texts:
        """The same object: texts are not on a device."""
        return self


@dataclass(frozen=True, eq=False)
class Tokens:
    """Texts as tokens: every column ``int64 [N, longest]``, padded at the end.

    Attributes:
        columns: ``input_ids``, ``attention_mask`` and the model's other inputs.
        lengths: ``int64 [N]``; a batch is cut to the length of its longest text.
        truncated: Number of texts that were truncated.
    """

    columns: dict[str, Tensor]
    lengths: Tensor
    truncated: int = 0

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def uniform(self) -> bool:
        """Whether all texts have one length, so that every batch has it."""
        return bool((self.lengths == self.lengths[:1]).all())

    def __getitem__(self, positions: Tensor) -> dict[str, Tensor]:
        positions = positions.to(self.lengths.device)
        longest = int(self.lengths[positions].max())
        return {
            name: column[positions.to(column.device), :longest]
            for name, column in self.columns.items()
        }

    def to(self, device: torch.device) -> Tokens:
        """The same tokens on a device; their lengths, which shape a batch, stay where they are."""
        columns = {name: column.to(device) for name, column in self.columns.items()}
        return Tokens(columns, self.lengths, self.truncated)


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One part of a split.

    Attributes:
        inputs: N samples, normalised when they are read.
        targets: Labels ``int64 [N]``, or ``float32 [N, ...]``; see ``Samples``.
        index: The samples' numbers in the whole data set, ``int64 [N]``, ascending.
    """

    inputs: Inputs
    targets: Tensor
    index: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """What a trial gets of a data set. Shared between trials: do not change it in place.

    It contains no inputs, targets or names of test samples, unless ``load_test`` has added the part
    ``test`` for a confirmation.

    Attributes:
        kind: ``image``, ``vector`` or ``text``.
        classes: Names of the classes or labels; of the columns for numbers.
        input_shape: Of one sample as a model's input; ``()`` for texts.
        digest: SHA-256 of the content before the split, and of the options.
        mean: Subtracted from the inputs: one number, or one per channel or feature.
        std: The divisor after that.
        names: Name of each sample in these parts, by its number in the whole data set; None if
            samples have no names.
        test: None, except in the evaluation of a confirmation.
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
        """Crop images that are larger than the model's input to their middle; keep all others.

        Training images that are stored with a margin keep it for the augmentation.

        Args:
            inputs: ``[B, ...]``, augmented or not.

        Raises:
            ValueError: The images are smaller than the model's input.
        """
        if self.kind != "image" or tuple(inputs.shape[1:]) == self.input_shape:
            return inputs
        height, width = self.input_shape[-2:]
        rows, columns = inputs.shape[-2] - height, inputs.shape[-1] - width
        if rows < 0 or columns < 0:
            raise ValueError(
                f"The augmentation makes images of {inputs.shape[-2]} x {inputs.shape[-1]} pixels, "
                f"but the model takes {height} x {width}; set its size to {width}."
            )
        top, left = rows // 2, columns // 2
        return inputs[..., top : top + height, left : left + width]
