"""``workbench register``: the model that a study found, in MLflow's registry as the champion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.commands import browse
from workbench.commands import report as publish
from workbench.commands.home_studies import UnknownNameError
from workbench.commands.model_card import LOAD_MLFLOW, model_card
from workbench.commands.predict import find
from workbench.commands.saved_model import ModelError, explained
from workbench.commands.summaries import TrialDetails
from workbench.record import TrialDirectory
from workbench.report.content import Summary
from workbench.tracker import Tracker, location
from workbench.tracker.models import CHAMPION
from workbench.trial import saved_weights
from workbench.verdict import Word


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A version in MLflow's registry.

    Attributes:
        model: The trial that kept it.
        name: Of the registered model.
        version: Its number.
        uri: For ``mlflow.pyfunc.load_model``.
        no_champion: Why it has no alias; empty for the champion.
    """

    model: str
    name: str
    version: str
    uri: str
    no_champion: str = ""


def register(
    home: Path, study: str, *, name: str | None = None, strategy: str | None = None
) -> ModelVersion:
    """Register the model of the leader of a finished confirmation, or of a strategy.

    The leader of a WINNER or GOOD ENOUGH verdict gets the alias ``champion``.

    Args:
        home: Where ``mlruns`` is.
        study: Its name.
        name: Of the registered model; the study's by default.
        strategy: Register this strategy's model, confirmed or not.

    Raises:
        UnknownNameError: There is no such study or strategy.
        ModelError: No confirmation has finished, the verdict names no leader, or the leader's model
            was not kept.
        StoreError: MLflow's store cannot be used.
    """
    browse.study(home, study)
    composed = publish.composed(home, study)
    verdict = composed.summary.verdict
    trial = find(home, f"{study}/{strategy}") if strategy else _leader(home, composed.summary)
    model = f"{study}/{trial.summary.trial}"
    with explained():
        path = TrialDirectory(trial.directory).weights_description
        if not path.exists():
            raise ModelError(f"{model} has no weights.")
        description = saved_weights.read_description(path)
    name = name or study
    if set(name) & set("/:.%\"'") or not name.strip():
        raise ModelError(
            f"MLflow takes no model with the name {name!r}; use letters, digits, _ and -."
        )
    # The alias says that a verdict supports it.
    shared = location.shared_store(home, study)
    champion = strategy is None and verdict.word in (Word.WINNER, Word.GOOD_ENOUGH)
    card = model_card(
        description,
        composed,
        LOAD_MLFLOW.format(
            # Of the home's own store, from the home on: the home may be moved.
            uri=shared.uri if shared else "sqlite:///mlruns/mlflow.db",
            name=name,
            place=f"@{CHAMPION}" if champion else "/latest",
        ),
    )
    trials, key = composed.material.trials, trial.spec.key
    run_id = next((each.run_id for each in trials if each.key == key), "")
    try:
        version = Tracker(home, study).register(run_id, name, card, champion=champion)
    except LookupError as error:
        hint = f"send it with: workbench sync {study}"
        raise ModelError(f"MLflow lacks the model of {model}; {hint}") from error
    place = f"@{CHAMPION}" if champion else f"/{version}"
    why = "it was chosen with --strategy" if strategy else f"the verdict is {verdict.heading}"
    return ModelVersion(
        model=model,
        name=name,
        version=version,
        uri=f"models:/{name}{place}",
        no_champion="" if champion else why,
    )


def _leader(home: Path, summary: Summary) -> TrialDetails:
    study, leader = summary.study, summary.verdict.leader
    if not summary.confirmed:
        raise ModelError(
            f"{study} has no finished confirmation, so no strategy has won; run workbench confirm "
            f"{study}, or register the best model of a search with --strategy."
        )
    if leader is None:
        raise ModelError(
            f"The verdict on {study} ({summary.verdict.heading}) names no leader; choose a "
            "strategy with --strategy."
        )
    try:
        return browse.trial(home, study, f"confirmation/{leader}/000")
    except UnknownNameError as error:
        raise ModelError(
            f"The verdict on {study} names {leader}, which is no single configuration; choose "
            "a strategy with --strategy."
        ) from error
