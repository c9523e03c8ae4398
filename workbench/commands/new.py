"""``workbench new``: a study file to start from, for the user's data."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from workbench import backbones, datasets, tasks
from workbench.backbones import BACKBONES
from workbench.datasets import DATASETS
from workbench.downloads import Absent
from workbench.messages import listed, nearest, unknown
from workbench.record import FILE_NAME
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.config.document import StudyFileError, parse_value
from workbench.study.paths import located
from workbench.study.study import Study

T = TypeVar("T")
# A column of more texts than this share, of this mean length, holds texts and no categories.
_DISTINCT, _LETTERS, _NUMBERS = 0.5, 20, 20
_EFFECT = 0.01  # accuracy
# An option of the data set that a message advises, and its value.
_ADVISED = re.compile(r"dataset\.(\w+)(?:: (\w+))?")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a study of one kind of data starts from: a small backbone; the choices, in words."""

    backbone: str
    choices: str


KINDS = {
    "image": Kind(backbone="small_cnn", choices="small_cnn, or pretrained resnet18, vit_b_16, ..."),
    "vector": Kind(backbone="mlp", choices="mlp"),
    "text": Kind(backbone="small_text", choices="small_text, or pretrained bert-base-uncased, ..."),
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The levels of a factor to start from, and a note on them."""

    levels: str
    note: str


COMPARED = {
    "optimizer": Comparison(
        levels="[sgd, adamw]", note="each with the learning rates that suit it, below"
    ),
    "freeze_depth": Comparison(levels="[0, all]", note="0: full fine-tuning; all: a linear probe"),
    "schedule": Comparison(levels="[constant, cosine]", note="of the learning rate"),
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """The data of a study.

    Attributes:
        dataset: As it stands in the study file.
        kind: Of ``KINDS``.
        name: What a study of these data may be called.
        regression: Whether numbers are predicted.
    """

    dataset: str
    kind: str
    name: str
    regression: bool = False


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
    options: Sequence[str] = (),
    backbone: str | None = None,
    compare: str | None = None,
    trials: str | None = None,
    name: str | None = None,
) -> Path:
    """Write a study file that passes ``check``, from answers; those that are None are asked.

    ``options`` are those of the data set, ``key=value`` each, which are never asked.

    Raises:
        ValueError: An answer is not valid, the file exists, or ``check`` would refuse it.
    """
    # Before anything is asked.
    extra = _options(options)
    if file is not None and (file.exists() or not file.parent.is_dir()):
        why = "exists already, and is left as it is" if file.exists() else "is in no folder"
        raise ValueError(f"{file} {why}.")
    folder = Path() if file is None else file.parent
    path, columns = ask(
        data, "Data (a folder of images, a table, or the name of a data set)", None, _data
    )
    if columns:
        question = f"Column to predict ({listed(columns, 20)})"
        found = ask(target, question, None, lambda column: _table(path, column, extra, folder))
    elif target is not None:
        own = "its folders are the classes" if Path(path).is_dir() else "it has its own target"
        raise ValueError(f"--target {target} names a column of a table; {path} is none: {own}.")
    else:
        found = _found(path, folder)
    found = _with_options(found, options)
    tested = _test_samples(found, folder)
    kind = KINDS[found.kind]
    model = ask(
        backbone,
        f"Backbone ({kind.choices})",
        kind.backbone,
        lambda written: backbone_of(written, found.kind),
    )
    compared = ask(compare, f"Compare ({', '.join(COMPARED)})", "optimizer", _compared)
    count = ask(trials, "Trials of each strategy", "12", _count)
    called = ask(name, "Name of the study", found.name if file is None else file.stem, _named)
    file = file or Path(f"{called}.yaml")
    text = text_of(
        found, name=called, backbone=model, compare=compared, trials=count, tested=tested
    )
    try:
        _check(text, file)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise ValueError(f"{file} cannot be written: {error.strerror}.") from error
    return file


def _check(text: str, file: Path) -> None:
    """Refuse a text that ``workbench check`` refuses.

    Raises:
        ValueError: It does.
        OSError: The folder of the file cannot be written to.
    """
    # In the same folder: paths in the text are relative to it.
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".yaml", encoding="utf-8") as new:
        new.write(text)
        new.flush()
        try:
            check(Study(load(Path(new.name)), file.parent, pending=True), local=False)
        except StudyFileError as error:
            raise ValueError(_refusal(error.called(new.name, str(file)))) from None


def _refusal(error: Exception) -> str:
    """Why nothing is written, with what solves it for this command."""
    advised = [f"--option {key}={value or '...'}" for key, value in _ADVISED.findall(str(error))]
    advice = f" For this command: {' or '.join(advised)}." if advised else ""
    return f"{error}{advice}\nNothing is written."


def _options(written: Sequence[str]) -> dict[str, Any]:
    """Options of a data set by name."""
    found = {}
    for option in written:
        key, separator, value = option.partition("=")
        if not separator or not key:
            raise ValueError(f"--option {option}: expected KEY=VALUE.")
        found[key] = parse_value(value)
    return found


def _data(data: str) -> tuple[str, list[str]]:
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


def _found(data: str, folder: Path) -> Found:
    """A folder of images, or a data set by its name."""
    if Path(data).is_dir():
        dataset = f"{{name: image_folder, path: {_relative(data, folder)}, image_size: 64}}"
        return Found(dataset=dataset, kind="image", name=_name_of(data))
    entry = DATASETS[data]
    return Found(dataset=data, kind=entry.kind, name=data, regression=entry.targets == ("numbers",))


def _with_options(found: Found, options: Sequence[str]) -> Found:
    """With options of the data set, as they were written."""
    if not options:
        return found
    written = found.dataset
    inner = written[1:-1] if written.startswith("{") else f"name: {written}"
    added = ", ".join(option.replace("=", ": ", 1) for option in options)
    return replace(found, dataset=f"{{{inner}, {added}}}")


def _relative(data: str, folder: Path) -> str:
    return _scalar(os.path.relpath(Path(data).resolve(), folder.resolve()))


def _name_of(data: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data).stem).strip("-.") or "study"


def _table(data: str, target: str, options: Mapping[str, Any], folder: Path) -> Found:
    """A table of texts, if a column holds some, or of numbers."""
    from workbench.datasets.rows import files, rows

    frame = files.read(data).frame
    names = [str(column) for column in frame.columns]
    if target not in names:
        raise ValueError(unknown(f"column in {data} called", target, names))
    path, label = _relative(data, folder), _scalar(target)
    dataset, kind = f"{{name: table, path: {path}, target: {label}}}", "vector"
    out = (target, *(options.get("drop") or ()))
    for column in (frame[name] for name in names if name not in out):
        texts = [word or "" for word in rows.words(column)]
        long = sum(map(len, texts)) > _LETTERS * len(texts)
        numeric = (~np.isnan(rows.numbers(column))).any()
        if long and not numeric and len(set(texts)) > _DISTINCT * len(texts):
            named = f"text: {_scalar(str(column.name))}, label: {label}"
            dataset, kind = f"{{name: text_table, path: {path}, {named}}}", "text"
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


def _test_samples(found: Found, folder: Path) -> int | None:
    """The size of the test split; None where the data must still be downloaded.

    Raises:
        ValueError: The data cannot be used, in the words of ``check``.
    """
    written = parse_value(found.dataset)
    dataset = written if isinstance(written, dict) else {"name": written}
    target = tasks.target_of({"name": "regression" if found.regression else "classification"})
    try:
        # Where the data are divided does not depend on the seeds.
        sizes = datasets.sizes(
            located("dataset", dataset, folder), target=target, study_seed=0, seed=0
        )
    except Absent:
        return None
    except (ValueError, OSError) as error:
        raise ValueError(_refusal(error)) from error
    return int(sizes["test"])


def _effect(tested: int | None) -> str:
    """The line of the smallest effect: at least one sample of the test split."""
    least, why = _EFFECT, "a smaller difference in accuracy does not matter"
    if tested and 1 / tested > least:
        least = math.ceil(1000 / tested) / 1000
        why += f"; it is one of {tested} test samples"
    return f"confirm: {{smallest_effect: {least:g}}}   # {why}"


def text_of(
    found: Found,
    *,
    name: str,
    backbone: str,
    compare: str,
    trials: int,
    tested: int | None = None,
) -> str:
    """The text of a study file.

    Args:
        found: The data.
        name: Of the study.
        backbone: As ``backbone_of`` gives it.
        compare: One of ``COMPARED``.
        trials: Of each strategy.
        tested: Number of test samples, where it is known.
    """
    rates = "{low: 1e-4, high: 1e-1, log: true, default: 1e-3}"
    if compare == "optimizer":
        sgd = "{when: {optimizer: sgd}, low: 1e-3, high: 3e-1, log: true, default: 1e-2}"
        rates = f"        # the first entry that applies\n    - {sgd}\n    - {rates}"
    effect = (
        "# confirm: {smallest_effect: ...}   # in units of the target; `workbench confirm` needs it"
        if found.regression
        else _effect(tested)
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
        f"  {compare}: {COMPARED[compare].levels}   # {COMPARED[compare].note}",
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
