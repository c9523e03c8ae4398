"""Figure: importance of each knob by two evaluators, with intervals.

Both are shown because they answer different questions and often disagree.
``workbench.report.importances`` computes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workbench.messages import counted
from workbench.plotting import naming, saving, style
from workbench.report.checks.bounds import range_of, settings_of
from workbench.report.figures import Findings, LeftOut, ReportFigure
from workbench.report.trials import is_adaptive
from workbench.tracker.stored_study import Range, StoredStudy
from workbench.tracker.trial_run import TrialRun

if TYPE_CHECKING:
    from workbench.report.importances import Importance, Importances

_MOST_KNOBS = 15
_ADVISED = 50  # completed trials that PED-ANOVA wants: five in its best tenth


class Shown(NamedTuple):
    """Importances with what a caption must say; ``knobs`` are sorted, the most important first."""

    metric: str
    results: Importances
    knobs: tuple[str, ...]
    evaluators: tuple[str, ...]
    without_value: int
    adaptive: bool


def summarize(findings: Findings) -> Shown:
    """Importances over all completed trials, compared factors among the knobs.

    Raises:
        LeftOut: Too few trials completed, or nothing varies between them.
    """
    study, trials = findings.study, findings.trials
    valued = [trial for trial in trials if trial.value is not None]
    if not valued:
        raise LeftOut("No trial completed, so there is no value to explain.")
    # Imported here because Optuna takes long to import and most commands do not need it.
    from workbench.report import importances

    sign = -1 if study.maximizes else 1  # Optuna minimises
    observed = []
    for number, trial in enumerate(valued):
        settings, ranges = _setting(study, trial)
        loss = sign * (trial.value or 0.0)
        observed.append(importances.observe(number, settings, ranges, loss))
    try:
        results = importances.cached(observed)
    except ValueError as error:
        raise LeftOut(str(error)) from error
    # By the larger of both: a knob is worth showing if either evaluator finds it important.
    ranked = sorted(results.rows, key=lambda row: -row.estimate)
    knobs = list(dict.fromkeys(row.knob for row in ranked))[:_MOST_KNOBS]
    return Shown(
        metric=study.objective.metric,
        results=results,
        knobs=tuple(knobs),
        evaluators=(importances.PED_ANOVA, importances.FANOVA),
        without_value=len(trials) - len(valued),
        adaptive=is_adaptive(study),
    )


def _setting(
    study: StoredStudy, trial: TrialRun
) -> tuple[dict[str, float | str], dict[str, Range]]:
    """What a trial was set to, and the ranges that applied to it; levels count as choices."""
    settings: dict[str, float | str] = dict(trial.hyperparameters)
    known = settings_of(trial)
    ranges = {knob: entry for knob in settings if (entry := range_of(study, knob, known))}
    for factor, labels in study.factors.items():
        if (label := trial.levels.get(factor)) in labels:
            settings[factor], ranges[factor] = label, Range(knob=factor, choices=labels)
    return settings, ranges


def caption(numbers: Shown) -> str:
    """What a point and a bar are for each evaluator, n, and limits of the two."""
    results = numbers.results
    part = f" of {results.of}" if results.of < results.n else ""
    text = (
        f"Importance of each knob for {naming.words(numbers.metric)}, by two evaluators that answer"
        f" different questions (n = {results.n} completed trials). {numbers.evaluators[0]}"
        " (Watanabe et al. 2023): which knobs distinguish the best tenth of the trials; shares sum"
        f" to 1. {numbers.evaluators[1]} (Hutter et al. 2014): share of a random forest's variance"
        " that a knob explains by itself, on the scale of its range. Bar:"
        f" {100 * results.level:g} % percentile bootstrap over trials ({results.draws}"
        f" resamples{part}, so its ends are rough)."
    )
    if results.skipped:
        names = ", ".join(map(naming.words, results.skipped))
        text += f" {numbers.evaluators[1]} cannot evaluate what only some trials have: {names}."
    if numbers.without_value:
        text += f" Left out: {counted(numbers.without_value, 'trial')} without a value."
    if results.n < _ADVISED:
        text += f" Fewer than {_ADVISED} completed trials: {numbers.evaluators[0]} is unstable."
    if numbers.adaptive:
        text += " The search was adaptive, so importances describe the region that it sampled."
    return text


def plot(numbers: Shown) -> style.Figure:
    """A row for each knob: a point and a bar for each evaluator."""
    figure = style.figure(height=0.85 + 0.3 * len(numbers.knobs))
    axes = figure.subplots()
    for row in numbers.results.rows:
        if row.knob in numbers.knobs:
            place = numbers.evaluators.index(row.evaluator)
            _draw_row(axes, row, numbers.knobs.index(row.knob) + 0.26 * (place - 0.5), place)
    style.rows(axes, [naming.words(knob) for knob in numbers.knobs], "importance")
    axes.set_xlim(0, 1)
    style.legend(figure, style.entries(numbers.evaluators))
    return figure


def _draw_row(axes: style.Axes, row: Importance, y: float, place: int) -> None:
    shade, shape = style.colour(place), style.marker(place)
    axes.plot([row.low, row.high], [y, y], linewidth=1.3, color=shade, clip_on=False, zorder=3)
    point = axes.scatter(
        [row.estimate], [y], s=20, marker=shape, color=shade, clip_on=False, zorder=3
    )
    ends = f"[{row.low:.2f}, {row.high:.2f}]"
    saving.hover(point, f"{row.knob}, {row.evaluator}: {row.estimate:.3f} {ends}")


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot)
