"""The catalogue of report figures: a name to what computes, captions and draws it.

Knows neither stores nor reports, and imports matplotlib only when something is drawn, so that the
numbers and captions of a figure cost nothing. To add a figure to the report: one file with a
``FIGURE`` in it, and one line in ``FIGURES``. Figures of a single trial (``learning_curve``,
``confusion_matrix``, ``mistakes``) are called by name and are not listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from workbench.figures.trials import Trial

Numbers = TypeVar("Numbers")

FIGURES: dict[str, str] = {
    "strategies": "workbench.figures.strategies:FIGURE",
    "best_so_far": "workbench.figures.best_so_far:FIGURE",
    "learning_rate_sensitivity": "workbench.figures.learning_rate_sensitivity:FIGURE",
    "heat_map": "workbench.figures.heat_map:FIGURE",
}


class LeftOut(Exception):
    """The figure would say nothing about these trials; the message is the reason, a sentence."""


@dataclass(frozen=True, kw_only=True)
class ReportFigure(Generic[Numbers]):
    """How a figure of the report is made: numbers first, then its caption and its drawing.

    Attributes:
        summarize: Study and search trials to the numbers; raises ``LeftOut`` with a reason.
        caption: What a point is, how many there are, and what is not shown.
        draw: The numbers to a matplotlib figure; computes nothing a reader could quote.
    """

    summarize: Callable[[Mapping[str, Any], Sequence[Trial]], Numbers]
    caption: Callable[[Numbers], str]
    draw: Callable[[Numbers], Figure]


def load(name: str) -> ReportFigure[Any]:
    """The catalogue's entry of that name; raises ``KeyError`` for any other."""
    module, attribute = FIGURES[name].split(":")
    figure = getattr(import_module(module), attribute)
    assert isinstance(figure, ReportFigure)
    return figure
