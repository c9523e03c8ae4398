"""What each block says may be sound, and the whole may still contradict itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.config import load
from workbench.config.document import StudyFileError
from workbench.config.study_config import StudyConfig

TEXT = """\
name: x
recipe: {dataset: wine, backbone: mlp, epochs: 12}
compare:
  optimizer: [sgd, adam]
  method:
    full: {freeze_depth: 0}
    lpft: {phases: {probe: {epochs: 3, freeze_depth: all}, finetune: {epochs: 9}}}
    plain: {}
tune:
  learning_rate: {low: 1e-4, high: 1e-1, log: true, default: 1e-2}
search: {trials_per_strategy: 3}
"""


def read(folder: Path, *overrides: str) -> StudyConfig:
    path = folder / "study.yaml"
    path.write_text(TEXT)
    return load(path, overrides)


def problems(folder: Path, *overrides: str) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        read(folder, *overrides)
    return [f"{problem.key}: {problem.found}" for problem in caught.value.problems]


def test_a_whole_that_fits_is_accepted(tmp_path: Path) -> None:
    assert len(read(tmp_path).strategies) == 6


def test_a_condition_keeps_a_phases_knob_away_from_strategies_without_the_phase(
    tmp_path: Path,
) -> None:
    entry = "{low: 1e-4, high: 1e-1, default: 1e-2}"
    assert problems(tmp_path, f"tune.probe.learning_rate={entry}") == [
        "tune.probe.learning_rate: no phase probe in sgd-full, sgd-plain, adam-full, ..."
    ]
    conditional = entry.replace("{", "{when: {method: lpft}, ", 1)
    read(tmp_path, f"tune.probe.learning_rate={conditional}")


def test_a_phases_knob_in_a_level_needs_the_phase_in_every_strategy_of_that_level(
    tmp_path: Path,
) -> None:
    assert problems(tmp_path, "compare.method.plain={probe.epochs: 3}") == [
        "compare.method.plain: no phase probe in sgd-plain, adam-plain"
    ]


def test_options_that_no_level_fits_are_found_where_they_are_set(tmp_path: Path) -> None:
    assert problems(tmp_path, "compare.method.plain={backbone.width: 3}") == [
        "compare.method.plain: 'width'"
    ]
    backbones = "{a: {backbone: small_cnn}, b: {backbone: mlp}}"
    overrides = ["recipe={dataset: wine, backbone.hidden: [3]}", f"compare.size={backbones}"]
    assert problems(tmp_path, *overrides) == ["recipe.backbone.hidden: 'hidden'"]


def test_a_data_set_may_come_from_any_block(tmp_path: Path) -> None:
    recipe = "recipe={backbone: mlp, epochs: 12}"
    for other in (
        "across.dataset=[wine, digits]",
        "compare.dataset=[wine, digits]",
        "tune.dataset=[wine, digits]",
        "tune.data={a: {dataset: wine}, b: {dataset.name: digits}}",
    ):
        read(tmp_path, recipe, other)
    assert problems(tmp_path, recipe, "tune.dataset.fraction=[0.5, 1.0]") == ["recipe: no dataset"]


def test_an_enqueued_setting_may_name_a_level_and_any_value_that_some_entry_holds(
    tmp_path: Path,
) -> None:
    read(tmp_path, "search.enqueue=[{method: lpft, learning_rate: 0.1}, {optimizer: adam}]")
    assert problems(tmp_path, "search.enqueue=[{method: lp}, {learning_rate: 0.2}]") == [
        "search.enqueue.0.method: 'lp'",
        "search.enqueue.1.learning_rate: 0.2",
    ]


def test_a_confirmation_names_a_factor_and_a_strategy(tmp_path: Path) -> None:
    read(tmp_path, "confirm.contrast=method", "confirm.baseline=adam-lpft")
    read(tmp_path, "confirm.contrast=baseline", "confirm.baseline=default")
    assert problems(tmp_path, "confirm.contrast=epochs", "confirm.baseline=adam") == [
        "confirm.baseline: 'adam'",
        "confirm.contrast: 'epochs'",
    ]
