"""The parts of a verdict's sentences, shared by headline, claim and reasons."""

from __future__ import annotations

from workbench.verdict.comparing import sign_draws
from workbench.verdict.contrast import ALL, BASELINE
from workbench.verdict.evidence import Stage
from workbench.verdict.judgement import Comparison, Level, Side, Verdict
from workbench.verdict.statistics.paired import EXACT_TO
from workbench.verdict.wording.numbers import (
    counted,
    fixed,
    given,
    listed,
    p_value,
    places_for,
    share,
)


def against_baseline(verdict: Verdict) -> bool:
    """Whether the leader is compared with the baseline alone.

    A baseline that leads is compared with all of the others.
    """
    leads = any(side.baseline and side.name == verdict.leader for side in verdict.sides)
    return verdict.contrast == BASELINE and not leads


def over(verdict: Verdict) -> str:
    """The baseline, where the leader is compared with it alone, and how many others beat it."""
    if not against_baseline(verdict):
        return ""
    text = f" against the baseline {verdict.closest}"
    ahead = sum(pair.beaten and pair.second == verdict.closest for pair in verdict.comparisons)
    return f"{text}, which {ahead} of {verdict.pairs} configurations beat" if ahead > 1 else text


def others(verdict: Verdict) -> str:
    """What the leader is compared with."""
    if against_baseline(verdict):
        return f"the baseline {verdict.closest}"
    if verdict.pairs == 1:
        return str(verdict.closest)
    if verdict.contrast in (ALL, BASELINE):
        return "every other configuration compared"
    return f"every other level of {verdict.contrast}"


def caveats(verdict: Verdict) -> str:
    """What must be quoted with a finding, as sentences that follow it."""
    text = ""
    if verdict.contrast == BASELINE and verdict.pairs > 1:
        text = " Configurations were compared with the baseline, not with each other."
    lost = [
        f"{side.name} on {len(side.imputed)} of {len(side.values)} seeds"
        for side in verdict.sides
        if side.imputed
    ]
    if lost:
        text += f" Failed runs count with the worst value: {listed(lost)}."
    if verdict.absent:
        reasons = [f"{name} ({reason})" for name, reason in verdict.absent.items()]
        text += f" Not compared: {listed(reasons)}."
    return text


def metric(verdict: Verdict) -> str:
    """For example ``test accuracy``; the metric of external results keeps its own name."""
    if verdict.stage == Stage.EXTERNAL:
        return verdict.metric
    return verdict.metric.replace("/", " ").replace("_", " ")


def higher(verdict: Verdict) -> str:
    """The comparative of the metric's direction."""
    return "higher" if verdict.direction == "maximize" else "lower"


def highest(verdict: Verdict) -> str:
    """The superlative of the metric's direction."""
    return "highest" if verdict.direction == "maximize" else "lowest"


def effect(verdict: Verdict) -> str:
    """The smallest effect; empty where none was given."""
    return "" if verdict.smallest_effect is None else given(verdict.smallest_effect)


def unit(verdict: Verdict) -> str:
    """What one value of a side belongs to."""
    return "data set" if verdict.level == Level.DATASETS else "seed"


def units(verdict: Verdict) -> str:
    """For example ``12 seeds``, or ``8 data sets`` of a verdict across data sets."""
    return counted(len(verdict.seeds), unit(verdict))


def pairs(verdict: Verdict) -> str:
    """For example ``6 pairs``."""
    return counted(verdict.pairs, "pair")


def test(verdict: Verdict, pair: Comparison) -> str:
    """The test that gave the pair's p value."""
    if verdict.level == Level.DATASETS:
        return "Wilcoxon signed-rank test"
    if pair.n <= EXACT_TO:
        return "exact sign-flip permutation test"
    draws = sign_draws(verdict.pairs, verdict.alpha)
    return f"sign-flip permutation test with {draws:,} random draws"


def difference(verdict: Verdict, pair: Comparison, *, named: bool = True, unit_of: str = "") -> str:
    """A difference with its interval and its test.

    Args:
        verdict: The pair is one of its leader's.
        pair: The comparison.
        named: Say from whom the leader differs.
        unit_of: The metric, where it was not named before.
    """
    decimals = places(verdict, pair)
    gap, low, high = (
        fixed(value, decimals)
        for value in (pair.difference.estimate, pair.difference.low, pair.difference.high)
    )
    other = rival(pair, verdict)
    if other == verdict.closest and len(against_leader(verdict)) > 1:
        other = f"the closest, {other},"
    rival_named = f" from {other}" if named else ""
    metric_named = f" in {unit_of}" if unit_of else ""
    return (
        f"a mean difference{rival_named} of {gap}{metric_named}"
        f" ({100 * pair.difference.level:g} % interval {low} to {high}; paired over {pair.n}"
        f" {unit(verdict)}s; {test(verdict, pair)}, Holm over {pairs(verdict)},"
        f" {p_value(pair.p_holm)}; probability of improvement"
        f" {share(pair.improvement.estimate)})"
    )


def mean(side: Side, places: int) -> str:
    """Of a side, with so many decimals."""
    return fixed(side.mean.estimate, places) if side.mean else "unknown"


def places(verdict: Verdict, pair: Comparison) -> int:
    """How many decimals a difference deserves."""
    found = pair.difference
    return places_for(found.low, found.high, verdict.smallest_effect, found.estimate)


def against_leader(verdict: Verdict) -> list[Comparison]:
    """The comparisons that the leader is part of."""
    return [pair for pair in verdict.comparisons if verdict.leader in (pair.first, pair.second)]


def closest(verdict: Verdict) -> Comparison:
    """The comparison of the leader with its closest rival."""
    return next(
        pair for pair in against_leader(verdict) if verdict.closest in (pair.first, pair.second)
    )


def undecided(verdict: Verdict) -> str:
    """What an inconclusive verdict shows, without a full stop."""
    leader, over = verdict.leader, units(verdict)
    if verdict.smallest_effect is None:
        beaten = verdict.beaten
        shown = f"a difference from {listed(beaten, 50)}" if beaten else "no difference"
        return (
            f"{leader} has the best mean {metric(verdict)}, and {shown} was shown over {over};"
            " no smallest effect that matters was defined"
        )
    text = (
        f"neither a difference from {leader} nor equivalence within {effect(verdict)} was shown"
        f" for {listed(verdict.open, 50)} in {metric(verdict)} over {over}"
    )
    if verdict.beaten:
        text += f"; {leader} has a {higher(verdict)} mean than {listed(verdict.beaten, 50)}"
    if verdict.tied:
        text += f"; {leader} is equivalent to {listed(verdict.tied, 50)}"
    return text


def deciding(verdict: Verdict) -> Comparison:
    """The comparison that a headline quotes: with the closest undecided rival, else the closest."""
    left = [pair for pair in against_leader(verdict) if rival(pair, verdict) in verdict.open]
    return min(left, key=lambda pair: pair.difference.estimate, default=closest(verdict))


def rival(pair: Comparison, verdict: Verdict) -> str:
    """The other side of a comparison of the leader."""
    return pair.second if pair.first == verdict.leader else pair.first
