"""MLflow: mirror trial directories into it, and read runs back.

It makes runs say what records say. Parents are the runs of a search and of a confirmation; the runs
of trials hang under them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from workbench import record
from workbench.record import Role, State, TrialDirectory
from workbench.record.files import holder, is_temporary
from workbench.tracker import entry, reader
from workbench.tracker.connection import Connection
from workbench.tracker.entry import (
    BEST,
    FILES,
    KEY,
    MODEL,
    MODEL_ID,
    NOTE,
    PARENT,
    DatasetUse,
    Entry,
    Point,
)
from workbench.tracker.params import param_text, tag_text, valid_name
from workbench.tracker.stored_run import Run
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun

# Files of a study's directory that are also artifacts of its parent, below ``study/``.
_PARENT_FILES = ("study.json", "protocol.json", "selection.json", "protocol-2.json")


class Tracker(Connection):
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
        key = f"{study}/{role}"
        constant = {KEY: key, "workbench.study": study, "workbench.role": str(role)}
        with self._writing(study) as runs:
            self._client.tag_experiment(self._experiments[study], view or {})
            run = self._open(runs, study, key, f"{study} {role}", record.now(), constant)
            texts: dict[str, Path | str] = {f"study/{name}": text for name, text in files.items()}
            listed = self._client.send_files(run, texts, FILES)
            self._client.write(
                run,
                params={valid_name(k): param_text(v) for k, v in params.items()},
                tags={valid_name(k): tag_text(v) for k, v in tags.items()} | listed,
            )
            self._client.write_datasets(run, datasets)
            self._client.set_status(run, "RUNNING", None)
            return run.run_id

    def parent_tag(self, study: str, role: str, tag: str) -> str | None:
        """A tag of a study's parent run, also of a deleted one; None without it."""
        with self._writing(study) as runs:
            run = runs.get(f"{study}/{role}")
            return None if run is None else run.tags.get(tag)

    def is_finished(self, study: str, role: str, *, files: Mapping[str, str]) -> bool:
        """Whether a study's parent run is FINISHED and holds these texts below ``study/``."""
        with self._writing(study) as runs:
            run = runs.get(f"{study}/{role}")
            if run is None or run.deleted or run.status != "FINISHED":
                return False
            paths = {self._client.file(run, f"study/{name}"): text for name, text in files.items()}
            return all(
                path.is_file() and path.read_bytes() == text.encode("utf-8", "replace")
                for path, text in paths.items()
            )

    def close_parent(self, run_id: str, status: str) -> None:
        """Set how a command ended: FINISHED, FAILED, KILLED, or SCHEDULED if it can continue."""
        with self._writing_run(run_id) as run:
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
        with self._writing_run(run_id) as run:
            changed = {k: v for k, v in (numbers or {}).items() if run.metrics.get(k) != v}
            now = record.now()
            self._client.write(
                run,
                tags={NOTE: tag_text(markdown), **(tags or {})},
                points=[Point(name, value, now, 0) for name, value in changed.items()],
            )
            run.metrics.update(changed)

    def log_report(self, run_id: str, folder: Path, only: Collection[str] | None = None) -> None:
        """Store a report below ``report/`` of a run, in place of the one before.

        Of the folder's entries all are stored, or only some by their names.
        """
        with self._writing_run(run_id) as run:
            self._client.replace_folder(run, "report", folder, only)

    def mirror(
        self, directory: TrialDirectory, parent_run_id: str, *, orphaned: bool = False
    ) -> str:
        """Update a trial's run from its record; returns the run's id.

        Doing it again changes nothing, and doing it after a crash completes what is missing. An
        orphaned trial without a result is shown as parked.

        Raises:
            ValueError: The directory holds no specification.
        """
        return self._mirror(directory, parent_run_id, orphaned=orphaned)[0].run_id

    def _mirror(
        self, directory: TrialDirectory, parent_run_id: str, *, orphaned: bool = False
    ) -> tuple[Run, bool]:
        """The run, and whether it lacked anything."""
        # As it is stored: a home that was moved changes no param.
        spec = directory.stored_spec()
        if spec is None:
            raise ValueError(f"{directory.path} is not a trial directory: it has no spec.json.")
        # The result first: a trial that has one has written all of its history.
        result = directory.result()
        wanted = entry.entry_of(
            spec, directory.history(), result, parent_run_id=parent_run_id, orphaned=orphaned
        )
        texts = {}
        if result is not None and result.traceback is not None:
            texts["traceback.txt"] = result.traceback
        with self._writing(spec.study) as runs:
            lacked = spec.key not in runs
            spec_written = (directory.path / "spec.json").stat().st_mtime_ns // 1_000_000
            began = wanted.started or spec_written
            run = self._open(runs, spec.study, spec.key, wanted.name, began, wanted.identity)
            listed = self._client.send_files(run, {**_artifacts(directory), **texts}, FILES)
            lacked |= bool(listed) | self._write_values(run, wanted, listed)
            self._client.write_datasets(run, wanted.datasets)
            # Of a confirmation the model of each arm's first seed is kept.
            if spec.role is Role.CONFIRMATION and result is not None:
                self._send_model(run, directory)
            lacked |= self._client.set_status(run, wanted.status, wanted.ended)
            return run, lacked

    def _write_values(self, run: Run, wanted: Entry, listed: Mapping[str, str]) -> bool:
        sent = int(run.tags.get(entry.EPOCHS, 0))
        points = [point for epoch, row in wanted.history if epoch > sent for point in row]
        if any(run.tags.get(name) != value for name, value in wanted.tags.items()):
            points += wanted.summary
        self._client.remove_tags(run, (name for name in entry.PASSING if name not in wanted.tags))
        tags = {**wanted.identity, **wanted.tags, **listed}
        return self._client.write(run, params=wanted.params, tags=tags, points=points)

    def mark_best(self, parent_run_id: str, strategy: str, directory: TrialDirectory) -> str:
        """Mark a trial as the best of its strategy, in place of another one; returns its run's id.

        Its model becomes one of MLflow's logged models, under the name of the strategy.
        """
        run, _ = self._mirror(directory, parent_run_id)
        with self._writing(run.tags["workbench.study"]) as runs:
            self._send_model(run, directory)
            self._client.write(run, tags={BEST: "true"})
            for other in runs.values():
                if (
                    other is not run
                    and (BEST in other.tags or MODEL in other.tags)
                    and other.tags.get(PARENT) == parent_run_id
                    and other.tags.get("workbench.strategy") == strategy
                ):
                    self._client.restore(other)
                    # Of an older version, which stored the files with the run.
                    self._client.replace_folder(other, "model", None)
                    self._models.remove(other, self._experiments[run.tags["workbench.study"]])
                    self._client.remove_tags(other, (BEST, MODEL, MODEL_ID))
        return run.run_id

    def _send_model(self, run: Run, directory: TrialDirectory) -> None:
        """Store the model that a trial kept, unless it is stored already."""
        digest = self._models.digest(directory)
        model_id = run.tags.get(MODEL_ID, "")
        if digest is None:
            return
        if run.tags.get(MODEL) == digest and self._models.is_there(run, model_id):
            return
        experiment = self._experiments[run.tags["workbench.study"]]
        model_id = self._models.replace(run, experiment, directory)
        if self._client.file(run, "model").exists():
            self._client.replace_folder(run, "model", None)
        # Last: a crash before this only stores the model again.
        self._client.write(run, tags={MODEL: digest, MODEL_ID: model_id})

    def reconcile(
        self, study_directory: Path, *, parent_statuses: Mapping[str, str] | None = None
    ) -> int:
        """Mirror every record of a study that MLflow lacks, and leave nothing running that is not.

        Only for the holder of the study's lease. Parents that MLflow shows as running or scheduled
        get the status of their role, if one is given. Returns how many trials MLflow did not show
        as they are.

        Raises:
            Damaged: A record cannot be read, or is one of another study.
        """
        study, sent, seen = study_directory.name, 0, set()
        parents: dict[str, str] = {}
        for directory, spec in record.scan(study_directory):
            if spec.study != study:
                raise record.Damaged(
                    f"{directory.path / 'spec.json'} is of the study {spec.study!r}, but lies in "
                    f"the folder of {study}. Rename the folder back, or move the trial away."
                )
            seen.add(spec.key)
            role = entry.PARENT_ROLE[spec.role]
            if role not in parents:
                parents[role] = self._parent(study_directory, role)
            parent = parents[role]
            orphaned = holder(directory.lock_path) is None
            _, lacked = self._mirror(directory, parent, orphaned=orphaned)
            sent += lacked
        if not study_directory.is_dir():
            return 0
        reason = "The record of this trial is gone."
        gone = {entry.STATE: str(State.FAILED), "workbench.reason": reason}
        with self._writing(study) as runs:
            # Last, when every record has its run: what is still running has no record.
            for key, run in runs.items():
                if run.status not in ("RUNNING", "SCHEDULED") or run.deleted or key in seen:
                    continue
                status = (parent_statuses or {}).get(run.tags.get("workbench.role", ""))
                if PARENT not in run.tags and status is not None:
                    self._client.set_status(run, status, record.now())
                elif PARENT in run.tags and run.status == "RUNNING":
                    self._client.write(run, tags=gone)
                    self._client.set_status(run, entry.STATUS[State.FAILED], record.now())
                    sent += 1
        return sent

    def _parent(self, study_directory: Path, role: str) -> str:
        """A parent that exists, in whatever state, or one that waits for its driver.

        Missing files are restored from the study's directory; the others stay as they were logged.
        """
        study = study_directory.name
        with self._writing(study) as runs:
            run = runs.get(f"{study}/{role}")
            if run is None:
                run_id = self.open_parent(study, role, tags={}, params={}, files={})
                self.close_parent(run_id, entry.STATUS[State.PARKED])
                run = runs[f"{study}/{role}"]
            self._client.restore(run)
            files = _PARENT_FILES if role == "confirmation" else _PARENT_FILES[:1]
            self._client.restore_files(
                run, {f"study/{name}": study_directory / name for name in files}
            )
            return run.run_id

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
        with self._writing_run(run_id) as run:
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
        except self._refusal as error:
            raise LookupError(f"MLflow has no run {run_id} in {self._store.home}.") from error
        if KEY not in run.tags:
            raise LookupError(f"Run {run_id} does not belong to a trial.")
        return run.tags[KEY]

    @contextmanager
    def reading(self, study: str) -> Iterator[reader.Reading]:
        """A study as MLflow has it now, its runs read once.

        Raises:
            UnknownStudy: MLflow has no such study.
        """
        with self._reached():
            yield reader.Reading(self._client, self._store, study)

    def cells(self, name: str) -> list[str]:
        """Studies of a file with ``across``, by the file's name, as they began; else none."""
        with self._reached():
            experiment_id = self._client.experiments().get(name)
            return [] if experiment_id is None else self._client.cells(experiment_id)

    def additions(self, name: str) -> list[str]:
        """Studies that are named like a level which is added to a study, by their numbers."""
        start = record.addition_name(name, "")
        with self._reached():
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


def _artifacts(directory: TrialDirectory) -> dict[str, Path]:
    """The files that a trial has finished, by their path among its artifacts."""
    root = directory.artifacts
    found = sorted(root.rglob("*")) if root.is_dir() else []
    paths = [path for path in found if path.is_file() and not is_temporary(path)]
    return {path.relative_to(root).as_posix(): path for path in paths}
