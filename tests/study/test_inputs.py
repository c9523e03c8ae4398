"""What a study rests on is looked at before anything is written, and named with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from workbench import record
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.config.document import StudyFileError
from workbench.study.study import Study

Write = Callable[..., Path]


def problems(file: Path, home: Path, *, pending: bool = False) -> list[str]:
    with pytest.raises(StudyFileError) as refusal:
        check(Study(load(file), home, pending=pending))
    return [str(problem) for problem in refusal.value.problems]


def test_a_sound_study_passes(tiny: Path, home: Path) -> None:
    check(Study(load(tiny), home))
    assert not list(home.iterdir())


def test_a_split_that_cannot_be_drawn_is_named(write_study: Write, home: Path) -> None:
    file = write_study(("validation: 40, test: 40", "validation: 100, test: 100"))
    (problem,) = problems(file, home)
    assert problem.startswith(f"{file}:4: recipe.dataset: found 'wine': ")
    assert "leave nothing to train on" in problem


@pytest.mark.parametrize(
    ("option", "key", "reason"),
    [
        ("target: kin", "target", "found 'kin': dataset.target names the column kin, "),
        ("classes: [rde, blue]", "classes", "found a list of 2: dataset.classes has rde, "),
        ("split: {group: kin}", "split.group", "found 'kin': dataset.split.group names "),
        ("delimiter: ';;'", "delimiter", "found ';;': "),
        ("path: wine.csv", "path", "found 'wine.csv': There is no file "),
    ],
)
def test_a_problem_with_an_option_of_the_data_is_at_its_own_line(
    write_study: Write, home: Path, option: str, key: str, reason: str
) -> None:
    options = {"path": "path: wines.csv", "target": "target: kind", key.split(".")[0]: option}
    lines = "".join(f"\n    {written}" for written in options.values())
    file = write_study(("{name: wine, validation: 40, test: 40}", f"\n    name: table{lines}"))
    rows = (f"{n},{('red', 'blue')[n % 2]}\n" for n in range(40))
    (file.parent / "wines.csv").write_text("size,kind\n" + "".join(rows))
    (problem,) = problems(file, home)
    line = file.read_text().splitlines().index(f"    {option}") + 1
    assert problem.startswith(f"{file}:{line}: recipe.dataset.{key}: {reason}")
    near = {"target": "kind", "classes": "red", "split.group": "kind", "path": "wines.csv"}
    assert key not in near or problem.endswith(f"; did you mean {near[key]}?")


def test_a_backbone_that_cannot_take_the_samples_is_named(write_study: Write, home: Path) -> None:
    file = write_study(("{name: mlp, hidden: [8, 8]}", "small_cnn"))
    (problem,) = problems(file, home)
    assert problem.startswith(f"{file}:5: recipe.backbone: found 'small_cnn'")
    assert "takes images" in problem


def test_a_freeze_depth_deeper_than_the_backbone_is_named_once_for_each_value(
    write_study: Write, home: Path
) -> None:
    found = problems(write_study(("freeze_depth: [0, all]", "freeze_depth: [0, 9]")), home)
    assert all("deeper than the backbone, which has 2 stages" in problem for problem in found)


def test_two_levels_with_the_same_depth_are_refused(write_study: Write, home: Path) -> None:
    found = problems(write_study(("freeze_depth: [0, all]", "freeze_depth: [hidden2, all]")), home)
    assert any("a depth that differs from that of hidden2" in problem for problem in found)


def test_an_augmentation_that_changes_the_images_is_named_before_any_trial(
    write_study: Write, home: Path
) -> None:
    file = write_study(
        ("{name: wine, validation: 40, test: 40}", "{name: digits}"),
        ("{name: mlp, hidden: [8, 8]}", "small_cnn"),
        ("  batch_size: 16", "  batch_size: 16\n  augmentation: [{random_crop: {size: 4}}]"),
    )
    (problem,) = problems(file, home)
    assert "recipe.augmentation" in problem and "set its size to 8" in problem


def test_weights_that_are_nowhere_name_the_nearest_file(write_study: Write, home: Path) -> None:
    file = write_study(("hidden: [8, 8]}", "hidden: [8, 8], weights: tinny.yaml}"))
    (file.parent / "tinny2.yaml").write_text("")
    (problem,) = problems(file, home)
    assert f"{file.parent / 'tinny.yaml'} is not a file" in problem
    assert "did you mean tinny2.yaml?" in problem


def test_weights_of_another_shape_are_refused_before_the_study_exists(
    write_study: Write, home: Path
) -> None:
    file = write_study(("hidden: [8, 8]}", "hidden: [8, 8], weights: w.pth}"))
    torch.save({"hidden1.0.weight": torch.zeros(3, 3)}, file.parent / "w.pth")
    (problem,) = problems(file, home)
    assert "recipe.backbone" in problem and "w.pth" in problem


def test_weights_of_a_study_that_has_not_run_are_no_problem_when_looking_ahead(
    write_study: Write, home: Path
) -> None:
    write_study(name="first")
    file = write_study(("hidden: [8, 8]}", "hidden: [8, 8], weights: first.yaml}"), name="second")
    check(Study(load(file), home, pending=True))
    assert "has no completed trial to take weights from" in problems(file, home)[0]


def test_the_training_seed_follows_from_the_seed_of_the_search_alone(
    write_study: Write, home: Path
) -> None:
    one = Study(load(write_study(name="one")), home)
    more = Study(load(write_study(("epochs: 3", "epochs: 5"), name="more")), home)
    other = Study(load(write_study(("seed: 1}", "seed: 2}"), name="other")), home)
    assert one.inputs.seed == more.inputs.seed != other.inputs.seed


def test_studies_that_weights_come_from_are_listed_with_their_files(
    write_study: Write, home: Path
) -> None:
    file = write_study(("hidden: [8, 8]}", "hidden: [8, 8], weights: first.yaml}"))
    assert Study(load(file), home).studies_needed == {"first.yaml": file.parent / "first.yaml"}


def test_the_outline_has_the_stages_in_order_and_the_head_last(tiny: Path, home: Path) -> None:
    config = load(tiny)
    outline = Study(config, home).inputs.outline(config.recipe)
    assert [name for name, _ in outline.stages[:-1]] == ["hidden1", "hidden2"]
    assert outline.stages == (("hidden1", 13 * 8 + 8), ("hidden2", 8 * 8 + 8), ("head", 8 * 3 + 3))
    assert record.study_directory(home, "tiny") == home / "mlruns" / "studies" / "tiny"


TEXTS = "review,stars\n" + "".join(f"a film {n},{'ab'[n % 2]}\n" for n in range(20))


@pytest.mark.parametrize(
    ("knob", "message"),
    [
        ("mixup: 0.2", "recipe.mixup: found 0.2: mixup cannot mix texts"),
        ("lora: {rank: 2}", "the stages embedding, block1, block2 have none; no other layer"),
        ("report_every: 0.125", "recipe.report_every: found 0.125: report_every is 0.125"),
    ],
)
def test_a_method_that_does_not_fit_is_refused_before_any_trial(
    write_study: Write, home: Path, tmp_path: Path, knob: str, message: str
) -> None:
    (tmp_path / "reviews.csv").write_text(TEXTS)
    file = write_study(
        (
            "{name: wine, validation: 40, test: 40}",
            "{name: text_table, path: reviews.csv, text: review, label: stars}",
        ),
        ("{name: mlp, hidden: [8, 8]}", "small_text"),
        ("  batch_size: 16", f"  batch_size: 4\n  {knob}"),
        ("  freeze_depth: [0, all]\n", ""),
    )
    found = problems(file, home)
    assert any(message in problem for problem in found), found
    assert all(problem.startswith(f"{file}:8: recipe.") for problem in found)


def test_a_model_that_no_memory_holds_is_refused_with_what_was_asked_for(
    write_study: Write, home: Path
) -> None:
    file = write_study(("hidden: [8, 8]", "hidden: [4000000000000, 8]"))
    (problem, *_) = problems(file, home)
    assert (
        "recipe.backbone: found 'mlp': the parameters of the backbone mlp need at least" in problem
    )
    assert " TB of memory, but " in problem and "are free" in problem
