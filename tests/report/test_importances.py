"""Importances: against Optuna's own evaluators, on knobs whose part is known, and as a figure."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial

from tests.support.searched import (
    describe,
    described,
    findings,
    joint,
    realistic,
    row,
    runs,
    trials,
)
from workbench.report import importances
from workbench.report.figures import LeftOut
from workbench.report.figures import importances as figure
from workbench.report.importances import FANOVA, PED_ANOVA, Importance, observe
from workbench.report.trials import of_search
from workbench.tracker.stored_study import Range

RATE = Range(knob="learning_rate", low=1e-4, high=1e-1, log=True)
DECAY = Range(knob="decay", low=0.0, high=1.0, log=False)


def observed(n: int, seed: int = 0) -> list[FrozenTrial]:
    """The rate decides, the decay does nothing, and the optimizer a little."""
    draw = np.random.default_rng(seed)
    found = []
    for number in range(n):
        optimizer = str(draw.choice(["sgd", "adam"]))
        settings: dict[str, float | str] = {
            "rate": float(10 ** draw.uniform(-4, -1)),
            "decay": float(draw.uniform()),
            "optimizer": optimizer,
        }
        ranges: dict[str, Any] = {
            "rate": RATE,
            "decay": DECAY,
            "optimizer": Range(knob="", choices=("sgd", "adam")),
        }
        if optimizer == "sgd":
            settings["momentum"], ranges["momentum"] = float(draw.uniform()), DECAY
        off = math.log10(float(settings["rate"])) + 2.5
        loss = off**2 + 0.3 * (optimizer == "sgd") + 0.02 * float(draw.normal())
        found.append(observe(number, settings, ranges, loss))
    return found


def with_loss(trial: FrozenTrial, loss: float) -> FrozenTrial:
    other = copy.copy(trial)
    other.value = loss
    return other


def of(rows: Sequence[Importance], evaluator: str) -> dict[str, Importance]:
    return {row.knob: row for row in rows if row.evaluator == evaluator}


def numeric(n: int) -> list[FrozenTrial]:
    draw = np.random.default_rng(3)
    found = []
    for number in range(n):
        x, y = (float(value) for value in draw.uniform(size=2))
        ranges = {"x": DECAY, "y": DECAY}
        found.append(observe(number, {"x": x, "y": y}, ranges, x + 0.3 * y * x))
    return found


def as_optuna(observations: Sequence[FrozenTrial]) -> optuna.Study:
    unit = FloatDistribution(0.0, 1.0)
    study = optuna.create_study()
    for item in observations:
        distributions: dict[str, BaseDistribution] = dict.fromkeys(item.params, unit)
        study.add_trial(
            optuna.trial.create_trial(
                params=item.params, distributions=distributions, value=item.value
            )
        )
    return study


def test_fanova_is_that_of_optuna_where_optuna_has_one() -> None:
    observations = numeric(40)
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=importances.TREES, seed=0)
    theirs = evaluator.evaluate(as_optuna(observations))
    ours = of(importances.evaluate(observations).rows, FANOVA)
    assert ours["x"].estimate == pytest.approx(theirs["x"], rel=1e-6)
    assert ours["y"].estimate == pytest.approx(theirs["y"], rel=1e-6)
    assert ours["x"].estimate + ours["y"].estimate < 1, "the rest is their interaction"


def test_ped_anova_is_that_of_optuna() -> None:
    observations = numeric(40)
    theirs = optuna.importance.get_param_importances(as_optuna(observations))
    ours = of(importances.evaluate(observations).rows, PED_ANOVA)
    assert {knob: row.estimate for knob, row in ours.items()} == pytest.approx(theirs)


@pytest.mark.parametrize("evaluator", [PED_ANOVA, FANOVA])
def test_the_knob_that_decides_has_the_largest_share(evaluator: str) -> None:
    found = importances.evaluate(observed(120))
    assert (found.n, found.level) == (120, 0.95)
    rows = of(found.rows, evaluator)
    assert rows["rate"].estimate > 0.5
    assert rows["decay"].high < rows["rate"].low
    assert all(0 <= r.low <= r.estimate <= r.high <= 1 for r in rows.values())


def test_a_choice_weighs_its_levels_alike() -> None:
    # Half of the levels lie at 1: a variance of 1/4, all of it theirs.
    observations = [
        observe(
            number,
            {"c": c, "x": x},
            {"c": Range(knob="", choices=tuple("abcd")), "x": DECAY},
            float(c in "ad"),
        )
        for number, (c, x) in enumerate(itertools.product("abcd", [0.1, 0.3, 0.6, 0.9]))
    ]
    rows = of(importances.evaluate(observations).rows, FANOVA)
    assert rows["c"].estimate > 0.8


def test_what_only_some_trials_have_is_judged_by_ped_anova_alone() -> None:
    found = importances.evaluate(observed(40))
    assert found.skipped == ("momentum",)
    assert "momentum" in of(found.rows, PED_ANOVA)
    assert "momentum" not in of(found.rows, FANOVA)


def test_a_rate_searched_in_another_range_for_each_optimizer_is_one_knob() -> None:
    draw = np.random.default_rng(1)
    observations = []
    for number in range(40):
        low, high = ((1e-3, 1.0), (1e-5, 1e-2))[number % 2]
        place = float(draw.uniform())
        rate = low * (high / low) ** place
        observations.append(
            observe(
                number,
                {"rate": rate, "optimizer": "ab"[number % 2]},
                {
                    "rate": Range(knob="rate", low=low, high=high, log=True),
                    "optimizer": Range(knob="", choices=tuple("ab")),
                },
                place,
            )
        )
    found = importances.evaluate(observations)
    assert found.skipped == ()
    assert of(found.rows, FANOVA)["rate"].estimate > 0.9, "by its place in its range"


def test_shares_of_ped_anova_sum_to_one() -> None:
    rows = of(importances.evaluate(observed(40)).rows, PED_ANOVA)
    assert sum(row.estimate for row in rows.values()) == pytest.approx(1.0)


def test_the_same_trials_give_the_same_numbers() -> None:
    assert importances.evaluate(observed(40)) == importances.evaluate(observed(40))


def test_a_resample_of_many_trials_is_smaller_and_says_so() -> None:
    found = importances.evaluate(observed(320))
    assert (found.n, found.of, found.draws) == (320, 300, 20)


@pytest.mark.parametrize(
    ("observations", "message"),
    [
        (observed(9), "9 trials completed; importances need 10 or more"),
        ([with_loss(trial, 1.0) for trial in observed(12)], "the same value"),
        (observed(12)[:1] * 11 + [with_loss(observed(12)[0], 3.0)], "No knob varies"),
    ],
)
def test_what_cannot_be_judged_is_refused(observations: list[FrozenTrial], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        importances.evaluate(observations)


def test_a_value_outside_its_range_is_not_taken_for_one_inside() -> None:
    assert observe(0, {"rate": 0.5}, {"rate": RATE}, 1.0).params == {}
    assert [*observe(0, {"rate": 0.05, "unknown": 1.0}, {"rate": RATE}, 1.0).params] == ["rate"]


@pytest.fixture
def spoken() -> Iterator[None]:
    """Optuna's level of messages, for one test."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    yield
    optuna.logging.set_verbosity(before)


