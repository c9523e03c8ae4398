"""A home made before packages were renamed is still read: its runs, records and tags."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import call, works
from tests.support.mlflow_home import contents, everything, runs_of

# A search of two optimizers and its confirmation, recorded at commit a9f67be. Pictures are blank.
ARCHIVE = Path(__file__).parent / "support" / "stored_home.tar.xz"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    # The home was moved: the first command that writes to MLflow corrects the places of artifacts.
    assert "up to date" in works("sync", "tiny", "--home", folder)
    return folder


def written(home: Path) -> tuple[object, object]:
    """Runs of the store, and files without locks and databases (opening one moves its pages)."""
    files = {
        name: of
        for name, of in contents(home).items()
        if not name.endswith("lock") and ".db" not in name
    }
    return everything(home), files


def claim(report: Path) -> dict[str, Any]:
    """Word and numbers of a report's verdict."""
    verdict = json.loads(report.read_text())["verdict"]
    sides = [(one["name"], one["values"], one["mean"]) for one in verdict["sides"]]
    return {"sides": sides, **{key: verdict[key] for key in ("word", "leader", "closest", "gap")}}


def test_list_and_show_read_it(home: Path) -> None:
    (row,) = json.loads(works("list", "--home", home, "--json"))
    assert (row["name"], row["state"], row["trials"]) == ("tiny", "complete", 6)
    assert row["confirmation"] == {
        "stage": "complete",
        "ended": 24,
        "planned": 24,
        "look": 1,
        "looks": 1,
        "seeds_shown": 8,
    }
    shown = json.loads(works("show", "tiny", row["best_trial"], "--home", home, "--json"))
    assert shown["value"] == row["best"]
    tested = json.loads(works("show", "tiny", "confirmation/sgd/003", "--home", home, "--json"))
    assert "test/accuracy" in tested["test"]


@pytest.mark.parametrize("words", [("run",), ("confirm", "--yes")])
def test_a_finished_command_has_nothing_to_do_and_changes_nothing(
    home: Path, words: tuple[str, ...]
) -> None:
    before = written(home)
    printed = works(words[0], home / "tiny.yaml", *words[1:], "--home", home, "--inline")
    assert "nothing to do" in printed
    assert written(home) == before
    assert len(runs_of(home, "tiny")) == 40


@pytest.mark.parametrize("words", [("run",), ("confirm", "--yes")])
def test_a_script_reads_how_a_command_ended(home: Path, words: tuple[str, ...]) -> None:
    code, output, _ = call(
        words[0], home / "tiny.yaml", *words[1:], "--home", home, "--inline", "--json"
    )
    (row,) = json.loads(works("list", "--home", home, "--json"))
    found = json.loads(output)
    assert code == 0 and {key: found[key] for key in row} == row
    assert (found["new_trials"], found["failures"], found["unsent"]) == (0, [], 0)
    groups = {group["name"]: group["complete"] for group in found["groups"]}
    tested = {"sgd": 8, "adamw": 8, "default": 8}
    assert groups == ({"sgd": 3, "adamw": 3} if words == ("run",) else tested)
    assert found["next"] in ([], ["workbench report tiny"]), "no step that was taken"


def test_its_report_claims_what_it_claimed_then(home: Path) -> None:
    path = home / "reports" / "tiny" / "report.json"
    before = claim(path)
    works("report", "tiny", "--home", home)
    assert claim(path) == before
    assert before["word"] == "WINNER"
