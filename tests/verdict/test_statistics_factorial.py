"""Main effects and interactions over paired seeds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from workbench.verdict.statistics.factorial import interaction, main_effect
from workbench.verdict.statistics.paired import sign_flip


def draw(seed: int, *shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(seed).normal(size=shape)


def test_of_two_levels_the_main_effect_is_the_test_of_their_difference() -> None:
    values = draw(1, 9, 2)
    assert main_effect(values) == pytest.approx(sign_flip(values[:, 0] - values[:, 1]))


def test_of_two_by_two_the_interaction_is_the_test_of_the_difference_of_differences() -> None:
    cube = draw(2, 9, 2, 2)
    twice = cube[:, 0, 0] - cube[:, 0, 1] - cube[:, 1, 0] + cube[:, 1, 1]
    assert interaction(cube) == pytest.approx(sign_flip(twice))


def test_a_main_effect_is_what_a_loop_over_all_arrangements_gives() -> None:
    values = draw(3, 7, 4)
    contrasts = values - values.mean(axis=1, keepdims=True)
    between = [
        (((np.array(signs)[:, None] * contrasts).mean(axis=0)) ** 2).sum()
        for signs in itertools.product([1, -1], repeat=7)
    ]
    expected = np.mean([value >= between[0] * (1 - 1e-9) for value in between])
    assert main_effect(values) == pytest.approx(float(expected))


def test_effects_of_one_kind_do_not_show_as_the_other() -> None:
    rows, columns, seeds = np.array([0.0, 3.0, 1.0]), np.array([0.0, 2.0]), draw(4, 8, 1, 1)
    additive = rows[None, :, None] + columns[None, None, :] + seeds
    assert interaction(additive) == 1.0
    crossed = np.array([[1.0, -1.0], [-1.0, 1.0]])[None] + 0.1 * draw(5, 8, 2, 2)
    assert interaction(crossed) < 0.01
    assert main_effect(crossed.mean(axis=2)) > 0.05


@pytest.mark.slow
def test_without_an_effect_p_is_below_alpha_as_often_as_alpha_says() -> None:
    generator = np.random.default_rng(6)
    cubes = generator.normal(size=(400, 8, 3, 3)) + 2 * generator.normal(size=(400, 8, 1, 1))
    for p_of in (lambda cube: main_effect(cube.mean(axis=2)), interaction):
        hits = sum(p_of(cube) <= 0.05 for cube in cubes)
        assert 7 <= hits <= 33, hits  # 20 and 3 standard errors


@pytest.mark.parametrize("shape", [(1, 2, 2), (6, 1, 2), (6, 4)])
def test_a_design_without_two_levels_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        interaction(np.zeros(shape))
