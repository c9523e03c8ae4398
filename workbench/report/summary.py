"""From what was read of a study to the content of report.json: every number that a report shows.

Nothing is computed after this: pages, tables and texts only write it out. Knows neither MLflow nor
files; matplotlib is not needed for a figure's numbers and caption.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from workbench.record import Role, State
from workbench.report import confirmation, description, evidence, methods, runs, table, wording
from workbench.report.checks import confirmation as soundness
from workbench.report.checks import data, search
from workbench.report.figures import FIGURES, LeftOut, ReportFigure, load
from workbench.report.figures.arms import SOURCE
from workbench.report.findings import Findings
from workbench.report.material import Material
from workbench.report.trials import Trial, best, is_adaptive, read
from workbench.verdict import as_json, decide
from workbench.verdict.guards import Refused, of_groups

_SCHEMA = 2


@dataclass(frozen=True, kw_only=True)
class Composed:
    """What a report is written from.

    Attributes:
        content: Of report.json.
        numbers: Of each figure that is drawn, by name.
        material: What it was made from, without what must not be shown yet.
    """

    content: dict[str, Any]
    numbers: Mapping[str, Any]
    material: Material


_CONFIRMED = "confirmation"
_NEEDED = ("name", "mode", "objective", "factors", "strategies", "tune", "search")


def compose(material: Material) -> Composed:
    """Read, judge and describe a study.

    Raises:
        ValueError: The description or the protocol lacks what no report can do without.
    """
    study = material.study
    lacking = [name for name in _NEEDED if name not in study]
    if lacking:
        raise ValueError(
            f"The description of the study lacks {', '.join(lacking)}; without them no report can"
            " be written. It is logged when the study is run: run the study again."
        )
    material = runs.sealed(material)
    searched_only = not (material.trials["role"] == Role.CONFIRMATION).any()
    rows = read(study, material.trials)
    found = runs.read(material)
    gathered = evidence.gather(material, rows, found)
    verdict = decide(gathered)
    content = None
    if found is not None:
        content = plain(
            confirmation.summarize(
                found,
                gathered,
                verdict,
                search_seconds=_seconds(rows),
                sha256=study.get("protocol_logged") or study.get("protocol_sha256"),
            )
        )
    findings = Findings(
        study=study,
        trials=rows,
        confirmation=content,
        verdict=as_json(verdict),
        histories=material.histories,
    )
    told = wording.told(as_json(verdict), content)
    trained = methods.training(study)
    figures, left_out, numbers = _figures(findings, told["caution"], trained["redrawn"])
    checks = [*search.summarize(study, rows), *data.summarize(study)]
    if found is not None and content is not None:
        checks += soundness.summarize(material, found, content)
    health = [check._asdict() for check in checks]
    medians = _may_show_medians(study, rows)
    strategies = [
        item if medians else {**item, "median": None} for item in table.summarize(study, rows)
    ]
    top = best(study, rows)
    summary = {
        "schema": _SCHEMA,
        "study": study["name"],
        "question": study.get("question") or "",
        "mode": study["mode"],
        "usable": top is not None,
        "verdict": findings.verdict,
        "notes": _notes(study, rows, searched_only=searched_only and found is None),
        "confirmation": content,
        **told,
        "cited": cited(study),
        "progress": _progress(study, material.trials, rows),
        "objective": study["objective"],
        "top": table.describe(top) if top else None,
        "baseline": study.get("baseline"),
        "strategies": strategies,
        "unconfirmed": wording.unconfirmed(strategies, content["arms"] if content else ()),
        "medians": medians,
        "metrics": table.metric_names(study, strategies),
        "knobs": table.knob_names(study, strategies),
        "health": health,
        "warnings": sum(check["status"] == "warning" for check in health),
        "failures": [
            {**table.describe(t), "reason": t.reason} for t in rows if t.state == State.FAILED
        ],
        "divergence": table.divergence(rows),
        "importances": _importances(numbers.get("importances")),
        "factors": study["factors"],
        "search_space": description.search_space(study),
        "tuned": list(dict.fromkeys(entry["knob"] for entry in study["tune"])),
        "search": {name: value for name, value in study["search"].items() if value or value == 0},
        "budget": description.budget(study),
        "epochs": description.epochs(study, rows),
        "plan": description.training(study),
        "methods": methods.used(study),
        "training": trained,
        "data": description.data(study),
        "backbone": description.backbone(study),
        "figures": figures,
        "left_out": left_out,
        "provenance": description.provenance(study, rows, material.trials),
    }
    return Composed(content=plain(summary), numbers=numbers, material=material)


def cited(study: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Values of the literature, as the study file gives them."""
    block = (study.get("content") or {}).get("report") or {}
    fields = ("name", "value", "sd", "n", "source")
    return [{name: item.get(name) for name in fields} for item in block.get("cited") or ()]


