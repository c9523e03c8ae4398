"""What a report says of the study itself: its plan, data, backbone, ranges and origin.

Reads the study's description, in which anything may be missing: an older store knew less. Knows
neither how the report is written nor what the trials reached.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import pandas as pd

from workbench.record import Role
from workbench.report import cells, methods
from workbench.report.trials import Trial
from workbench.verdict.wording.numbers import counted


def targets(study: Mapping[str, Any]) -> dict[str, int]:
    """Number of trials planned for each group; empty in a store that does not tell."""
    targets = (study.get("budget") or {}).get("targets") or {}
    return {str(group): int(target) for group, target in targets.items()}


def budget(study: Mapping[str, Any]) -> dict[str, Any]:
    """``trials`` of one search: of a strategy, or of the whole joint study."""
    budget = study.get("budget") or {}
    total, each = budget.get("total"), budget.get("trials_per_strategy")
    return {"total": total, "trials": total if study["mode"] == "joint" else each}


def search_space(study: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Entries of ``tune`` with all fields; ``when`` lists the labels of each knob it names."""
    fields = ("knob", "low", "high", "log", "choices", "default")
    space = []
    for entry in study["tune"]:
        scale = "logarithmic" if entry.get("log") else "linear"
        row = {name: entry.get(name) for name in fields}
        row["scale"] = "choice" if entry.get("choices") else scale
        when = (entry.get("when") or {}).items()
        row["when"] = {name: x if isinstance(x, list | tuple) else [x] for name, x in when}
        space.append(row)
    return space


def epochs(study: Mapping[str, Any], rows: Sequence[Trial]) -> dict[str, int] | None:
    """Fewest and most epochs that trials were planned for; None where nobody tells."""
    known = [trial.epochs for trial in rows if trial.epochs]
    if not known and study.get("epochs"):
        known = [int(study["epochs"])]
    return {"low": min(known), "high": max(known)} if known else None


def training(study: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the baseline strategy trains by default; None in a store that does not tell."""
    plan = study.get("plan")
    if not plan:
        return None
    fields = ("name", "epochs", "optimizer", "schedule", "warmup_epochs")
    phases = [{name: phase.get(name) for name in fields} for phase in plan.get("phases") or []]
    return {
        "batch_size": plan.get("batch_size"),
        "augmentation": list(plan.get("augmentation") or []),
        "phases": phases,
        "enqueued": plan.get("enqueued") or 0,
        "plans_differ": bool(study.get("plans_differ")),
    }


def data(study: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes of the data set's parts, and how many classes, labels or columns it has."""
    data = study.get("data") or {}
    fields = ("name", "train", "validation", "test", "digest")
    classes = data.get("classes")
    number = len(classes) if isinstance(classes, list | tuple) else classes
    kind = methods.kind_of_outputs(study)
    return {**{name: data.get(name) for name in fields}, "classes": number, "kind": kind}


def backbone(study: Mapping[str, Any]) -> dict[str, Any]:
    """The backbone, its stages without the head, and where its first weights come from."""
    backbone = study.get("backbone") or {}
    weights, stages = backbone.get("weights"), backbone.get("stages") or []
    return {
        "name": backbone.get("name"),
        "weights": weights.get("source") if isinstance(weights, Mapping) else weights,
        "stages": stages,
        "parameters": sum(stage["parameters"] for stage in stages) if stages else None,
    }


def provenance(
    study: Mapping[str, Any], rows: Sequence[Trial], trials: pd.DataFrame
) -> dict[str, Any]:
    """Code, environment, devices and stores; an address without the password that it may hold.

    Args:
        study: Its description.
        rows: The trials of the search.
        trials: Those of the confirmation as well, as the tracker reads them.
    """
    environment = dict(study.get("environment") or {})
    packages = environment.pop("packages", None) or {}
    uri = str(study.get("tracking_uri") or "")
    parts = urlsplit(uri)
    # A report is published, a store's address may carry a password.
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    experiment = study.get("experiment_id")
    times = [trial.started for trial in rows if trial.started]
    runs = f"{shown.geturl().rstrip('/')}/#/experiments/{quote(str(experiment), safe='')}/runs/"
    return {
        "code": code(study, trials),
        "damaged_checkpoints": int(trials["damaged_checkpoints"].sum())
        if "damaged_checkpoints" in trials
        else 0,
        "environment": [{"name": k, "value": x} for k, x in environment.items() if x is not None],
        "packages": [{"name": name, "value": packages[name]} for name in sorted(packages)],
        "devices": sorted({trial.device for trial in rows if trial.device}),
        "tracking_uri": shown.geturl() if parts.netloc else uri.partition("?")[0],
        "experiment_id": experiment,
        "parent_run_id": study.get("parent_run_id"),
        "run_address": runs if parts.scheme in ("http", "https") else None,
        "first_started": min(times, default=None),
        "last_started": max(times, default=None),
        "seconds": math.fsum(trial.seconds for trial in rows),
    }


def code(study: Mapping[str, Any], trials: pd.DataFrame) -> str | None:
    """The commits that the runs of search and confirmation recorded, each with its number of runs.

    In a store whose runs recorded none, the commit of the study's last start; None without either.
    """
    git, counts = study.get("git") or {}, Counter[str]()
    if "provenance" in trials:
        recorded = trials[trials["role"] != Role.TRY]["provenance"]
        counts.update(cells.mapping(found).get("commit") or "" for found in recorded)
    unknown = counts.pop("", 0)
    last = str(git.get("commit") or "")
    if not counts:
        dirty = "+dirty" if git.get("dirty") else ""
        return f"commit {_commit(last + dirty)} at the last start" if last else None
    if len(counts) == 1 and not unknown:
        # A trial records 12 digits; the study's last start knows the others of the same commit.
        return f"commit {_commit(next(iter(counts)), last)}"
    told = [f"commit {_commit(s)} ({counted(n, 'run')})" for s, n in counts.most_common()]
    told += [f"an unknown commit ({counted(unknown, 'run')})"] if unknown else []
    return ", ".join(told)


def _commit(state: str, full: str = "") -> str:
    """The commit of a trial's ``state``, with all its digits where ``full`` has them."""
    short, dirty, _ = state.partition("+dirty")
    name = full if full.startswith(short) else short
    return name + (" with uncommitted changes" if dirty else "")
