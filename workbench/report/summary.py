"""From what was read of a study to what a report shows: every number of report.json.

Nothing is computed after this: pages, tables and texts only write it out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

import numpy as np

from workbench.record import Objective, Role, State
from workbench.report import confirmation, description, evidence, methods, runs, table, wording
from workbench.report.checks import Check, data, search
from workbench.report.checks import confirmation as confirmation_checks
from workbench.report.confirmation import ConfirmationResult
from workbench.report.figures import CONFIRMATION, FIGURES, Findings, LeftOut, load
from workbench.report.material import Material
from workbench.report.methods import Trained
from workbench.report.table import StrategyResult, TrialResult
from workbench.report.templates import words
from workbench.report.trials import best, is_adaptive, of_search
from workbench.tracker.stored_study import Cited, StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict import Verdict, decide
from workbench.verdict.guards import Refused, of_groups
from workbench.verdict.wording.numbers import counted

_SCHEMA = 2


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the search is.

    Attributes:
        planned: Trials in all; None where unknown.
        done: Ended trials that count towards the plan.
        open: Started and not ended.
        other_roles: Number of runs of other roles.
    """

    planned: int | None
    done: int
    started: int
    ended: int
    running: int
    parked: int
    complete: int
    pruned: int
    failed: int
    open: int
    diverged: int
    stopped_early: int
    finished: bool
    other_roles: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class FigureEntry:
    """A figure that is drawn, with its number and the part of the report that it belongs to."""

    name: str
    number: int
    caption: str
    page_only: bool
    of: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What tables and numbers for a paper are written from: a verdict and what it rests on.

    Attributes:
        study: Its name, or that of the results' file.
        confirmation: None of a search alone, and of results that are not Workbench's.
        cited: Values of the literature.
        test: The primary test as it was made; None without a comparison.
        emphasis: The rule behind bold and underlined values; None where there are none.
        caution: What must stand beside test values that no claim may rest on.
        unit: What values are paired by: ``seed`` or ``data set``.
        external: Whether the results are not Workbench's.
        strategies: Of the search, as ``progress`` is; none of external results.
    """

    study: str
    verdict: Verdict
    confirmation: ConfirmationResult | None = None
    cited: tuple[Cited, ...] = ()
    test: str | None = None
    emphasis: str | None = None
    caution: str | None = None
    unit: str = "seed"
    external: bool = False
    strategies: tuple[StrategyResult, ...] = ()
    progress: Progress | None = None

    @property
    def title(self) -> str:
        """``the study NAME``, or the name alone of external results."""
        return self.study if self.external else f"the study {self.study}"

    @property
    def metric(self) -> str:
        """The metric in words; that of external results keeps its own name."""
        return self.verdict.metric if self.external else words(self.verdict.metric)

    @property
    def shows_tests(self) -> bool:
        """Whether test values may be shown: an unfinished confirmation shows none."""
        if self.confirmation is not None:
            return bool(self.confirmation.finished and self.confirmation.arms)
        return self.external and any(side.mean for side in self.verdict.sides)


@dataclass(frozen=True, kw_only=True)
class Summary(Judged):
    """The content of report.json; fields without a type of their own are what templates print.

    Attributes:
        usable: Whether a search trial completed with a value.
        top: The best trial of the search.
        unconfirmed: What sums over the study hold besides its arms, a sentence.
        medians: Whether the centre of a strategy's trials says something about it.
        warnings: Number of checks that warn.
        objective: Of the search, on validation data.
    """

    question: str
    mode: str
    usable: bool
    notes: list[str]
    why: wording.Why
    needed: str | None
    progress: Progress
    objective: Objective
    top: TrialResult | None
    baseline: str | None
    unconfirmed: str | None
    medians: bool
    metrics: list[str]
    knobs: list[str]
    health: tuple[Check, ...]
    warnings: int
    failures: tuple[TrialResult, ...]
    divergence: list[dict[str, Any]]
    importances: dict[str, Any] | None
    factors: Mapping[str, tuple[str, ...]]
    search_space: list[dict[str, Any]]
    tuned: list[str]
    search: Mapping[str, Any]
    budget: dict[str, Any]
    epochs: dict[str, int] | None
    plan: dict[str, Any] | None
    methods: list[dict[str, Any]]
    training: Trained
    data: dict[str, Any]
    backbone: dict[str, Any]
    figures: tuple[FigureEntry, ...]
    left_out: list[dict[str, str]]
    provenance: dict[str, Any]

    @cached_property
    def content(self) -> dict[str, Any]:
        """Of report.json: plain values, floats unrounded, unknown numbers None."""
        names = [field.name for field in fields(self) if field.name not in ("unit", "external")]
        return {"schema": _SCHEMA, **{name: plain(getattr(self, name)) for name in names}}


@dataclass(frozen=True, kw_only=True)
class Composed:
    """What a report is written from.

    Attributes:
        numbers: Of each figure that is drawn, by name.
        material: What it was made from, without what must not be shown yet.
    """

    summary: Summary
    numbers: Mapping[str, Any]
    material: Material


def compose(material: Material) -> Composed:
    """Read, judge and describe a study.

    Raises:
        ValueError: The description or the protocol lacks what no report can do without.
    """
    study = material.study
    if study.missing:
        raise ValueError(
            f"The description of the study lacks {', '.join(study.missing)}; without them no report"
            " can be written. It is logged when the study is run: run the study again."
        )
    material = runs.sealed(material)
    trials = of_search(study, material.trials)
    confirmed = runs.read(material)
    gathered = evidence.gather(material, trials, confirmed)
    verdict = decide(gathered)
    result = None
    if confirmed is not None:
        result = confirmation.summarize(
            confirmed,
            gathered,
            verdict,
            search_seconds=_seconds(trials),
            sha256=study.protocol_logged or study.protocol_sha256,
        )
    training = methods.training(study)
    findings = Findings(
        study=study,
        trials=trials,
        confirmation=result,
        verdict=verdict,
        histories=material.histories,
        source=training.source,
    )
    shows_tests = result is not None and result.finished
    caution = wording.caution(verdict) if shows_tests else None
    figures, left_out, numbers = _figures(findings, caution)
    checks = [*search.summarize(study, trials), *data.summarize(study)]
    if confirmed is not None and result is not None:
        checks += confirmation_checks.summarize(material, confirmed, result)
    medians = _may_show_medians(study, trials)
    strategies = table.summarize(study, trials, medians=medians)
    top = best(study, trials)
    arms = result.arms if result else ()
    tests_loaded = confirmed or any(run.role == Role.CONFIRMATION for run in material.trials)
    summary = Summary(
        study=study.name,
        question=study.question,
        mode=study.mode,
        usable=top is not None,
        verdict=verdict,
        notes=_notes(study, trials, searched_only=not tests_loaded),
        confirmation=result,
        test=wording.sign_flip(verdict),
        emphasis=wording.emphasis(
            verdict,
            best=any(arm.best for arm in arms),
            tied=any(arm.tied_with_best for arm in arms),
        ),
        caution=caution,
        why=wording.why(verdict),
        needed=verdict.needed,
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
        figures=figures,
        left_out=left_out,
        provenance=description.provenance(study, trials, material.trials),
    )
    return Composed(summary=summary, numbers=numbers, material=material)


def plain(value: Any) -> Any:
    """Values of any kind as JSON's own; a number that is not finite becomes None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _may_show_medians(study: StoredStudy, rows: Sequence[TrialRun]) -> bool:
    """Whether the centre of a strategy's trials says something about it (refusals 3 and 5)."""
    pruned = sum(trial.state == State.PRUNED for trial in rows)
    try:
        of_groups(study.sampler, pruned=pruned)
    except Refused:
        return False
    return study.balanced


