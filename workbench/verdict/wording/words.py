"""The parts of a verdict's sentences, shared by headline, claim and reasons."""

from __future__ import annotations

import math

from workbench.messages import counted, joined
from workbench.verdict.comparing import sign_draws
from workbench.verdict.contrast import ALL, BASELINE
from workbench.verdict.evidence import Stage, corrected
from workbench.verdict.judgement import Comparison, Side, Size, Unit, Verdict, Word
from workbench.verdict.statistics.paired import EXACT_TO
from workbench.verdict.wording import numbers


def against_baseline(verdict: Verdict) -> bool:
    """Whether the leader is compared with the baseline alone.

    A baseline that leads is compared with all of the others.
    """
    leads = any(side.baseline and side.name == verdict.leader for side in verdict.sides)
    return verdict.contrast == BASELINE and not leads


def heading(verdict: Verdict) -> str:
    """The word; a winner that was compared with the baseline alone is called one against it."""
    if verdict.word == Word.WINNER and against_baseline(verdict):
        return f"{verdict.word} against the baseline {verdict.closest}"
    return str(verdict.word)


def over(verdict: Verdict) -> str:
    """The baseline, where the leader is compared with it alone, and how many others beat it."""
    if not against_baseline(verdict):
        return ""
    text = f" against the baseline {verdict.closest}"
    ahead = len(better_than_baseline(verdict))
    return f"{text}, which {ahead} of {verdict.pairs} configurations beat" if ahead > 1 else text


def better_than_baseline(verdict: Verdict) -> list[str]:
    """Which configurations are shown to be better than the baseline, the leader's closest rival."""
    return [p.first for p in verdict.comparisons if p.beaten and p.second == verdict.closest]


def others(verdict: Verdict) -> str:
    """What the leader is compared with."""
    if against_baseline(verdict):
        return f"the baseline {verdict.closest}"
    if verdict.pairs == 1:
        return str(verdict.closest)
    return f"every other {side(verdict)}"


def side(verdict: Verdict, *, several: bool = False) -> str:
    """What is compared: ``configuration compared``, ``strategies compared``, ``level of NAME``."""
    if verdict.contrast not in (ALL, BASELINE):
        return f"level{'s' if several else ''} of {verdict.contrast}"
    if verdict.unit == Unit.SEED:
        return f"configuration{'s' if several else ''} compared"
    return f"strateg{'ies' if several else 'y'} compared"


def caveats(verdict: Verdict) -> str:
    """What must be quoted with a finding, as sentences that follow it."""
    text = ""
    if verdict.contrast == BASELINE and verdict.pairs > 1:
        text = " Configurations were compared with the baseline, not with each other."
    lost = [
        f"{side.name} on {len(side.imputed)} of {len(side.values)} seeds"
        for side in verdict.sides
        # Where a value is a mean over runs, the caveat of the verdict names the runs that failed.
        if side.imputed and verdict.unit == Unit.SEED
    ]
    if lost:
        text += f" Failed runs count with the worst value: {joined(lost)}."
    if verdict.caveat:
        text += f" {verdict.caveat}"
    if verdict.look:
        text += f" {verdict.look}"
    if verdict.absent:
        reasons = [f"{name} ({reason})" for name, reason in verdict.absent.items()]
        text += f" Not compared: {joined(reasons)}."
    return text


def look(verdict: Verdict) -> str | None:
    """Which of several planned looks this is, as sentences; None where one is planned."""
    if verdict.looks == 1 or not verdict.seeds_by_look:
        return None
    first, *more = verdict.seeds_by_look
    seeds = ""
    # Studies that are combined need not have as many seeds as each other.
    if verdict.unit == Unit.SEED:
        seeds = f" ({counted(first, 'seed')}"
        seeds += f", then {joined(map(str, more))} more)" if more else ")"
    which = "second" if more else "first"
    return (
        f"This is the {which} of two planned looks{seeds}, each tested at"
        f" {100 * verdict.alpha:g} %: a false winner in either has a chance of at most"
        f" {100 * verdict.alpha * verdict.looks:g} %. Intervals are for each look alone."
    )


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
    """The smallest effect with its unit; empty where none was given."""
    if verdict.smallest_effect is None:
        return ""
    return numbers.given(verdict.smallest_effect) + points(verdict, verdict.smallest_effect)


