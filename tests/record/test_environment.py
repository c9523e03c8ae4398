"""What a study ran on and with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import workbench
from workbench.record import environment


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
    assert json.loads(json.dumps(found)) == found


def test_a_gpu_that_torch_cannot_use_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "gpu_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert environment.describe()["gpu"] is None


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "PACKAGES", ("torch", "no-such-package"))
    assert list(environment.describe()["packages"]) == ["workbench", "torch"]


def test_a_clean_tree_is_its_commit(repository: Path) -> None:
    (repository / "untracked.py").write_text("two = 2\n")
    commit = git(repository, "rev-parse", "HEAD").strip()
    assert environment.git_state(repository) == {
        "commit": commit,
        "dirty": False,
        "state": commit[:12],
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


def test_provenance_names_the_commit_the_packages_the_hardware_and_the_threads() -> None:
    found = environment.provenance("cpu", 2, "7e1369f2a10b")
    assert found["commit"] == "7e1369f2a10b"
    assert found["threads"] == "2"
    assert found["hardware"] == environment.describe()["cpu"]
    packages = found["packages"].split(", ")
    assert f"torch {version('torch')}" in packages
    assert f"pillow {version('pillow')}" in packages, "it decodes the pixels"
    assert f"workbench {environment.workbench_version()}" in packages
    # What records and proposes, but computes nothing, would only cry wolf.
    assert "mlflow" not in found["packages"] and "optuna" not in found["packages"]


def test_outside_of_git_provenance_has_no_commit() -> None:
    assert "commit" not in environment.provenance("cpu", 1)


def test_two_states_of_a_dirty_tree_are_two_commits(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD").strip()[:12]
    seen = set()
    for text in ("one = 2\n", "one = 3\n"):
        (repository / "code.py").write_text(text)
        seen.add(environment.git_state(repository)["state"])
    assert len(seen) == 2
    assert all(one.startswith(f"{commit}+dirty.") and len(one) == 27 for one in seen)


def test_every_installed_distribution_is_listed_with_its_version() -> None:
    lines = environment.installed().splitlines()
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))
    for name in ("pillow", "scipy", "pytest"):
        assert f"{name}=={version(name)}" in lines
    assert f"{environment.DISTRIBUTION}=={environment.workbench_version()}" in lines


def versions_in(folder: Path, *path: Path) -> str:
    """What the copy of the package in a folder says of its own version, in a process of its own."""
    script = "from workbench.record import environment; print(environment.workbench_version())"
    found = os.pathsep.join(map(str, (folder, *path)))
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": found},
    )
    return done.stdout.strip()


def package_in(folder: Path) -> Path:
    """A copy of the package with no more than its version and ``environment``."""
    package = folder / "workbench"
    (package / "record").mkdir(parents=True)
    shutil.copyfile(workbench.__file__, package / "__init__.py")
    shutil.copyfile(environment.__file__, package / "record" / "environment.py")
    return package


def test_a_checkout_of_workbench_names_its_commit_and_its_changes(tmp_path: Path) -> None:
    package = package_in(tmp_path)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "workbench")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")[:12]
    clean = versions_in(tmp_path)
    assert clean == f"{workbench.__version__}+g{commit}"
    with (package / "__init__.py").open("a") as file:
        file.write("# changed\n")
    changed = versions_in(tmp_path)
    assert changed.startswith(f"{clean}.dirty.") and len(changed) == len(clean) + 15


def test_a_package_installed_inside_a_users_repository_does_not_take_its_commit(
    repository: Path,
) -> None:
    site = repository / ".venv" / "site-packages"
    package_in(site)
    assert versions_in(site) == workbench.__version__


def test_a_package_installed_from_a_git_address_names_the_commit_that_pip_noted(
    tmp_path: Path,
) -> None:
    package_in(tmp_path)
    noted = tmp_path / f"finetuning_workbench-{workbench.__version__}.dist-info"
    noted.mkdir()
    (noted / "METADATA").write_text(
        f"Name: {environment.DISTRIBUTION}\nVersion: {workbench.__version__}\n"
    )
    address = {
        "url": "https://example.org/w.git",
        "vcs_info": {"vcs": "git", "commit_id": "ab" * 20},
    }
    (noted / "direct_url.json").write_text(json.dumps(address))
    assert versions_in(tmp_path) == f"{workbench.__version__}+g{'ab' * 6}"


def test_a_long_diff_is_cut_at_a_line_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "LONGEST_DIFF", 12)
    assert environment.shortened("12345\n78901\n") == "12345\n78901\n"
    cut = environment.shortened("12345\n78901\n34567\n")
    assert cut == "12345\n78901\n[cut: 12 of 18 characters are shown]\n"
