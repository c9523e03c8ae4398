"""Figures of a confirmation: the verdict's numbers, turned the right way round, and captions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.support.confirmed import THREE
from tests.support.pictured import findings, with_predictions
from workbench.plotting import style
from workbench.report.figures import (
    Findings,
    LeftOut,
    confirmed,
    cost_quality,
    forest,
    learning_curves,
    predicted_against_true,
)
from workbench.report.figures import sides as sides_of
from workbench.report.results import ArmResult
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict import Comparison, Side, Word
from workbench.verdict.estimates import Interval


def three(**knobs: Any) -> Findings:
    """Three strategies and the default: six pairs."""
    return findings(**{"strategies": THREE, **knobs})


def with_arms(found: Findings, arms: Sequence[ArmResult]) -> Findings:
    assert found.confirmation is not None
    confirmation = dataclasses.replace(found.confirmation, arms=tuple(arms))
    return dataclasses.replace(found, confirmation=confirmation)


def comparison(first: str, second: str, *values: float, **changes: Any) -> Comparison:
    mean = sum(values) / len(values)
    made = Comparison(
        first=first,
        second=second,
        n=len(values),
        differences=values,
        difference=Interval(estimate=mean, low=mean - 0.02, high=mean + 0.03),
        sd=0.1,
        skewness=None,
        p=0.5,
        p_holm=0.5,
        p_t=None,
        dz=None,
        improvement=Interval(estimate=0.5, low=0.2, high=0.8),
        p_equivalence=None,
        posterior=None,
        beyond=None,
        beyond_missing=None,
        beaten=False,
        equivalent=False,
    )
    return dataclasses.replace(made, **changes)


def side(name: str, mean: float, **changes: Any) -> Side:
    bounds = Interval(estimate=mean, low=mean, high=mean)
    made = Side(name=name, values=(), run_ids=(), imputed=(), n=2, mean=bounds, sd=None)
    return dataclasses.replace(made, **changes)


def verdict(sides: list[Side], comparisons: list[Comparison], **changes: Any) -> Findings:
    """A verdict made by hand, without the confirmation that it came from."""
    made = three().verdict
    assert made is not None
    made = dataclasses.replace(
        made,
        word=Word.INCONCLUSIVE,
        pairs=len(comparisons),
        leader=sides[0].name,
        seeds=("11", "12"),
        sides=sides,
        comparisons=comparisons,
    )
    return Findings(study=StoredStudy(), trials=(), verdict=dataclasses.replace(made, **changes))


ABC = [side("a", 0.9), side("b", 0.8), side("c", 0.7)]
PAIRS = [
    comparison("a", "b", 0.05, 0.15),
    comparison("a", "c", 0.1, 0.3, p_holm=0.01),
    comparison("b", "c", 0.1, 0.1),
]


# The forest plot


def test_a_forest_has_a_row_for_each_rival_of_the_leader_the_closest_first() -> None:
    numbers = forest.summarize(verdict(ABC, PAIRS[::-1]))
    assert numbers.reference == "a"
    assert [row.name for row in numbers.rows] == ["b", "c"]
    assert [row.comparison.difference.estimate for row in numbers.rows] == pytest.approx(
        [-0.1, -0.2]
    ), "row minus leader"
    assert numbers.rows[0].comparison.differences == (-0.05, -0.15)
    assert (numbers.n, numbers.bar) == (2, "95 % CI over 2 training seeds")


def test_a_contrast_with_the_baseline_shows_each_arms_distance_from_it() -> None:
    sides = [side("a", 0.9), side("base", 0.8, baseline=True), side("c", 0.7)]
    pairs = [comparison("a", "base", 0.05, 0.15), comparison("base", "c", 0.1, 0.3)]
    numbers = forest.summarize(verdict(sides, pairs, contrast="baseline"))
    assert numbers.reference == "base"
    assert [row.name for row in numbers.rows] == ["a", "c"]
    better, worse = (row.comparison for row in numbers.rows)
    assert worse.difference.estimate == pytest.approx(-0.2)
    assert (worse.difference.low, worse.difference.high) == pytest.approx((-0.23, -0.18))
    assert worse.differences == (-0.1, -0.3)
    assert better.difference.estimate == pytest.approx(0.1)
    assert "the value of the row minus that of base" in forest.caption(numbers)


def test_where_lower_is_better_a_row_is_still_its_value_minus_the_leaders() -> None:
    numbers = forest.summarize(verdict(ABC, PAIRS, direction="minimize", metric="test/loss"))
    assert [row.name for row in numbers.rows] == ["b", "c"]
    assert [row.comparison.difference.estimate for row in numbers.rows] == pytest.approx(
        [0.1, 0.2]
    ), "a loss higher than a's"
    text = forest.caption(numbers)
    assert "the value of the row minus that of a; lower values are better" in text
    assert forest.FIGURE.draw(numbers).axes[0].get_xlabel() == "test loss: row minus a"


def test_a_forest_says_what_its_bars_points_and_band_are() -> None:
    text = forest.caption(forest.summarize(three()))
    assert "n = 12 seeds" in text
    assert "t interval (95 % CI over 12 training seeds)" in text
    assert "redraws training and validation data" in text
    assert "shown not to be the single best (95 % confidence; p: of the hypothesis" in text
    assert "smallest effect that matters, 0.01" in text
    assert "Cross" not in text


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (Word.NARROWED, "Filled square: shown not to be the single best"),
        (Word.WINNER, "Filled square: a is better (p: exact sign-flip permutation"),
    ],
)
def test_a_forest_marks_what_the_verdict_excludes(word: Word, said: str) -> None:
    sides = [
        dataclasses.replace(each, p_best=p) for each, p in zip(ABC, (0.9, 0.3, 0.02), strict=True)
    ]
    numbers = forest.summarize(verdict(sides, PAIRS, word=word, excluded=("c",)))
    assert [row.decided for row in numbers.rows] == [False, True]
    assert [row.p for row in numbers.rows] == [0.3, 0.02]
    assert said in forest.caption(numbers)


def test_beyond_fifteen_seeds_the_permutations_are_not_called_exact() -> None:
    long = comparison("a", "b", *[0.1] * 16)
    found = verdict(ABC[:2], [long], seeds=[f"{n}" for n in range(16)])
    text = forest.caption(forest.summarize(found))
    assert "(p: sign-flip permutation test, Holm-corrected over 1 pair)" in text


def test_without_a_smallest_effect_there_is_no_band() -> None:
    numbers = forest.summarize(verdict(ABC, PAIRS, smallest_effect=None))
    assert "Band" not in forest.caption(numbers)
    assert len(forest.FIGURE.draw(numbers).axes[0].patches) == 0
    assert len(forest.FIGURE.draw(forest.summarize(verdict(ABC, PAIRS))).axes[0].patches) == 1


def test_a_difference_that_rests_on_a_diverged_run_is_marked() -> None:
    found = verdict([ABC[0], side("b", 0.8, imputed=["12"]), ABC[2]], PAIRS)
    numbers = forest.summarize(found)
    assert [[point.imputed for point in row.points] for row in numbers.rows] == [
        [False, True],
        [False, False],
    ]
    assert "diverged or failed" in forest.caption(numbers)
    assert "(1 row)" in forest.caption(numbers)


def test_a_square_is_filled_only_where_the_corrected_p_lies_below_alpha() -> None:
    axes = forest.FIGURE.draw(forest.summarize(verdict(ABC, PAIRS))).axes[0]
    width = 1.2  # of the outline that every square has, filled or not
    squares = [item for item in axes.collections if np.isclose(item.get_linewidth(), width).all()]
    assert [np.asarray(item.get_facecolor()).size > 0 for item in squares] == [False, True]


def test_levels_of_a_factor_are_the_sides_of_its_contrast() -> None:
    found = findings(contrast="optimizer")
    assert found.verdict is not None
    numbers = forest.summarize(found)
    assert numbers.reference == found.verdict.leader
    assert {numbers.reference, *(row.name for row in numbers.rows)} == {"sgd", "adam", "adamw"}


# Values by arm


def test_rows_stand_in_the_reports_order_with_every_seed() -> None:
    found = three()
    numbers = confirmed.summarize(found)
    assert found.confirmation is not None
    assert [row.name for row in numbers.rows] == [x.name for x in found.confirmation.arms]
    for row, item in zip(numbers.rows, found.confirmation.arms, strict=True):
        assert [point.value for point in row.points] == [run.counted for run in item.runs]
        assert (row.mean, row.low) == (item.mean, item.low)
    text = confirmed.caption(numbers)
    assert "n = 12 for each strategy" in text and "95 % CI over 12 training seeds" in text
    assert "not by the overlap of these bars" in text
    assert "Bars end at the bounds" not in text


def test_a_diverged_run_is_shown_at_the_worst_value_and_told() -> None:
    numbers = confirmed.summarize(three(diverged=(("adam-0", 3),)))
    (lost,) = [point for row in numbers.rows for point in row.points if point.imputed]
    assert lost.value == 0.0
    text = confirmed.caption(numbers)
    assert "Cross: 1 run diverged or failed and counts with the worst value." in text


def test_a_bar_ends_where_the_metric_does() -> None:
    numbers = confirmed.summarize(three(diverged=(("adam-0", 3),)))
    (row,) = [row for row in numbers.rows if row.name == "adam-0"]
    assert row.high == 1.0
    assert numbers.at_bounds
    assert "Bars end at the bounds" in confirmed.caption(numbers)


def test_arms_are_told_apart_without_colour() -> None:
    arms = {arm.name: arm for arm in sides_of.arms(findings())}
    assert len(arms) == 10
    assert len({arm.marker for arm in arms.values()}) == 10
    assert (arms["default"].colour, arms["default"].marker) == (style.INK, "*")
    assert arms["sgd-0"].colour == arms["sgd-all"].colour != arms["adam-0"].colour


def test_where_the_default_is_a_strategy_there_is_no_arm_beside_them() -> None:
    numbers = confirmed.summarize(three(default_is="sgd-0"))
    assert {row.name for row in numbers.rows} == set(THREE)


# Cost


@pytest.mark.parametrize(
    ("direction", "front"),
    [
        ("maximize", [True, False, True, False, True]),
        ("minimize", [True, True, False, False, False]),
    ],
)
def test_the_front_has_no_point_that_another_beats_in_both(
    direction: str, front: list[bool]
) -> None:
    costs = [1.0, 2.0, 2.0, 3.0, 4.0]
    values = [0.5, 0.4, 0.7, 0.6, 0.8]
    assert cost_quality.pareto(costs, values, direction) == front


def test_equal_points_are_both_on_the_front() -> None:
    assert cost_quality.pareto([1.0, 1.0], [0.5, 0.5], "maximize") == [True, True]


def test_cost_is_shown_in_seconds_and_in_parameters_where_arms_differ_in_them() -> None:
    found = three()
    assert [panel.label for panel in cost_quality.summarize(found).panels] == [
        "seconds a training run"
    ]
    assert found.confirmation is not None
    arms = [
        dataclasses.replace(arm, trainable=10 ** (3 + place))
        for place, arm in enumerate(found.confirmation.arms)
    ]
    more = with_arms(found, arms)
    numbers = cost_quality.summarize(more)
    assert [panel.label for panel in numbers.panels][1:] == ["trainable parameters"]
    assert cost_quality.FIGURE.draw(numbers).axes[1].get_xscale() == "log"
    assert "may be noise" in cost_quality.caption(numbers)


def test_arms_without_a_known_cost_leave_the_figure_out() -> None:
    found = three()
    assert found.confirmation is not None
    arms = [
        dataclasses.replace(arm, seconds_mean=None, trainable=None)
        for arm in found.confirmation.arms
    ]
    with pytest.raises(LeftOut, match="different costs"):
        cost_quality.summarize(with_arms(found, arms))


# Learning curves


def test_curves_of_a_confirmation_are_all_seeds_and_their_median() -> None:
    numbers = learning_curves.summarize(three())
    assert numbers.confirmed
    assert {panel.name for panel in numbers.panels} == {*THREE, "default"}
    panel = numbers.panels[0]
    assert len(panel.curves) == 12
    ends = sorted(curve.values[-1] for curve in panel.curves)
    assert panel.middle.values[-1] == pytest.approx((ends[5] + ends[6]) / 2)
    assert "n = 12 for each strategy" in learning_curves.caption(numbers)


def test_the_median_ends_where_fewer_than_half_of_the_runs_go_on() -> None:
    found = three()
    assert found.confirmation is not None
    runs = [run.run_id for run in found.confirmation.arms[0].runs]
    histories = {run: dict(found.histories[run]) for run in found.histories}
    for run in runs[:7]:
        metric = "validation/accuracy"
        histories[run] = {metric: histories[run][metric][:4]}
    numbers = learning_curves.summarize(dataclasses.replace(found, histories=histories))
    assert numbers.panels[0].middle.epochs == (1.0, 2.0, 3.0, 4.0)


def test_before_a_confirmation_is_finished_its_curves_are_not_shown() -> None:
    with pytest.raises(LeftOut, match="history of validation/accuracy"):
        learning_curves.summarize(three(ended=5))


def test_without_a_confirmation_the_best_trial_of_each_strategy_is_shown_as_optimistic() -> None:
    found = three()
    best: dict[str, TrialRun] = {}
    for trial in found.trials:
        if trial.value is not None:
            best[trial.strategy] = max(
                best.get(trial.strategy, trial), trial, key=lambda t: (t.value or 0, -t.number)
            )
    metric = "validation/accuracy"
    histories = {t.run_id: {metric: [(1.0, 0.5), (2.0, t.value or 0.0)]} for t in best.values()}
    alone = dataclasses.replace(found, confirmation=None, verdict=None, histories=histories)
    numbers = learning_curves.summarize(alone)
    assert [panel.middle.values[-1] for panel in numbers.panels] == [best[n].value for n in THREE]
    assert "n = 3 trials" in learning_curves.caption(numbers)
    assert "optimistic" in learning_curves.caption(numbers)


def test_a_comparison_seen_twice_from_the_other_side_is_itself() -> None:
    verdict = three().verdict
    assert verdict is not None
    for pair in verdict.comparisons:
        other = pair.flipped()
        assert (other.first, other.second) == (pair.second, pair.first)
        assert other.difference.low == -pair.difference.high
        assert other.improvement.estimate == pytest.approx(1 - pair.improvement.estimate)
        again = other.flipped()
        assert again.difference == pair.difference and again.dz == pair.dz


def test_predicted_numbers_are_those_of_each_arms_first_seed_in_the_reports_order() -> None:
    found = with_predictions(three(), samples=601)
    numbers = predicted_against_true.summarize(found)
    assert found.confirmation is not None
    assert [panel.name for panel in numbers.panels] == [a.name for a in found.confirmation.arms]
    third = numbers.panels[2]
    assert third.predicted == tuple(value + 6.0 for value in third.true)
    # Every third sample, the same for all arms.
    assert numbers.samples == 601 and third.true == tuple(float(n) for n in range(0, 601, 3))
    caption = predicted_against_true.caption(numbers)
    assert "n = 601 test samples" in caption and "201 evenly chosen samples are drawn" in caption


def test_predictions_of_classes_or_of_an_unfinished_confirmation_are_not_drawn() -> None:
    with pytest.raises(LeftOut, match="No tested model predicts numbers"):
        predicted_against_true.summarize(three())
    with pytest.raises(LeftOut, match="unfinished"):
        predicted_against_true.summarize(with_predictions(three(ended=8)))
