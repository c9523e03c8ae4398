"""The data sets that a study file may name, and their options. A table only; it loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from pydantic import Field

from workbench import usercode
from workbench.datasets.samples import TARGETS
from workbench.datasets.torchvision_names import FILES, TORCHVISION
from workbench.record.knob import AboveZero, BelowOne, FromOne, FromZero
from workbench.record.strategy import Knobs


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A data set that a study file may name.

    Attributes:
        read: Function that returns its ``Samples``, as ``module:name``; called with ``target``
            (see ``samples.TARGETS``) and the data set's own options. It downloads missing files
            if ``downloads.may()`` allows it, and raises ``NotDownloadedError`` otherwise.
        kind: ``image``, ``vector``, ``text`` or ``any``.
        options: Type of each of its own options; None if only the user's code knows them.
        renamed: Arguments of ``read`` whose name differs from the option in a study file.
        arguments: Fixed arguments of ``read``.
        required: The options that a study file must give.
        targets: The targets that it has (see ``samples.TARGETS``).
        shape: Of one image if all have the same shape; known before the data are downloaded.
        outputs: Number of its classes; 0 if it depends on the data.
    """

    read: str
    kind: str
    options: Mapping[str, object] | None = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    targets: tuple[str, ...] = ("class",)
    shape: tuple[int, ...] = ()
    outputs: int = 0

    def paths_in(self, options: Knobs) -> tuple[str, ...]:
        """The options that are paths, relative to the study file: their names end in ``path``.

        A URL such as ``s3://bucket/x`` is not a path.
        """
        return tuple(
            name
            for name, value in options.items()
            if name.endswith("path") and isinstance(value, str) and "://" not in value
        )


# Options of every data set; see ``splits``.
COMMON_OPTIONS: dict[str, object] = {
    # Labels to keep, relabelled 0, 1, ... in this order; all by default.
    "classes": list[int | str],
    # K/N, the K-th of N disjoint parts: to continue in another study with new data.
    "part": str,
    # Training samples to keep: a number per class, or a fraction of all; not both.
    "train_per_class": FromOne,
    "fraction": Annotated[float, Field(gt=0, le=1)],
    # A number of samples, or a fraction of all samples of the classes kept; 0.2 each.
    "validation": FromOne | BelowOne,
    "test": FromZero | BelowOne,
    # ``drop`` leaves out of training and validation what a later part has too; ``keep`` by default.
    "duplicates": Literal["keep", "drop"],
}
# Further options of data sets of images; other data sets refuse them. See ``preprocessing``.
IMAGE_OPTIONS: dict[str, object] = {
    # Side in pixels that images are resized to, and channels (grey is repeated).
    "image_size": FromOne,
    "channels": Literal[1, 3],
    # What is subtracted from pixels between 0 and 1, and what the difference is divided by.
    "mean": float | list[float],
    "std": AboveZero | list[AboveZero],
}

# Options of every reader of rows; see ``rows.columns``.
ROWS: dict[str, object] = {
    # The column of the target, or several; the separator splits labels in one column.
    "label": str | list[str],
    "separator": str,
    # ``column`` gives each row's part; rows with the same ``group`` stay in one part.
    "split": dict[str, str],
    "on_bad_input": Literal["refuse", "skip"],
}
_TABLE_FILES: dict[str, object] = {
    "path": str,
    "validation_path": str,
    "test_path": str,
    "delimiter": str,
    **ROWS,
}
# ``table`` calls this column ``target``; texts and images call it ``label``.
_TARGET: dict[str, object] = {
    "target" if option == "label" else option: kind for option, kind in _TABLE_FILES.items()
}
_FEATURES: dict[str, object] = {
    "features": list[str],
    "drop": list[str],
    "categories": list[str],
}

DATASETS: dict[str, Entry] = {
    "digits": Entry(
        read="workbench.datasets.scikit_learn:images",
        kind="image",
        shape=(1, 8, 8),
        outputs=10,
    ),
    **{
        name: Entry(
            read="workbench.datasets.scikit_learn:vectors",
            kind="vector",
            arguments={"name": name},
            targets=("numbers",) if name == "diabetes" else ("class",),
        )
        for name in ("wine", "iris", "breast_cancer", "diabetes")
    },
    "image_folder": Entry(
        read="workbench.datasets.image_folder:read",
        kind="image",
        options={"path": str, **FILES},
        required=("path",),
    ),
    "arrays": Entry(
        read="workbench.datasets.arrays:read",
        kind="any",
        options={"path": str, "inputs": str, "targets": str},
        required=("path",),
        targets=TARGETS,
    ),
    "table": Entry(
        read="workbench.datasets.tables:read",
        kind="vector",
        options={**_TARGET, **_FEATURES},
        renamed={"target": "label"},
        required=("path", "target"),
        targets=TARGETS,
    ),
    "text_table": Entry(
        read="workbench.datasets.texts:read",
        kind="text",
        options={**_TABLE_FILES, "text": str},
        required=("path", "text", "label"),
        targets=TARGETS,
    ),
    "hub": Entry(
        read="workbench.datasets.hub:read",
        kind="any",
        options={
            "id": str,
            "path": str,
            "config": str,
            "text": str,
            "image": str,
            **ROWS,
            **_FEATURES,
            **FILES,
        },
        required=("label",),
        targets=TARGETS,
    ),
    **{
        name: Entry(
            read="workbench.datasets.torchvision_sets:read",
            kind="image",
            options={"path": str, **source.options, **({} if source.shape else FILES)},
            arguments={"name": name},
            shape=source.shape,
            outputs=source.outputs,
        )
        for name, source in TORCHVISION.items()
    },
}
# Its options are arguments of the user's function, so they cannot be checked here.
_USER = Entry(read="workbench.datasets.user:read", kind="any", options=None, targets=TARGETS)


def entry_of(name: str) -> Entry | None:
    """The entry of a data set's name or a user's ``FILE.py:NAME``; None for unknown names."""
    if usercode.is_reference(name):
        return replace(_USER, arguments={"reference": name})
    return DATASETS.get(name)


def common_options(entry: Entry) -> dict[str, object]:
    """The options that do not depend on the data set's reader."""
    return {**COMMON_OPTIONS, **(IMAGE_OPTIONS if entry.kind in ("image", "any") else {})}
