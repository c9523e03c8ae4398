"""From evidence to fixed words: each word, their precedence, and what goes into them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.planted import SEEDS, arm, changed, evidence, noise, planted
from workbench.messages import joined
from workbench.verdict import (
    Arm,
    Comparison,
    Doubt,
    Level,
    Size,
    Stage,
    Verdict,
    Word,
    as_json,
    comparing,
    decide,
)
from workbench.verdict.statistics import bootstrap, correction, equivalence, paired, planning
from workbench.verdict.wording import numbers

# What no sentence about a search may say.
LOADED = ("wins", "winner", "better", "significant", "outperform", "beats")

SPREAD = {"adamw-2": 0.95, "sgd-0": 0.92, "adam-0": 0.90, "default": 0.89}
ALIKE = {"adamw-2": 0.95, "sgd-0": 0.95, "adam-0": 0.95, "default": 0.95}
CLOSE = {"adamw-2": 0.95, "sgd-0": 0.95, "adam-0": 0.90, "default": 0.89}


def pair(verdict: Verdict, first: str, second: str) -> Comparison:
    return next(p for p in verdict.comparisons if {p.first, p.second} == {first, second})


# The words.


def test_a_planted_gap_of_three_sd_makes_a_winner() -> None:
    verdict = decide(evidence(*planted(SPREAD)))
    assert (verdict.word, verdict.size) == (Word.WINNER, Size.ABOVE)
    assert (verdict.leader, verdict.closest) == ("adamw-2", "sgd-0")
    assert verdict.candidates == ("adamw-2",), "a winner is alone in the set of the best"
    assert verdict.excluded == ("sgd-0", "adam-0", "default")
    assert verdict.plan == () and verdict.needed is None
    assert verdict.gap == pytest.approx(0.03)
    found = pair(verdict, "adamw-2", "sgd-0").difference
    assert verdict.headline == (
        "adamw-2 wins: test accuracy 0.9500 against 0.9200 of the closest rival sgd-0 (difference"
        f" 0.0300, 95 % interval of this pair alone {found.low:.4f} to {found.high:.4f},"
        " p = 0.00049, ahead on 12 of 12 seeds). The lead is at least 0.0261 (95 % confidence),"
        " more than 0.01, the smallest difference that matters."
    )
    assert verdict.claim.startswith("For these configurations, on this data set and test split, ")
    assert "Holm" not in verdict.claim, "a winner needs no correction"


def test_the_size_of_a_lead_is_above_the_smallest_effect_negligible_or_open() -> None:
    arms = planted(SPREAD)
    lead = decide(evidence(*arms)).comparisons[0].difference
    for effect, size, text in (
        (0.01, Size.ABOVE, "The lead is at least 0.0261 (95 % confidence), more than 0.01"),
        (0.05, Size.NEGLIGIBLE, "an equivalence test shows that it is smaller than 0.05"),
        (lead.estimate, Size.OPEN, "is open."),
        (lead.estimate * 0.999, Size.OPEN, "is open."),
    ):
        verdict = decide(evidence(*arms, smallest_effect=effect))
        assert (verdict.word, verdict.size) == (Word.WINNER, size), effect
        assert text in verdict.headline and text in verdict.claim


def test_a_lead_is_above_the_smallest_effect_only_if_its_lower_bound_is() -> None:
    sure, near = (
        decide(evidence(*planted({"a": 0.95, "b": 0.95 - gap}))) for gap in (0.05, 0.0115)
    )
    assert (sure.size, near.size) == (Size.ABOVE, Size.OPEN)
    assert near.word == Word.WINNER and near.gap is not None and near.gap > 0.01
    assert near.comparisons[0].difference.low < 0.01


def test_no_gap_seems_to_reach_the_smallest_effect_by_rounding() -> None:
    verdict = decide(evidence(*planted({"a": 0.8542, "b": 0.8365}, sd=0.09), smallest_effect=0.02))
    assert "a has the best mean and leads b by 0.018 (95 % interval" in verdict.headline


def test_failed_runs_are_named_in_headline_and_claim() -> None:
    best, second, *others = planted(SPREAD)
    failed = changed(second, "3", state="failed", value=None)
    verdict = decide(evidence(best, failed, *others, bounds=(None, None)))
    for sentence in (verdict.headline, verdict.claim):
        assert sentence.endswith("Failed runs count with the worst value: sgd-0 on 1 of 12 seeds.")


def test_failed_runs_without_a_worst_value_show_neither_a_lead_nor_closeness() -> None:
    free: dict[str, Any] = {"bounds": (None, None)}
    best, *others = planted(SPREAD)
    leader = changed(best, "3", state="failed", value=None)
    assert decide(evidence(best, *others, **free)).word == Word.WINNER
    led = decide(evidence(leader, *others, **free))
    assert led.leader == "adamw-2" and led.word not in (Word.WINNER, Word.GOOD_ENOUGH)
    assert led.sides[0].behind is None, "nothing bounds how far it is behind"
    assert not any(found.beaten for found in led.comparisons if found.first == "adamw-2")
    assert "failed runs of adamw-2 count with the worst value seen" in led.reasons[0].text
    first, second = planted({"a": 0.95, "b": 0.9499}, sd=0.004)
    assert decide(evidence(first, second, **free)).word == Word.GOOD_ENOUGH
    lost = changed(first, "3", state="failed", value=None)
    for arms in ((lost, second), (second, lost)):
        found = decide(evidence(*arms, smallest_effect=0.05, **free))
        assert not found.comparisons[0].equivalent, "a failed run may have been far worse"
        assert (found.leader, found.word) != ("a", Word.GOOD_ENOUGH)


def test_a_lead_over_a_rival_with_failed_runs_counts_but_is_not_called_negligible() -> None:
    first, second = planted({"a": 0.95, "b": 0.945}, sd=0.004)
    lost = changed(second, "3", state="failed", value=None)
    whole, failed = (
        decide(evidence(first, rival, smallest_effect=0.05, bounds=(None, None)))
        for rival in (second, lost)
    )
    assert (whole.word, whole.size) == (Word.WINNER, Size.NEGLIGIBLE)
    assert (failed.word, failed.size) == (Word.WINNER, Size.OPEN)
    assert whole.comparisons[0].equivalent and not failed.comparisons[0].equivalent
    assert failed.reasons[0].text.startswith("a is better than b: ")
    # With a worst value of the metric the failed run counts with that, and shows how bad it was.
    assert decide(evidence(first, lost, smallest_effect=0.05)).size == Size.OPEN


def test_a_headline_quotes_the_closest_rival_and_names_who_may_be_the_best() -> None:
    even, rough = planted({"a": 0.95, "b": 0.95}, sd=0.002), planted({"c": 0.93}, sd=0.05)
    verdict = decide(evidence(*even, *rough))
    assert verdict.candidates == ("a", "b", "c")
    assert (
        "has a mean difference of 0 from b (95 % interval of this pair alone −0.0"
        in verdict.headline
    )


def test_decimals_of_a_difference_suit_its_size_and_tell_it_from_the_smallest_effect() -> None:
    assert numbers.places_for(-35.0, 45.0, 5.0, 4.9) == 0 + 1
    assert numbers.places_for(-35.0, 45.0, 5.0, 3.0) == 0
    assert numbers.places_for(0.002, 0.018, 0.01, 0.00996) == 5
    assert numbers.places_for(0.0, 0.0) == 3


def test_arms_with_the_same_value_on_every_seed_carry_a_flag() -> None:
    values = list(0.9 + 0.01 * noise(0))
    verdict = decide(evidence(arm("a", values), arm("b", values), *planted({"c": 0.5})))
    (flag,) = verdict.flags
    assert flag.text.startswith("a, b have the same value on each of 12 seeds")


def test_a_default_that_no_level_reaches_is_told_beside_a_contrast_over_a_factor() -> None:
    (default,) = planted({"default": 0.96})
    default = replace(default, levels={"optimizer": "sgd", "freeze_depth": "0"})
    found = decide(evidence(*grid(), default, contrast="optimizer"))
    (flag,) = found.flags
    assert flag.text.startswith("The baseline, default, has a mean of 0.9600, which no level of")
    assert any("did a run fail" in text for text in found.assumptions)
    failed = changed(default, "3", state="failed", value=None)
    noted = decide(evidence(*grid(), failed, contrast="optimizer")).assumptions
    assert not any("did a run fail" in text for text in noted), "one of the default failed"
    assert not decide(evidence(*grid(), contrast="optimizer")).flags


def test_a_gap_equal_to_the_smallest_effect_but_for_rounding_is_not_above_it() -> None:
    first = [0.3 + place / 1000 for place in range(12)]
    turns = [0.001 * (-1) ** place for place in range(12)]
    second = [value - 0.1 + turn for value, turn in zip(first, turns, strict=True)]
    verdict = decide(evidence(arm("a", first), arm("b", second), smallest_effect=0.1))
    assert (verdict.word, verdict.size) == (Word.WINNER, Size.OPEN)


def test_a_leader_that_is_behind_by_less_than_the_smallest_effect_at_most_is_good_enough() -> None:
    verdict = decide(evidence(*planted(ALIKE, sd=0.004)))
    assert verdict.word == Word.GOOD_ENOUGH and (verdict.size, verdict.plan) == (None, ())
    assert set(verdict.candidates) == set(ALIKE) and verdict.excluded == ()
    behind = verdict.sides[0].behind
    assert behind is not None and 0 < behind < 0.01
    text = re.match(
        r"adamw-2 is good enough: with 95 % confidence no other configuration compared is more than"
        r" (0\.\d+) higher than adamw-2 in test accuracy; the smallest difference that matters is",
        verdict.headline,
    )
    assert text is not None
    assert behind <= float(text.group(1)) < behind + 0.0002, "rounded up"
    assert "no other configuration compared is more than" in verdict.claim
    for effect, word in ((behind * 1.001, Word.GOOD_ENOUGH), (behind, Word.INCONCLUSIVE)):
        near = decide(evidence(*planted(ALIKE, sd=0.004), smallest_effect=effect))
        assert near.word == word
        assert f"more than {effect:g} " not in near.headline, "rounded, the bound stays below it"


def test_a_bound_of_a_metric_that_is_minimized_is_worded_from_below() -> None:
    arms = planted({"a": 0.3, "b": 0.3001}, sd=0.004)
    verdict = decide(evidence(*arms, metric="test/loss", direction="minimize"))
    assert (verdict.word, verdict.leader) == (Word.GOOD_ENOUGH, "a")
    assert re.search(r"is more than 0\.\d+ lower than a in test loss;", verdict.claim)


def test_differences_that_do_not_vary_decide_nothing() -> None:
    values = list(0.9 + 0.01 * noise(0))
    verdict = decide(evidence(arm("a", values), arm("b", values)))
    assert verdict.word == Word.INCONCLUSIVE and (verdict.gap, verdict.plan) == (0, ())
    assert verdict.candidates == ("a", "b") and verdict.sides[0].behind is None
    only = verdict.comparisons[0]
    assert math.isnan(only.p) and math.isnan(only.p_holm), "no p value beside an open question"
    assert (only.p_t, only.dz, only.sd) == (None, None, 0)
    assert (only.p_equivalence, only.posterior, only.improvement.estimate) == (None, None, 0.5)
    assert "Nothing is decided for b: their difference is the same" in verdict.reasons[0].text
    said = (
        "a mean difference of 0 from b (constant over all seeds; ahead on 0 of 12 seeds, equal on"
    )
    assert said in verdict.headline
    ahead = decide(evidence(arm("a", values), arm("b", [value - 0.1 for value in values])))
    assert ahead.word == Word.INCONCLUSIVE, "one column may be made from the other"
    json.dumps(as_json(verdict), allow_nan=False)


def test_a_pair_that_cannot_be_tested_takes_no_step_of_the_correction() -> None:
    values = list(0.9 + 0.01 * noise(0))
    constant = arm("constant", [value - 0.1 for value in values])
    (other,) = planted({"other": 0.895})
    found = decide(evidence(arm("a", values), constant, other)).comparisons
    tested = [pair for pair in found if not pair.undecidable]
    smallest = min(tested, key=lambda pair: pair.p)
    assert len(tested) == 2 and smallest.p_holm == pytest.approx(3 * smallest.p)


def test_a_rival_without_spread_decides_nothing_beside_others_that_are_excluded() -> None:
    values = list(0.9 + 0.01 * noise(0))
    copy = arm("copy", [value - 0.1 for value in values])
    verdict = decide(evidence(arm("a", values), copy, *planted({"c": 0.7})))
    assert (verdict.word, verdict.excluded) == (Word.NARROWED, ("c",))
    assert verdict.candidates == ("a", "copy")
    assert [plan.rival for plan in verdict.plan] == []
    (plan,) = decide(evidence(arm("a", values), copy, *planted({"c": 0.9}))).plan
    assert plan.estimate == planning.seeds_needed(plan.sd, 12, 0.01).estimate, "one rival"


def test_a_rival_far_behind_is_excluded_beside_candidates_that_are_close() -> None:
    verdict = decide(evidence(*planted({"a": 0.95, "b": 0.9495, "c": 0.85}, sd=0.004)))
    assert verdict.word == Word.GOOD_ENOUGH
    assert (verdict.candidates, verdict.excluded) == (("a", "b"), ("c",))
    assert (
        "If there is a single best configuration, it is a or b, not c (95 % confidence)."
        in verdict.headline
    )
    assert [reason.rival for reason in verdict.reasons] == ["b", "c"]
    assert verdict.reasons[0].text.startswith("b may be the best: a leads it by")
    assert verdict.reasons[1].text.startswith("c is not the single best: a leads it by")


def test_a_narrowed_verdict_names_who_may_be_the_best_and_who_is_not() -> None:
    means = {"a": 0.95, "b": 0.948, "c": 0.90, "default": 0.85}
    verdict = decide(evidence(*planted(means, sd=0.02), smallest_effect=0.001))
    assert verdict.word == Word.NARROWED
    assert (verdict.candidates, verdict.excluded) == (("a", "b"), ("c", "default"))
    assert verdict.headline.startswith(
        "If there is a single best configuration, it is a or b, not c or default (95 %"
        " confidence). No single winner is shown: a has the best mean and leads b by 0.0020 (95 %"
        " interval of this pair alone"
    )
    assert (
        "has the highest mean test accuracy, it is a or b, not c or default (95 %" in verdict.claim
    )
    assert [plan.rival for plan in verdict.plan] == ["b"], "seeds for those that are left"
    by_name = {side.name: side for side in verdict.sides}
    for name in means:
        p = by_name[name].p_best
        assert p is not None and (p > 0.05) == (name in verdict.candidates)


@pytest.mark.parametrize(
    ("means", "effect", "word"),
    [
        (ALIKE, 0.5, Word.GOOD_ENOUGH),
        (CLOSE, 0.5, Word.GOOD_ENOUGH),
        (CLOSE, 0.001, Word.NARROWED),
        (ALIKE, 0.001, Word.INCONCLUSIVE),
        (ALIKE, None, Word.INCONCLUSIVE),
    ],
)
def test_without_a_winner_no_sentence_says_that_one_is_better_or_that_two_are_equal(
    means: dict[str, float], effect: float | None, word: Word
) -> None:
    verdict = decide(evidence(*planted(means, sd=0.02), smallest_effect=effect))
    assert verdict.word == word and verdict.size is None
    sentences = (verdict.headline, verdict.claim, *(reason.text for reason in verdict.reasons))
    for text in sentences:
        assert not re.search(r"\b(wins|beats|better|significant|equal|equivalent|same)\b", text)
    assert "No single winner is shown" in verdict.headline
    assert ("good enough" in verdict.headline) == (word == Word.GOOD_ENOUGH)
    assert (", not " in verdict.headline) == bool(verdict.excluded)
    assert len(re.findall(r"\.(?: |$)", verdict.headline)) <= 3, "a headline is three sentences"


def test_names_with_a_word_of_a_list_in_them_stay_whole() -> None:
    means = {"a": 0.95, "b": 0.948, "cut and paste": 0.90, "default": 0.85}
    verdict = decide(evidence(*planted(means, sd=0.02), smallest_effect=0.001))
    assert "it is a or b, not cut and paste or default (95 %" in verdict.headline
    assert "not cut and paste or default (" in verdict.claim
    more = decide(evidence(*planted({**means, "c": 0.85}, sd=0.02), smallest_effect=0.001))
    assert "it is a or b, not one of the other 3 (95 %" in more.headline, (
        "the claim has their names"
    )
    assert "not cut and paste, c or default (" in more.claim


def test_a_set_of_one_is_no_winner_where_the_test_of_the_winner_does_not_pass() -> None:
    # The data chose the leader, which costs the second side: p is 0.055, that of b 0.027.
    gaps = [0.010, 0.011, 0.012, 0.013, 0.014, 0.015, 0.016, -0.0141]
    arms = (arm("a", [0.5 + gap for gap in gaps]), arm("b", [0.5] * 8))
    verdict = decide(evidence(*arms, smallest_effect=None))
    assert verdict.sides[1].p_best == verdict.p_win, "that of the set is 0.027"
    assert (verdict.word, verdict.candidates) == (Word.INCONCLUSIVE, ("a", "b"))
    assert "wins" not in verdict.headline and "either of the 2 " in verdict.claim
    assert verdict.reasons[0].text.endswith("(p = 0.055)."), "the test that keeps it in the set"
    close = decide(evidence(*arms))
    assert (close.word, close.sides[0].behind) == (Word.GOOD_ENOUGH, 0)
    assert "no other configuration compared is higher than a in test accuracy;" in close.claim
    assert "It is no WINNER, which takes a stricter test: a has the best mean" in close.headline
    assert close.reasons[0].text.startswith("The stricter test of a winner does not exclude b: ")


def test_a_set_of_all_is_inconclusive_and_says_how_many_seeds_each_rival_needs() -> None:
    arms = planted(ALIKE, sd=0.02)
    verdict = decide(evidence(*arms, seconds=30.0))
    assert verdict.word == Word.INCONCLUSIVE
    assert set(verdict.candidates) == set(ALIKE) and verdict.excluded == ()
    rivals = set(ALIKE) - {verdict.leader}
    assert sorted(plan.rival for plan in verdict.plan) == sorted(rivals)
    for plan in verdict.plan:
        spread = pair(verdict, str(verdict.leader), plan.rival).sd
        needed = planning.seeds_needed(spread, 12, 0.01, power=1 - 0.2 / 3)
        assert (plan.low, plan.estimate, plan.high) == needed[:3], "one test for each rival"
        assert plan.sd == spread
        assert plan.seconds_low == 30.0 * 4 * needed.low
    assert len(verdict.reasons) == 3
    assert all("may be the best: " in reason.text for reason in verdict.reasons)
    assert verdict.reasons[0].rival == verdict.closest, "what decides comes first"
    assert verdict.headline.startswith("Any of the 4 may be the best (95 % confidence). No single")
    assert verdict.needed is not None
    assert verdict.needed.startswith(
        "To find a true difference of 0.01 from each of 3 rivals with 80 % power at alpha = 0.05, "
    ), "never for the difference observed"
    for plan in verdict.plan:
        assert f"{plan.low} to {plan.high} seeds against {plan.rival}" in verdict.needed
    largest = max(verdict.plan, key=lambda plan: plan.estimate)
    assert largest.seconds_high == 30.0 * 4 * (largest.high or 0)
    assert "are needed in all; the largest of these costs about 68 min to 4.7 h." in verdict.needed
    assert "seeds against" not in verdict.headline, "the finding and no plan"


def test_the_seeds_of_a_contrast_with_the_baseline_are_corrected_for_its_pairs() -> None:
    verdict = decide(evidence(*planted(ALIKE, sd=0.02), contrast="baseline"))
    (plan,) = verdict.plan
    assert (verdict.pairs, plan.rival) == (3, "default")
    assert plan.estimate == planning.seeds_needed(plan.sd, 12, 0.01, pairs=3).estimate


def test_a_plan_without_a_known_cost_names_none() -> None:
    verdict = decide(evidence(*planted(ALIKE, sd=0.02)))
    assert verdict.plan and all(plan.seconds_low is None for plan in verdict.plan)
    assert verdict.needed is not None and "80 % power" in verdict.needed
    assert "cost" not in verdict.needed


def test_fewer_than_six_seeds_are_underpowered_by_design() -> None:
    verdict = decide(evidence(*planted(SPREAD, n=5)))
    assert verdict.word == Word.UNDERPOWERED
    assert verdict.p_floor == pytest.approx(1 / 16)
    assert verdict.headline == (
        "With 5 seeds the smallest possible p value is 0.062, above"
        " alpha = 0.05; at least 6 seeds are needed."
    )
    assert (verdict.candidates, verdict.excluded, verdict.plan) == ((), (), ())


def test_six_seeds_are_enough_for_a_winner_whatever_the_number_of_arms() -> None:
    for others in (1, 3, 9):
        means = {"best": 0.95} | {f"s{place}": 0.90 for place in range(others)}
        found = decide(evidence(*planted(means, n=6)))
        assert (found.word, found.leader) == (Word.WINNER, "best")
        assert decide(evidence(*planted(means, n=5))).word == Word.UNDERPOWERED


def test_a_contrast_with_the_baseline_needs_seeds_for_its_pairs() -> None:
    short, enough = (decide(evidence(*planted(SPREAD, n=n), contrast="baseline")) for n in (6, 7))
    assert (short.word, enough.word) == (Word.UNDERPOWERED, Word.WINNER)
    assert short.p_floor == pytest.approx(3 / 32)
    assert "With 6 seeds and 3 pairs the smallest possible p value is 0.094" in short.headline
    assert "at least 7 seeds are needed" in short.headline


def test_one_seed_has_a_mean_no_interval_and_no_comparison() -> None:
    verdict = decide(evidence(arm("a", [0.9]), arm("b", [0.8])))
    assert verdict.word == Word.UNDERPOWERED and verdict.comparisons == ()
    assert as_json(verdict)["sides"][0]["mean"] == {
        "estimate": 0.9, "low": None, "high": None, "level": 0.95,
    }  # fmt: skip


def test_fewer_than_two_arms_are_not_comparable() -> None:
    for arms, found in (((), "no side"), (planted({"a": 0.9}), "1 side (a)")):
        verdict = decide(evidence(*arms))
        assert verdict.word == Word.NOT_COMPARABLE
        assert f"found {found}" in verdict.headline
    assert verdict.sides[0].mean is not None


def test_a_search_ranks_its_trials_and_says_no_more() -> None:
    first = changed(arm("sgd-0", [0.6, 0.99, 0.7]), "2", state="pruned")
    trials = (first, arm("adamw-2", [0.8, None, 0.9]), arm("adam-0", [None]))
    verdict = decide(evidence(*trials, stage=Stage.SEARCH, metric="validation/accuracy"))
    assert verdict.word == Word.EXPLORATORY
    assert [side.name for side in verdict.sides] == ["adamw-2", "sgd-0", "adam-0"]
    assert verdict.sides[1].values == (0.6, None, 0.7), "a pruned trial has no value"
    assert all(side.mean is None and side.sd is None for side in verdict.sides)
    assert (verdict.comparisons, verdict.leader, verdict.p_floor) == ((), None, None)
    assert "The highest validation accuracy in the search is 0.9000 (adamw-2)" in (verdict.headline)
    assert [reason.rule for reason in verdict.reasons] == [1]
    assert [flag.rule for flag in verdict.flags] == [4], "unequal numbers of trials"
    said = json.dumps(as_json(verdict)).lower()
    assert [word for word in LOADED if word in said] == []


def test_a_search_that_is_minimized_ranks_from_below_and_one_without_values_says_so() -> None:
    arms = (arm("a", [0.5, 0.4]), arm("b", [0.3, 0.9]))
    verdict = decide(evidence(*arms, stage=Stage.SEARCH, direction="minimize"))
    assert [side.name for side in verdict.sides] == ["b", "a"]
    assert "The lowest test accuracy in the search is 0.3000 (b)" in verdict.headline
    empty = decide(evidence(arm("a", [None]), arm("b", []), stage=Stage.SEARCH))
    assert empty.headline == "No trial of the search has a value."


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"n": 5, "doubt": Word.EXPLORATORY, "pruned": True}, Word.NOT_COMPARABLE),
        ({"n": 5, "doubt": Word.NOT_COMPARABLE}, Word.NOT_COMPARABLE),
        ({"n": 5, "doubt": Word.EXPLORATORY}, Word.EXPLORATORY),
        ({"n": 12, "doubt": Word.EXPLORATORY}, Word.EXPLORATORY),
        ({"n": 5, "doubt": None}, Word.UNDERPOWERED),
        ({"n": 12, "doubt": None}, Word.WINNER),
        ({"n": 12, "doubt": None, "effect": 0.5}, Word.WINNER),
        ({"n": 12, "doubt": None, "effect": 0.5, "means": ALIKE}, Word.GOOD_ENOUGH),
        ({"n": 12, "doubt": None, "effect": 0.5, "means": CLOSE}, Word.GOOD_ENOUGH),
        ({"n": 12, "doubt": None, "effect": 0.001, "means": CLOSE}, Word.NARROWED),
        ({"n": 12, "doubt": None, "effect": 0.001, "means": ALIKE}, Word.INCONCLUSIVE),
        ({"n": 5, "doubt": None, "effect": 0.5, "means": ALIKE}, Word.UNDERPOWERED),
    ],
)
def test_words_take_precedence_in_their_order(given: dict[str, Any], word: Word) -> None:
    arms = planted(given.get("means", SPREAD), n=given["n"])
    if given.get("pruned"):
        arms = (changed(arms[0], "1", state="pruned"), *arms[1:])
    doubt = Doubt(rule=None, word=given["doubt"], text="Something happened.")
    found = decide(evidence(*arms, doubts=(doubt,), smallest_effect=given.get("effect", 0.01)))
    assert found.word == word
    assert (doubt in found.flags) == (given["doubt"] is None)
    assert (doubt in found.reasons) == (given["doubt"] is not None)


def test_an_exploratory_confirmation_shows_means_and_no_p_value() -> None:
    doubt = Doubt(rule=None, word=Word.EXPLORATORY, text="The protocol was edited.")
    verdict = decide(evidence(*planted(SPREAD), doubts=(doubt,)))
    assert verdict.headline == "The protocol was edited."
    assert verdict.comparisons == () and verdict.leader is None
    assert verdict.sides[0].mean is not None
    said = json.dumps(as_json(verdict)).lower()
    assert [word for word in LOADED if word in said] == []


# What is compared.


def test_each_number_is_that_of_the_statistics_on_the_oriented_differences() -> None:
    arms = planted({"a": 0.92, "b": 0.93, "c": 0.95})
    verdict = decide(evidence(*arms))
    assert [(p.first, p.second) for p in verdict.comparisons] == [
        ("c", "b"), ("c", "a"), ("b", "a"),
    ], "in the order of the means"  # fmt: skip
    values = {a.name: np.array([run.value for run in a.runs]) for a in arms}
    gaps = [values[p.first] - values[p.second] for p in verdict.comparisons]
    holm = correction.holm([paired.sign_flip(each) for each in gaps])
    tost = correction.holm([equivalence.tost(each, 0.01) for each in gaps])
    for place, (found, gap) in enumerate(zip(verdict.comparisons, gaps, strict=True)):
        assert found.differences == pytest.approx(gap)
        assert found.p_holm == pytest.approx(holm[place])
        assert found.p_equivalence == pytest.approx(tost[place])
        assert found.p_t == pytest.approx(paired.paired_t(gap))
        assert found.dz == pytest.approx(paired.hedges_dz(gap))
        assert found.posterior == equivalence.posterior(gap, 0.01)
        interval = paired.t_interval(gap)
        assert (found.difference.low, found.difference.high) == pytest.approx(
            (interval.low, interval.high)
        )
    assert verdict.sides[0].mean is not None and verdict.sides[0].name == "c"
    assert verdict.sides[0].sd == pytest.approx(values["c"].std(ddof=1))


def test_a_metric_that_is_minimized_is_turned() -> None:
    arms = planted({"a": 0.20, "b": 0.30})
    verdict = decide(evidence(*arms, metric="test/loss", direction="minimize"))
    assert (verdict.word, verdict.leader) == (Word.WINNER, "a")
    assert verdict.gap == pytest.approx(0.10)
    assert "test loss 0.2000 against 0.3000 of b (lower is better; difference 0.1000" in (
        verdict.headline
    )
    assert "a has a lower test loss than b: a mean difference of 0.1000 (" in verdict.claim


def test_a_rival_that_is_often_ahead_by_a_little_is_beaten_by_the_mean() -> None:
    # Every third seed goes to the rival by a little, the others to the leader by far.
    gaps = [0.04 if place % 3 else -0.0005 for place in range(15)]
    arms = (arm("a", [0.9 + gap for gap in gaps]), arm("b", [0.9] * 15))
    found = decide(evidence(*arms))
    only = found.comparisons[0]
    assert only.p < 0.05 and only.improvement.estimate == pytest.approx(2 / 3)
    assert found.word == Word.WINNER
    assert "ahead on 10 of 15 seeds" in found.headline, "a reader sees how often it is"


def ahead_of_many(gap: float) -> tuple[Arm, ...]:
    """A leader and 9 rivals of equal means with their own noise, 12 seeds."""
    means = {"s9": 0.9 + gap} | {f"s{place}": 0.9 for place in range(9)}
    return planted(means)


def test_a_winner_of_ten_is_found_where_a_correction_over_all_pairs_would_not() -> None:
    verdict = decide(evidence(*ahead_of_many(0.012)))
    assert (verdict.pairs, len(verdict.comparisons)) == (45, 45)
    ours = [found for found in verdict.comparisons if found.first == "s9"]
    assert len(ours) == 9
    assert (verdict.word, verdict.leader) == (Word.WINNER, "s9")
    assert verdict.p_win == max(found.p for found in ours) <= 0.05
    assert any(found.p_holm > 0.05 for found in ours), "no winner with Holm over 45 pairs"
    assert len(verdict.excluded) == 9


def test_every_rival_must_be_behind_for_a_winner() -> None:
    *others, last = ahead_of_many(0.03)
    near = replace(others[0], name="near")
    values = [(run.value or 0) - 0.001 * (-1) ** at for at, run in enumerate(near.runs)]
    verdict = decide(evidence(*others, last, arm("near", values), smallest_effect=0.0001))
    ours = [p for p in verdict.comparisons if verdict.leader in (p.first, p.second)]
    assert sum(found.p > 0.05 for found in ours) == 1
    assert verdict.word == Word.NARROWED and set(verdict.candidates) == {"s9", "near"}
    assert len(verdict.excluded) == 9


def test_a_pair_for_itself_is_corrected_and_the_winner_is_not() -> None:
    gaps = [0.010 + 0.001 * place for place in range(9)] + [-0.010] * 3  # p = 0.036
    rough = [0.5 + 0.001 * (-1) ** place for place in range(12)]
    two, three = (
        decide(evidence(arm("a", [0.5 + gap for gap in gaps]), *others, smallest_effect=0.001))
        for others in (
            (arm("b", [0.5] * 12),),
            (arm("b", [0.5] * 12), arm("c", rough)),
        )
    )
    assert two.comparisons[0].p == three.comparisons[0].p < 0.05 < three.comparisons[0].p_holm
    assert [found.comparisons[0].beaten for found in (two, three)] == [True, False]
    assert (two.word, three.word) == (Word.WINNER, Word.WINNER)


def test_the_winner_against_a_baseline_is_corrected_over_its_pairs() -> None:
    gaps = [0.010 + 0.001 * place for place in range(9)] + [-0.010] * 3  # p = 0.036
    best = arm("a", [0.5 + gap for gap in gaps])
    base = arm("base", [0.5] * 12, baseline=True)
    others = planted({"c": 0.499, "d": 0.499})
    alone, one_of_three = (
        decide(evidence(*arms, base, contrast="baseline", smallest_effect=0.001))
        for arms in ((best,), (best, *others))
    )
    assert (alone.word, one_of_three.word) == (Word.WINNER, Word.INCONCLUSIVE)
    found = pair(one_of_three, "a", "base")
    assert found.p < 0.05 < found.p_holm and one_of_three.p_win == found.p_holm
    assert one_of_three.candidates == ("a", "base")
    assert all(side.p_best is None and side.behind is None for side in one_of_three.sides)
    assert "Holm over 3 pairs" in one_of_three.claim
    assert "is not shown to be better than the baseline base" in one_of_three.headline


def test_an_interval_is_cut_at_the_bounds_of_the_metric() -> None:
    arms = (arm("a", [1.0] * 11 + [0.9]), arm("b", [0.5] * 12))
    mean = decide(evidence(*arms)).sides[0].mean
    assert mean is not None and mean.high == 1.0 and mean.low < mean.estimate < 1
    free = decide(evidence(*arms, bounds=(None, None))).sides[0].mean
    assert free is not None and free.high > 1


def test_an_end_of_an_interval_is_not_rounded_to_nothing() -> None:
    gaps = np.array([0.27, -0.003])
    half = paired.t_interval(list(noise(3))).high
    gaps = gaps.mean() + np.diff(gaps)[0] / -2 * noise(3) / half
    arms = (arm("a", gaps), arm("b", [0.0] * 12))
    verdict = decide(evidence(*arms, bounds=(None, None)))
    found = verdict.comparisons[0].difference
    assert (found.low, found.high) == pytest.approx((-0.003, 0.27))
    assert "95 % interval −0.003 to 0.270" in verdict.headline
    assert [numbers.signed(2, *ends) for ends in ((-0.3, 0.27), (0.0, 0.27), (1e-12, 0.27))] == [
        2, 2, 2,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pairs", "alpha", "draws"),
    [(6, 0.05, 20_000), (500, 0.05, 20_000), (1_000, 0.05, 40_000), (10**5, 0.05, 200_000)],
)
def test_signs_are_drawn_often_enough_to_pass_the_correction(
    pairs: int, alpha: float, draws: int
) -> None:
    assert comparing.sign_draws(pairs, alpha) == draws


def test_a_clear_difference_passes_the_correction_over_a_thousand_pairs() -> None:
    # Of the 46 arms only 2 have runs, to keep the test short; Holm counts all 1,035 pairs.
    means = {"a": 0.95, "b": 0.90}
    others = tuple(Arm(name=f"gone-{place}", runs=()) for place in range(44))
    verdict = decide(evidence(*planted(means, n=24), *others), draws=1)
    assert verdict.pairs == 1_035 and verdict.comparisons[0].p_holm < 0.05


def test_a_claim_says_whether_its_test_is_exact() -> None:
    for n, told in (
        (15, "(exact sign-flip permutation test)"),
        (16, "(sign-flip permutation test with 20,000 random draws)"),
    ):
        assert told in decide(evidence(*planted(SPREAD, n=n))).claim


# Runs that went wrong.


def test_a_diverged_or_failed_run_counts_with_the_worst_value() -> None:
    first, second = planted({"a": 0.95, "b": 0.90})
    first = changed(first, "2", state="failed", value=None)
    first = changed(first, "3", value=math.inf)
    first = changed(first, "4", value=math.nan)
    verdict = decide(evidence(first, second))
    side = next(side for side in verdict.sides if side.name == "a")
    assert side.imputed == ("2", "3", "4")
    assert side.values[1:4] == (0.0, 0.0, 0.0) and side.n == 12
    assert verdict.flags[0].rule == 6 and verdict.flags[0].text == (
        "a diverged or failed on seeds 2, 3 and 4 and counts there with 0, the worst value of"
        " test/accuracy."
    )
    assert verdict.leader == "b" and verdict.word != Word.WINNER


def test_what_a_failed_run_would_have_been_tested_on_hinders_no_comparison() -> None:
    arms = [
        replace(a, runs=tuple(replace(run, split="one") for run in a.runs)) for a in planted(SPREAD)
    ]
    lost = changed(arms[-1], "3", state="failed", value=None, split="unknown")
    assert decide(evidence(*arms[:-1], lost)).word == Word.WINNER


def test_without_a_bound_the_worst_value_is_the_worst_seen_in_all_arms() -> None:
    first, second = planted({"a": 2.0, "b": 7.0}, sd=0.5)
    worst = max(run.value for run in second.runs if run.value is not None)
    first = changed(first, "2", state="failed", value=None)
    given: dict[str, Any] = {"direction": "minimize", "metric": "test/loss", "bounds": (0.0, None)}
    verdict = decide(evidence(first, second, **given))
    assert verdict.sides[0].values[1] == worst
    assert "the worst value seen" in verdict.flags[0].text


def test_where_all_runs_failed_and_no_bound_is_known_nothing_is_put_in_their_place() -> None:
    arms = (arm("a", [None] * 12), arm("b", [None] * 12))
    verdict = decide(evidence(*arms, bounds=(None, None)))
    assert verdict.word == Word.NOT_COMPARABLE
    assert verdict.sides[0].values == (None,) * 12
    assert "a has no completed run, and the worst possible value of" in verdict.headline
    bounded = decide(evidence(*arms))
    assert bounded.word == Word.INCONCLUSIVE, "all failed alike"


def test_an_arm_of_which_no_run_completed_borrows_no_value_of_its_rival() -> None:
    (measured,) = planted({"a": 0.9})
    lost = arm("b", [None] * 12)
    verdict = decide(evidence(measured, lost, bounds=(None, None)))
    assert verdict.word == Word.NOT_COMPARABLE
    assert verdict.sides[1].mean is None
    bounded = decide(evidence(measured, lost))
    assert bounded.word == Word.WINNER
    assert any("not a measurement" in flag.text for flag in bounded.flags)


def test_an_arm_without_a_run_is_not_comparable_and_the_others_are_shown() -> None:
    arms = (Arm(name="gone", runs=()), *planted(SPREAD))
    verdict = decide(evidence(*arms, seeds=SEEDS))
    assert verdict.word == Word.NOT_COMPARABLE
    assert verdict.headline == "gone has no run."
    assert len(verdict.comparisons) == 6 and verdict.pairs == 10
    found, alone = pair(verdict, "adamw-2", "sgd-0"), decide(evidence(*planted(SPREAD)))
    assert found.p_holm == pytest.approx(10 * found.p), "the lost pairs stay in the correction"
    assert pair(alone, "adamw-2", "sgd-0").p_holm == pytest.approx(6 * found.p)


def test_no_value_of_an_unfinished_confirmation_is_shown() -> None:
    first, *others = planted(SPREAD)
    for state in ("running", "parked"):
        waiting = changed(first, "3", state=state, value=None)
        lost = changed(others[0], "1", state="failed", value=None)
        verdict = decide(evidence(waiting, lost, *others[1:], bounds=(None, None)))
        assert verdict.word == Word.NOT_COMPARABLE
        assert verdict.headline == f"adamw-2 is not finished on seed 3 ({state})."
        assert verdict.comparisons == () and verdict.leader is None
        assert all(set(side.values) == {None} and not side.mean for side in verdict.sides)
        assert not any("counts there with" in flag.text for flag in verdict.flags)


def test_a_missing_run_elsewhere_leaves_the_other_pairs() -> None:
    first, *others = planted(SPREAD)
    short = replace(first, runs=first.runs[:-1])
    verdict = decide(evidence(*others, short, stage=Stage.EXTERNAL, seeds=()))
    assert verdict.word == Word.NOT_COMPARABLE
    assert verdict.headline == "adamw-2 has no run for seed 12."
    assert len(verdict.comparisons) == 3
    side = next(side for side in verdict.sides if side.name == "adamw-2")
    assert side.mean is None and side.n == 11, "a mean of those that are there is a selection"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"value": None}, "adamw-2 completed on seed 3 without a value."),
        ({"seed": "2"}, "adamw-2 has several runs for seed 2, expected one."),
        (
            {"value": 95.0},
            "adamw-2 has the value 95 on seed 3, outside the bounds of test/",
        ),
    ],
)
def test_runs_that_do_not_fit_are_named(fields: dict[str, Any], told: str) -> None:
    first, *others = planted(SPREAD)
    verdict = decide(evidence(changed(first, "3", **fields), *others, stage=Stage.EXTERNAL))
    assert verdict.word == Word.NOT_COMPARABLE
    assert any(told in reason.text for reason in verdict.reasons)


# Contrasts.


def test_a_contrast_with_the_baseline_compares_each_arm_with_it_alone() -> None:
    verdict = decide(evidence(*planted(SPREAD), contrast="baseline"))
    assert (verdict.word, verdict.leader, verdict.closest) == (Word.WINNER, "adamw-2", "default")
    assert verdict.pairs == len(verdict.comparisons) == 3
    assert {p.second for p in verdict.comparisons} == {"default"}
    assert verdict.excluded == ("default",) and verdict.size == Size.ABOVE
    assert [side.p_best for side in verdict.sides] == [None] * 4, "no set of the best"
    for sentence in (verdict.headline, verdict.claim):
        assert sentence.endswith("compared with the baseline, not with each other.")
    assert (
        "adamw-2 wins against the baseline default, which 3 of 3 configurations beat: "
        in verdict.headline
    )
    assert "than the baseline default" in verdict.claim


def test_a_baseline_that_leads_has_been_compared_with_all_and_can_win() -> None:
    means = {**SPREAD, "default": 0.97}
    verdict = decide(evidence(*planted(means), contrast="baseline"))
    assert (verdict.word, verdict.leader, verdict.closest) == (Word.WINNER, "default", "adamw-2")
    assert verdict.gap == pytest.approx(0.02)
    assert verdict.headline.startswith("default wins: test accuracy 0.970 against 0.950 of the")
    assert "default has a higher test accuracy than every other" in verdict.claim
    for sentence in (verdict.headline, verdict.claim):
        assert sentence.endswith("compared with the baseline, not with each other.")
    close = planted({"a": 0.9499, "default": 0.95}, sd=0.004)
    assert decide(evidence(*close, contrast="baseline")).word == Word.INCONCLUSIVE, "no bound"


def test_a_baseline_that_leads_names_who_is_behind_it_by_the_test_that_was_made() -> None:
    means = {"a": 0.949, "b": 0.90, "c": 0.85, "default": 0.95}
    verdict = decide(evidence(*planted(means, sd=0.02), contrast="baseline"))
    assert (verdict.word, verdict.candidates) == (Word.NARROWED, ("default", "a"))
    assert verdict.excluded == ("b", "c")
    assert "exact sign-flip permutation test over 12 seeds, Holm over 3 pairs" in verdict.claim
    assert "multiple comparisons" not in verdict.claim
    assert "default is not shown to be better than a: " in verdict.reasons[0].text
    assert "default is better than b: " in verdict.reasons[1].text


@pytest.mark.parametrize("names", [("a", "default"), ("default", "a")])
def test_a_baseline_with_the_values_of_its_rival_decides_nothing(names: tuple[str, ...]) -> None:
    values = list(0.9 + 0.01 * noise(0))
    arms = [arm(name, values, baseline=name == "default") for name in names]
    verdict = decide(evidence(*arms, contrast="baseline"))
    assert (verdict.word, verdict.leader) == (Word.INCONCLUSIVE, names[0])


def test_a_strategy_without_an_arm_is_named_wherever_a_winner_is() -> None:
    lost = {"sgd-all": "none of its 12 trials completed"}
    verdict = decide(replace(evidence(*planted(SPREAD)), absent=lost))
    assert (verdict.word, verdict.absent) == (Word.WINNER, lost)
    for sentence in (verdict.headline, verdict.claim):
        assert sentence.endswith("Not compared: sgd-all (none of its 12 trials completed).")
    assert any(flag.text.startswith("sgd-all is NOT COMPARABLE") for flag in verdict.flags)
    assert verdict.pairs == 6, "nothing was planned for it"


def grid(gap: float = 0.03) -> tuple[Arm, ...]:
    """Two optimizers at three freeze depths; adamw is ahead by ``gap`` at each."""
    arms = planted(
        {
            f"{optimizer}-{depth}": 0.9 + gap * (optimizer == "adamw") - 0.1 * (depth == "all")
            for optimizer in ("sgd", "adamw")
            for depth in ("0", "2", "all")
        }
    )
    return tuple(
        replace(a, levels=dict(zip(("optimizer", "freeze_depth"), a.name.split("-"), strict=True)))
        for a in arms
    )


def test_a_contrast_over_a_factor_compares_the_means_of_its_levels() -> None:
    arms = grid()
    default = replace(
        planted({"default": 0.94})[0], levels={"optimizer": "sgd", "freeze_depth": "0"}
    )
    verdict = decide(evidence(*arms, default, contrast="optimizer"))
    assert (verdict.word, verdict.leader, verdict.pairs) == (Word.WINNER, "adamw", 1)
    assert [side.name for side in verdict.sides] == ["adamw", "sgd"], "the default is no side"
    by_hand = np.mean([[run.value or 0 for run in a.runs] for a in arms[3:]], axis=0)
    assert verdict.sides[0].values == pytest.approx(by_hand)
    assert len(verdict.sides[0].run_ids) == 36
    assert verdict.averaged == ("freeze_depth",)
    assert "averaged over freeze_depth" in verdict.claim
    alike = decide(evidence(*grid(0.0), contrast="optimizer", smallest_effect=0.05))
    assert alike.word == Word.GOOD_ENOUGH
    assert "no other level of optimizer is more than" in alike.headline
    unsure = decide(evidence(*grid(0.0), contrast="optimizer", smallest_effect=0.0001))
    assert "either of the 2 levels of optimizer may have the highest mean" in unsure.claim
    depths = decide(evidence(*arms, default, contrast="freeze_depth"))
    assert (depths.pairs, depths.averaged) == (3, ("optimizer",))


def test_a_strategy_that_is_the_default_itself_stays_in_its_level() -> None:
    arms = grid()
    arms = (replace(arms[0], baseline=True), *arms[1:])
    verdict = decide(evidence(*arms, contrast="optimizer"))
    assert verdict.word == Word.WINNER and len(verdict.sides[1].run_ids) == 36


def test_levels_that_meet_other_levels_of_the_other_factors_are_not_comparable() -> None:
    verdict = decide(evidence(*grid()[:-1], contrast="optimizer"))
    assert verdict.word == Word.NOT_COMPARABLE
    assert "(configurations: sgd 3, adamw 2)" in verdict.headline


# Test examples.


def with_scores(arms: tuple[Arm, ...], examples: int = 50) -> tuple[Arm, ...]:
    """Each run with 0/1 scores of its test examples, and the value that is their mean."""
    found = []
    for place, a in enumerate(arms):
        generator = np.random.default_rng(place)
        runs = []
        for run in a.runs:
            scores = (generator.random(examples) < (run.value or 0)).astype(float)
            runs.append(replace(run, scores=list(scores), value=float(scores.mean())))
        found.append(replace(a, runs=tuple(runs)))
    return tuple(found)


def test_scores_of_the_test_examples_give_an_interval_beyond_this_test_set() -> None:
    arms = with_scores(planted({"a": 0.9, "b": 0.7}))
    only = decide(evidence(*arms)).comparisons[0]
    scores = {a.name: [run.scores for run in a.runs] for a in arms}
    ours, theirs = (bootstrap.resampled_means(scores[name], draws=2_000) for name in "ab")
    expected = bootstrap.percentiles(0.0, ours - theirs, 0.95)
    assert only.beyond is not None and only.beyond_missing is None
    assert (only.beyond.low, only.beyond.high) == pytest.approx((expected.low, expected.high))
    assert only.beyond.estimate == pytest.approx(only.difference.estimate)
    width = only.difference.high - only.difference.low
    assert only.beyond.high - only.beyond.low > width, "it holds for more"
    turned = decide(evidence(*arms, direction="minimize")).comparisons[0]
    assert turned.beyond is not None and (turned.first, turned.second) == ("b", "a")
    assert turned.beyond.estimate == pytest.approx(turned.difference.estimate)
    levels = [
        replace(a, levels={"optimizer": a.name, "depth": depth}, name=f"{a.name}-{depth}")
        for a in arms
        for depth in ("0", "1")
    ]
    averaged = decide(evidence(*levels, contrast="optimizer")).comparisons[0]
    assert averaged.beyond == only.beyond, "the mean of two equal arms is each of them"
    others = with_scores(planted({"a-0": 0.9, "a-1": 0.8, "b-0": 0.7, "b-1": 0.6}))
    others = tuple(
        replace(a, levels=dict(zip(("optimizer", "depth"), a.name.split("-"), strict=True)))
        for a in others
    )
    averaged = decide(evidence(*others, contrast="optimizer")).comparisons[0]
    assert averaged.beyond is not None
    assert averaged.beyond.estimate == pytest.approx(averaged.difference.estimate)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"scores": ()}, "a has no per-example scores"),
        (
            {"scores": [1.0, 0.0], "value": 0.5},
            "the runs of a have scores of different numbers of examples",
        ),
        ({"state": "failed"}, "a diverged or failed on seed 3 and has no per-example scores there"),
    ],
)
def test_scores_that_cannot_be_used_say_why(fields: dict[str, Any], told: str) -> None:
    first, second = with_scores(planted({"a": 0.9, "b": 0.7}))
    only = decide(evidence(changed(first, "3", **fields), second)).comparisons[0]
    assert only.beyond is None
    assert only.beyond_missing is not None and only.beyond_missing.startswith(told)


def test_a_value_that_its_own_predictions_contradict_is_not_comparable() -> None:
    first, second = with_scores(planted({"a": 0.9, "b": 0.7}))
    assert decide(evidence(first, second)).word == Word.WINNER
    given = float(np.mean(first.runs[2].scores))
    verdict = decide(evidence(changed(first, "3", value=given + 0.01), second))
    assert verdict.word == Word.NOT_COMPARABLE and verdict.comparisons == ()
    assert verdict.reasons[0].text.startswith(
        f"The test/accuracy of a on seed 3 is {given + 0.01:g}, but its predictions give {given:g}."
    )
    single = changed(first, "3", value=float(np.float32(given)))
    assert decide(evidence(single, second)).word == Word.WINNER, "rounding contradicts nothing"
    waiting = changed(second, "1", state="running", value=None)
    hidden = decide(evidence(changed(first, "3", value=0.123), waiting))
    assert not any("0.123" in reason.text for reason in hidden.reasons), "no value is shown yet"


# Evaluations that may have been copied.


def test_an_arm_of_one_value_on_all_seeds_carries_a_flag() -> None:
    for arms, flagged in (
        ((arm("a", [0.9] * 12), arm("b", [0.8] * 12)), ["a", "b"]),
        ((arm("a", list(0.9 + 0.01 * noise(0))), arm("b", [0.8] * 12)), ["b"]),
    ):
        verdict = decide(evidence(*arms))
        assert (verdict.word == Word.WINNER) == (len(flagged) == 1), "two constants are two values"
        assert [flag.text.split(" has")[0] for flag in verdict.flags] == flagged
        assert {flag.rule for flag in verdict.flags} == {9}
        assert "on all of its 12 seeds. Was one evaluation copied?" in verdict.flags[0].text
    for silent in (
        planted({"a": 0.9, "b": 0.8}),
        (arm("a", [0.9] * 2), arm("b", [0.8] * 2)),
    ):
        assert decide(evidence(*silent)).flags == ()


# Levels, and what a design may not say.


def test_a_claim_speaks_of_these_configurations() -> None:
    verdict = decide(evidence(*planted(SPREAD)))
    assert verdict.level == Level.CONFIGURATION, "one search on one data set shows no more"
    assert verdict.claim.startswith("For these configurations, on this data set and test split, ")
    assert "strateg" not in verdict.claim


def test_without_a_smallest_effect_the_size_of_a_lead_is_not_judged() -> None:
    winner = decide(evidence(*planted(SPREAD), smallest_effect=None))
    assert (winner.word, winner.size) == (Word.WINNER, None)
    for sentence in (winner.headline, winner.claim):
        assert "No smallest effect was given" in sentence
    alike = decide(evidence(*planted(ALIKE, sd=0.004), smallest_effect=None))
    assert alike.word == Word.INCONCLUSIVE and (alike.plan, alike.needed) == ((), None)
    assert "good enough" not in alike.headline
    for verdict in (winner, alike):
        assert verdict.comparisons[0].p_equivalence is None
        assert verdict.comparisons[0].posterior is None


def test_two_arms_of_one_name_are_refused() -> None:
    first = planted(SPREAD)[0]
    with pytest.raises(ValueError, match="Two arms are named 'adamw-2'"):
        decide(evidence(first, first))


def test_the_same_evidence_gives_the_same_verdict_as_json_without_nan() -> None:
    arms = with_scores(planted({"a": 0.9, "b": 0.6}))
    first, second = (as_json(decide(evidence(*arms))) for _ in range(2))
    text = json.dumps(first, allow_nan=False)
    assert text == json.dumps(second, allow_nan=False)
    assert json.loads(text) == first, "plain data alone"
    assert first["word"] == "WINNER" and first["comparisons"][0]["beaten"] is True


@pytest.mark.parametrize(
    ("width", "places"),
    [(0.006, 3), (0.012, 3), (0.0035, 4), (0.0036, 3), (4.0, 0), (2.5, 1), (250.0, 0), (0.0, 3)],
)
def test_numbers_have_the_digits_that_their_uncertainty_deserves(width: float, places: int) -> None:
    assert numbers.decimals(width) == places


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.23, "4.2 s"), (9.97, "10 s"), (119, "119 s"), (600, "10 min"), (7560, "2.1 h"),
     (1.0e6, "12 days"), (2.0e8, "2,315 days")],
)  # fmt: skip
def test_a_duration_has_the_unit_that_fits(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_no_minus_stands_before_a_zero_and_long_lists_are_counted() -> None:
    assert [numbers.fixed(value, 2) for value in (-0.001, -0.01, 1.0)] == ["0.00", "−0.01", "1.00"]
    assert joined(["a"]) == "a" and joined(["a", "b", "c"]) == "a, b and c"
    assert joined(list("abcdef")) == "a, b, c and 3 more"
    assert numbers.p_value(0.00004) == "p < 0.0001" and numbers.p_value(0.0213) == "p = 0.021"


def test_skewed_differences_and_failures_that_were_not_seen_are_named() -> None:
    values = 0.8 + 0.01 * noise(1)
    skewed = values - np.where(np.arange(12) == 3, 0.2, 0.01)
    verdict = decide(evidence(arm("a", list(values)), arm("b", list(skewed))))
    first, second = verdict.assumptions
    assert "skewed for b (skewness 3.5)" in first
    assert "On none of 12 seeds" in second and "above 22 %" in second
    failed = [*values[:11], None]
    assert not decide(evidence(arm("a", list(values)), arm("b", failed))).assumptions[1:]


@pytest.mark.parametrize(
    ("bound", "shown"),
    [(0.0098012, "0.0099"), (0.00012344, "1.235e−04"), (123.456, "123.46"), (12345.4, "12346")],
)
def test_an_upper_bound_is_rounded_up_to_the_digits_that_are_printed(
    bound: float, shown: str
) -> None:
    rounded = numbers.ceiling(bound)
    assert rounded is not None and numbers.measured(rounded) == shown
