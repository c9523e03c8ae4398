"""From evidence to fixed words: each word, their precedence, and what goes into them."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.planted import SEEDS, arm, changed, evidence, noise, planted
from workbench.verdict import (
    Arm,
    Comparison,
    Design,
    Doubt,
    Evidence,
    Level,
    Run,
    Stage,
    Verdict,
    Word,
    as_json,
    comparing,
    decide,
    statistics,
)
from workbench.verdict.statistics import bootstrap
from workbench.verdict.wording import numbers

# What no sentence about a search may say.
LOADED = ("wins", "winner", "better", "significant", "outperform", "beats")

SPREAD = {"adamw-2": 0.95, "sgd-0": 0.92, "adam-0": 0.90, "default": 0.89}
ALIKE = {"adamw-2": 0.95, "sgd-0": 0.95, "adam-0": 0.95, "default": 0.95}


def pair(verdict: Verdict, first: str, second: str) -> Comparison:
    return next(p for p in verdict.comparisons if {p.first, p.second} == {first, second})


# The words.


def test_a_planted_gap_of_three_sd_makes_a_winner() -> None:
    verdict = decide(evidence(*planted(SPREAD)))
    assert verdict.word == Word.WINNER
    assert (verdict.leader, verdict.closest) == ("adamw-2", "sgd-0")
    assert verdict.beaten == ("sgd-0", "adam-0", "default")
    assert (verdict.tied, verdict.open, verdict.plan) == ((), (), None)
    assert verdict.gap == pytest.approx(0.03)
    found = pair(verdict, "adamw-2", "sgd-0").difference
    assert verdict.headline == (
        "adamw-2 wins: test accuracy 0.9500 against 0.9200 of the closest rival sgd-0 (difference"
        f" 0.0300, 95 % interval {found.low:.4f} to {found.high:.4f}, n = 12 seeds)."
    )
    assert verdict.claim.startswith("For these configurations, on this data set and test split, ")
    assert "Holm over 6 pairs" in verdict.claim


def test_a_gap_that_does_not_exceed_the_smallest_effect_is_negligible() -> None:
    arms = planted(SPREAD)
    verdict = decide(evidence(*arms, smallest_effect=0.05))
    assert verdict.word == Word.NEGLIGIBLE
    assert verdict.beaten == ("sgd-0", "adam-0", "default")
    assert "negligibly higher" in verdict.headline and "not above 0.05" in verdict.claim
    gap = decide(evidence(*arms)).gap
    assert gap is not None
    for effect, word in ((gap, Word.NEGLIGIBLE), (gap * 0.999, Word.WINNER)):
        assert decide(evidence(*arms, smallest_effect=effect)).word == word, "exactly at it"


def test_a_winner_says_how_far_down_the_interval_of_its_gap_reaches() -> None:
    sure, narrow = (
        decide(evidence(*planted({"a": 0.95, "b": 0.95 - gap}))) for gap in (0.05, 0.0115)
    )
    assert sure.word == narrow.word == Word.WINNER
    assert not any("reaches down" in reason.text for reason in sure.reasons)
    told = next(reason.text for reason in narrow.reasons if "reaches down" in reason.text)
    low = narrow.comparisons[0].difference.low
    assert low < 0.01 and f"reaches down to {low:.4f}"[:22] in told


def test_no_gap_seems_to_reach_the_smallest_effect_by_rounding() -> None:
    verdict = decide(evidence(*planted({"a": 0.8542, "b": 0.8365}, sd=0.09), smallest_effect=0.02))
    assert "0.854 against 0.836" in verdict.headline and "(difference 0.018" in verdict.headline


def test_values_that_stand_for_failed_runs_are_told_with_the_finding() -> None:
    best, second, *others = planted(SPREAD)
    failed = changed(second, "3", state="failed", value=None)
    verdict = decide(evidence(best, failed, *others, bounds=(None, None)))
    for sentence in (verdict.headline, verdict.claim):
        assert sentence.endswith("Failed runs count with the worst value: sgd-0 on 1 of 12 seeds.")


def test_failed_runs_without_a_worst_value_show_neither_a_lead_nor_a_tie() -> None:
    free: dict[str, Any] = {"bounds": (None, None)}
    best, *others = planted(SPREAD)
    leader = changed(best, "3", state="failed", value=None)
    assert decide(evidence(best, *others, **free)).word == Word.WINNER
    led = decide(evidence(leader, *others, **free))
    assert led.word == Word.INCONCLUSIVE and led.beaten == ()
    assert "failed runs of adamw-2 count with the worst value seen" in led.reasons[0].text
    first, second = planted({"a": 0.95, "b": 0.95}, sd=0.004)
    assert decide(evidence(first, second, **free)).word == Word.TIE
    lost = changed(second, "3", state="failed", value=None)
    assert decide(evidence(first, lost, **free)).word == Word.INCONCLUSIVE


def test_an_inconclusive_headline_quotes_a_rival_that_is_open() -> None:
    even, rough = planted({"a": 0.95, "b": 0.95}, sd=0.002), planted({"c": 0.93}, sd=0.05)
    verdict = decide(evidence(*even, *rough))
    assert (verdict.word, verdict.open) == (Word.INCONCLUSIVE, ("c",))
    assert " of c (difference" in verdict.headline


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
    assert not decide(evidence(*grid(), contrast="optimizer")).flags


def test_a_gap_equal_to_the_smallest_effect_but_for_rounding_is_not_above_it() -> None:
    first = [0.3 + place / 1000 for place in range(12)]
    turns = [0.001 * (-1) ** place for place in range(12)]
    second = [value - 0.1 + turn for value, turn in zip(first, turns, strict=True)]
    verdict = decide(evidence(arm("a", first), arm("b", second), smallest_effect=0.1))
    assert verdict.word == Word.NEGLIGIBLE


def test_arms_within_the_smallest_effect_tie() -> None:
    verdict = decide(evidence(*planted(ALIKE, sd=0.004)))
    assert verdict.word == Word.TIE
    assert {verdict.leader, *verdict.tied} == set(ALIKE)
    assert verdict.open == verdict.beaten == ()
    assert "ties with" in verdict.headline and "is equivalent to" in verdict.claim


def test_differences_that_do_not_vary_decide_nothing() -> None:
    values = list(0.9 + 0.01 * noise(0))
    verdict = decide(evidence(arm("a", values), arm("b", values)))
    assert verdict.word == Word.INCONCLUSIVE and (verdict.gap, verdict.plan) == (0, None)
    only = verdict.comparisons[0]
    assert (only.p, only.p_t, only.dz, only.sd) == (1, None, None, 0)
    assert (only.p_equivalence, only.posterior, only.improvement.estimate) == (None, None, 0.5)
    assert "No conclusion for b: their difference is the same" in verdict.reasons[0].text
    assert "(difference 0.000, the same on each of 12 seeds)" in verdict.headline
    ahead = decide(evidence(arm("a", values), arm("b", [value - 0.1 for value in values])))
    assert ahead.word == Word.INCONCLUSIVE, "one column may be made from the other"
    json.dumps(as_json(verdict), allow_nan=False)


def test_a_beaten_rival_does_not_hinder_a_tie_of_the_others() -> None:
    verdict = decide(evidence(*planted({"a": 0.95, "b": 0.9495, "c": 0.85}, sd=0.004)))
    assert verdict.word == Word.TIE
    assert (verdict.leader, verdict.tied, verdict.beaten) == ("a", ("b",), ("c",))
    assert verdict.headline.startswith("a ties with b within 0.01")
    assert "higher than c" in verdict.claim


def test_neither_a_difference_nor_a_tie_is_inconclusive_and_says_what_seeds_would_tell() -> None:
    arms = planted(ALIKE, sd=0.02)
    verdict = decide(evidence(*arms, seconds=30.0))
    assert verdict.word == Word.INCONCLUSIVE
    assert verdict.plan is not None and set(verdict.open) == set(ALIKE) - {verdict.leader}
    spread = max(p.sd for p in verdict.comparisons if verdict.leader in (p.first, p.second))
    needed = statistics.seeds_needed(spread, 12, 0.01, pairs=6)
    assert (verdict.plan.low, verdict.plan.estimate, verdict.plan.high) == needed[:3]
    assert verdict.plan.sd == spread
    assert verdict.plan.seconds_low == 30.0 * 4 * needed.low
    assert len(verdict.reasons) == 3
    assert all("No conclusion for" in reason.text for reason in verdict.reasons)
    assert verdict.reasons[0].rival == verdict.closest, "what decides stands first"
    assert verdict.needed is not None
    assert verdict.needed.startswith(
        f"About {needed.low} to {needed.high} seeds give 80 % power to detect a true difference of"
        " 0.01 at alpha = 0.05 (Holm over 6 pairs; SD"
    ), "never for the difference observed"
    assert f"differences from {verdict.plan.rival}: 0.0" in verdict.needed
    assert "); they cost about 60 min to 3.9 h. This is" in verdict.needed
    assert "power of the test alone: a WINNER also needs" in verdict.needed
    longer = decide(evidence(*arms, seconds=90.0)).needed
    assert longer is not None and "; they cost about 3.0 h to 12 h." in longer
    assert verdict.headline.endswith("n = 12 seeds)."), "the finding and no plan"


def test_a_plan_without_a_known_cost_names_none() -> None:
    verdict = decide(evidence(*planted(ALIKE, sd=0.02)))
    assert verdict.plan is not None and verdict.plan.seconds_low is None
    assert verdict.needed is not None and "80 % power" in verdict.needed
    assert "cost" not in verdict.needed


def test_too_few_seeds_for_the_pairs_are_underpowered_by_design() -> None:
    verdict = decide(evidence(*planted(SPREAD, n=7)))
    assert verdict.word == Word.UNDERPOWERED
    assert verdict.p_floor == pytest.approx(6 / 64)
    assert verdict.headline == (
        "Underpowered by design: with 7 seeds and 6 pairs the smallest possible"
        " corrected p value is 0.094, above alpha = 0.05; at least 8 seeds are needed."
    )
    assert decide(evidence(*planted(SPREAD, n=8))).word == Word.WINNER


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
    assert "the highest validation accuracy in the search is 0.9000 (adamw-2)" in (verdict.headline)
    assert [reason.rule for reason in verdict.reasons] == [1]
    assert [flag.rule for flag in verdict.flags] == [4], "unequal numbers of trials"
    said = json.dumps(as_json(verdict)).lower()
    assert [word for word in LOADED if word in said] == []


def test_a_search_that_is_minimized_ranks_from_below_and_one_without_values_says_so() -> None:
    arms = (arm("a", [0.5, 0.4]), arm("b", [0.3, 0.9]))
    verdict = decide(evidence(*arms, stage=Stage.SEARCH, direction="minimize"))
    assert [side.name for side in verdict.sides] == ["b", "a"]
    assert "the lowest test accuracy in the search is 0.3000 (b)" in verdict.headline
    empty = decide(evidence(arm("a", [None]), arm("b", []), stage=Stage.SEARCH))
    assert empty.headline == "Exploratory: no trial of the search has a value."


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"n": 5, "doubt": Word.EXPLORATORY, "pruned": True}, Word.NOT_COMPARABLE),
        ({"n": 5, "doubt": Word.NOT_COMPARABLE}, Word.NOT_COMPARABLE),
        ({"n": 5, "doubt": Word.EXPLORATORY}, Word.EXPLORATORY),
        ({"n": 12, "doubt": Word.EXPLORATORY}, Word.EXPLORATORY),
        ({"n": 5, "doubt": None}, Word.UNDERPOWERED),
        ({"n": 12, "doubt": None}, Word.WINNER),
        ({"n": 12, "doubt": None, "effect": 0.5}, Word.NEGLIGIBLE),
        ({"n": 12, "doubt": None, "effect": 0.5, "means": ALIKE}, Word.TIE),
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
    assert verdict.headline == "Exploratory: The protocol was edited."
    assert verdict.comparisons == () and verdict.leader is None
    assert verdict.sides[0].mean is not None
    said = json.dumps(as_json(verdict)).lower()
    assert [word for word in LOADED if word in said] == []


# What is compared.


def test_each_number_is_that_of_the_statistics_on_the_oriented_differences() -> None:
    arms = planted({"a": 0.92, "b": 0.93, "c": 0.95})
    verdict = decide(evidence(*arms))
    assert [(p.first, p.second) for p in verdict.comparisons] == [
        ("b", "a"), ("c", "a"), ("c", "b"),
    ]  # fmt: skip
    values = {a.name: np.array([run.value for run in a.runs]) for a in arms}
    gaps = [values[p.first] - values[p.second] for p in verdict.comparisons]
    holm = statistics.holm([statistics.sign_flip(each) for each in gaps])
    tost = statistics.holm([statistics.tost(each, 0.01) for each in gaps])
    for place, (found, gap) in enumerate(zip(verdict.comparisons, gaps, strict=True)):
        assert found.differences == pytest.approx(gap)
        assert found.p_holm == pytest.approx(holm[place])
        assert found.p_equivalence == pytest.approx(tost[place])
        assert found.p_t == pytest.approx(statistics.paired_t(gap))
        assert found.dz == pytest.approx(statistics.hedges_dz(gap))
        assert found.posterior == statistics.posterior(gap, 0.01)
        interval = statistics.t_interval(gap)
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


def test_a_rival_that_is_ahead_too_rarely_is_not_beaten() -> None:
    # Every third seed goes to the rival by a little, the others to the leader by far.
    gaps = [0.04 if place % 3 else -0.0005 for place in range(15)]
    arms = (arm("a", [0.9 + gap for gap in gaps]), arm("b", [0.9] * 15))
    found = decide(evidence(*arms))
    only = found.comparisons[0]
    assert only.p_holm < 0.05 and only.improvement.estimate == pytest.approx(2 / 3)
    assert found.word == Word.INCONCLUSIVE
    assert "probability of improvement 0.67, below 0.75" in found.reasons[0].text
    assert decide(evidence(*arms, gamma=0.6)).word == Word.WINNER


def test_the_leader_may_have_to_beat_many_and_holm_counts_all_of_them() -> None:
    means = {f"s{place}": 0.9 for place in range(9)} | {"s9": 0.96}
    verdict = decide(evidence(*planted(means)))
    assert (verdict.pairs, len(verdict.comparisons)) == (45, 45)
    assert verdict.word == Word.WINNER and len(verdict.beaten) == 9
    assert decide(evidence(*planted(means, n=10))).word == Word.UNDERPOWERED
    assert decide(evidence(*planted(means, n=11))).word == Word.WINNER


def test_a_difference_that_the_correction_takes_back_beats_nobody() -> None:
    gaps = [0.010 + 0.001 * place for place in range(9)] + [-0.010] * 3  # p = 0.036
    pairs = [decide(evidence(*arms, smallest_effect=0.001)).comparisons[0] for arms in (
        (arm("a", [0.5 + gap for gap in gaps]), arm("b", [0.5] * 12)),
        (arm("a", [0.5 + gap for gap in gaps]), arm("b", [0.5] * 12), arm("c", [0.5] * 12)),
    )]  # fmt: skip
    assert pairs[0].p == pairs[1].p < 0.05 < pairs[1].p_holm
    assert [found.beaten for found in pairs] == [True, False]


def test_an_interval_is_cut_at_the_bounds_of_the_metric() -> None:
    arms = (arm("a", [1.0] * 11 + [0.9]), arm("b", [0.5] * 12))
    mean = decide(evidence(*arms)).sides[0].mean
    assert mean is not None and mean.high == 1.0 and mean.low < mean.estimate < 1
    free = decide(evidence(*arms, bounds=(None, None))).sides[0].mean
    assert free is not None and free.high > 1


def test_an_end_of_an_interval_is_not_rounded_to_nothing() -> None:
    gaps = np.array([0.27, -0.003])
    half = statistics.t_interval(list(noise(3))).high
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
        (15, "; exact sign-flip permutation test, Holm"),
        (16, "; sign-flip permutation test with 20,000 random draws, Holm"),
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
    assert verdict.headline == "Not comparable: gone has no run."
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
        assert verdict.headline == f"Not comparable: adamw-2 is not finished on seed 3 ({state})."
        assert verdict.comparisons == () and verdict.leader is None
        assert all(set(side.values) == {None} and not side.mean for side in verdict.sides)
        assert not any("counts there with" in flag.text for flag in verdict.flags)


def test_a_missing_run_elsewhere_leaves_the_other_pairs() -> None:
    first, *others = planted(SPREAD)
    short = replace(first, runs=first.runs[:-1])
    verdict = decide(evidence(*others, short, stage=Stage.EXTERNAL, seeds=()))
    assert verdict.word == Word.NOT_COMPARABLE
    assert verdict.headline == "Not comparable: adamw-2 has no run for seed 12."
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
    assert verdict.beaten == ("default",)
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
    close = decide(
        evidence(*planted({"a": 0.9499, "default": 0.95}, sd=0.004), contrast="baseline")
    )
    assert close.word == Word.TIE and close.headline.startswith("default ties with a within 0.01")
    nothing = decide(evidence(*planted(means), contrast="baseline", smallest_effect=None))
    assert (nothing.word, nothing.leader) == (Word.INCONCLUSIVE, "default")
    assert len(nothing.beaten) == 3


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


def test_without_a_smallest_effect_nothing_is_called_a_winner_or_a_tie() -> None:
    for means in (SPREAD, ALIKE):
        verdict = decide(evidence(*planted(means), smallest_effect=None))
        assert verdict.word == Word.INCONCLUSIVE and verdict.plan is None
        assert "No smallest effect was given" in verdict.headline
        assert verdict.comparisons[0].p_equivalence is None
        assert verdict.comparisons[0].posterior is None
    assert "no difference was shown" in verdict.claim


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
    assert numbers.listed(["a"]) == "a" and numbers.listed(["a", "b", "c"]) == "a, b and c"
    assert numbers.listed(list("abcdef")) == "a, b, c and 3 more"
    assert numbers.p_value(0.00004) == "p < 0.0001" and numbers.p_value(0.0213) == "p = 0.021"


# Simulations: how often the whole rule is right.


def simulate(means: list[float], n: int, studies: int, *, effect: float, seed: int) -> Counter[Any]:
    """Words of so many studies of normal runs, SD 1, pair correlation one half.

    A winner or a negligible difference counts under (word, leader).
    """
    generator = np.random.default_rng(seed)
    design = Design(metric="m", direction="maximize", smallest_effect=effect)
    found: Counter[Any] = Counter()
    for _ in range(studies):
        shared = generator.normal(size=n)
        arms = []
        for place, mean in enumerate(means):
            values = mean + np.sqrt(0.5) * (shared + generator.normal(size=n))
            runs = tuple(Run(seed=str(s), value=float(v)) for s, v in enumerate(values))
            arms.append(Arm(name=str(place), runs=runs))
        verdict = decide(
            Evidence(stage=Stage.CONFIRMATION, design=design, arms=tuple(arms)), draws=1
        )
        said = verdict.word in (Word.WINNER, Word.NEGLIGIBLE)
        found[(verdict.word, verdict.leader) if said else verdict.word] += 1
    return found


@pytest.mark.slow
def test_three_strategies_and_the_default_that_are_alike_have_no_winner() -> None:
    found = simulate([0.0] * 4, 10, 1000, effect=0.5, seed=0)
    false = sum(count for word, count in found.items() if isinstance(word, tuple))
    # The error rate that Holm keeps is 0.05; to beat all rivals at once is far rarer.
    assert false <= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gap", "n", "least", "most"),
    [
        (1.0, 10, 0.40, 0.55),  # 0.48 of 1,000 studies
        (1.0, 15, 0.60, 0.75),  # 0.68
        (2.0, 10, 0.985, 1.0),
    ],
)
def test_a_true_winner_of_three_is_found_as_often_as_the_protocol_says(
    gap: float, n: int, least: float, most: float
) -> None:
    # The standard error of a share near one half is 0.025 of 400 studies.
    found = simulate([gap, 0.0, 0.0], n, 400, effect=0.5, seed=1)
    named = sum(count for word, count in found.items() if isinstance(word, tuple))
    assert least <= named / 400 <= most
    assert found[Word.WINNER, "0"] >= 0.99 * named, "and it is the right one"


@pytest.mark.slow
def test_a_tie_of_three_within_one_sd_is_shown_with_15_seeds() -> None:
    # 0.91 of 1,000 studies; the standard error is 0.015 of 400.
    found = simulate([0.0] * 3, 15, 400, effect=1.0, seed=2)
    assert 0.84 <= found[Word.TIE] / 400 <= 0.97
    assert found[Word.TIE] + found[Word.INCONCLUSIVE] == 400