def plain(value: Any) -> Any:
    """Values of any kind as JSON's own; a number that is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _may_show_medians(study: Mapping[str, Any], rows: Sequence[Trial]) -> bool:
    """Whether the centre of a strategy's trials says something about it (refusals 3 and 5)."""
    pruned = sum(trial.state == State.PRUNED for trial in rows)
    try:
        of_groups(str(study["search"].get("sampler", "")), pruned=pruned)
    except Refused:
        return False
    return bool(study["mode"] == "balanced")


def _importances(shown: Any) -> dict[str, Any] | None:
    """What the figure of importances shows, each with evaluator and interval (refusal 13)."""
    if shown is None:
        return None
    found = shown.found
    fields = ("knob", "evaluator", "estimate", "low", "high")
    rows = [{name: getattr(row, name) for name in fields} for row in found.rows]
    return {"n": found.n, "level": found.level, "rows": rows}


def _seconds(rows: Sequence[Trial]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for trial in rows:
        found.setdefault(trial.strategy, []).append(trial.seconds)
    return {name: math.fsum(seconds) for name, seconds in found.items()}


def _notes(study: Mapping[str, Any], rows: Sequence[Trial], *, searched_only: bool) -> list[str]:
    """What a reader of the search's values must know."""
    notes = []
    if any(trial.state == State.COMPLETE for trial in rows):
        notes.append(
            "Every value of the search was measured on validation data with one training seed"
            + ("; the test split was not loaded." if searched_only else ".")
        )
    elif searched_only:
        notes.append("No trial of the search has a value; the test split was not loaded.")
    if is_adaptive(study):
        notes.append(
            "Trials were proposed adaptively: later ones depend on the values of earlier ones, so"
            " their spread and centre describe the search, not the strategy."
        )
    if study["mode"] == "joint":
        notes.append(
            "One search proposed all strategies together, so their numbers of trials differ by"
            " design: counts and best values are listed, medians are not."
        )
    targets = description.targets(study)
    others = [trial for trial in rows if targets and trial.group not in targets]
    if others:
        names = ", ".join(sorted({trial.strategy for trial in others}))
        trials = "1 trial" if len(others) == 1 else f"{len(others)} trials"
        notes.append(
            f"The study's file no longer names every strategy: {trials} of {names} are listed, but"
            " do not count towards the planned number of trials."
        )
    return notes


def _progress(
    study: Mapping[str, Any], trials: pd.DataFrame, rows: Sequence[Trial]
) -> dict[str, Any]:
    counts = Counter(trial.state for trial in rows)
    roles = Counter(map(str, trials["role"]))
    ended = sum(trial.ended for trial in rows)
    planned = (study.get("budget") or {}).get("total")
    done, finished = ended, ended == len(rows) and (planned is None or ended >= planned)
    if targets := description.targets(study):
        counted = [trial for trial in rows if trial.group in targets]
        by_group = Counter(trial.group for trial in counted if trial.ended)
        planned = sum(targets.values())
        # What one group has beyond its target makes up for nothing that another one lacks.
        done = sum(min(by_group[group], target) for group, target in targets.items())
        finished = done == planned and all(trial.ended for trial in counted)
    return {
        "planned": planned,
        "done": done,
        "started": len(rows),
        "ended": ended,
        **{str(state): counts[state] for state in State},
        "open": len(rows) - ended,
        "diverged": sum(trial.diverged for trial in rows),
        "stopped_early": sum(trial.stopped_early for trial in rows),
        "finished": finished,
        "other_roles": {r: n for r, n in sorted(roles.items()) if r != Role.SEARCH},
    }


def _figures(
    findings: Findings, caution: str | None, redrawn: str
) -> tuple[list[dict[str, Any]], list[dict[str, str]], dict[str, Any]]:
    """Figures with number and caption, those left out with the reason, and what they show."""
    drawn: list[dict[str, Any]] = []
    left_out, numbers = [], {}
    left = wording.left_out(findings.verdict)
    for name in FIGURES:
        figure = load(name)
        try:
            numbers[name] = figure.summarize(findings)
        except LeftOut as reason:
            left_out.append({"name": name, "reason": str(reason)})
        else:
            entry = {"name": name, "number": 0, "caption": figure.caption(numbers[name])}
            entry |= {"page_only": figure.page_only, "of": _part(figure, findings)}
            if entry["of"] == _CONFIRMED:
                said = str(entry["caption"]).replace(SOURCE, wording.source(redrawn))
                entry["caption"] = " ".join([said, *left, *([caution] if caution else [])])
            drawn.append(entry)
    drawn.sort(key=lambda entry: entry["of"] != _CONFIRMED)
    for number, entry in enumerate(drawn, start=1):
        entry["number"] = number
    return drawn, left_out, numbers


def _part(figure: ReportFigure[Any], findings: Findings) -> str:
    """Whether a figure is about the confirmation: then the search alone cannot make it."""
    if findings.confirmation is None:
        return "search"
    try:
        figure.summarize(replace(findings, confirmation=None, verdict=None))
    except LeftOut:
        return _CONFIRMED
    return "search"
