"""Figure: value of each trial against each tuned knob, one panel for each knob.

Other knobs vary within a panel too, so a panel does not show the effect of its knob.
"""

from __future__ import annotations

from workbench.plotting import naming, scale, style
from workbench.record import State
from workbench.report.checks.bounds import of_best_trials
from workbench.report.figures import Findings, LeftOut, NotApplicable, ReportFigure, trial_points
from workbench.report.figures.trial_points import Panel, TrialPoints
from workbench.tracker.trial_run import TrialRun

_MOST_PANELS = 9


def summarize(findings: Findings) -> TrialPoints:
    """A slice for each tuned knob that varies; raises ``LeftOut`` where there is none to add."""
    study, trials = findings.study, findings.trials
    if all(trial.value is None for trial in trials):
        raise LeftOut("No trial completed, so there is no value to show.")
    factor, colours = trial_points.colour_factor(study, trials)
    knobs = list(dict.fromkeys(entry.knob for entry in study.tune))
    panels = [_slice(findings, knob, factor, colours) for knob in knobs if knob != factor]
    panels = [panel for panel in panels if len({point.at for point in panel.points}) > 1]
    if not panels:
        raise NotApplicable("No tuned knob varies between the trials.")
    if [panel.name for panel in panels] == ["learning_rate"]:
        raise NotApplicable("Only the learning rate is tuned, which has a separate figure.")
    shown = trial_points.summarize(findings, panels[:_MOST_PANELS], of_best_trials(study, trials))
    return shown._replace(more=tuple(panel.name for panel in panels[_MOST_PANELS:]))


def _slice(findings: Findings, knob: str, factor: str | None, colours: tuple[str, ...]) -> Panel:
    entries = [entry for entry in findings.study.tune if entry.knob == knob]
    choices = [str(label) for entry in entries for label in entry.choices]
    given = [trial.hyperparameters.get(knob) for trial in findings.trials]
    if choices:
        # The study file may have lost a choice that earlier trials had.
        choices += [str(value) for value in given if value is not None]
        choices = list(dict.fromkeys(choices))

    def place(trial: TrialRun) -> float | None:
        value = trial.hyperparameters.get(knob)
        if choices and value is not None:
            return float(choices.index(str(value)))
        return float(value) if isinstance(value, int | float) else None

    points = trial_points.points(findings.trials, factor, colours, place)
    log = any(entry.log for entry in entries) and all(point.at > 0 for point in points)
    return Panel(knob, tuple(choices), log, points)


def caption(numbers: TrialPoints) -> str:
    """What a point is, n, and a warning where a best trial is at a bound of its range."""
    by = f", by {naming.words(numbers.factor)}" if numbers.factor else ""
    text = (
        f"{naming.capital(naming.words(numbers.metric))} against each tuned knob{by}. A point is"
        f" one completed trial (n = {numbers.count(State.COMPLETE)}). The other knobs vary within a"
        " panel too, so it shows where good trials are, not the effect of its knob."
    )
    if numbers.more:
        text += f" Not shown: {', '.join(map(naming.words, numbers.more))}."
    return trial_points.full_caption(numbers, text)


def plot(numbers: TrialPoints) -> style.Figure:
    """Small multiples on one axis of values, with a strip below where trials have no value."""
    panels = numbers.panels
    # Four panels fill two rows of two; three columns would leave a gap.
    columns = 2 if len(panels) in (2, 4) else min(len(panels), 3)
    figure, grid = trial_points.plot(numbers, columns, row=1.75, sharex=False)
    for axes, panel in zip(grid, panels, strict=True):
        if panel.log:
            places = [point.at for point in panel.points]
            axes.set_xlim(min(places) / 1.5, max(places) * 1.5)
            scale.logarithmic(axes, "x", most=4)
        axes.set_xlabel(naming.cut(naming.words(panel.name)))
    return figure


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, wide=True)
