"""``workbench new``: a study file to start from, for the user's data."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from workbench import backbones
from workbench.backbones import BACKBONES
from workbench.commands import new_data
from workbench.commands.new_data import DataSource
from workbench.messages import listed, unknown
from workbench.record import FILE_NAME
from workbench.record.strategy import Knobs
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.config.document import StudyFileError, dump
from workbench.study.study import Study

T = TypeVar("T")
_EFFECT = 0.01  # accuracy


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
    extra = new_data.options_of(options)
    if file is not None and (file.exists() or not file.parent.is_dir()):
        why = "already exists and was not changed" if file.exists() else "has no folder"
        raise ValueError(f"{file} {why}.")
    folder = Path() if file is None else file.parent
    question = "Data (an image folder, a table file, or a data set name)"
    path, columns = ask(data, question, None, new_data.listed_data)
    if columns:
        question = f"Column to predict ({listed(columns, 20)})"
        found = ask(
            target, question, None, lambda column: new_data.table_of(path, column, extra, folder)
        )
    elif target is not None:
        own = "its folders are the classes" if Path(path).is_dir() else "it has its own target"
        raise ValueError(
            f"--target {target} names a column of a table, but {path} is not a table: {own}."
        )
    else:
        found = new_data.named_data(path, folder)
    found = replace(found, dataset={**found.dataset, **extra})
    tested = new_data.count_test_samples(found, folder)
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
            raise ValueError(new_data.refusal(error.with_name(new.name, str(file)))) from None


def backbone_of(name: str, kind: str) -> dict[str, str]:
    """A backbone with its pretrained weights, if there are any.

    Raises:
        ValueError: There is no such backbone, or it does not take these data.
    """
    entry = backbones.entry_of(name)
    fits = [key for key, each in BACKBONES.items() if each.input in (kind, "any")]
    if entry is None or entry.input not in (kind, "any"):
        raise ValueError(unknown(f"backbone for {kind} data called", name, fits))
    weights = "imagenet" if name in BACKBONES and entry.weights else next(iter(entry.weights), None)
    return {"name": name, "weights": weights} if weights else {"name": name}


def _compared(name: str) -> str:
    if name not in COMPARED:
        raise ValueError(unknown("comparison", name, COMPARED))
    return name


def _named(name: str) -> str:
    if not FILE_NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a valid name: use only letters, digits, dots, dashes and underscores."
        )
    return name


def _count(written: str) -> int:
    if not written.isdecimal() or int(written) < 1:
        raise ValueError(f"{written!r} is not a whole number of at least 1.")
    return int(written)


def _effect(tested: int | None) -> str:
    """The line of the smallest effect: at least one sample of the test split."""
    least, why = _EFFECT, "a smaller difference in accuracy does not matter"
    if tested and 1 / tested > least:
        least = math.ceil(1000 / tested) / 1000
        why += f"; it is one of {tested} test samples"
    return f"confirm: {{smallest_effect: {least:g}}}   # {why}"


def _block(knobs: Knobs) -> str:
    """A block of the study file in one line; a name without options alone."""
    text = dump(knobs, width=math.inf, flow=True).strip()
    return text if len(knobs) > 1 else text.removeprefix("{name: ").removesuffix("}")


def text_of(
    found: DataSource,
    *,
    name: str,
    backbone: Knobs,
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
        dump({"name": name}).strip(),
        "recipe:                 # held fixed",
        f"  dataset: {_block(found.dataset)}",
        f"  backbone: {_block(backbone)}",
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
