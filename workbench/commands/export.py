"""``workbench export``: a model as a folder for other programs, with a model card."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from workbench import backbones, record, usercode
from workbench.backbones import image_processors, tokenizers, transformers_models
from workbench.commands import program_export
from workbench.commands import report as publish
from workbench.commands.model_card import LOAD, LOAD_TRANSFORMERS, model_card
from workbench.commands.predict import find, load_trial
from workbench.commands.program_export import Format
from workbench.commands.saved_model import IN_FOLDER, SavedModel, explained
from workbench.commands.summaries import TrialDetails
from workbench.datasets.preparation import without_paths
from workbench.record import TrialDirectory
from workbench.record.strategy import Knobs
from workbench.report.summary import ReportContent
from workbench.tracker.models import DESCRIPTION, WEIGHTS

# Folder of a user's own Python files.
CODE = "code"


def export(home: Path, run: str, folder: Path, *, formats: Sequence[Format] = ()) -> SavedModel:
    """Write a model, what it takes to use it, and a model card into a new folder.

    A model of transformers becomes a folder that transformers loads, with its tokenizer and the
    names of the classes; any other model a state dict. A user's own Python files are copied, and
    nothing in the folder says where the study was. If anything fails, the folder has no file.

    Args:
        home: Where ``mlruns`` is.
        run: As for ``predict.find``.
        folder: Is made; may exist if it is empty.
        formats: Of programs to write as well.

    Returns:
        The model that was written.

    Raises:
        FileExistsError: The folder holds something.
        UnknownNameError: As for ``predict.load_model``.
        ModelError: As for ``predict.load_model``; or the model cannot be written in one of the
            formats.
        StoreError: MLflow's store of the home cannot be used.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; choose a new folder.")
    program_export.require_libraries(formats)
    trial = find(home, run)
    model = load_trial(trial)
    # Before anything is written: it may fail.
    study = publish.composed(home, model.description.study)
    with _filled_whole(folder) as unfinished:
        _write(model, trial, study, unfinished, formats)
    return model


@contextmanager
def _filled_whole(folder: Path) -> Iterator[Path]:
    """A block that fills a temporary folder, whose content is in ``folder`` when it ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # An empty folder that exists is not replaced: it may be a mounted disk, or somebody is in it.
    beside = folder if folder.exists() else folder.parent
    with TemporaryDirectory(prefix=f"{folder.name}.", suffix=".tmp", dir=beside) as temporary:
        yield Path(temporary)
        folder.mkdir(exist_ok=True)
        for path in Path(temporary).iterdir():
            shutil.move(path, folder / path.name)


def _write(
    model: SavedModel,
    trial: TrialDetails,
    study: ReportContent,
    folder: Path,
    formats: Sequence[Format],
) -> None:
    """Write the files of a model into a folder."""
    description = model.description
    program_export.save(model, folder, formats)
    backbone = dict(description.backbone)
    entry = backbones.entry_of(backbone["name"])
    hugging_face = entry is not None and entry.hub
    if hugging_face:
        with explained():
            transformers_models.save(
                model.network, folder, classes=model.classes, target=description.target
            )
            prepared = description.preparation
            if prepared.kind == "image":
                image_processors.save(
                    folder,
                    shape=prepared.input_shape,
                    resize=prepared.short_side,
                    mean=prepared.mean,
                    std=prepared.std,
                )
            if prepared.kind == "text":
                tokenizers.save(backbone.pop("tokenizer", None) or backbone["name"], folder)
        backbone["name"] = IN_FOLDER
    else:
        source = TrialDirectory(trial.directory).weights
        record.write_atomically(folder / WEIGHTS, source.read_bytes())
    description = replace(
        description,
        backbone=_with_code(backbone, folder, "backbone"),
        task=_with_code(description.task, folder, "task"),
        preparation=without_paths(description.preparation),
        sha256=record.sha256_of(folder / WEIGHTS),
    )
    description = replace(description, code=_digests(folder))
    record.write_atomically(folder / DESCRIPTION, description.to_json().encode())
    card = model_card(
        model.description,
        study,
        LOAD_TRANSFORMERS[description.preparation.kind] if hugging_face else LOAD,
        programs=formats,
    )
    record.write_atomically(folder / "README.md", card.encode())


def _with_code(knobs: Knobs, folder: Path, block: str) -> Knobs:
    """Knobs whose references are to copies in a folder of the files that they need."""
    found = dict(knobs)
    for key, value in knobs.items():
        if not usercode.is_reference(value):
            continue
        file = usercode.file_of(value)
        for path in map(Path, usercode.files(value)):
            at = folder / CODE / block / path.relative_to(file.parent)
            record.write_atomically(at, path.read_bytes())
        name = value.rpartition(":")[2]
        found[key] = f"{CODE}/{block}/{file.name}:{name}"
    return found


def _digests(folder: Path) -> dict[str, str]:
    """Of the files that ``_with_code`` has copied, by their paths in the folder."""
    return {
        path.relative_to(folder).as_posix(): record.sha256_of(path)
        for path in sorted((folder / CODE).rglob("*.py"))
    }
