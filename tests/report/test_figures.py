"""Figures: the numbers they show, what they leave out and say so, and that files are stable."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from tests.support.searched import (
    HOSTILE,
    describe,
    findings,
    joint,
    realistic,
    row,
    runs,
    trials,
)
from workbench.plotting import (
    confusion_matrix,
    mistakes,
    naming,
    saving,
    scale,
    style,
    venues,
)
from workbench.record import State
from workbench.report.checks import Check, search
from workbench.report.checks import data as sources
from workbench.report.figures import (
    LeftOut,
    best_so_far,
    heat_map,
    learning_rate_sensitivity,
    load,
    strategies,
)
from workbench.report.trials import best, encoding, of_search, varying_factors

# Reading


def test_only_search_trials_are_read_in_the_order_of_study_and_number() -> None:
    rows = [row("adam-0", 1), row("sgd-2", 4), row("sgd-2", 0), row("sgd-0", 9, role="try")]
    assert [trial.name for trial in trials(rows)] == ["sgd-2/000", "sgd-2/004", "adam-0/001"]


def test_the_earliest_of_equal_trials_is_the_best_in_either_direction() -> None:
    rows = [row("sgd-0", n, value) for n, value in enumerate((0.5, 0.9, 0.9, 0.1, 0.1))]
    lowest = describe(objective={"metric": "loss", "direction": "minimize"})
    assert (found := best(describe(), trials(rows))) and found.number == 1
    assert (found := best(lowest, trials(rows))) and found.number == 3


def test_a_level_that_bundles_knobs_is_one_factor() -> None:
    factors = {"method": ["full", "probe"]}
    rows = [
        row("full", 0, 0.5, levels={"method": "full"}, freeze_depth=0, optimizer="sgd"),
        row("probe", 0, 0.5, levels={"method": "probe"}, freeze_depth=4, optimizer="sgd"),
    ]
    named = [{"name": name, "levels": {"method": name}} for name in factors["method"]]
    study = describe(factors=factors, strategies=named)
    assert varying_factors(study, of_search(study, runs(rows))) == {"method": ("full", "probe")}


def test_a_tuned_freeze_depth_counts_as_a_factor_though_none_is_compared() -> None:
    rows = [row("one", n, 0.5, levels={}, freeze_depth=n % 2, optimizer="sgd") for n in range(4)]
    study = describe(factors={}, strategies=[{"name": "one", "levels": {}}])
    assert varying_factors(study, of_search(study, runs(rows))) == {"freeze_depth": ("0", "1")}


def test_every_strategy_has_a_pair_of_colour_and_second_index_of_its_own() -> None:
    codes = encoding(describe(), trials(realistic()))
    assert len(set(codes.values())) == 9
    assert codes["adam-0"][0] == codes["adam-all"][0] != codes["sgd-0"][0]


# Figures of the search; those of a confirmation, and all at every width: test_report_figures.py

SEARCH = (
    "strategies",
    "learning_rate_sensitivity",
    "best_so_far",
    "best_so_far_by_seconds",
    "heat_map",
    "slices",
    "importances",
)


@pytest.mark.parametrize("name", SEARCH)
def test_every_figure_of_a_search_says_its_n_and_draws(name: str) -> None:
    figure = load(name)
    numbers = figure.summarize(findings(describe(), trials(realistic())))
    assert re.search(r"n = \d+", figure.caption(numbers))
    drawing = figure.draw(numbers)
    assert drawing.get_size_inches()[0] == venues.WIDTH
    assert not drawing.get_suptitle()
    assert all(not axes.get_title() for axes in drawing.axes)


@pytest.mark.parametrize("name", [*SEARCH, "learning_curves", "expected_maximum"])
def test_every_figure_of_a_search_is_left_out_with_a_reason_where_nothing_completed(
    name: str,
) -> None:
    with pytest.raises(LeftOut, match=r"^No trial completed.*\.$"):
        load(name).summarize(findings(describe(), trials([row("sgd-0", 0), row("adam-0", 1)])))


# Learning rate


def test_sensitivity_has_values_of_completed_trials_only_and_marks_for_the_others() -> None:
    rows = [
        row("sgd-0", 0, 0.9, learning_rate=0.01),
        row("sgd-0", 1, 0.4, learning_rate=0.02, state="pruned"),
        row("sgd-0", 2, learning_rate=0.3, state="failed"),
        row("adam-0", 0, 0.8, learning_rate=0.001),
    ]
    numbers = learning_rate_sensitivity.summarize(findings(describe(), trials(rows)))
    assert numbers.colours == ("sgd", "adam")
    assert numbers.panel_factor is None
    assert [(p.at, p.value, p.state, p.colour) for p in numbers.points] == [
        (0.01, 0.9, "complete", 0),
        (0.02, None, "pruned", 0),
        (0.3, None, "failed", 0),
        (0.001, 0.8, "complete", 1),
    ]
    caption = learning_rate_sensitivity.caption(numbers)
    assert "n = 2" in caption
    assert "1 pruned, 1 failed" in caption


def test_marks_without_a_value_lie_below_every_value_and_every_tick() -> None:
    numbers = learning_rate_sensitivity.summarize(findings(describe(), trials(realistic())))
    lowest = min(point.value for point in numbers.points if point.value is not None)
    axes = learning_rate_sensitivity.FIGURE.draw(numbers).axes[0]
    bottom, top = axes.get_ylim()
    assert (lowest - bottom) / (top - bottom) > 0.13
    assert min(axes.get_yticks()) > bottom + 0.09 * (top - bottom)


def test_the_grey_strip_is_drawn_only_where_a_mark_lies_in_it() -> None:
    numbers = learning_rate_sensitivity.summarize(findings(describe(), trials(realistic())))
    whole = [
        panel._replace(points=tuple(p for p in panel.points if p.value is not None))
        for panel in numbers.panels
    ]
    mark = numbers.points[0]._replace(value=None, state=State.FAILED)
    one = [whole[0]._replace(points=(*whole[0].points, mark)), *whole[1:]]
    for panels, strips in ((whole, 0), (one, len(whole))):
        shown = numbers._replace(panels=tuple(panels))
        axes = learning_rate_sensitivity.FIGURE.draw(shown).axes
        assert sum(len(panel.patches) for panel in axes) == strips
        assert ("grey strip" in learning_rate_sensitivity.caption(shown)) == bool(strips)


def test_few_curves_share_a_panel_and_differ_in_dash_and_marker_also_without_colours() -> None:
    rows = [
        row(f"{optimizer}-{depth}", n, 0.5 + 0.1 * n, freeze_depth=depth)
        for optimizer in ("sgd", "adam")
        for depth in (0, 2)
        for n in range(2)
    ]
    found = best_so_far.summarize(findings(describe(), trials(rows)))
    assert [place.colour for place in found.places] == [0, 0, 1, 1], "of the optimizer"
    (axes,) = best_so_far.FIGURE.draw(found).axes
    looks = {
        (str(line._dash_pattern), line.get_marker())  # type: ignore[attr-defined]
        for line in axes.lines
    }
    assert len(looks) == 4
    assert "marker at its end" in best_so_far.caption(found)


def test_sensitivity_panels_are_freeze_depths_in_the_studys_order() -> None:
    numbers = learning_rate_sensitivity.summarize(findings(describe(), trials(realistic())))
    assert numbers.panel_factor == "freeze_depth"
    assert [panel.name for panel in numbers.panels] == ["0", "2", "all"]
    assert numbers.count(State.COMPLETE) == sum(item["state"] == "complete" for item in realistic())


def test_one_learning_rate_leaves_its_figure_out() -> None:
    with pytest.raises(LeftOut, match="same learning rate"):
        learning_rate_sensitivity.summarize(
            findings(describe(), trials([row("sgd-0", n, 0.5) for n in range(3)]))
        )


def test_an_optimum_at_a_bound_is_a_warning_in_the_caption() -> None:
    rows = [row("sgd-0", 0, 0.9, learning_rate=0.29), row("sgd-0", 1, 0.5, learning_rate=0.01)]
    numbers = learning_rate_sensitivity.summarize(findings(describe(), trials(rows)))
    assert [bound.strategy for bound in numbers.at_bound] == ["sgd-0"]
    assert "Warning" in learning_rate_sensitivity.caption(numbers)
    rows[0] |= {"value": 0.4}
    numbers = learning_rate_sensitivity.summarize(findings(describe(), trials(rows)))
    assert "Warning" not in learning_rate_sensitivity.caption(numbers)


def test_losses_over_many_decades_are_drawn_on_a_logarithm() -> None:
    loss = {"metric": "validation/mse", "direction": "minimize", "epoch": "best"}
    rows = [row("sgd-0", n, 10.0 ** (3 * n), learning_rate=10.0**-n) for n in range(4)]
    for module in (learning_rate_sensitivity, strategies):
        study = describe(objective=loss)
        axes = module.FIGURE.draw(
            module.summarize(findings(study, of_search(study, runs(rows))))
        ).axes[0]
        assert "log" in (axes.get_xscale() if module is strategies else axes.get_yscale())


# Heat map


def test_a_cell_holds_its_best_value_and_its_count() -> None:
    rows = [
        row("sgd-0", 0, 0.7, learning_rate=0.011),
        row("sgd-0", 1, 0.9, learning_rate=0.012),
        row("sgd-0", 2, 0.95, learning_rate=0.012, state="pruned"),
        row("adam-0", 0, 0.8, learning_rate=0.09),
    ]
    numbers = heat_map.summarize(findings(describe(), trials(rows)))
    assert numbers.rows == ("sgd-0", "adam-0")
    assert sum(map(sum, numbers.counts)) == 3
    assert numbers.values[0][0] == 0.9
    assert numbers.counts[0][0] == 2
    assert numbers.values[1][0] is None
    assert numbers.counts[1][0] == 0
    assert numbers.hidden == 1


def test_a_cells_best_value_is_the_lowest_where_the_study_minimises() -> None:
    study = describe(objective={"metric": "loss", "direction": "minimize"})
    rows = [row("sgd-0", n, n + 1.0, learning_rate=0.01 * (1 + n % 2 / 100)) for n in range(3)]
    rows += [row("adam-0", 0, 5.0, learning_rate=0.1)]
    numbers = heat_map.summarize(findings(study, of_search(study, runs(rows))))
    assert numbers.values[0][0] == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_bins_hold_every_rate_once_and_are_at_most_nine(seed: int) -> None:
    draw = random.Random(seed)
    low, span = draw.uniform(-8, 0), draw.uniform(0.05, 7)
    rates = [10 ** (low + span * draw.random()) for _ in range(30)]
    edges = heat_map.bins(rates)
    assert 2 <= len(edges) <= 10
    assert edges[0] <= min(rates)
    assert max(rates) <= edges[-1]
    assert list(edges) == sorted(set(edges))
    assert not any(edges[1] <= min(rates) or edges[-2] >= max(rates) for _ in edges[2:])


def test_bins_have_round_edges() -> None:
    assert heat_map.bins([2e-4, 0.2]) == (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3)


def test_a_map_of_one_strategy_is_left_out() -> None:
    rows = [row("sgd-0", n, 0.5, learning_rate=10.0**-n) for n in range(3)]
    with pytest.raises(LeftOut, match="one strategy"):
        heat_map.summarize(findings(describe(), trials(rows)))


# Best so far


def test_pruned_and_failed_trials_count_as_spent() -> None:
    rows = [
        row("sgd-0", 0),
        row("sgd-0", 1, 0.5),
        row("sgd-0", 2, state="failed"),
        row("sgd-0", 3, 0.4),
        row("sgd-0", 4, 0.6),
        row("sgd-0", 5),
    ]
    (curve,) = best_so_far.summarize(findings(describe(), trials(rows))).curves
    assert (curve.at, curve.values, curve.spent) == ((2, 5), (0.5, 0.6), 6)


def test_a_curve_ends_at_its_last_trial() -> None:
    rows = [row("sgd-0", n, 0.5 + n / 10) for n in range(3)] + [row("adam-0", 0, 0.5)]
    for mode in ("balanced", "joint"):
        numbers = best_so_far.summarize(findings(describe(mode=mode), trials(rows)))
        figure = best_so_far.FIGURE.draw(numbers)
        curves = [line for line in figure.axes[0].lines if line.get_drawstyle() == "steps-post"]
        ends = sorted(float(np.max(np.asarray(line.get_xdata(), dtype=float))) for line in curves)
        assert ends == sorted(curve.spent for curve in numbers.curves)


@pytest.mark.parametrize("sign", [1, -1], ids=["maximize", "minimize"])
def test_bad_first_values_do_not_flatten_the_curves_and_the_caption_tells_it(sign: int) -> None:
    direction = "maximize" if sign == 1 else "minimize"
    study = describe(objective={"metric": "r2", "direction": direction})
    rows = [
        row(f"{name}-0", n, sign * value)
        for name, values in {"sgd": (0.2, 0.9, 0.91, 0.92), "adam": (0.3, 0.93, 0.94, 0.95)}.items()
        for n, value in enumerate(values)
    ]
    numbers = best_so_far.summarize(findings(study, of_search(study, runs(rows))))
    low, high = sorted(sign * end for end in best_so_far.FIGURE.draw(numbers).axes[0].get_ylim())
    assert 0.88 < low < 0.9 and 0.95 < high < 0.97
    assert f"Not shown: values {'below 0.9' if sign == 1 else 'above -0.9'}" in (
        best_so_far.caption(numbers)
    )
    slow = [row("sgd-0", n, sign * value) for n, value in enumerate((0.5, 0.6, 0.7, 0.8))]
    even = best_so_far.summarize(findings(study, of_search(study, runs(slow))))
    assert "Not shown" not in best_so_far.caption(even)


def test_the_best_so_far_only_falls_where_the_study_minimises() -> None:
    study = describe(objective={"metric": "loss", "direction": "minimize"})
    rows = [row("sgd-0", n, value) for n, value in enumerate((3.0, 4.0, 2.0, 2.0, 1.0))]
    (curve,) = best_so_far.summarize(findings(study, of_search(study, runs(rows)))).curves
    assert (curve.at, curve.values) == ((1, 3, 5), (3.0, 2.0, 1.0))


def test_a_joint_study_has_one_curve_over_all_strategies_and_their_points() -> None:
    rows = joint(
        [row("sgd-0", 0, 0.5), row("adam-2", 0, 0.7), row("sgd-0", 1), row("sgd-2", 0, 0.6)]
    )
    numbers = best_so_far.summarize(findings(describe(mode="joint"), trials(rows)))
    (curve,) = numbers.curves
    assert (curve.at, curve.values, curve.spent) == ((1, 2), (0.5, 0.7), 4)
    assert [(p.strategy, p.at) for p in numbers.points] == [
        ("sgd-0", 1),
        ("adam-2", 2),
        ("sgd-2", 4),
    ]
    assert numbers.places == ()


def test_nine_curves_are_told_apart_by_panel_and_colour() -> None:
    numbers = best_so_far.summarize(findings(describe(), trials(realistic())))
    assert len({(place.panel, place.colour) for place in numbers.places}) == 9
    assert {place.panel for place in numbers.places} == {
        ("freeze depth 0",),
        ("freeze depth 2",),
        ("freeze depth all",),
    }


# Strategies


def test_a_strip_shows_completed_values_with_median_and_best() -> None:
    rows = [row("sgd-0", n, value) for n, value in enumerate((0.5, 0.9, 0.6))]
    study = describe(search={"sampler": "random"})
    numbers = strategies.summarize(
        findings(study, trials([*rows, row("sgd-0", 3, state="failed")]))
    )
    first = numbers.rows[0]
    assert (first.values, first.median, first.best) == ((0.5, 0.9, 0.6), 0.6, 0.9)
    assert first.names == ("sgd-0/000", "sgd-0/001", "sgd-0/002")
    assert first.without_value == 1
    assert [r.strategy for r in numbers.rows] == [s.name for s in describe().strategies]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_values_that_are_no_sample_have_no_medians(sampler: str) -> None:
    # Of the one the sampler followed earlier values, of the other the pruner hid some.
    study = describe(search={"sampler": sampler})
    numbers = strategies.summarize(findings(study, trials(realistic())))
    assert all(item.median is None for item in numbers.rows)
    assert "No medians" in strategies.caption(numbers)


def test_a_joint_study_has_no_medians() -> None:
    study = describe(mode="joint", search={"sampler": "random"})
    numbers = strategies.summarize(
        findings(study, trials(joint([row("sgd-0", n, 0.5) for n in range(3)])))
    )
    assert all(item.median is None for item in numbers.rows)
    assert "No medians" in strategies.caption(numbers)


def test_a_random_search_is_not_called_adaptive() -> None:
    study = describe(search={"sampler": "random"})
    caption = strategies.caption(strategies.summarize(findings(study, trials(realistic()))))
    assert "adaptively" not in caption


# A trial's figures


def test_a_confusion_matrix_is_shaded_by_the_share_of_the_true_class() -> None:
    numbers = confusion_matrix.summarize([[3, 1], [0, 0]], ["a", "b"])
    assert numbers.counts == ((3, 1), (0, 0))
    assert numbers.shares == ((0.75, 0.25), (0.0, 0.0))
    (axes,) = confusion_matrix.draw(numbers).axes
    assert [text.get_text() for text in axes.texts] == ["3", "1"]
    shown = axes.images[0].get_array()
    assert shown is not None
    assert np.asarray(shown).tolist() == [[0.75, 0.25], [0.0, 0.0]]


def test_where_names_do_not_fit_the_commonest_mistakes_are_listed() -> None:
    counts = 10 * np.eye(100, dtype=int)
    counts[3, 7], counts[7, 3], counts[50, 51] = 10, 4, 4
    counts[50, 50] = 4
    numbers = confusion_matrix.summarize(counts.tolist(), [f"species {n}" for n in range(100)])
    assert numbers.pairs == (
        ("species 3", "species 7", 10, 0.5),
        ("species 50", "species 51", 4, 0.5),
        ("species 7", "species 3", 4, 4 / 14),
    )
    square, bars = confusion_matrix.draw(numbers).axes
    first = bars.get_yticklabels()[0].get_text()
    assert first == "species 3 → species 7"
    assert not any("species" in label.get_text() for label in square.get_yticklabels())
    few = confusion_matrix.summarize(counts[:30, :30].tolist(), [f"{n}" for n in range(30)])
    assert few.pairs == ()


def test_many_classes_still_make_a_figure(tmp_path: Path) -> None:
    numbers = confusion_matrix.summarize(np.eye(100, dtype=int).tolist(), [HOSTILE] * 100)
    saving.save(confusion_matrix.draw(numbers), tmp_path / "matrix", formats=("png",))


def wrong(true: Any, predicted: Any, **size: float) -> dict[str, Any]:
    """A mistake as a trial records it."""
    return {"sample": 1, "name": None, "true": true, "predicted": predicted, **size}


@pytest.mark.parametrize(
    ("row", "lines"),
    [
        (wrong("cat", "dog", confidence=0.987), ("cat", "dog", "confidence 0.99")),
        (wrong([], ["a", "b"], confidence=0.5), ("none", "a, b", "confidence 0.50")),
        (wrong({"price": 3.25}, {"price": 9000.0}, error=8996.75), ("3.25", "9000", "error 9e+03")),
        (
            wrong({"x": 1.0, "y": 2.0}, {"x": 1.5, "y": 2.0}, error=0.5),
            ("x 1, y 2", "x 1.5, y 2", "error 0.5"),
        ),
    ],
)
def test_a_mistake_is_captioned_by_what_it_is_and_what_it_was_taken_for(
    row: dict[str, Any], lines: tuple[str, str, str]
) -> None:
    (found,) = mistakes.summarize([row], [np.zeros((4, 4, 1))])
    assert found[1:] == lines


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 5, 20])
def test_every_mistake_is_drawn_with_its_image(channels: int, count: int, tmp_path: Path) -> None:
    rows = [wrong(HOSTILE, f"class {n}", confidence=0.9) for n in range(count)]
    images = [np.full((6, 8, channels), n / count) for n in range(count)]
    drawing = mistakes.draw(mistakes.summarize(rows, images))
    (axes,) = drawing.axes
    assert len(axes.images) == count
    assert [f"class {n}" in text.get_text() for n, text in enumerate(axes.texts)] == [True] * count
    assert np.asarray(axes.images[-1].get_array()).max() == pytest.approx((count - 1) / count)
    assert saving.save(drawing, tmp_path / "mistakes", formats=("png",))[0].stat().st_size > 0


# The validity panel


def check(name: str, rows: Sequence[Mapping[str, Any]], **changes: Any) -> Check:
    study = describe(**changes)
    return {c.name: c for c in search.summarize(study, of_search(study, runs(rows)))}[name]


def few(*counts: tuple[str, int], **changes: Any) -> list[dict[str, Any]]:
    """So many completed trials of each strategy."""
    return [row(name, n, 0.9 - n / 100, **changes) for name, count in counts for n in range(count)]


TWO = [
    {"name": name, "levels": {"optimizer": name.split("-")[0], "freeze_depth": "0"}}
    for name in ("sgd-0", "adamw-0")
]


@pytest.mark.parametrize(
    ("rate", "side"), [(1.2e-3, "lower"), (0.28, "upper"), (1.6e-3, None), (0.2, None)]
)
def test_a_best_value_within_five_per_cent_of_a_bound_on_its_scale_is_told(
    rate: float, side: str | None
) -> None:
    found = check("bounds", [row("sgd-0", 0, 0.9, learning_rate=rate)])
    assert found.status == ("warning" if side else "ok")
    assert (side or "No.") in found.finding
    assert bool(found.runs) == bool(side)


def test_a_bound_is_that_of_the_entry_that_applies() -> None:
    # 0.095 lies at the upper bound for adamw, and well inside the range for sgd.
    assert check("bounds", [row("sgd-0", 0, 0.9, learning_rate=0.095)]).status == "ok"
    assert check("bounds", [row("adamw-0", 0, 0.9, learning_rate=0.095)]).status == "warning"


def test_a_range_whose_condition_is_unknown_is_not_judged() -> None:
    tune = [{"knob": "learning_rate", "when": {"recipe_knob": 1}, "low": 1e-3, "high": 0.1}]
    found = check("bounds", [row("sgd-0", 0, 0.9, learning_rate=0.1)], tune=tune)
    assert found.status == "ok"


def test_more_than_a_fifth_of_failed_trials_is_told_and_a_fifth_is_not() -> None:
    rows = [row("sgd-0", n, 0.5) for n in range(4)] + [row("sgd-0", 4, state="failed")]
    assert check("failures", rows).status == "ok"
    found = check("failures", [*rows, row("sgd-0", 5, state="failed")])
    assert found.status == "warning"
    assert "sgd-0 (2 of 6)" in found.finding


def test_unequal_budgets_and_counts_are_told() -> None:
    rows = few(("sgd-0", 3), ("adamw-0", 2))
    budget = {"trials_per_strategy": 3, "total": 6}
    assert check("budgets", rows, strategies=TWO, budget=budget).strategies == ("adamw-0",)
    assert check("completed", rows, strategies=TWO).strategies == ("adamw-0",)
    even = few(("sgd-0", 3), ("adamw-0", 3))
    assert check("budgets", even, strategies=TWO, budget=budget).status == "ok"
    assert check("completed", even, strategies=TWO).status == "ok"


def test_unfinished_trials_are_an_unspent_budget() -> None:
    rows = [*few(("sgd-0", 2), ("adamw-0", 1)), row("adamw-0", 1, state="parked")]
    found = check("budgets", rows, strategies=TWO, budget={"trials_per_strategy": 2})
    assert "adamw-0 has unfinished trials" in found.finding


def test_pruned_shares_more_than_fifteen_points_apart_are_told() -> None:
    rows = few(("sgd-0", 8), ("adamw-0", 8)) + [row("adamw-0", n) for n in (8, 9)]
    assert check("pruned", rows, strategies=TWO).strategies == ("adamw-0",)
    rows += [row("sgd-0", 8)]
    assert check("pruned", rows, strategies=TWO).status == "ok"


def test_a_joint_study_has_unequal_counts_by_design() -> None:
    rows = joint(few(("sgd-0", 8), ("adamw-0", 1)))
    for name in ("budgets", "completed", "pruned", "inclusion"):
        assert check(name, rows, strategies=TWO, mode="joint").status == "not checked"


@pytest.mark.parametrize(("epoch", "status"), [(9, "ok"), (10, "warning")])
def test_a_best_epoch_in_the_last_quarter_is_told(epoch: int, status: str) -> None:
    assert check("still improving", [row("sgd-0", 0, 0.9, epoch=epoch)]).status == status


def test_an_objective_of_the_last_epoch_cannot_show_late_improvement() -> None:
    last = {"metric": "validation/accuracy", "direction": "maximize", "epoch": "last"}
    found = check("still improving", [row("sgd-0", 0, 0.9, epoch=12)], objective=last)
    assert found.status == "not checked"


@pytest.mark.parametrize(
    ("adamw", "direction", "status"),
    [
        (0.7, "maximize", "warning"),
        (0.85, "maximize", "ok"),
        (0.7, "minimize", "ok"),
        (0.85, "minimize", "warning"),
    ],
)
def test_adamw_short_of_the_median_of_sgd_is_told_in_neutral_words(
    adamw: float, direction: str, status: str
) -> None:
    rows = [row("sgd-0", n, value) for n, value in enumerate((0.7, 0.8, 0.9))]
    rows += [row("adamw-0", 0, adamw)]
    objective = {"metric": "validation/accuracy", "direction": direction, "epoch": "best"}
    assert check("inclusion", rows, objective=objective).status == status


def test_optimizers_at_different_depths_are_no_pair() -> None:
    rows = [row("sgd-0", n, 0.9) for n in range(3)] + [row("adamw-2", 0, 0.1)]
    assert check("inclusion", rows).status == "not checked"


def test_a_late_epoch_is_late_among_the_trials_own_epochs_and_reports() -> None:
    half = {"epochs": 6.5}
    rows = [row("sgd-0", 0, 0.9, epoch=26, epochs=12, epochs_done=7.0, metrics=half)]
    assert check("still improving", rows).status == "ok", "report 26 is epoch 6.5 of 12"
    (late,) = (check("still improving", [{**rows[0], "epochs": 8}]),)
    assert late.status == "warning"
    assert "sgd-0 (epoch 6.5 of 8)" in late.finding


def test_equal_pruned_shares_are_told_in_one_number() -> None:
    assert check("pruned", few(("sgd-0", 2), ("adam-0", 2)), strategies=TWO).finding == "All 0 %."


# Facts of the data and the weights


def fact(name: str, **changes: Any) -> Check:
    return {c.name: c for c in sources.summarize(describe(**changes))}[name]


def test_duplicates_across_parts_are_told_as_a_fact() -> None:
    same = {"parts": ["train", "test"], "count": 12, "examples": ["a.png", "b.png", "c", "d"]}
    found = fact("duplicates", data={"duplicates": [same]})
    assert found.status == "note"
    assert found.finding.startswith(
        "12 samples of test, also in train (for example a.png, b.png, c)."
    )
    none = fact("duplicates", data={"duplicates": []})
    assert (none.status, none.finding) == ("ok", "No.")
    dropped = {"duplicates": [], "dropped": {"train": 3, "validation": 0}}
    assert "3 samples of train" in fact("duplicates", data=dropped).finding
    assert fact("duplicates", data={}).status == "not checked"


def test_the_data_sets_of_all_levels_are_told_with_their_names() -> None:
    same = {"parts": ["train", "test"], "count": 2, "examples": ["a"]}
    other = {"called": "dup", "source": "dup.csv", "duplicates": [same], "skipped": ["4: empty"]}
    data = {"source": "clean.csv", "duplicates": [], "skipped": [], "others": [other]}
    found = fact("duplicates", data=data)
    assert found.status == "note"
    assert found.finding.startswith("2 samples of test, also in train in dup (for example a).")
    assert fact("skipped", data=data).finding == "1 sample: 4: empty in dup."
    unknown = {**data, "others": [{"called": "absent", "source": ""}]}
    assert fact("duplicates", data=unknown).status == "not checked"
    fraction = {**other, "called": "half"}
    twice = {**data, "others": [other, fraction]}
    assert fact("skipped", data=twice).finding.startswith("1 sample:"), "not counted twice"


def test_what_could_not_be_read_is_counted_with_examples() -> None:
    found = fact("skipped", data={"skipped": [f"{n}.png: truncated." for n in range(5)]})
    assert (
        found.finding
        == "5 samples: 0.png: truncated; 1.png: truncated; 2.png: truncated; and 2 more."
    )
    assert fact("skipped", data={"skipped": []}).status == "ok"


@pytest.mark.parametrize(
    ("counts", "metric", "status", "text"),
    [
        ({"a": 90, "b": 30}, "validation/accuracy", "ok", "a (90), the smallest b (30)."),
        ({"a": 91, "b": 30}, "validation/accuracy", "note", "weights a class by its number"),
        ({"a": 91, "b": 30}, "validation/f1", "note", "3.03 times as many."),
        ({"a": 5, "b": 0}, "validation/f1", "note", "the smallest b (0)."),
        ({}, "validation/rmse", "not checked", "not counted"),
    ],
)
def test_unequal_classes_are_told_and_what_accuracy_makes_of_them(
    counts: dict[str, int], metric: str, status: str, text: str
) -> None:
    objective = {"metric": metric, "direction": "maximize", "epoch": "best"}
    found = fact("classes", data={"per_class": counts}, objective=objective)
    assert found.status == status
    assert text in found.finding
    assert ("weights" in found.finding) == (status == "note" and metric.endswith("accuracy"))


def test_what_predicting_the_mean_would_reach_is_told_of_numbers() -> None:
    columns = {f"y{n}": {"mean": 259_121.0, "sd": 94_687.2} for n in range(7)}
    found = fact("numbers", data={"numbers": columns})
    assert found.status == "note"
    assert found.finding.startswith("y0: mean 259121, standard deviation 94687; y1:")
    assert "y5" not in found.finding and "; and 2 more." in found.finding


def test_notes_on_the_first_weights_are_repeated() -> None:
    noted = {"weights": "imagenet", "notes": ["The head was not taken", "It is large."]}
    assert fact("weights", backbone=noted).finding == "The head was not taken. It is large."
    assert fact("weights", backbone={"weights": "imagenet", "notes": []}).status == "ok"
    # The first level may start from scratch.
    other = {"weights": "first.yaml", "notes": ["It is large"]}
    compared = {"notes": ["20 test samples were in training"], "others": [other]}
    both = "20 test samples were in training. It is large."
    assert fact("weights", backbone=compared).finding == both
    assert "from scratch" in fact("weights", backbone={"weights": None}).finding
    random = fact("weights", backbone={"notes": ["the frozen stages of a keep random weights"]})
    assert random.status == "note"
    assert random.finding.endswith("from scratch. The frozen stages of a keep random weights.")


ORIGIN = {
    "commit": "148fd37c0ffe",
    "packages": "python 3.11.7, torch 2.15.0, pillow 13.0.0",
    "hardware": "2 cores",
    "threads": "1",
}


def of_two(first: dict[str, str], second: dict[str, str]) -> Check:
    """What is said of the origin of three trials, of which the last one has another."""
    origins = [first, first, second]
    rows = [row("sgd-0", n, 0.9, provenance=origin) for n, origin in enumerate(origins)]
    return check("provenance", rows)


def test_trials_of_one_origin_are_vouched_for() -> None:
    found = of_two(ORIGIN, ORIGIN)
    assert found.status == "ok"
    assert found.finding == (
        "Yes. Equal in all that recorded it, of 3 trials: commit 3, packages 3, hardware 3, "
        "threads 3."
    )


@pytest.mark.parametrize(
    ("part", "other", "told"),
    [
        (
            "commit",
            "aaaabbbbcccc",
            "differ in commit: 2 values (148fd37c0ffe (2); aaaabbbbcccc (1))",
        ),
        (
            "packages",
            "python 3.11.7, torch 2.14.1, pillow 13.0.0",
            "differ in packages: 2 values (torch 2.15.0 (2); torch 2.14.1 (1))",
        ),
        ("packages", "python 3.11.7, torch 2.15.0", "(pillow 13.0.0 (2); none of these (1))"),
        ("hardware", "NVIDIA H100", "differ in hardware: 2 values (2 cores (2); NVIDIA H100 (1))"),
        ("threads", "2", "differ in threads: 2 values (1 (2); 2 (1))"),
        ("commit", "", "1 of 3 runs have no record of their commit"),
    ],
)
def test_trials_of_two_commits_packages_or_machines_are_a_warning(
    part: str, other: str, told: str
) -> None:
    found = of_two(ORIGIN, {**ORIGIN, part: other})
    assert found.status == "warning"
    assert told in found.finding


def test_uncommitted_changes_of_the_study_or_of_workbench_are_a_warning() -> None:
    for dirty in (
        {**ORIGIN, "commit": "148fd37c0ffe+dirty.12345678"},
        {**ORIGIN, "packages": "workbench 0.1.0+g148fd37c0ffe.dirty.12345678"},
    ):
        found = of_two(dirty, dirty)
        assert found.status == "warning"
        assert found.finding == "3 of 3 trials used code with uncommitted changes."


def test_what_no_trial_recorded_is_not_vouched_for() -> None:
    outside = {name: text for name, text in ORIGIN.items() if name != "commit"}
    found = of_two(outside, outside)
    assert found.status == "not checked"
    assert "Not recorded by any trial, so not checked: commit." in found.finding
    assert of_two({}, {}).status == "not checked"
    # A trial that failed before it found its device.
    rows = [row("sgd-0", 0, 0.9, provenance=ORIGIN), row("sgd-0", 1, state="failed")]
    assert check("provenance", rows).status == "ok"


# Files


def test_colours_are_those_of_okabe_and_ito() -> None:
    theirs = {mpl.colors.to_hex(colour) for colour in mpl.color_sequences["okabe_ito"]}
    assert theirs == {*style.COLOURS, "#000000"}


def test_files_are_the_same_bytes_twice_and_embed_truetype_fonts(tmp_path: Path) -> None:
    numbers = heat_map.summarize(findings(describe(), trials(realistic())))
    first = saving.save(heat_map.FIGURE.draw(numbers), tmp_path / "one")
    second = saving.save(heat_map.FIGURE.draw(numbers), tmp_path / "two")
    assert [path.suffix for path in first] == [".pdf", ".svg", ".png"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    pdf = first[0].read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf


def test_style_leaves_the_callers_matplotlib_as_it_was() -> None:
    with mpl.rc_context({"font.size": 31.0}):
        strategies.FIGURE.draw(strategies.summarize(findings(describe(), trials(realistic()))))
        assert mpl.rcParams["font.size"] == 31.0


def test_an_inline_figure_takes_the_pages_colours_and_shares_no_identifier() -> None:
    numbers = strategies.summarize(findings(describe(), trials(realistic())))
    texts = [
        saving.inline_svg(strategies.FIGURE.draw(numbers), name, "x") for name in ("one", "two")
    ]
    found = [set(re.findall(r'\bid="([^"]+)"', text)) for text in texts]
    assert found[0]
    assert not found[0] & found[1]
    for text, name in zip(texts, ("one", "two"), strict=True):
        assert set(re.findall(r'href="#(\w+)-', text)) == {name}
        assert style.INK not in text
        assert "var(--ink)" in text
        ElementTree.fromstring(text)


def test_names_that_would_look_alike_lose_what_they_share() -> None:
    names = [f"pretrained-on-{x}-with-the-{y}-optimizer" for x in ("laion", "jft") for y in "ab"]
    assert naming.distinct(names) == [
        "…laion-with-the-a…",
        "…laion-with-the-b…",
        "…jft-with-the-a…",
        "…jft-with-the-b…",
    ]
    assert naming.distinct(["sgd-0", "sgd-all"]) == ["sgd-0", "sgd-all"]
    alike = [f"{'x' * 40}{n}{'y' * 40}" for n in range(3)]
    assert len(set(naming.distinct(alike))) == 3


def test_r2_far_below_zero_leaves_room_for_the_other_values() -> None:
    values = [0.9, 0.8, 0.85, 0.7, -800.0]
    assert scale.linear_part(values, "maximize") == 1.0
    assert scale.linear_part([0.9, 0.2, -0.5], "maximize") is None
    assert scale.linear_part([-9.0, -10.0, -11.0], "maximize") is None
    rows = [row("sgd-0", n, value, learning_rate=10.0**-n) for n, value in enumerate(values)]
    objective = {"metric": "validation/r2", "direction": "maximize", "epoch": "best"}
    shown = trials(rows, objective=objective)
    study = describe(objective=objective)
    (axes,) = strategies.FIGURE.draw(strategies.summarize(findings(study, shown))).axes
    assert axes.get_xscale() == "symlog"
    to_axes = axes.transScale + axes.transLimits
    left, right = (to_axes.transform((value, 0))[0] for value in (0.7, 0.9))
    assert right - left > 0.03, "on a linear axis they would be 0.0002 of it apart"
    assert to_axes.transform((-800.0, 0))[0] > 0, "no value lies outside"


def test_long_names_keep_both_ends() -> None:
    assert naming.cut("a" * 40 + "\nresnet") == "a" * 13 + "…" + "aaaaaa resnet"
    assert naming.cut("short") == "short"
