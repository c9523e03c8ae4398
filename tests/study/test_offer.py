"""What is said of a confirmation before anybody agrees to it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workbench.study.confirm.offer import freedom, interval, spread


def test_the_pooled_variance_is_twice_the_residual_mean_square_of_arms_and_seeds() -> None:
    values = np.random.default_rng(0).standard_normal((4, 3))
    residual = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    sides = pd.DataFrame(values.T)
    degrees = freedom(sides)
    assert degrees == 3 * 2, "not the 6 x 2 of the pairs, which share arms"
    assert spread(sides) == pytest.approx(np.sqrt(2 * (residual**2).sum() / degrees))


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
