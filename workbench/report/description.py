"""What a report says about the study itself: plan, data, backbone, ranges and provenance.

Every value may be missing, because earlier versions stored less.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote, urlsplit

from workbench.messages import counted
from workbench.record import Role
from workbench.report import methods
from workbench.tracker.store import PORT
from workbench.tracker.stored_study import Backbone, StoredStudy
from workbench.tracker.trial_run import TrialRun


def budget(study: StoredStudy) -> dict[str, Any]:
    """Planned trials: ``total``, and ``trials`` of one search (the same in a joint study)."""
    trials = study.trials_per_strategy if study.balanced else study.total
    return {"total": study.total, "trials": trials}


def search_space(study: StoredStudy) -> list[dict[str, Any]]:
    """Entries of ``tune`` with their scale; ``when`` lists the labels of each knob it names."""
    space = []
    for entry in study.tune:
        scale = "logarithmic" if entry.log else "linear"
        row = {**asdict(entry), "scale": "choice" if entry.choices else scale}
        space.append(row | {"choices": entry.choices or None})
    return space


def epochs(study: StoredStudy, rows: Sequence[TrialRun]) -> dict[str, int] | None:
    """Fewest and most epochs that trials were planned for; None where unknown."""
    known = [trial.epochs for trial in rows if trial.epochs]
    if not known and study.epochs:
        known = [int(study.epochs)]
    return {"low": min(known), "high": max(known)} if known else None


def training(study: StoredStudy) -> dict[str, Any] | None:
    """How the baseline strategy trains by default; None where the store does not have it."""
    if study.training is None:
        return None
    return {**asdict(study.training), "plans_differ": study.plans_differ}


def data(study: StoredStudy) -> dict[str, Any]:
    """Sizes of the data set's parts, and how many classes, labels or columns it has."""
    data = study.data
    return {
        **{name: getattr(data, name) for name in ("name", "train", "validation", "test", "digest")},
        "classes": data.classes if isinstance(data.classes, int | None) else len(data.classes),
        "kind": methods.kind_of_outputs(study.task),
    }


def backbone(study: StoredStudy) -> dict[str, Any]:
    """The backbone, its stages without the head, and where its first weights come from."""
    backbone = study.backbone or Backbone()
    stages = backbone.stages
    return {
        "name": backbone.name,
        "weights": backbone.weights,
        "stages": [asdict(stage) for stage in stages],
        "parameters": sum(stage.parameters for stage in stages) if stages else None,
    }


def provenance(
    study: StoredStudy, rows: Sequence[TrialRun], trials: Sequence[TrialRun]
) -> dict[str, Any]:
    """Code, environment, devices and stores; addresses without passwords.

    Args:
        study: Its description.
        rows: The trials of the search.
        trials: Those of every role.
    """
    uri = study.tracking_uri
    parts = urlsplit(uri)
    # Strip credentials: a report is published, and the store's address may contain a password.
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    experiment = study.experiment_id
    times = [trial.started for trial in rows if trial.started]
    served = parts.scheme in ("http", "https")
    # Other stores are shown by ``workbench ui``.
    server = shown.geturl().rstrip("/") if served else f"http://127.0.0.1:{PORT}"
    return {
        "code": code(study, trials),
        "damaged_checkpoints": sum(trial.damaged_checkpoints for trial in trials),
        "environment": [
            {"name": k, "value": x} for k, x in study.environment.items() if x is not None
        ],
        "packages": [{"name": k, "value": x} for k, x in sorted(study.packages.items())],
        "devices": sorted({trial.device for trial in rows if trial.device}),
        "tracking_uri": shown.geturl() if parts.netloc else uri.partition("?")[0],
        "experiment_id": experiment,
        "parent_run_id": study.parent_run_id,
        "served": served,
        "run_address": f"{server}/#/experiments/{quote(str(experiment), safe='')}/runs/",
        "first_started": min(times, default=None),
        "last_started": max(times, default=None),
        "seconds": math.fsum(trial.seconds or 0.0 for trial in rows),
    }


def code(study: StoredStudy, trials: Iterable[TrialRun]) -> str | None:
    """The commits that the runs of search and confirmation recorded, each with its number of runs.

    If the runs recorded none, the commit of the study's last start; None without either.
    """
    recorded = (trial.provenance for trial in trials if trial.role != Role.TRY)
    counts = Counter(provenance.get("commit", "") for provenance in recorded)
    unknown = counts.pop("", 0)
    if not counts:
        dirty = "+dirty" if study.dirty else ""
        return f"commit {_commit(study.commit + dirty)} at the last start" if study.commit else None
    if len(counts) == 1 and not unknown:
        # A trial records 12 digits of the commit, the study's last start all of them.
        return f"commit {_commit(next(iter(counts)), study.commit)}"
    parts = [f"commit {_commit(s)} ({counted(n, 'run')})" for s, n in counts.most_common()]
    parts += [f"an unknown commit ({counted(unknown, 'run')})"] if unknown else []
    return ", ".join(parts)


def _commit(state: str, full: str = "") -> str:
    """The commit of a trial's ``state``, with all its digits where ``full`` has them."""
    short, dirty, _ = state.partition("+dirty")
    name = full if full.startswith(short) else short
    return name + (" with uncommitted changes" if dirty else "")