@pytest.mark.usefixtures("spoken")
def test_optuna_speaks_as_it_did_before() -> None:
    before = warnings.filters[:]
    importances.evaluate(observed(12))
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
    assert warnings.filters == before


# The figure


def test_compared_factors_count_as_knobs_and_n_is_of_completed_trials() -> None:
    rows = realistic()
    numbers = figure.summarize(findings(describe(), trials(rows)))
    completed = sum(item["state"] == "complete" for item in rows)
    assert numbers.results.n == completed
    assert {"optimizer", "freeze_depth", "learning_rate", "momentum"} <= set(numbers.knobs)
    text = figure.caption(numbers)
    assert f"n = {completed} completed trials" in text
    assert "PED-ANOVA" in text and "fANOVA" in text
    assert "95 % percentile bootstrap over trials (30 resamples" in text
    assert "only some trials have: momentum." in text
    assert "The search was adaptive" in text


def test_the_most_important_knob_stands_at_the_top() -> None:
    numbers = figure.summarize(findings(describe(), trials(realistic())))
    strongest = [
        max(r.estimate for r in numbers.results.rows if r.knob == knob) for knob in numbers.knobs
    ]
    assert strongest == sorted(strongest, reverse=True)


def test_choices_of_a_joint_study_are_knobs_like_any_other() -> None:
    rows = joint([item for item in realistic() if item["state"] == "complete"])
    for item in rows:
        item["hyperparameters"] = {**item["hyperparameters"], **item["levels"]}
    tune = [
        {"knob": name, "when": {}, "choices": [*labels], "default": labels[0]}
        for name, labels in describe().factors.items()
    ]
    study = describe(mode="joint", tune=[*tune, *described()["tune"]])
    numbers = figure.summarize(findings(study, of_search(study, runs(rows))))
    assert {"optimizer", "freeze_depth", "learning_rate"} <= set(numbers.knobs)


def test_nine_completed_trials_leave_importances_out() -> None:
    rows = [row("sgd-0", n, 0.5 + n / 100, learning_rate=0.002 * (n + 1)) for n in range(9)]
    with pytest.raises(LeftOut, match="9 trials completed; importances need 10 or more"):
        figure.summarize(findings(describe(), trials(rows)))


def test_few_completed_trials_are_called_unstable() -> None:
    rows = [row("sgd-0", n, 0.5 + n / 100, learning_rate=0.002 * (n + 1)) for n in range(12)]
    for number, item in enumerate(rows):
        item["hyperparameters"] = {
            **item["hyperparameters"],
            "weight_decay": 10.0 ** (-2 - number % 4),
        }
    numbers = figure.summarize(findings(describe(), trials(rows)))
    assert "Fewer than 50 completed trials: PED-ANOVA is unstable" in figure.caption(numbers)
    many = numbers._replace(results=numbers.results._replace(n=50))
    assert "unstable" not in figure.caption(many)


def test_equal_values_leave_importances_out_with_the_reason() -> None:
    rows = [row("sgd-0", n, 0.5, learning_rate=0.002 * (n + 1)) for n in range(12)]
    with pytest.raises(LeftOut, match="the same value"):
        figure.summarize(findings(describe(), trials(rows)))


def test_a_study_that_minimises_has_the_importances_of_its_negative() -> None:
    loss = {"metric": "validation/loss", "direction": "minimize", "epoch": "best"}
    shown = trials(realistic())
    turned = [dataclasses.replace(t, value=None if t.value is None else -t.value) for t in shown]
    first = figure.summarize(findings(describe(), shown)).results
    assert figure.summarize(findings(describe(objective=loss), turned)).results == first


def test_importances_of_the_same_trials_are_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    expected = importances.evaluate(observed(40))
    assert importances.cached(observed(40)) == expected
    asked: list[int] = []

    def counted(observations: list[FrozenTrial]) -> importances.Importances:
        asked.append(len(observations))
        return expected

    monkeypatch.setattr(importances, "evaluate", counted)
    assert importances.cached(observed(40)) == expected
    assert asked == []
    importances.cached(observed(41))
    assert asked == [41]
