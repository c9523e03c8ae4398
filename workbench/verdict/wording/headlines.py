"""The headline of a verdict: what a reader remembers, with names and numbers."""

from __future__ import annotations

from workbench.messages import joined
from workbench.verdict.contrast import BASELINE
from workbench.verdict.judgement import Comparison, Unit, Verdict, Word
from workbench.verdict.wording import numbers, words


def headline(verdict: Verdict) -> str:
    """The headline of a verdict that has its reasons."""
    found = verdict.reasons[0].found or verdict.reasons[0].text
    if verdict.word == Word.EXPLORATORY and not verdict.seeds:
        return _seen(verdict)
    # Wherever a headline is shown, the word of the verdict stands before it.
    if verdict.word in (Word.NOT_COMPARABLE, Word.EXPLORATORY, Word.UNDERPOWERED):
        return found
    return compared(verdict)


def compared(verdict: Verdict) -> str:
    """Who wins, or who may be the best and who is not, by how much; and the caveats."""
    pair = words.closest(verdict)
    if verdict.word == Word.WINNER:
        text = f"{verdict.leader} wins{words.over(verdict)}: {_against(verdict, pair)}."
        return f"{text} {words.size(verdict)}{words.caveats(verdict)}"
    if words.against_baseline(verdict):
        text = (
            f"{verdict.leader} has the best mean, but it is not shown to be better than"
            f" {words.others(verdict)}: {_against(verdict, pair)}."
        )
        if better := words.better_than_baseline(verdict):
            text += f" Shown to be better than {verdict.closest}: {joined(better)}."
        return f"{text}{words.caveats(verdict)}"
    text = words.the_set(verdict, most=2)
    if verdict.word == Word.GOOD_ENOUGH:
        text = f"{verdict.leader} is good enough: {bound(verdict)}. {text}".rstrip()
    across = " of standardized values" if verdict.unit == Unit.DATA_SET else ""
    missing = ""
    if verdict.smallest_effect is None:
        missing = " No smallest effect was given, so the size of a difference is not judged."
    best = f"{verdict.leader} has the best mean{across} and"
    # With a bound of 0 "no winner is shown" would read as a contradiction.
    no_winner = "No single winner is shown"
    if verdict.word == Word.GOOD_ENOUGH and not words.behind(verdict):
        no_winner = "It is no WINNER, which takes a stricter test"
    return (
        f"{text} {no_winner}: {best}"
        f" {words.lead(verdict, pair, words.rival(pair, verdict))}"
        f" ({words.interval(verdict, pair, words.alone(verdict))};"
        f" ahead {words.agreement(verdict, pair)})."
        f"{missing}{words.caveats(verdict)}"
    )


def bound(verdict: Verdict) -> str:
    """How far the leader can be behind the best, compared with the smallest effect."""
    behind, effect = words.behind(verdict), verdict.smallest_effect or 0.0
    found = words.closest(verdict).difference
    places = numbers.signed(numbers.places_for(found.low, found.high, effect, behind), behind)
    # Rounded up, a bound still holds; it must not read as the smallest effect, which it is below.
    places = numbers.apart(numbers.rounded_up, behind, effect, places)
    most = f"{numbers.rounded_up(behind, places)}{words.points(verdict)}"
    more = f"more than {most} " if behind else ""
    return (
        f"with {100 * (1 - verdict.alpha):g} % confidence no other {words.side(verdict)} is {more}"
        f"{words.higher(verdict)} than {verdict.leader} in {words.metric(verdict)}; the smallest"
        f" difference that matters is {words.effect(verdict)}"
    )


def _seen(verdict: Verdict) -> str:
    """The best value of a search, which is no comparison."""
    if not verdict.sides or not verdict.sides[0].n:
        return "No trial of the search has a value."
    values = [value for value in verdict.sides[0].values if value is not None]
    best = max(values) if verdict.direction == "maximize" else min(values)
    names = [side.name for side in verdict.sides if best in side.values]
    empty = [side.name for side in verdict.sides if not side.n]
    nothing = f" No trial of {joined(empty)} has a value." if empty else ""
    return (
        f"The {words.highest(verdict)} {words.metric(verdict)} in the search is"
        f" {numbers.measured(best)} ({joined(names)}); only a confirmation on fresh seeds"
        f" can show which strategy is ahead.{nothing}"
    )


def _against(verdict: Verdict, pair: Comparison) -> str:
    """Both means, the difference with its interval, and n."""
    places = words.places(verdict, pair)
    sides = {side.name: side for side in verdict.sides}
    other = words.rival(pair, verdict)
    ours, theirs = (words.mean(sides[name], places) for name in (str(verdict.leader), other))
    rival = (
        "the closest rival " if verdict.pairs > 1 and not words.against_baseline(verdict) else ""
    )
    turned = "" if verdict.direction == "maximize" else "lower is better; "
    # Over data sets the ranks decide: an interval of the mean may say something else.
    sure = ""
    if verdict.unit == Unit.SEED:
        sure = f" {words.interval(verdict, pair, words.alone(verdict))},"
    p = pair.p_holm if verdict.contrast == BASELINE else pair.p
    return (
        f"{words.metric(verdict)} {ours} against {theirs} of {rival}{other} ({turned}difference"
        f" {words.mean_difference(verdict, pair)},{sure} {numbers.p_value(p)}, ahead"
        f" {words.agreement(verdict, pair)})"
    )
