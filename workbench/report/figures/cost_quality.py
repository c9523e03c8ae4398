"""Figure: test value against cost, with the Pareto front of the means.

Only the verdict can show whether differences along the front are more than noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from workbench.plotting import naming, saving, scale, style, venues
from workbench.report.figures import CONFIRMATION, Findings, NotApplicable, ReportFigure
from workbench.report.figures.sides import Arm, arms, confirmation_of


class Point(NamedTuple):
    """One arm at its cost; ``front``: no other arm is both cheaper and better."""

    arm: Arm
    cost: float
    front: bool


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
    protocol, shown = confirmation_of(findings).protocol, arms(findings)
    panels = []
    for label, costs in (
        ("seconds a training run", [arm.seconds for arm in shown]),
        ("trainable parameters", [arm.trainable for arm in shown]),
    ):
        # An arm of unknown cost has no place in the panel.
        pairs = [(arm, float(cost)) for arm, cost in zip(shown, costs, strict=True) if cost]
        # With equal costs the panel would be a vertical line of points.
        if len({cost for _, cost in pairs}) < 2:
            continue
        means = [arm.mean for arm, _ in pairs]
        front = pareto([cost for _, cost in pairs], means, protocol.direction)
        points = [Point(arm, cost, on) for (arm, cost), on in zip(pairs, front, strict=True)]
        panels.append(Panel(label, tuple(points)))
    if not panels:
        raise NotApplicable("No two strategies have different costs.")
    n = max(len(arm.points) for arm in shown)
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
        f"{panel.label}: {', '.join(p.arm.name for p in panel.points if p.front)}"
        for panel in numbers.panels
    ]
    return (
        f"Mean {naming.words(numbers.metric)} against cost. A point is one strategy; bar: t"
        f" interval of its mean (95 % CI over n = {numbers.n} training seeds). Seconds are the"
        " mean of its training runs on this machine, without the search. Ring and line: Pareto"
        " front, where no other strategy is both cheaper and closer to the objective in the mean"
        f" ({'; '.join(fronts)}); differences along it may be noise."
    )


def plot(numbers: CostQuality) -> style.Figure:
    """A panel for each cost, arms named in the legend."""
    points = [point for panel in numbers.panels for point in panel.points]
    entries = {p.arm.name: style.Entry(p.arm.name, p.arm.colour, p.arm.marker) for p in points}
    columns = 1 if venues.is_narrow() else len(numbers.panels)
    figure, grid = style.panels(
        len(numbers.panels),
        columns,
        row=1.9,
        rest=0.35,
        entries=[*entries.values()],
        sharex=False,
    )
    for axes, panel in zip(grid, numbers.panels, strict=True):
        _draw_panel(axes, panel)
        axes.set_xlabel(panel.label)
    ends = [end for point in points for end in (point.arm.low, point.arm.high)]
    scale.spread(grid[0], "y", ends, numbers.direction)
    figure.supylabel(naming.words(numbers.metric))
    return figure


def _draw_panel(axes: style.Axes, panel: Panel) -> None:
    costs = [point.cost for point in panel.points]
    # On a linear axis the cheap ones would share one spot.
    if max(costs) > 20 * min(costs):
        axes.set_xlim(min(costs) / 1.5, max(costs) * 1.5)
        scale.logarithmic(axes, "x")
    else:
        axes.margins(x=0.1)
    front = sorted((point.cost, point.arm.mean) for point in panel.points if point.front)
    # Steps, because nothing between two points of the front was measured.
    axes.step(
        [cost for cost, _ in front],
        [mean for _, mean in front],
        where="post",
        color=style.QUIET,
        linewidth=0.8,
        linestyle=(0, (3, 2)),
        zorder=1,
    )
    for arm, cost, on_front in panel.points:
        axes.plot([cost] * 2, [arm.low, arm.high], linewidth=1.1, color=arm.colour, zorder=3)
        dot = axes.scatter([cost], [arm.mean], s=26, marker=arm.marker, color=arm.colour, zorder=3)
        saving.hover(dot, f"{arm.hover} at {cost:.3g} {panel.label}")
        if on_front:
            style.ring(axes, cost, arm.mean, 75)


FIGURE = ReportFigure(summarize=summarize, caption=caption, plot=plot, of=CONFIRMATION)
