"""What a look found is used again only where nothing that it depends on has changed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.record import file_cache
from workbench.record.file_cache import FileCache

Look = Callable[..., FileCache]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "1.png").write_bytes(b"first")
    (tmp_path / "elsewhere").write_bytes(b"linked")
    (folder / "link.png").symlink_to(tmp_path / "elsewhere")
    return folder


@pytest.fixture
def look(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """A look at the data; those that these tests write a moment ago count as old."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(file_cache, "_TICK_NS", 0)
    return lambda key="sizes": FileCache([key, {"name": "image_folder"}], [data])


def test_a_later_look_finds_what_was_kept(look: Look) -> None:
    assert look().get() is None
    look().put({"train": 3, "classes": ["cats"]})
    assert look().get() == {"train": 3, "classes": ["cats"]}
    assert look("outline").get() is None


def rewritten(data: Path) -> None:
    file = data / "cats" / "1.png"
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_bytes(b"other")
    os.utime(file, ns=times)  # as an archive does


def replaced(data: Path) -> None:
    new = data / "cats" / "new"
    new.write_bytes(b"first")
    new.replace(data / "cats" / "1.png")


@pytest.mark.parametrize(
    "change",
    [
        rewritten,
        replaced,
        lambda data: (data / "cats" / "1.png").unlink(),
        lambda data: (data / "cats" / "2.png").write_bytes(b""),
        lambda data: (data / "dogs").mkdir(),
        lambda data: (data / "cats").rename(data / "dogs"),
        lambda data: (data.parent / "elsewhere").write_bytes(b"changed"),
        lambda data: data.rename(data.parent / "moved"),
    ],
)
def test_any_change_of_a_file_asks_for_a_new_look(
    change: Callable[[Path], object], look: Look, data: Path
) -> None:
    look().put(1)
    assert look().get() == 1
    change(data)
    assert look().get() is None


def test_another_version_of_the_code_or_of_a_package_asks_for_a_new_look(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])
    code = tmp_path / "workbench"
    code.mkdir()
    (code / "__init__.py").write_text("")
    monkeypatch.setattr("workbench.__file__", str(code / "__init__.py"))
    file_cache._program.cache_clear()
    try:
        for change in (packages / "torch-2.dist-info").mkdir, (code / "new.py").touch:
            look().put(1)
            assert look().get() == 1
            change()
            file_cache._program.cache_clear()  # as in another process
            assert look().get() is None
    finally:
        file_cache._program.cache_clear()


def test_a_look_during_which_a_file_changes_is_not_kept_for_the_new_content(
    look: Look, data: Path
) -> None:
    before = look()
    (data / "cats" / "2.png").write_bytes(b"")
    before.put(1)
    assert look().get() is None


def test_a_process_keeps_nothing_of_files_that_changed_after_it_first_saw_them(
    look: Look, data: Path
) -> None:
    look()  # What it reads may stay in memory.
    (data / "cats" / "2.png").write_bytes(b"")
    look().put(1)
    assert look().get() is None


def test_what_was_written_a_moment_ago_is_not_trusted(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "_TICK_NS", 60 * 10**9)
    look().put(1)
    assert look().get() is None


def test_damage_and_a_cache_that_cannot_be_written_to_only_cost_time(
    look: Look, tmp_path: Path
) -> None:
    look().put(1)
    (file,) = (tmp_path / "cache" / "files").iterdir()
    file.write_text("[")
    assert look().get() is None
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("no folder")
    look().put(1)
    assert look().get() is None


def test_what_was_not_used_for_30_days_is_deleted_when_a_process_keeps_something(
    look: Look, tmp_path: Path
) -> None:
    folder = tmp_path / "cache" / "files"

    def kept(key: str) -> Path:
        before = set(folder.glob("*"))
        look(key).put(key)
        (file,) = set(folder.glob("*")) - before
        return file

    unused, used, young = kept("unused"), kept("used"), kept("young")
    for file, days in (unused, 31), (used, 31), (young, 29):
        os.utime(file, times=(time.time() - days * 86400,) * 2)
    assert look("used").get() == "used"
    file_cache._drop_unused.cache_clear()  # as in another process
    new = kept("new")
    assert set(folder.iterdir()) == {used, young, new}
    assert look("used").get() == "used"


def test_a_link_to_a_folder_above_ends(look: Look, data: Path) -> None:
    (data / "cats" / "up").symlink_to(data)
    look().put(1)
    assert look().get() == 1
