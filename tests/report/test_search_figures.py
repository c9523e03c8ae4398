"""Figures of a search beyond the first four: slices, budgets in seconds, random searches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.pictured import ranks_of
from tests.support.searched import describe, findings, realistic, row, runs, trials
from workbench.plotting import style
from workbench.report.figures import (
    LeftOut,
    best_so_far,
    critical_difference,
    expected_maximum,
    heat_map,
    performance_profile,
    slices,
)
from workbench.report.trials import of_search
from workbench.verdict.statistics import searches

RANDOM = {"search": {"sampler": "random", "pruner": "none"}}
LOSS = {"metric": "validation/loss", "direction": "minimize", "epoch": "best"}


def tried(number: int, value: float | None = None, **hyperparameters: Any) -> dict[str, Any]:
    return row("sgd-0", number, value, hyperparameters=hyperparameters)


# Slices


def test_a_slice_has_values_of_completed_trials_and_marks_for_the_others() -> None:
    rows = [
        tried(0, 0.9, learning_rate=0.01, momentum=0.9),
        tried(1, 0.8, learning_rate=0.02, momentum=0.85),
        tried(2, None, learning_rate=0.03, momentum=0.95),
        tried(3, None, learning_rate=0.2, momentum=0.8) | {"state": "failed"},
        tried(4, None, learning_rate=0.2, momentum=0.8) | {"state": "parked"},
    ]
    numbers = slices.summarize(findings(describe(), trials(rows)))
    assert [panel.name for panel in numbers.panels] == ["learning_rate", "momentum"]
    assert [panel.log for panel in numbers.panels] == [True, False]
    points = [(p.at, p.value, p.state) for p in numbers.panels[1].points]
    assert points == [
        (0.9, 0.9, "complete"),
        (0.85, 0.8, "complete"),
        (0.95, None, "pruned"),
        (0.8, None, "failed"),
    ]
    text = slices.caption(numbers)
    assert "n = 2" in text and "1 pruned, 1 failed" in text
    assert "not the effect of its knob" in text


def test_a_choice_has_a_place_for_each_level_of_the_study_file() -> None:
    rows = [tried(n, 0.5 + n / 10, batch_size=(16, 32)[n % 2], momentum=0.9) for n in range(4)]
    (found,) = slices.summarize(findings(describe(), trials(rows))).panels
    assert found.choices == ("16", "32")
    assert [point.at for point in found.points] == [0.0, 1.0, 0.0, 1.0]
    axes = slices.FIGURE.draw(slices.summarize(findings(describe(), trials(rows)))).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["16", "32"]


def test_an_optimum_at_the_bound_of_any_knob_is_a_warning_in_the_caption() -> None:
    rows = [tried(n, 0.5 + n / 10, momentum=0.8 + 0.063 * n, learning_rate=0.01) for n in range(4)]
    numbers = slices.summarize(findings(describe(), trials(rows)))
    assert [(x.strategy, x.knob) for x in numbers.at_bound] == [("sgd-0", "momentum")]
    text = slices.caption(numbers)
    assert "Warning: the best trial is at a bound of its range for sgd-0 (momentum)" in text
    rows[3]["value"] = 0.1
    assert "Warning" not in slices.caption(slices.summarize(findings(describe(), trials(rows))))


@pytest.mark.parametrize("module", [heat_map, slices])
def test_no_figure_with_an_optimum_at_a_bound_keeps_silent(module: Any) -> None:
    rows = [
        row(
            name,
            n,
            0.5 + n / 10,
            learning_rate=rate,
            hyperparameters={"learning_rate": rate, "momentum": 0.85 + n / 100},
        )
        for name in ("sgd-0", "sgd-2")
        for n, rate in enumerate([0.01, 0.03, 0.29])
    ]
    text = module.caption(module.summarize(findings(describe(), trials(rows))))
    assert "Warning: the best trial is at a bound of its range for sgd-0" in text
    assert "sgd-2 (learning rate); values outside the range are unknown." in text
    for item in rows:
        item["value"] = 1 - item["value"]
    text = module.caption(module.summarize(findings(describe(), trials(rows))))
    assert "Warning" not in text


def test_slices_have_a_grey_strip_only_where_a_mark_lies_in_it() -> None:
    done = [tried(n, 0.5 + 0.1 * n, momentum=0.8 + 0.05 * n) for n in range(3)]
    for rows, strips in ((done, 0), ([*done, tried(3, momentum=0.7)], 1)):
        numbers = slices.summarize(findings(describe(), trials(rows)))
        panels = [axes for axes in slices.FIGURE.draw(numbers).axes if axes.get_visible()]
        assert sum(len(axes.patches) for axes in panels) == strips * len(numbers.panels)
        assert ("grey strip" in slices.caption(numbers)) == bool(strips)


def test_slices_are_left_out_where_they_would_repeat_the_learning_rate() -> None:
    rows = [tried(n, 0.5, learning_rate=0.01 * (n + 1)) for n in range(3)]
    with pytest.raises(LeftOut, match="Only the learning rate is tuned"):
        slices.summarize(findings(describe(), trials(rows)))
    with pytest.raises(LeftOut, match="No tuned knob varies"):
        slices.summarize(findings(describe(), trials([tried(0, 0.5, momentum=0.9)])))


# Best so far, in seconds


def test_seconds_are_spent_by_every_trial_in_the_order_of_its_number() -> None:
    rows = [
        row("sgd-0", 0, 0.5, seconds=2.0),
        row("sgd-0", 1, seconds=3.0),
        row("sgd-0", 2, 0.7, seconds=4.0),
        row("sgd-0", 3, 0.6, seconds=1.0),
    ]
    numbers = best_so_far.summarize(findings(describe(), trials(rows)), "seconds")
    (curve,) = numbers.curves
    assert (curve.at, curve.values, curve.spent, curve.trials) == ((2.0, 9.0), (0.5, 0.7), 10.0, 4)
    text = best_so_far.caption(numbers)
    assert "against seconds of training spent" in text and "n = 4 trials" in text
    assert "no search was repeated" in text


def test_unknown_seconds_leave_their_curve_out() -> None:
    rows = [row("sgd-0", n, 0.5, seconds=float("nan")) for n in range(3)]
    with pytest.raises(LeftOut, match="The seconds of the trials are unknown"):
        best_so_far.summarize(findings(describe(), trials(rows)), "seconds")


# Random searches


def drawn(values: list[float | None], strategy: str = "sgd-0") -> list[dict[str, Any]]:
    """A default trial and then random ones; those without a value failed."""
    default = row(strategy, 0, 0.99)
    return [
        default,
        *(
            row(strategy, n, value, **({"state": "failed"} if value is None else {}))
            for n, value in enumerate(values, start=1)
        ),
    ]


def test_the_expected_maximum_is_the_unbiased_one_with_failures_at_the_worst_value() -> None:
    study = describe(**RANDOM)
    numbers = expected_maximum.summarize(findings(study, trials(drawn([0.5, 0.9, 0.7, None, 0.6]))))
    (curve,) = numbers.curves
    assert curve.values == (0.9, 0.7, 0.6, 0.5), "without the default"
    assert (curve.failed, len(curve.estimate)) == (1, 5)
    wanted = searches.expected_maximum([0.5, 0.9, 0.7, 0.5, 0.6])
    assert curve.estimate == pytest.approx(list(wanted))
    assert curve.estimate[-1] == 0.9
    assert len(curve.low) == len(curve.high) == 1, "the band ends at a quarter of the trials"
    assert all(a <= m <= b for a, m, b in zip(curve.low, curve.estimate, curve.high, strict=False))
    text = expected_maximum.caption(numbers)
    assert "Tang et al. 2020" in text and "1000 draws" in text
    assert "1 failed trials count with the worst value (0.5)" in text


def test_the_expected_minimum_falls_and_its_band_is_the_right_way_up() -> None:
    study = describe(objective=LOSS, **RANDOM)
    (curve,) = expected_maximum.summarize(
        findings(study, trials(drawn([5.0, 4.0, 3.0, 2.0, 1.0])))
    ).curves
    assert curve.estimate[0] == pytest.approx(3.0)
    assert curve.estimate[-1] == pytest.approx(1.0)
    assert all(a <= b for a, b in zip(curve.low, curve.high, strict=True))


def test_an_adaptive_or_pruned_search_is_no_sample() -> None:
    rows = drawn([0.5, 0.6, 0.7, 0.8, 0.9])
    with pytest.raises(LeftOut, match=r"'tpe', expected 'random'.*rule 12"):
        expected_maximum.summarize(findings(describe(), trials(rows)))
    with pytest.raises(LeftOut, match="1 pruned trial"):
        expected_maximum.summarize(findings(describe(**RANDOM), trials([*rows, row("sgd-0", 6)])))


def test_enqueued_trials_are_no_random_draws() -> None:
    rows = drawn([0.5, 0.6, 0.7, 0.8, 0.9, 0.4])
    study = describe(plan={"enqueued": 1}, **RANDOM)
    numbers = expected_maximum.summarize(findings(study, trials(rows)))
    assert 0.5 not in numbers.curves[0].values
    with pytest.raises(LeftOut, match="No strategy has 5 random trials"):
        expected_maximum.summarize(findings(describe(plan={"enqueued": 2}, **RANDOM), trials(rows)))


def test_nine_random_searches_are_told_apart_by_panel_colour_and_line() -> None:
    study = describe(**RANDOM)
    rows = [item for item in realistic() if item["state"] != "pruned"]
    found = expected_maximum.summarize(findings(study, of_search(study, runs(rows)))).curves
    places = [curve.place for curve in found]
    assert len({(place.panel, style.colour(place.colour)) for place in places}) == 9
    assert {place.panel for place in places} == {
        ("freeze depth 0",),
        ("freeze depth 2",),
        ("freeze depth all",),
    }
    assert len({(place.panel, place.stroke % 4) for place in places}) == 9


# Several data sets


def scores(rows: int = 8) -> np.ndarray[Any, Any]:
    draw = np.random.default_rng(0)
    return 0.7 + 0.05 * np.arange(3) + draw.normal(0, 0.01, (rows, 3))


def test_ranks_stand_best_first_with_their_groups() -> None:
    numbers = critical_difference.summarize(ranks_of("abc", scores()), 0.05)
    assert numbers.names == ("c", "b", "a")
    assert numbers.ranks == (1.0, 2.0, 3.0)
    assert numbers.n == 8
    assert numbers.groups == (), "each pair is separated: p = 2 / 2^8, and Holm's 3 times it"
    same = np.tile([0.5, 0.5, 0.5], (8, 1))
    assert critical_difference.summarize(ranks_of("abc", same), 0.05).groups == ((0, 2),)
    assert "does not show that they are equal" in critical_difference.caption(numbers)
    assert "corrected p of at least 0.025" in critical_difference.caption(
        critical_difference.summarize(ranks_of("abc", scores()), 0.025)
    )


def test_a_diagram_of_few_data_sets_is_refused() -> None:
    with pytest.raises(ValueError, match="6"):
        ranks_of("abc", scores(5))


def test_a_profile_is_the_share_of_data_sets_above_each_value() -> None:
    table = [[0.1, 0.5], [0.2, 0.5], [0.3, 0.5], [0.4, 0.5], [0.5, 0.5], [0.5, 0.5]]
    numbers = performance_profile.summarize(ranks_of("ab", np.array(table)))
    assert numbers.thresholds == (0.1, 0.2, 0.3, 0.4, 0.5)
    first, second = numbers.shares
    assert first == pytest.approx((5 / 6, 4 / 6, 3 / 6, 2 / 6, 0.0))
    assert second == (1.0, 1.0, 1.0, 1.0, 0.0)
    assert "n = 6 data sets" in performance_profile.caption(numbers)
