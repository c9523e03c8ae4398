"""What an author is told before a study runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.study import description
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.config.document import StudyFileError
from workbench.study.study import Study

Write = Callable[..., Path]
QUIET = ("trials_per_strategy: 5", "trials_per_strategy: 12")


def looked_at(path: Path, home: Path, *overrides: str) -> Study:
    return Study(load(path, overrides), home, pending=True)


def notes(path: Path, home: Path, *overrides: str) -> list[str]:
    """All but that on random weights, which the tiny study has too."""
    said = description.notes(looked_at(path, home, *overrides))
    return [note for note in said if "keep random weights" not in note]


@pytest.fixture
def quiet(write_study: Write) -> Path:
    """A study that there is nothing to say about."""
    return write_study(QUIET)


def test_a_study_in_order_needs_no_note(quiet: Path, home: Path) -> None:
    assert notes(quiet, home) == []


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["search.trials_per_strategy=3"],
            [
                "search.sampler: tpe draws its first 3 trials at random, "
                "so with 3 trials it is random search",
                "search.pruner: median prunes nothing before 3 complete trials; there are 3",
            ],
        ),
        (
            ["search.sampler={name: tpe, n_startup_trials: 12}"],
            [
                "search.sampler: tpe draws its first 12 trials at random, "
                "so with 12 trials it is random search"
            ],
        ),
        (
            ["search.pruner={name: median, n_startup_trials: 20}"],
            ["search.pruner: median prunes nothing before 20 complete trials; there are 12"],
        ),
        (
            ["search.pruner={name: median, n_warmup_steps: 3}"],
            [
                "search.pruner: median prunes nothing before epoch 3; the shortest trials have "
                "3 epochs"
            ],
        ),
        (["search.pruner=none", "search.sampler=random", "search.trials_per_strategy=1"], []),
        (
            ["search.trials_per_strategy=1"],
            [
                "search.sampler: tpe draws its first 3 trials at random, "
                "so with 1 trial it is random search",
                "search.pruner: median prunes nothing before 3 complete trials; there is 1",
            ],
        ),
        (
            [
                "compare.length={short: {epochs: 3}, long: {epochs: 9}}",
                "recipe={dataset: wine, backbone: mlp}",
                "compare.optimizer=[sgd]",
            ],
            [
                "strategies differ in their total epochs: 3 (sgd-0-short, sgd-all-short); "
                "9 (sgd-0-long, sgd-all-long)"
            ],
        ),
        (
            ["tune.momentum={low: 0.5, high: 0.99, default: 0.9}"],
            ["tune.momentum: no effect in adamw-0, adamw-all; add a when"],
        ),
        (
            ["tune.beta1={low: 0.5, high: 0.99, default: 0.9}"],
            ["tune.beta1: no effect in sgd-0, sgd-all; add a when"],
        ),
        (
            ["search.sampler={name: grid, points: 3}"],
            ["search.sampler: the grid and the default make 4 or 10 trials, not 12"],
        ),
        (
            [
                "search.sampler={name: grid, points: 3}",
                "compare.optimizer=[adamw]",
                "search.trials_per_strategy=4",
                "search.pruner=none",
                "tune={learning_rate: {low: 1e-4, high: 1e-1, log: true, default: 1e-2}}",
            ],
            [],
        ),
        (
            [
                "search.trials_per_strategy=4",
                "search.pruner=none",
                "search.enqueue=[{learning_rate: 0.02}, {learning_rate: 0.03}, "
                "{learning_rate: 0.04}, {learning_rate: 0.05}]",
            ],
            ["search.enqueue: with the default these are 5 trials, but only 4 are run"],
        ),
        (
            ["tune={}"],
            ["tune: nothing is searched, so all 12 trials of a strategy will be the same"],
        ),
    ],
)
def test_a_note_says_what_will_not_do_what_it_is_named_for(
    quiet: Path, home: Path, overrides: list[str], expected: list[str]
) -> None:
    assert notes(quiet, home, *overrides) == expected


def test_stages_that_are_frozen_from_scratch_are_told(quiet: Path, home: Path) -> None:
    study = looked_at(quiet, home)
    (note,) = description.notes(study)
    # In the report too.
    assert description.describe(study)["backbone"]["notes"] == [note.removeprefix("freeze_depth: ")]
    assert note == (
        "freeze_depth: the frozen stages of sgd-all, adamw-all keep random weights, because "
        "backbone.weights is not set"
    )
    # Trained later, or not at all frozen.
    phases = "{one: {epochs: 1, freeze_depth: all}, two: {epochs: 2, freeze_depth: 0}}"
    others = (
        ("compare={optimizer: [sgd]}", f"recipe.phases={phases}"),
        ("compare={optimizer: [sgd]}", "recipe.freeze_depth=0"),
    )
    assert not any(description.notes(looked_at(quiet, home, *given)) for given in others)


def test_in_a_joint_study_an_idle_knob_is_seen_too(write_study: Write, home: Path) -> None:
    path = write_study(
        (
            "compare:\n  optimizer: [sgd, adamw]\n  freeze_depth: [0, all]\ntune:",
            "tune:\n  optimizer: [sgd, adamw]",
        ),
        ("{when: {optimizer: sgd}, low", "{low"),
        ("trials_per_strategy: 5", "trials: 20"),
    )
    assert notes(path, home) == ["tune.momentum: no effect in adamw; add a when"]


def test_a_phases_knob_is_idle_where_the_phases_optimizer_does_not_have_it(
    quiet: Path, home: Path
) -> None:
    recipe = "recipe.phases={one: {epochs: 2, optimizer: adam}, two: {epochs: 1}}"
    tuned = "tune.one.momentum={low: 0.5, high: 0.9, default: 0.9}"
    overrides = (recipe, tuned, "compare={optimizer: [sgd]}")
    assert notes(quiet, home, *overrides) == ["tune.one.momentum: no effect in sgd; add a when"]


def test_a_study_that_weights_come_from_is_named(home: Path) -> None:
    path = Path(__file__).parents[2] / "studies" / "digits.yaml"
    study = Study(load(path), home, pending=True)
    assert "digits_pretrain.yaml runs first, because its weights are needed" in description.notes(
        study
    )
    # ``run`` shows its notes after that study has run.
    study.inputs.pending = False
    assert "digits_pretrain.yaml ran first, because its weights are needed" in description.notes(
        study
    )


def test_a_tuned_depth_that_the_backbone_does_not_have_is_refused_before_anything_runs(
    quiet: Path, home: Path
) -> None:
    overrides = ["compare={optimizer: [sgd]}", "tune.freeze_depth={low: 0, high: 9, default: 0}"]
    with pytest.raises(StudyFileError) as caught:
        check(Study(load(quiet, overrides), home))
    (problem,) = caught.value.problems
    assert f"--set {overrides[1]}: tune.freeze_depth: found 9: " in str(problem)
    assert "0 to 2, hidden1, hidden2, or all" in str(problem)


def test_a_tuned_backbone_that_does_not_fit_the_data_is_refused_before_anything_runs(
    quiet: Path, home: Path
) -> None:
    overrides = ["recipe={dataset: wine}", "tune={backbone: [mlp, small_cnn]}"]
    with pytest.raises(StudyFileError, match=r"tune\.backbone: found 'small_cnn'"):
        check(Study(load(quiet, overrides), home))


# -- the study as plain data -----------------------------------------------------------------------


def test_a_study_is_described_as_plain_data_with_every_default_resolved(
    quiet: Path, home: Path
) -> None:
    found = description.describe(looked_at(quiet, home, "search.timeout=1h"))
    assert json.loads(json.dumps(found)) == found
    assert (found["name"], found["mode"]) == ("tiny", "balanced")
    assert found["objective"] == {
        "metric": "validation/accuracy",
        "direction": "maximize",
        "epoch": "best",
    }
    assert found["factors"] == {"optimizer": ["sgd", "adamw"], "freeze_depth": ["0", "all"]}
    assert found["strategies"][3] == {
        "name": "adamw-all",
        "levels": {"optimizer": "adamw", "freeze_depth": "all"},
    }
    assert found["budget"]["total"] == sum(found["budget"]["targets"].values()) == 48
    assert found["search"] == {
        "sampler": "tpe",
        "sampler_options": {},
        "pruner": "median",
        "pruner_options": {},
        "startup_trials": 3,
        "seed": 1,
        "timeout": 3600,
    }
    assert found["tune"][1] == {
        "knob": "momentum",
        "when": {"optimizer": ["sgd"]},
        "low": 0.5,
        "high": 0.99,
        "log": False,
        "step": None,
        "default": 0.9,
    }
    sizes = {part: found["data"][part] for part in ("train", "validation", "test")}
    assert sizes == {"train": 98, "validation": 40, "test": 40}
    assert found["backbone"]["name"] == "mlp" and found["backbone"]["weights"] is None
    assert [stage["name"] for stage in found["backbone"]["stages"]] == ["hidden1", "hidden2"]
    assert found["backbone"]["head"] == 8 * 3 + 3
    assert (found["epochs"], found["baseline"]) == (3, "sgd-0")
    assert found["overrides"] == ["search.timeout=1h"]
    assert found["content"]["name"] == "tiny"


def test_a_joint_study_is_described_by_its_choices_and_default(
    write_study: Write, home: Path
) -> None:
    path = write_study(
        (
            "compare:\n  optimizer: [sgd, adamw]\n  freeze_depth: [0, all]\ntune:",
            "tune:\n  optimizer: {choices: [sgd, adamw], default: adamw}",
        ),
        ("trials_per_strategy: 5", "trials: 20"),
    )
    found = description.describe(looked_at(path, home))
    assert (found["mode"], found["baseline"]) == ("joint", "adamw")
    assert found["budget"] == {"trials_per_strategy": None, "total": 20, "targets": {"joint": 20}}
    assert found["factors"] == {"optimizer": ["sgd", "adamw"]}


def test_a_tuned_data_set_is_described_by_its_default(quiet: Path, home: Path) -> None:
    overrides = ("recipe={backbone: mlp}", "tune={dataset: {choices: [wine, digits]}}")
    assert description.describe(looked_at(quiet, home, *overrides))["data"]["name"] == "wine"


def test_a_range_reads_as_a_sentence(quiet: Path, home: Path) -> None:
    config = load(
        quiet,
        [
            "tune.weight_decay={low: 0, high: 0.5, step: 0.1, default: 0.1}",
            "tune.schedule=[constant, cosine]",
        ],
    )
    assert description.ranges(config) == [
        ("learning_rate", "0.0001 to 0.1, log; default 0.01"),
        ("momentum (optimizer is sgd)", "0.5 to 0.99; default 0.9"),
        ("weight_decay", "0 to 0.5, step 0.1; default 0.1"),
        ("schedule", "constant, cosine; default constant"),
    ]


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Three tables: one in order, one with copies across its parts, one with a bad row."""
    lines = [f"{number}.5,{number % 2}" for number in range(40)]
    content = {
        "clean": lines,
        "dup": [*lines[:20], *lines[:20]],
        "torn": [*lines, ",1"],
    }
    for name, rows in content.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,y", *rows]) + "\n")
    return tmp_path


