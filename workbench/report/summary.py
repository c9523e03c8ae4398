"""Composes a report: reads, judges and describes a study, and computes every number of report.json.

Pages, tables and texts only write these numbers out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.messages import counted
from workbench.record import Role, State
from workbench.report import (
    additions,
    confirmation,
    description,
    evidence,
    methods,
    mistakes,
    runs,
    table,
    wording,
)
from workbench.report.checks import confirmation as confirmation_checks
from workbench.report.checks import data, search
from workbench.report.content import FigureEntry, Progress, Summary
from workbench.report.figures import CONFIRMATION, FIGURES, Findings, LeftOut, NotApplicable, load
from workbench.report.material import Material
from workbench.report.trials import best, is_adaptive, may_show_medians, of_search
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict import decide


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """What a report is written from.

    Attributes:
        numbers: Of each figure that is drawn, by name.
        material: What the report was made from, without test values that must not be shown yet.
    """

    summary: Summary
    numbers: Mapping[str, Any]
    material: Material


def compose(material: Material, *, figures: bool = True) -> ReportContent:
    """Read, judge and describe a study.

    Args:
        material: Of the study.
        figures: Also compute what figures show.

    Raises:
        ValueError: The description or the protocol lacks a required key.
    """
    study = material.study
    if study.missing:
        raise ValueError(
            f"The description of the study in MLflow lacks {', '.join(study.missing)}, so no report"
            " can be written. Run the study again: each run logs the description."
        )
    # First of all, so that nothing below can show a test value too early.
    material = runs.sealed(material)
    trials = of_search(study, material.trials)
    confirmed = runs.read(material)
    gathered = evidence.gather(material, trials, confirmed)
    if study.added:
        gathered = evidence.of_addition(gathered, study.added)
    verdict = decide(gathered)
    result, first, whole = None, None, confirmed
    parts: tuple[Material, ...] = ()
    if confirmed is not None and confirmed.finished and material.added:
        whole, gathered, parts = additions.join(material, confirmed, gathered)
        first = verdict if parts else None
        # No second look follows any more, even if one was planned.
        verdict = additions.claimed(replace(decide(gathered), fresh=None), parts)
    searched = [*trials, *(run for each in parts for run in of_search(each.study, each.trials))]
    if whole is not None:
        result = confirmation.summarize(
            whole,
            gathered,
            verdict,
            search_seconds=_seconds(searched),
            sha256=(
                study.protocol_logged or study.protocol_sha256,
                study.second_look.planned_sha256 if study.second_look else None,
            ),
        )
    training = methods.training(study)
    findings = Findings(
        study=study,
        trials=trials,
        confirmation=result,
        verdict=verdict,
        histories={key: h for each in (material, *parts) for key, h in each.histories.items()},
        predictions={key: p for each in (material, *parts) for key, p in each.predictions.items()},
        source=training.source,
    )
    shows_tests = result is not None and result.finished
    caution = wording.caution(verdict) if shows_tests else None
    entries, left_out, numbers = _figures(findings, caution) if figures else ((), [], {})
    checks = [*search.summarize(study, trials), *data.summarize(study)]
    if confirmed is not None and result is not None:
        checks += confirmation_checks.summarize(material, confirmed, result)
    medians = may_show_medians(study, trials)
    strategies = table.summarize(study, trials, medians=medians)
    top = best(study, trials)
    arms = result.arms if result else ()
    # A confirmation without a protocol has loaded the test split as well.
    tests_loaded = confirmed or any(run.role == Role.CONFIRMATION for run in material.trials)
    summary = Summary(
        study=study.name,
        first=first,
        added={each.study.name: each.study.protocol_logged for each in parts},
        question=study.question,
        mode=study.mode,
        usable=top is not None,
        verdict=verdict,
        notes=_notes(study, trials, searched_only=not tests_loaded),
        confirmation=result,
        test=wording.primary_test(verdict),
        emphasis=wording.emphasis(verdict, arms),
        columns=wording.columns(verdict),
        caution=caution,
        why=wording.why(verdict),
        # No seeds can be added once strategies were.
        needed=wording.needed(verdict, study.name) if first is None else None,
        cited=study.cited,
        progress=_progress(study, material.trials, trials),
        objective=study.objective,
        top=table.describe(top) if top else None,
        baseline=study.baseline,
        strategies=strategies,
        unconfirmed=wording.unconfirmed(strategies, {arm.strategy for arm in arms if arm.trial}),
        medians=medians,
        metrics=table.metric_names(study, strategies),
        knobs=table.knob_names(study, strategies),
        health=tuple(checks),
        warnings=sum(check.status == "warning" for check in checks),
        failures=tuple(table.describe(t) for t in trials if t.state == State.FAILED),
        divergence=table.divergence(trials),
        mistakes=mistakes.summarize(
            study,
            searched,
            result,
            {run_id: one for each in (material, *parts) for run_id, one in each.artifacts.items()},
        ),
        importances=_importances(numbers.get("importances")),
        factors=study.factors,
        search_space=description.search_space(study),
        tuned=list(dict.fromkeys(entry.knob for entry in study.tune)),
        search={name: value for name, value in study.search.items() if value or value == 0},
        budget=description.budget(study),
        epochs=description.epochs(study, trials),
        plan=description.training(study),
        methods=methods.used(study),
        training=training,
        data=description.data(study),
        backbone=description.backbone(study),
        figures=entries,
        left_out=left_out,
        provenance=description.provenance(study, trials, material.trials),
    )
    return ReportContent(summary=summary, numbers=numbers, material=material)


def _importances(shown: Any) -> dict[str, Any] | None:
    """What the figure of importances shows, each with evaluator and interval (refusal 13)."""
    if shown is None:
        return None
    results = shown.results
    return {"n": results.n, "level": results.level, "rows": [r._asdict() for r in results.rows]}


def _seconds(rows: Iterable[TrialRun]) -> dict[str, float]:
    """Seconds of all search trials by strategy."""
    by_name: dict[str, list[float]] = {}
    for trial in rows:
        by_name.setdefault(trial.strategy, []).append(trial.seconds or 0.0)
    return {name: math.fsum(seconds) for name, seconds in by_name.items()}


def _notes(study: StoredStudy, rows: Sequence[TrialRun], *, searched_only: bool) -> list[str]:
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
            " their spread and median describe the search, not the strategy."
        )
    if not study.balanced:
        notes.append(
            "One search proposed all strategies together, so their numbers of trials differ by"
            " design: counts and best values are listed, medians are not."
        )
    targets = study.targets
    others = [trial for trial in rows if targets and trial.group not in targets]
    if others:
        names = ", ".join(sorted({trial.strategy for trial in others}))
        notes.append(
            f"Some strategies were removed from the study file: {counted(len(others), 'trial')} of"
            f" {names} are listed, but do not count towards the planned number of trials."
        )
    return notes


def _progress(study: StoredStudy, runs: Sequence[TrialRun], trials: Sequence[TrialRun]) -> Progress:
    counts = Counter(trial.state for trial in trials)
    roles = Counter(run.role for run in runs)
    ended = sum(trial.ended for trial in trials)
    planned = study.total
    # Studies of earlier versions have a total and no targets of groups.
    done, finished = ended, ended == len(trials) and (planned is None or ended >= planned)
    if targets := study.targets:
        counting = [trial for trial in trials if trial.group in targets]
        by_group = Counter(trial.group for trial in counting if trial.ended)
        planned = sum(targets.values())
        # Extra trials of one group do not replace missing trials of another.
        done = sum(min(by_group[group], target) for group, target in targets.items())
        finished = done == planned and all(trial.ended for trial in counting)
    return Progress(
        planned=planned,
        done=done,
        started=len(trials),
        ended=ended,
        **{str(state): counts[state] for state in State},
        open=len(trials) - ended,
        diverged=sum(trial.diverged for trial in trials),
        stopped_early=sum(trial.stopped_early for trial in trials),
        finished=finished,
        other_roles={r: n for r, n in sorted(roles.items()) if r != Role.SEARCH},
    )


def _figures(
    findings: Findings, caution: str | None
) -> tuple[tuple[FigureEntry, ...], list[dict[str, str]], dict[str, Any]]:
    """Figures with number and caption, those left out with the reason, and what they show.

    Figures of the confirmation come first, as their part of the report does.
    """
    left_out, numbers, parts = [], {}, {}
    for name in FIGURES:
        figure = load(name)
        try:
            numbers[name] = figure.summarize(findings)
        except NotApplicable:
            continue
        except LeftOut as reason:
            left_out.append({"name": name, "reason": str(reason)})
        else:
            parts[name] = figure.part(numbers[name])
    assert findings.verdict is not None
    # Every caption that shows test values must also carry these warnings.
    added = [*wording.left_out(findings.verdict), *([caution] if caution else [])]
    drawn = []
    ordered = sorted(parts, key=lambda name: parts[name] != CONFIRMATION)
    for number, name in enumerate(ordered, start=1):
        caption = load(name).caption(numbers[name])
        sentences = [caption, *(added if parts[name] == CONFIRMATION else [])]
        drawn.append(
            FigureEntry(
                name=name,
                number=number,
                caption=" ".join(sentences),
                of=parts[name],
            )
        )
    return tuple(drawn), left_out, numbers
