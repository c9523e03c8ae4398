"""Writes trials' runs from their records, live and after a crash alike; the base of ``Tracker``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from workbench import record
from workbench.record import Role, State, TrialDirectory
from workbench.record.files import holder, is_temporary
from workbench.tracker import entry, location, reader
from workbench.tracker.connection import Connection
from workbench.tracker.entry import (
    BEST,
    FILES,
    KEY,
    MODEL,
    MODEL_ID,
    PARENT,
    PROTOCOL,
    PROTOCOL_2,
    RECORD,
    WITHHELD,
    Entry,
    identity_of,
)
from workbench.tracker.stored_run import Run, Runs

# Files of a study's directory that are also artifacts of its parent, below ``study/``.
_PARENT_FILES = ("study.json", "protocol.json", "selection.json", "protocol-2.json")


class TrialWriter(Connection):
    """The part of ``Tracker`` that makes runs say what records say."""

    def mirror(self, directory: TrialDirectory, parent_run_id: str, *, seeds_shown: int = 0) -> str:
        """Update a trial's run from its record; returns the run's id.

        Doing it again changes nothing, and doing it after a crash completes what is missing. Test
        values are withheld unless ``seeds_shown`` allows them; see ``reconcile``.

        Raises:
            ValueError: The directory holds no specification.
        """
        return self._mirror(directory, parent_run_id, seeds_shown=seeds_shown)[0].run_id

    def _mirror(
        self,
        directory: TrialDirectory,
        parent_run_id: str,
        *,
        orphaned: bool = False,
        seeds_shown: int = 0,
    ) -> tuple[Run, bool]:
        """The run, and whether it lacked anything."""
        # As it is stored: a home that was moved changes no param.
        spec = directory.stored_spec()
        if spec is None:
            raise ValueError(f"{directory.path} is not a trial directory: it has no spec.json.")
        # The result first: a trial that has one has written all of its history.
        result = directory.result()
        history = directory.history()
        files: dict[str, Path | str] = {**_artifacts(directory)}
        if result is not None and result.traceback is not None:
            files["traceback.txt"] = result.traceback
        with self._locked_runs(spec.study) as runs:
            known = runs.get(entry.record_tags(spec))
            lacked = known is None
            # What has been shown cannot be withheld.
            shows_test = spec.number < seeds_shown or (known is not None and known.tested)
            if not shows_test:
                files.pop(reader.PREDICTIONS, None)
            wanted = entry.entry_of(
                spec,
                history,
                result,
                parent_run_id=parent_run_id,
                orphaned=orphaned,
                shows_test=shows_test,
            )
            spec_written = (directory.path / "spec.json").stat().st_mtime_ns // 1_000_000
            began = wanted.started or spec_written
            run = self._open(runs, spec.study, wanted.name, began, wanted.identity)
            listed = self._client.send_files(run, files, FILES)
            lacked |= bool(listed) | self._write_values(run, wanted, listed)
            self._client.write_datasets(run, wanted.datasets)
            # Of a confirmation the model of each arm's first seed is kept.
            if spec.role is Role.CONFIRMATION and result is not None:
                lacked |= self._send_model(run, directory)
            lacked |= self._client.set_status(run, wanted.status, wanted.ended)
            return run, lacked

    def _write_values(self, run: Run, wanted: Entry, listed: Mapping[str, str]) -> bool:
        sent = int(run.tags.get(entry.EPOCHS, 0))
        points = [point for epoch, row in wanted.history if epoch > sent for point in row]
        past = [name for name in entry.PASSING if name in run.tags and name not in wanted.tags]
        if WITHHELD in past or any(run.tags.get(name) != v for name, v in wanted.tags.items()):
            points += wanted.summary
        tags = {**wanted.identity, **wanted.tags, **listed}
        written = self._client.write(run, params=wanted.params, tags=tags, points=points)
        # Last: after a crash before this the values that are no longer withheld are sent again.
        self._client.remove_tags(run, past)
        return written

    def mark_best(self, parent_run_id: str, strategy: str, directory: TrialDirectory) -> str:
        """Mark a trial as the best of its strategy, in place of another one; returns its run's id.

        Its model becomes one of MLflow's logged models.
        """
        run, _ = self._mirror(directory, parent_run_id)
        self._mark_best(run, strategy, directory)
        return run.run_id

    def _mark_best(self, run: Run, strategy: str, directory: TrialDirectory) -> bool:
        """Whether the run lacked the mark or its model."""
        with self._locked_runs(run.tags["workbench.study"]) as runs:
            lacked = self._send_model(run, directory)
            lacked |= self._client.write(run, tags={BEST: "true"})
            for other in runs:
                if (
                    other is not run
                    and not other.deleted
                    and (BEST in other.tags or MODEL in other.tags)
                    and other.tags.get(PARENT) == run.tags[PARENT]
                    and other.tags.get("workbench.strategy") == strategy
                ):
                    self._models.remove(self._experiments[run.tags["workbench.study"]], other)
                    self._client.remove_tags(other, (BEST, MODEL, MODEL_ID))
            return lacked

    def _send_model(self, run: Run, directory: TrialDirectory) -> bool:
        """Store the model that a trial kept, unless it is stored already; whether it was not."""
        digest = self._models.digest(directory)
        model_id = run.tags.get(MODEL_ID, "")
        if digest is None:
            return False
        if run.tags.get(MODEL) == digest and self._models.is_there(run, model_id):
            return False
        experiment = self._experiments[run.tags["workbench.study"]]
        model_id = self._models.replace(run, experiment, directory)
        # Last: a crash before this only stores the model again.
        return self._client.write(run, tags={MODEL: digest, MODEL_ID: model_id})

    def reconcile(
        self,
        study_directory: Path,
        *,
        parent_statuses: Mapping[str, str] | None = None,
        seeds_shown: int = 0,
    ) -> int:
        """Mirror every record of a study that MLflow lacks, and leave nothing running that is not.

        Only for the holder of the study's lease.

        Args:
            study_directory: With the records.
            parent_statuses: By role, for parents that MLflow shows as running or scheduled.
            seeds_shown: Of each confirmed configuration, how many seeds have test values that may
                be shown; those of the others are withheld.

        Returns:
            How many trials MLflow did not show as they are.

        Raises:
            DamagedRecordError: A record cannot be read, or is one of another study.
        """
        study, sent, seen = study_directory.name, set(), set()
        parents: dict[str, str] = {}
        best: dict[str, tuple[tuple[float, int], Run, TrialDirectory]] = {}
        for directory, spec in record.scan(study_directory):
            if spec.study != study:
                raise record.DamagedRecordError(
                    f"{directory.path / 'spec.json'} is of the study {spec.study!r}, but lies in "
                    f"the folder of {study}. Rename the folder back, or move the trial away."
                )
            identity = identity_of(entry.record_tags(spec))
            seen.add(identity)
            role = entry.parent_role(spec.role)
            if role not in parents:
                parents[role] = self._parent(study_directory, role)
            parent = parents[role]
            orphaned = holder(directory.lock_path) is None
            run, lacked = self._mirror(
                directory, parent, orphaned=orphaned, seeds_shown=seeds_shown
            )
            if lacked:
                sent.add(identity)
            result = directory.result() if spec.role is Role.SEARCH else None
            if result is not None and result.state is State.COMPLETE and result.value is not None:
                rank = spec.objective.rank(result.value, spec.number)
                if spec.strategy not in best or rank < best[spec.strategy][0]:
                    best[spec.strategy] = rank, run, directory
        # Last: among the runs that were restored may be one that was the best before.
        for strategy, (_, run, directory) in best.items():
            if self._mark_best(run, strategy, directory):
                sent.add(identity_of(run.tags))
        if not study_directory.is_dir():
            return 0
        reason = "The record of this trial is gone."
        gone = {entry.STATE: str(State.FAILED), "workbench.reason": reason}
        with self._locked_runs(study) as runs:
            # Last, when every record has its run: what is still running has no record.
            for run in runs:
                identity = identity_of(run.tags)
                if run.status not in ("RUNNING", "SCHEDULED") or run.deleted or identity in seen:
                    continue
                status = (parent_statuses or {}).get(run.tags.get("workbench.role", ""))
                if PARENT not in run.tags and status is not None:
                    self._client.set_status(run, status, record.now())
                elif PARENT in run.tags and run.status == "RUNNING":
                    self._client.write(run, tags=gone)
                    self._client.set_status(run, entry.STATUS[State.FAILED], record.now())
                    sent.add(identity)
        self._remember(study)
        location.unsent_mark(study_directory).unlink(missing_ok=True)
        return len(sent)

    def _parent(self, study_directory: Path, role: str) -> str:
        """A parent that exists, in whatever state, or one that waits for its driver.

        Missing files are restored from the study's directory; the others stay as they were logged.
        """
        study = study_directory.name
        with self._locked_runs(study) as runs:
            before = len(runs)
            run = self._open_parent(runs, study, role)
            if len(runs) > before:
                self._client.set_status(run, entry.STATUS[State.PARKED], None)
            files = _PARENT_FILES if role == "confirmation" else _PARENT_FILES[:1]
            self._client.restore_files(
                run, {f"study/{name}": study_directory / name for name in files}
            )
            if role == "confirmation":
                self._carry(run, study_directory)
            return run.run_id

    def _carry(self, run: Run, study_directory: Path) -> None:
        """Copy the hashes of the protocols from the store that the study's runs were in before.

        They are the evidence that the plans were fixed before the runs. The files are none, so a
        hash that no store has stays missing.
        """
        planned = {PROTOCOL: 1, PROTOCOL_2: 2}
        lacking = [
            tag
            for tag, look in planned.items()
            if tag not in run.tags and record.protocol_path(study_directory, look=look).exists()
        ]
        if lacking:
            for parent in self._parents_before(study_directory.name, "confirmation"):
                if identity_of(parent.tags) == identity_of(run.tags):
                    found = {tag: parent.tags[tag] for tag in lacking if tag in parent.tags}
                    self._client.write(run, tags=found)

    def _open_parent(self, runs: Runs, study: str, role: str) -> Run:
        tags = self._parent_tags(runs, study, role)
        return self._open(runs, study, f"{study} {role}", record.now(), tags)

    def _parent_tags(self, runs: Runs, study: str, role: str) -> dict[str, str]:
        """The tags that a study's parent run always has."""
        key = f"{study}/{role}"
        record_id = record.study_record_id(record.study_directory(self._store.home, study))
        if record_id is None:
            # Without it, as in studies of earlier versions, there is one run of a key.
            known = runs.of_key(key)
            record_id = known[-1].tags.get(RECORD, "") if known else ""
        identity = {KEY: key, **({RECORD: record_id} if record_id else {})}
        return {**identity, "workbench.study": study, "workbench.role": str(role)}


def _artifacts(directory: TrialDirectory) -> dict[str, Path]:
    """The files that a trial has finished, by their path among its artifacts."""
    root = directory.artifacts
    found = sorted(root.rglob("*")) if root.is_dir() else []
    paths = [path for path in found if path.is_file() and not is_temporary(path)]
    return {path.relative_to(root).as_posix(): path for path in paths}