def level(folder: Path, name: str) -> str:
    path = folder / f"{name}.csv"
    return f"{name}: {{name: table, path: {path}, target: y, on_bad_input: skip, test: 8}}"


@pytest.mark.parametrize("block", ["compare", "tune"])
def test_duplicates_and_skipped_rows_are_told_of_every_data_set_of_a_study(
    write_study: Write, tables: Path, home: Path, block: str
) -> None:
    levels = ", ".join(level(tables, name) for name in ("clean", "dup", "torn"))
    overrides = [
        "recipe={backbone: mlp, epochs: 3}",
        "compare={optimizer: [sgd, adamw]}",
        "tune={learning_rate: {low: 1e-3, high: 1e-1, log: true, default: 1e-2}}",
        f"{block}.dataset={{{levels}}}",
    ]
    path = write_study(QUIET)
    study = looked_at(path, home, *overrides)
    check(study)
    told = [note for note in description.notes(study) if note.startswith("dataset")]
    assert [note for note in told if "left out" in note] == [
        "dataset (torn): 1 left out (for example torn.csv:42: a is missing)"
    ]
    assert all(note.startswith("dataset (dup): ") for note in told if "are in" in note)
    assert any("samples of test are in train too" in note for note in told)
    data = description.describe(study)["data"]
    assert data["duplicates"] == [] and data["source"].endswith("clean.csv")
    assert [other["called"] for other in data["others"]] == ["dup", "torn"]
    assert data["others"][0]["duplicates"] and not data["others"][1]["duplicates"]
    assert len(data["others"][1]["skipped"]) == 1


def test_dropped_copies_are_counted_in_the_notes_and_in_the_study_s_record(
    quiet: Path, home: Path
) -> None:
    # Iris has one flower twice, which this seed divides between training and test.
    config = load(quiet, ["recipe.dataset={name: iris, duplicates: drop}", "search.seed=0"])
    study = Study(config, home)
    note = "dataset: 1 sample of train left out, because a later part has the same"
    assert note in description.notes(study)
    assert description.describe(study)["data"]["dropped"] == {"train": 1}


def test_what_holds_for_all_data_sets_of_a_study_is_told_once_and_without_names(
    write_study: Write, tables: Path, home: Path
) -> None:
    one = f"name: table, path: {tables / 'torn.csv'}, target: y, on_bad_input: skip"
    overrides = [
        f"recipe={{dataset: {{{one}}}, backbone: mlp, epochs: 3}}",
        "compare={optimizer: [adamw], dataset.fraction: [0.5, 1.0]}",
        "tune={learning_rate: {low: 1e-3, high: 1e-1, log: true, default: 1e-2}}",
    ]
    told = notes(write_study(QUIET), home, *overrides)
    assert told == ["dataset: 1 left out (for example torn.csv:42: a is missing)"]
