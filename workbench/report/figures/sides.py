"""What the figures of a confirmation share: conditions for drawing, and colours of the arms."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.plotting import style
from workbench.report.figures import Findings, LeftOut
from workbench.report.results import ArmResult, ConfirmationResult
from workbench.report.trials import encoding
from workbench.verdict import Comparison, Verdict
from workbench.verdict.guards import Bar
from workbench.verdict.statistics.paired import EXACT_TO
from workbench.verdict.wording.numbers import counted

_MARKERS = (*style.MARKERS, "<", ">", "p", "d", "H")


def finished(findings: Findings) -> ConfirmationResult:
    """The confirmation; raises ``LeftOut`` before all of its runs have ended."""
    confirmation = findings.confirmation
    if confirmation is None:
        raise LeftOut("There is no confirmation, so there are no test values yet.")
    if not confirmation.finished:
        raise LeftOut(
            f"The confirmation is unfinished ({confirmation.done} of {confirmation.planned} runs),"
            " so no test value is shown."
        )
    return confirmation


def valued(confirmation: ConfirmationResult) -> tuple[ArmResult, ...]:
    """The arms that have a mean; raises ``LeftOut`` where none has one.

    Raises:
        Refused: An interval extends beyond the metric's bounds (refusal 11).
    """
    arms = tuple(arm for arm in confirmation.arms if arm.mean is not None)
    if not arms:
        raise LeftOut("No confirmed strategy has a value.")
    for arm in arms:
        if len(values(arm)) > 1:
            low, high = ends(arm)
            Bar(
                low=low,
                high=high,
                kind="CI",
                n=len(values(arm)),
                source="training seeds",
                level=0.95,
                bounds=confirmation.protocol.bounds,
            )
    return arms


def values(arm: ArmResult) -> list[float]:
    """The values that the verdict uses, by seed."""
    return [run.counted for run in arm.runs if run.counted is not None]


def mean(arm: ArmResult) -> float:
    """The mean of an arm that has one."""
    assert arm.mean is not None
    return arm.mean


def ends(arm: ArmResult) -> tuple[float, float]:
    """The ends of the interval of an arm's mean; for a single value, the value itself."""
    low, high = arm.low, arm.high
    return mean(arm) if low is None else low, mean(arm) if high is None else high


def compared(findings: Findings) -> Verdict:
    """The verdict; raises ``LeftOut`` where it compares nothing."""
    if findings.confirmation is not None:
        finished(findings)
    verdict = findings.verdict
    if verdict is None or not verdict.comparisons:
        finished(findings)
        word = "missing" if verdict is None else verdict.word
        raise LeftOut(f"The verdict is {word}: there are no comparisons.")
    return verdict


def leader(verdict: Verdict) -> str:
    """The side with the best mean."""
    return verdict.leader or names(verdict)[0]


def names(verdict: Verdict) -> tuple[str, ...]:
    """Sides that have a mean, the best first."""
    sign = -1 if verdict.direction == "maximize" else 1
    means = [(sign * side.mean.estimate, side.name) for side in verdict.sides if side.mean]
    return tuple(name for _, name in sorted(means, key=lambda item: item[0]))


def imputed(verdict: Verdict, pair: Comparison) -> tuple[bool, ...]:
    """For each difference, whether one of its runs diverged or failed."""
    count = len(pair.differences)
    # If a seed has no value, differences cannot be matched with seeds by position.
    seeds = verdict.seeds if len(verdict.seeds) == count else [""] * count
    lost = {
        seed
        for side in verdict.sides
        if side.name in (pair.first, pair.second)
        for seed in side.imputed
    }
    return tuple(seed in lost for seed in seeds)


def looks(findings: Findings, arms: Sequence[ArmResult]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each arm: the colour of its first factor's level, a unique marker.

    Markers distinguish arms without colours. The default configuration is a star in ``INK``.
    """
    codes = encoding(findings.study, findings.trials)
    places = {strategy.name: at for at, strategy in enumerate(findings.study.strategies)}
    by_arm = {}
    for index, arm in enumerate(arms):
        if arm.name == arm.strategy:
            shade, _ = codes.get(arm.strategy, (index, 0))
            own = places.get(arm.strategy, index)
            by_arm[arm.name] = (style.colour(shade), _MARKERS[own % len(_MARKERS)])
        else:
            by_arm[arm.name] = (style.INK, "*")
    return by_arm


def how_tested(verdict: Verdict) -> str:
    """How p was computed, for a caption."""
    most = max(len(pair.differences) for pair in verdict.comparisons)
    kind = "exact sign-flip" if most <= EXACT_TO else "sign-flip"
    return f"p: {kind} permutation test, Holm-corrected over {counted(verdict.pairs, 'pair')}"
