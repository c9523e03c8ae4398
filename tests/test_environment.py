"""What a study ran on and with."""

from __future__ import annotations

import json
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from workbench import environment


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        capture_output=True,
        check=True,
    )
    return done.stdout.decode(errors="replace")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("one = 1\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


def test_the_versions_and_the_machine_are_described_as_plain_data() -> None:
    found = environment.describe()
    for name in ("torch", "optuna", "mlflow"):
        assert found["packages"][name] == version(name)
    assert found["cores"] >= 1 and found["memory_gib"] > 0 and found["cpu"]
    assert found["driver_threads"] == torch.get_num_threads()
    assert json.loads(json.dumps(found)) == found


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("torch", "no-such-package"))
    assert list(environment.describe()["packages"]) == ["torch"]


def test_a_clean_tree_is_its_commit(repository: Path) -> None:
    (repository / "untracked.py").write_text("two = 2\n")
    assert environment.git_state(repository) == {
        "commit": git(repository, "rev-parse", "HEAD").strip(),
        "dirty": False,
        "diff": "",
    }


def test_the_diff_of_a_dirty_tree_makes_the_tree_again(repository: Path) -> None:
    (repository / "code.py").write_text("one = 1\ntwo = 2\n")
    state = environment.git_state(repository)
    assert state["dirty"]
    git(repository, "checkout", "--quiet", "code.py")
    patch = repository / "patch"
    patch.write_text(state["diff"])
    git(repository, "apply", str(patch))
    assert (repository / "code.py").read_text() == "one = 1\ntwo = 2\n"


def test_a_file_that_is_not_in_utf_8_does_not_stop_a_study(repository: Path) -> None:
    (repository / "code.py").write_bytes(b"name = 'M\xfcller'\n")
    assert "M�ller" in environment.git_state(repository)["diff"]


def test_outside_of_git_there_is_no_state(tmp_path: Path) -> None:
    assert environment.git_state(tmp_path) == {}


def test_provenance_names_the_commit_the_packages_the_hardware_and_the_threads(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    found = environment.provenance("cpu", 2)
    commit = git(repository, "rev-parse", "HEAD").strip()
    assert found["commit"] == commit[:12]
    assert found["threads"] == "2"
    assert found["hardware"] == environment.describe()["cpu"]
    assert f"torch {version('torch')}" in found["packages"].split(", ")
    # What records and proposes, but computes nothing, would only cry wolf.
    assert "mlflow" not in found["packages"] and "optuna" not in found["packages"]


def test_two_states_of_a_dirty_tree_are_two_commits(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    commit = git(repository, "rev-parse", "HEAD").strip()[:12]
    seen = set()
    for text in ("one = 2\n", "one = 3\n"):
        (repository / "code.py").write_text(text)
        environment._commit.cache_clear()
        seen.add(environment.provenance("cpu", 1)["commit"])
    assert len(seen) == 2
    assert all(one.startswith(f"{commit}+dirty.") and len(one) == 27 for one in seen)


def test_outside_of_git_provenance_has_no_commit_and_git_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "commit" not in environment.provenance("cpu", 1)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "one")
    # A warm worker goes on with the code that it has loaded.
    assert "commit" not in environment.provenance("cpu", 1)
