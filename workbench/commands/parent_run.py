"""A study's parent run in MLflow: opened while a driver runs, and what it shows of the study."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from workbench import record
from workbench.commands.confirmation_progress import seeds_shown
from workbench.driver.progress import GroupProgress
from workbench.record import Role, environment
from workbench.record.file_cache import FileCache
from workbench.record.files import write_atomically
from workbench.study import description
from workbench.study.config.study_config import StudyConfig
from workbench.study.study import Study
from workbench.tracker import Tracker, location, stored_study, view
from workbench.tracker.entry import dataset_uses, parent_role
from workbench.tracker.mirror import Mirror
from workbench.tracker.store import UnreachableError
from workbench.tracker.stored_study import StoredStudy

_LOGGER = logging.getLogger(__name__)

# Uncommitted changes may contain secrets: they are stored only on request.
LOG_DIFF = "WORKBENCH_LOG_DIFF"


@dataclass(kw_only=True)
class ParentRun:
    """A study's parent run in MLflow while its driver runs.

    Attributes:
        mirror: Sends what changes (``driver.Mirror``); has the id of the parent run.
        status: How the parent run is closed.
        unsent: Records that MLflow did not take.
    """

    tracker: Tracker
    mirror: Mirror
    status: str = "FAILED"
    unsent: int = 0


@contextmanager
def open_parent(
    study: Study,
    role: Role,
    *,
    trains: bool = True,
    tags: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> Iterator[ParentRun]:
    """The parent run of a study and the thread that fills it, while the caller drives the study.

    Afterwards every record that MLflow lacks is sent, also what an earlier driver left.

    Args:
        study: The study.
        role: Of its trials; selection and confirmation share a parent run.
        trains: Whether a trial is left to train. Else the code and the environment that the page
            names stay those that the trials were made with.
        tags: Beside those that every parent has.
        files: The same of texts by file name, stored below ``study/``.
    """
    role = parent_role(role)
    path = study.directory / "study.json"
    # Before the file says where the runs are now: the tracker knows where they were.
    tracker = Tracker(study.home, study.name)
    # A directory without it is a new start of the study, whatever MLflow has of its name.
    texts = _files(study, None if path.exists() else uuid.uuid4().hex)
    # What the search was made with; a try may come after the file has changed.
    if role is Role.SEARCH or not path.exists():
        known, before = path.exists(), location.uri_in_record(study.directory)
        write_atomically(path, texts["study.json"].encode())
        # Where the hash of a protocol is must not be forgotten before the new store has it.
        if known and record.protocol_path(study.directory).exists():
            location.remember(study.directory, before)
    location.unsent_mark(study.directory).touch()
    described = stored_study.read(json.loads(texts["study.json"]))
    data = described.data
    own_tags = {"workbench.file": _file(study), "workbench.data_digest": data.digest or ""}
    if role is not Role.CONFIRMATION:
        own_tags["workbench.trials"] = str(described.total)
    # A rerun that trains nothing must not claim that this code made the results.
    origin_tags, origin_files = _origin(study) if trains else ({}, {})
    open_parent = partial(
        tracker.open_parent,
        study.name,
        role,
        tags={**own_tags, **origin_tags, **(tags or {})},
        params=_params(described, role),
        files={**texts, **origin_files, **(files or {})},
        datasets=dataset_uses(
            str(data.name),
            str(data.digest),
            {"dataset": data.name, "study": study.name},
            tested=role is Role.CONFIRMATION,
        ),
        view=view.tags_of(described),
    )
    page = ParentRun(tracker=tracker, mirror=Mirror(tracker, open_parent))
    try:
        _ = page.mirror.parent
    except UnreachableError as problem:
        page.mirror.warn(problem)
    try:
        with page.mirror:
            try:
                yield page
            finally:
                _drain(page.mirror)
    finally:
        page.unsent = page.mirror.pending
        if not page.unsent:
            try:
                # Also what an earlier driver left, which no thread has in its queue.
                tracker.reconcile(
                    study.directory,
                    parent_statuses=dict.fromkeys(("search", "confirmation"), "SCHEDULED"),
                    seeds_shown=seeds_shown(study.directory),
                )
                tracker.close_parent(page.mirror.parent, page.status)
            except UnreachableError as problem:
                page.mirror.warn(problem)
                page.unsent = 1  # the parent run


def sync_if_finished(
    study: Study, role: Role, files: Mapping[str, str] | None = None
) -> int | None:
    """Send what an earlier driver left unsent, if nothing else has changed.

    Args:
        study: The study.
        role: As for ``open_parent``.
        files: As for ``open_parent``.

    Returns:
        None where MLflow's parent run is not finished or lacks what ``open_parent`` would write.
        Else how many records may still be unsent, because MLflow does not answer.
    """
    role, wanted = parent_role(role), {**_files(study), **(files or {})}
    # MLflow takes seconds to answer. Where neither its store nor a record has changed since it
    # was asked, it would answer the same.
    known = FileCache(["settled", str(study.directory), role, wanted], _mirrored(study))
    own = location.shared_store(study.home, study.name) is None
    if own and known.get():
        return 0
    tracker = Tracker(study.home, study.name)
    try:
        finished = tracker.is_finished(study.name, role, files=wanted)
        if finished:
            tracker.reconcile(study.directory, seeds_shown=seeds_shown(study.directory))
    except UnreachableError as problem:
        _LOGGER.warning("%s. `workbench sync %s` updates it later.", problem, study.name)
        moved = location.previous_store(study.home, study.name) is not None
        sent = not moved and not location.unsent_mark(study.directory).exists()
        return 0 if sent else len(record.scan(study.directory))
    if finished and own:
        known.put(True)
    return 0 if finished else None


def places(study: Study) -> list[str]:
    """Where the runs of a study go, unless that is the home's own store, and where they were."""
    store, before = (
        location.shared_store(study.home, study.name),
        location.uri_in_record(study.directory),
    )
    own, now = "the home's own store", None if store is None else store.uri
    notes = [] if now is None else [f"Runs are written to MLflow at {now}."]
    if before != now and (study.directory / "study.json").exists():
        notes.append(
            f"Until now the runs of {study.name} were written to {before or own}, which is not "
            f"updated any more. At the end of this command {now or own} has all of them."
        )
    return notes


