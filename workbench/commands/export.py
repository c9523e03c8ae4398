"""``workbench export``: a model as a folder for other programs, with a model card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from workbench import backbones, record
from workbench.backbones import tokenizers, transformers_models
from workbench.commands.kept_model import (
    IN_FOLDER,
    KeptModel,
    explained,
)
from workbench.commands.model_card import LOAD, LOAD_TRANSFORMERS, StudyFacts, model_card
from workbench.commands.predict import find, load_trial
from workbench.record import TrialDirectory
from workbench.tracker.models import DESCRIPTION, WEIGHTS


def export(home: Path, run: str, folder: Path) -> KeptModel:
    """Write a model, what it takes to use it, and a model card into a new folder.

    A model of transformers becomes a folder that transformers loads, with its tokenizer and the
    names of the classes; any other model a state dict.

    Args:
        home: Where ``mlruns`` is.
        run: As for ``predict.find``.
        folder: Is made; may exist if it is empty.

    Returns:
        The model that was written.

    Raises:
        FileExistsError: The folder holds something.
        Unknown, Unusable: As for ``predict.load_model``.
        StoreError: MLflow's store of the home cannot be used.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; choose a new folder.")
    trial = find(home, run)
    model = load_trial(trial)
    description = model.description
    # Before anything is written: it may fail.
    facts = StudyFacts.of(home, description.study)
    folder.mkdir(parents=True, exist_ok=True)
    backbone = dict(description.backbone)
    entry = backbones.entry_of(backbone["name"])
    hugging_face = entry is not None and entry.hub
    if hugging_face:
        with explained():
            transformers_models.save(
                model.network, folder, classes=model.classes, target=description.target
            )
            if description.preparation.kind == "text":
                tokenizers.save(backbone.pop("tokenizer", None) or backbone["name"], folder)
        # Of files that are in the folder now.
        description = replace(description, backbone={**backbone, "name": IN_FOLDER}, code={})
    else:
        source = TrialDirectory(trial.directory).weights
        record.write_atomically(folder / WEIGHTS, source.read_bytes())
    description = replace(description, sha256=record.sha256_of(folder / WEIGHTS))
    record.write_atomically(folder / DESCRIPTION, description.to_json().encode())
    card = model_card(
        model.description,
        facts,
        LOAD_TRANSFORMERS[description.preparation.kind] if hugging_face else LOAD,
    )
    record.write_atomically(folder / "README.md", card.encode())
    return model
