"""A home that is moved or copied between two commands: every command works, and only there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sklearn.datasets import load_wine

from tests.support.commands import works
from tests.support.mlflow_home import contents, home_in, runs_of
from tests.support.tiny import TINY, Unseen
from workbench import record
from workbench.commands.run import run_study
from workbench.driver.workers import InlineWorkers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

METRIC = """\
def share(probabilities, labels):
    return (probabilities.argmax(axis=1) == labels).mean()
"""

STUDY = (
    TINY.replace("  freeze_depth: [0, all]\n", "")
    .replace("{name: wine, validation: 40, test: 40}", "{name: table, path: wine.csv, target: y}")
    .replace("epochs: 3", "epochs: 1\n  task: {name: classification, metrics: [own.py:share]}")
    .replace("trials_per_strategy: 5", "trials_per_strategy: 1")
    + "confirm: {seeds: 6, smallest_effect: 0.01, select: {seeds: 2}}\n"
)


def put_study(folder: Path) -> Path:
    """A study file, the user's own code and the data, in one folder."""
    folder.mkdir(parents=True)
    wines = load_wine(as_frame=True)
    table = wines.data.rename(columns=lambda name: name.replace("/", " "))
    table.head(3).to_csv(folder / "new.csv", index=False)
    table.assign(y=wines.target.map("c{}".format)).to_csv(folder / "wine.csv", index=False)
    (folder / "own.py").write_text(METRIC)
    (folder / "tiny.yaml").write_text(STUDY)
    return folder / "tiny.yaml"


def test_a_project_is_moved_after_its_search_and_copied_after_its_confirmation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_in(tmp_path / "a first place")
    run_study(put_study(home / "mine"), [], home, InlineWorkers(), Unseen())
    searched = json.loads((record.study_directory(home, "tiny") / "study.json").read_text())
    assert searched["file"] == "mine/tiny.yaml"

    moved = home.rename(tmp_path / "möved")
    monkeypatch.chdir(moved)
    file = Path("mine", "tiny.yaml")
    assert "nothing to do" in works("run", file, "--inline", "--home", ".")
    works("confirm", "tiny", "--yes", "--inline", "--home", ".")
    assert "tiny: MLflow is up to date." in works("sync", "tiny")
    told = works("predict", "tiny/sgd", "mine/new.csv")
    assert len(told.splitlines()) == 6, "a header, three rows, which model it was, and its values"
    assert not home.exists()

    copy = tmp_path / "copy"
    shutil.copytree(moved, copy)
    before = contents(moved)
    monkeypatch.chdir(copy)
    assert "nothing to do" in works("run", file, "--inline")
    assert "nothing to do" in works("confirm", "tiny", "--yes", "--inline")
    works("report", "tiny")
    (moved / "mine" / "own.py").write_text("def share(probabilities, labels):\n    return 0.0\n")
    assert works("predict", "tiny/sgd", "mine/new.csv") == told
    (moved / "mine" / "own.py").write_text(METRIC)
    changed = {name for name, found in contents(moved).items() if found != before[name]}
    assert changed == {"mine/own.py"}
    for place in (moved, copy):
        for run in runs_of(place, "tiny"):
            assert run.info.artifact_uri.startswith(place.as_uri())
            assert not [tag for tag in run.data.tags if tag.startswith("workbench.changed")]
