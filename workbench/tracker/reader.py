"""Reads a study from MLflow: its description, its trials as typed rows, and their curves.

Used by ``Tracker``. A report needs nothing except MLflow's store.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from workbench.messages import did_you_mean
from workbench.record import STUDY_NAME, Role, State, experiment_of
from workbench.tracker import stored_study, trial_artifacts, trial_run
from workbench.tracker.client import RunClient
from workbench.tracker.entry import KEY, PARENT, PROTOCOL, PROTOCOL_2, STATE, WITHHELD
from workbench.tracker.params import valid_name
from workbench.tracker.store import StoreError
from workbench.tracker.stored_run import Run
from workbench.tracker.stored_study import SecondLook, StoredStudy
from workbench.tracker.trial_artifacts import TrialArtifacts
from workbench.tracker.trial_run import TrialRun

PREDICTIONS = "predictions.parquet"
_PLANS = ("protocol.json", "selection.json", "protocol-2.json")
_SHOWN = ("per_class.csv", "mistakes.json", *(f"{name}.png" for name in trial_artifacts.PICTURES))


class UnknownStudyError(LookupError):
    """MLflow has no such study; the message lists all studies."""


class Reading:
    """A study's runs, read from MLflow once, so that all results are of the same moment."""

    def __init__(self, client: RunClient, uri: str, name: str) -> None:
        """Read all runs.

        Raises:
            UnknownStudyError: MLflow has no such study.
        """
        self._client, self._uri, self._name = client, uri, name
        self._experiment_id = _experiment(client, uri, name)
        self._runs = client.read(self._experiment_id, name)

    def study(self) -> StoredStudy:
        """The study as its driver described it; a file that MLflow lacks counts as empty.

        Raises:
            UnknownStudyError: It has no parent run, or all are in MLflow's bin.
            StoreError: One of its files cannot be read, or describes another study.
        """
        name, client = self._name, self._client
        roles = {f"{name}/{role}": role for role in ("search", "confirmation", "try")}
        all_parents = [r for r in self._runs if PARENT not in r.tags and r.tags.get(KEY) in roles]
        parents = {roles[run.tags[KEY]]: run for run in all_parents if not run.deleted}
        if all_parents and not parents:
            raise UnknownStudyError(
                f"The study {name} was deleted in MLflow at {self._uri}. `workbench sync"
                f" {name}` restores it."
            )
        if not parents:
            raise _unknown(client, self._uri, name)
        # A confirmation or a ``try`` describes the study too, if its search has no run here.
        main = parents.get("search") or next(iter(parents.values()))
        files = client.artifacts.read(main, _of_parent("study.json", "environment.json"))
        content = self._json(main, "study/study.json", files) or {}
        if content and content.get("name") != name:
            raise self._damaged(
                main, "study/study.json", f"it describes the study {content.get('name')!r}"
            )
        environment = self._json(main, "study/environment.json", files) or {}
        try:
            study = stored_study.read(
                content,
                packages=environment.pop("packages", None) or {},
                environment=environment,
                commit=main.tags.get("mlflow.source.git.commit", ""),
                dirty=main.tags.get("workbench.git_dirty") == "true",
                parents={role: run.run_id for role, run in parents.items()},
                parent_run_id=main.run_id,
                experiment_id=self._experiment_id,
                tracking_uri=self._uri,
            )
        except (AttributeError, ValueError) as error:
            # Valid JSON with values of other types: somebody edited the artifact.
            raise self._damaged(main, "study/study.json", error) from error
        confirmation = parents.get("confirmation")
        if confirmation is None:
            return study
        files = client.artifacts.read(confirmation, _of_parent(*_PLANS, "study.yaml"))
        first, chosen, second = (
            self._json(confirmation, path, files) for path in _of_parent(*_PLANS)
        )
        digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
        file = files.get("study/study.yaml")
        return replace(
            study,
            protocol=first,
            selection=chosen,
            protocol_sha256=digests.get("study/protocol.json"),
            protocol_logged=confirmation.tags.get(PROTOCOL),
            second_look=None
            if second is None
            else SecondLook(
                protocol=second,
                sha256=digests["study/protocol-2.json"],
                logged=confirmation.tags.get(PROTOCOL_2),
            ),
            confirmed_file=None if file is None else file.decode(errors="replace"),
        )

    def trials(self) -> tuple[TrialRun, ...]:
        """Every trial, by role, group and number.

        Raises:
            StoreError: A run has tags or params that no trial can have.
        """
        # A run without a key was not created by Workbench.
        trials = [_trial(run, self._name) for run in self._of_trials() if KEY in run.tags]
        return tuple(sorted(trials, key=lambda trial: (trial.role, trial.group, trial.number)))

    def tested(self) -> dict[str, str]:
        """The protocol of each trial that was tested, by key, those in MLflow's bin included."""
        return {
            run.tags[KEY]: run.tags.get(PROTOCOL, "")
            for run in self._runs
            if run.tags.get("workbench.role") == Role.CONFIRMATION
            and (run.tested or WITHHELD in run.tags)
        }

    def scores(self) -> dict[str, list[float]]:
        """The score of every test sample for each complete confirmation run, by run id.

        Scores are in the order of the test split, which all runs share; their mean is the run's
        test value of the objective's metric. Runs whose metric is not a mean over samples are left
        out.

        Raises:
            StoreError: A table of predictions cannot be read.
        """
        columns = {
            run.run_id: self._predicted(run, lambda name: name == "score")
            for run in self._complete()
        }
        return {run_id: found["score"] for run_id, found in columns.items() if found}

    def predictions(
        self, run_ids: Collection[str]
    ) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
        """True and predicted numbers of the test samples, by run id and column.

        Runs of a task that predicts no numbers are left out.

        Raises:
            StoreError: A table of predictions cannot be read.
        """
        by_run = {}
        for run in self._complete():
            if run.run_id in run_ids:
                found = self._predicted(
                    run, lambda name: name.startswith(("target/", "predicted/"))
                )
                names = [name.removeprefix("predicted/") for name in found]
                pairs = {
                    n: (found[f"target/{n}"], found[f"predicted/{n}"])
                    for n in names
                    if {f"target/{n}", f"predicted/{n}"} <= found.keys()
                }
                # Of labels, these are true or false.
                if pairs and all(isinstance(v, float) for v, *_ in found.values()):
                    by_run[run.run_id] = pairs
        return by_run

    def _complete(self) -> list[Run]:
        """The completed runs of the confirmation."""
        return [
            run
            for run in self._of_trials()
            if run.tags.get("workbench.role") == Role.CONFIRMATION
            and run.tags.get(STATE) == State.COMPLETE
        ]

    def _predicted(self, run: Run, wanted: Callable[[str], bool]) -> dict[str, list[float]]:
        """Some columns of a run's table of predictions; none where it has no table."""
        import pyarrow
        import pyarrow.parquet

        content = self._client.artifacts.read(run, [PREDICTIONS]).get(PREDICTIONS)
        if content is None:
            return {}
        try:
            file = pyarrow.parquet.ParquetFile(io.BytesIO(content))
            names = [name for name in file.schema_arrow.names if wanted(name)]
            found: dict[str, list[float]] = file.read(columns=names).to_pydict()
            return found
        except (pyarrow.ArrowException, OSError) as error:
            raise self._damaged(run, PREDICTIONS, error) from error

    def artifacts(self, run_ids: Collection[str]) -> dict[str, TrialArtifacts]:
        """What the artifacts of some runs say about their mistakes on validation data, by run id.

        Raises:
            StoreError: One of them is damaged.
        """
        by_run = {}
        for run in self._of_trials():
            if run.run_id not in run_ids:
                continue
            files = self._client.artifacts.read(run, _SHOWN)
            try:
                by_run[run.run_id] = trial_artifacts.read(files)
            except (ValueError, TypeError) as error:
                raise self._damaged(run, "mistakes.json", error) from error
        return by_run

    def histories(
        self, metrics: Sequence[str], run_ids: Collection[str]
    ) -> dict[str, dict[str, list[tuple[float, float]]]]:
        """Curves of some runs: by run id and metric, pairs of epoch and value, in order.

        Runs and metrics without a value are left out. The epoch is the number of epochs done, a
        fraction where a trial reports within an epoch.
        """
        curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
        for run_id in run_ids:
            # MLflow's steps are integers: the number of the report, not of the epoch.
            epochs = self._client.history(run_id, "epochs")
            for metric in metrics:
                points = self._client.history(run_id, valid_name(metric))
                if points:
                    curves.setdefault(run_id, {})[metric] = [
                        (float(epochs.get(step, step)), value)
                        for step, value in sorted(points.items())
                    ]
        return curves

    def _json(self, run: Run, name: str, files: Mapping[str, bytes]) -> dict[str, Any] | None:
        """The content of one of the artifacts that were read; None where it does not exist."""
        if name not in files:
            return None
        try:
            parsed = json.loads(files[name])
        except ValueError as error:
            raise self._damaged(run, name, error) from error
        if not isinstance(parsed, dict):
            reason = f"it contains {str(parsed)[:50]} instead of a JSON object"
            raise self._damaged(run, name, reason)
        return parsed

    def _damaged(self, run: Run, name: str, reason: object) -> StoreError:
        return StoreError(
            f"{self._client.artifacts.place(run, name)}, an artifact in MLflow, is damaged: "
            f"{reason}. Delete the file and run `workbench sync {self._name}` to restore it from "
            "the study's records."
        )

    def _of_trials(self) -> list[Run]:
        return [run for run in self._runs if PARENT in run.tags and not run.deleted]


def _of_parent(*names: str) -> list[str]:
    return [f"study/{name}" for name in names]


def _trial(run: Run, study: str) -> TrialRun:
    """A run as a trial.

    Raises:
        StoreError: It has tags or params that no trial can have.
    """
    try:
        return trial_run.of(run)
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"The run {run.run_id} of {study} in MLflow has invalid tags or params ({error})."
            f" `workbench sync {study}` writes its tags again from the record."
        ) from error


def _experiment(client: RunClient, uri: str, name: str) -> str:
    if not STUDY_NAME.fullmatch(name):
        raise UnknownStudyError(f"{name!r} is not a valid name of a study.")
    experiment_id = client.experiments().get(experiment_of(name))
    if experiment_id is None:
        raise _unknown(client, uri, name)
    return experiment_id


def _unknown(client: RunClient, uri: str, name: str) -> UnknownStudyError:
    others = sorted(other for other in client.experiments() if other != name)
    hint = did_you_mean(name, others)
    studies = "" if hint else f". Its studies are: {', '.join(others) or 'none'}."
    return UnknownStudyError(f"MLflow at {uri} has no study {name!r}{hint or studies}")
