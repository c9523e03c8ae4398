"""MLflow: mirror trial directories into it, and read runs back.

It makes runs say what records say. Parents are the runs of a search and of a confirmation; the runs
of trials hang under them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from workbench import record
from workbench.tracker import reader
from workbench.tracker.entry import (
    FILES,
    KEY,
    MODEL_ID,
    NOTE,
    PROTOCOL,
    DatasetUse,
    Point,
)
from workbench.tracker.params import param_text, tag_text, valid_name
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.tracker.trial_writer import TrialWriter


class Tracker(TrialWriter):
    """What is written of a study's runs, and what is read of them; see ``Connection``."""

    def open_parent(
        self,
        study: str,
        role: str,
        *,
        tags: Mapping[str, str],
        params: Mapping[str, object],
        files: Mapping[str, str],
        datasets: Sequence[DatasetUse] = (),
        view: Mapping[str, str] | None = None,
    ) -> str:
        """The id of the run that a study's trials hang under, marked as running.

        Args:
            study: Its name.
            role: ``search`` or ``confirmation``.
            tags: What may change from one start to the next.
            params: What may not; one that has changed after all is kept as a tag.
            files: Text by file name, stored as artifacts below ``study/``.
            datasets: What the study reads.
            view: Tags of the experiment; see ``view.tags_of``.
        """
        with self._locked_runs(study) as runs:
            self._client.tag_experiment(self._experiments[study], view or {})
            run = self._open_parent(runs, study, role)
            texts: dict[str, Path | str] = {f"study/{name}": text for name, text in files.items()}
            listed = self._client.send_files(run, texts, FILES)
            self._client.write(
                run,
                params={valid_name(k): param_text(v) for k, v in params.items()},
                tags={valid_name(k): tag_text(v) for k, v in tags.items()} | listed,
            )
            self._client.write_datasets(run, datasets)
            self._client.set_status(run, "RUNNING", None)
            if PROTOCOL in run.tags:
                self._remember(study)
            return run.run_id

    def parent_tag(self, study: str, role: str, tag: str) -> str | None:
        """A tag of a study's parent run, also of a deleted one or that of an earlier start.

        Where the store has none, that of the store which the runs were in before.
        """
        with self._locked_runs(study) as runs:
            parents = runs.of_key(f"{study}/{role}")
        if not any(tag in run.tags for run in parents):
            parents = self._parents_before(study, role)
        return next((run.tags[tag] for run in reversed(parents) if tag in run.tags), None)

    def is_finished(self, study: str, role: str, *, files: Mapping[str, str]) -> bool:
        """Whether a study's parent run is FINISHED and holds these texts below ``study/``."""
        with self._locked_runs(study) as runs:
            run = runs.get(self._parent_tags(runs, study, role))
            if run is None or run.deleted or run.status != "FINISHED":
                return False
            wanted = {f"study/{n}": text.encode("utf-8", "replace") for n, text in files.items()}
            return self._client.artifacts.read(run, wanted) == wanted

    def close_parent(self, run_id: str, status: str) -> None:
        """Set how a command ended: FINISHED, FAILED, KILLED, or SCHEDULED if it can continue."""
        with self._locked_run(run_id) as run:
            self._client.set_status(run, status, record.now())

    def describe(
        self,
        run_id: str,
        markdown: str,
        *,
        tags: Mapping[str, str] | None = None,
        numbers: Mapping[str, float] | None = None,
    ) -> None:
        """Show a text on a run's page, cut at a line break where MLflow takes no more.

        Args:
            run_id: Of the run.
            markdown: The text.
            tags: More tags.
            numbers: Metrics of the run as a whole; only those that have changed are logged.
        """
        with self._locked_run(run_id) as run:
            changed = {k: v for k, v in (numbers or {}).items() if run.metrics.get(k) != v}
            now = record.now()
            self._client.write(
                run,
                tags={NOTE: tag_text(markdown), **(tags or {})},
                points=[Point(name, value, now, 0) for name, value in changed.items()],
            )

    def log_report(self, run_id: str, folder: Path, only: Collection[str] | None = None) -> None:
        """Store a report below ``report/`` of a run, in place of the one before.

        Of the folder's entries all are stored, or only some by their names.
        """
        with self._locked_run(run_id) as run:
            self._client.artifacts.put_folder(run, "report", folder, only)

    def register(self, run_id: str, name: str, card: str, *, champion: bool) -> str:
        """Register the model of a trial's run under a name, perhaps as its champion.

        Args:
            run_id: Of the trial.
            name: Of the registered model.
            card: Its description.
            champion: Whether it gets the alias.

        Returns:
            The version.

        Raises:
            LookupError: The run has no model in MLflow.
        """
        with self._locked_run(run_id) as run:
            if MODEL_ID not in run.tags:
                raise LookupError(f"MLflow has no model of the run {run_id}.")
            model = run.tags[MODEL_ID]
            return self._models.register(run_id, model, name, card, champion=champion)

    def key_of(self, run_id: str) -> str:
        """The key of the trial that a run mirrors (``TrialSpec.key``).

        Raises:
            LookupError: MLflow has no such run, or it mirrors no trial.
        """
        try:
            run = self._client.get(run_id)
        except self._mlflow.MlflowException as error:
            raise LookupError(f"MLflow has no run {run_id} in {self.uri}.") from error
        if KEY not in run.tags:
            raise LookupError(f"Run {run_id} does not belong to a trial.")
        return run.tags[KEY]

    @contextmanager
    def reading(self, study: str) -> Iterator[reader.Reading]:
        """A study as MLflow has it now, its runs read once.

        Raises:
            UnknownStudyError: MLflow has no such study.
        """
        with self._store_errors():
            yield reader.Reading(self._client, self.uri, study)

    def cells(self, name: str) -> list[str]:
        """Studies of a file with ``across``, by the file's name, as they began; else none."""
        with self._store_errors():
            experiment_id = self._client.experiments().get(name)
            return [] if experiment_id is None else self._client.cells(experiment_id)

    def additions(self, name: str) -> list[str]:
        """Studies that are named like a level which is added to a study, by their numbers."""
        start = record.addition_name(name, "")
        with self._store_errors():
            numbers = [each.removeprefix(start) for each in self._client.experiments()]
        found = sorted(int(number) for number in numbers if number.isdecimal())
        return [record.addition_name(name, number) for number in found]

    def read_study(self, name: str) -> StoredStudy:
        """See ``reader.Reading.study``."""
        with self.reading(name) as stored:
            return stored.study()

    def read_trials(self, name: str) -> tuple[TrialRun, ...]:
        """See ``reader.Reading.trials``."""
        with self.reading(name) as stored:
            return stored.trials()
