"""A user's own file is found, run once, hashed, and its mistakes are named with file and line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workbench import usercode
from workbench.usercode import UserCodeError


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mine.py:build", True),
        ("models/mine.py:Build_2", True),
        ("mine.py", False),
        ("mine:build", False),
        ("timm:resnet18", False),
        ("mine.py:2build", False),
        (None, False),
    ],
)
def test_a_reference_is_a_python_file_and_a_name(text: object, expected: bool) -> None:
    assert usercode.is_reference(text) is expected


def test_a_relative_reference_starts_at_the_study_files_folder(tmp_path: Path) -> None:
    assert usercode.located("a/../mine.py:build", tmp_path) == f"{tmp_path.resolve()}/mine.py:build"
    absolute = f"{tmp_path}/mine.py:build"
    assert usercode.located(absolute, Path("/elsewhere")) == f"{tmp_path.resolve()}/mine.py:build"


def test_a_file_is_run_once_as_long_as_it_stays_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, "made = object()\n")
    first = usercode.load(f"{path}:made")
    assert usercode.load(f"{path}:made") is first
    written(tmp_path, "made = object()  # changed\n")
    assert usercode.load(f"{path}:made") is not first


def test_a_file_may_import_its_neighbours_and_hides_nothing_installed(tmp_path: Path) -> None:
    written(tmp_path, "answer = 42\n", "workbench_test_neighbour.py")
    written(tmp_path, "raise SystemError('hidden')\n", "json.py")
    path = written(
        tmp_path, "import json\nfrom workbench_test_neighbour import answer\nfound = answer\n"
    )
    assert usercode.load(f"{path}:found") == 42


def test_each_file_imports_the_helper_that_lies_beside_it(tmp_path: Path) -> None:
    for number, folder in enumerate((tmp_path / "u1", tmp_path / "u2"), 1):
        folder.mkdir()
        written(folder, "from workbench_test_helper import X\n", "m.py")
        written(folder, f"X = {number}\n", "workbench_test_helper.py")
    found = [usercode.load(f"{tmp_path}/{folder}/m.py:X") for folder in ("u1", "u2", "u1")]
    assert found == [1, 2, 1]
    assert "workbench_test_helper" not in sys.modules


def test_a_helper_that_was_edited_is_run_anew_and_changes_the_hash(tmp_path: Path) -> None:
    path = written(tmp_path, "from workbench_test_helpers.one import X\n")
    (tmp_path / "workbench_test_helpers").mkdir()
    helper = written(tmp_path / "workbench_test_helpers", "X = 1\n", "one.py")
    before = usercode.sha256_of(f"{path}:X")
    assert list(usercode.files(f"{path}:X")) == [str(path), str(helper)]
    assert usercode.load(f"{path}:X") == 1
    helper.write_text("X = 2\n")
    assert usercode.load(f"{path}:X") == 2
    assert usercode.sha256_of(f"{path}:X") != before


def test_the_hash_of_a_file_with_helpers_does_not_depend_on_their_place(tmp_path: Path) -> None:
    for folder in (tmp_path / "u1", tmp_path / "u2"):
        folder.mkdir()
        written(folder, "from workbench_test_helper import X\n", "m.py")
        written(folder, "X = 1\n", "workbench_test_helper.py")
    first, second = (usercode.sha256_of(f"{tmp_path}/{name}/m.py:X") for name in ("u1", "u2"))
    assert first == second


def test_what_is_installed_below_a_files_folder_is_no_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / ".venv" / "site-packages"
    installed.mkdir(parents=True)
    written(installed, "X = 1\n", "workbench_test_installed.py")
    monkeypatch.syspath_prepend(installed)
    path = written(tmp_path, "from workbench_test_installed import X\n")
    assert list(usercode.files(f"{path}:X")) == [str(path)]
    assert sys.modules.pop("workbench_test_installed").X == 1


def test_a_dataclass_in_a_users_file_works(tmp_path: Path) -> None:
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n"
        "@dataclass\nclass Point:\n    x: int = 3\n"
    )
    assert usercode.load(f"{written(tmp_path, text)}:Point")().x == 3


def test_the_hash_is_of_the_files_content(tmp_path: Path) -> None:
    path = written(tmp_path, "a = 1\n")
    before = usercode.sha256_of(f"{path}:a")
    written(tmp_path, "a = 2\n")
    assert usercode.sha256_of(f"{path}:a") != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("value = 1\n", r"mine\.py has no build"),
        ("def biuld(): ...\n", r"mine\.py has no build; did you mean biuld\?"),
        ("a = 1\nb = a / 0\n", r"mine\.py:2 raised ZeroDivisionError when it was run: division"),
        ("a = 1\ndef (:\n", r"mine\.py:2 raised SyntaxError when it was run"),
        ("import nowhere_at_all\n", r"mine\.py:1 raised ModuleNotFoundError"),
    ],
)
def test_a_mistake_in_a_users_file_is_named_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(UserCodeError, match=message):
        usercode.load(f"{written(tmp_path, text)}:build")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match=r"mine\.py cannot be read: No such file"):
        usercode.load(f"{tmp_path}/mine.py:build")
