"""Figure: test value against cost, with the Pareto front of the means.

Only the verdict can show whether differences along the front are more than noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from workbench.plotting import scale, style
from workbench.plotting.canvas import lettered
from workbench.report.figures import CONFIRMATION, Findings, LeftOut, ReportFigure
from workbench.report.figures.sides import ends, finished, looks, mean, valued, values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Point(NamedTuple):
    """One arm at its cost; ``front``: no other arm is both cheaper and better."""

    name: str
    cost: float
    mean: float
    low: float
    high: float
    front: bool
    colour: str
    marker: str


class Panel(NamedTuple):
    """One kind of cost."""

    label: str
    points: tuple[Point, ...]


class CostQuality(NamedTuple):
    """Seconds of a training run, and trainable parameters where arms differ in them."""

    metric: str
    direction: str
    panels: tuple[Panel, ...]
    n: int


def summarize(findings: Findings) -> CostQuality:
    """Arms by cost; raises ``LeftOut`` where fewer than two costs differ."""
    confirmation = finished(findings)
    protocol, arms = confirmation.protocol, valued(confirmation)
    look = looks(findings, arms)
    panels = []
    for label, costs in (
        ("seconds a training run", [arm.seconds_mean for arm in arms]),
        ("trainable parameters", [arm.trainable for arm in arms]),
    ):
        pairs = [(arm, float(cost)) for arm, cost in zip(arms, costs, strict=True) if cost]
        # With equal costs the panel would be a vertical line of points.
        if len({cost for _, cost in pairs}) < 2:
            continue
        means = [mean(arm) for arm, _ in pairs]
        front = pareto([cost for _, cost in pairs], means, protocol.direction)
        points = [
            Point(arm.name, cost, mean(arm), *ends(arm), on, *look[arm.name])
            for (arm, cost), on in zip(pairs, front, strict=True)
        ]
        panels.append(Panel(label, tuple(points)))
    if not panels:
        raise LeftOut("No two strategies have different costs.")
    n = max(len(values(arm)) for arm in arms)
    return CostQuality(protocol.metric, protocol.direction, tuple(panels), n)


def pareto(costs: Sequence[float], values: Sequence[float], direction: str) -> list[bool]:
    """Of each point, whether no other is at least as good in both and better in one.

    Args:
        costs: Lower is better.
        values: By ``direction``.
        direction: ``maximize`` or ``minimize``, of the values.
    """
    sign = 1 if direction == "maximize" else -1
    points = [(cost, -sign * value) for cost, value in zip(costs, values, strict=True)]
    return [
        not any(other[0] <= own[0] and other[1] <= own[1] and other != own for other in points)
        for own in points
    ]


def caption(numbers: CostQuality) -> str:
    """What a point, a bar and the line are, and n."""
    fronts = [
        f"{panel.label}: {', '.join(p.name for p in panel.points if p.front)}"
        for panel in numbers.panels
    ]
    return (
        f"Mean {style.words(numbers.metric)} against cost. A point is one strategy; bar: t interval"
        f" of its mean (95 % CI over n = {numbers.n} training seeds). Seconds are the mean of its"
        " training runs on this machine, without the search. Ring and line: Pareto front, where no"
        " other strategy is both cheaper and closer to the objective in the mean"
        f" ({'; '.join(fronts)}); differences along it may be noise."
    )


@lettered
def draw(numbers: CostQuality) -> Figure:
    """A panel for each cost, arms named in the legend."""
    with style.context(wide=False):
        stacked = style.is_narrow() and len(numbers.panels) > 1
        rows = len(numbers.panels) if stacked else 1
        columns = 1 if stacked else len(numbers.panels)
        named = {
            p.name: (p.name, p.colour, p.marker) for panel in numbers.panels for p in panel.points
        }
        legend = style.legend_rows(list(named))
        figure = style.figure(height=0.35 + 1.9 * rows + 0.17 * legend)
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axes, panel in zip(grid, numbers.panels, strict=True):
            _draw_panel(axes, panel, numbers.direction)
            axes.set_xlabel(panel.label)
            style.grid(axes)
        ends = [end for panel in numbers.panels for p in panel.points for end in (p.low, p.high)]
        scale.spread(grid[0], "y", ends, numbers.direction)
        figure.supylabel(style.words(numbers.metric))
        style.legend_of_markers(figure, list(named.values()))
        return figure


def _draw_panel(axes: Axes, panel: Panel, direction: str) -> None:
    costs = [point.cost for point in panel.points]
    # On a linear axis the cheap ones would share one spot.
    if max(costs) > 20 * min(costs):
        axes.set_xlim(min(costs) / 1.5, max(costs) * 1.5)
        scale.logarithmic(axes, "x")
    else:
        axes.margins(x=0.1)
    front = sorted(point for point in ((p.cost, p.mean) for p in panel.points if p.front))
    axes.step(
        [cost for cost, _ in front],
        [mean for _, mean in front],
        where="post",
        color=style.QUIET,
        linewidth=0.8,
        linestyle=(0, (3, 2)),
        zorder=1,
    )
    for point in panel.points:
        look: dict[str, Any] = {"color": point.colour, "zorder": 3}
        axes.plot([point.cost] * 2, [point.low, point.high], linewidth=1.1, **look)
        dot = axes.scatter([point.cost], [point.mean], s=26, marker=point.marker, **look)
        style.tell(
            dot,
            f"{point.name}: {point.mean:.4g} [{point.low:.4g}, {point.high:.4g}]"
            f" at {style.short(point.cost)} {panel.label}",
        )
        if point.front:
            ring: dict[str, Any] = {
                "facecolors": "none",
                "edgecolors": style.INK,
                "linewidths": 0.8,
            }
            axes.scatter([point.cost], [point.mean], s=75, zorder=4, **ring)


FIGURE = ReportFigure(summarize=summarize, caption=caption, draw=draw, of=CONFIRMATION)
