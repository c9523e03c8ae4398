"""What each block says may be sound, and the whole may still contradict itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.study.config import load
from workbench.study.config.document import StudyFileError
from workbench.study.config.study_config import StudyConfig

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
    return [
        f"{problem.key}: {problem.found or problem.reason}" for problem in caught.value.problems
    ]


def test_a_whole_that_fits_is_accepted(tmp_path: Path) -> None:
    assert len(read(tmp_path).strategies) == 6


def test_a_condition_keeps_a_phases_knob_away_from_strategies_without_the_phase(
    tmp_path: Path,
) -> None:
    entry = "{low: 1e-4, high: 1e-1, default: 1e-2}"
    assert problems(tmp_path, f"tune.probe.learning_rate={entry}") == [
        "tune.probe.learning_rate: strategies sgd-full, sgd-plain, adam-full, ... have no phase "
        "probe; add when: {FACTOR: LABEL} for the levels that define probe"
    ]
    conditional = entry.replace("{", "{when: {method: lpft}, ", 1)
    read(tmp_path, f"tune.probe.learning_rate={conditional}")


def test_a_phases_knob_in_a_level_needs_the_phase_in_every_strategy_of_that_level(
    tmp_path: Path,
) -> None:
    assert problems(tmp_path, "compare.method.plain={probe.epochs: 3}") == [
        "compare.method.plain: strategies sgd-plain, adam-plain have no phase probe; set this knob "
        "inside the level that defines probe"
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


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("confirm={finalists: 7}",),
            "--set confirm={finalists: 7}: confirm.finalists: found 7, expected at most 6: there "
            "are 6 strategies",
        ),
        (
            ("confirm={finalists: 2, contrast: method}",),
            "--set confirm={finalists: 2, contrast: method}: confirm.finalists: found 2, expected "
            "no finalists with contrast: method, whose levels are compared by the means of all "
            "their strategies",
        ),
        (
            ("compare.optimizer=[sgd]", "confirm.contrast=optimizer"),
            "--set confirm.contrast=optimizer: confirm.contrast: found optimizer, which has one "
            "level, expected a factor with at least two levels",
        ),
        (
            ("compare={method: {default: {}, other: {freeze_depth: 0}}}",),
            "--set compare={method: {default: {}, other: {freeze_depth: 0}}}: compare: found "
            "'default', expected another label: default is the name of the confirmation's baseline",
        ),
    ],
)
def test_a_confirmation_that_cannot_be_is_refused_in_these_words(
    tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(StudyFileError) as caught:
        read(tmp_path, *overrides)
    assert str(caught.value) == message


JOINT = """\
name: x
recipe: {dataset: wine, backbone: mlp}
tune: {optimizer: [sgd, adam]}
search: {trials: 3}
"""


def test_a_joint_study_confirms_three_finalists_against_the_default_unless_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "joint.yaml"
    path.write_text(JOINT)
    config = load(path)
    assert (config.contrast, config.finalists) == ("baseline", 3)
    config = load(path, ("confirm={contrast: all, finalists: 2}",))
    assert (config.contrast, config.finalists) == ("all", 2)
    with pytest.raises(StudyFileError, match="found 'optimizer', expected one of all, baseline"):
        load(path, ("confirm.contrast=optimizer",))


def test_a_balanced_study_confirms_every_strategy_in_all_pairs_unless_told(
    tmp_path: Path,
) -> None:
    config = read(tmp_path)
    assert (config.contrast, config.finalists) == ("all", None)
    assert read(tmp_path, "confirm.contrast=method").contrast == "method"


LOSS = "objective.metric=validation/loss"
SMOOTHING = "{low: 0, high: 0.3, default: 0.1}"
WEIGHTS = "compare.weights={plain: {}, weighted: {task.class_weights: balanced}}"


@pytest.mark.parametrize(
    ("key", "overrides"),
    [
        ("tune.task.label_smoothing", [f"tune.task.label_smoothing={SMOOTHING}"]),
        ("tune.task.label_smoothing", ["tune.task.label_smoothing=[0.0, 0.1]"]),
        (
            "tune.task.label_smoothing",
            [f"tune.task.label_smoothing={SMOOTHING.replace('{', '{when: {method: full}, ', 1)}"],
        ),
        ("compare.weights", [WEIGHTS]),
        ("compare.weights", [WEIGHTS, "recipe.task.name=multilabel"]),
        ("compare.task.loss", ["recipe.task=regression", "compare.task.loss=[mse, huber]"]),
        ("compare.task", ["compare.task=[regression, mine.py:Own]"]),
        (
            "tune.task.delta",
            ["recipe.task={name: regression, loss: huber}", "tune.task.delta=[0.5, 1.0]"],
        ),
    ],
)
@pytest.mark.parametrize("split", ["validation", "train"])
def test_a_loss_is_no_objective_where_what_it_means_is_compared_or_tuned(
    tmp_path: Path, key: str, overrides: list[str], split: str
) -> None:
    (tmp_path / "mine.py").write_text("class Own:\n    target = 'numbers'\n")
    (problem,) = problems(tmp_path, f"objective.metric={split}/loss", *overrides)
    assert problem.startswith(f"{key}: levels that differ in task.")
    read(tmp_path, *overrides)


def test_a_loss_that_cannot_be_compared_is_refused_with_a_metric_that_can(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError) as caught:
        read(tmp_path, LOSS, "compare.task.label_smoothing=[0.0, 0.1]")
    assert str(caught.value) == (
        "--set compare.task.label_smoothing=[0.0, 0.1]: compare.task.label_smoothing: found levels "
        "that differ in task.label_smoothing, which changes what validation/loss means, expected "
        "a metric that measures the same for all levels: objective: {metric: validation/accuracy}"
    )


def test_mixing_changes_the_loss_of_training_alone(tmp_path: Path) -> None:
    mixed = "compare.mixup=[0.0, 0.2]"
    assert problems(tmp_path, "objective.metric=train/loss", mixed) == [
        "compare.mixup: levels that differ in mixup, which changes what train/loss means"
    ]
    read(tmp_path, LOSS, mixed)


def test_a_loss_is_an_objective_where_it_means_the_same_everywhere(tmp_path: Path) -> None:
    for task in (
        "recipe.task={name: classification, class_weights: balanced, label_smoothing: 0.1}",
        "compare.smoothing={a: {}, b: {task.label_smoothing: 0.0}}",
        "recipe.task={name: multilabel, threshold: 0.4}",
        "compare.task.threshold=[0.4, 0.6]",
    ):
        more = ["recipe.task=multilabel"] if "threshold=" in task else []
        read(tmp_path, LOSS, *more, task)


def test_every_mistake_is_told_at_once_though_another_block_is_broken(tmp_path: Path) -> None:
    confirm = "confirm={contrast: methd, baseline: sgd-ful, finalists: 9, seeds: 0}"
    enqueue = "search.enqueue=[{optimizer: sgdd}]"
    found = problems(tmp_path, confirm, enqueue, "search.samplr=random", "recipe.epochs=0")
    assert sorted(found) == [
        "confirm.baseline: 'sgd-ful'",
        "confirm.contrast: 'methd'",
        "confirm.finalists: 9",
        "confirm.seeds: 0",
        "recipe.epochs: 0",
        "search.enqueue.0.optimizer: 'sgdd'",
        "search.samplr: 'samplr'",
    ]


def test_what_rests_on_a_broken_block_is_not_judged(tmp_path: Path) -> None:
    confirm = "confirm={contrast: methd, baseline: nadam-full, finalists: 7}"
    found = problems(tmp_path, confirm, "compare.optimizer=[sgd, adam, nadamm]")
    assert found == ["compare.optimizer.2: 'nadamm'", "confirm.contrast: 'methd'"]
    assert problems(tmp_path, confirm, "comparee=1") == ["comparee: 'comparee'"]


def test_an_unknown_baseline_is_answered_with_the_strategies_and_the_nearest(
    tmp_path: Path,
) -> None:
    with pytest.raises(StudyFileError) as caught:
        read(tmp_path, "confirm.baseline=sgd-ful")
    (problem,) = caught.value.problems
    assert problem.place == "--set confirm.baseline=sgd-ful"
    assert (problem.key, problem.nearest) == ("confirm.baseline", "sgd-full")
    with pytest.raises(StudyFileError, match="one of default, sgd-full, sgd-lpft, sgd-plain, adam"):
        read(tmp_path, "confirm.baseline=zzz")