def points(verdict: Verdict, number: float = 0.0) -> str:
    """The unit of a difference where the metric is in percent: 1 is not a hundredth of it."""
    if not verdict.metric.endswith("(%)"):
        return ""
    return " percentage point" if number == 1 else " percentage points"


def units(verdict: Verdict) -> str:
    """For example ``12 seeds``."""
    return counted(len(verdict.seeds), verdict.unit)


def pairs(verdict: Verdict) -> str:
    """For example ``6 pairs``."""
    return counted(verdict.pairs, "pair")


def test(verdict: Verdict, pair: Comparison) -> str:
    """The test that gave the pair's p value."""
    if verdict.unit == Unit.DATA_SET:
        return "Wilcoxon signed-rank test"
    if pair.n <= EXACT_TO:
        return "exact sign-flip permutation test"
    draws = sign_draws(verdict.pairs, verdict.alpha)
    return f"sign-flip permutation test with {draws:,} random draws"


def difference(verdict: Verdict, pair: Comparison) -> str:
    """The lead over the closest rival with its interval, and the p value that decides."""
    gap, sure = mean_difference(verdict, pair), interval(verdict, pair, alone(verdict))
    if verdict.contrast != BASELINE and verdict.pairs > 1:
        return (
            f"a mean difference of {gap} from the closest, {rival(pair, verdict)} ({sure}; paired"
            f" over {pair.n} {verdict.unit}s), and a largest p of"
            f" {numbers.bare_p(verdict.p_win or 0.0)} against any other ({test(verdict, pair)})"
        )
    text = (
        f"a mean difference of {gap} ({sure};"
        f" paired over {pair.n} {verdict.unit}s; {test(verdict, pair)},"
    )
    if verdict.contrast == BASELINE and verdict.pairs > 1:
        return f"{text} Holm over {pairs(verdict)}, {numbers.p_value(pair.p_holm)})"
    return f"{text} {numbers.p_value(pair.p)})"


def mean_difference(verdict: Verdict, pair: Comparison) -> str:
    """The leader's from a rival."""
    found = pair.difference if pair.first == verdict.leader else pair.difference.negated()
    return numbers.fixed(found.estimate, places(verdict, pair)) if found.estimate else "0"


def interval(verdict: Verdict, pair: Comparison, scope: str = "") -> str:
    """The interval of that difference after its level and scope, or why there is none."""
    found = pair.difference if pair.first == verdict.leader else pair.difference.negated()
    if pair.sd == 0:
        return f"constant over all {verdict.unit}s"
    if math.isnan(found.low):
        return "no interval, because failed runs count with the worst value seen"
    low, high = (numbers.fixed(value, places(verdict, pair)) for value in (found.low, found.high))
    return f"{100 * pair.difference.level:g} % interval{scope} {low} to {high}"


def alone(verdict: Verdict) -> str:
    """The scope of an interval of one pair among several."""
    return " of this pair alone" if verdict.pairs > 1 else ""


def lead(verdict: Verdict, pair: Comparison, whom: str) -> str:
    """``leads b by 0.01``; across data sets the leader's mean may be the worse one."""
    gap = mean_difference(verdict, pair)
    if gap.startswith(numbers.MINUS) or not pair.difference.estimate:
        return f"has a mean difference of {gap} from {whom}"
    return f"leads {whom} by {gap}"


def agreement(verdict: Verdict, pair: Comparison) -> str:
    """On how many seeds the leader is ahead of a rival: ``on 7 of 12 seeds, equal on 2``."""
    sign = 1 if pair.first == verdict.leader else -1
    return f"on {numbers.ahead_on([sign * gap for gap in pair.differences], verdict.unit)}"


