"""Main effects and interactions of the factors that a study compares."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from workbench.verdict import Arm, Design, Evidence, Run, Stage, Verdict, decide

SEEDS = tuple(f"s{i}" for i in range(10))
OPTIMIZER, DEPTH = {"sgd": 0.0, "adam": 0.1}, {"0": 0.0, "2": 0.0, "all": -0.1}


def arm(optimizer: str, depth: str, mean: float, *, baseline: bool = False) -> Arm:
    generator = np.random.default_rng(len(optimizer) + 10 * len(depth) + baseline)
    values = mean + 0.01 * generator.standard_normal(len(SEEDS))
    runs = tuple(
        Run(seed=seed, value=float(value)) for seed, value in zip(SEEDS, values, strict=True)
    )
    name = "default" if baseline else f"{optimizer}-{depth}"
    levels = {"optimizer": optimizer, "freeze_depth": depth}
    return Arm(name=name, runs=runs, levels=levels, baseline=baseline)


def judged(*arms: Arm, contrast: str = "all") -> Verdict:
    design = Design(
        metric="test/accuracy",
        direction="maximize",
        smallest_effect=0.01,
        seeds=SEEDS,
        contrast=contrast,
    )
    return decide(Evidence(stage=Stage.CONFIRMATION, design=design, arms=arms), draws=100)


@pytest.fixture
def additive() -> list[Arm]:
    """Both factors matter, each at every level of the other as much."""
    return [
        *(arm(o, d, 0.7 + OPTIMIZER[o] + DEPTH[d]) for o, d in product(OPTIMIZER, DEPTH)),
        arm("sgd", "0", 0.6, baseline=True),
    ]


def test_each_factor_has_its_marginal_means_without_the_default(additive: list[Arm]) -> None:
    optimizer, depth, both = judged(*additive).effects
    assert (optimizer.factors, depth.factors) == (("optimizer",), ("freeze_depth",))
    means = {level.name: level.mean.estimate for level in optimizer.levels}
    assert means == pytest.approx({"sgd": 0.667, "adam": 0.767}, abs=0.01)
    assert max(optimizer.p_holm, depth.p_holm) < 0.05 < both.p_holm
    assert both.factors == ("optimizer", "freeze_depth") and both.levels == ()


def test_an_effect_that_depends_on_the_other_factor_is_an_interaction(additive: list[Arm]) -> None:
    crossed = [a for a in additive if a.name != "adam-all"]
    both = judged(*crossed, arm("adam", "all", 0.6)).effects[-1]
    assert both.p_holm < 0.05


def test_p_values_are_corrected_over_all_effects(additive: list[Arm]) -> None:
    effects = judged(*additive).effects
    assert all(effect.p_holm >= effect.p for effect in effects)
    assert min(e.p_holm for e in effects) == pytest.approx(3 * min(e.p for e in effects))


@pytest.mark.parametrize("missing", ["adam-all", "sgd-2"])
def test_without_a_combination_of_levels_there_is_no_effect(
    additive: list[Arm], missing: str
) -> None:
    assert judged(*(a for a in additive if a.name != missing)).effects == ()


def test_a_comparison_with_the_baseline_or_of_levels_has_none(additive: list[Arm]) -> None:
    assert judged(*additive, contrast="baseline").effects == ()
    assert judged(*additive, contrast="optimizer").effects == ()