def _importances(shown: Any) -> dict[str, Any] | None:
    """What the figure of importances shows, each with evaluator and interval (refusal 13)."""
    if shown is None:
        return None
    found = shown.found
    return {"n": found.n, "level": found.level, "rows": [row._asdict() for row in found.rows]}


def _seconds(rows: Iterable[TrialRun]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for trial in rows:
        found.setdefault(trial.strategy, []).append(trial.seconds or 0.0)
    return {name: math.fsum(seconds) for name, seconds in found.items()}


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
            " their spread and centre describe the search, not the strategy."
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
            f"The study's file no longer names every strategy: {counted(len(others), 'trial')} of"
            f" {names} are listed, but do not count towards the planned number of trials."
        )
    return notes


def _progress(study: StoredStudy, runs: Sequence[TrialRun], trials: Sequence[TrialRun]) -> Progress:
    counts = Counter(trial.state for trial in trials)
    roles = Counter(run.role for run in runs)
    ended = sum(trial.ended for trial in trials)
    planned = study.total
    done, finished = ended, ended == len(trials) and (planned is None or ended >= planned)
    if targets := study.targets:
        counting = [trial for trial in trials if trial.group in targets]
        by_group = Counter(trial.group for trial in counting if trial.ended)
        planned = sum(targets.values())
        # What one group has beyond its target makes up for nothing that another one lacks.
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
    """Figures with number and caption, those left out with the reason, and what they show."""
    left_out, numbers = [], {}
    for name in FIGURES:
        try:
            numbers[name] = load(name).summarize(findings)
        except LeftOut as reason:
            left_out.append({"name": name, "reason": str(reason)})
    assert findings.verdict is not None
    # What must be said beside every value of the test split.
    added = [*wording.left_out(findings.verdict), *([caution] if caution else [])]
    drawn = []
    for number, name in enumerate(
        sorted(numbers, key=lambda name: load(name).of != CONFIRMATION), start=1
    ):
        figure = load(name)
        said = [figure.caption(numbers[name]), *(added if figure.of == CONFIRMATION else [])]
        drawn.append(
            FigureEntry(
                name=name,
                number=number,
                caption=" ".join(said),
                page_only=figure.page_only,
                of=figure.of,
            )
        )
    return tuple(drawn), left_out, numbers
