"""Figure: value of each trial against its learning rate."""

from __future__ import annotations

from workbench.plotting import naming, scale, style
from workbench.record import State
from workbench.report.checks.bounds import of_best_trials
from workbench.report.figures import Findings, LeftOut, NotApplicable, ReportFigure, trial_points
from workbench.report.figures.trial_points import Panel, TrialPoints
from workbench.report.trials import varying_factors

_MOST_PANELS = 6


def summarize(findings: Findings) -> TrialPoints:
    """Points by panel and colour; raises ``LeftOut`` where learning rates or values are missing.

    Panels are freeze depths or, where these do not differ, levels of another factor.
    """
    study, trials = findings.study, findings.trials
    if all(trial.value is None for trial in trials):
        raise LeftOut("No trial completed, so there is no value to show.")
    if len({trial.learning_rate for trial in trials if trial.learning_rate is not None}) < 2:
        raise NotApplicable("All trials have the same learning rate.")
    factors = varying_factors(study, trials)
    factor, colours = trial_points.colour_factor(study, trials)
    # A factor of many levels would need more panels than fit a page.
    others = [name for name in factors if name != factor and len(factors[name]) <= _MOST_PANELS]
    panel_factor = "freeze_depth" if "freeze_depth" in others else next(iter(others), None)
    panels = []
    for level in factors[panel_factor] if panel_factor else ("",):
        group = [t for t in trials if not panel_factor or t.label(panel_factor) == level]
        points = trial_points.points(group, factor, colours, lambda trial: trial.learning_rate)
        panels.append(Panel(level, (), True, points))
    bounds = [b for b in of_best_trials(study, trials) if b.knob.endswith("learning_rate")]
    several_phases = any(entry.knob.endswith(".learning_rate") for entry in study.tune)
    shown = trial_points.summarize(findings, panels, bounds)
    return shown._replace(panel_factor=panel_factor, several_phases=several_phases)


def caption(numbers: TrialPoints) -> str:
    """What a point is, n, and a warning where a best trial is at a bound of its range."""
    by = f", by {naming.words(numbers.factor)}" if numbers.factor else ""
    panels = f" and {naming.words(numbers.panel_factor)}" if numbers.panel_factor else ""
    text = (
        f"{naming.capital(naming.words(numbers.metric))} against learning rate{by}{panels}. A point"
        f" is one completed trial (n = {numbers.count(State.COMPLETE)}); its other hyperparameters"
        " differ too."
    )
    if numbers.several_phases:
        text += " The learning rate is that of a trial's last phase."
    return trial_points.full_caption(numbers, text)


def plot(numbers: TrialPoints) -> style.Figure:
    """Small multiples on shared axes, with a strip below where trials have no value."""
    columns = min(len(numbers.panels), 3)
    row = 1.95 if columns > 1 else 2.5
    figure, grid = trial_points.plot(numbers, columns, row=row, sharex=True)
    rates = [point.at for point in numbers.points]
    for axes, panel in zip(grid, numbers.panels, strict=True):
        # Before the ticks, which depend on the limits.
        axes.set_xlim(min(rates) / 1.5, max(rates) * 1.5)
        scale.logarithmic(axes, "x")
        if numbers.panel_factor:
            style.panel_label(axes, [f"{naming.words(numbers.panel_factor)} {panel.name}"])
    figure.supxlabel("learning rate")
    return figure


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, wide=True)
