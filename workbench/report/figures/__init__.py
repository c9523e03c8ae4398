"""The catalogue of report figures: a name to what computes, captions and draws it.

Knows neither stores nor reports, and imports matplotlib only when something is drawn, so that the
numbers and captions of a figure cost nothing. To add a figure to the report: one file with a
``FIGURE`` in it, and one line in ``FIGURES``. Figures of a single trial (``learning_curve``,
``confusion_matrix``, ``mistakes``) are called by name and are not listed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from workbench.plotting.canvas import lettered

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.report.findings import Findings

Numbers = TypeVar("Numbers")

# In the order of their value to a reader, which is that of the page.
FIGURES: dict[str, str] = {
    "forest": "workbench.report.figures.forest:FIGURE",
    "confirmed": "workbench.report.figures.confirmed:FIGURE",
    "pairwise": "workbench.report.figures.pairwise:FIGURE",
    "strategies": "workbench.report.figures.strategies:FIGURE",
    "learning_rate_sensitivity": "workbench.report.figures.learning_rate_sensitivity:FIGURE",
    "best_so_far": "workbench.report.figures.best_so_far:FIGURE",
    "best_so_far_by_seconds": "workbench.report.figures.best_so_far:BY_SECONDS",
    "heat_map": "workbench.report.figures.heat_map:FIGURE",
    "slices": "workbench.report.figures.slices:FIGURE",
    "learning_curves": "workbench.report.figures.learning_curves:FIGURE",
    "importances": "workbench.report.figures.importances:FIGURE",
    "cost_quality": "workbench.report.figures.cost_quality:FIGURE",
    "edf": "workbench.report.figures.edf:FIGURE",
    "expected_maximum": "workbench.report.figures.expected_maximum:FIGURE",
    "parallel_coordinates": "workbench.report.figures.parallel_coordinates:FIGURE",
    "critical_difference": "workbench.report.figures.critical_difference:FIGURE",
    "performance_profile": "workbench.report.figures.performance_profile:FIGURE",
}


class LeftOut(Exception):
    """The figure would say nothing about these trials; the message is the reason, a sentence."""


@dataclass(frozen=True, kw_only=True)
class ReportFigure(Generic[Numbers]):
    """How a figure of the report is made: numbers first, then its caption and its drawing.

    Attributes:
        summarize: Findings to the numbers; raises ``LeftOut`` with a reason.
        caption: What a point and a bar are, how many there are, and what is not shown.
        draw: The numbers to a matplotlib figure; computes nothing a reader could quote.
        wide: It wants the whole width of a page of two columns, not one of them.
        page_only: It stands in the page alone; ``figures/`` holds no file of it.
    """

    summarize: Callable[[Findings], Numbers]
    caption: Callable[[Numbers], str]
    draw: Callable[[Numbers], Figure]
    wide: bool = False
    page_only: bool = False

    def __post_init__(self) -> None:
        # Whoever draws it: a name may be in any script.
        object.__setattr__(self, "draw", lettered(self.draw))


def load(name: str) -> ReportFigure[Any]:
    """The catalogue's entry of that name; raises ``KeyError`` for any other."""
    figure = resolve_name(FIGURES[name])
    assert isinstance(figure, ReportFigure)
    return figure
