"""What a trained model must know of its data set, to take new samples without it.

A trial keeps it with its weights; ``unlabelled`` reads new samples by it.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, replace
from pathlib import Path

from workbench import usercode
from workbench.datasets.catalogue import entry_of
from workbench.datasets.loading import pool_of
from workbench.datasets.samples import Data, Levels
from workbench.record.strategy import Knobs

# Column of a table of images: each the content of an image file.
IMAGE = "image"


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What a trained model must know of its data set to take new samples.

    Attributes:
        dataset: Its name and options.
        kind: ``image``, ``vector`` or ``text``.
        input_shape: Of one sample as a model's input; ``()`` for texts.
        stored_shape: Of one image as it is read, before resizing; ``()`` for other samples.
        mean: Subtracted from the inputs: one number, or one per channel or feature.
        std: The divisor after that.
        levels: The columns of a table; None for samples without columns.
    """

    dataset: Knobs
    kind: str
    input_shape: tuple[int, ...]
    stored_shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    levels: Levels | None

    @property
    def columns(self) -> dict[str, str] | None:
        """The columns of a table of new samples with their types; None for an array of vectors.

        Types are those of an MLflow signature: ``string``, ``binary``; ``any`` for numbers, because
        MLflow refuses whole numbers where the signature says ``double``.
        """
        if self.kind == "text":
            return {self.dataset.get("text", "text"): "string"}
        if self.kind == "image":
            return {IMAGE: "binary"}
        if self.levels is None:
            return None
        return {name: "any" if known is None else "string" for name, known in self.levels.items()}

    @property
    def short_side(self) -> int:
        """Pixels of the short side of an image before the middle is taken."""
        stored, side = min(self.stored_shape[1:]), min(self.input_shape[1:])
        # ``store_size`` keeps a margin around the middle; without it images are resized to fit.
        return stored if "store_size" in self.dataset and stored > side else side

    @property
    def example(self) -> list[str | float]:
        """A made-up sample: a value for each of ``columns``, or a vector; bytes as base64.

        No sample of the data set, because a model may be published and its data may not.
        """
        if self.kind == "text":
            return ["an example"]
        if self.kind == "image":
            return [base64.b64encode(_grey(self.stored_shape)).decode()]
        if self.levels is None:
            return list(self.mean)
        values: list[str | float] = []
        position = 0
        for known in self.levels.values():
            values.append(self.mean[position] if known is None else known[0])
            position += 1 if known is None else len(known)
        return values


def preparation_of(dataset: Knobs, data: Data, *, target: str) -> Preparation:
    """How a trial's samples were prepared.

    Args:
        dataset: The trial's ``dataset``: its name and options.
        data: The trial's data.
        target: What its task predicts; see ``datasets.samples.TARGETS``.

    Raises:
        NotDownloadedError, ValueError: The data set cannot be read any more.
    """
    samples = pool_of(dataset, target=target).samples
    shape = () if isinstance(samples.inputs, tuple) else tuple(samples.inputs.shape[1:])
    return Preparation(
        dataset=dataset,
        kind=data.kind,
        input_shape=data.input_shape,
        stored_shape=shape if data.kind == "image" else (),
        mean=data.mean,
        std=data.std,
        levels=samples.levels,
    )


def without_paths(preparation: Preparation) -> Preparation:
    """The same without the folders of this machine: of each path only the last name is kept."""
    options = dict(preparation.dataset)
    entry = entry_of(options["name"])
    paths = () if entry is None else entry.paths_in(options)
    if usercode.is_reference(options["name"]):
        paths = (*paths, "name")
    return replace(preparation, dataset=options | {key: Path(options[key]).name for key in paths})


def _grey(shape: tuple[int, ...]) -> bytes:
    """A grey PNG of an image's shape ``(C, H, W)``."""
    from PIL import Image

    channels, height, width = shape
    file = io.BytesIO()
    mode = {1: "L", 4: "RGBA"}.get(channels, "RGB")
    Image.new(mode, (width, height), "grey").save(file, "PNG")
    return file.getvalue()
