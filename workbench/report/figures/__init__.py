"""The catalogue of report figures: by name, what computes, captions and draws each of them.

To add a figure to the report, write one file with a ``FIGURE`` and add one line to ``FIGURES``.
Matplotlib is imported only when a figure is drawn; numbers and captions do not need it. Figures of
a single trial are in ``plotting``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, Generic, TypeVar

from workbench.plotting import style, venues
from workbench.report.material import Histories, Predictions
from workbench.report.results import ConfirmationResult
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict import Verdict

Numbers = TypeVar("Numbers")

# In the order of the page, the most useful first.
FIGURES: dict[str, str] = {
    "forest": "workbench.report.figures.forest:FIGURE",
    "confirmed": "workbench.report.figures.confirmed:FIGURE",
    "predicted_against_true": "workbench.report.figures.predicted_against_true:FIGURE",
    "interaction": "workbench.report.figures.interaction:FIGURE",
    "strategies": "workbench.report.figures.strategies:FIGURE",
    "learning_rate_sensitivity": "workbench.report.figures.learning_rate_sensitivity:FIGURE",
    "best_so_far": "workbench.report.figures.best_so_far:FIGURE",
    "best_so_far_by_seconds": "workbench.report.figures.best_so_far:BY_SECONDS",
    "heat_map": "workbench.report.figures.heat_map:FIGURE",
    "slices": "workbench.report.figures.slices:FIGURE",
    "learning_curves": "workbench.report.figures.learning_curves:FIGURE",
    "importances": "workbench.report.figures.importances:FIGURE",
    "cost_quality": "workbench.report.figures.cost_quality:FIGURE",
    "expected_maximum": "workbench.report.figures.expected_maximum:FIGURE",
}
# For results on several data sets, drawn by ``workbench verdict``; a study has one data set.
ACROSS: dict[str, str] = {
    "critical_difference": "workbench.report.figures.critical_difference:FIGURE",
    "performance_profile": "workbench.report.figures.performance_profile:FIGURE",
}
SEARCH, CONFIRMATION = "search", "confirmation"


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The data of all figures.

    Attributes:
        trials: Of the search.
        confirmation: None where none has begun; without values while it is unfinished.
        seeds: The word for seeds in captions.
        source: A sentence on what varies between the runs of an arm, for captions.
    """

    study: StoredStudy
    trials: Sequence[TrialRun]
    confirmation: ConfirmationResult | None = None
    verdict: Verdict | None = None
    histories: Histories = field(default_factory=dict)
    predictions: Predictions = field(default_factory=dict)
    seeds: str = "training seeds"
    source: str = ""


class LeftOut(Exception):
    """The figure would show nothing for these trials; the message is a sentence with the reason."""


class NotApplicable(LeftOut):
    """No reader of such a study expects the figure, so the report does not mention it."""


@dataclass(frozen=True, kw_only=True)
class ReportFigure(Generic[Numbers]):
    """How a figure of the report is made: numbers first, then its caption and its drawing.

    Attributes:
        summarize: Computes the numbers from the findings (or from a table, for several data sets);
            raises ``LeftOut`` with a reason.
        caption: What a point and a bar are, how many there are, and what is not shown.
        plot: Draws the numbers with matplotlib; computes nothing that a reader could quote.
        of: The part of a report that it belongs to: the search or the confirmation; where the
            numbers decide that, a function of them.
        wide: Whether it spans both columns of a page of two columns.
    """

    summarize: Callable[..., Numbers]
    caption: Callable[[Numbers], str]
    plot: Callable[[Numbers], style.Figure]
    of: str | Callable[[Numbers], str] = SEARCH
    wide: bool = False

    def part(self, numbers: Numbers) -> str:
        """The part of a report that the figure belongs to."""
        return self.of if isinstance(self.of, str) else self.of(numbers)

    def draw(self, numbers: Numbers, venue: str = venues.PAGE) -> style.Figure:
        """The figure in the house style, at the width that the venue allows."""
        with venues.at(venue, wide=self.wide):
            return style.draw(self.plot, numbers)


def load(name: str) -> ReportFigure[Any]:
    """The figure of that name; raises ``KeyError`` for any other."""
    figure = resolve_name({**FIGURES, **ACROSS}[name])
    assert isinstance(figure, ReportFigure)
    return figure
