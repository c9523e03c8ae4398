"""What is said of a confirmation before anybody agrees to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.support.studies import SearchResults
from workbench.study.confirm.offer import cost, freedom, interval, spread
from workbench.study.confirm.selection import CandidateRuns, SelectionOutcome, Time


def test_the_pooled_variance_is_twice_the_residual_mean_square_of_arms_and_seeds() -> None:
    values = np.random.default_rng(0).standard_normal((4, 3))
    residual = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    sides = pd.DataFrame(values.T)
    degrees = freedom(sides)
    assert degrees == 3 * 2, "not the 6 x 2 of the pairs, which share arms"
    assert spread(sides) == pytest.approx(np.sqrt(2 * (residual**2).sum() / degrees))


def test_the_cost_counts_overhead_pauses_and_the_start_of_a_worker(tiny: Path, home: Path) -> None:
    searched = SearchResults(tiny, home)

    def chosen(name: str, *times: Time) -> CandidateRuns:
        return CandidateRuns(
            spec=searched.trial(name, 0, 0.5),
            values=(0.5,) * len(times),
            mean=0.5,
            seconds=1.0,
            times=times,
            trainable=1,
        )

    def time(begun: float, ended: float) -> Time:
        return Time(begun=begun, ended=ended, training=1.0)

    # The first run of the worker has waited 9 s for libraries, the others have 1 s of overhead and
    # begin half a second after the one before.
    first = chosen("sgd-0", time(0.0, 10.0), time(10.5, 12.5))
    second = chosen("adamw-0", time(13.0, 15.0), time(15.5, 17.5))
    selected = SelectionOutcome(
        runs={"sgd-0": (first,), "adamw-0": (second,)},
        chosen={"sgd-0": first, "adamw-0": second},
        finalists=("sgd-0", "adamw-0"),
        arms=(),
        default_is=None,
    )
    assert cost(selected, runs=20, workers=1) == 8.0 + 20 * 2.5
    assert cost(selected, runs=20, workers=3) == 8.0 + 7 * 2.5, "the last round is not full"


def test_a_missing_value_takes_a_degree_of_freedom_away() -> None:
    sides = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, 2.0, None], "c": [1.0, 2.0, 3.0]})
    assert freedom(sides) == 3
    assert freedom(pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 3.0], "failed": [1.0, None]})) == 1
    assert freedom(pd.DataFrame({"a": [1.0, 2.0]})) == freedom(pd.DataFrame()) == 1


def test_the_interval_of_an_sd_holds_it_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).standard_normal((4000, 3)).std(axis=1, ddof=1)
    ends = np.array([interval(sd, 2) for sd in draws])
    assert np.mean((ends[:, 0] <= 1) & (ends[:, 1] >= 1)) == pytest.approx(0.9, abs=0.015)
    assert interval(2.0, 2)[1] == pytest.approx(2 * np.sqrt(2 / stats.chi2.ppf(0.05, 2)))
