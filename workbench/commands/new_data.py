"""The data of a new study: what the user named, as it stands in the study file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench import datasets, tasks
from workbench.datasets import DATASETS
from workbench.downloads import NotDownloadedError
from workbench.messages import nearest, unknown
from workbench.record.strategy import Knobs
from workbench.study.config.document import parse_value
from workbench.study.paths import located

# A column of more texts than this share, of this mean length, holds texts and no categories.
_DISTINCT, _LETTERS, _NUMBERS = 0.5, 20, 20
# Keys that the command writes itself.
_GIVEN = ("name", "path", "target", "text", "label")
# An option of the data set that a message advises, and its value.
_ADVISED = re.compile(r"dataset\.(\w+)(?:: (\w+))?")


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """The data of a study.

    Attributes:
        dataset: Its name and options.
        kind: Of ``KINDS``.
        name: What a study of these data may be called.
        regression: Whether numbers are predicted.
    """

    dataset: Knobs
    kind: str
    name: str
    regression: bool = False


def refusal(error: Exception) -> str:
    """Why nothing is written, with what solves it for this command."""
    advised = dict.fromkeys(_ADVISED.findall(str(error)))
    words = (
        f"--option {key}={value}" if value else f'--option "{key}=[...]"' for key, value in advised
    )
    advice = f"With this command: {' or '.join(words)}\n" if advised else ""
    return f"{error}\n{advice}Nothing is written."


def options_of(written: Sequence[str]) -> dict[str, Any]:
    """Options of a data set by name."""
    found = {}
    for option in written:
        key, separator, value = option.partition("=")
        if not separator or not key:
            raise ValueError(f"--option {option}: expected KEY=VALUE.")
        if key in _GIVEN:
            raise ValueError(f"--option {option}: {key} follows from the data and the target.")
        found[key] = parse_value(value)
        if key == "drop" and not isinstance(found[key], list):
            raise ValueError(f'--option {option}: drop is a list of columns: "drop=[{value}]".')
    return found


def listed_data(data: str) -> tuple[str, list[str]]:
    """Data that there are, and the columns of a table."""
    path, entry = Path(data), DATASETS.get(data)
    if path.is_file():
        from workbench.datasets.rows import files

        return data, [str(column) for column in files.read(path).frame.columns]
    if not path.is_dir() and (entry is None or entry.required):
        known = [name for name, each in DATASETS.items() if not each.required]
        near = nearest(data, [*map(str, path.parent.glob("[!.]*")), *known])
        raise ValueError(unknown("file, folder or data set", data, [near] if near else known))
    return data, []


def named_data(data: str, folder: Path) -> DataSource:
    """A folder of images, or a data set by its name."""
    if Path(data).is_dir():
        dataset = {"name": "image_folder", "path": _relative(data, folder), "image_size": 64}
        return DataSource(dataset=dataset, kind="image", name=_name_of(data))
    entry = DATASETS[data]
    return DataSource(
        dataset={"name": data}, kind=entry.kind, name=data, regression=entry.targets == ("numbers",)
    )


def _relative(data: str, folder: Path) -> str:
    return os.path.relpath(Path(data).resolve(), folder.resolve())


def _name_of(data: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data).stem).strip("-.") or "study"


def table_of(data: str, target: str, options: Mapping[str, Any], folder: Path) -> DataSource:
    """A table of texts, if a column holds some, or of numbers."""
    from workbench.datasets.rows import files, rows

    frame = files.read(data).frame
    names = [str(column) for column in frame.columns]
    if target not in names:
        raise ValueError(unknown(f"column in {data} called", target, names))
    path = _relative(data, folder)
    dataset, kind = {"name": "table", "path": path, "target": target}, "vector"
    out = (target, *(options.get("drop") or ()))
    for column in (frame[name] for name in names if name not in out):
        texts = [word or "" for word in rows.words(column)]
        long = sum(map(len, texts)) > _LETTERS * len(texts)
        numeric = (~np.isnan(rows.numbers(column))).any()
        if long and not numeric and len(set(texts)) > _DISTINCT * len(texts):
            named = {"text": str(column.name), "label": target}
            dataset, kind = {"name": "text_table", "path": path, **named}, "text"
            break
    values = rows.numbers(frame[target])
    values = values[~np.isnan(values)]
    # Bad rows may be skipped.
    regression = len(values) > len(frame) / 2 and len(np.unique(values)) > _NUMBERS
    return DataSource(dataset=dataset, kind=kind, name=_name_of(data), regression=regression)


def count_test_samples(found: DataSource, folder: Path) -> int | None:
    """The size of the test split; None where the data must still be downloaded.

    Raises:
        ValueError: The data cannot be used, in the words of ``check``.
    """
    target = tasks.target_of({"name": "regression" if found.regression else "classification"})
    try:
        # Where the data are divided does not depend on the seeds.
        sizes = datasets.sizes(
            located("dataset", found.dataset, folder), target=target, study_seed=0, seed=0
        )
    except NotDownloadedError:
        return None
    except (ValueError, OSError) as error:
        raise ValueError(refusal(error)) from error
    return int(sizes["test"])
