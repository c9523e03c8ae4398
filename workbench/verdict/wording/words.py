"""The parts of a verdict's sentences. Know a verdict, and nothing of how it was reached."""

from __future__ import annotations

from workbench.verdict.contrast import ALL, BASELINE
from workbench.verdict.evidence import Stage
from workbench.verdict.judgement import Comparison, Side, Verdict
from workbench.verdict.wording.numbers import counted, fixed, listed, places_for


def against_baseline(verdict: Verdict) -> bool:
    """Whether the leader is compared with the baseline alone.

    A baseline that leads is compared with all of the others.
    """
    leads = any(side.baseline and side.name == verdict.leader for side in verdict.sides)
    return verdict.contrast == BASELINE and not leads


def over(verdict: Verdict) -> str:
    """Whom the leader is compared with, where that is the baseline alone, and who else beats it."""
    if not against_baseline(verdict):
        return ""
    text = f" against the baseline {verdict.closest}"
    ahead = sum(pair.beaten and pair.second == verdict.closest for pair in verdict.comparisons)
    return f"{text}, which {ahead} of {verdict.pairs} arms beat" if ahead > 1 else text


def others(verdict: Verdict) -> str:
    """All that the leader is compared with."""
    if against_baseline(verdict):
        return f"the baseline {verdict.closest}"
    if verdict.pairs == 1:
        return str(verdict.closest)
    arms = verdict.contrast in (ALL, BASELINE)
    return f"every other {'arm' if arms else verdict.contrast} compared"


def caveats(verdict: Verdict) -> str:
    """What a finding must not be quoted without, as sentences after it.

    What a contrast with the baseline leaves out, values that stand for failed runs, and strategies
    without an arm.
    """
    text = ""
    if verdict.contrast == BASELINE and verdict.pairs > 1:
        text = " Arms are compared with the baseline, not with one another."
    lost = [
        f"of {side.name} on {len(side.imputed)} of {len(side.values)} seeds"
        for side in verdict.sides
        if side.imputed
    ]
    if lost:
        text += f" A run failed and counts with the worst value: {listed(lost)}."
    if verdict.absent:
        reasons = [f"{name} ({reason})" for name, reason in verdict.absent.items()]
        text += f" Not comparable, and not part of this: {listed(reasons)}."
    return text


def metric(verdict: Verdict) -> str:
    """For example ``test accuracy``; of results from elsewhere the name that they give it."""
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
    """The smallest effect, which must be there."""
    return f"{verdict.smallest_effect:g}"


def seeds(verdict: Verdict) -> str:
    """For example ``12 seeds``."""
    count = len(verdict.seeds)
    return "1 seed" if count == 1 else f"{count} seeds"


def pairs(verdict: Verdict) -> str:
    """For example ``6 pairs``."""
    return counted(verdict.pairs, "pair")


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


def undecided(verdict: Verdict, over: str) -> str:
    """What an inconclusive verdict shows, without a full stop.

    Args:
        verdict: Inconclusive.
        over: What the pairs are of, for example ``12 seeds``.
    """
    leader = verdict.leader
    if verdict.smallest_effect is None:
        beaten = verdict.beaten
        shown = f"a difference from {listed(beaten, 50)}" if beaten else "no difference"
        return (
            f"{leader} has the best mean {metric(verdict)}, and {shown} was shown over {over};"
            " whether a difference matters was not defined"
        )
    text = (
        f"of {listed(verdict.open, 50)} neither a difference from {leader} nor equivalence to it"
        f" within {effect(verdict)} was shown in {metric(verdict)} over {over}"
    )
    if verdict.beaten:
        text += f"; {leader} has a {higher(verdict)} mean than {listed(verdict.beaten, 50)}"
    if verdict.tied:
        text += f"; it is equivalent to {listed(verdict.tied, 50)}"
    return text


def deciding(verdict: Verdict) -> Comparison:
    """The comparison that a headline quotes: with the closest rival, or the closest open one."""
    left = [pair for pair in against_leader(verdict) if rival(pair, verdict) in verdict.open]
    return min(left, key=lambda pair: pair.difference.estimate, default=closest(verdict))


def rival(pair: Comparison, verdict: Verdict) -> str:
    """The other side of a comparison of the leader."""
    return pair.second if pair.first == verdict.leader else pair.first
