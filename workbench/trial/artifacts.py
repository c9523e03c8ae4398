"""What a trial leaves: the weights that it keeps, and in its folder of artifacts what to look at.

Every trial with an epoch leaves its learning curve; every completed one the scores of each class
and its worst mistakes, which cost next to nothing. Pictures of the mistakes are for the best trial
of a strategy. Knows neither the engine nor how a trial is run.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from workbench import datasets, record, tasks
from workbench.plotting import confusion_matrix, learning_curve, mistakes, style
from workbench.record import EpochResult, Objective, Role, TrialDirectory, TrialSpec
from workbench.record.files import is_disk_error, writing

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.datasets import Data

_LOGGER = logging.getLogger(__name__)

_LONGEST_TEXT = 2000  # characters of a text in the table of mistakes


def guarded(name: str, what: str, leave: Callable[[], None]) -> None:
    """Leave something behind; where that fails, log it: a picture must not cost a trial.

    Raises:
        OSError: The disk is full, or fails.
    """
    try:
        leave()
    except Exception as error:
        if is_disk_error(error):
            raise
        _LOGGER.warning("%s: no %s", name, what, exc_info=True)


def write_weights(
    directory: TrialDirectory,
    spec: TrialSpec,
    weights: Mapping[str, Tensor] | None,
    *,
    epoch: int,
    value: float,
    classes: Sequence[str],
) -> None:
    """Write ``best.safetensors``, and ``best.json``, which says what it is and its SHA-256.

    Of the search any weights may be of use, and it drops those that are outdone. A selection and a
    confirmation are a hundred runs and more: they leave the model of each arm's first seed alone
    (not of its best one, which the test split would have to tell). Any other is had again from its
    specification.

    Args:
        directory: Of the trial.
        spec: The same.
        weights: Of the whole model, on the CPU; None writes nothing.
        epoch: Number of the report that they were validated in.
        value: Of the objective there.
        classes: Names of the outputs.
    """
    replicate = spec.role is Role.CONFIRMATION and spec.number > 0
    if weights is None or replicate or spec.role is Role.SELECTION:
        return
    from safetensors.torch import save

    content = save(dict(weights))
    record.write_atomically(directory.weights, content)
    description = {
        "format": "safetensors: the state dict of the whole model",
        "study": spec.study,
        "trial": spec.name,
        "epoch": epoch,
        "metric": spec.objective.metric,
        "value": value,
        "backbone": record.plain(spec.plan.backbone),
        "dataset": record.plain(spec.plan.dataset),
        "classes": list(classes),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    text = json.dumps(description, indent=1)
    record.write_atomically(directory.weights_description, text.encode())


def read_weights(directory: TrialDirectory) -> dict[str, Tensor] | None:
    """The weights that a trial kept, as they were written; None where it has none.

    Raises:
        ValueError: They are damaged.
    """
    if not directory.weights.exists() or not directory.weights_description.exists():
        return None
    from safetensors.torch import load

    content = directory.weights.read_bytes()
    expected = json.loads(directory.weights_description.read_text())["sha256"]
    if (digest := hashlib.sha256(content).hexdigest()) != expected:
        raise ValueError(
            f"{directory.weights} is damaged: its SHA-256 is {digest}, but "
            f"{directory.weights_description.name} says {expected}."
        )
    weights: dict[str, Tensor] = load(content)
    return weights


def draw_learning_curve(
    directory: TrialDirectory,
    history: Sequence[EpochResult],
    chosen: int | None,
    objective: Objective,
) -> None:
    """Draw ``learning_curve.png`` of a history, with the epoch that counts."""
    summary = learning_curve.summarize(history, chosen, objective)
    directory.artifacts.mkdir(parents=True, exist_ok=True)
    path = directory.artifacts / "learning_curve"
    style.save(learning_curve.draw(summary), path, formats=("png",))


def write_scores(directory: TrialDirectory, scores: Sequence[Mapping[str, Any]]) -> None:
    """Write ``per_class.csv``: a row for each class, label or column of numbers."""
    if not scores:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(scores[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(scores)
    directory.artifacts.mkdir(parents=True, exist_ok=True)
    (directory.artifacts / "per_class.csv").write_text(text.getvalue())


def write_mistakes(directory: TrialDirectory, found: Sequence[Mapping[str, Any]]) -> None:
    """Write ``mistakes.json``: validation samples that the model got most wrong, worst first.

    Each has its number in the whole data set (``sample``), its ``name`` if the data set has names,
    ``true`` and ``predicted``, and ``confidence`` or ``error``.
    """
    directory.artifacts.mkdir(parents=True, exist_ok=True)
    path = directory.artifacts / "mistakes.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False))


def located(found: Sequence[Mapping[str, Any]], data: Data) -> list[dict[str, Any]]:
    """Mistakes by position in the validation part, as mistakes by the sample's number and name."""
    numbers = data.validation.index[[row["position"] for row in found]].tolist() if found else []
    names = data.names
    return [
        {
            "sample": number,
            "name": None if names is None else names[number],
            **{key: value for key, value in row.items() if key != "position"},
        }
        for number, row in zip(numbers, found, strict=True)
    ]