def the_set(verdict: Verdict, *, most: int = 50) -> str:
    """Which may be the best and which is not, by name if these are at most so many.

    Empty where a bound says more.
    """
    sure = f"{100 * (1 - verdict.alpha):g} %"
    if not verdict.excluded:
        if verdict.word == Word.GOOD_ENOUGH:
            return ""
        text = any_of(verdict)
        return f"{text[:1].upper()}{text[1:]} may be the best ({sure} confidence)."
    not_best = joined(verdict.excluded, 50, word="or")
    if len(verdict.excluded) > most:
        not_best = f"one of the other {len(verdict.excluded)}"
    # Of several that are equally good, some may be left out: only a single best is in the set.
    return (
        f"If there is a single best {side(verdict).removesuffix(' compared')}, it is"
        f" {joined(verdict.candidates, 50, word='or')}, not {not_best} ({sure} confidence)."
    )


def behind(verdict: Verdict) -> float:
    """How far the leader can be behind the best; 0 if nothing is known."""
    leader = next(side for side in verdict.sides if side.name == verdict.leader)
    return leader.behind or 0.0


def any_of(verdict: Verdict) -> str:
    """All candidates: ``either of the 2`` or ``any of the 4``."""
    number = len(verdict.candidates)
    return f"{'either' if number == 2 else 'any'} of the {number}"


def size(verdict: Verdict) -> str:
    """How a winner's lead compares with the smallest effect, as a sentence."""
    if verdict.size is None:
        return "No smallest effect was given, so it is open whether the difference matters."
    if verdict.size is Size.ABOVE:
        found = closest(verdict).difference
        lead, limit = verdict.lead or 0.0, verdict.smallest_effect or 0.0
        places = numbers.places_for(found.low, found.high, limit, lead)
        places = numbers.apart(numbers.rounded_down, lead, limit, places)
        least = numbers.rounded_down(lead, places)
        sure = f"{100 * (1 - verdict.alpha):g} % confidence"
        return (
            f"The lead is at least {least}{points(verdict)} ({sure}), more than {effect(verdict)},"
            " the smallest difference that matters."
        )
    if verdict.size is Size.NEGLIGIBLE:
        return (
            f"The difference is negligible: an equivalence test shows that it is smaller than"
            f" {effect(verdict)}, the smallest that matters"
            f" ({numbers.p_value(closest(verdict).p_equivalence or 0.0)})."
        )
    return (
        f"Whether the lead is larger than {effect(verdict)}, the smallest difference that matters,"
        " is open."
    )


def over_comparisons(verdict: Verdict) -> str:
    """`` and 6 pairs`` where the decision is corrected for them."""
    tests = corrected(verdict.contrast, verdict.pairs)
    return f" and {pairs(verdict)}" if tests > 1 else ""


def mean(side: Side, places: int) -> str:
    """Of a side, with so many decimals."""
    return numbers.fixed(side.mean.estimate, places) if side.mean else "unknown"


def places(verdict: Verdict, pair: Comparison) -> int:
    """How many decimals a difference deserves."""
    found = pair.difference
    return numbers.places_for(found.low, found.high, verdict.smallest_effect, found.estimate)


def against_leader(verdict: Verdict) -> list[Comparison]:
    """The comparisons that the leader is part of."""
    return [pair for pair in verdict.comparisons if verdict.leader in (pair.first, pair.second)]


def closest(verdict: Verdict) -> Comparison:
    """The comparison of the leader with its closest rival."""
    return next(
        pair for pair in against_leader(verdict) if verdict.closest in (pair.first, pair.second)
    )


def rival(pair: Comparison, verdict: Verdict) -> str:
    """The other side of a comparison of the leader."""
    return pair.second if pair.first == verdict.leader else pair.first
