"""Two planned looks: the level of each, what it asks of the seeds, and how a verdict says it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.planted import evidence, planted
from workbench.verdict import Verdict, Word, decide, level
from workbench.verdict.statistics import planning

APART = {"adamw-2": 0.95, "sgd-0": 0.92, "adam-0": 0.90}
ALIKE = {"adamw-2": 0.95, "sgd-0": 0.95, "adam-0": 0.95}
FIRST = (
    "This is the first of two planned looks ({n} seeds), each tested at 2.5 %: a false winner in"
    " either has a chance of at most 5 %. Intervals are for each look alone."
)


def judged(means: dict[str, float], *seeds: int, **given: Any) -> Verdict:
    """The verdict on two planned looks, of which so many were made."""
    design = {"looks": 2, "seeds_by_look": seeds, "alpha": level(2), **given}
    return decide(evidence(*planted(means, n=sum(seeds)), **design))


def test_each_of_two_looks_has_half_of_alpha() -> None:
    assert (level(1), level(2)) == (0.05, 0.025)


def test_the_floor_is_that_of_half_the_level() -> None:
    six, seven = judged(APART, 6), judged(APART, 7)
    assert six.word == Word.UNDERPOWERED and "at least 7 seeds" in six.reasons[0].text
    assert seven.word == Word.WINNER
    assert decide(evidence(*planted(APART, n=6))).word == Word.WINNER, "with one look 6 are enough"


def test_a_p_between_the_levels_of_one_look_and_of_two_names_a_winner_for_one_only() -> None:
    # The fewest SDs that 12 seeds show at 0.05 and not at 0.025.
    for gap in (0.0040, 0.0045, 0.0050, 0.0055, 0.0060, 0.0065):
        means = {"adamw-2": 0.95, "sgd-0": 0.95 - gap}
        one = decide(evidence(*planted(means)))
        if one.p_win is not None and 0.025 < one.p_win <= 0.05:
            break
    else:
        pytest.fail("no gap has a p between the levels")
    two = judged(means, 12)
    assert two.p_win == one.p_win
    assert one.word == Word.WINNER and two.word != Word.WINNER


def test_set_and_bounds_have_the_level_of_a_look() -> None:
    one, two = decide(evidence(*planted(ALIKE))), judged(ALIKE, 12)
    for before, after in zip(one.sides, two.sides, strict=True):
        assert before.p_best == after.p_best
        assert before.behind is not None and after.behind is not None
        assert after.behind >= before.behind
    assert "with 97.5 % confidence no other" in two.headline
    means = {side.name: side.mean for side in one.sides}
    assert all(side.mean == means[side.name] for side in two.sides), "of 95 %, as they are labelled"


@pytest.mark.parametrize("means", [APART, ALIKE])
def test_headline_and_claim_say_which_look_it_is_with_the_seeds_of_each(
    means: dict[str, float],
) -> None:
    first, second = judged(means, 8), judged(means, 8, 4)
    assert first.look == FIRST.format(n=8)
    assert second.look is not None
    assert second.look.startswith("This is the second of two planned looks (8 seeds, then 4 more),")
    for verdict in (first, second):
        assert verdict.look
        assert verdict.headline.endswith(verdict.look)
        assert verdict.claim.endswith(verdict.look)
    one = decide(evidence(*planted(means, n=8)))
    assert one.look is None and "look" not in one.headline + one.claim


def test_a_look_that_is_left_adds_as_many_seeds_again_or_what_the_plans_need() -> None:
    few = judged(ALIKE, 12, smallest_effect=0.2)
    assert few.word == Word.GOOD_ENOUGH
    assert few.fresh == 12, "never fewer than the first look had"
    many = judged(ALIKE, 12, smallest_effect=0.002)
    assert many.word == Word.INCONCLUSIVE
    assert many.fresh == max(plan.estimate for plan in many.plan) - 12 > 12
    assert many.needed is not None and "at alpha = 0.025" in many.needed
    for plan in many.plan:
        needed = planning.seeds_needed(plan.sd, 12, 0.002, alpha=0.025, power=0.9)
        assert plan.estimate == needed.estimate, "at the level of a look"
    assert judged(ALIKE, 3).fresh == 4, "at least the floor in all"


def test_no_seeds_are_proposed_where_no_look_is_left_or_a_winner_is_named() -> None:
    assert judged(APART, 12).fresh is None
    assert judged(ALIKE, 8, 4).fresh is None
    assert decide(evidence(*planted(ALIKE))).fresh is None
