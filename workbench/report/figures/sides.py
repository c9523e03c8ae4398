"""What the figures of a confirmation share: conditions for drawing, and arms with their colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from workbench.messages import counted
from workbench.plotting import saving, style
from workbench.report.figures import Findings, LeftOut, NotApplicable
from workbench.report.results import ConfirmationResult
from workbench.report.trials import encoding
from workbench.verdict import Comparison, Verdict
from workbench.verdict.estimates import Interval
from workbench.verdict.statistics.paired import EXACT_TO

# More than the house style has, so that most studies have a different marker for every arm.
_MARKERS = (*style.MARKERS, "<", ">", "p", "d", "H")


class Point(NamedTuple):
    """One seed; ``imputed`` where its run diverged or failed and has the worst value."""

    seed: str
    value: float
    imputed: bool


class Arm(NamedTuple):
    """A confirmed arm that has a mean.

    Attributes:
        low: End of the interval of the mean; for a single value, the value itself.
        high: The other end.
        points: The seeds whose values the verdict uses.
        seconds: Mean of its complete training runs.
        trainable: Number of trainable parameters.
        colour: That of its first factor's level; the default configuration has ``style.INK``.
        marker: Different for every arm, so that arms can be distinguished without colours.
    """

    name: str
    mean: float
    low: float
    high: float
    points: tuple[Point, ...]
    seconds: float | None
    trainable: int | None
    colour: str
    marker: str

    @property
    def hover(self) -> str:
        """Its mean and interval, as a hover text."""
        return f"{self.name}: {self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


def hover(mean: Interval) -> str:
    """A difference with its interval, where it has one, as a hover text."""
    reach = "" if math.isnan(mean.low) else f" [{mean.low:+.4g}, {mean.high:+.4g}]"
    return f"{mean.estimate:+.4g}{reach}"


def confirmation_of(findings: Findings) -> ConfirmationResult:
    """The confirmation; raises ``LeftOut`` before all of its runs have ended."""
    confirmation = findings.confirmation
    if confirmation is None:
        raise NotApplicable("There is no confirmation, so there are no test values yet.")
    if not confirmation.finished:
        raise LeftOut(
            f"The confirmation is unfinished ({confirmation.done} of {confirmation.planned} runs),"
            " so no test value is shown."
        )
    return confirmation


def arms(findings: Findings) -> tuple[Arm, ...]:
    """The arms that have a mean, in the report's order: by mean, unless not comparable.

    Raises:
        LeftOut: The confirmation is unfinished, or no arm has a mean.
    """
    confirmation = confirmation_of(findings)
    codes = encoding(findings.study, findings.trials)
    places = {strategy.name: at for at, strategy in enumerate(findings.study.strategies)}
    # A level that was added to the study has a colour after those of the study.
    first, known = next(iter(findings.study.factors.items()), ("", ()))
    labels = [*dict.fromkeys([*known, *(arm.levels.get(first, "") for arm in confirmation.arms)])]
    shown: list[Arm] = []
    for result in confirmation.arms:
        if result.mean is None:
            continue
        points = tuple(
            Point(run.seed, run.counted, run.imputed)
            for run in result.runs
            if run.counted is not None
        )
        low = result.mean if result.low is None else result.low
        high = result.mean if result.high is None else result.high
        # The default configuration belongs to no strategy, so it has no strategy's colour.
        colour, marker = style.INK, "*"
        if result.name == result.strategy:
            level = labels.index(result.levels.get(first, ""))
            shade, _ = codes.get(result.strategy, (level, 0))
            own = places.setdefault(result.strategy, len(places))
            colour, marker = style.colour(shade), _MARKERS[own % len(_MARKERS)]
        shown.append(
            Arm(
                name=result.name,
                mean=result.mean,
                low=low,
                high=high,
                points=points,
                seconds=result.seconds_mean,
                trainable=result.trainable,
                colour=colour,
                marker=marker,
            )
        )
    if not shown:
        raise LeftOut("No confirmed strategy has a value.")
    return tuple(shown)


def verdict_of(findings: Findings) -> Verdict:
    """The verdict; raises ``LeftOut`` where it compares nothing."""
    if findings.confirmation is not None:
        confirmation_of(findings)
    verdict = findings.verdict
    if verdict is None or not verdict.comparisons:
        confirmation_of(findings)
        word = "missing" if verdict is None else verdict.word
        raise LeftOut(f"The verdict is {word}: there are no comparisons.")
    return verdict


def differences(verdict: Verdict, pair: Comparison) -> tuple[Point, ...]:
    """The difference on each seed; imputed where one of the two runs is."""
    count = len(pair.differences)
    # If a seed has no value, differences cannot be matched with seeds by position.
    matched = len(verdict.seeds) == count
    seeds = verdict.seeds if matched else [f"{number}" for number in range(count)]
    sides = [side for side in verdict.sides if side.name in (pair.first, pair.second)]
    imputed = {seed for side in sides for seed in side.imputed} if matched else set()
    return tuple(
        Point(seed, value, seed in imputed)
        for seed, value in zip(seeds, pair.differences, strict=True)
    )


def draw_seeds(
    axes: style.Axes,
    points: Sequence[Point],
    y: float,
    width: float,
    *,
    colour: str,
    size: float,
    marker: str = "o",
    form: str = ".4g",
) -> None:
    """The seeds of one row, spread around ``y``; a cross where a value is imputed.

    Args:
        axes: With rows.
        points: Of one row.
        y: The middle of the points.
        width: How far they are apart vertically at most.
        colour: Of all points.
        size: As of ``Axes.scatter``.
        marker: Of the points that are not imputed.
        form: Format of a value in its hover text.
    """
    heights = [y + offset for offset in style.spread_out(len(points), width)]
    placed = list(zip(points, heights, strict=True))
    for imputed in (False, True):
        some = [(point, height) for point, height in placed if point.imputed == imputed]
        if some:
            drawn = axes.scatter(
                [point.value for point, _ in some],
                [height for _, height in some],
                s=1.5 * size if imputed else size,
                color=colour,
                marker="x" if imputed else marker,
                alpha=0.8,
                linewidths=1.0 if imputed else 0.0,
                zorder=3,
            )
            saving.hover(drawn, *(f"seed {point.seed}: {point.value:{form}}" for point, _ in some))


def how_tested(verdict: Verdict, *, corrected: bool = True) -> str:
    """How p was computed, for a caption."""
    most = max(len(pair.differences) for pair in verdict.comparisons)
    kind = "exact sign-flip" if most <= EXACT_TO else "sign-flip"
    text = f"{kind} permutation test"
    return f"{text}, Holm-corrected over {counted(verdict.pairs, 'pair')}" if corrected else text
