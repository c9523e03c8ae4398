"""The winner, the confidence set of the best, and the bounds of how far each is behind."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.simulated import FAR, LOOKS, NULLS, Simulated, outcome, two_looks
from workbench.verdict.statistics.mcb import best

Array = NDArray[np.float64]


def paired_t(gap: Array) -> float:
    return float(gap.mean() * math.sqrt(len(gap)) / gap.std(ddof=1))


def by_enumeration(values: Array, alpha: float) -> tuple[list[float], list[float]]:
    """p_best and behind, as the definitions say: a loop over signs, candidates and rivals."""
    n, k = values.shape
    p_best, critical = [], []
    for i in range(k):
        gaps = np.delete(values - values[:, [i]], i, axis=1)
        largest = [
            max(paired_t(np.array(signs) * gap) for gap in gaps.T)
            for signs in itertools.product([1, -1], repeat=n)
        ]
        p_best.append(float(np.mean([t >= largest[0] - 1e-9 for t in largest])))
        reference = sorted(
            max(paired_t(np.array(signs) * (gap - gap.mean())) for gap in gaps.T)
            for signs in itertools.product([1, -1], repeat=n)
        )
        critical.append(reference[math.ceil((1 - alpha) * len(reference)) - 1])
    behind = []
    for i in range(k):
        ends = [0.0]
        for j in set(range(k)) - {i}:
            gap = values[:, j] - values[:, i]
            ends.append(gap.mean() + critical[j] * gap.std(ddof=1) / math.sqrt(n))
        behind.append(max(ends))
    return p_best, behind


@pytest.mark.parametrize("shape", [(6, 2), (7, 3), (7, 4)])
def test_it_is_what_a_loop_over_all_arrangements_gives(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(sum(shape)).normal(size=shape)
    p_best, behind = by_enumeration(values, 0.1)
    found = best(values, alpha=0.1)
    assert found.p_best == pytest.approx(p_best)
    assert found.behind == pytest.approx(behind)


def test_the_leader_has_the_best_mean_and_of_equals_it_is_the_first() -> None:
    values = np.random.default_rng(1).normal([0.6, 0.0, 0.2, -1.0], 0.5, size=(12, 4))
    assert best(values).leader == values.mean(axis=0).argmax()
    assert best(values[:, [1, 1, 3]]).leader == 0


def test_adding_an_effect_of_the_seed_changes_nothing() -> None:
    generator = np.random.default_rng(2)
    values, of_seed = generator.normal(size=(9, 3)), 5 * generator.normal(size=(9, 1))
    plain, shifted = best(values), best(values + of_seed)
    assert shifted.p_best == pytest.approx(plain.p_best)
    assert shifted.behind == pytest.approx(plain.behind)


def test_drawn_arrangements_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal([0.3, 0.0, 0.0], size=(12, 3))
    exact = best(values)
    monkeypatch.setattr("workbench.verdict.statistics.mcb.EXACT_TO", 5)
    drawn = best(values, draws=40_000, seed=1)
    assert drawn.p_best == pytest.approx(exact.p_best, abs=0.01)
    assert drawn.behind == pytest.approx(exact.behind, abs=0.05)


def test_equal_values_on_every_seed_decide_nothing() -> None:
    column = np.random.default_rng(4).normal(size=10)
    found = best(np.stack([column, column, column - 0.5], axis=1))
    # The third is behind by the same on every seed: without spread there is no test of that.
    assert found.p_best.tolist() == [1.0, 1.0, 1.0]
    assert np.isinf(found.behind).all()


def test_a_configuration_with_overstated_values_excludes_no_other() -> None:
    values = np.random.default_rng(5).normal([3.0, 0.0, 0.0], 0.5, size=(10, 3))
    assert best(values).p_best[1:].max() < 0.05
    found = best(values, overstated={0})
    assert found.p_best[1] > 0.05 or found.p_best[2] > 0.05
    assert found.behind[0] == math.inf
    # It can be shown to be worse itself.
    assert best(-values, overstated={0}).p_best[0] < 0.05


@pytest.mark.parametrize("values", [np.zeros((1, 3)), np.zeros((6, 1)), [[1.0, math.nan]] * 6])
def test_too_few_or_missing_values_are_an_error(values: Array) -> None:
    with pytest.raises(ValueError, match="expected"):
        best(values)


# Another correlation is another effect of the seed, which changes nothing. With two looks a best
# one that is alone is the easier case.
SMALL_NULLS = [each for each in NULLS if len(each.means) < 4 and each.correlation == 0.5]
SMALL_LOOKS = [each for each in LOOKS if len(each.means) < 4 and max(each.means[1:]) == 0]


@pytest.mark.slow
@pytest.mark.parametrize("design", FAR, ids=str)
def test_bounds_hold_all_together_however_far_the_others_are_behind(design: Simulated) -> None:
    found = outcome(design, 200, seed=7)
    assert found.too_close <= 200 * 0.05 + 3 * math.sqrt(200 * 0.05 * 0.95)


@pytest.mark.slow
@pytest.mark.parametrize("null", SMALL_NULLS, ids=str)
def test_errors_stay_within_alpha(null: Simulated) -> None:
    """A small copy of benchmarks/verdict_validation.py: 300 studies allow 3 standard errors."""
    found = outcome(null, 300, seed=6)
    most = 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)
    assert max(found.false_winner, found.lost, found.too_close, found.false_good_enough) <= most


@pytest.mark.slow
@pytest.mark.parametrize("design", SMALL_LOOKS, ids=str)
def test_errors_of_two_looks_together_stay_within_alpha(design: Simulated) -> None:
    """A small copy of benchmarks/verdict_validation.py: 300 studies allow 3 standard errors."""
    _, false, _, _ = two_looks(design, 300, seed=6)
    assert false <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)
