"""The artifacts of a trial: scores of each class, worst mistakes, pictures of both.

Pictures are drawn for the best trial of a strategy and the first run of a confirmed configuration.
MLflow shows the curves of every trial.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workbench import datasets, tasks
from workbench.plotting import confusion_matrix, mistakes, saving
from workbench.record import TrialDirectory, TrialSpec
from workbench.record.files import is_disk_error, writing

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.datasets import Data

_LOGGER = logging.getLogger(__name__)

_MAX_TEXT = 2000  # characters of a text in the table of mistakes
_HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Worst mistakes</title>'
    "<style>body{font:15px/1.4 sans-serif;margin:2em}td,th{text-align:left;"
    "vertical-align:top;padding:.4em 1em .4em 0;border-bottom:1px solid #d4d8dc}"
    "td:nth-child(2){white-space:pre-wrap;max-width:40em}</style>"
)


@contextmanager
def _failure_logged(directory: TrialDirectory, what: str) -> Iterator[None]:
    """A block that writes an artifact: a trial must not fail for the sake of a picture.

    Raises:
        OSError: The disk is full, or fails.
    """
    try:
        yield
    except Exception as error:
        # The caller waits for a disk that is full, and tries again.
        if is_disk_error(error):
            raise
        _LOGGER.warning("%s: cannot make the %s", directory.path, what, exc_info=True)


def write_examination(
    directory: TrialDirectory,
    scores: Sequence[Mapping[str, Any]],
    mistakes: Sequence[Mapping[str, Any]],
) -> None:
    """Write what was found about the kept model on validation, if anything was; log a failure."""
    if scores:
        with _failure_logged(directory, "scores of the classes"):
            _write_scores(directory, scores)
            write_mistakes(directory, mistakes)


def _write_scores(directory: TrialDirectory, scores: Sequence[Mapping[str, Any]]) -> None:
    """Write ``per_class.csv``: a row for each class, label or column of numbers."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(scores[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(scores)
    directory.artifacts.mkdir(parents=True, exist_ok=True)
    (directory.artifacts / "per_class.csv").write_text(text.getvalue())


def write_mistakes(directory: TrialDirectory, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``mistakes.json``: the worst errors on validation samples, worst first.

    Each has its number in the whole data set (``sample``), its ``name`` if the data set has names,
    ``true`` and ``predicted``, ``confidence`` or ``error``, and in the best trials of a study of
    texts ``text``.
    """
    directory.artifacts.mkdir(parents=True, exist_ok=True)
    path = directory.artifacts / "mistakes.json"
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False))


def identified(rows: Sequence[Mapping[str, Any]], data: Data) -> list[dict[str, Any]]:
    """Mistakes with the sample's number and name in place of its position in validation."""
    numbers = data.validation.index[[row["position"] for row in rows]].tolist() if rows else []
    names = data.names
    return [
        {
            "sample": number,
            "name": None if names is None else names[number],
            **{key: value for key, value in row.items() if key != "position"},
        }
        for number, row in zip(numbers, rows, strict=True)
    ]


def draw_best(directories: Iterable[TrialDirectory]) -> None:
    """Draw the confusion matrix and the mistakes of trials on validation data.

    Mistakes are shown as pictures for images (``mistakes.png``) and as a table for texts
    (``mistakes.html``). A failure is logged and the picture left out.
    """
    for directory in directories:
        with writing(directory.artifacts):
            with _failure_logged(directory, "confusion matrix"):
                _draw_confusion(directory)
            with _failure_logged(directory, "picture of the mistakes"):
                _show_mistakes(directory)


def _draw_confusion(directory: TrialDirectory) -> None:
    result = directory.result()
    if result is not None and result.confusion and result.classes:
        figure = confusion_matrix.draw(confusion_matrix.summarize(result.confusion, result.classes))
        directory.artifacts.mkdir(parents=True, exist_ok=True)
        saving.save(figure, directory.artifacts / "confusion_matrix", formats=("png",))


def _show_mistakes(directory: TrialDirectory) -> None:
    path, spec = directory.artifacts / "mistakes.json", directory.spec()
    rows = json.loads(path.read_text()) if path.exists() else []
    if not rows or spec is None:
        return
    data = data_of(spec)
    if data.kind == "image":
        figure = mistakes.draw(mistakes.summarize(rows, _images(data, rows)))
        saving.save(figure, directory.artifacts / "mistakes", formats=("png",))
    elif data.kind == "text":
        texts = [t if len(t) <= _MAX_TEXT else f"{t[:_MAX_TEXT]} …" for t in _texts(data, rows)]
        rows = [{**row, "text": text} for row, text in zip(rows, texts, strict=True)]
        write_mistakes(directory, rows)
        page = _page(rows)
        (directory.artifacts / "mistakes.html").write_text(page, encoding="utf-8")


def data_of(spec: TrialSpec) -> Data:
    """The data of a trial, before its backbone's tokenizer.

    Raises:
        NotDownloadedError: They are not on this machine.
        ValueError: They cannot be read, or have changed since the study was planned.
    """
    data = datasets.load(
        spec.plan.dataset,
        target=tasks.target_of(spec.plan.task),
        study_seed=spec.study_seed,
        seed=spec.seed,
    )
    check_data_digest(data, spec)
    return data


def check_data_digest(data: Data, spec: TrialSpec) -> None:
    """Check the hash of the data against the trial's specification.

    Raises:
        ValueError: They have changed since the study was planned.
    """
    if data.digest != spec.data_digest:
        raise ValueError(
            "The data set has changed since the study was planned: its SHA-256 is "
            f"{data.digest[:12]}, but the specification says {spec.data_digest[:12]}."
        )


def _positions(data: Data, rows: Sequence[Mapping[str, Any]]) -> Tensor:
    """Positions in the validation part of the samples in these rows."""
    import torch

    # The index of a part is sorted.
    return torch.searchsorted(data.validation.index, torch.tensor([row["sample"] for row in rows]))


def _images(data: Data, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Images before normalisation, 0 to 1, as arrays ``[H, W, C]``."""
    import torch

    images = data.validation.inputs[_positions(data, rows)]
    assert isinstance(images, torch.Tensor)
    count = images.shape[1] if len(data.mean) == images.shape[1] else 1
    mean, std = (torch.tensor(v[:count]).reshape(1, -1, 1, 1) for v in (data.mean, data.std))
    pixels = (images.cpu().float() * std + mean).clamp(0, 1)
    return list(pixels.permute(0, 2, 3, 1).numpy())


def _texts(data: Data, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    from workbench.datasets.samples import Texts

    inputs = data.validation.inputs
    assert isinstance(inputs, Texts)
    return [inputs.values[position] for position in _positions(data, rows).tolist()]


def _page(rows: Sequence[Mapping[str, Any]]) -> str:
    """An HTML page of mistakes; pandas escapes every text, because a data set may hold anything."""
    import pandas

    size = mistakes.size_of(rows[0])
    table = pandas.DataFrame(
        {
            "sample": [row["name"] or row["sample"] for row in rows],
            "text": [row["text"] for row in rows],
            "true": [mistakes.words(row["true"]) for row in rows],
            "predicted": [mistakes.words(row["predicted"]) for row in rows],
            size: [f"{row[size]:.3g}" for row in rows],
        }
    )
    # pandas would cut each text after 50 characters, and write a line break as ``\n``.
    with pandas.option_context("display.max_colwidth", None):
        return _HEAD + table.to_html(index=False, border=0, formatters={"text": str}) + "</html>\n"
