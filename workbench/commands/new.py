"""``workbench new``: a study file to start from, for the user's data."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from workbench import backbones
from workbench.backbones import BACKBONES
from workbench.datasets import DATASETS
from workbench.messages import listed, unknown
from workbench.record import FILE_NAME
from workbench.study.config.document import parse_value

# What may be compared, and the levels to start from.
COMPARED = {
    "optimizer": "[sgd, adamw]",
    "freeze_depth": "[0, all]",
    "schedule": "[constant, cosine]",
}
T = TypeVar("T")
# By the kind of the data.
SMALL = {"image": "small_cnn", "vector": "mlp", "text": "small_text"}
_EXAMPLES = {"image": "resnet18, vit_b_16", "vector": "", "text": "bert-base-uncased"}
_NOTES = {
    "optimizer": "each with the learning rates that suit it, below",
    "freeze_depth": "0: full fine-tuning; all: a linear probe",
    "schedule": "of the learning rate",
}
# A column of more texts than this share, of this mean length, holds texts and no categories.
_DISTINCT, _LETTERS, _NUMBERS = 0.5, 20, 20


@dataclass(frozen=True, kw_only=True)
class Found:
    """The data of a study.

    Attributes:
        dataset: As it stands in the study file.
        kind: ``image``, ``vector`` or ``text``.
        name: What a study of these data may be called.
        regression: Whether numbers are predicted.
    """

    dataset: str
    kind: str
    name: str
    regression: bool = False

    @property
    def choices(self) -> str:
        """Backbones for these data, in words."""
        others = _EXAMPLES[self.kind]
        return SMALL[self.kind] + (f", or pretrained {others}, ..." if others else "")


class Ask(Protocol):
    """Answers a question by what was given, or asks the user."""

    def __call__(
        self, given: str | None, question: str, default: str | None, understood: Callable[[str], T]
    ) -> T:
        """The answer as ``understood`` returns it, which raises ``ValueError`` for a bad one."""
        ...


def write_study(
    file: Path | None,
    ask: Ask,
    *,
    data: str | None = None,
    target: str | None = None,
    backbone: str | None = None,
    compare: str | None = None,
    trials: str | None = None,
    name: str | None = None,
) -> Path:
    """Write a study file from answers, those that are None are asked.

    Raises:
        ValueError: An answer is not valid, or the file exists.
    """
    # Before anything is asked.
    if file is not None and (file.exists() or not file.parent.is_dir()):
        why = "exists already, and is left as it is" if file.exists() else "is in no folder"
        raise ValueError(f"{file} {why}.")
    folder = Path() if file is None else file.parent
    path, columns = ask(
        data, "Data (a folder of images, a table, or the name of a data set)", None, _data
    )
    if columns:
        question = f"Column to predict ({listed(columns, 20)})"
        found = ask(target, question, None, lambda column: _table(path, column, folder))
    else:
        found = _found(path, folder)
    model = ask(
        backbone,
        f"Backbone ({found.choices})",
        SMALL[found.kind],
        lambda written: backbone_of(written, found.kind),
    )
    compared = ask(compare, f"Compare ({', '.join(COMPARED)})", "optimizer", _compared)
    count = ask(trials, "Trials of each strategy", "12", _count)
    called = ask(name, "Name of the study", found.name if file is None else file.stem, _named)
    file = file or Path(f"{called}.yaml")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(
                text_of(found, name=called, backbone=model, compare=compared, trials=count)
            )
    except OSError as error:
        raise ValueError(f"{file} cannot be written: {error.strerror}.") from error
    return file


def _data(data: str) -> tuple[str, list[str]]:
    """Data that there are, and the columns of a table."""
    path, entry = Path(data), DATASETS.get(data)
    if path.is_file():
        from workbench.datasets.rows import files

        return data, [str(column) for column in files.read(path).frame.columns]
    if not path.is_dir() and (entry is None or entry.required):
        known = [name for name, each in DATASETS.items() if not each.required]
        raise ValueError(unknown("file, folder or data set", data, known))
    return data, []


def _found(data: str, folder: Path) -> Found:
    """A folder of images, or a data set by its name."""
    if Path(data).is_dir():
        dataset = f"{{name: image_folder, path: {_relative(data, folder)}, image_size: 64}}"
        return Found(dataset=dataset, kind="image", name=_name_of(data))
    entry = DATASETS[data]
    return Found(dataset=data, kind=entry.kind, name=data, regression=entry.targets == ("numbers",))


def _relative(data: str, folder: Path) -> str:
    return _scalar(os.path.relpath(Path(data).resolve(), folder.resolve()))


def _name_of(data: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data).stem).strip("-.") or "study"


def _table(data: str, target: str, folder: Path) -> Found:
    """A table of texts, if a column holds some, or of numbers."""
    from workbench.datasets.rows import files, rows

    frame = files.read(data).frame
    names = [str(column) for column in frame.columns]
    if target not in names:
        raise ValueError(unknown(f"column in {data} called", target, names))
    path, label = _relative(data, folder), _scalar(target)
    dataset, kind = f"{{name: table, path: {path}, target: {label}}}", "vector"
    for column in (frame[name] for name in names if name != target):
        texts = [word or "" for word in rows.words(column)]
        long = sum(map(len, texts)) > _LETTERS * len(texts)
        numeric = (~np.isnan(rows.numbers(column))).any()
        if long and not numeric and len(set(texts)) > _DISTINCT * len(texts):
            options = f"text: {_scalar(str(column.name))}, label: {label}"
            dataset, kind = f"{{name: text_table, path: {path}, {options}}}", "text"
            break
    values = rows.numbers(frame[target])
    regression = not np.isnan(values).any() and len(np.unique(values)) > _NUMBERS
    return Found(dataset=dataset, kind=kind, name=_name_of(data), regression=regression)


def backbone_of(name: str, kind: str) -> str:
    """A backbone as it stands in the study file, with its pretrained weights if there are any.

    Raises:
        ValueError: There is no such backbone, or it does not take these data.
    """
    entry = backbones.entry_of(name)
    fits = [key for key, each in BACKBONES.items() if each.input in (kind, "any")]
    if entry is None or entry.input not in (kind, "any"):
        raise ValueError(unknown(f"backbone for {kind} data called", name, fits))
    weights = "imagenet" if name in BACKBONES and entry.weights else next(iter(entry.weights), None)
    return f"{{name: {_scalar(name)}, weights: {weights}}}" if weights else _scalar(name)


def _compared(name: str) -> str:
    if name not in COMPARED:
        raise ValueError(unknown("comparison", name, COMPARED))
    return name


def _named(name: str) -> str:
    if not FILE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: letters, digits, dots, dashes, underscores only.")
    return name


def _count(written: str) -> int:
    if not written.isdecimal() or int(written) < 1:
        raise ValueError(f"{written!r} is no whole number of at least 1.")
    return int(written)


def text_of(found: Found, *, name: str, backbone: str, compare: str, trials: int) -> str:
    """The text of a study file; ``backbone`` is that of ``backbone_of``."""
    rates = "{low: 1e-4, high: 1e-1, log: true, default: 1e-3}"
    if compare == "optimizer":
        sgd = "{when: {optimizer: sgd}, low: 1e-3, high: 3e-1, log: true, default: 1e-2}"
        rates = f"        # the first entry that applies\n    - {sgd}\n    - {rates}"
    effect = (
        "# confirm: {smallest_effect: ...}   # in units of the target; `workbench confirm` needs it"
        if found.regression
        else "confirm: {smallest_effect: 0.01}   # a smaller difference in accuracy does not matter"
    )
    lines = [
        f"# Which {compare.replace('_', ' ')} is best on {found.name}?",
        f"name: {_scalar(name)}",
        "recipe:                 # held fixed",
        f"  dataset: {found.dataset}",
        f"  backbone: {backbone}",
        *(["  task: regression"] if found.regression else []),
        "  epochs: 10",
        "  batch_size: 32",
        "compare:                # the strategies: every combination of the levels",
        f"  {compare}: {COMPARED[compare]}   # {_NOTES[compare]}",
        "tune:                   # searched afresh for every strategy",
        f"  learning_rate:{'' if compare == 'optimizer' else ' '}{rates}",
        f"search: {{trials_per_strategy: {trials}}}",
        effect,
    ]
    return "\n".join(lines) + "\n"


def _scalar(text: str) -> str:
    """A text as YAML."""
    plain = re.fullmatch(r"[A-Za-z0-9._/][\w./+-]*", text) and parse_value(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)
