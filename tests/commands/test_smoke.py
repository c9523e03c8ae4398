"""A tiny copy of a study takes every step of the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from workbench.commands.smoke import tiny

Write = Callable[..., Path]


def test_a_tiny_copy_has_two_trials_of_one_epoch_a_phase(write_study: Write) -> None:
    config = tiny(write_study())
    assert config.trials_per_group == 2
    assert config.recipe["epochs"] == 1
    phased = write_study(
        ("epochs: 3", "phases: {probe: {epochs: 4, freeze_depth: all}, rest: {epochs: 5}}"),
        ("  freeze_depth: [0, all]\n", ""),
    )
    phases = tiny(phased).recipe["phases"]
    assert [phase["epochs"] for phase in phases.values()] == [1, 1]


def test_a_tiny_copy_confirms_the_best_strategy_where_its_file_asks_for_that(
    write_study: Write,
) -> None:
    assert tiny(write_study()).confirm.smallest_effect is None
    objective = "objective: {metric: validation/accuracy}"
    asking = "confirm: {smallest_effect: 0.01, seeds: 20, contrast: optimizer, baseline: adamw-0}"
    config = tiny(write_study((objective, f"{objective}\n{asking}")))
    assert config.confirm.smallest_effect is not None
    assert (config.finalists, config.contrast, config.confirm.seeds) == (1, "baseline", 2)
    assert (config.confirm.select.configs, config.confirm.select.seeds) == (1, 1)
