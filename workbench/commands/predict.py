"""``workbench predict``: apply the weights that a trial kept to a file or a folder of new data.

The data set that the trial was trained on need not be there any more: what it takes to prepare new
samples was kept with the weights.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from workbench import record, usercode
from workbench.commands import browse
from workbench.commands.confirmation_progress import confirmation_progress
from workbench.commands.home_studies import UnknownNameError
from workbench.commands.predictions import Predictions
from workbench.commands.saved_model import (
    ModelError,
    SavedModel,
    explained,
    load_folder,
)
from workbench.commands.summaries import TrialDetails
from workbench.messages import counted
from workbench.record import Role, State, TrialDirectory, TrialSpec
from workbench.tracker.models import DESCRIPTION
from workbench.trial import code, saved_weights
from workbench.trial.artifacts import data_of
from workbench.verdict.wording import numbers

_RUN_ID = re.compile(r"(run:)?(?P<id>[0-9a-f]{32})")


def load_model(home: Path, run: str) -> SavedModel:
    """The model that a trial kept, or one in a folder.

    Args:
        home: Where ``mlruns`` is.
        run: ``STUDY``, ``STUDY/STRATEGY``, ``STUDY/STRATEGY/NUMBER``,
            ``STUDY/ROLE/STRATEGY/NUMBER``, the id of an MLflow run, see ``find``; or a folder of
            ``workbench export``.

    Raises:
        UnknownNameError: There is no such study, trial or run.
        ModelError: The trial has no sound weights, or its data or code have changed.
    """
    if (Path(run) / DESCRIPTION).is_file():
        return load_folder(Path(run))
    return load_trial(find(home, run))


def load_trial(trial: TrialDetails) -> SavedModel:
    """The model that a trial kept; errors as for ``load_model``."""
    directory, spec, plan = TrialDirectory(trial.directory), trial.spec, trial.spec.plan
    with explained():
        weights = saved_weights.read_weights(directory)
        if weights is None:
            raise _no_weights(trial)
        code.require_planned(plan.code)
        description = saved_weights.read_description(directory.weights_description)
    # With the current paths of files in the home.
    description = replace(description, backbone=plan.backbone, task=plan.task, code=plan.code)
    own_task = usercode.is_reference(plan.task["name"])
    return SavedModel(
        f"{spec.study}/{trial.summary.trial}",
        description,
        weights,
        targets=data_of(spec).train.targets if own_task else None,
        # Trained on an accelerator, used wherever there is one or none.
        device="auto" if plan.device != "cpu" else "cpu",
        measured=_measured(trial),
    )


def _measured(trial: TrialDetails) -> str:
    """The model is that of one seed, which may be far from the mean."""
    metric, seeds = trial.spec.objective.tested, trial.seeds
    if metric not in trial.summary.test:
        return ""
    own, mean = numbers.measured(trial.summary.test[metric]), numbers.measured(fmean(seeds))
    of = f"{trial.spec.study}/{trial.summary.trial} has {metric} {own}"
    return f"{of}; the mean over {counted(len(seeds), 'completed seed')} is {mean}"


def predict(home: Path, run: str, path: Path) -> Predictions:
    """Predictions of a trial's kept model for new data; see ``load_model`` and ``SavedModel``."""
    return load_model(home, run).predict(path)


def find(home: Path, run: str) -> TrialDetails:
    """The trial of a name or an MLflow run.

    A strategy stands for the model that its finished confirmation kept, that of the first seed;
    without one for the best trial of its search. A study stands for the strategy that leads its
    verdict, without one for the best trial of its search.

    Raises:
        UnknownNameError: There is none.
        ModelError: The study has no trial that has completed, or the strategy none with weights.
    """
    if match := _RUN_ID.fullmatch(run):
        run = _key_of(home, match["id"])
    study, _, name = run.partition("/")
    if not name:
        summary = browse.study(home, study).summary
        leader = summary.verdict.leader if summary.verdict else None
        name = leader or summary.best_trial or ""
        if not name:
            raise ModelError(f"No trial of {study} has completed.")
    directory = record.study_directory(home, study)
    trials = record.scan(directory)
    confirmed = confirmation_progress(directory, trials)
    roles = [Role.SEARCH]
    if confirmed is not None and confirmed.seeds_shown:
        roles.insert(0, Role.CONFIRMATION)
    # One trial of each role keeps its weights.
    kept = [spec for spec in _with_weights(directory) if spec.strategy == name]
    models = [spec.full_name for role in roles for spec in kept if spec.role is role]
    if not models and any(spec.strategy == name for _, spec in trials):
        raise ModelError(
            f"No trial of {study}/{name} has weights: only the best one that has completed keeps "
            "them, that of an own training only if it yields them. "
            f"workbench show {study}/{name} lists the trials from the best on. If the weights were "
            f"deleted, delete the record of that trial too (workbench show {study}/TRIAL says "
            f"where it is), then workbench run {study} trains it again."
        )
    return browse.trial(home, study, models[0] if models else name)


def _with_weights(study_directory: Path) -> list[TrialSpec]:
    return [spec for at, spec in record.scan(study_directory) if at.weights.exists()]


def _key_of(home: Path, run_id: str) -> str:
    from workbench.tracker import Tracker
    from workbench.tracker.store import StoreError

    try:
        return Tracker(home, create=False).key_of(run_id)
    except (LookupError, StoreError) as error:
        raise UnknownNameError(str(error)) from error


def _no_weights(trial: TrialDetails) -> ModelError:
    """Why a trial has no weights, and which trials of its study have."""
    spec, state = trial.spec, trial.summary.state
    name = f"{spec.study}/{trial.summary.trial}"
    if state is not State.COMPLETE:
        return ModelError(f"{name} has no weights: its state is {state}, not complete.")
    study = record.study_of(TrialDirectory(trial.directory), spec)
    kept = [f"{spec.study}/{other.full_name}" for other in _with_weights(study)]
    return ModelError(
        f"{name} has no weights: the best trial of each strategy keeps them, and the first run of "
        f"each arm of a confirmation. Here these have: {', '.join(kept) or 'none'}."
    )