def _mirrored(study: Study) -> list[Path]:
    """Both sides of the mirror: MLflow's database and artifacts, and the study's records."""
    root = study.home.resolve() / "mlruns"
    log = root / "mlflow.db-wal"
    store = [root / "mlflow.db", root / "artifacts" / record.experiment_of(study.name)]
    # A log without content comes and goes with every reader.
    if log.exists() and log.stat().st_size:
        store.append(log)
    records = [path for path in study.directory.iterdir() if path.is_dir()]
    return [*store, *records, *sorted(study.directory.glob("*.json"))]


def _file(study: Study) -> str:
    return record.places.relative_to_home(study.file, study.home)


def _files(study: Study, record_id: str | None = None) -> dict[str, str]:
    """The study file and the study's description, with the identity of its directory."""
    record_id = record_id or record.study_record_id(study.directory)
    identity = {"record_id": record_id} if record_id else {}
    store = location.shared_store(study.home, study.name)
    place = {} if store is None else {"tracking_uri": store.uri}
    described = {**description.describe(study), "file": _file(study), **identity, **place}
    return {
        "study.yaml": study.config.document.text,
        "study.json": json.dumps(described, indent=1),
    }


def _drain(mirror: Mirror) -> None:
    """Wait for everything to be sent, as long as anything is."""
    sent = -1
    # A slow store may need longer than one drain; a broken one makes no progress and ends it.
    while mirror.pending and mirror.sent > sent:
        sent = mirror.sent
        mirror.drain()


def _params(study: StoredStudy, role: Role) -> dict[str, object]:
    """What the page's runs have in common: of a confirmation what it measures, and no search."""
    common = {
        "direction": study.objective.direction,
        "backbone": None if study.backbone is None else study.backbone.name,
        "dataset": study.data.name,
        "epochs": study.epochs,
    }
    metric = study.objective.metric
    if role is Role.CONFIRMATION:
        return {"metric": study.objective.tested, "selection_metric": metric, **common}
    search = {name: study.search[name] for name in ("sampler", "pruner", "seed")}
    return {"mode": study.mode, "metric": metric, **search, **common}


def _origin(study: Study) -> tuple[dict[str, str], dict[str, str]]:
    """The code and the environment that trials start with: tags, and files by name.

    Also stored in the study's directory, where a trial finds the commit that it records.
    """
    code = environment.git_state(study.file.parent)
    machine = environment.describe()
    kept = json.dumps({**machine, "commit": code.get("state", "")}, indent=1)
    write_atomically(record.environment_path(study.directory), kept.encode())
    files = {
        "environment.json": json.dumps(machine, indent=1),
        "packages.txt": environment.installed(),
    }
    if code.get("diff") and os.environ.get(LOG_DIFF, "") not in ("", "0"):
        files["git.diff"] = environment.shortened(code["diff"])
    if not code:
        return {}, files
    dirty = str(code["dirty"]).lower()
    return {"mlflow.source.git.commit": code["commit"], "workbench.git_dirty": dirty}, files


def note(config: StudyConfig, groups: Sequence[GroupProgress]) -> str:
    """The parent run's description while the search runs."""
    said = f"Searching: {_ended(groups)} trials have ended. EXPLORATORY: nothing is confirmed."
    best = ["" if s.best is None else f"{s.best:.4f}" for s in groups]
    rows = [(s.name, s.complete, s.pruned, s.failed, b) for s, b in zip(groups, best, strict=True)]
    header = ("strategy", "complete", "pruned", "failed", f"best {config.objective.metric}")
    return _note(config, said, header, rows)


def confirmation_note(
    config: StudyConfig, role: Role, groups: Sequence[GroupProgress], *sha256: str
) -> str:
    """The confirmation's description while its runs are made: how far they are, and no value.

    Args:
        config: The study.
        role: Whether they are those of the selection or of the confirmation.
        groups: How far each strategy is.
        *sha256: Of the protocol and, once it has begun, of that of the second look.
    """
    selecting = role is Role.SELECTION
    what = "Selecting on validation data" if selecting else "Testing what was selected"
    first, *second = sha256
    plans = [f"By the protocol {first} (study/protocol.json)."]
    plans += [f"Second look: {digest} (study/protocol-2.json)." for digest in second]
    said = f"{what}: {_ended(groups)} runs have ended. No test value is shown before the last.\n"
    rows = [(s.name, s.target, s.complete, s.failed) for s in groups]
    header = ("strategy" if selecting else "arm", "runs", "complete", "failed")
    return _note(config, said + " ".join(plans), header, rows)


def _note(
    config: StudyConfig, said: str, header: Sequence[str], rows: Sequence[Sequence[object]]
) -> str:
    """The study's question, a sentence and a table in Markdown."""
    align = [":--", *["--:"] * (len(header) - 1)]
    table = (f"| {' | '.join(map(str, cells))} |" for cells in (header, *rows))
    head, *body = table
    return "\n".join([config.question, "", said, "", head, f"|{'|'.join(align)}|", *body])


def _ended(groups: Sequence[GroupProgress]) -> str:
    ended, target = sum(group.ended for group in groups), sum(group.target for group in groups)
    return f"{ended} of {target}"
