"""Small multiples of one curve for each strategy, used by the figures of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from workbench.plotting import naming, style
from workbench.report.trials import encoding, varying_factors
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun


class Place(NamedTuple):
    """Where a strategy's curve is drawn, and how it looks.

    Attributes:
        label: In the legend: the strategy, or the level of its first factor where there are panels.
        panel: Lines of the panel's title: the levels of the other factors; empty for one panel.
        colour: Index of the first factor's level.
        stroke: Index of line style and marker.
    """

    label: str
    panel: tuple[str, ...]
    colour: int
    stroke: int


def places(
    study: StoredStudy, trials: Sequence[TrialRun], strategies: Sequence[str]
) -> tuple[Place, ...]:
    """The place of each strategy; many curves get panels by all factors but the first."""
    codes = encoding(study, trials)
    first, *others = [*varying_factors(study, trials)] or [""]
    # More curves than line styles could not be distinguished without colours.
    many = len(strategies) > len(style.LINES) and bool(others)
    all_places = []
    for index, name in enumerate(strategies):
        trial = next(trial for trial in trials if trial.strategy == name)
        colour, _ = codes[name]
        if many:
            panel = tuple(f"{naming.words(other)} {trial.label(other)}" for other in others)
            all_places.append(Place(str(trial.label(first)), panel, colour, colour))
        else:
            all_places.append(Place(name, (), colour, index))
    return tuple(all_places)


def plot(
    places: Sequence[Place], across: str, up: str, *, markers: bool = False
) -> tuple[style.Figure, list[tuple[style.Axes, style.Entry]]]:
    """Empty panels on shared axes, with a legend.

    Args:
        places: Of the curves that the caller draws.
        across: Label of the horizontal axis.
        up: Label of the vertical axis.
        markers: Whether the curves have markers.

    Returns:
        The figure and, for each place, its axes with the colour, marker and line of its curve.
    """
    titles = list(dict.fromkeys(place.panel for place in places))
    entries = {
        place.label: style.Entry(
            place.label,
            style.colour(place.colour),
            style.marker(place.stroke) if markers else "",
            style.line(place.stroke),
        )
        for place in places
    }
    columns = min(len(titles), 3)  # in four, labels of ticks would overlap
    shown = [*entries.values()]
    figure, grid = style.panels(len(titles), columns, row=1.9, rest=0.45, entries=shown)
    for axes, title in zip(grid, titles, strict=True):
        style.panel_label(axes, title)
    figure.supxlabel(across)
    figure.supylabel(up)
    return figure, [(grid[titles.index(place.panel)], entries[place.label]) for place in places]
