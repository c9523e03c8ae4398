"""A study's parent run in MLflow: opened while a driver runs, and what it shows of the study."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from workbench import record
from workbench.driver import GroupProgress
from workbench.record import Role, TrialDirectory, environment
from workbench.record.files import write_atomically
from workbench.study import description
from workbench.study.config.study_config import StudyConfig
from workbench.study.study import Study
from workbench.tracker import Tracker
from workbench.tracker.entry import DatasetUse
from workbench.tracker.mirror import Mirror

# Uncommitted changes may contain secrets: they are stored only on request.
LOG_DIFF = "WORKBENCH_LOG_DIFF"


@dataclass(kw_only=True)
class ParentRun:
    """A study's parent run in MLflow while its driver runs (``driver.Mirror``).

    Attributes:
        status: How the parent run is closed.
        unsent: Records that MLflow did not take.
    """

    study: str
    role: Role
    tracker: Tracker
    parent: str
    mirror: Mirror
    status: str = "FAILED"
    unsent: int = 0

    def changed(self, directory: TrialDirectory) -> None:
        """A record has changed."""
        self.mirror.changed(directory)

    def keep(self, files: Mapping[str, str]) -> None:
        """Store more texts by file name below ``study/`` of the parent run."""
        self.tracker.open_parent(
            self.study, self.role, tags={}, params={}, files=files, datasets=()
        )


@contextmanager
def opened(
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
    config, role = study.config, _parent_role(role)
    described = _described(study)
    path = study.directory / "study.json"
    # What the search was made with; a try may come after the file has changed.
    if role is Role.SEARCH or not path.exists():
        write_atomically(path, json.dumps(described, indent=1).encode())
    origin_tags, origin_files = _origin(study) if trains else ({}, {})
    tracker = Tracker(study.home)
    parent = tracker.open_parent(
        config.name,
        role,
        tags={**_tags(described, role), **origin_tags, **(tags or {})},
        params=_params(config, described, role),
        files={**_files(config, described), **origin_files, **(files or {})},
        datasets=_datasets(described, role),
    )
    page = ParentRun(
        study=study.name,
        role=role,
        tracker=tracker,
        parent=parent,
        mirror=Mirror(tracker, parent),
    )
    try:
        with page.mirror:
            try:
                yield page
            finally:
                _drain(page.mirror)
    finally:
        page.unsent = page.mirror.pending
        if not page.unsent:
            tracker.reconcile(
                study.directory,
                parent_statuses=dict.fromkeys(("search", "confirmation"), "SCHEDULED"),
            )
            tracker.close_parent(parent, page.status)


def is_settled(
    study: Study, tracker: Tracker, role: Role, files: Mapping[str, str] | None = None
) -> bool:
    """Whether a parent run is finished and holds what ``opened`` would write.

    Args:
        study: The study.
        tracker: Of its home.
        role: As for ``opened``.
        files: As for ``opened``.
    """
    wanted = {**_files(study.config, _described(study)), **(files or {})}
    return tracker.is_finished(study.name, _parent_role(role), files=wanted)


def _parent_role(role: Role) -> Role:
    return Role.CONFIRMATION if role is Role.SELECTION else role


def _described(study: Study) -> dict[str, Any]:
    """The content of study.json."""
    file = record.places.relative_to_home(study.file, study.home)
    return {**description.describe(study), "file": file}


def _drain(mirror: Mirror) -> None:
    """Wait for everything to be sent, as long as anything is."""
    sent = -1
    while mirror.pending and mirror.sent > sent:
        sent = mirror.sent
        mirror.drain()


def _params(config: StudyConfig, described: Mapping[str, Any], role: Role) -> dict[str, Any]:
    """What the page's runs have in common: of a confirmation what it measures, and no search."""
    search, data, objective = described["search"], described["data"], described["objective"]
    common = {
        "direction": objective["direction"],
        "backbone": described["backbone"]["name"],
        "dataset": data["name"],
        "epochs": described["epochs"],
    }
    if role is Role.CONFIRMATION:
        metric = config.objective.tested
        return {"metric": metric, "selection_metric": objective["metric"], **common}
    return {
        "mode": described["mode"],
        "metric": objective["metric"],
        "sampler": search["sampler"],
        "pruner": search["pruner"],
        "seed": search["seed"],
        **common,
    }


def _tags(described: Mapping[str, Any], role: Role) -> dict[str, str]:
    total = str(described["budget"]["total"])
    return {
        "workbench.file": described["file"],
        **({} if role is Role.CONFIRMATION else {"workbench.trials": total}),
        "workbench.data_digest": described["data"]["digest"],
    }


def _files(config: StudyConfig, described: Mapping[str, Any]) -> dict[str, str]:
    return {
        "study.yaml": config.document.text,
        "study.json": json.dumps(described, indent=1),
    }


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


def _datasets(described: Mapping[str, Any], role: Role) -> list[DatasetUse]:
    contexts = ["training", "validation", *(["test"] if role is Role.CONFIRMATION else [])]
    data = described["data"]
    source = {"dataset": data["name"], "study": described["name"]}
    return [
        DatasetUse(
            name=f"{data['name']} {context}", digest=data["digest"], context=context, source=source
        )
        for context in contexts
    ]


def note(config: StudyConfig, groups: Sequence[GroupProgress]) -> str:
    """The parent run's description while the search runs."""
    ended = sum(group.ended for group in groups)
    target = sum(group.target for group in groups)
    lines = [
        config.question,
        "",
        f"Searching: {ended} of {target} trials have ended. EXPLORATORY: nothing is confirmed.",
        "",
        f"| strategy | complete | pruned | failed | best {config.objective.metric} |",
        "|:--|--:|--:|--:|--:|",
    ]
    for item in groups:
        best = "" if item.best is None else f"{item.best:.4f}"
        lines.append(f"| {item.name} | {item.complete} | {item.pruned} | {item.failed} | {best} |")
    return "\n".join(lines)


def confirmation_note(
    config: StudyConfig, role: Role, groups: Sequence[GroupProgress], sha256: str
) -> str:
    """The confirmation's description while its runs are made: how far they are, and no value.

    Args:
        config: The study.
        role: Whether they are those of the selection or of the confirmation.
        groups: How far each strategy is.
        sha256: Of the protocol.
    """
    ended = sum(group.ended for group in groups)
    target = sum(group.target for group in groups)
    selecting = role is Role.SELECTION
    what = "Selecting on validation data" if selecting else "Testing what was selected"
    lines = [
        config.question,
        "",
        f"{what}: {ended} of {target} runs have ended. No test value is shown before the last.",
        f"By the protocol {sha256} (study/protocol.json).",
        "",
        f"| {'strategy' if selecting else 'arm'} | runs | complete | failed |",
        "|:--|--:|--:|--:|",
    ]
    lines += [f"| {s.name} | {s.target} | {s.complete} | {s.failed} |" for s in groups]
    return "\n".join(lines)
