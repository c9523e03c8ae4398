"""Where a plan's files are after its home was moved or copied."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import mlflow_home as made
from workbench import record
from workbench.record import TrialDirectory, TrialSpec, places
from workbench.record.strategy import Plan, Weights


def plan_in(folder: Path) -> Plan:
    """A plan that names a file in every way that a plan can."""
    return replace(
        made.plan(),
        dataset={"name": f"{folder}/own.py:read", "path": f"{folder}/data", "classes": ["/", "b"]},
        backbone={"name": f"{folder}/model"},
        weights=Weights(source=f"{folder}/weights.pth", sha256="ab"),
        task={"name": "classification", "metrics": ["accuracy", f"{folder}/own.py:kappa"]},
        augmentation=({f"{folder}/own.py:noise": {"sd": 1}},),
        trial=f"{folder}/own.py:train",
        trial_options={"path": f"{folder}/data", "loss": f"{folder}/own.py:focal"},
        code={f"{folder}/own.py": "cd", "hub:org/model": "ef"},
    )


@pytest.fixture
def folder(home: Path) -> Path:
    """A folder of the home with the files of a plan."""
    made_folder = home / "a füll folder"
    for name in ("data", "model"):
        (made_folder / name).mkdir(parents=True)
    for name in ("own.py", "weights.pth"):
        (made_folder / name).write_text("")
    return made_folder


def stored(home: Path, spec: TrialSpec) -> TrialDirectory:
    directory = record.directory_of(record.study_directory(home, spec.study), spec)
    directory.write_spec(spec)
    return directory


def plan_of(home: Path) -> Plan:
    ((_, spec),) = record.scan(record.study_directory(home, made.STUDY))
    return spec.plan


def test_a_moved_home_finds_its_own_files(home: Path, folder: Path) -> None:
    spec = made.spec(plan=plan_in(folder))
    stored(home, spec)
    assert plan_of(home) == plan_in(folder)

    moved = home.rename(home.with_name("möved"))
    assert plan_of(moved) == plan_in(moved / folder.name)


def test_a_copy_uses_its_own_files_though_the_others_are_still_there(
    home: Path, folder: Path
) -> None:
    stored(home, made.spec(plan=plan_in(folder)))
    copy = home.with_name("copy")
    shutil.copytree(home, copy)
    assert plan_of(copy) == plan_in(copy / folder.name)
    assert plan_of(home) == plan_in(folder)


@pytest.mark.parametrize("inside", [True, False])
def test_a_record_with_absolute_paths_finds_its_files_after_a_move(
    home: Path, folder: Path, inside: bool
) -> None:
    """As earlier versions wrote it, or where the files lie beside the home."""
    project = home.parent / "project"
    project.mkdir()
    home = home.rename(project / "home")
    files = home / folder.name if inside else (home / folder.name).rename(project / folder.name)
    directory = stored(home, made.spec())
    text = record.to_json(made.spec(plan=plan_in(files)))
    (directory.path / "spec.json").write_text(text)
    assert plan_of(home) == plan_in(files)

    moved = project.rename(home.parents[1] / "elsewhere")
    assert plan_of(moved / "home") == plan_in(moved / files.relative_to(project))
    assert (moved / directory.path.relative_to(project) / "spec.json").read_text() == text


def test_files_outside_the_home_stay_where_they_are(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    plan = replace(made.plan(), dataset={"name": "image_folder", "path": str(outside)})
    stored(home, made.spec(plan=plan))
    (home / "outside").mkdir()
    assert plan_of(home) == plan

    gone = replace(made.plan(), dataset={"name": "image_folder", "path": "/nowhere/at all"})
    stored(home, made.spec(plan=gone))
    assert plan_of(home) == gone


def test_a_study_file_in_the_home_is_written_from_the_home_on(home: Path) -> None:
    assert places.relative_to_home(home / "studies" / "a.yaml", home) == "studies/a.yaml"
    assert places.relative_to_home(home.parent / "a.yaml", home) == str(home.parent / "a.yaml")