def draw_best(directory: TrialDirectory) -> None:
    """Draw what only the best trial of a strategy shows: its confusion matrix and its mistakes.

    Mistakes get a picture where the samples are images (``mistakes.png``), and a table where they
    are texts (``mistakes.html``). What cannot be drawn is logged and left out.
    """
    with writing(directory.artifacts):
        guarded(str(directory.path), "confusion matrix", lambda: _draw_confusion(directory))
        guarded(str(directory.path), "picture of the mistakes", lambda: _show_mistakes(directory))


def _draw_confusion(directory: TrialDirectory) -> None:
    result = directory.result()
    if result is not None and result.confusion and result.classes:
        figure = confusion_matrix.draw(confusion_matrix.summarize(result.confusion, result.classes))
        directory.artifacts.mkdir(parents=True, exist_ok=True)
        style.save(figure, directory.artifacts / "confusion_matrix", formats=("png",))


def _show_mistakes(directory: TrialDirectory) -> None:
    path, spec = directory.artifacts / "mistakes.json", directory.spec()
    found = json.loads(path.read_text()) if path.exists() else []
    if not found or spec is None:
        return
    data = data_of(spec)
    if data.kind == "image":
        figure = mistakes.draw(mistakes.summarize(found, _images(data, found)))
        style.save(figure, directory.artifacts / "mistakes", formats=("png",))
    elif data.kind == "text":
        page = _table(found, _texts(data, found))
        (directory.artifacts / "mistakes.html").write_text(page, encoding="utf-8")


def data_of(spec: TrialSpec) -> Data:
    """The data that a trial was given, before its backbone's tokenizer.

    Raises:
        Absent: They are not on this machine.
        ValueError: They cannot be read, or have changed since the study was planned.
    """
    data = datasets.load(
        spec.plan.dataset,
        target=tasks.target_of(spec.plan.task),
        study_seed=spec.study_seed,
        seed=spec.seed,
    )
    return as_planned(data, spec)


def as_planned(data: Data, spec: TrialSpec) -> Data:
    """The data, if they are those that a trial was planned for.

    Raises:
        ValueError: They have changed since the study was planned.
    """
    if data.digest != spec.data_digest:
        raise ValueError(
            f"The data set has changed since the study was planned: its hash is {data.digest}, "
            f"the specification says {spec.data_digest}."
        )
    return data


def _positions(data: Data, found: Sequence[Mapping[str, Any]]) -> Tensor:
    """Where samples of the whole data set stand in the validation part."""
    import torch

    return torch.searchsorted(data.validation.index, torch.tensor([row["sample"] for row in found]))


def _images(data: Data, found: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Images as they were before normalisation, 0 to 1, as arrays ``[H, W, C]``."""
    import torch

    taken = data.validation.inputs[_positions(data, found)]
    assert isinstance(taken, torch.Tensor)
    count = taken.shape[1] if len(data.mean) == taken.shape[1] else 1
    mean, std = (torch.tensor(v[:count]).reshape(1, -1, 1, 1) for v in (data.mean, data.std))
    pixels = (taken.cpu().float() * std + mean).clamp(0, 1)
    return list(pixels.permute(0, 2, 3, 1).numpy())


def _texts(data: Data, found: Sequence[Mapping[str, Any]]) -> list[str]:
    from workbench.datasets.samples import Texts

    inputs = data.validation.inputs
    assert isinstance(inputs, Texts)
    return [inputs.values[position] for position in _positions(data, found).tolist()]


def _table(found: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> str:
    """A page with every text escaped: a data set may hold anything."""
    size = mistakes.size_of(found[0])
    heads = ("sample", "text", "true", "predicted", size)
    rows = []
    for row, text in zip(found, texts, strict=True):
        cut = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]} …"
        cells = (
            row["name"] or row["sample"],
            cut,
            mistakes.words(row["true"]),
            mistakes.words(row["predicted"]),
            f"{row[size]:.3g}",
        )
        rows.append("".join(f"<td>{escape(str(cell))}</td>" for cell in cells))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Worst mistakes</title>'
        "<style>body{font:15px/1.4 sans-serif;margin:2em}td,th{text-align:left;"
        "vertical-align:top;padding:.4em 1em .4em 0;border-bottom:1px solid #d4d8dc}"
        "td:nth-child(2){white-space:pre-wrap;max-width:40em}</style><table><tr>"
        + "".join(f"<th>{head}</th>" for head in heads)
        + "</tr>\n"
        + "".join(f"<tr>{cells}</tr>\n" for cells in rows)
        + "</table></html>\n"
    )
